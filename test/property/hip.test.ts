/** Hostile and chaotic input to the protocol: it never throws, moves only where the tables allow, and recovers. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Spi } from "../../src/core/types.ts";
import { type HostInput, STATE_NAMES, type StateName } from "../../src/hip/io.ts";
import { RECEIVE } from "../../src/hip/tables.ts";
import { build, type PacketName, parse } from "../../src/wire/packet.ts";
import { type Node, Pair } from "../support/pair.ts";
import { problemsOf, unusable } from "../support/pair-problems.ts";
import { PACKETS, type Reached, reach, validPacket } from "../support/states.ts";
import { packetDraft } from "./arbitrary.ts";

/** Where a packet may lead at most (RFC 7401 4.4.3). */
const MAY: Readonly<Partial<Record<PacketName, readonly StateName[]>>> = {
  R1: ["I2-SENT"],
  I2: ["R2-SENT"],
  R2: ["ESTABLISHED"],
  // In UNASSOCIATED it is a hint to call the peer.
  UPDATE: ["ESTABLISHED", "I1-SENT"],
  CLOSE: ["CLOSED"],
  CLOSE_ACK: ["UNASSOCIATED"],
};

/** Delivers bytes to `a` and checks that what follows is allowed. False when the state has moved. */
function survives(pair: Pair, bytes: Uint8Array): boolean {
  const { a, b } = pair;
  const before = a.state(b);
  const outputs = a.outputs.length;
  pair.deliver(a, bytes);
  const after = a.state(b);
  const parsed = parse(bytes);
  const known = parsed.ok && parsed.value.sender === b.hit && parsed.value.receiver === a.hit;
  if (after !== before) {
    expect(known).toBe(true);
    if (parsed.ok) {
      expect(RECEIVE[before][parsed.value.name]).toBeDefined();
      expect(MAY[parsed.value.name]).toContain(after);
    }
  }
  // Nothing vanishes without a trace.
  expect(a.outputs.length).toBeGreaterThan(outputs);
  expect(problemsOf(pair)).toEqual([]);
  return after === before;
}

const mutation = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  value: fc.nat(255),
  kind: fc.constantFrom("set", "flip", "cut", "insert", "repeat"),
});
type Mutation = typeof mutation extends fc.Arbitrary<infer M> ? M : never;

function mutated(bytes: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  let now = [...bytes];
  for (const { at, value, kind } of mutations) {
    const index = Math.floor(at * now.length);
    if (kind === "set") now[index] = value;
    else if (kind === "flip") now[index] = (now[index] ?? 0) ^ (1 << (value % 8));
    else if (kind === "cut") now = now.slice(0, index);
    else if (kind === "insert") now.splice(index, 0, ...Array.from({ length: 8 }, () => value));
    else now = [...now, ...now.slice(index)].slice(0, 4_096);
  }
  return Uint8Array.from(now);
}

/** One host in each state, with a valid packet of each kind; made anew when a test has moved it. */
class Stage {
  readonly #reached = new Map<StateName, Reached>();
  readonly #packets = new Map<string, Uint8Array>();

  at(state: StateName): Reached {
    const known = this.#reached.get(state);
    if (known !== undefined && known.pair.a.state(known.pair.b) === state) return known;
    const fresh = reach(state);
    this.#reached.set(state, fresh);
    for (const name of PACKETS) this.#packets.delete(`${state} ${name}`);
    return fresh;
  }

  packet(state: StateName, name: PacketName): Uint8Array {
    const reached = this.at(state);
    const key = `${state} ${name}`;
    const known = this.#packets.get(key) ?? validPacket(reached, name);
    this.#packets.set(key, known);
    return known;
  }
}

describe("hostile packets", () => {
  test.each(STATE_NAMES)("in %s: mutations of valid ones", (state) => {
    const stage = new Stage();
    fc.assert(
      fc.property(
        fc.constantFrom(...PACKETS),
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        (name, mutations) => {
          const bytes = mutated(stage.packet(state, name), mutations);
          const { pair } = stage.at(state);
          pair.now = (pair.now + 100) as never;
          survives(pair, bytes);
        },
      ),
      { numRuns: 150 },
    );
  });

  test.each(STATE_NAMES)("in %s: well-formed ones that make no sense", (state) => {
    const stage = new Stage();
    fc.assert(
      fc.property(packetDraft, fc.boolean(), (draft, known) => {
        const { pair } = stage.at(state);
        pair.now = (pair.now + 100) as never;
        const addressed = known ? { sender: pair.b.hit, receiver: pair.a.hit } : {};
        survives(pair, build({ ...draft, ...addressed }));
      }),
      { numRuns: 60 },
    );
  });

  test("noise", () => {
    const stage = new Stage();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...STATE_NAMES), (bytes, state) => {
        expect(survives(stage.at(state).pair, bytes)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});

/** What may happen to a host; `n` chooses where there is a choice. */
const ACTIONS: Readonly<Record<string, (pair: Pair, node: Node, n: number) => void>> = {
  connect: (pair, node) => pair.connect(node),
  close: (pair, node) => pair.close(node),
  forget: (pair, node) => pair.input(node, { type: "forget", peer: pair.other(node).hit }),
  probe: (pair, node) => pair.input(node, { type: "probe", peer: pair.other(node).hit }),
  "soft-expiry": (pair, node) => esp(pair, node, "out", "soft-expiry"),
  idle: (pair, node) => esp(pair, node, "in", "idle"),
  "first-inbound": (pair, node) => esp(pair, node, "in", "first-inbound"),
  moment: (pair, _node, n) => pair.pass(n % 50),
  while: (pair, _node, n) => pair.pass(n),
  long: (pair, _node, n) => pair.pass(n * 30),
  replay: (pair, _node, n) => {
    const flight = pair.flights[n % (pair.flights.length || 1)];
    if (flight !== undefined) pair.arrive(flight);
  },
  /** A packet back to its sender. */
  reverse: (pair, _node, n) => {
    const flight = pair.flights[n % (pair.flights.length || 1)];
    if (flight !== undefined) pair.deliver(flight.from, flight.bytes);
  },
  reboot: (pair, node) => {
    node.reboot();
    pair.input(node, { type: "timeout" });
  },
  hold: (_pair, node) => {
    node.holdJobs = true;
  },
  "release one": (pair, node, n) => {
    const [one] = node.heldJobs.splice(n % (node.heldJobs.length || 1), 1);
    if (one !== undefined) pair.finish(node, one.id, node.runJob(one.job));
  },
  release: (pair, node) => release(pair, node),
  configure: (pair, node) => pair.take(node, node.host.configure(node.config, node.identities, pair.now)),
};

function esp(
  pair: Pair,
  node: Node,
  direction: "in" | "out",
  event: Extract<HostInput, { type: "esp" }>["event"],
): void {
  pair.input(node, { type: "esp", spi: (node.sa(direction)?.spi ?? 4_711) as Spi, event });
}

const action = fc.record({
  what: fc.constantFrom(...Object.keys(ACTIONS)),
  onA: fc.boolean(),
  n: fc.nat(1_000),
});

function release(pair: Pair, node: Node): void {
  node.holdJobs = false;
  pair.releaseJobs(node);
}

describe("chaos", () => {
  test("whatever happens in whatever order: no key is used twice, no SA is lost, and in the end they talk", () => {
    fc.assert(
      fc.property(
        fc.array(action, { minLength: 5, maxLength: 40 }),
        fc.array(fc.nat(9), { minLength: 20, maxLength: 20 }),
        fc.nat(1_000_000),
        fc.boolean(),
        (actions, fates, seed, rekeyWithDh) => {
          const pair = new Pair({ config: { dhGroups: [7], rekeyWithDh }, seed: seed + 1 });
          let sent = 0;
          // Of ten packets two are lost.
          pair.filter = () => (fates[sent++ % fates.length] as number) < 8;
          for (const { what, onA, n } of actions) ACTIONS[what]?.(pair, onA ? pair.a : pair.b, n);
          expect(problemsOf(pair)).toEqual([]);

          for (const node of [pair.a, pair.b]) release(pair, node);
          pair.filter = () => true;
          for (let round = 0; round < 400 && unusable(pair).length > 0; round++) {
            for (const node of [pair.a, pair.b]) {
              pair.connect(node);
              pair.input(node, { type: "probe", peer: pair.other(node).hit });
            }
            pair.pass(250);
          }
          expect(unusable(pair)).toEqual([]);
          expect(problemsOf(pair)).toEqual([]);
          for (const node of [pair.a, pair.b]) expect(node.host.gauges().jobsInFlight).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });
});
