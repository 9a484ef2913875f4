import { describe, expect, test } from "vitest";
import type { Instant } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import type { Context } from "../../src/hip/context.ts";
import type { Open, Session } from "../../src/hip/states.ts";
import { sendUpdate } from "../../src/hip/update-send.ts";
import {
  MAX_OUTSTANDING,
  NO_UPDATES,
  type Outstanding,
  REACH,
  REMEMBERED,
  reception,
  recorded,
  type Updates,
  withoutAcknowledged,
} from "../../src/hip/update-state.ts";
import { get, has } from "../../src/wire/packet.ts";
import { ACK, ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED, HIP_MAC, SEQ } from "../../src/wire/rfc7401.ts";
import { damaged, read, sealed, sentBy } from "../support/packets.ts";
import { type Node, Pair, pathBetween } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";
import { reach } from "../support/states.ts";

const config = { dhGroups: [7] };

function established(): Pair {
  return new Pair({ config }).establish();
}

function probe(pair: Pair, from: Node): void {
  pair.input(from, { type: "probe", peer: pair.other(from).hit });
}

/** Update IDs in the SEQ and ACK of the UPDATEs that `from` sent. */
function ids(
  pair: Pair,
  from: Node,
): readonly (readonly [number | undefined, readonly number[] | undefined])[] {
  return pair.flights
    .filter((flight) => flight.from === from && flight.name === "UPDATE")
    .map(({ bytes }) => {
      const packet = read(bytes);
      return [get(packet, SEQ)?.updateId, get(packet, ACK)?.ids];
    });
}

function update(from: Node, to: Node, id: number | undefined, acks: readonly number[] = []): Uint8Array {
  return sealed(from, to.hit, "UPDATE", [
    ...(id === undefined ? [] : [SEQ.of({ updateId: id })]),
    ...(acks.length === 0 ? [] : [ACK.of({ ids: acks })]),
  ]);
}

describe("UPDATE (RFC 7401 5.3.5, 6.11, 6.12)", () => {
  test("the first has Update ID 0, each next one more, in each direction; ACKs are not acknowledged", () => {
    const pair = established();
    const { a, b } = pair;
    for (let n = 0; n < 3; n++) {
      probe(pair, a);
      pair.pass(100);
    }
    probe(pair, b);
    pair.pass(10_000);
    expect(ids(pair, a)).toEqual([
      [0, undefined],
      [1, undefined],
      [2, undefined],
      [undefined, [0]],
    ]);
    expect(ids(pair, b)).toEqual([
      [undefined, [0]],
      [undefined, [1]],
      [undefined, [2]],
      [0, undefined],
    ]);
    expect(problemsOf(pair)).toEqual([]);
  });

  test("a probe asks for the same bytes back; one is under way at a time", () => {
    const pair = established();
    probe(pair, pair.a);
    probe(pair, pair.a);
    pair.pass(100);
    expect(pair.count("UPDATE", pair.a)).toBe(1);
    const [asked, answered] = [read(pair.sent(pair.a, "UPDATE")), read(pair.sent(pair.b, "UPDATE"))];
    expect(get(answered, ECHO_RESPONSE_SIGNED)?.data).toEqual(get(asked, ECHO_REQUEST_SIGNED)?.data);
    expect(has(answered, HIP_MAC)).toBe(true);
  });

  test("is sent again until it is acknowledged, then not any more", () => {
    const pair = established();
    let lost = 0;
    pair.filter = ({ name }) => name !== "UPDATE" || lost++ >= 3;
    probe(pair, pair.a);
    pair.pass(60_000);
    expect(ids(pair, pair.a).map(([id]) => id)).toEqual([0, 0, 0, 0]);
    expect(pair.a.state(pair.b)).toBe("ESTABLISHED");
  });

  test("one that comes again is acknowledged from the cache: no signature, not processed again (6.12.1 step 2)", () => {
    const pair = established();
    const { a, b } = pair;
    const packet = update(b, a, 0);
    pair.filter = () => false;
    pair.deliver(a, packet);
    const jobs = a.outputs.filter(({ type }) => type === "job").length;
    for (let n = 0; n < 3; n++) {
      pair.now = (pair.now + 100) as Instant;
      expect(sentBy(pair, a, () => pair.deliver(a, packet))).toEqual(["UPDATE"]);
    }
    expect(a.outputs.filter(({ type }) => type === "job").length).toBe(jobs);
    expect(new Set(pair.flights.filter(({ name }) => name === "UPDATE").map(({ bytes }) => bytes)).size).toBe(
      1,
    );
    // HIP_MAC is not skipped.
    expect(sentBy(pair, a, () => pair.deliver(a, damaged(packet, HIP_MAC.type)))).toEqual([]);
    expect(a.drops("mac")).toBe(1);
  });

  test("also one that is not the last", () => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    const first = update(b, a, 0);
    pair.deliver(a, first);
    pair.deliver(a, update(b, a, 1));
    pair.deliver(a, first);
    expect(ids(pair, a).map(([, acks]) => acks)).toEqual([[0], [1], [0]]);
  });

  test("several Update IDs in one ACK stop several timers (6.12.2 step 4)", () => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    probe(pair, a);
    // The peer rekeys meanwhile: our answer is a second UPDATE of ours.
    pair.input(b, { type: "esp", spi: b.sa("out")?.spi as never, event: "soft-expiry" });
    pair.deliver(a, pair.sent(b, "UPDATE") as Uint8Array);
    expect(ids(pair, a).map(([id]) => id)).toEqual([0, 1]);
    pair.deliver(a, update(b, a, undefined, [0, 1, 7]));
    const sent = pair.count("UPDATE", a);
    pair.pass(30_000);
    expect(pair.count("UPDATE", a)).toBe(sent);
  });

  test.each([
    ["neither SEQ nor ACK", undefined, [], "update_without_seq_or_ack"],
    ["an ACK of what was never sent", undefined, [5], "ack_unexpected"],
    ["an Update ID beyond the window", REACH, [], "update_window"],
    ["an Update ID before the first", 0xffff_ffff, [], "update_window"],
  ])("with %s is dropped before anything is computed", (_name, id, acks, reason) => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    const jobs = a.outputs.filter(({ type }) => type === "job").length;
    pair.deliver(a, update(b, a, id, acks));
    expect(a.drops(reason)).toBe(1);
    expect(a.outputs.filter(({ type }) => type === "job").length).toBe(jobs);
    expect(pair.count("UPDATE", a)).toBe(0);
  });

  test("UPDATEs are processed in the order in which they come, each once (6.12)", () => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    for (const id of [3, 0, 31, 1, 3, 0]) pair.deliver(a, update(b, a, id));
    expect(ids(pair, a).map(([, acks]) => acks)).toEqual([[3], [0], [31], [1], [3], [0]]);
  });

  test.each([1, 0])("a recorded UPDATE %i that somebody else sends brings him no answer", (id) => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    for (const sent of [0, 1]) pair.deliver(a, update(b, a, sent));
    const before = a.outputs.length;
    const elsewhere = { ...pathBetween(a, b), remote: { address: "203.0.113.66", port: 4500 } };
    pair.deliver(a, update(b, a, id), elsewhere);
    const sends = a.outputs.slice(before).filter((output) => output.type === "send");
    expect(sends.map(({ path }) => path.remote.address)).toEqual([b.address]);
  });

  test("an ACK that was taken already means nothing", () => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    probe(pair, a);
    pair.deliver(a, update(b, a, undefined, [0]));
    pair.deliver(a, update(b, a, undefined, [0]));
    expect(a.drops("ack_unexpected")).toBe(1);
  });

  test("an ACK and a SEQ in one packet are both taken, ACK first (6.12 step 4)", () => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    probe(pair, a);
    pair.deliver(a, update(b, a, 0, [0]));
    expect(ids(pair, a)).toEqual([
      [0, undefined],
      [undefined, [0]],
    ]);
    pair.pass(30_000);
    expect(pair.count("UPDATE", a)).toBe(2);
  });

  test("an ACK moves R2-SENT to ESTABLISHED (Table 5)", () => {
    const { pair } = reach("R2-SENT");
    const { a, b } = pair;
    probe(pair, a);
    pair.deliver(a, update(b, a, undefined, [0]));
    expect(a.state(b)).toBe("ESTABLISHED");
  });

  test("is answered along the path that it came by, which does not move the association", () => {
    const { pair } = reach("ESTABLISHED");
    const { a, b } = pair;
    const path = { ...pathBetween(a, b), remote: { address: "203.0.113.77", port: 4444 } };
    pair.deliver(a, update(b, a, 0), path);
    expect(pair.flights.at(-1)?.path.remote).toEqual(path.remote);
    expect(a.host.association(b.hit)?.path?.remote.address).toBe(b.address);
  });

  test("waits for a place when the job runner is full, and is sent then", () => {
    const pair = new Pair({ config: { ...config, maxJobs: 1 } });
    const { a, b } = pair;
    pair.take(b, b.host.configure({ ...b.config, maxJobs: 64 }, b.identities, pair.now));
    pair.establish();
    a.holdJobs = true;
    pair.deliver(a, update(b, a, 0));
    expect(a.heldJobs).toHaveLength(1);
    probe(pair, a);
    expect(a.drops("jobs_full")).toBe(1);
    a.holdJobs = false;
    pair.releaseJobs(a);
    pair.pass(5_000);
    expect(ids(pair, a)).toContainEqual([0, undefined]);
    expect(a.state(b)).toBe("ESTABLISHED");
  });

  test("that comes while four others are being verified is dropped and comes through later", () => {
    const pair = established();
    const { a, b } = pair;
    a.holdJobs = ["verify"];
    for (const id of [0, 1, 2, 3, 4]) pair.deliver(a, update(b, a, id));
    expect(a.drops("busy")).toBe(1);
    a.holdJobs = false;
    pair.releaseJobs(a);
    pair.deliver(a, update(b, a, 4));
    expect(ids(pair, a).map(([, acks]) => acks)).toEqual([[0], [1], [2], [3], [4]]);
  });
});

describe("what was begun under the keys of an association that is replaced", () => {
  /** The peer has rebooted and made a new association while a job of `kind` was running. */
  function replaced(kind: "verify" | "seal", begin: (pair: Pair) => void): Pair {
    const pair = established();
    const { a, b } = pair;
    pair.pass(2_000);
    a.holdJobs = [kind];
    begin(pair);
    expect(a.heldJobs).toHaveLength(1);
    b.reboot();
    pair.start();
    pair.connect(b);
    pair.run(() => b.state(a) === "ESTABLISHED", 10_000);
    a.holdJobs = false;
    pair.releaseJobs(a);
    pair.pass(20_000);
    expect(unusable(pair)).toEqual([]);
    expect(problemsOf(pair)).toEqual([]);
    return pair;
  }

  test("a CLOSE does not close the new one", () => {
    const pair = replaced("verify", (begun) => {
      const { a, b } = begun;
      const parameters = [ECHO_REQUEST_SIGNED.of({ data: new Uint8Array(16) })];
      begun.deliver(a, sealed(b, a.hit, "CLOSE", parameters));
    });
    expect(pair.a.state(pair.b)).toBe("ESTABLISHED");
    expect(pair.count("CLOSE_ACK")).toBe(0);
  });

  test("an UPDATE of ours is not sent into the new one", () => {
    const pair = replaced("seal", (begun) => probe(begun, begun.a));
    expect(pair.count("UPDATE", pair.a)).toBe(0);
    probe(pair, pair.a);
    pair.pass(10_000);
    expect(ids(pair, pair.a)).toEqual([[0, undefined]]);
    expect(pair.a.state(pair.b)).toBe("ESTABLISHED");
  });
});

describe("Update IDs in a circular space (6.12)", () => {
  const at = (expected: number, processed: readonly number[], forgotten?: number): Updates => ({
    ...NO_UPDATES,
    expected,
    processed,
    forgotten,
  });

  test.each([
    [0xffff_ffff, 0xffff_ffff, "new"],
    [0xffff_ffff, 0, "new"],
    [0xffff_ffff, REACH - 2, "new"],
    [0xffff_ffff, REACH - 1, "outside"],
    [0xffff_ffff, 0xffff_fffe, "repeated"],
    [0xffff_ffff, 0xffff_fffd, "new"],
    [5, 0xffff_ffff, "new"],
    [5, 0xffff_0005, "new"],
    [5, 0xffff_0004, "outside"],
    [0x8000_0000, 0x7fff_ffff, "new"],
    [0x8000_0000, 0x8000_0000, "new"],
    [0x8000_0000, 0, "outside"],
  ] as const)("expected %i, received %i: %s", (expected, id, how) => {
    expect(reception(at(expected, [0xffff_fffe]), id)).toBe(how);
  });

  test("one that was overtaken by many is new as long as it cannot have been processed", () => {
    let updates = recorded(NO_UPDATES, 0xffff_fff0);
    const late = 0xffff_fff1;
    for (let id = 1; id <= REMEMBERED - 1; id++) updates = recorded(updates, id);
    expect(updates.forgotten).toBeUndefined();
    expect(reception(updates, late)).toBe("new");
    expect(reception(updates, 0xffff_fff0)).toBe("repeated");
    updates = recorded(updates, REMEMBERED);
    expect(updates.forgotten).toBe(0xffff_fff0);
    expect(reception(updates, late)).toBe("new");
    expect(reception(updates, 0xffff_fff0)).toBe("outside");
    updates = recorded(updates, late);
    expect(reception(updates, late)).toBe("repeated");
    updates = recorded(updates, REMEMBERED + 1);
    expect(updates.forgotten).toBe(2);
    expect(["new", "outside", "outside"]).toEqual([3_000, 2, 0].map((id) => reception(updates, id)));
    expect(updates.processed.length).toBe(REMEMBERED);
  });

  test("the next one after 2^32 - 1 is 0, at the receiver", () => {
    let updates = at(0xffff_fffe, [0xffff_fffd]);
    for (const id of [0xffff_fffe, 0xffff_ffff, 0, 1]) {
      expect(reception(updates, id)).toBe("new");
      updates = recorded(updates, id);
      expect(reception(updates, id)).toBe("repeated");
    }
    expect(updates.expected).toBe(2);
  });

  test("and at the sender", () => {
    const session = { agreement: {}, updates: { ...NO_UPDATES, nextId: 0xffff_ffff } } as unknown as Session;
    const cx = {
      now: 1,
      config: DEFAULT_CONFIG,
      random: { u32: () => 0, bytes: (n: number) => new Uint8Array(n) },
      start: () => true,
    } as unknown as Context;
    const state: Open = { name: "ESTABLISHED", session };
    const first = sendUpdate(state, [], cx).next;
    const second = sendUpdate(first, [], cx).next;
    expect(second.session.updates.outstanding.map(({ id }) => id)).toEqual([0xffff_ffff, 0]);
    expect(second.session.updates.nextId).toBe(1);
  });

  test("no more than a few UPDATEs wait for an ACK", () => {
    const outstanding = Array.from({ length: MAX_OUTSTANDING }, (_, id) => ({ id }) as Outstanding);
    const session = { updates: { ...NO_UPDATES, outstanding } } as unknown as Session;
    const state: Open = { name: "ESTABLISHED", session };
    const sent = sendUpdate(state, [], {} as Context);
    expect(sent.out).toEqual([{ type: "drop", reason: "updates_outstanding" }]);
    expect(sent.next).toBe(state);
  });

  test("nothing is new twice, in whatever order it comes, and what is remembered stays small", () => {
    let updates = NO_UPDATES;
    const seen = new Set<number>();
    // In a bad order: far ahead, then what is behind.
    for (let round = 0; round < 2_000; round++) {
      const ahead = (updates.expected + (round % 3 === 0 ? 31 : -(round % 200))) >>> 0;
      const how = reception(updates, ahead);
      if (how === "new") {
        expect(seen.has(ahead)).toBe(false);
        seen.add(ahead);
        updates = recorded(updates, ahead);
      }
    }
    expect(updates.processed.length).toBe(REMEMBERED);
    expect(seen.size).toBeGreaterThan(700);
  });

  test("ACKs take away what they name and nothing else", () => {
    const outstanding = [4, 5, 6].map((id) => ({ id }) as Outstanding);
    const { updates, acknowledged } = withoutAcknowledged({ ...NO_UPDATES, outstanding }, [6, 4, 9]);
    expect(updates.outstanding.map(({ id }) => id)).toEqual([5]);
    expect(acknowledged.map(({ id }) => id)).toEqual([4, 6]);
  });
});
