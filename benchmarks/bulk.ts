/** One bulk stream or several at once through a lane: what arrived, what it cost, and the proof of the way that it took. */
import type { Background } from "../tools/lab/shell.ts";
import type { Entrant, Lane } from "./field.ts";
import { cpuTimes, processSeconds, residentMegabytes } from "./machine.ts";
import { sentBytes, UNDERLAY } from "./site.ts";

export interface BulkSample {
  /** As the receiver counts. */
  readonly gigabitsPerSecond: number;
  /** CPU seconds of the whole machine for each gigabyte. */
  readonly machineCpu: number;
  /** CPU seconds of the tunnel's processes at both ends for each gigabyte. */
  readonly tunnelCpu: number;
  /** Of the larger of the two processes of the tunnel, afterwards. */
  readonly residentMegabytes: number;
  /** Gbit/s of each tenth of a second. */
  readonly tenths: readonly number[];
}

/** What a sink says of a run (programs/bulk.h). */
interface Count {
  readonly bytes: number;
  readonly seconds: number;
  readonly tenths: readonly number[];
}

const PORT = 7001;
/** Of the received bytes, at least this share must have left through the tunnel's device and through the cable. */
const SHARE = 0.9;

const sinks = new WeakMap<Entrant, Promise<Background>>();

function sink(lane: Lane): Promise<Background> {
  const { entrant, target } = lane;
  const begun =
    sinks.get(entrant) ??
    (async () => {
      const stream = await entrant.running.stream(target, PORT);
      const process = entrant.site.server.namespace.spawn(stream.sink);
      await process.line((line) => line === "listening");
      process.out.length = 0;
      return process;
    })();
  sinks.set(entrant, begun);
  return begun;
}

/** A source that runs beside us; `ended` gives what the sink counted. */
export async function startBulk(
  lane: Lane,
  seconds: number,
  streams: number,
): Promise<{ ended: Promise<Count> }> {
  const { entrant, target } = lane;
  const counter = await sink(lane);
  const { source } = await entrant.running.stream(target, PORT);
  const seen = counter.out.length;
  const sending = entrant.site.client.namespace.run([...source, `${seconds}`, `${streams}`], {
    timeoutMillis: (seconds + 15) * 1000,
  });
  const ended = (async () => {
    await sending;
    const line = await counter.until(
      () => counter.out[seen],
      20_000,
      () => `waiting for the count of ${lane.name}`,
    );
    return JSON.parse(line) as Count;
  })();
  ended.catch(() => {}); // whoever waits for it gets the error
  return { ended };
}

export async function measureBulk(lane: Lane, seconds: number, streams: number): Promise<BulkSample> {
  await sink(lane);
  const { running, site } = lane.entrant;
  const tunnel = (): number => running.pids.reduce((sum, pid) => sum + processSeconds(pid), 0);
  const sent = (): Promise<number[]> =>
    Promise.all([running.device, UNDERLAY].map((device) => sentBytes(site.client, device)));
  const before = { cpu: cpuTimes(), tunnel: tunnel(), sent: await sent() };
  const { ended } = await startBulk(lane, seconds, streams);
  const count = await ended;
  const after = { cpu: cpuTimes(), tunnel: tunnel(), sent: await sent() };
  for (const [i, device] of [running.device, UNDERLAY].entries()) {
    const passed = (after.sent[i] ?? 0) - (before.sent[i] ?? 0);
    if (passed < SHARE * count.bytes) {
      throw new Error(
        `${lane.name}: ${count.bytes} bytes arrived, but only ${passed} left through ${device}`,
      );
    }
  }
  const gigabytes = count.bytes / 1e9;
  return {
    gigabitsPerSecond: (gigabytes * 8) / count.seconds,
    machineCpu: (after.cpu.busy - before.cpu.busy) / gigabytes,
    tunnelCpu: (after.tunnel - before.tunnel) / gigabytes,
    residentMegabytes: Math.max(0, ...running.pids.map(residentMegabytes)),
    tenths: count.tenths.map((bytes) => (bytes * 8) / 1e8),
  };
}
