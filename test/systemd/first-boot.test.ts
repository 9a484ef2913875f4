/** The script of deploy/cloud-init with the real package and a real systemd: first boot, peers, and an image made of the machine. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Identity } from "../../src/crypto/identity.ts";
import { writeHipRecord } from "../../src/crypto/keyfile.ts";
import { inventoryOf, inventoryText } from "../../src/runtime/inventory/document.ts";
import { Lab } from "../../tools/lab/lab.ts";
import { Machine } from "../../tools/lab/machine.ts";
import { debOf, FOLDER, OLDER } from "./packages.ts";
import { suite } from "./support.ts";

const SCRIPT = readFileSync(join(import.meta.dirname, "../../deploy/cloud-init/first-boot.sh"), "utf8");
const FIRST_BOOT = ["sh", "/usr/local/sbin/hipd-first-boot"];
const SLOW = { timeoutMillis: 90_000 };

suite("the first boot of a machine", () => {
  const operator = Identity.generate("ecdsa-p256");
  let lab: Lab | undefined;
  let machine: Machine;
  let said = "";

  const write = (file: string, text: string): Promise<string> =>
    machine.run(["sh", "-ec", 'mkdir -p "$(dirname "$1")"; cat > "$1"', "sh", file], { input: text });

  beforeAll(async () => {
    lab = Lab.create();
    const namespace = await lab.namespace("cloud");
    await lab.link(
      { namespace, device: "eth0", addresses: ["192.0.2.2/30"] },
      { namespace: await lab.router("router"), device: "to-cloud", addresses: ["192.0.2.1/30"] },
    );
    machine = await Machine.boot(namespace, FOLDER);
    const member = { name: "db1", identity: Identity.generate("ed25519").publicOnly(), locators: [] };
    const fleet = inventoryText(inventoryOf(Date.now(), undefined, [member]), [operator]);
    await write("/usr/local/sbin/hipd-first-boot", SCRIPT);
    await write("/etc/hipd/hipd.toml", '[identity]\non_new_instance = "new-identity"\n');
    await write("/etc/hipd/trusted.d/operator.pub", writeHipRecord(operator.publicOnly()));
    await write("/root/fleet.json", fleet);
    await write(
      "/etc/hipd/first-boot.conf",
      `PACKAGE=/srv/${debOf(OLDER)}\nNAME=web1\nINVENTORY=/root/fleet.json\n`,
    );
    said = await machine.run(FIRST_BOOT, SLOW);
  });
  afterAll(async () => {
    await lab?.close();
    await machine.end();
  });

  test("the package is there with our configuration, and hipd runs now and at every boot", async () => {
    expect(said).toContain(`hipd-first-boot: installed hipd ${OLDER}\n`);
    expect(said).toMatch(/hipd-first-boot: done\n$/);
    expect(await machine.run(["cat", "/etc/hipd/hipd.toml"])).toContain("new-identity");
    for (const unit of ["hipd.service", "hipd-guard.service"])
      expect((await machine.run(["systemctl", "is-enabled", unit])).trim()).toBe("enabled");
  });

  test("what was imported belongs to the service, which can take it away again", async () => {
    expect(await machine.run(["hipctl", "peer", "list", "--names"])).toBe("db1\n");
    expect(
      await machine.run([
        "stat",
        "-c",
        "%U %a",
        "/etc/hipd/peers.d/db1.toml",
        "/var/lib/hipd/inventory.json",
      ]),
    ).toBe("hipd 644\nhipd 600\n");
    await machine.run(["hipctl", "peer", "remove", "db1", "--keep"]);
    expect(await machine.run(["hipctl", "inventory", "import", "/root/fleet.json"])).toMatch(/^add +db1 /m);
    expect(await machine.run(["hipctl", "peer", "list", "--names"])).toBe("db1\n");
  });

  test("again it has nothing to do", async () => {
    const again = await machine.run(FIRST_BOOT, SLOW);
    expect(again).toContain(`hipd ${OLDER} is installed\n`);
    expect(again).toContain("nothing to change\n");
  });

  test("an image of the machine has neither identity nor state, and another machine of it is another host", async () => {
    const hit = async () => JSON.parse(await machine.run(["hipctl", "status", "--json"])).self.hit as string;
    const before = await hit();
    expect((await machine.attempt(["hipctl", "image", "clean"])).status).toBe(1);
    expect(await machine.run(["hipctl", "image", "clean", "--stop"])).toContain("/var/lib/hipd/identity.pem");
    expect((await machine.run(["systemctl", "is-active", "hipd.service"]).catch(String)).trim()).toContain(
      "inactive",
    );
    expect(await machine.run(["find", "/var/lib/hipd", "-type", "f"])).toBe("");
    await machine.run(FIRST_BOOT, SLOW);
    expect(await hit()).not.toBe(before);
    expect(await machine.run(["hipctl", "peer", "list", "--names"])).toBe("db1\n");
  });
});
