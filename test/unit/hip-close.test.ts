import { describe, expect, test } from "vitest";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { get } from "../../src/wire/packet.ts";
import { ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED, HIP_MAC } from "../../src/wire/rfc7401.ts";
import { badlySigned, damaged, read, sealed, sentBy } from "../support/packets.ts";
import { greaterFirst, identity, Pair } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";
import { reach, validPacket } from "../support/states.ts";

const { unusedAssociationLifetime: UAL, maximumSegmentLifetime: MSL } = DEFAULT_CONFIG.timers;
const config = { dhGroups: [7] };

function established(): Pair {
  return new Pair({ config }).establish();
}

function states(pair: Pair): readonly string[] {
  return [pair.a.state(pair.b), pair.b.state(pair.a)];
}

describe("CLOSE and CLOSE_ACK (RFC 7401 5.3.7, 5.3.8, 6.14, 6.15)", () => {
  test("one closes, the other confirms: SAs go, local packets ask anew", () => {
    const pair = established();
    const { a, b } = pair;
    pair.close(a);
    expect(states(pair)).toEqual(["CLOSING", "R2-SENT"]);
    // What the peer sent before it reads our CLOSE still comes in.
    expect([...a.sas.values()].map(({ direction }) => direction)).toEqual(["in"]);
    pair.pass(1_000);
    expect(states(pair)).toEqual(["UNASSOCIATED", "CLOSED"]);
    expect(pair.flights.slice(4).map(({ name }) => name)).toEqual(["CLOSE", "CLOSE_ACK"]);
    expect(a.sas.size + b.sas.size).toBe(0);
    expect([a.routes.get(b.hit), b.routes.get(a.hit)]).toEqual(["demand", "demand"]);
    expect(a.events("association-closed")[0]?.detail).toEqual({ by: "us", reason: "asked" });
    expect(b.events("association-closed")[0]?.detail).toEqual({ by: "peer", reason: "close" });
    expect(problemsOf(pair)).toEqual([]);
  });

  test("the CLOSE_ACK brings back what the CLOSE carried; each CLOSE carries something else", () => {
    const echoes = [1, 2].map((seed) => {
      const pair = new Pair({ config, seed }).establish();
      pair.close(pair.a);
      pair.pass(1_000);
      const asked = get(read(pair.sent(pair.a, "CLOSE")), ECHO_REQUEST_SIGNED)?.data;
      expect(get(read(pair.sent(pair.b, "CLOSE_ACK")), ECHO_RESPONSE_SIGNED)?.data).toEqual(asked);
      expect(asked).toHaveLength(16);
      return Buffer.from(asked ?? []).toString("hex");
    });
    expect(new Set(echoes).size).toBe(2);
  });

  test("CLOSEs that cross: both confirm, both end (6.14)", () => {
    const pair = established();
    pair.close(pair.a);
    pair.close(pair.b);
    pair.pass(15);
    expect(states(pair)).toEqual(["CLOSED", "CLOSED"]);
    pair.pass(1_000);
    expect(states(pair)).toEqual(["UNASSOCIATED", "UNASSOCIATED"]);
    expect(pair.count("CLOSE")).toBe(2);
    expect(pair.count("CLOSE_ACK")).toBe(2);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("CLOSEs that cross while one CLOSE_ACK is lost: that side ends after UAL + 2 MSL", () => {
    const pair = established();
    const { a, b } = pair;
    pair.filter = ({ name, from }) => name !== "CLOSE_ACK" || from !== b;
    pair.close(a);
    pair.close(b);
    pair.pass(1_000);
    expect(states(pair)).toEqual(["CLOSED", "UNASSOCIATED"]);
    pair.run(() => a.state(b) === "UNASSOCIATED", UAL + 2 * MSL);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("a lost CLOSE_ACK is sent again from memory when the CLOSE comes again", () => {
    const pair = established();
    const { a, b } = pair;
    let lost = 0;
    pair.filter = ({ name }) => name !== "CLOSE_ACK" || lost++ >= 2;
    pair.close(a);
    pair.run(() => a.state(b) === "UNASSOCIATED", 30_000);
    const acks = pair.flights.filter(({ name }) => name === "CLOSE_ACK").map(({ bytes }) => bytes);
    expect(acks).toHaveLength(3);
    expect(new Set(acks).size).toBe(1);
    expect(b.outputs.filter((one) => one.type === "job" && one.job.kind === "seal")).toHaveLength(1);
  });

  test("a lost CLOSE is sent again", () => {
    const pair = established();
    let lost = 0;
    pair.filter = ({ name }) => name !== "CLOSE" || lost++ >= 2;
    pair.close(pair.a);
    pair.run(() => states(pair).join() === "UNASSOCIATED,CLOSED", 30_000);
    expect(pair.count("CLOSE")).toBe(3);
  });

  test("CLOSED lasts UAL + 2 MSL, counted from the last CLOSE (Table 8)", () => {
    const { pair } = reach("CLOSED");
    const { a, b } = pair;
    pair.pass(60_000);
    const again = sealed(b, a.hit, "CLOSE", [ECHO_REQUEST_SIGNED.of({ data: new Uint8Array(16) })]);
    expect(sentBy(pair, a, () => pair.deliver(a, again))).toEqual(["CLOSE_ACK"]);
    const begun = pair.now;
    pair.run(() => a.state(b) === "UNASSOCIATED", UAL + 2 * MSL + 1);
    expect(pair.now - begun).toBe(UAL + 2 * MSL);
    expect(a.host.associations()).toEqual([]);
  });

  test("an association that nobody uses for UAL is closed (Table 6)", () => {
    const pair = established();
    const { a } = pair;
    expect(a.sa("in")?.idleAfter).toBe(UAL);
    expect(a.sa("out")?.idleAfter).toBe(UAL);
    pair.input(a, { type: "esp", spi: a.sa("in")?.spi as never, event: "idle" });
    expect(a.events("association-closed")[0]?.detail).toEqual({ by: "us", reason: "unused" });
    pair.pass(1_000);
    expect(states(pair)).toEqual(["UNASSOCIATED", "CLOSED"]);
  });

  test.each([
    [
      "a wrong echo",
      (reached: ReturnType<typeof reach>) => {
        const { a, b } = reached.pair;
        return sealed(b, a.hit, "CLOSE_ACK", [ECHO_RESPONSE_SIGNED.of({ data: new Uint8Array(16) })]);
      },
      "close_ack_unexpected",
    ],
    [
      "an echo that is cut short",
      (reached: ReturnType<typeof reach>) => {
        const { a, b } = reached.pair;
        const data = get(read(pairClose(reached)), ECHO_REQUEST_SIGNED)?.data.subarray(0, 15);
        return sealed(b, a.hit, "CLOSE_ACK", [ECHO_RESPONSE_SIGNED.of({ data: data ?? new Uint8Array(0) })]);
      },
      "close_ack_unexpected",
    ],
    [
      "no echo",
      (reached: ReturnType<typeof reach>) => {
        const { a, b } = reached.pair;
        return sealed(b, a.hit, "CLOSE_ACK", []);
      },
      "close_ack_unexpected",
    ],
    [
      "a wrong HIP_MAC",
      (reached: ReturnType<typeof reach>) => {
        return damaged(validPacket(reached, "CLOSE_ACK"), HIP_MAC.type);
      },
      "mac",
    ],
    [
      "a wrong signature",
      (reached: ReturnType<typeof reach>) => {
        const { a, b } = reached.pair;
        const data = get(read(pairClose(reached)), ECHO_REQUEST_SIGNED)?.data ?? new Uint8Array(0);
        return badlySigned(b, a.hit, "CLOSE_ACK", [ECHO_RESPONSE_SIGNED.of({ data })]);
      },
      "signature",
    ],
  ] as const)("a CLOSE_ACK with %s does not end CLOSING", (_name, make, reason) => {
    const reached = reach("CLOSING");
    const { pair } = reached;
    pair.deliver(pair.a, make(reached));
    expect(pair.a.drops(reason)).toBe(1);
    expect(pair.a.state(pair.b)).toBe("CLOSING");
    pair.deliver(pair.a, validPacket(reached, "CLOSE_ACK"));
    expect(pair.a.state(pair.b)).toBe("UNASSOCIATED");
  });

  test("a CLOSE without ECHO_REQUEST_SIGNED, or of an old association, closes nothing", () => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    pair.deliver(a, sealed(b, a.hit, "CLOSE", []));
    expect(a.drops("close_incomplete")).toBe(1);
    const old = sealed(b, a.hit, "CLOSE", [ECHO_REQUEST_SIGNED.of({ data: new Uint8Array(16) })]);
    pair.filter = () => true;
    pair.pass(2_000);
    b.reboot();
    pair.start();
    pair.connect(b);
    pair.run(() => b.state(a) === "ESTABLISHED", 10_000);
    pair.deliver(a, old);
    expect(a.drops("mac")).toBe(1);
    expect(a.state(b)).toBe("R2-SENT");
  });

  test("a CLOSE that cannot be signed at once is signed later", () => {
    const pair = new Pair({ config: { ...config, maxJobs: 4 } }).establish();
    const { a } = pair;
    pair.take(a, a.host.configure({ ...a.config, maxJobs: 0 }, a.identities, pair.now));
    pair.close(a);
    expect(a.drops("jobs_full")).toBe(1);
    expect(pair.count("CLOSE")).toBe(0);
    expect(a.state(pair.b)).toBe("CLOSING");
    pair.take(a, a.host.configure({ ...a.config, maxJobs: 4 }, a.identities, pair.now));
    pair.run(() => states(pair).join() === "UNASSOCIATED,CLOSED", 10_000);
  });
});

describe("data while an association ends (6.14)", () => {
  test.each(["CLOSING", "CLOSED"] as const)("in %s a new association is made", (state) => {
    const { pair } = reach(state);
    const { a, b } = pair;
    pair.filter = () => true;
    pair.connect(a);
    pair.run(() => a.state(b) === "ESTABLISHED", 10_000);
    expect(unusable(pair)).toEqual([]);
    pair.pass(UAL + 2 * MSL);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test.each(["CLOSING", "CLOSED"] as const)("in %s the peer may make it, too", (state) => {
    const { pair } = reach(state);
    const { a, b } = pair;
    pair.filter = () => true;
    // Where the CLOSE was lost the peer notices only when it comes again.
    for (let n = 0; n < 50 && b.state(a) !== "ESTABLISHED"; n++) {
      pair.connect(b);
      pair.pass(200);
    }
    pair.pass(30_000);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test.each([true, false])("both in CLOSED, both want it (our HIT is the greater one: %j)", (isGreater) => {
    const [greater, lesser] = greaterFirst();
    const pair = new Pair({ a: [isGreater ? greater : lesser], b: [isGreater ? lesser : greater], config });
    const { a, b } = pair.establish();
    pair.filter = ({ name }) => name !== "CLOSE_ACK";
    pair.close(a);
    pair.close(b);
    pair.pass(100);
    expect(states(pair)).toEqual(["CLOSED", "CLOSED"]);
    pair.filter = () => true;
    pair.connect(a);
    pair.connect(b);
    pair.run(() => unusable(pair).length === 0, 10_000);
    pair.pass(30_000);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("in CLOSED a new attempt that gets no answer fails like any other", () => {
    const { pair } = reach("CLOSED");
    const { a, b } = pair;
    pair.connect(a);
    pair.run(() => a.state(b) === "E-FAILED", 60_000);
    expect(pair.count("I1", a)).toBe(1 + DEFAULT_CONFIG.retries.i1);
    expect(a.routes.get(b.hit)).toBe("reject");
  });

  test("in CLOSED a new attempt goes on when CLOSED ends, by time or by CLOSE_ACK", () => {
    for (const how of ["time", "ack"] as const) {
      const { pair } = reach("CLOSING");
      const { a, b } = pair;
      const ack = validPacket({ pair, r1OfA: new Uint8Array(0) }, "CLOSE_ACK");
      pair.deliver(a, validPacket({ pair, r1OfA: new Uint8Array(0) }, "CLOSE"));
      expect(a.state(b)).toBe("CLOSED");
      if (how === "time") pair.now = (pair.now + UAL + 2 * MSL - 1) as never;
      pair.connect(a);
      expect(a.state(b)).toBe("CLOSED");
      if (how === "time") pair.pass(1);
      else pair.deliver(a, ack);
      expect(a.state(b)).toBe("I1-SENT");
      pair.filter = () => true;
      pair.run(() => a.state(b) === "ESTABLISHED", 10_000);
      expect(problemsOf(pair)).toEqual([]);
    }
  });

  test("an answer to an R1 that was being computed when the peer closed is not sent", () => {
    const reached = reach("I2-SENT");
    const { pair } = reached;
    const { a, b } = pair;
    a.holdJobs = ["answer-r1"];
    pair.deliver(a, validPacket(reached, "R1"));
    expect(a.heldJobs).toHaveLength(1);
    pair.deliver(a, validPacket(reached, "CLOSE"));
    expect(a.state(b)).toBe("CLOSED");
    const sent = sentBy(pair, a, () => pair.releaseJobs(a));
    expect(sent).toEqual([]);
    expect(a.state(b)).toBe("CLOSED");
    expect(problemsOf(pair)).toEqual([]);
  });
});

describe("forgetting a peer", () => {
  test("takes its SAs at once and tells it with one CLOSE", () => {
    const pair = established();
    const { a, b } = pair;
    pair.input(a, { type: "forget", peer: b.hit });
    expect(a.state(b)).toBe("UNASSOCIATED");
    expect(a.sas.size).toBe(0);
    pair.pass(60_000);
    expect(pair.count("CLOSE")).toBe(1);
    expect(b.state(a)).toBe("CLOSED");
    expect(b.sas.size).toBe(0);
    expect(problemsOf(pair)).toEqual([]);
  });

  test.each(["forget", "close"] as const)("%s means its associations with all our identities", (type) => {
    const [one, other] = [identity("ecdsa-p256", 0), identity("ecdsa-p256", 2)];
    const pair = new Pair({ a: [one, other], config });
    const { a, b } = pair;
    const policy = b.find(one.hit);
    if (policy !== undefined) b.peers.set(other.hit, { ...policy, hit: other.hit });
    pair.establish();
    pair.input(b, { type: "connect", peer: other.hit });
    pair.run(() => b.host.association(other.hit)?.state === "ESTABLISHED", 5_000);
    expect(a.host.associations()).toHaveLength(2);
    expect(a.sas.size).toBe(4);
    pair.input(a, { type, peer: b.hit });
    pair.pass(5_000);
    expect(a.sas.size).toBe(0);
    expect(a.host.associations()).toEqual([]);
    expect(b.host.associations().map(({ state }) => state)).toEqual(["CLOSED", "CLOSED"]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("gives its SPIs back", () => {
    const pair = established();
    const { a, b } = pair;
    const former = [a.sa("in")?.spi, a.sa("in")?.lsiSpi].map(Number);
    pair.input(a, { type: "forget", peer: b.hit });
    pair.pass(5_000);
    // The same numbers come up again: they are free.
    const original = a.random.u32.bind(a.random);
    let calls = 0;
    a.random.u32 = () => (++calls < 50 ? (former[calls % 2] as number) : original());
    pair.establish(a);
    expect([a.sa("in")?.spi, a.sa("in")?.lsiSpi].map(Number).toSorted()).toEqual(former.toSorted());
  });

  test("never gives the same SPI to two SAs, nor as a second SPI", () => {
    const pair = new Pair({ config });
    const { a, b } = pair;
    const c = pair.add("c", "203.0.113.9", [identity("ecdsa-p256", 2)], config);
    c.knows(a);
    a.knows(c);
    // Few numbers, each often, and reserved ones.
    let calls = 0;
    a.random.u32 = () =>
      [7, 255, 1_000, 1_000, 1_000, 1_001, 1_001, 1_002, 1_003, 1_003][calls++ % 10] as number;
    pair.connect(a);
    pair.input(a, { type: "connect", peer: c.hit });
    pair.pass(5_000);
    expect([a.state(b), a.state(c)]).toEqual(["ESTABLISHED", "ESTABLISHED"]);
    const inward = [...a.sas.values()].filter(({ direction }) => direction === "in");
    const spis = inward.flatMap(({ spi, lsiSpi }) => [spi, lsiSpi]);
    expect(spis.map(Number).toSorted()).toEqual([1_000, 1_001, 1_002, 1_003]);
  });
});

function pairClose(reached: ReturnType<typeof reach>): Uint8Array {
  return reached.pair.sent(reached.pair.a, "CLOSE") as Uint8Array;
}
