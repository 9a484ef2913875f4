/** An R1 that came through a relay, asked by a second implementation: an I2 of UDP-ENCAPSULATION never goes there (RFC 9028 4.7.2). */
import { describe, expect, test } from "vitest";
import type { Instant } from "../../src/core/types.ts";
import { Bench } from "../support/bench.ts";
import { PlainResponder } from "../support/plain-exchange.ts";
import { MAPPED_PREFIX, ours, plainSet, theirs, transportSet, v4 } from "../support/plain-mobile.ts";
import { field, tlv } from "../support/plain-peer.ts";

const RELAY = "192.0.2.9";
const NEW = "203.0.113.77";
/** RFC 9028 5.6: port, protocol, reserved, address; of the Initiator, as the relay saw it. */
const RELAY_TO = tlv(64002, field.u16(10500), Buffer.of(17, 0), MAPPED_PREFIX, v4("198.51.100.1"));

/** Where packets went, one address for each, after an R1 with these parameters. */
function answered(extra: readonly Buffer[], behind: readonly Buffer[], carrier: "udp" | "none" = "udp") {
  const bench = new Bench(ours, theirs.hit, {}, 7, carrier);
  const peer = new PlainResponder(theirs, { extra, behind, natMode: carrier === "udp" });
  const r1 = peer.r1(bench.connect(theirs.hit));
  const places = (): readonly string[] =>
    bench.outputs.flatMap((one) => (one.type === "send" ? [one.path.remote.address] : []));
  const before = places().length;
  bench.input({ type: "datagram", bytes: r1, path: bench.path() });
  if (bench.state === "I2-SENT") {
    for (let i = 0; i < 3; i++) {
      bench.now = (bench.now + 3_000) as Instant;
      bench.input({ type: "timeout" });
    }
  }
  return { bench, peer, places: places().slice(before) };
}

describe("an R1 with RELAY_TO", () => {
  test("without a locator of the Responder is not answered at all", () => {
    const { bench, places } = answered([], [RELAY_TO]);
    expect(places).toEqual([]);
    expect(bench.drops()).toEqual(["r1_relayed"]);
    expect(bench.state).toBe("I1-SENT");
  });

  test.each([
    ["that is the relay's", transportSet(0, 10500, { address: RELAY, preferred: true })],
    ["that is not preferred", transportSet(0, 10500, { address: NEW })],
  ])("with a locator %s neither", (_, set) => {
    const { bench, places } = answered([set], [RELAY_TO]);
    expect(places).toEqual([]);
    expect(bench.drops()).toEqual(["r1_relayed"]);
  });

  test("is answered at the preferred locator, and nowhere else however often the I2 is repeated", () => {
    const { places } = answered([transportSet(0, 10500, { address: NEW, preferred: true })], [RELAY_TO]);
    expect(places).toEqual([NEW, NEW, NEW, NEW]);
  });
});

test("an R1 without RELAY_TO is answered in turns at both places", () => {
  const { places } = answered([transportSet(0, 10500, { address: NEW, preferred: true })], []);
  expect(places).toEqual([NEW, RELAY, NEW, RELAY]);
});

test("without UDP RELAY_TO means nothing", () => {
  const { places } = answered([plainSet(0, { address: NEW, preferred: true })], [RELAY_TO], "none");
  expect(places).toEqual([NEW, RELAY, NEW, RELAY]);
});
