/** The carrier between two hipds: the order of its steps, and every refusal, silence and death. */
import { describe, expect, test } from "vitest";
import { AWAIT_MILLIS, CARRY_MILLIS, type CarrierAddon, carry } from "../../src/runtime/carry.ts";
import { CARRY_PROTOCOL, type CarryMessage, parseCarryMessage } from "../../src/runtime/carry-message.ts";
import type { Log } from "../../src/runtime/log.ts";
import type { Handle } from "../../src/runtime/native-addon.ts";

const NETWORK = "net:[1]";
const LISTENER = 5;
const CONNECTION = 6;

type Said = CarryMessage | "late" | "gone" | "garbage";

const GIVEN: CarryMessage = {
  type: "carry",
  protocol: CARRY_PROTOCOL,
  version: "1.2.3",
  network: NETWORK,
  tuns: 1,
  sockets: 2,
};
/** Memory, ticket, queue, two sockets. */
const FDS = [10, 11, 12, 13, 14];

/** Runs a carrier to whom this is said, and gives every step that it took. */
function run(said: readonly Said[], faults: { resume?: string; strangers?: number; network?: string } = {}) {
  const steps: string[] = [];
  const closed: number[] = [];
  const logged: string[] = [];
  let strangers = faults.strangers ?? 0;
  const queue = [...said];
  const plane = {} as Handle;
  const native: CarrierAddon = {
    acceptPeer: (fd, millis) => {
      steps.push(`accept ${fd} ${millis}`);
      if (strangers-- > 0) throw new Error("user 65534 is none of ours");
      return queue.length === 0 ? null : CONNECTION;
    },
    receiveMessage: (fd, millis) => {
      const next = queue.shift() ?? "late";
      steps.push(`receive ${fd} ${millis}`);
      if (next === "late") return null;
      if (next === "gone") return [new Uint8Array(0), []];
      if (next === "garbage") return [Uint8Array.of(123, 0, 255), [90]];
      return [Buffer.from(JSON.stringify(next)), next.type === "carry" ? FDS : []];
    },
    sendMessage: (fd, bytes, fds) => {
      const message = JSON.parse(Buffer.from(bytes).toString()) as CarryMessage;
      steps.push(`send ${fd} ${message.type}${fds.length > 0 ? ` with ${fds.join()}` : ""}`);
      if (message.type === "refused") steps.push(message.reason);
    },
    readSealed: (fd) => {
      steps.push(`read ${fd}`);
      return Uint8Array.of(1, 2, 3);
    },
    makeSealed: () => 20,
    makeTicket: () => {
      steps.push("new ticket");
      return 21;
    },
    closeFd: (fd) => void closed.push(fd),
    resume: (_blob, tuns, sockets, _notify, ticket) => {
      steps.push(`resume ${tuns.join()} ${sockets.join()} with ticket ${ticket}`);
      if (faults.resume !== undefined) throw new Error(faults.resume);
      return [plane];
    },
    suspend: (handle) => {
      expect(handle).toBe(plane);
      steps.push("suspend");
      return [Uint8Array.of(9), [30], [31, 32]];
    },
    close: () => void steps.push("close"),
    resumedOptions: () => Array.from({ length: 13 }, (_, i) => (i === 12 ? 4_200 : 0)) as never,
  };
  const write = (event: string): void => void logged.push(event);
  const log = { debug: write, info: write, warn: write, error: write, setLevel: () => {} } as Log;
  let now = 0;
  const end = carry(
    { native, log, network: faults.network ?? NETWORK, now: () => now++ },
    LISTENER,
    "/nowhere/socket",
  );
  return { end, steps, closed, logged };
}

describe("a carrier", () => {
  test("goes on with what it gets, and gives it to who asks", () => {
    const { end, steps, closed, logged } = run([GIVEN, { type: "take" }]);
    expect(end).toBe("handed");
    expect(steps).toEqual([
      `accept ${LISTENER} ${AWAIT_MILLIS - 1}`,
      "receive 6 5000",
      "read 10",
      "resume 12 13,14 with ticket 11",
      "send 6 carrying",
      `receive 6 ${CARRY_MILLIS}`,
      "suspend",
      "new ticket",
      "send 6 handed with 20,21,30,31,32",
    ]);
    // The queue and the sockets are the plane's.
    expect(closed).toEqual([LISTENER, 10, 11]);
    expect(logged).toEqual(["carrying", "carry-handed"]);
  });

  test.each([
    ["another protocol", { ...GIVEN, protocol: CARRY_PROTOCOL + 1 }, "version 2 with its carrier"],
    ["another network namespace", { ...GIVEN, network: "net:[2]" }, "another network namespace"],
  ] as const)("refuses %s before it looks at anything", (_what, message, reason) => {
    const { end, steps, closed } = run([message]);
    expect(end).toBe("refused");
    expect(steps.slice(2)).toEqual(["send 6 refused", expect.stringContaining(reason)]);
    expect(closed).toEqual([LISTENER, ...FDS]);
  });

  test("refuses a network namespace that neither of both could find out", () => {
    expect(run([{ ...GIVEN, network: "" }], { network: "" }).end).toBe("refused");
  });

  test("refuses what it cannot read, and leaves the ticket to others", () => {
    const { end, steps, closed, logged } = run([GIVEN, { type: "take" }], { resume: "format 9" });
    expect(end).toBe("refused");
    expect(steps.slice(-3)).toEqual(["resume 12 13,14 with ticket 11", "send 6 refused", "format 9"]);
    expect(closed).toEqual([LISTENER, ...FDS]);
    expect(logged).toEqual(["carry-refused"]);
  });

  test.each([
    ["who says nothing", "late", "hipd is late"],
    ["who is gone", "gone", "hipd is gone"],
    ["nonsense", "garbage", "hipd is nonsense"],
    ["who takes before giving", { type: "take" }, '"take" was not asked for'],
  ] as const)("refuses %s", (_what, said, reason) => {
    const { end, steps } = run([said]);
    expect(end).toBe("refused");
    expect(steps.at(-1)).toBe(reason);
    expect(steps.join()).not.toContain("resume");
  });

  test.each([
    ["nobody comes", "late"],
    ["nobody holds the connection any more", "gone"],
    ["nonsense comes", "garbage"],
    ["something else comes", { type: "carrying", gapMicros: 1 }],
  ] as const)("gives up when %s", (_what, said) => {
    const { end, steps, logged } = run([GIVEN, said, { type: "take" }]);
    expect(end).toBe("abandoned");
    expect(steps.at(-1)).toBe("close");
    expect(steps).not.toContain("suspend");
    expect(logged).toEqual(["carrying", "carry-ended"]);
  });

  test("is not needed when nobody comes, and turns strangers away", () => {
    expect(run([])).toMatchObject({ end: "unused", closed: [LISTENER], logged: ["carry-unused"] });
    const { end, logged } = run([GIVEN, { type: "take" }], { strangers: 2 });
    expect([end, logged.slice(0, 3)]).toEqual(["handed", ["carry-refused", "carry-refused", "carrying"]]);
  });
});

describe("messages", () => {
  test("are read as they were said, and nothing else is", () => {
    const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
    expect(parseCarryMessage(bytes(GIVEN))).toEqual(GIVEN);
    for (const wrong of [
      null,
      [],
      "take",
      {},
      { type: "constructor" },
      { type: "__proto__" },
      { ...GIVEN, tuns: -1 },
      { ...GIVEN, tuns: 1.5 },
      { ...GIVEN, sockets: "2" },
      { ...GIVEN, version: undefined },
    ])
      expect(parseCarryMessage(bytes(wrong)), JSON.stringify(wrong)).toBeUndefined();
    const whole = bytes(GIVEN);
    for (let length = 0; length < whole.length; length++)
      expect(parseCarryMessage(whole.subarray(0, length))).toBeUndefined();
  });
});
