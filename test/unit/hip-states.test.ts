import { describe, expect, test } from "vitest";
import { STATE_NAMES, type StateName } from "../../src/hip/io.ts";
import { RECEIVE } from "../../src/hip/tables.ts";
import type { PacketName } from "../../src/wire/packet.ts";
import { sentBy } from "../support/packets.ts";
import { problemsOf } from "../support/pair-problems.ts";
import { PACKETS, reach, validPacket } from "../support/states.ts";

interface Cell {
  /** The state afterwards; absent: the same. */
  readonly to?: StateName;
  /** The packet that is sent in answer. */
  readonly sends?: PacketName;
  readonly drop?: string;
}

const HEARD: Cell = {};
const ANSWER_I1: Cell = { sends: "R1" };
const ACCEPT_I2: Cell = { sends: "R2", to: "R2-SENT" };
const ANSWER_R1: Cell = { sends: "I2", to: "I2-SENT" };
const ACKNOWLEDGE_CLOSE: Cell = { sends: "CLOSE_ACK", to: "CLOSED" };
const NO: Cell = { drop: "unexpected" };

/**
 * Tables 2 to 9 of RFC 7401 4.4.3, for the host with the greater HIT: every state with every packet. `NO`: dropped, counted
 * as unexpected, the state is left as it is. Differences from the letter of the tables are explained in tables.ts.
 */
const EXPECTED: Readonly<Record<StateName, Readonly<Record<PacketName, Cell>>>> = {
  UNASSOCIATED: {
    I1: ANSWER_I1,
    R1: NO,
    I2: ACCEPT_I2,
    R2: NO,
    // Longer ones are a hint: hip-clone.test.ts.
    UPDATE: { drop: "update_unexpected" },
    NOTIFY: HEARD,
    CLOSE: NO,
    CLOSE_ACK: NO,
  },
  "I1-SENT": {
    I1: ANSWER_I1,
    R1: ANSWER_R1,
    I2: ACCEPT_I2,
    R2: NO,
    UPDATE: NO,
    NOTIFY: HEARD,
    CLOSE: NO,
    CLOSE_ACK: NO,
  },
  "I2-SENT": {
    I1: ANSWER_I1,
    R1: { sends: "I2" },
    I2: ACCEPT_I2,
    R2: { to: "ESTABLISHED" },
    UPDATE: NO,
    NOTIFY: HEARD,
    CLOSE: ACKNOWLEDGE_CLOSE,
    CLOSE_ACK: NO,
  },
  "R2-SENT": {
    I1: ANSWER_I1,
    R1: NO,
    I2: ACCEPT_I2,
    R2: NO,
    UPDATE: { sends: "UPDATE", to: "ESTABLISHED" },
    NOTIFY: HEARD,
    CLOSE: ACKNOWLEDGE_CLOSE,
    CLOSE_ACK: NO,
  },
  ESTABLISHED: {
    I1: ANSWER_I1,
    R1: NO,
    I2: ACCEPT_I2,
    R2: NO,
    UPDATE: { sends: "UPDATE" },
    NOTIFY: HEARD,
    CLOSE: ACKNOWLEDGE_CLOSE,
    CLOSE_ACK: NO,
  },
  CLOSING: {
    I1: ANSWER_I1,
    R1: NO,
    I2: ACCEPT_I2,
    R2: NO,
    UPDATE: NO,
    NOTIFY: HEARD,
    CLOSE: ACKNOWLEDGE_CLOSE,
    CLOSE_ACK: { to: "UNASSOCIATED" },
  },
  CLOSED: {
    I1: ANSWER_I1,
    R1: { drop: "r1_unexpected" },
    I2: ACCEPT_I2,
    R2: NO,
    UPDATE: NO,
    NOTIFY: HEARD,
    CLOSE: ACKNOWLEDGE_CLOSE,
    CLOSE_ACK: { drop: "close_ack_unexpected" },
  },
  "E-FAILED": {
    I1: ANSWER_I1,
    R1: NO,
    I2: ACCEPT_I2,
    R2: NO,
    UPDATE: NO,
    NOTIFY: HEARD,
    CLOSE: NO,
    CLOSE_ACK: NO,
  },
};

const cells = STATE_NAMES.flatMap((state) => PACKETS.map((packet) => ({ state, packet })));

describe("the state tables of RFC 7401 4.4.3", () => {
  test("have eight states and eight packets, and none else", () => {
    expect(Object.keys(EXPECTED)).toEqual(STATE_NAMES);
    expect(Object.keys(RECEIVE)).toEqual(STATE_NAMES);
    for (const state of STATE_NAMES) expect(Object.keys(EXPECTED[state])).toEqual(PACKETS);
    expect(cells).toHaveLength(64);
  });

  test.each(cells)("$state receives $packet", ({ state, packet }) => {
    const reached = reach(state);
    const { pair } = reached;
    const { a, b } = pair;
    const cell = EXPECTED[state][packet];
    const bytes = validPacket(reached, packet);
    const before = a.outputs.length;
    const sent = sentBy(pair, a, () => pair.deliver(a, bytes));
    const outputs = a.outputs.slice(before);
    const drops = outputs.filter(({ type }) => type === "drop");

    expect(a.state(b)).toBe(cell.to ?? state);
    expect(sent).toEqual(cell.sends === undefined ? [] : [cell.sends]);
    const reason = cell.drop === "unexpected" ? `${packet.toLowerCase()}_unexpected` : cell.drop;
    expect(drops).toEqual(reason === undefined ? [] : [{ type: "drop", reason }]);
    // A drop is all that happens.
    if (reason !== undefined) expect(outputs).toHaveLength(1);
    if (cell === NO) expect(RECEIVE[state][packet]).toBeUndefined();
    if (cell === HEARD) expect(outputs.map(({ type }) => type)).toEqual(["event"]);
    expect(problemsOf(pair)).toEqual([]);
  });
});
