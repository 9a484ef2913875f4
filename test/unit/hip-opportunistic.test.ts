import { describe, expect, test } from "vitest";
import { NULL_HIT } from "../../src/core/types.ts";
import type { HostConfig } from "../../src/hip/config.ts";
import { i1 } from "../../src/hip/messages.ts";
import { damaged, i2Of, r1Of, read } from "../support/packets.ts";
import { identity, type Node, Pair, pathBetween } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";

const config = { dhGroups: [7] };
const ecdsa = identity("ecdsa-p256", 1);
const rsa = identity("rsa-2048", 8);
const eddsa = identity("ed25519", 8);

/** Two that do not know each other; b answers everybody. */
function strangers(configB: Partial<HostConfig> = { opportunistic: true }): Pair {
  const pair = new Pair({ config, configB });
  pair.a.peers.clear();
  pair.b.peers.clear();
  pair.a.acceptDiscovered = true;
  pair.b.acceptDiscovered = true;
  return pair;
}

function search(pair: Pair, from: Node = pair.a, address = pair.b.address): void {
  pair.input(from, {
    type: "connect-opportunistic",
    localHit: from.hit,
    carrier: "udp",
    remote: { address, port: 10500 },
  });
}

describe("opportunistic mode (RFC 7401 4.1.8)", () => {
  test("an I1 to the NULL HIT finds out who is there", () => {
    const pair = strangers();
    const { a, b } = pair;
    search(pair);
    expect(read(pair.sent(a, "I1")).receiver).toBe(NULL_HIT);
    pair.run(() => a.state(b) === "ESTABLISHED", 5_000);
    expect(a.find(b.hit)?.locators).toEqual([{ address: b.address, port: 10500 }]);
    expect(b.find(a.hit)?.locators).toEqual([{ address: a.address, port: 10500 }]);
    expect(a.events("peer-discovered")).toHaveLength(1);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("is off by default: an I1 to the NULL HIT gets nothing at all", () => {
    const pair = strangers({});
    search(pair);
    pair.pass(30_000);
    expect(pair.count("R1")).toBe(0);
    expect(pair.b.drops("policy")).toBe(4);
    expect(pair.a.events("association-failed").map(({ peer, detail }) => [peer, detail])).toEqual([
      [NULL_HIT, { reason: "no_answer_to_i1", address: pair.b.address }],
    ]);
    expect(pair.a.host.deadline()?.why).toBe("r1 rotation");
  });

  test("neither does an I1, an I2 or an R1 of an unknown HIT when it is off", () => {
    const pair = strangers({});
    const { a, b } = pair;
    b.knows(a);
    const r1 = r1Of(pair, b, a);
    const i2 = i2Of(a, r1);
    b.peers.clear();
    for (const packet of [i1(a.hit, b.hit, [7]), i2]) pair.deliver(b, packet);
    pair.deliver(a, r1);
    expect(b.drops("policy")).toBe(2);
    expect(a.drops("policy")).toBe(1);
    expect(pair.flights).toEqual([]);
    expect(b.host.associations()).toEqual([]);
  });

  test("a known HIT may be called without being named, whatever the mode", () => {
    const pair = new Pair({ config, configB: { opportunistic: true } });
    search(pair);
    pair.run(() => pair.a.state(pair.b) === "ESTABLISHED", 5_000);
    expect(unusable(pair)).toEqual([]);
  });

  test("one that lost its association calls whom it was called by, and gets another", () => {
    const pair = new Pair({ config, configA: { opportunistic: true } }).establish();
    const { a, b } = pair;
    b.reboot();
    pair.input(b, { type: "timeout" });
    search(pair, b, a.address);
    pair.run(() => b.state(a) === "ESTABLISHED", 5_000);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("the Responder shows a HIT of the Initiator's suite, else an RSA one, else any (6.7 step 5)", () => {
    const sender = (initiator: typeof rsa, identities: readonly (typeof rsa)[]): string => {
      const pair = new Pair({ a: [initiator], b: identities, config, configB: { opportunistic: true } });
      search(pair);
      pair.pass(20);
      return read(pair.sent(pair.b, "R1")).sender;
    };
    expect(sender(identity("rsa-2048", 7), [ecdsa, eddsa, rsa])).toBe(rsa.hit);
    expect(sender(identity("ed25519", 7), [ecdsa, rsa, eddsa])).toBe(eddsa.hit);
    expect(sender(identity("ecdsa-p256", 0), [eddsa, rsa])).toBe(rsa.hit);
    expect(sender(identity("ecdsa-p256", 0), [eddsa])).toBe(eddsa.hit);
  });

  test("I1s are sent again until somebody answers, the R1 is matched by its address", () => {
    const pair = strangers();
    const { a, b } = pair;
    let lost = 0;
    pair.filter = ({ name }) => name !== "I1" || lost++ >= 2;
    search(pair);
    // An R1 of somebody else, from elsewhere, is nothing to us.
    const path = { ...pathBetween(a, b), remote: { address: "203.0.113.8", port: 10500 } };
    pair.deliver(a, r1Of(pair, b, a), path);
    expect(a.drops("policy")).toBe(1);
    pair.run(() => a.state(b) === "ESTABLISHED", 10_000);
    expect(pair.count("I1")).toBe(3);
  });

  test("whoever the overlay does not accept gets no R2 and leaves nothing behind", () => {
    const pair = strangers();
    pair.b.acceptDiscovered = false;
    search(pair);
    pair.run(() => pair.count("I2") > 0, 5_000);
    pair.pass(60_000);
    expect(pair.count("R2")).toBe(0);
    expect(pair.b.host.associations()).toEqual([]);
    expect(pair.b.sas.size).toBe(0);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("whom we do not accept is left again", () => {
    const pair = strangers();
    pair.a.acceptDiscovered = false;
    search(pair);
    pair.pass(60_000);
    expect(pair.a.host.associations()).toEqual([]);
    expect(pair.a.sas.size + pair.b.sas.size).toBe(0);
    expect(pair.b.state(pair.a)).toBe("CLOSED");
    expect(problemsOf(pair)).toEqual([]);
  });

  test("a forged R1 leads nowhere", () => {
    const pair = strangers();
    const { a, b } = pair;
    pair.filter = ({ name }) => name !== "I1";
    search(pair);
    pair.deliver(a, damaged(r1Of(pair, b, a), 61633, 12));
    pair.pass(60_000);
    expect(pair.count("I2")).toBe(0);
    expect(a.host.associations()).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("many searches at once are bounded", () => {
    const pair = strangers();
    for (let n = 0; n < 80; n++) search(pair, pair.a, `203.0.113.${n}`);
    expect(pair.count("I1")).toBe(64);
    expect(pair.a.drops("opportunistic_attempts_full")).toBe(16);
    pair.pass(60_000);
    expect(pair.a.events("association-failed")).toHaveLength(64);
    search(pair);
    expect(pair.a.drops("opportunistic_attempts_full")).toBe(16);
  });
});
