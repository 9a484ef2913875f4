/** The flow log: lines, names, limits, and what turns it on and off. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Hit } from "../../src/core/types.ts";
import { FlowLog, type FlowSource, MAX_LINES } from "../../src/runtime/flow-log.ts";
import { decodeFlows, type FlowRecord } from "../../src/runtime/native-flows.ts";
import { BOB, CAROL } from "../support/overlay.ts";
import { memoryLog } from "../support/runtime.ts";

const FLOW: FlowRecord = {
  peer: BOB,
  protocol: 6,
  family: "lsi",
  direction: "out",
  end: "closed",
  localPort: 40_000,
  peerPort: 5432,
  packets: 12,
  bytes: 3_400,
  first: Date.UTC(2030, 0, 1),
  last: Date.UTC(2030, 0, 1, 0, 0, 5),
};

class Source implements FlowSource {
  readonly samples: number[] = [];
  readonly asked: boolean[] = [];
  waiting: FlowRecord[] = [];

  logFlows(sample: number): void {
    this.samples.push(sample);
  }
  takeFlows(max: number, all: boolean): readonly FlowRecord[] {
    this.asked.push(all);
    return this.waiting.splice(0, max);
  }
}

function setUp() {
  const source = new Source();
  const { log, lines } = memoryLog();
  const flows = new FlowLog(source, log, (hit: Hit) => (hit === BOB ? "bob" : undefined));
  return { source, lines, flows };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the flow log", () => {
  test("is off until it is wanted: nothing is counted, nothing asked for", () => {
    const { source, lines, flows } = setUp();
    flows.configure({ flows: false, flowSample: 4 });
    vi.advanceTimersByTime(60_000);
    flows.stop();
    expect([source.samples, source.asked, lines]).toEqual([[], [], []]);
  });

  test("writes a line with the documented fields for each flow", () => {
    const { source, lines, flows } = setUp();
    flows.configure({ flows: true, flowSample: 4 });
    expect(source.samples).toEqual([4]);
    source.waiting = [FLOW, { ...FLOW, peer: CAROL, protocol: 99, direction: "in" }];
    vi.advanceTimersByTime(2_000);
    expect(lines[0]).toMatchObject({
      level: "info",
      event: "flow",
      msg: "tcp to bob",
      direction: "out",
      protocol: "tcp",
      family: "lsi",
      localPort: 40_000,
      peerPort: 5432,
      packets: 12,
      bytes: 3_400,
      first: "2030-01-01T00:00:00.000Z",
      last: "2030-01-01T00:00:05.000Z",
      end: "closed",
      sample: 4,
      peer: "bob",
      hit: "2001:22:bbbb:bbbb:bbbb:bbbb:bbbb:bbbb",
    });
    expect(lines[1]).toMatchObject({
      protocol: "99",
      msg: "99 from 2001:22:cccc:cccc:cccc:cccc:cccc:cccc",
    });
    expect(lines[1]).not.toHaveProperty("peer");
    flows.stop();
  });

  test("tells all that is left when it is turned off, and is quiet then", () => {
    const { source, lines, flows } = setUp();
    flows.configure({ flows: true, flowSample: 1 });
    source.waiting = new Array<FlowRecord>(MAX_LINES + 1).fill(FLOW);
    flows.configure({ flows: false, flowSample: 1 });
    expect(lines).toHaveLength(MAX_LINES + 1);
    expect(source.asked).toEqual([true, true]);
    expect(source.samples).toEqual([1, 0]);
    vi.advanceTimersByTime(60_000);
    expect(source.asked).toHaveLength(2);
  });

  test("writes only so many lines at a time, and follows another sample", () => {
    const { source, lines, flows } = setUp();
    flows.configure({ flows: true, flowSample: 1 });
    source.waiting = new Array<FlowRecord>(MAX_LINES + 7).fill(FLOW);
    vi.advanceTimersByTime(2_000);
    expect(lines).toHaveLength(MAX_LINES);
    flows.configure({ flows: true, flowSample: 10 });
    vi.advanceTimersByTime(2_000);
    expect(lines).toHaveLength(MAX_LINES + 7);
    expect(source.samples).toEqual([1, 10]);
    flows.stop();
  });
});

test("records of the data plane are read", () => {
  const bytes = new Uint8Array(57);
  const view = new DataView(bytes.buffer);
  bytes.set([0x20, 1, 0, 0x22], 0);
  bytes.set([17, 6, 1, 1], 16);
  view.setUint16(20, 53, true);
  view.setUint16(22, 40_000, true);
  [3, 400, 1000, 2000].forEach((value, i) => {
    view.setFloat64(24 + 8 * i, value, true);
  });
  expect(decodeFlows(bytes)).toEqual([
    {
      peer: `20010022${"0".repeat(24)}`,
      protocol: 17,
      family: "hit",
      direction: "in",
      end: "idle",
      localPort: 53,
      peerPort: 40_000,
      packets: 3,
      bytes: 400,
      first: 1000,
      last: 2000,
    },
  ]);
});
