import { describe, expect, test } from "vitest";
import type { Spi } from "../../src/core/types.ts";
import { pathTo } from "../../src/hip/carrier.ts";
import { type HostInput, STATE_NAMES, type StateName } from "../../src/hip/io.ts";
import { CONNECT } from "../../src/hip/tables.ts";
import type { PacketName } from "../../src/wire/packet.ts";
import { sentBy } from "../support/packets.ts";
import type { Pair } from "../support/pair.ts";
import { problemsOf } from "../support/pair-problems.ts";
import { reach } from "../support/states.ts";

const HAPPENINGS = [
  "connect",
  "first-inbound",
  "idle",
  "soft-expiry",
  "moved",
  "probe",
  "close",
  "forget",
  "timeout",
] as const;
type Happening = (typeof HAPPENINGS)[number];

interface Cell {
  readonly to?: StateName;
  readonly sends?: PacketName;
  /** What becomes of the route to the peer. */
  readonly route?: "demand" | "reject";
}

const NOTHING: Cell = {};
const NO_ASSOCIATION = {
  "first-inbound": NOTHING,
  idle: NOTHING,
  "soft-expiry": NOTHING,
  moved: NOTHING,
  probe: NOTHING,
} as const;
const OPEN = {
  connect: NOTHING,
  idle: { sends: "CLOSE", to: "CLOSING", route: "demand" },
  "soft-expiry": { sends: "UPDATE" },
  moved: { sends: "UPDATE" },
  probe: { sends: "UPDATE" },
  close: { sends: "CLOSE", to: "CLOSING", route: "demand" },
  forget: { sends: "CLOSE", to: "UNASSOCIATED" },
} as const;

/** Tables 2 to 9 of RFC 7401 4.4.3: what is not a packet. "timeout" is the next one of the state. */
const EXPECTED: Readonly<Record<StateName, Readonly<Record<Happening, Cell>>>> = {
  UNASSOCIATED: {
    ...NO_ASSOCIATION,
    connect: { sends: "I1", to: "I1-SENT" },
    close: NOTHING,
    forget: NOTHING,
    timeout: NOTHING,
  },
  "I1-SENT": {
    ...NO_ASSOCIATION,
    connect: NOTHING,
    close: { to: "UNASSOCIATED", route: "demand" },
    forget: { to: "UNASSOCIATED" },
    timeout: { sends: "I1" },
  },
  "I2-SENT": {
    ...NO_ASSOCIATION,
    connect: NOTHING,
    close: { to: "UNASSOCIATED", route: "demand" },
    forget: { to: "UNASSOCIATED" },
    timeout: { sends: "I2" },
  },
  "R2-SENT": { ...OPEN, "first-inbound": { to: "ESTABLISHED" }, timeout: { to: "ESTABLISHED" } },
  // Its next timeout is the age of its keys.
  ESTABLISHED: { ...OPEN, "first-inbound": NOTHING, timeout: { sends: "UPDATE" } },
  CLOSING: {
    ...NO_ASSOCIATION,
    connect: { sends: "I1", to: "I1-SENT" },
    close: NOTHING,
    forget: { to: "UNASSOCIATED" },
    timeout: { sends: "CLOSE" },
  },
  CLOSED: {
    ...NO_ASSOCIATION,
    connect: { sends: "I1" },
    close: NOTHING,
    forget: { to: "UNASSOCIATED" },
    timeout: { to: "UNASSOCIATED" },
  },
  "E-FAILED": {
    ...NO_ASSOCIATION,
    connect: NOTHING,
    close: { to: "UNASSOCIATED", route: "demand" },
    forget: { to: "UNASSOCIATED" },
    timeout: { to: "UNASSOCIATED", route: "demand" },
  },
};

function happens(pair: Pair, what: Happening): void {
  const { a, b } = pair;
  if (what === "timeout") {
    // To the first moment at which the association does something; R1s come and go meanwhile.
    const mine = (): number => a.outputs.filter(({ type }) => type !== "job" && type !== "drop").length;
    const before = mine();
    const end = pair.now + 2 * 60 * 60_000;
    while (mine() === before && pair.step(end));
    return;
  }
  const spi = (a.sa(what === "soft-expiry" ? "out" : "in")?.spi ?? 0x7777) as Spi;
  const inputs: Readonly<Record<Exclude<Happening, "timeout">, HostInput>> = {
    connect: { type: "connect", peer: b.hit },
    probe: { type: "probe", peer: b.hit },
    close: { type: "close", peer: b.hit },
    forget: { type: "forget", peer: b.hit },
    "first-inbound": { type: "esp", spi, event: "first-inbound" },
    idle: { type: "esp", spi, event: "idle" },
    "soft-expiry": { type: "esp", spi, event: "soft-expiry" },
    moved: { type: "moved", spi, path: pathTo("udp", { address: "192.0.2.99", port: 10500 }, 10500) },
  };
  pair.input(a, inputs[what]);
}

const cells = STATE_NAMES.flatMap((state) => HAPPENINGS.map((what) => ({ state, what })));

describe("what happens to a state apart from packets (RFC 7401 4.4.3)", () => {
  test("is known for every state", () => {
    expect(Object.keys(EXPECTED)).toEqual(STATE_NAMES);
    for (const state of STATE_NAMES)
      expect(Object.keys(EXPECTED[state]).toSorted()).toEqual(HAPPENINGS.toSorted());
    expect(cells).toHaveLength(72);
    const connecting = STATE_NAMES.filter((state) => EXPECTED[state].connect.sends === "I1");
    expect(Object.keys(CONNECT).toSorted()).toEqual(connecting.toSorted());
  });

  test.each(cells)("$state: $what", ({ state, what }) => {
    const { pair } = reach(state);
    const { a, b } = pair;
    const cell = EXPECTED[state][what];
    const before = a.outputs.length;
    const sent = sentBy(pair, a, () => happens(pair, what));
    expect(a.state(b)).toBe(cell.to ?? state);
    expect(sent).toEqual(cell.sends === undefined ? [] : [cell.sends]);
    const routes = a.outputs.slice(before).filter(({ type }) => type === "route");
    const route = { type: "route", peer: b.hit, via: cell.route };
    expect(routes).toEqual(cell.route === undefined ? [] : [route]);
    if (cell === NOTHING) {
      const rest = a.outputs.slice(before).filter(({ type }) => type !== "job" || what !== "timeout");
      expect(rest).toEqual([]);
    }
    expect(problemsOf(pair)).toEqual([]);
  });

  test("a timeout that comes early does nothing, in every state", () => {
    for (const state of STATE_NAMES) {
      const { pair } = reach(state);
      const before = pair.a.outputs.length;
      pair.input(pair.a, { type: "timeout" });
      expect(pair.a.outputs.length).toBe(before);
      expect(pair.a.state(pair.b)).toBe(state);
    }
  });

  test("without a locator there is nobody to call: E-FAILED at once, local packets are rejected", () => {
    const { pair } = reach("UNASSOCIATED");
    pair.a.knows(pair.b, { locators: [] });
    pair.connect(pair.a);
    expect(pair.a.state(pair.b)).toBe("E-FAILED");
    expect(pair.a.routes.get(pair.b.hit)).toBe("reject");
    expect(pair.a.events("association-failed")[0]?.detail).toEqual({ reason: "no_locator" });
    expect(pair.flights).toEqual([]);
  });

  test("in CLOSED without a locator local packets are rejected", () => {
    const { pair } = reach("CLOSED");
    pair.a.knows(pair.b, { locators: [] });
    pair.connect(pair.a);
    expect(pair.a.state(pair.b)).toBe("CLOSED");
    expect(pair.a.routes.get(pair.b.hit)).toBe("reject");
  });
});
