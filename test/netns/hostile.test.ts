/** What an attacker on the path can send: strangers, replays, forgeries. Nothing gets through and nobody is answered. */
import { expect, it } from "vitest";
import { formatHit } from "../../src/core/ip.ts";
import { Identity } from "../../src/crypto/identity.ts";
import { parse, raw } from "../../src/wire/packet.ts";
import { SOLUTION } from "../../src/wire/rfc7401.ts";
import { Capture } from "../../tools/lab/capture.ts";
import { inject, mutate, repaired } from "../../tools/lab/inject.ts";
import { espPacket, hipType, type IpPacket } from "../../tools/lab/packet.ts";
import { associationOf, type Pair, ping, suite, withPair } from "./support.ts";

const UDP_HEADER = 8;
/** The zero SPI in front of HIP over UDP (RFC 9028 5.1). */
const MARKER = 4;
const [I1, R1, I2, R2, UPDATE, CLOSE, CLOSE_ACK] = [1, 2, 3, 4, 16, 18, 19];

/** What `from` sent and is of one of the HIP types. */
function sent(
  packets: readonly IpPacket[],
  from: string,
  ...types: readonly (number | undefined)[]
): IpPacket[] {
  return packets.filter((packet) => packet.source === from && types.includes(hipType(packet)));
}

/** Copies to send again. Captured on a virtual cable, UDP has no finished checksum yet. */
function bytesOf(packets: readonly IpPacket[]): Uint8Array[] {
  return packets.map((packet) => repaired(packet.bytes.slice()));
}

/** A ping that is answered: whatever was injected before it has been handled when this returns. */
async function settled({ a, b }: Pair): Promise<void> {
  const done = await ping(a.daemon.namespace, b.daemon.hit);
  expect(done.received, done.output).toBe(3);
}

suite("strangers", () => {
  it("an I1 from a HIT that is not configured gets no answer, both ways", async () => {
    await withPair({ strangers: true, idle: true }, async ({ a, b, router }) => {
      a.daemon.peers.push({ name: "b", hit: b.daemon.hit, locators: [b.ipv4] });
      await Promise.all([a.daemon.start(), b.daemon.start()]);
      const capture = await Capture.start(router, "to-b");
      const done = a.daemon.ctl("connect", "b");
      await capture.until((packet) => hipType(packet) === I1, "I1");
      await capture.until((packet) => hipType(packet) === I1 && packet !== capture.packets[0], "second I1");
      expect((await done).status).not.toBe(0);
      const packets = await capture.stop();
      expect(sent(packets, b.ipv4, I1, R1, I2, R2, UPDATE, CLOSE, CLOSE_ACK)).toEqual([]);
      expect(await b.daemon.count(/polic|denied|unknown|stranger/i)).toBeGreaterThan(0);
    });
  });

  it("a peer that was removed is cut off, and one that was added may talk", async () => {
    await withPair({ strangers: true }, async ({ a, b }) => {
      const other = formatHit(Identity.generate("ecdsa-p256").hit);
      expect(
        (await b.daemon.ctl("peer", "add", "other", "--hit", other, "--locator", "192.0.2.99")).status,
      ).toBe(0);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(0);
      const added = await a.daemon.ctl("peer", "add", "b", "--hit", b.daemon.hit, "--locator", b.ipv4);
      expect(added.status, added.stderr).toBe(0);
      expect(
        (await b.daemon.ctl("peer", "add", "a", "--hit", a.daemon.hit, "--locator", a.ipv4)).status,
      ).toBe(0);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      expect((await b.daemon.ctl("peer", "remove", "a")).status).toBe(0);
      expect((await ping(b.daemon.namespace, a.daemon.hit)).received).toBe(0);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(0);
    });
  });
});

suite("replayed packets", () => {
  it.each(["udp", "none"] as const)(
    "ESP and control packets change nothing (encapsulation %s)",
    async (carrier) => {
      await withPair({ carrier }, async (pair) => {
        const { a, b, router } = pair;
        const record = await Capture.start(router, "to-a");
        await settled(pair);
        const recorded = [...(await record.stop())];
        const esp = recorded.filter((packet) => packet.source === a.ipv4 && espPacket(packet) !== undefined);
        expect(esp.length).toBeGreaterThanOrEqual(3);
        const before = { association: await associationOf(pair), drops: await b.daemon.count(/replay/) };
        const inner = await Capture.start(b.daemon.namespace, "hip0");
        const wire = await Capture.start(router, "to-b");
        await inject(router, bytesOf([...esp, ...esp]));
        await inject(router, bytesOf(sent(recorded, a.ipv4, I2, UPDATE)));
        await inject(router, bytesOf(sent(recorded, b.ipv4, R1, R2)));
        await settled(pair);
        const requests = (await inner.stop()).filter(
          (packet) => packet.destination === b.daemon.hit && packet.payload[0] === 128,
        );
        expect(requests.length).toBe(3);
        expect(await b.daemon.count(/replay/)).toBeGreaterThanOrEqual(before.drops + 2 * esp.length);
        expect(await associationOf(pair)).toEqual(before.association);
        // A replayed I2 may be answered with the R2 again (RFC 7401 6.9), an UPDATE with its ACK, at the peer's own address
        // (6.12.1 step 2); nothing else may go out.
        const packets = await wire.stop();
        expect(sent(packets, b.ipv4, I1, R1, I2, CLOSE, CLOSE_ACK)).toEqual([]);
        const acknowledged = sent(packets, b.ipv4, UPDATE);
        expect(acknowledged.length).toBeLessThanOrEqual(sent(recorded, a.ipv4, UPDATE).length);
        expect(acknowledged.every(({ destination }) => destination === a.ipv4)).toBe(true);
      });
    },
  );

  it("an I2 and a CLOSE of an association that is gone do not bring it back or down", async () => {
    await withPair({}, async (pair) => {
      const { a, b, router } = pair;
      const record = await Capture.start(router, "to-a");
      await settled(pair);
      expect((await a.daemon.ctl("association", "close", "b")).status).toBe(0);
      await record.until((packet) => hipType(packet) === CLOSE_ACK, "CLOSE_ACK");
      await settled(pair);
      const recorded = await record.stop();
      const before = await associationOf(pair);
      const firstI2 = sent(recorded, a.ipv4, I2).slice(0, 1);
      await inject(
        router,
        bytesOf([...firstI2, ...sent(recorded, a.ipv4, CLOSE), ...sent(recorded, b.ipv4, CLOSE_ACK)]),
      );
      await settled(pair);
      expect(await associationOf(pair)).toEqual(before);
    });
  });
});

suite("forged packets", () => {
  it.each(["udp", "none"] as const)("every changed byte is noticed (encapsulation %s)", async (carrier) => {
    await withPair({ carrier }, async (pair) => {
      const { a, b, router } = pair;
      const record = await Capture.start(router, "to-a");
      await settled(pair);
      const recorded = await record.stop();
      const esp = recorded.filter((packet) => packet.source === a.ipv4 && espPacket(packet) !== undefined);
      const control = [...sent(recorded, a.ipv4, I2), ...sent(recorded, b.ipv4, R1, R2)];
      expect(control.length).toBe(3);
      const drops = await b.daemon.count(/^drop_/);
      const before = await associationOf(pair);
      const inner = await Capture.start(b.daemon.namespace, "hip0");
      const forged = [...esp, ...control].flatMap((packet) => everyEighthByteChanged(packet));
      await inject(router, forged);
      await settled(pair);
      const requests = (await inner.stop()).filter(
        (packet) => packet.destination === b.daemon.hit && packet.payload[0] === 128,
      );
      expect(requests.length).toBe(3);
      expect(await b.daemon.count(/^drop_/)).toBeGreaterThan(drops);
      expect(await associationOf(pair)).toEqual(before);
      expect([a.daemon.process.running, b.daemon.process.running]).toEqual([true, true]);
    });
  });
});

/** Copies of a packet with one byte changed each, behind the IP (and UDP) header. */
function everyEighthByteChanged(packet: IpPacket): Uint8Array[] {
  const copies: Uint8Array[] = [];
  const first = packet.protocol === 17 ? 8 : 0;
  for (let offset = first; offset < packet.payload.length; offset += 8) {
    copies.push(
      mutate(
        packet.bytes,
        offset + (copies.length % 8 < packet.payload.length - offset ? copies.length % 8 : 0),
        (byte) => byte ^ 0x41,
      ),
    );
  }
  return copies;
}

suite("wrong solutions of puzzles", () => {
  it("cost little after the first ones, and the peer at the same address is heard again soon", async () => {
    const hard = { protocol: { puzzle: { idle_k: 12 } } };
    await withPair({ daemonB: { config: hard } }, async (pair) => {
      const { a, b, router } = pair;
      const record = await Capture.start(router, "to-a");
      await settled(pair);
      const [i2] = sent(await record.stop(), a.ipv4, I2);
      const solution = solutionOf(i2 as IpPacket);
      const others = Array.from({ length: 2_000 }, (_, i) =>
        mutate(
          mutate((i2 as IpPacket).bytes, solution, (byte) => byte ^ (1 + (i & 0x7f))),
          solution - 1,
          (byte) => byte ^ (i >> 7),
        ),
      );
      await inject(router, others);
      await settled(pair);
      expect(await b.daemon.count(/puzzle_unsolved/)).toBeGreaterThan(8);
      expect(await b.daemon.count(/drop_shunned/)).toBeGreaterThan(1_000);
      // What belongs to the association went through all the time.
      expect((await b.daemon.peer("a")).state).toBe("ESTABLISHED");
      expect((await a.daemon.ctl("association", "close", "b")).status).toBe(0);
      await settled(pair);
    });
  });
});

/** Where #J of an I2 over UDP ends, behind the IP header. */
function solutionOf({ payload }: IpPacket): number {
  const before = UDP_HEADER + MARKER;
  const parsed = parse(payload.subarray(before));
  const solution = parsed.ok ? raw(parsed.value, SOLUTION) : undefined;
  if (solution === undefined) throw new Error("an I2 without SOLUTION");
  return before + solution.offset + 4 + solution.contents.length - 1;
}

suite("a flood of I1s", () => {
  it("from many addresses makes the puzzle harder, creates nothing, and a peer still gets through", async () => {
    await withPair({}, async (pair) => {
      const { a, b, router } = pair;
      const record = await Capture.start(router, "to-a");
      await settled(pair);
      const [first] = sent(await record.stop(), a.ipv4, I1);
      expect((await a.daemon.ctl("association", "close", "b")).status).toBe(0);
      const flood = Array.from({ length: 5_000 }, (_, i) =>
        fromAddress(first as IpPacket, 10, 0, i >> 8, i & 255),
      );
      const before = await b.daemon.count(/puzzle/);
      await inject(router, flood);
      await settled(pair);
      expect(await b.daemon.count(/puzzle/)).toBeGreaterThanOrEqual(before);
      expect(
        (await b.daemon.json<{ associations: unknown[] }>("association", "list")).associations,
      ).toHaveLength(1);
      expect(b.daemon.process.running).toBe(true);
    });
  });
});

/** The packet as if it came from another IPv4 address. */
function fromAddress(packet: IpPacket, ...address: readonly number[]): Uint8Array {
  const copy = packet.bytes.slice();
  copy.set(address, 12);
  return repaired(copy);
}
