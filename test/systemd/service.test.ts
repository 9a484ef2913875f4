/** What only a real systemd does with the units: a second overlay, a key that it hands over, a configuration that is wrong. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Lab } from "../../tools/lab/lab.ts";
import { Machine } from "../../tools/lab/machine.ts";
import { FOLDER, OLDER } from "./packages.ts";
import { Member, suite } from "./support.ts";

const KEY = "/etc/hipd/key.pem";

suite("the units on a machine", () => {
  let lab: Lab | undefined;
  let member: Member;
  let machine: Machine;
  let hit = "";

  beforeAll(async () => {
    lab = Lab.create();
    const namespace = await lab.namespace("north");
    await lab.link(
      { namespace, device: "eth0", addresses: ["192.0.2.2/24"] },
      { namespace: await lab.namespace("wall"), device: "eth0", addresses: ["192.0.2.1/24"] },
    );
    machine = await Machine.boot(namespace, FOLDER);
    member = new Member(machine, { namespace, ipv4: "192.0.2.2", ipv6: "" });
    await member.install(OLDER);
    hit = await member.hit();
  });

  afterEach(async ({ task }) => {
    if (task.result?.state !== "fail") return;
    for (const unit of ["hipd.service", "hipd@blue.service"]) console.log(await machine.journal(unit));
  });

  afterAll(async () => {
    await machine?.end();
    await lab?.close();
  });

  test("a second overlay runs beside the first one, with everything its own", async () => {
    await machine.sh(
      "printf '[network]\\nport = 10600\\nlsi_prefix = \"100.64.0.0/16\"\\n' > /etc/hipd/blue.toml",
    );
    await machine.run(["systemctl", "start", "hipd-guard@blue", "hipd@blue"]);
    const blue = JSON.parse(await member.hipctl("--instance", "blue", "--json", "status"));
    expect(blue.self).toMatchObject({ interface: "hip-blue", port: 10_600, lsiPrefix: "100.64.0.0/16" });
    expect(blue.self.hit).not.toBe(hit);
    expect(await member.hit()).toBe(hit);
    const peer = ["peer", "add", "x", "--hit", "2001:20::1", "--locator", "192.0.2.9", "--keep"];
    await member.hipctl("--instance", "blue", ...peer);
    await machine.run(["systemctl", "restart", "hipd@blue"]);
    expect(await member.hipctl("--instance", "blue", "peer", "show", "x")).toContain("2001:20::1");
    expect(await machine.journal("hipd-carry@blue.service")).toContain("carry-handed");
    // Nothing is left of it.
    await machine.sh("until ! ls -d /run/hipd.carry-blue 2>/dev/null; do sleep 0.1; done", {
      timeoutMillis: 5_000,
    });
    expect(await machine.sh("systemctl list-units --plain --no-legend --state=failed")).not.toContain(
      "carry",
    );
    const owned =
      "stat -c '%U %a' /var/lib/hipd-blue /var/lib/hipd-blue/identity.pem /run/hipd-blue/hipd.sock";
    expect((await machine.sh(owned)).trim()).toBe("hipd 700\nhipd 600\nhipd 660");
    await machine.run(["systemctl", "stop", "hipd@blue"]);
    expect(await member.property("ActiveState")).toBe("active");
  });

  test("its threads and its session go before other programs, though it is not root's", async () => {
    const pid = await member.property("MainPID");
    const nice = async (): Promise<readonly string[]> => {
      const threads = await machine.run(["ps", "-L", "-o", "comm=,user=,ni=", "-p", pid]);
      const of = (name: string) => threads.split(/\s*\n/).filter((line) => line.startsWith(`${name} `));
      return ["hipd", "hipd-data-0", "WorkerThread"].flatMap(of).map((line) => line.replaceAll(/\s+/g, " "));
    };
    // Where the machine itself may do so.
    const { status } = await machine.attempt(["sh", "-c", "renice -n -12 $$"]);
    const at = status === 0 ? -12 : 0;
    expect(await nice()).toEqual([
      `hipd hipd ${at}`,
      `hipd-data-0 hipd ${at}`,
      `WorkerThread hipd ${at + 5}`,
    ]);
    await machine.sh(`
      sed -i '/^nice = /d; s/^\\[network\\]$/&\\nnice = 3/' /etc/hipd/hipd.toml
      grep -q '^nice = 3' /etc/hipd/hipd.toml || printf '[network]\\nnice = 3\\n' >> /etc/hipd/hipd.toml
      systemctl reload hipd`);
    expect(await nice()).toEqual(["hipd hipd 3", "hipd-data-0 hipd 3", "WorkerThread hipd 8"]);
    // The kernel may ask it to wait; there are kernels without such groups.
    const group = `/proc/${pid}/autogroup`;
    await machine.sh(`[ ! -e ${group} ] || until grep -q 'nice 3$' ${group}; do sleep 0.1; done`, {
      timeoutMillis: 5_000,
    });
  });

  test("a key that only root may read comes as a credential", async () => {
    await machine.sh(`
      systemctl stop hipd
      mv /var/lib/hipd/identity.pem ${KEY}; chown root:root ${KEY}; chmod 400 ${KEY}
      sed -i 's|^key = .*|key = "credential:hipd-identity"|' /etc/hipd/hipd.toml
      mkdir -p /etc/systemd/system/hipd.service.d
      printf '[Service]\\nLoadCredential=hipd-identity:${KEY}\\n' > /etc/systemd/system/hipd.service.d/key.conf
      systemctl daemon-reload
      systemctl start hipd`);
    expect(await member.hit()).toBe(hit);
    expect(await machine.sh("ls /var/lib/hipd")).not.toContain("identity.pem");
    // Without it nothing is made in its place, and nobody tries again.
    await machine.sh("rm /etc/systemd/system/hipd.service.d/key.conf; systemctl daemon-reload");
    expect((await machine.attempt(["systemctl", "restart", "hipd"])).status).toBe(1);
    expect(await member.property("ExecMainStatus")).toBe("4");
    expect(await member.property("NRestarts")).toBe("0");
    expect(await machine.journal("hipd.service")).toContain("LoadCredential=hipd-identity:FILE");
    await machine.sh(`
      sed -i 's|^key = .*|key = "${KEY}"|' /etc/hipd/hipd.toml; chown hipd: ${KEY}
      systemctl start hipd`);
    expect(await member.hit()).toBe(hit);
  });

  test("a configuration that is wrong fails a reload, and ends a start for good", async () => {
    await machine.sh("cp /etc/hipd/hipd.toml /root/; echo 'nonsense =' >> /etc/hipd/hipd.toml");
    const reload = await machine.attempt(["systemctl", "reload", "hipd"]);
    expect([reload.status, await member.property("ActiveState")]).toEqual([1, "active"]);
    expect(await member.hit()).toBe(hit);
    expect((await machine.attempt(["systemctl", "restart", "hipd"])).status).toBe(1);
    expect([await member.property("ExecMainStatus"), await member.property("NRestarts")]).toEqual(["3", "0"]);
    await machine.sh("cp /root/hipd.toml /etc/hipd/; systemctl start hipd");
    expect(await member.property("StatusText")).toBe(`${hit}, 0 of 0 peers up`);
  });
});
