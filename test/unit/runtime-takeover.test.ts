/** What one hipd writes for the next: whole or refused, and of a shape that is known. */
import { describe, expect, it } from "vitest";
import type { Instant, Spi } from "../../src/core/types.ts";
import type { HandedState } from "../../src/hip/takeover.ts";
import { resume, resumeFirst, STORED } from "../../src/runtime/early.ts";
import { serviceAddon } from "../../src/runtime/native-service.ts";
import {
  CONTROL_FORMAT,
  encodeControl,
  giveAway,
  type HandedControl,
  readControl,
} from "../../src/runtime/takeover.ts";
import { has } from "../../src/wire/packet.ts";
import { SEQ } from "../../src/wire/rfc7401.ts";
import { ESP_INFO } from "../../src/wire/rfc7402.ts";
import { read, sealed } from "../support/packets.ts";
import { type Node, Pair } from "../support/pair.ts";
import { Story } from "../support/story.ts";

/** Two hosts that know all that there is to know about each other. */
function handed(): HandedControl {
  const addresses = [
    ["10.0.1.1", "10.0.1.2"],
    ["10.0.2.1", "2001:db8:2::1"],
  ];
  const story = new Story({ mobile: true, addresses, host: { softPackets: 20 } }).begin();
  story.talk(story.alice, story.bob, 5000);
  for (let i = 0; i < 30; i++) {
    story.world.say(story.alice, story.bob);
    story.run(50);
  }
  const overlay = story.alice.overlay?.handOver();
  if (overlay === undefined) throw new Error("alice does not run");
  return { version: "1.2.3", now: 12.5 as Instant, boot: 99, overlay };
}

/**
 * One in the middle of everything: an UPDATE was refused, both offer new keys, an ACK is lost, our address is gone, no
 * question is answered.
 */
function busy(): HandedState {
  const pair = new Pair().settled(["192.0.2.1", "192.0.2.2"], ["198.51.100.7", "198.51.100.8"]);
  const { a, b } = pair;
  pair.input(b, { type: "away", seconds: 300 });
  pair.pass(100);
  const unknownSa = ESP_INFO.of({ keymatIndex: 0, oldSpi: 0x1111, newSpi: 0x2222 });
  pair.deliver(a, sealed(b, a.hit, "UPDATE", [unknownSa, SEQ.of({ updateId: 99 })]));
  const acknowledges = (bytes: Uint8Array): boolean => !has(read(bytes), SEQ);
  pair.filter = ({ from, bytes }) => from === a || !acknowledges(bytes);
  for (const node of [a, b])
    pair.input(node, { type: "esp", spi: node.sa("out")?.spi as Spi, event: "soft-expiry" });
  pair.pass(100);
  pair.filter = () => false;
  pair.move(a, "192.0.2.3", "192.0.2.2");
  a.holdJobs = ["seal"];
  pair.move(a, "192.0.2.3", "192.0.2.4");
  return stateOf(a);
}

function stateOf(node: Node): HandedState {
  return node.host.handOver().associations[0]?.state as HandedState;
}

/** One that is closed, at its own end and at the other. */
function closed(): readonly unknown[] {
  const pair = new Pair().establish();
  pair.filter = ({ name }) => name !== "CLOSE_ACK";
  pair.close(pair.a);
  pair.pass(100);
  const [ours, theirs] = [stateOf(pair.a), stateOf(pair.b)];
  if (ours.name !== "CLOSING" || theirs.name !== "CLOSED") throw new Error("they are not closed");
  // The same as of one that is open.
  const { session, ...closing } = ours;
  const { agreement, ...rest } = theirs;
  return [closing, rest];
}

/** The names and types of a value's fields, all the way down. */
function shape(value: unknown): unknown {
  if (value instanceof Uint8Array) return "bytes";
  if (Array.isArray(value)) return [...new Set(value.map((one) => JSON.stringify(shape(one))))].sort();
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, shape((value as Record<string, unknown>)[key])]),
  );
}

describe("the control plane's part", () => {
  it("comes back as it was, and the bytes are wiped", () => {
    const before = handed();
    const bytes = encodeControl(before);
    const read = readControl(bytes);
    expect(read.ok && read.value).toEqual(before);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
  });

  it("is refused when a single bit is another one", () => {
    const bytes = encodeControl(handed());
    for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 500)) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] as number) ^ 0x10;
      expect(readControl(damaged).ok, `byte ${at}`).toBe(false);
    }
    for (const length of [0, 1, 24, 25, 57, bytes.length - 1])
      expect(readControl(bytes.slice(0, length)).ok, `${length} bytes`).toBe(false);
  });

  it("of a newer or an older hipd is refused with both formats", () => {
    const at = "hipd-takeover-control".length + 3;
    for (const other of [CONTROL_FORMAT + 1, CONTROL_FORMAT - 1]) {
      const bytes = encodeControl(handed());
      bytes[at] = other;
      const read = readControl(bytes);
      expect(read.ok ? "" : read.error).toBe(
        `its control part has format ${other}, and this hipd understands ${CONTROL_FORMAT}`,
      );
    }
  });

  it("has the shape of its format: another one needs another CONTROL_FORMAT", () => {
    const { host, ...rest } = handed().overlay;
    const { associations, leftovers, r1s } = host;
    const parts = { association: associations[0], leftovers, r1s, rest };
    expect({ format: CONTROL_FORMAT, shape: shape(parts) }).toMatchSnapshot();
  });

  it("has the shape of its format also where associations are busy, or closed", () => {
    const state = busy();
    if (state.name !== "ESTABLISHED") throw new Error(`it is ${state.name}`);
    const { updates, mobility, rekey } = state.session;
    expect({
      format: CONTROL_FORMAT,
      rekey: shape(rekey),
      updates: shape(updates),
      mobility: shape(mobility),
      closed: closed().map(shape),
    }).toMatchSnapshot();
  });
});

describe("an inheritance", () => {
  it("there is none without descriptors of our own", async () => {
    expect(await resumeFirst({})).toBeUndefined();
    expect(await resumeFirst({ LISTEN_FDS: "1", LISTEN_PID: "1", LISTEN_FDNAMES: "x" })).toBeUndefined();
  });

  it("of two predecessors is none, in whatever order, and neither ticket is good any more", () => {
    const native = serviceAddon();
    const { ticket, plane, control } = STORED;
    const make = (name: string) => {
      const fd = name === ticket ? native.makeTicket() : native.makeSealed(name, new Uint8Array(8));
      return { name, fd };
    };
    for (const [names, reason] of [
      [[plane, control, ticket, plane], "more than one"],
      [[plane, plane, control, ticket], "more than one"],
      [[control, plane, control, ticket], "more than one"],
      [[ticket, plane, control, ticket], "more than one"],
      [[control, ticket], "not complete"],
      [[plane, control], "not complete"],
      [[plane, control, ticket], "is not a data plane"],
    ] as const) {
      const stored = names.map(make);
      const taken = resume(stored);
      expect(taken.ok ? "" : taken.reason, names.join()).toContain(reason);
      for (const { name, fd } of stored) {
        if (name === ticket) expect(native.takeTicket(fd), names.join()).toBe(false);
        native.closeFd(fd);
      }
    }
  });
});

describe("giving away", () => {
  it("stores the ticket last, and closes every descriptor also when something fails", () => {
    const closed: number[] = [];
    let next = 10;
    const native = {
      makeSealed: () => next++,
      makeTicket: () => next++,
      closeFd: (fd: number) => void closed.push(fd),
    };
    const names: string[] = [];
    const suspend = () => ({ blob: new Uint8Array(4), tunFds: [100], udpFds: [101, 102] });
    const bequest = { control: new Uint8Array(8), suspend };
    giveAway({ store: (name) => void names.push(name) }, native, bequest);
    expect(names).toEqual([
      STORED.control,
      `${STORED.tun}0`,
      `${STORED.udp}0`,
      `${STORED.udp}1`,
      STORED.plane,
      STORED.ticket,
    ]);
    expect(closed.sort()).toEqual([10, 100, 101, 102, 11, 12]);
    closed.length = 0;
    const full = {
      store: (name: string) => {
        if (name === STORED.plane) throw new Error("the store is full");
      },
    };
    expect(() => giveAway(full, native, bequest)).toThrow("the store is full");
    expect(closed.length).toBe(6);
  });
});
