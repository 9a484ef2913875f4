import { describe, expect, test } from "vitest";
import { equal } from "../../src/core/bytes.ts";
import { DEFAULT_CONFIG, type HostConfig } from "../../src/hip/config.ts";
import { i1 } from "../../src/hip/messages.ts";
import { R1Pool } from "../../src/hip/r1-pool.ts";
import { get, type Packet, raw } from "../../src/wire/packet.ts";
import { DIFFIE_HELLMAN, PUZZLE, R1_COUNTER } from "../../src/wire/rfc7401.ts";
import { changed, i2Of, r1Of, read } from "../support/packets.ts";
import { greaterFirst, identity, Pair, pathBetween } from "../support/pair.ts";

const GROUPS = { dhGroups: [7] };
const { r1Offered, r1Remembered } = DEFAULT_CONFIG.timers;

/** A pair that has not begun: only b's R1s matter. */
function quiet(config: Partial<HostConfig> = {}): Pair {
  return new Pair({ config: { ...GROUPS, ...config } });
}

function r1(pair: Pair): Packet {
  pair.now = (pair.now + 100) as never;
  return read(r1Of(pair, pair.b, pair.a));
}

function counter(packet: Packet): bigint {
  return get(packet, R1_COUNTER)?.counter ?? -1n;
}

function opaque(packet: Packet): number {
  return get(packet, PUZZLE)?.opaque ?? -1;
}

describe("R1 pool (RFC 7401 4.1.1, 6.7.1)", () => {
  test("an I1 leaves no state behind", () => {
    const pair = quiet();
    pair.deliver(pair.b, i1(pair.a.hit, pair.b.hit, [7]));
    expect(pair.sent(pair.b, "R1")).toBeDefined();
    expect(pair.b.host.associations()).toEqual([]);
    expect(pair.b.state(pair.a)).toBe("UNASSOCIATED");
  });

  test("R1s to two Initiators differ in HIT, Opaque and #I only", () => {
    const pair = quiet();
    const c = pair.add("c", "203.0.113.9", [identity("ecdsa-p256", 2)], GROUPS);
    pair.b.knows(c);
    const one = r1Of(pair, pair.b, pair.a).slice();
    const other = r1Of(pair, pair.b, c).slice();
    expect(equal(one, other)).toBe(false);
    for (const bytes of [one, other]) {
      const { offset } = raw(read(bytes), PUZZLE) ?? { offset: 0 };
      bytes.fill(0, 24, 40);
      bytes.fill(0, offset + 6, offset + 8 + 48);
    }
    expect(one).toEqual(other);
  });

  test("the same Initiator gets the same puzzle again while the R1 is offered", () => {
    const pair = quiet();
    expect(r1(pair).bytes).toEqual(r1(pair).bytes);
  });

  test("is rotated after Delta T with a new Diffie-Hellman value and a greater R1_COUNTER", () => {
    const pair = quiet();
    const before = r1(pair);
    pair.pass(r1Offered + 1);
    const after = r1(pair);
    expect(counter(after)).toBeGreaterThan(counter(before));
    expect(opaque(after)).not.toBe(opaque(before));
    expect(get(after, DIFFIE_HELLMAN)?.publicValue).not.toEqual(get(before, DIFFIE_HELLMAN)?.publicValue);
  });

  test("R1_COUNTER begins where the configuration says and goes on over new settings", () => {
    const pair = quiet({ r1CounterStart: 77n });
    expect(counter(r1(pair))).toBeGreaterThanOrEqual(77n);
    const before = counter(r1(pair));
    pair.take(pair.b, pair.b.host.configure(pair.b.config, pair.b.identities, pair.now));
    expect(counter(r1(pair))).toBeGreaterThan(before);
  });

  test("an R1 whose replacement is under way does not stop the clock", () => {
    const pair = quiet();
    const before = counter(r1(pair));
    pair.b.holdJobs = true;
    pair.pass(2 * r1Offered);
    expect(pair.b.heldJobs.map(({ job }) => job.kind)).toEqual(["make-r1", "make-r1"]);
    expect(counter(r1(pair))).toBe(before);
    pair.releaseJobs(pair.b);
    expect(counter(r1(pair))).toBeGreaterThan(before);
  });

  test("a job that fails is tried again after a while, not at once", () => {
    const pair = quiet();
    let asked = 0;
    pair.b.runner = (job) => {
      asked++;
      return { kind: "refused", of: job.kind, reason: "job_queue_full", detail: "", notify: undefined };
    };
    pair.pass(r1Offered + 10_000);
    // Two R1s, one for each carrier, ten seconds.
    expect(asked).toBeGreaterThan(10);
    expect(asked).toBeLessThan(30);
    expect(counter(r1(pair))).toBeGreaterThanOrEqual(0n);
    pair.b.runner = (job, run) => run(job);
    const before = counter(r1(pair));
    pair.pass(2_000);
    expect(counter(r1(pair))).toBeGreaterThan(before);
  });

  test.each([
    ["within Delta S", r1Remembered - 1_000, "R2", ""],
    ["after Delta S", r1Remembered + 1_000, "", "r1_stale"],
  ])("an I2 for an R1 that is not offered any more %s", (_name, late, answer, reason) => {
    const pair = quiet();
    const i2 = i2Of(pair.a, r1(pair).bytes);
    pair.pass(r1Offered);
    expect(counter(r1(pair))).toBeGreaterThan(1n);
    pair.now = (pair.now + late) as never;
    pair.deliver(pair.b, i2);
    expect(pair.sent(pair.b, "R2") === undefined ? "" : "R2").toBe(answer);
    expect(pair.b.outputs.findLast((output) => output.type === "drop")?.reason ?? "").toBe(reason);
  });

  test("is replaced once an I2 has used it, but not more often than once a second", () => {
    const pair = quiet();
    const first = r1(pair);
    pair.deliver(pair.b, i2Of(pair.a, first.bytes));
    expect(pair.b.state(pair.a)).toBe("R2-SENT");
    expect(opaque(r1(pair))).toBe(opaque(first));
    pair.now = (pair.now + 1_000) as never;
    // The one that notices is still answered from the old one.
    pair.deliver(pair.b, i1(pair.a.hit, pair.b.hit, [7]));
    expect(opaque(r1(pair))).not.toBe(opaque(first));
  });

  test("puzzles are easy again for whoever comes after a quiet time (4.1.1)", () => {
    const pair = quiet({ puzzle: { idleK: 0, loadedK: 10, easyRate: 1, solveK: 24, lifetime: 37 } });
    const k = (): number => get(r1(pair), PUZZLE)?.k ?? -1;
    for (let n = 0; n < 40; n++) k();
    expect(k()).toBeGreaterThan(1);
    // Nobody asks meanwhile; a timer that always comes again would not end.
    pair.pass(30_000);
    expect(pair.b.host.gauges().puzzleDifficulty).toBe(0);
    expect(k()).toBe(0);
    const before = counter(r1(pair));
    pair.pass(r1Offered / 2);
    expect(counter(r1(pair))).toBe(before);
  });

  test("I1s with the same content within a short time are dropped (5.3.1)", () => {
    const pair = quiet();
    const packet = i1(pair.a.hit, pair.b.hit, [7]);
    for (let i = 0; i < 5; i++) pair.deliver(pair.b, packet);
    expect(pair.count("R1")).toBe(1);
    expect(pair.b.drops("i1_duplicate")).toBe(4);
    pair.now = (pair.now + 50) as never;
    pair.deliver(pair.b, packet);
    expect(pair.count("R1")).toBe(2);
  });

  test("R1s to one address are limited, whatever HITs ask; another address still gets one (6.7)", () => {
    const pair = quiet({ r1PerAddress: 5, opportunistic: true });
    const strange = (n: number) => `20010022${n.toString(16).padStart(24, "0")}` as never;
    for (let n = 0; n < 30; n++) pair.deliver(pair.b, i1(strange(n), pair.b.hit, [7]));
    expect(pair.count("R1")).toBe(10);
    expect(pair.b.drops("r1_rate_limit")).toBe(20);
    const path = { ...pathBetween(pair.b, pair.a), remote: { address: "203.0.113.5", port: 10500 } };
    pair.deliver(pair.b, i1(strange(99), pair.b.hit, [7]), path);
    expect(pair.count("R1")).toBe(11);
    pair.now = (pair.now + 1_000) as never;
    for (let n = 100; n < 110; n++) pair.deliver(pair.b, i1(strange(n), pair.b.hit, [7]));
    expect(pair.count("R1")).toBe(16);
  });

  test("an I1 without DH_GROUP_LIST gets nothing", () => {
    const pair = quiet();
    pair.deliver(
      pair.b,
      changed(i1(pair.a.hit, pair.b.hit, [7]), () => []),
    );
    expect(pair.flights).toEqual([]);
    expect(pair.b.drops("i1_without_dh_group_list")).toBe(1);
  });

  test("before the first R1 is signed an I1 is dropped", () => {
    const pair = quiet();
    pair.b.holdJobs = true;
    pair.b.reboot();
    pair.deliver(pair.b, i1(pair.a.hit, pair.b.hit, [7]));
    expect(pair.b.drops("r1_not_ready")).toBe(1);
  });

  test("the secret of a predecessor without R1s is not taken: nobody made it (4.1.2)", () => {
    const { b } = quiet();
    const random = { bytes: (n: number) => new Uint8Array(n), u32: () => 77 };
    const pool = new R1Pool({ ...DEFAULT_CONFIG, ...GROUPS }, b.identities, ["udp"], random, 0n);
    pool.resume({ secret: [0, 0], generation: 0n, r1s: [] }, 0 as never);
    expect(pool.handOver().secret).toEqual([77, 77]);
    const from = { secret: [1, 2], generation: 0n, r1s: b.host.handOver().r1s.r1s };
    expect(from.r1s.length).toBeGreaterThan(0);
    pool.resume(from, 0 as never);
    expect(pool.handOver().secret).toEqual([1, 2]);
  });

  test("an R1 that is offered is never pushed out by those that are not", () => {
    let next = 0;
    const random = { bytes: (n: number) => new Uint8Array(n).fill(++next), u32: () => ++next };
    const [one, other] = greaterFirst();
    const pool = new R1Pool({ ...DEFAULT_CONFIG, ...GROUPS }, [one, other], ["udp"], random, 0n);
    const pair = quiet();
    const [wantedOne, wantedOther] = pool.takeWanted();
    if (wantedOne === undefined || wantedOther === undefined) throw new Error("no R1 wanted");
    pair.b.identities = [one, other];
    const made = pair.b.runJob(wantedOne.job);
    const busy = pair.b.runJob(wantedOther.job);
    if (made.kind !== "make-r1" || busy.kind !== "make-r1") throw new Error("no R1 made");
    const now = 5_000 as never;
    pool.made(wantedOne.slotKey, made, wantedOne.k, now);
    for (let n = 0; n < 2_100; n++) pool.made(wantedOther.slotKey, busy, wantedOther.k, now);
    expect(pool.size).toBeLessThanOrEqual(2_048);
    const asked = read(i1(other.hit, one.hit, [7]));
    const path = pathBetween(pair.b, pair.a);
    const answer = pool.answer(one.hit, asked, path, now);
    if (!(answer instanceof Uint8Array)) throw new Error(answer.drop);
    pair.a.identities = [other];
    const i2 = read(i2Of(pair.a, answer));
    const match = pool.match(one.hit, i2, path, now);
    if ("drop" in match) throw new Error(match.drop);
    expect(pool.used(match)).toBe(true);
    expect(pool.used(match)).toBe(false);
    expect(pool.match(one.hit, i2, path, now)).toEqual({ drop: "i2_replayed" });
  });
});
