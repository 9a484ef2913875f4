/** The life of the package on real machines: installed, used, reloaded, watched, removed, installed again, purged. */
import { beforeAll, expect, test } from "vitest";
import { ping } from "../../tools/lab/ping.ts";
import { OLDER } from "./packages.ts";
import { acquainted, sharedMachines, suite } from "./support.ts";

const BYTES = 20_000_000;
const EXPOSURE = 2.5;

suite("the package on two machines", () => {
  const machines = sharedMachines();
  let identity = "";

  beforeAll(async () => {
    const { a, b } = machines();
    for (const member of [a, b]) await member.install(OLDER);
    identity = await a.hit();
  });

  test("installing starts it, now and at every boot", async () => {
    const { a } = machines();
    const { machine } = a;
    expect((await machine.run(["systemctl", "is-active", "hipd.service"])).trim()).toBe("active");
    expect(
      (await machine.run(["systemctl", "is-enabled", "hipd.service", "hipd-guard.service"])).trim(),
    ).toBe("enabled\nenabled");
    console.log(await machine.run(["systemctl", "status", "--no-pager", "--full", "hipd.service"]));
    expect(await a.property("Type")).toBe("notify");
    expect(await a.property("User")).toBe("hipd");
    expect(await machine.run(["hipd", "--version"])).toBe(`hipd ${OLDER}\n`);
    expect((await machine.sh("stat -c '%U %a' /var/lib/hipd /var/lib/hipd/identity.pem")).trim()).toBe(
      "hipd 700\nhipd 600",
    );
    expect(
      (await machine.run(["systemctl", "list-units", "--failed", "--no-legend", "--plain"])).trim(),
    ).toBe("");
  });

  test("nothing comes to overlay addresses but through the overlay: the service may set its rules", async () => {
    const { machine } = machines().a;
    expect(await machine.run(["nft", "list", "set", "inet", "hipd", "interfaces"])).toContain('"hip0"');
    expect(await machine.run(["journalctl", "-u", "hipd", "--no-pager"])).not.toContain("not kept out");
  });

  test("what is documented is there", async () => {
    const { machine } = machines().a;
    const files = (await machine.run(["dpkg", "-L", "hipd"])).split("\n");
    for (const file of [
      "/usr/share/man/man8/hipd.8.gz",
      "/usr/share/man/man1/hipctl.1.gz",
      "/usr/share/man/man5/hipd.toml.5.gz",
      "/usr/share/bash-completion/completions/hipctl",
      "/usr/share/zsh/vendor-completions/_hipctl",
      "/usr/share/fish/vendor_completions.d/hipctl.fish",
      "/usr/share/doc/hipd/copyright",
      "/usr/share/doc/hipd/sbom.cdx.json.gz",
      "/usr/share/doc/hipd/third-party-licences.txt.gz",
      "/lib/systemd/system/hipd.service",
      "/etc/hipd/hipd.toml",
    ])
      expect(files).toContain(file);
    expect(await machine.run(["dpkg", "--verify", "hipd"])).not.toMatch(/^..5/m);
  });

  test("compiled code is the machine's own, for root and the daemon, and only root's to change", async () => {
    const { machine } = machines().a;
    const folders = await machine.sh("stat -c '%n %U %a' /var/cache/hipd/compile/*");
    const daemon = (await machine.run(["id", "-u", "hipd"])).trim();
    expect(folders).toMatch(/-0 root 755/);
    expect(folders).toMatch(new RegExp(`-${daemon} root 755`));
    const said = await machine.sh(
      "setpriv --reuid hipd --regid hipd --clear-groups env NODE_DEBUG_NATIVE=COMPILE_CACHE hipd --check 2>&1",
    );
    expect(said.match(/V8 code cache for .* was accepted/g)?.length).toBeGreaterThan(20);
    expect(said).not.toMatch(/permission denied|was rejected/);
  });

  test("peers that were introduced talk: ping and TCP, by HIT and LSI", async () => {
    const { a, b } = machines();
    await acquainted({ a, b });
    const [hit, lsi] = [await b.hit(), await a.lsiOf(b.name)];
    for (const address of [hit, lsi]) {
      const done = await ping(a.machine.namespace, address);
      expect(done.received, done.output).toBe(3);
    }
    const port = await (await b.machine.namespace.agent()).serveTcp();
    const sent = await (await a.machine.namespace.agent()).sendTcp(hit, port, BYTES);
    expect(sent.error).toBeUndefined();
    expect(sent).toMatchObject({ receivedBytes: BYTES, receivedHash: sent.sentHash });
  });

  test("reload reads the configuration again in the same process, with the same associations", async () => {
    const { a, b } = machines();
    const before = [await a.property("MainPID"), await a.associationWith(b.name)];
    await a.machine.sh(
      `printf '[[peer]]\\nname = "third"\\nhit = "2001:22:1:2:3:4:5:6"\\n' > /etc/hipd/peers.d/third.toml; systemctl reload hipd`,
    );
    expect(await a.hipctl("peer", "list", "--names")).toContain("third");
    expect([await a.property("MainPID"), await a.associationWith(b.name)]).toEqual(before);
    expect(await a.property("ActiveState")).toBe("active");
  });

  test("a daemon that hangs is started again by the watchdog", async () => {
    const { a, b } = machines();
    expect(await a.property("WatchdogUSec")).toBe("30s");
    await a.machine.sh(`mkdir -p /run/systemd/system/hipd.service.d
      printf '[Service]\\nWatchdogSec=3\\n' > /run/systemd/system/hipd.service.d/watchdog.conf
      systemctl daemon-reload; systemctl restart hipd.service`);
    const log = await a.follow();
    const hung = await a.property("MainPID");
    await a.machine.run(["kill", "-STOP", hung]);
    await log.line((line) => line.includes("Watchdog timeout"), 60_000);
    await log.line((line) => line.startsWith("Started hipd.service"), 30_000);
    await log.stop();
    await a.machine.sh("rm -r /run/systemd/system/hipd.service.d; systemctl daemon-reload");
    expect(await a.property("MainPID")).not.toBe(hung);
    const done = await ping(a.machine.namespace, await b.hit(), 3);
    expect(done.received, done.output).toBe(3);
  });

  test(`the service is exposed no more than ${EXPOSURE} in systemd's own measure`, async () => {
    const { machine } = machines().a;
    const text = await machine.run(["systemd-analyze", "security", "--no-pager", "hipd.service"]);
    const summary = /Overall exposure level for hipd\.service: ([0-9.]+) .*/.exec(text);
    console.log(`note: ${summary?.[0]}`);
    expect(Number(summary?.[1])).toBeLessThanOrEqual(EXPOSURE);
  });

  test("removal takes interface and routes away and keeps the identity; installed again it is the same host", async () => {
    const { a } = machines();
    const { machine } = a;
    await a.remove();
    expect(await machine.sh("ip link; ip route show table all; ip -6 route show table all")).not.toMatch(
      /hip0|198\.18\.0\.0|2001:20::/,
    );
    expect((await machine.attempt(["systemctl", "is-active", "hipd.service"])).stdout.trim()).toBe(
      "inactive",
    );
    await machine.run(["test", "-s", "/var/lib/hipd/identity.pem", "-a", "-s", "/etc/hipd/hipd.toml"]);
    await a.install(OLDER);
    expect(await a.hit()).toBe(identity);
    expect(await a.hipctl("peer", "list", "--names")).toContain(machines().b.name);
    const done = await ping(machine.namespace, await machines().b.hit(), 3);
    expect(done.received, done.output).toBe(3);
  });

  test("purging deletes identity, peers and configuration; installed again it is another host", async () => {
    const { a } = machines();
    await a.purge();
    expect(
      (
        await a.machine.sh("ls -d /var/lib/hipd /etc/hipd /var/cache/hipd /usr/lib/hipd 2>/dev/null || true")
      ).trim(),
    ).toBe("");
    await a.install(OLDER);
    expect(await a.hit()).not.toBe(identity);
  });
});
