/** A fleet of fixed members: each exports who it is, an operator signs the list, each imports it, and all talk to all. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { Identity } from "../../src/crypto/identity.ts";
import { writeHipRecord } from "../../src/crypto/keyfile.ts";
import { Daemon } from "../../tools/lab/daemon.ts";
import { Lab } from "../../tools/lab/lab.ts";
import { ping, suite } from "./support.ts";

const LABELS = ["web1", "db1", "db2"] as const;

/** Daemons without peers on one router, each with the operator's key in trusted.d. */
async function fleet(lab: Lab, operator: Identity): Promise<readonly Daemon[]> {
  const router = await lab.router("router");
  const daemons = [];
  for (const [i, label] of LABELS.entries()) {
    const namespace = await lab.namespace(label);
    await lab.link(
      { namespace, device: "eth0", addresses: [`192.0.2.${4 * i + 2}/30`] },
      { namespace: router, device: `to-${label}`, addresses: [`192.0.2.${4 * i + 1}/30`] },
    );
    await namespace.ip([`route add default via 192.0.2.${4 * i + 1}`]);
    const daemon = new Daemon(lab, namespace);
    mkdirSync(join(daemon.folder, "trusted.d"));
    writeFileSync(join(daemon.folder, "trusted.d/operator"), writeHipRecord(operator.publicOnly()));
    daemons.push(daemon);
  }
  await Promise.all(daemons.map((daemon) => daemon.start()));
  return daemons;
}

suite("an inventory", () => {
  it("makes peers of all members of a fleet, also after a restart", async () => {
    const lab = Lab.create();
    try {
      const operator = Identity.generate("ed25519");
      const daemons = await fleet(lab, operator);
      const key = join(lab.folder, "operator.pem");
      writeFileSync(key, operator.toPkcs8Pem(), { mode: 0o600 });
      const succeed = async (daemon: Daemon, ...command: readonly string[]) => {
        const done = await daemon.ctl(...command);
        expect(done.status, `${command.join(" ")}: ${done.stderr}`).toBe(0);
        return done.stdout;
      };

      const exports = await Promise.all(
        daemons.map(async (daemon) => {
          const file = join(daemon.folder, "self.json");
          await succeed(daemon, "inventory", "export", "--name", daemon.namespace.label, "-o", file);
          return file;
        }),
      );
      const signed = join(lab.folder, "fleet.json");
      await succeed(daemons[0] as Daemon, "inventory", "sign", "--key", key, ...exports, "-o", signed);
      const take = (daemon: Daemon, file: string) =>
        daemon.ctl("inventory", "import", "--config", daemon.configFile, file);

      // What a member says of another, and what somebody on the way has changed, counts nowhere.
      const forged = join(lab.folder, "forged.json");
      writeFileSync(forged, readFileSync(signed, "utf8").replace("192.0.2.2:10500", "192.0.2.9:10500"));
      const [first, second] = daemons as readonly [Daemon, Daemon];
      expect((await take(first, forged)).status).toBe(EXIT.failed);
      expect((await take(first, exports[1] as string)).status).toBe(EXIT.permission);
      expect((await first.status()).peers).toEqual([]);

      for (const daemon of daemons) {
        const done = await take(daemon, signed);
        expect(done.status, done.stderr).toBe(0);
      }
      const all = async (): Promise<void> => {
        const pairs = daemons.flatMap((from) =>
          daemons.filter((to) => to !== from).map((to) => [from, to] as const),
        );
        await Promise.all(
          pairs.map(async ([from, to]) => {
            for (const address of [to.hit, await from.lsi(to.namespace.label)]) {
              const { received } = await ping(from.namespace, address, "-i", "0.2");
              expect(received, `${from.namespace.label} to ${to.namespace.label} (${address})`).toBe(3);
            }
          }),
        );
      };
      await all();

      await second.stop();
      await second.start();
      expect((await second.status()).peers.map(({ name }) => name).sort()).toEqual(["db2", "web1"]);
      await all();
    } finally {
      await lab.close();
    }
  });
});
