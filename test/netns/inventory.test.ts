/** A fleet of fixed members: each exports who it is, an operator signs the list, each imports it, and all talk to all. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
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

/** `hipctl`, which must succeed; gives what it says. */
async function succeed(daemon: Daemon, ...command: readonly string[]): Promise<string> {
  const done = await daemon.ctl(...command);
  expect(done.status, `${command.join(" ")}: ${done.stderr}`).toBe(0);
  return done.stdout;
}

suite("an inventory", () => {
  it("makes peers of all members of a fleet, also after a restart", async () => {
    const lab = Lab.create();
    try {
      const operator = Identity.generate("ed25519");
      const daemons = await fleet(lab, operator);
      const key = join(lab.folder, "operator.pem");
      writeFileSync(key, operator.toPkcs8Pem(), { mode: 0o600 });
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

  it("gives a host another identity without a moment in which it cannot be reached (docs/OPERATIONS.md)", async () => {
    const lab = Lab.create();
    try {
      const operator = Identity.generate("ed25519");
      const [host, peer] = (await fleet(lab, operator)) as readonly [Daemon, Daemon];
      const key = join(lab.folder, "operator.pem");
      writeFileSync(key, operator.toPkcs8Pem(), { mode: 0o600 });
      const exported = async (daemon: Daemon, ...options: readonly string[]): Promise<string> => {
        const file = join(daemon.folder, "self.json");
        await succeed(
          daemon,
          "inventory",
          "export",
          "--name",
          daemon.namespace.label,
          ...options,
          "-o",
          file,
        );
        return file;
      };
      const take = async (files: readonly string[]): Promise<string> => {
        const signed = join(lab.folder, "fleet.json");
        await succeed(host, "inventory", "sign", "--key", key, ...files, "-o", signed);
        const [, said] = await Promise.all(
          [host, peer].map((daemon) =>
            succeed(daemon, "inventory", "import", "--config", daemon.configFile, signed),
          ),
        );
        return said as string;
      };
      await take([await exported(host), await exported(peer)]);
      expect((await ping(peer.namespace, host.hit)).received).toBe(3);

      await succeed(host, "identity", "new", "next");
      const { hit } = (await host.json<{ identity: { hit: string } }>("identity", "show", "next")).identity;
      expect(await take([await exported(host, "--identity", "next"), await exported(peer)])).toMatch(
        /^replace +web1 /m,
      );
      // The host still calls with the identity that it had, and is called at the new one.
      expect((await ping(peer.namespace, hit)).received).toBe(3);
      await succeed(host, "identity", "use", "next");
      expect((await ping(host.namespace, peer.hit)).received).toBe(3);
      expect((await ping(peer.namespace, hit)).received).toBe(3);
      const { identities } = await host.json<{ identities: { name: string; peers: string[] }[] }>(
        "identity",
        "list",
      );
      expect(identities.find(({ name }) => name === "identity")?.peers).toEqual([]);

      renameSync(host.keyFile, join(host.folder, "before"));
      renameSync(join(host.folder, "state/identities/next.pem"), host.keyFile);
      await succeed(host, "reload");
      expect((await host.status()).self.hit).toBe(hit);
      await host.stop();
      await host.start();
      expect((await host.status()).self.hit).toBe(hit);
      expect((await ping(peer.namespace, hit)).received).toBe(3);
    } finally {
      await lab.close();
    }
  });
});
