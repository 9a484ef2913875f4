/** hipd.toml, key files, reload: what operators get wrong is said plainly and changes nothing. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { expect, it } from "vitest";
import { associationOf, ping, suite, withPair } from "./support.ts";

suite("a bad configuration", () => {
  it("is refused with file, line, and the nearest valid key", async () => {
    await withPair({ idle: true }, async ({ a }) => {
      const { daemon } = a;
      daemon.writeConfig();
      writeFileSync(daemon.configFile, '[identity]\nkey = "identity.pem"\n[network]\nprot = 10500\n');
      for (const args of [[], ["--check"]]) {
        const done = await daemon.namespace.attempt(daemon.command(...args));
        expect(done.status).toBe(3);
        expect(done.stderr).toContain(`${daemon.configFile}:4`);
        expect(done.stderr).toContain('"port"');
      }
    });
  });

  it("--check accepts a good one and starts nothing", async () => {
    await withPair({ idle: true }, async ({ a }) => {
      a.daemon.writeConfig();
      const done = await a.daemon.namespace.attempt(a.daemon.command("--check"));
      expect(done.status, done.stderr).toBe(0);
      expect(await a.daemon.namespace.devices()).not.toContain("hip0");
    });
  });

  it("an LSI prefix that overlaps with an address of the host is refused with both named", async () => {
    const config = { network: { lsi_prefix: "192.0.0.0/16" } };
    await withPair({ idle: true, daemonA: { config } }, async ({ a }) => {
      a.daemon.writeConfig();
      const done = await a.daemon.namespace.attempt(a.daemon.command());
      expect(done.status).not.toBe(0);
      const said = done.stdout + done.stderr;
      expect(said).toContain("192.0.0.0/16");
      expect(said).toContain("192.0.2.");
    });
  });

  it("a second hipd on the same port says so and leaves the first alone", async () => {
    await withPair({}, async ({ a, b }) => {
      const done = await a.daemon.namespace.attempt(a.daemon.command());
      expect(done.status).not.toBe(0);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
    });
  });
});

suite("a key file", () => {
  it.each([
    ["that others can read", (file: string) => chmodSync(file, 0o644), /mode|permission|others|0600/i],
    [
      "that is broken",
      (file: string) => writeFileSync(file, "-----BEGIN PRIVATE KEY-----\nnonsense\n"),
      /key/i,
    ],
  ] as const)("%s is refused with the reason", async (_name, spoil, reason) => {
    await withPair({ idle: true }, async ({ a }) => {
      a.daemon.writeConfig();
      spoil(a.daemon.keyFile);
      const done = await a.daemon.namespace.attempt(a.daemon.command());
      expect([1, 4]).toContain(done.status);
      const said = done.stdout + done.stderr;
      expect(said).toContain(a.daemon.keyFile);
      expect(said).toMatch(reason);
    });
  });

  it("that is missing is made at the first start and kept", async () => {
    await withPair({ idle: true }, async ({ a }) => {
      rmSync(a.daemon.keyFile);
      await a.daemon.start();
      const first = (await a.daemon.status()).self.hit;
      expect(first).not.toBe(a.daemon.hit);
      await a.daemon.stop();
      await a.daemon.start();
      expect((await a.daemon.status()).self.hit).toBe(first);
    });
  });
});

suite("a reload", () => {
  it("applies only the differences; an association that is not concerned lives on", async () => {
    await withPair({}, async ({ a, b }) => {
      await ping(a.daemon.namespace, b.daemon.hit);
      const before = await associationOf({ a, b });
      a.daemon.peers.push({ name: "c", hit: "2001:22:1:2:3:4:5:6", locators: ["192.0.2.77"] });
      a.daemon.writeConfig();
      const done = await a.daemon.ctl("reload");
      expect(done.status, done.stderr).toBe(0);
      expect(done.stdout).toContain("c");
      expect((await a.daemon.status()).peers.map((peer) => peer.name).sort()).toEqual(["b", "c"]);
      expect(await associationOf({ a, b })).toEqual(before);
    });
  });

  it("of a bad file changes nothing and says what is wrong", async () => {
    await withPair({}, async ({ a, b }) => {
      writeFileSync(
        a.daemon.configFile,
        `${stringify({ ...a.daemon.config, peer: a.daemon.peers })}\n[nonsense]\nx = 1\n`,
      );
      const done = await a.daemon.ctl("reload");
      expect(done.status).toBe(3);
      expect(done.stderr).toContain("nonsense");
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
    });
  });

  it("by SIGHUP drops a peer that is no longer in the file", async () => {
    await withPair({}, async ({ a, b }) => {
      await ping(a.daemon.namespace, b.daemon.hit);
      a.daemon.peers.length = 0;
      a.daemon.writeConfig();
      a.daemon.process.signal("SIGHUP");
      await a.daemon.event("reloaded");
      expect((await a.daemon.status()).peers).toEqual([]);
      expect((await ping(b.daemon.namespace, a.daemon.hit)).received).toBe(0);
    });
  });
});

suite("hipd", () => {
  it("goes before other programs, as far as the configuration says", async () => {
    const slow = { config: { network: { nice: 3, workers: 2 } } };
    await withPair({ daemonB: slow }, async ({ a, b }) => {
      const { status } = await a.daemon.namespace.attempt(MAY_GO_AHEAD);
      const nice = status === 0 ? -12 : getPriority();
      expect(nices(a.daemon.pid)).toMatchObject({ hipd: [nice], "hipd-data-0": [nice] });
      for (const job of nices(a.daemon.pid)["WorkerThread"] ?? []) expect(job).toBe(nice + 5);
      const refusals = a.daemon.process.out.filter((line) => line.includes('"event":"priority-refused"'));
      expect(refusals.length).toBe(status === 0 ? 0 : 1);
      expect(nices(b.daemon.pid)).toMatchObject({ hipd: [3], "hipd-data-0": [3], "hipd-data-1": [3] });
      const { network } = b.daemon.config;
      b.daemon.config["network"] = { ...network, nice: 5 };
      b.daemon.writeConfig();
      expect((await b.daemon.ctl("reload")).stdout).not.toContain("restart");
      expect(nices(b.daemon.pid)).toMatchObject({ hipd: [5], "hipd-data-0": [5], "hipd-data-1": [5] });
    });
  });
});

/** Succeeds where the machine lets root's programs go so far before others. */
const MAY_GO_AHEAD = ["sh", "-c", "renice -n -12 $$"];

/** The nice values of the threads of a process, by name. */
function nices(pid: number): Readonly<Record<string, readonly number[]>> {
  const found: Record<string, number[]> = {};
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const name = readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim();
    found[name] = [...(found[name] ?? []), getPriority(Number(thread))];
  }
  return found;
}

suite("peers", () => {
  it("of peers.d are known at the start and after a reload", async () => {
    await withPair({ strangers: true, idle: true }, async ({ a, b }) => {
      const folder = join(a.daemon.folder, "peers.d");
      mkdirSync(folder);
      const entry = { name: "b", hit: b.daemon.hit, locators: [b.ipv4] };
      writeFileSync(join(folder, "b.toml"), stringify({ peer: [entry] }));
      b.daemon.peers.push({ name: "a", hit: a.daemon.hit, locators: [a.ipv4] });
      await Promise.all([a.daemon.start(), b.daemon.start()]);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      const other = { name: "c", hit: "2001:22:1:2:3:4:5:6", locators: [] };
      writeFileSync(join(folder, "c.toml"), stringify({ peer: [other] }));
      expect((await a.daemon.ctl("reload")).status).toBe(0);
      expect((await a.daemon.status()).peers.map((peer) => peer.name).sort()).toEqual(["b", "c"]);
    });
  });

  it("added at run time are forgotten at a restart, unless they are to be kept", async () => {
    await withPair({ strangers: true }, async ({ a, b }) => {
      const add = (name: string, hit: string, ...more: string[]) =>
        a.daemon.ctl("peer", "add", name, "--hit", hit, "--locator", b.ipv4, ...more);
      expect((await add("kept", b.daemon.hit, "--keep")).status).toBe(0);
      expect((await add("passing", "2001:22:1:2:3:4:5:6")).status).toBe(0);
      const lsi = await a.daemon.lsi("kept");
      await a.daemon.kill();
      await a.daemon.start();
      expect((await a.daemon.status()).peers.map((peer) => peer.name)).toEqual(["kept"]);
      expect(await a.daemon.lsi("kept")).toBe(lsi);
    });
  });
});
