/**
 * No leak: traffic for overlay addresses never leaves in the clear. Applications send all the time while hipd has not
 * started yet, runs, is killed with SIGKILL, and starts again; every device of every namespace is captured meanwhile.
 */
import { expect, it } from "vitest";
import { Capture } from "../../tools/lab/capture.ts";
import { espPacket, type IpPacket, includes } from "../../tools/lab/packet.ts";
import { attempt } from "../../tools/lab/shell.ts";
import { includesOverlay } from "./leaks.ts";
import { type Pair, suite, withPair } from "./support.ts";

const MARKER = "PLAINTEXT-MARKER";

/** A packet that shows an overlay address or the application's text. */
function leaks(packet: IpPacket): boolean {
  return includesOverlay(packet) || includes(packet.bytes, MARKER);
}

/** Captures of every device that is not the overlay's own. */
async function captureAll({ a, b, router }: Pair): Promise<readonly Capture[]> {
  const captures: Promise<Capture>[] = [];
  for (const namespace of [a.daemon.namespace, b.daemon.namespace, router]) {
    for (const device of await namespace.devices()) {
      if (device !== "hip0") captures.push(Capture.start(namespace, device));
    }
  }
  return Promise.all(captures);
}

async function packetsOf(captures: readonly Capture[]): Promise<readonly IpPacket[]> {
  return (await Promise.all(captures.map((capture) => capture.stop()))).flat();
}

async function guard(pair: Pair): Promise<void> {
  for (const { daemon } of [pair.a, pair.b]) {
    daemon.writeConfig();
    const done = await daemon.namespace.attempt(daemon.command("--guard"));
    expect(done.status, done.stderr).toBe(0);
  }
}

suite("no leak", () => {
  it.each(["ipv4", "ipv6"] as const)(
    "before the start, after SIGKILL and during restarts, over %s",
    async (family) => {
      await withPair({ family, idle: true }, async (pair) => {
        const { a, b } = pair;
        await guard(pair);
        const captures = await captureAll(pair);
        const [here, there] = await Promise.all([a.daemon.namespace.agent(), b.daemon.namespace.agent()]);
        const port = await there.serveUdp();
        await here.stream("hit", b.daemon.hit, port, MARKER, 2);
        await Promise.all([a.daemon.start(), b.daemon.start()]);
        const lsi = await a.daemon.lsi("b");
        await here.stream("lsi", lsi, port, MARKER, 2);
        await Promise.all([here.answered("hit"), here.answered("lsi")]);
        for (const victim of [a, b, a]) {
          await victim.daemon.kill();
          // Applications meet the dead daemon: these attempts are over when the kernel has given its answer.
          await attempt(a.daemon.namespace.inside(["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", lsi]));
          await attempt(
            b.daemon.namespace.inside(["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", a.daemon.hit]),
          );
          await victim.daemon.start();
          await Promise.all([here.answered("hit", 30_000), here.answered("lsi", 30_000)]);
        }
        expect(await a.daemon.stop()).toBe(0);
        await attempt(a.daemon.namespace.inside(["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", lsi]));
        const streams = [await here.stop("hit"), await here.stop("lsi")];
        for (const stream of streams) expect(stream.received).toBeGreaterThan(0);
        const packets = await packetsOf(captures);
        expect(packets.filter((packet) => espPacket(packet) !== undefined).length).toBeGreaterThan(100);
        expect(packets.filter(leaks).map((packet) => `${packet.source} > ${packet.destination}`)).toEqual([]);
      });
    },
  );

  it("this test sees a leak when there is one", async () => {
    await withPair({ idle: true }, async (pair) => {
      const captures = await captureAll(pair);
      const here = await pair.a.daemon.namespace.agent();
      await here.sendUdp(pair.b.ipv4, 4, { text: MARKER, timeoutMillis: 300 });
      await here.sendUdp("198.18.3.4", 4, { text: "x", timeoutMillis: 300 });
      const packets = await packetsOf(captures);
      expect(packets.filter(leaks).length).toBeGreaterThanOrEqual(4);
    });
  });
});
