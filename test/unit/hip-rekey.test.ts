import { describe, expect, test } from "vitest";
import type { Spi } from "../../src/core/types.ts";
import type { Agreement } from "../../src/hip/job.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import { get, parse } from "../../src/wire/packet.ts";
import type { DraftParameter } from "../../src/wire/parameter.ts";
import { ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED, SEQ } from "../../src/wire/rfc7401.ts";
import { ESP_INFO } from "../../src/wire/rfc7402.ts";
import { type Node, Pair } from "../support/pair.ts";

function established(options: ConstructorParameters<typeof Pair>[0] = {}): Pair {
  const pair = new Pair(options);
  pair.connect(pair.a);
  pair.run(() => pair.a.state(pair.b) === "ESTABLISHED");
  const inbound = [...pair.b.sas.values()].find(({ direction }) => direction === "in");
  pair.input(pair.b, { type: "esp", spi: inbound?.spi as Spi, event: "first-inbound" });
  return pair;
}

/** The outbound SA that the route leads to. */
function sending(node: Node, peer: Node): SaSpec | undefined {
  return node.sas.get(`out/${node.routes.get(peer.hit)}`);
}

function soften(pair: Pair, node: Node): void {
  const sa = sending(node, pair.other(node));
  pair.input(node, { type: "esp", spi: sa?.spi as Spi, event: "soft-expiry" });
}

/** Each side's sending SA is one that the other has for receiving, with the same keys. */
function expectMatching(pair: Pair): void {
  for (const node of [pair.a, pair.b]) {
    const out = sending(node, pair.other(node));
    const inbound = pair.other(node).sas.get(`in/${out?.spi}`);
    expect(out).toBeDefined();
    expect(inbound?.encryptionKey).toEqual(out?.encryptionKey);
    expect(inbound?.integrityKey).toEqual(out?.integrityKey);
    expect(inbound?.lsiSpi).toEqual(out?.lsiSpi);
  }
}

/** Once, at both ends. */
function runUntilRekeyed(pair: Pair): void {
  pair.run(() => [pair.a, pair.b].every((node) => node.events("association-rekeyed").length === 1));
}

function allKeysDiffer(pair: Pair): void {
  for (const node of [pair.a, pair.b]) {
    expect(new Set(node.outboundKeys).size).toBe(node.outboundKeys.length);
  }
}

describe.each([
  ["with a new Diffie-Hellman key", true],
  ["from the old KEYMAT", false],
])("rekeying %s", (_name, rekeyWithDh) => {
  const config = { rekeyWithDh };

  test.each(["a", "b"] as const)("asked for by %s, in three packets", (who) => {
    const pair = established({ config });
    const before = pair.flights.length;
    const old = sending(pair.a, pair.b)?.spi;
    soften(pair, pair[who]);
    runUntilRekeyed(pair);
    expect(pair.flights.slice(before).map(({ name }) => name)).toEqual(["UPDATE", "UPDATE", "UPDATE"]);
    expect(sending(pair.a, pair.b)?.spi).not.toBe(old);
    expectMatching(pair);
    allKeysDiffer(pair);
  });

  test("asked for by both at once", () => {
    const pair = established({ config });
    soften(pair, pair.a);
    soften(pair, pair.b);
    runUntilRekeyed(pair);
    expectMatching(pair);
    allKeysDiffer(pair);
  });

  test.each([0, 1, 2])("survives the loss of packet %i", (lost) => {
    const pair = established({ config });
    let seen = 0;
    pair.filter = ({ name }) => name !== "UPDATE" || seen++ !== lost;
    soften(pair, pair.a);
    runUntilRekeyed(pair);
    expectMatching(pair);
    allKeysDiffer(pair);
  });

  test("again and again", () => {
    const pair = established({ config });
    for (let round = 1; round <= 5; round++) {
      soften(pair, round % 2 === 0 ? pair.a : pair.b);
      pair.run(
        () =>
          pair.a.events("association-rekeyed").length === round &&
          pair.b.events("association-rekeyed").length === round,
      );
      expectMatching(pair);
    }
    allKeysDiffer(pair);
  });
});

describe("rekeying", () => {
  test("neither side sends under new keys before the other can receive them", () => {
    const pair = established();
    const check = (): void => {
      for (const node of [pair.a, pair.b]) {
        const out = sending(node, pair.other(node));
        expect(pair.other(node).sas.has(`in/${out?.spi}`)).toBe(true);
      }
    };
    soften(pair, pair.a);
    soften(pair, pair.b);
    pair.run(() => {
      check();
      return (
        pair.a.events("association-rekeyed").length === 1 && pair.b.events("association-rekeyed").length === 1
      );
    });
    check();
  });

  test("traffic under the new keys lets the responder switch although the last ACK is lost", () => {
    const pair = established();
    let updates = 0;
    pair.filter = ({ name }) => name !== "UPDATE" || ++updates < 3;
    soften(pair, pair.a);
    pair.run(() => pair.a.events("association-rekeyed").length === 1);
    expect(pair.b.events("association-rekeyed")).toHaveLength(0);
    const spi = sending(pair.a, pair.b)?.spi as Spi;
    pair.input(pair.b, { type: "esp", spi, event: "first-inbound" });
    expect(pair.b.events("association-rekeyed")).toHaveLength(1);
    expectMatching(pair);
  });

  test("old SAs stay for packets on their way and then go", () => {
    const pair = established();
    soften(pair, pair.a);
    runUntilRekeyed(pair);
    expect(pair.a.sas.size).toBe(4);
    pair.pass(15_000);
    expect(pair.a.sas.size).toBe(2);
    expect(pair.b.sas.size).toBe(2);
    expectMatching(pair);
  });

  test("old SAs are few, however often there are new ones", () => {
    const pair = established();
    for (let round = 1; round <= 12; round++) {
      soften(pair, round % 2 === 0 ? pair.a : pair.b);
      pair.run(() => [pair.a, pair.b].every((node) => node.events("association-rekeyed").length === round));
      expectMatching(pair);
    }
    // Four pairs, and the one in use: the data plane has room for 8 SAs of a peer and direction.
    expect([pair.a.sas.size, pair.b.sas.size]).toEqual([10, 10]);
    pair.pass(15_000);
    expect([pair.a.sas.size, pair.b.sas.size]).toEqual([2, 2]);
    expectMatching(pair);
    expect([...pair.a.faults, ...pair.b.faults]).toEqual([]);
  });

  test("happens by itself when the keys are old", () => {
    const pair = established();
    pair.pass(70 * 60_000);
    expect(pair.a.events("association-rekeyed").length).toBe(1);
    expectMatching(pair);
  });

  test("leaves no SA behind when the association closes in the middle of it", () => {
    const pair = established();
    soften(pair, pair.a);
    pair.run(() => pair.b.sas.size === 4);
    pair.input(pair.b, { type: "close", peer: pair.a.hit });
    pair.pass(20 * 60_000);
    expect(pair.a.sas.size).toBe(0);
    expect(pair.b.sas.size).toBe(0);
  });
});

describe("an UPDATE that asks for new keys", () => {
  /** What `from` sends next under its own name and keys. */
  function forge(pair: Pair, from: Node, parameters: readonly DraftParameter[]): Uint8Array {
    const { macOut, rhash } = from.agreement as Agreement;
    const draft = { name: "UPDATE", sender: from.hit, receiver: pair.other(from).hit, parameters } as const;
    const result = from.runJob({ kind: "seal", localHit: from.hit, draft, rhash, macKey: macOut });
    if (result.kind !== "seal") throw new Error(result.kind);
    return result.bytes;
  }

  test("and cannot be taken is not acknowledged when it comes again (RFC 7402 6.9 step 1)", () => {
    const pair = established();
    const bad = [SEQ.of({ updateId: 0 }), ESP_INFO.of({ keymatIndex: 500, oldSpi: 0x1234, newSpi: 0x5678 })];
    const update = forge(pair, pair.a, bad);
    pair.deliver(pair.b, update);
    pair.deliver(pair.b, update);
    expect(pair.b.drops("rekey_spi")).toBe(2);
    expect(pair.sent(pair.b, "UPDATE")).toBeUndefined();
  });

  test("has its echo requests answered, too (RFC 7401 5.2.20)", () => {
    const pair = established();
    const oldSpi = sending(pair.b, pair.a)?.spi as Spi;
    const update = forge(pair, pair.a, [
      SEQ.of({ updateId: 0 }),
      ESP_INFO.of({ keymatIndex: 500, oldSpi, newSpi: 0x5678 }),
      ECHO_REQUEST_SIGNED.of({ data: Uint8Array.of(7, 7) }),
    ]);
    pair.deliver(pair.b, update);
    const answer = parse(pair.sent(pair.b, "UPDATE") as Uint8Array);
    expect(answer.ok && get(answer.value, ECHO_RESPONSE_SIGNED)?.data).toEqual(Uint8Array.of(7, 7));
    expect(answer.ok && get(answer.value, ESP_INFO)?.oldSpi).toBe(sending(pair.a, pair.b)?.spi);
  });
});

describe("keys that must not run out", () => {
  test("a worn SA is replaced although a question was under way when that was said", () => {
    const pair = established();
    const { a, b } = pair;
    const worn = sending(a, b)?.spi;
    // No new UPDATE may be sent meanwhile (RFC 7402 6.8).
    pair.filter = () => false;
    pair.input(a, { type: "probe", peer: b.hit });
    soften(pair, a);
    pair.pass(1_500);
    pair.filter = () => true;
    pair.run(() => sending(a, b)?.spi !== worn, 20_000);
    expectMatching(pair);
  });

  test("the old KEYMAT is left for a new Diffie-Hellman key before it is used up", () => {
    const pair = established({ config: { rekeyWithDh: false, espSuites: [8] } });
    const { a } = pair;
    for (let round = 0; round < 100; round++) {
      soften(pair, round % 2 === 0 ? a : pair.b);
      pair.run(() => a.events("association-rekeyed").length > round, 5_000);
      pair.pass(100);
    }
    expect([...a.events("rekey-failed"), ...pair.b.events("rekey-failed")]).toEqual([]);
    const dh = a.events("association-rekeyed").map(({ detail }) => detail["dh"]);
    expect(new Set(dh)).toEqual(new Set(["kept", "new"]));
    expectMatching(pair);
  });

  test("an offer that could not be taken is never acknowledged", () => {
    const pair = established();
    const { a, b } = pair;
    let refused = 1;
    b.runner = (job, run) =>
      job.kind === "rekey" && refused-- > 0
        ? {
            kind: "refused",
            of: "rekey",
            reason: "dh_public_value",
            detail: "not a point",
            notify: undefined,
          }
        : run(job);
    soften(pair, a);
    pair.run(() => b.events("rekey-failed").length > 0);
    pair.run(() => [a, b].every((node) => node.events("association-rekeyed").length > 0), 60_000);
    pair.pass(5_000);
    expectMatching(pair);
  });

  test("an offer is not forgotten while its peer is away: it is taken when that is back", () => {
    const pair = established();
    const { a, b } = pair;
    pair.input(a, { type: "away", seconds: 300 });
    pair.pass(1_000);
    pair.filter = () => false;
    soften(pair, b);
    pair.pass(250_000);
    pair.filter = () => true;
    pair.run(() => [a, b].every((node) => node.events("association-rekeyed").length > 0), 20_000);
    pair.pass(90_000);
    expect(b.events("rekey-failed")).toEqual([]);
    expect([a.state(b), b.state(a)]).toEqual(["ESTABLISHED", "ESTABLISHED"]);
    expectMatching(pair);
  });

  test("an offer is not forgotten when its path dies: the peer may have taken it", () => {
    const pair = new Pair();
    const { a, b } = pair;
    pair.move(a, "192.0.2.1", "192.0.2.2");
    pair.move(b, "198.51.100.7");
    pair.establish();
    pair.input(b, { type: "esp", spi: b.sa("in")?.spi as Spi, event: "first-inbound" });
    pair.pass(2_000);
    // Bob hears Alice, but she hears nothing any more on the path in use.
    const path = a.host.paths(b.hit)[0]?.path.local.address;
    pair.filter = (flight) => flight.from === a || flight.path.remote.address !== path;
    soften(pair, a);
    pair.run(() => [a, b].every((node) => node.events("association-rekeyed").length > 0), 50_000);
    expect(a.events("rekey-failed")).toEqual([]);
    expectMatching(pair);
  });
});
