/** Copies of a machine: two that live at once, one that replaces the other, and what a daemon on another machine does with the key. */
import { cpSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, it, vi } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { Capture } from "../../tools/lab/capture.ts";
import { Daemon, type PeerStatus, type Status } from "../../tools/lab/daemon.ts";
import { MobileHost } from "../../tools/lab/mobile.ts";
import { monotonic, Pulse } from "../../tools/lab/pulse.ts";
import { at, Mover, type Movers, withMovers } from "./mobile.ts";
import { ping, suite } from "./support.ts";

const LONG = process.env["HIPD_LONG"] === "1";
const HOME_A = "192.0.2.2:10500";
const COPY = "198.51.100.2";
const COPY_PORT = `${COPY}:10500`;

type Told = PeerStatus & { readonly lastError: string | null };

/** What `hipctl status` says of its only peer. */
async function only({ daemon }: Mover): Promise<Told> {
  const { peers } = await daemon.status();
  return peers[0] as Told;
}

/** What a host is to others, and the addresses by which it knows them. */
function who({ self, peers }: Status): unknown {
  return [self.hit, self.lsi, peers.map(({ name, hit, lsi }) => [name, hit, lsi])];
}

/** The files of a's machine in a third host with another address; its daemon does not run yet. */
async function copyOf({ lab, router, a, b }: Movers): Promise<Mover> {
  // The list of associations is written at most once a second.
  await vi.waitFor(
    () =>
      expect(readFileSync(join(a.daemon.folder, "state/state.json"), "utf8")).toContain(
        b.text(at(0, "ipv4", 2)),
      ),
    10_000,
  );
  const namespace = await lab.namespace("c");
  await lab.link(
    { namespace, device: "eth0", addresses: [`${COPY}/30`] },
    { namespace: router, device: "c0", addresses: ["198.51.100.1/30"] },
  );
  await namespace.ip(["route add default via 198.51.100.1"]);
  const daemon = new Daemon(lab, namespace, { config: a.daemon.config });
  cpSync(a.daemon.keyFile, daemon.keyFile);
  cpSync(join(a.daemon.folder, "state"), join(daemon.folder, "state"), { recursive: true });
  daemon.peers.push(...a.daemon.peers);
  return new Mover(new MobileHost(namespace, 1), daemon);
}

/** ESP in UDP: the first four octets are an SPI, and not the zeros that mark HIP (RFC 6261). */
const DATA = "udp port 10500 and udp[8:4] != 0";

suite("two machines with one identity", () => {
  it("the first keeps the association and loses nothing; all three tell of the other one", async () => {
    await withMovers({}, async (movers) => {
      const { a, b } = movers;
      const c = await copyOf(movers);
      const there = await Pulse.start(a.namespace, b.namespace, b.daemon.hit, 7000);
      const back = await Pulse.start(b.namespace, a.namespace, await b.daemon.lsi("a"), 7001);
      const data = await Capture.start(c.namespace, "eth0", DATA);
      const [toldA, toldB] = [a.next("clone-detected"), b.next("clone-detected")];
      await c.daemon.start();
      const [copied, first] = [await c.daemon.status(), await a.daemon.status()];
      expect(who(copied)).toEqual(who(first));
      const watching = c.namespace.spawn(c.daemon.ctlCommand("events", "--since", "1"));
      expect(await toldB).toMatchObject({ kept: HOME_A, refused: COPY_PORT });
      expect(await toldA).toMatchObject({ other: COPY_PORT });
      await c.daemon.event("clone-detected", ({ other }) => other === HOME_A);
      expect(await watching.line((line) => line.includes("clone-detected"))).toContain(`other=${HOME_A}`);
      const connect = await c.daemon.ctl("connect", "b");
      expect(connect.status).not.toBe(0);
      expect(connect.stderr).toContain(`another host with our identity is at ${HOME_A}`);
      expect((await only(a)).lastError).toContain(`another host with our identity is at ${COPY_PORT}`);
      expect((await only(b)).lastError).toContain(`identity called from ${COPY_PORT}`);
      expect((await only(b)).path?.remote).toBe(HOME_A);
      expect(await b.daemon.count(/duplicate_identity/)).toBeGreaterThan(0);
      for (const pulse of [there, back]) {
        await pulse.beats(100);
        expect((await pulse.stop()).missing).toEqual([]);
      }
      expect(await data.stop()).toEqual([]);
    });
  });

  it.each([
    ["its daemon was killed", (a: Mover) => a.daemon.kill()],
    ["its cable is cut", (a: Mover) => a.namespace.ip(["link set dev eth0 down"])],
  ] as const)("the copy takes the place of the first when %s, without an alarm", async (_, end) => {
    await withMovers({}, async (movers) => {
      const { a, b } = movers;
      const lsi = await b.daemon.lsi("a");
      const before = who(await a.daemon.status());
      const c = await copyOf(movers);
      await end(a);
      await c.daemon.start();
      const since = monotonic();
      const pulse = await Pulse.start(b.namespace, c.namespace, a.daemon.hit, 7000);
      console.log(`the copy is reached ${(monotonic() - since).toFixed(0)} ms after its start`);
      expect(monotonic() - since).toBeLessThan(10_000);
      expect(who(await c.daemon.status())).toEqual(before);
      expect(await b.daemon.lsi("a")).toBe(lsi);
      for (const address of [lsi, a.daemon.hit]) expect((await ping(b.namespace, address)).received).toBe(3);
      await pulse.stop();
      expect((await only(b)).path?.remote).toBe(COPY_PORT);
      expect([...b.events("clone-detected"), ...c.events("clone-detected")]).toEqual([]);
    });
  });
});

suite("hipctl migrate prepare", () => {
  it("tells the peer, which then finds the copy", async () => {
    await withMovers({}, async (movers) => {
      const { a, b } = movers;
      const c = await copyOf(movers);
      const away = b.next("peer-away");
      const told = await a.daemon.ctl("migrate", "prepare", "--for", "2m");
      expect(told).toMatchObject({ status: 0, stderr: "" });
      expect(told.stdout).toContain("told: b; ");
      expect(told.stdout).toContain("120 s");
      expect((await away)["seconds"]).toBe(120);
      const stays = b.next("peer-away");
      expect((await a.daemon.ctl("migrate", "cancel")).stdout).toBe(
        "told: b; they expect this host to stay\n",
      );
      expect((await stays)["seconds"]).toBe(0);
      expect((await a.daemon.ctl("migrate", "prepare", "--for", "25h")).stderr).toContain("1s to 24h");
      await a.daemon.ctl("migrate", "prepare", "--for", "2m");
      await a.daemon.kill();
      await c.daemon.start();
      await (await Pulse.start(b.namespace, c.namespace, a.daemon.hit, 7000)).stop();
      expect(b.events("clone-detected")).toEqual([]);
    });
  });

  const long = LONG ? it : it.skip;
  long(
    "holds the association for longer than any search (needs HIPD_LONG=1)",
    { timeout: 120_000 },
    async () => {
      await withMovers({}, async ({ a, b }) => {
        const away = b.next("peer-away");
        await a.daemon.ctl("migrate", "prepare", "--for", "2m");
        await away;
        const before = await b.daemon.json<object>("association", "show", "a");
        await a.namespace.ip(["link set dev eth0 down"]);
        // The search lasts 30 s; somebody wants to talk all the time.
        await b.namespace.attempt(["ping", "-n", "-q", "-w", "45", a.daemon.hit]);
        expect(b.events("association-closed")).toEqual([]);
        await a.namespace.ip([
          "link set dev eth0 up",
          "route replace default via 192.0.2.1 dev eth0",
          "route replace default via 192.0.2.1 dev eth0 table 100",
        ]);
        const pulse = await Pulse.start(b.namespace, a.namespace, a.daemon.hit, 7000);
        await pulse.stop();
        expect(await b.daemon.json<object>("association", "show", "a")).toMatchObject(spis(before));
      });
    },
  );
});

suite("[identity] on_new_instance", () => {
  it("refuse: hipd ends, says why, and changes nothing; new-identity: another key, the old one kept aside", async () => {
    await withMovers({ idle: true }, async ({ a: { daemon, namespace } }) => {
      await daemon.start();
      const { self } = await daemon.status();
      await daemon.stop();
      const file = join(daemon.folder, "state/instance.json");
      const key = readFileSync(daemon.keyFile);
      // The same machine, for the kernel; another one was here before, for hipd.
      const other = readFileSync(file, "utf8").replace(/"(smbios|cloud|machine)":"[^"]+"/g, '"$1":"another"');
      expect(other).toContain("another");
      writeFileSync(file, other);
      daemon.config["identity"] = { ...daemon.config["identity"], on_new_instance: "refuse" };
      daemon.writeConfig();
      const refused = await namespace.attempt(daemon.command(), { timeoutMillis: 20_000 });
      expect(refused.status).toBe(EXIT.config);
      expect(refused.stderr + refused.stdout).toMatch(/used on another machine before .* on_new_instance is/);
      expect(readFileSync(daemon.keyFile)).toEqual(key);
      expect(readFileSync(file, "utf8")).toBe(other);

      daemon.config["identity"] = { ...daemon.config["identity"], on_new_instance: "new-identity" };
      await daemon.start();
      expect(await daemon.event("new-instance")).toMatchObject({ policy: "new-identity" });
      expect((await daemon.status()).self.hit).not.toBe(self.hit);
      const kept = readdirSync(daemon.folder).filter((name) =>
        name.startsWith(`${basename(daemon.keyFile)}.before-`),
      );
      expect(kept).toHaveLength(1);
      const aside = join(daemon.folder, kept[0] as string);
      expect(readFileSync(aside)).toEqual(key);
      expect(statSync(aside).mode & 0o777).toBe(0o600);
      const after = readFileSync(daemon.keyFile);
      await daemon.stop();
      await daemon.start();
      expect(readFileSync(daemon.keyFile)).toEqual(after);
    });
  });
});

function spis(shown: object): object {
  const { inSpi, outSpi } = shown as { inSpi: string; outSpi: string };
  return { inSpi, outSpi };
}
