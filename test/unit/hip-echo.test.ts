import { describe, expect, test } from "vitest";
import { append, get, getAll, MAX_PACKET_BYTES, parse } from "../../src/wire/packet.ts";
import {
  ECHO_REQUEST_SIGNED,
  ECHO_REQUEST_UNSIGNED,
  ECHO_RESPONSE_SIGNED,
  ECHO_RESPONSE_UNSIGNED,
} from "../../src/wire/rfc7401.ts";
import { changeR1s, replacing } from "../support/packets.ts";
import { Pair, pathBetween } from "../support/pair.ts";

/** Middleboxes put ECHO_REQUEST_UNSIGNED behind the signature of packets that pass (RFC 7401 5.2.21). */
function withRequests(pair: Pair, names: readonly string[]): void {
  const deliver = pair.deliver.bind(pair);
  pair.deliver = (to, bytes, path) => {
    const parsed = parse(bytes);
    const wanted = parsed.ok && names.includes(parsed.value.name);
    const requests = [1, 2].map((n) => ECHO_REQUEST_UNSIGNED.of({ data: Uint8Array.of(n, n, n) }));
    deliver(to, wanted ? append(bytes, requests) : bytes, path);
  };
}

function answers(bytes: Uint8Array | undefined): readonly (readonly number[])[] {
  const parsed = parse(bytes ?? new Uint8Array());
  if (!parsed.ok) throw new Error(parsed.error.detail);
  return getAll(parsed.value, ECHO_RESPONSE_UNSIGNED).map(({ data }) => [...data]);
}

const BOTH = [
  [1, 1, 1],
  [2, 2, 2],
];

describe("ECHO_REQUEST_UNSIGNED is answered (RFC 7401 5.2.21, 5.2.23)", () => {
  test("from R1 in I2 and from I2 in R2", () => {
    const pair = new Pair();
    withRequests(pair, ["R1", "I2"]);
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED");
    expect(answers(pair.sent(pair.a, "I2"))).toEqual(BOTH);
    expect(answers(pair.sent(pair.b, "R2"))).toEqual(BOTH);
  });

  test("from UPDATE in its acknowledgment, beside the signed one", () => {
    const pair = new Pair();
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED");
    withRequests(pair, ["UPDATE"]);
    pair.input(pair.a, { type: "probe", peer: pair.b.hit });
    pair.run(() => pair.sent(pair.b, "UPDATE") !== undefined);
    const answer = pair.sent(pair.b, "UPDATE");
    expect(answers(answer)).toEqual(BOTH);
    const parsed = parse(answer as Uint8Array);
    expect(parsed.ok && get(parsed.value, ECHO_RESPONSE_SIGNED)?.data).toHaveLength(8);
  });

  test("from UPDATE in a question that acknowledges it, also when that is signed again", () => {
    const [here, more, other] = ["192.0.2.1", "192.0.2.2", "198.51.100.8"];
    const pair = new Pair().settled();
    const { a, b } = pair;
    withRequests(pair, ["UPDATE"]);
    const usual = pathBetween(a, b);
    const asked = (from: number): readonly Uint8Array[] =>
      pair.flights
        .slice(from)
        .filter(
          (one) => one.from === a && one.path.remote.address === other && one.path.local.address === here,
        )
        .map(({ bytes }) => bytes);
    pair.filter = () => false;
    pair.move(b, b.address, other);
    // The peer's news come from its other address, and nothing of ours comes there.
    pair.filter = ({ path: { local, remote } }) => local.address !== b.address && remote.address !== other;
    pair.input(b, {
      type: "path-down",
      peer: a.hit,
      path: { ...usual, local: usual.remote, remote: usual.local },
    });
    pair.pass(50);
    const [first] = asked(0) as [Uint8Array];
    expect(answers(first)).toEqual(BOTH);
    // Our news make it another packet when it is repeated,
    let from = pair.flights.length;
    pair.move(a, here, more);
    pair.pass(1_500);
    const repeated = asked(from);
    expect(repeated.length).toBeGreaterThan(0);
    expect(repeated).not.toContainEqual(first);
    expect(repeated.map(answers)).toEqual(repeated.map(() => BOTH));
    // and a dead path makes it carry them.
    from = pair.flights.length;
    pair.input(a, { type: "path-down", peer: b.hit, path: usual });
    const [hastened] = asked(from) as [Uint8Array];
    expect(hastened.length).toBeGreaterThan(first.length);
    expect(answers(hastened)).toEqual(BOTH);
  });

  test("from CLOSE in CLOSE_ACK", () => {
    const pair = new Pair();
    pair.connect(pair.a);
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED");
    withRequests(pair, ["CLOSE"]);
    pair.input(pair.a, { type: "close", peer: pair.b.hit });
    pair.run(() => pair.a.state(pair.b) === "UNASSOCIATED");
    expect(answers(pair.sent(pair.b, "CLOSE_ACK"))).toEqual(BOTH);
  });
});

describe("ECHO_REQUEST_SIGNED of an R1 (RFC 7401 5.2.20)", () => {
  /** The lengths of the R1 and the I2 without any, and how the exchange goes with one of `length` bytes. */
  function asking(length: number) {
    const pair = new Pair({ config: { dhGroups: [7] } });
    const data = new Uint8Array(length).fill(7);
    changeR1s(pair, pair.b, replacing(ECHO_REQUEST_SIGNED.of({ data })));
    pair.connect(pair.a);
    const refused = () => pair.a.drops("packet_too_large") > 0;
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED" || refused(), 400);
    return { pair, r1: pair.sent(pair.b, "R1")?.length ?? 0, i2: pair.sent(pair.a, "I2")?.length ?? 0 };
  }

  test("is answered as long as the I2 can be expressed", () => {
    const small = asking(8);
    // Both are padded to multiples of eight.
    const room = 8 + MAX_PACKET_BYTES - small.i2;
    const largest = asking(room);
    expect(largest.i2).toBe(MAX_PACKET_BYTES);
    expect(largest.pair.a.state(largest.pair.b)).toBe("ESTABLISHED");
    const tooLarge = asking(room + 8);
    expect(tooLarge.r1).toBeLessThanOrEqual(MAX_PACKET_BYTES);
    expect(tooLarge.i2).toBe(0);
    expect(tooLarge.pair.a.drops("packet_too_large")).toBe(1);
    expect(tooLarge.pair.a.state(tooLarge.pair.b)).toBe("I1-SENT");
  });
});

describe("a solution that came with a forged I2 (RFC 7401 8)", () => {
  test("counts for the honest one a few times more, then no more; and puzzles get harder", () => {
    const pair = new Pair();
    pair.filter = ({ name }) => name !== "I2";
    pair.connect(pair.a);
    pair.run(() => pair.sent(pair.a, "I2") !== undefined);
    const forged = (pair.sent(pair.a, "I2") as Uint8Array).slice();
    forged[forged.length - 100] = (forged[forged.length - 100] as number) ^ 1;
    for (let n = 0; n < 6; n++) pair.deliver(pair.b, forged);
    expect(pair.b.drops("mac")).toBe(4);
    expect(pair.b.drops("solution_forged")).toBe(2);
    pair.now = (pair.now + 1_000) as never;
    pair.deliver(pair.b, pair.sent(pair.a, "I1") as Uint8Array);
    expect(pair.b.host.gauges().puzzleDifficulty).toBeGreaterThan(0);
  });
});
