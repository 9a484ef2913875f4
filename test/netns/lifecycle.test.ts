/** Daemons that come and go: crashes under traffic, clean stops, closed associations, peers that are not there. */
import { expect, it } from "vitest";
import { Capture } from "../../tools/lab/capture.ts";
import { hipType } from "../../tools/lab/packet.ts";
import { associationOf, ping, suite, withPair } from "./support.ts";

const CLOSE = 18;
const CLOSE_ACK = 19;

suite("a reboot under traffic", () => {
  it.each(["a", "b"] as const)("of the daemon of %s ends in a working association", async (victim) => {
    await withPair({}, async (pair) => {
      const { a, b } = pair;
      const [here, there] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
      const port = await there.serveUdp();
      await here.stream("hit", b.daemon.hit, port, "by HIT");
      await here.stream("lsi", await a.daemon.lsi("b"), port, "by LSI");
      await Promise.all([here.answered("hit"), here.answered("lsi")]);
      const crashed = pair[victim].daemon;
      await crashed.kill();
      await crashed.start();
      await Promise.all([here.answered("hit", 30_000), here.answered("lsi", 30_000)]);
      await Promise.all([here.stop("hit"), here.stop("lsi")]);
      expect((await a.daemon.peer("b")).state).toBe("ESTABLISHED");
      expect((await ping(b.daemon.namespace, a.daemon.hit)).received).toBe(3);
    });
  });

  it("a TCP transfer that was under way goes on and arrives unchanged", async () => {
    await withPair({}, async ({ a, b, router }) => {
      const [here, there] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
      await a.daemon.namespace.rate("eth0", "40mbit");
      const lsi = await a.daemon.lsi("b");
      const capture = await Capture.start(router, "to-b");
      const moving = here.sendTcp(lsi, await there.serveTcp(), 20_000_000);
      let bytes = 0;
      await capture.until((packet) => {
        bytes += packet.bytes.length;
        return bytes > 2_000_000;
      }, "two megabytes of the transfer");
      await capture.stop();
      await b.daemon.kill();
      await b.daemon.start();
      await a.daemon.kill();
      await a.daemon.start();
      const moved = await moving;
      expect(moved.error).toBeUndefined();
      expect(moved.receivedHash).toBe(moved.sentHash);
      expect(await a.daemon.lsi("b")).toBe(lsi);
    });
  });
});

suite("crossing exchanges", () => {
  it("both begin at the same moment and end with one association that works both ways", async () => {
    await withPair({}, async ({ a, b }) => {
      const both = await Promise.all([
        ping(a.daemon.namespace, b.daemon.hit),
        ping(b.daemon.namespace, a.daemon.hit),
        a.daemon.ctl("connect", "b"),
        b.daemon.ctl("connect", "a"),
      ]);
      expect(both.slice(2).map((done) => "status" in done && done.status)).toEqual([0, 0]);
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        expect((await ping(from.daemon.namespace, to.daemon.hit)).received).toBe(3);
        expect(
          (await from.daemon.json<{ associations: unknown[] }>("association", "list")).associations,
        ).toHaveLength(1);
      }
    });
  });
});

suite("a clean stop", () => {
  it("closes associations, exits with 0, and the next start talks again", async () => {
    await withPair({}, async ({ a, b, router }) => {
      await ping(a.daemon.namespace, b.daemon.hit);
      const capture = await Capture.start(router, "to-b");
      expect(await a.daemon.stop()).toBe(0);
      await capture.until((packet) => hipType(packet) === CLOSE, "CLOSE");
      await capture.until((packet) => hipType(packet) === CLOSE_ACK, "CLOSE_ACK");
      expect((await b.daemon.peer("a")).state).not.toBe("ESTABLISHED");
      await a.daemon.start();
      expect((await ping(b.daemon.namespace, a.daemon.hit)).received).toBe(3);
    });
  });

  it("hipctl association close ends one association; the next packet makes a new one", async () => {
    await withPair({}, async ({ a, b }) => {
      await ping(a.daemon.namespace, b.daemon.hit);
      const first = await associationOf({ a, b });
      expect((await a.daemon.ctl("association", "close", "b")).status).toBe(0);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      expect(await associationOf({ a, b })).not.toEqual(first);
    });
  });

  it("a daemon that does not run gives one clear line and its own exit status", async () => {
    await withPair({ idle: true }, async ({ a }) => {
      const done = await a.daemon.ctl("status");
      expect(done.status).toBe(5);
      expect(done.stderr.trim().split("\n")).toHaveLength(1);
      expect(done.stderr).toContain(a.daemon.socket);
    });
  });
});

suite("a peer that cannot be reached", () => {
  it("without a locator, gives Host unreachable at once, in both families", async () => {
    await withPair({ strangers: true, idle: true }, async ({ a, b }) => {
      a.daemon.peers.push({ name: "b", hit: b.daemon.hit, locators: [] });
      await a.daemon.start();
      for (const address of [b.daemon.hit, await a.daemon.lsi("b")]) {
        const begun = performance.now();
        const done = await ping(a.daemon.namespace, address, "-c", "1");
        expect(done.output).toMatch(/unreachable/i);
        expect(performance.now() - begun).toBeLessThan(2_000);
      }
    });
  });

  it("that never answers, gives Host unreachable when the exchange has failed, not silence", async () => {
    const fast = { protocol: { timers: { retransmit: "200ms" }, retries: { i1: 2 } } };
    await withPair({ daemonA: { config: fast }, strangers: true, idle: true }, async ({ a, b }) => {
      a.daemon.peers.push({ name: "b", hit: b.daemon.hit, locators: [b.ipv4] });
      await a.daemon.start();
      const agent = await a.daemon.namespace.agent();
      for (const address of [b.daemon.hit, await a.daemon.lsi("b")]) {
        const attempt = await agent.sendTcp(address, 9, 10, 20_000);
        expect(attempt.error).toBe("EHOSTUNREACH");
      }
    });
  });

  it("an overlay address that is nobody's is refused at once", async () => {
    await withPair({}, async ({ a }) => {
      for (const address of ["2001:22:1111:2222:3333:4444:5555:6666", "198.18.77.77"]) {
        const done = await ping(a.daemon.namespace, address, "-c", "1");
        expect(done.output).toMatch(/unreachable|prohibited/i);
      }
    });
  });
});
