/** deploy/ansible on a machine of its own: what it installs, that a second run has nothing to do, and that a change is a reload. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Identity } from "../../src/crypto/identity.ts";
import { writeHipRecord } from "../../src/crypto/keyfile.ts";
import { inventoryOf, inventoryText } from "../../src/runtime/inventory/document.ts";
import { Guest } from "../../tools/lab/guest.ts";
import { Lab, unavailable } from "../../tools/lab/lab.ts";
import { attempt } from "../../tools/lab/shell.ts";
import { standIn } from "../../tools/lab/stand-in.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Three runs of a playbook take a minute. */
const asked = process.env["HIPD_DEPLOY"] === "1" ? undefined : "needs HIPD_DEPLOY=1";
const installed = async () => (await attempt(["ansible-playbook", "--version"])).status === 0;
const reason = unavailable() ?? asked ?? ((await installed()) ? undefined : "needs ansible-core");

/** In the place of systemd. */
const INIT = `#!/bin/sh
### BEGIN INIT INFO
# Provides: hipd
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
echo "$1" >> /var/log/init.log
running() { [ -e /run/hipd.pid ] && kill -0 "$(cat /run/hipd.pid)" 2>/dev/null; }
stop() { running && kill "$(cat /run/hipd.pid)"; while running; do sleep 0.05; done; }
start() {
  running && return
  setsid hipd </dev/null >>/var/log/hipd.log 2>&1 &
  # Until its process has said which one it is.
  while ! running; do sleep 0.05; done
}
case $1 in
  start) start ;;
  stop) stop ;;
  restart) stop; start ;;
  reload) hipctl reload ;;
  status) if running; then echo "hipd is running"; else echo "hipd is stopped"; exit 3; fi ;;
esac
`;

const title = `ansible${reason === undefined ? "" : ` (${reason})`}`;

describe.skipIf(reason !== undefined)(title, { timeout: 180_000 }, () => {
  it("installs, configures and introduces, once", async () => {
    const lab = Lab.create();
    try {
      const namespace = await lab.namespace("vm");
      await lab.link(
        { namespace, device: "eth0", addresses: ["192.0.2.2/30"] },
        { namespace: await lab.router("router"), device: "to-vm", addresses: ["192.0.2.1/30"] },
      );
      const play = join(lab.folder, "play");
      mkdirSync(play);
      await standIn(lab.folder, join(play, "hipd.deb"));
      const operator = Identity.generate("ecdsa-p256");
      const other = Identity.generate("ed25519").publicOnly();
      const member = { name: "db1", identity: other, locators: [{ address: "203.0.113.2", port: 10500 }] };
      const fleet = inventoryText(inventoryOf(Date.now(), undefined, [member]), [operator]);

      const guest = await Guest.start(lab, namespace);
      const put = (name: string, text: string, mode?: string) =>
        guest.write(`/root/play/${name}`, text, mode);
      await guest.write("/etc/init.d/hipd", INIT, "0755");
      await put("operator.pem", operator.toPkcs8Pem(), "0600");
      await put("operator.pub", writeHipRecord(operator.publicOnly()));
      await put("db1.json", fleet);
      await guest.run(
        [
          "sh",
          "-c",
          "cat > /root/play/hipd.deb.b64; base64 -d /root/play/hipd.deb.b64 > /root/play/hipd.deb",
        ],
        {
          input: (await attempt(["base64", join(play, "hipd.deb")])).stdout,
        },
      );
      await put("fleet.ini", "[hipd]\nvm ansible_connection=local\n");
      const variables = {
        hipd_package: "/root/play/hipd.deb",
        hipd_operator_public_key: "/root/play/operator.pub",
        hipd_operator_key: "/root/play/operator.pem",
        hipd_inventories: ["/root/play/db1.json"],
        ansible_become: false,
      };
      const run = async (extra: object = {}) => {
        const done = await guest.attempt(
          [
            ...["env", "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=0", "ansible-playbook"],
            ...["-i", "/root/play/fleet.ini", "-e", JSON.stringify({ ...variables, ...extra })],
            join(ROOT, "deploy/ansible/fleet.yml"),
          ],
          { timeoutMillis: 90_000 },
        );
        expect(done.status, done.stdout + done.stderr).toBe(0);
        return done.stdout;
      };

      await run();
      expect(await guest.run(["hipctl", "peer", "list", "--names"])).toBe("db1\n");
      expect(await guest.read("/etc/hipd/hipd.toml")).toContain("[network]\nport = 10500\n");
      expect(await run()).toMatch(/vm +: ok=\d+ +changed=0 /);

      const before = await guest.read("/run/hipd.pid");
      const changed = await run({ hipd_config: { locators: { path_policy: "lowest-rtt" } } });
      expect(changed).toContain("RUNNING HANDLER [hipd : Reload hipd]");
      expect(await guest.read("/etc/hipd/hipd.toml")).toContain('path_policy = "lowest-rtt"');
      expect(await guest.read("/run/hipd.pid")).toBe(before);
      expect((await guest.read("/var/log/init.log")).trim().split("\n")).toContain("reload");
    } finally {
      await lab.close();
    }
  });
});
