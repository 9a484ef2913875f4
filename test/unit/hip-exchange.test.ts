import { describe, expect, test } from "vitest";
import { MAX_PACKET_BYTES } from "../../src/wire/packet.ts";
import { identity, Pair } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

const KINDS = ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519"] as const;

describe("base exchange", () => {
  test("I1 R1 I2 R2 leads both to a usable association with matching keys", () => {
    const pair = new Pair();
    const { a, b } = pair;
    pair.connect(a);
    pair.run(() => a.state(b) === "ESTABLISHED");
    expect(b.state(a)).toBe("R2-SENT");
    expect(pair.flights.map(({ name }) => name)).toEqual(["I1", "R1", "I2", "R2"]);
    expect(unusable(pair)).toEqual([]);
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as never, event: "first-inbound" });
    expect(b.state(a)).toBe("ESTABLISHED");
    expect(problemsOf(pair)).toEqual([]);
  });

  test("the inbound SA stands before the peer can use it (RFC 7402 6.4, 6.5)", () => {
    const pair = new Pair();
    const { a, b } = pair;
    pair.connect(a);
    pair.run(() => a.state(b) === "ESTABLISHED");
    for (const [node, packet] of [
      [a, "I2"],
      [b, "R2"],
    ] as const) {
      const inbound = node.outputs.findIndex((one) => one.type === "sa-add" && one.sa.direction === "in");
      const bytes = pair.sent(node, packet);
      const sent = node.outputs.findIndex((one) => one.type === "send" && one.bytes === bytes);
      expect(inbound).toBeGreaterThanOrEqual(0);
      expect(inbound).toBeLessThan(sent);
    }
  });

  test("both ends show the same association", () => {
    const pair = new Pair().establish();
    const [ours, theirs] = [pair.a.host.association(pair.b.hit), pair.b.host.association(pair.a.hit)];
    expect([ours?.role, theirs?.role]).toEqual(["initiator", "responder"]);
    expect([ours?.inSpi, ours?.outSpi]).toEqual([theirs?.outSpi, theirs?.inSpi]);
    for (const key of ["espSuite", "hipCipher", "dhGroup"] as const) expect(ours?.[key]).toBe(theirs?.[key]);
    // Two round trips of 20 ms for the one, one for the other.
    expect(ours?.exchangeMillis).toBe(40);
    expect(ours?.path?.remote.address).toBe(pair.b.address);
    expect(theirs?.path?.remote.address).toBe(pair.a.address);
  });

  const pairs = KINDS.flatMap((ours) => KINDS.map((theirs) => ({ ours, theirs })));

  test.each(pairs)("of a $ours Initiator with a $theirs Responder", ({ ours, theirs }) => {
    const pair = new Pair({
      a: [identity(ours, 7)],
      b: [identity(theirs, 8)],
      config: { dhGroups: [7] },
    }).establish();
    expect(unusable(pair)).toEqual([]);
    pair.close(pair.b);
    pair.run(() => pair.b.state(pair.a) === "UNASSOCIATED");
    expect(problemsOf(pair)).toEqual([]);
  });

  test.each(["a", "b"] as const)(
    "fits its packets with the largest keys, of %s as Responder, too",
    (from) => {
      const large = identity("rsa-4096", 1);
      const value = new Uint8Array(255).fill(0x61);
      const domainIdentifier = { type: 2, value } as const;
      const pair = new Pair({ b: [large], config: { dhGroups: [4], domainIdentifier } });
      pair.establish(pair[from]);
      expect(unusable(pair)).toEqual([]);
      const longest = Math.max(...pair.flights.map(({ bytes }) => bytes.length));
      expect(longest).toBeGreaterThan(1_500);
      expect(longest).toBeLessThanOrEqual(MAX_PACKET_BYTES);
    },
  );
});
