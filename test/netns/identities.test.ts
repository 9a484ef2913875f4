/** More than one identity on a host, and peers whose identity is not known beforehand. */
import { expect, it } from "vitest";
import { ping, suite, withPair } from "./support.ts";

interface IdentityView {
  readonly hit: string;
  readonly default: boolean;
}

suite("several identities", () => {
  it("a peer is shown the identity that was chosen for it", async () => {
    await withPair({ strangers: true }, async ({ a, b }) => {
      const made = await a.daemon.ctl("identity", "new", "work", "--kind", "ed25519");
      expect(made.status, made.stderr).toBe(0);
      const { identities } = await a.daemon.json<{ identities: IdentityView[] }>("identity", "list");
      const work = identities.find((identity) => identity.hit !== a.daemon.hit)?.hit as string;
      expect(identities.find((identity) => identity.default)?.hit).toBe(a.daemon.hit);
      const added = await a.daemon.ctl(
        "peer",
        "add",
        "b",
        "--hit",
        b.daemon.hit,
        "--locator",
        b.ipv4,
        "--identity",
        "work",
      );
      expect(added.status, added.stderr).toBe(0);
      await b.daemon.ctl("peer", "add", "a-work", "--hit", work, "--locator", a.ipv4);
      const done = await ping(a.daemon.namespace, b.daemon.hit, "-I", work);
      expect(done.received, done.output).toBe(3);
      expect((await b.daemon.peer("a-work")).state).toMatch(/ESTABLISHED|R2-SENT/);
      const byLsi = await ping(b.daemon.namespace, await b.daemon.lsi("a-work"));
      expect(byLsi.received, byLsi.output).toBe(3);
    });
  });
});

suite("opportunistic mode", () => {
  it("meets a peer of which only the address is known, when both sides allow it", async () => {
    const config = { protocol: { opportunistic: true } };
    await withPair(
      { strangers: true, idle: true, daemonA: { config }, daemonB: { config } },
      async ({ a, b }) => {
        a.daemon.peers.push({ name: "somebody", locators: [b.ipv4] });
        b.daemon.peers.push({ name: "a", hit: a.daemon.hit, locators: [a.ipv4] });
        await Promise.all([a.daemon.start(), b.daemon.start()]);
        const done = await a.daemon.ctl("connect", "somebody");
        expect(done.status, done.stderr).toBe(0);
        expect((await a.daemon.peer("somebody")).hit).toBe(b.daemon.hit);
        expect((await ping(a.daemon.namespace, await a.daemon.lsi("somebody"))).received).toBe(3);
      },
    );
  });

  it("is off by default: nobody answers an I1 without a HIT", async () => {
    const config = { protocol: { opportunistic: true } };
    await withPair({ strangers: true, idle: true, daemonA: { config } }, async ({ a, b }) => {
      a.daemon.peers.push({ name: "somebody", locators: [b.ipv4] });
      b.daemon.peers.push({ name: "a", hit: a.daemon.hit, locators: [a.ipv4] });
      await Promise.all([a.daemon.start(), b.daemon.start()]);
      expect((await a.daemon.ctl("connect", "somebody")).status).not.toBe(0);
    });
  });
});
