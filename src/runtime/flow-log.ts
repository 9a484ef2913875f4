/** One log line for each flow that ended: who talked to whom, and how much. What was said never comes here. */
import { formatHit } from "../core/ip.ts";
import type { Hit } from "../core/types.ts";
import type { Log } from "./log.ts";
import type { FlowRecord } from "./native-flows.ts";

/** What counts flows. */
export interface FlowSource {
  /** Counts one of `sample` flows from now on; 0: none. */
  logFlows(sample: number): void;
  /** Flows that ended or rest; with `all` every one. */
  takeFlows(max: number, all: boolean): readonly FlowRecord[];
}

export interface FlowSettings {
  readonly flows: boolean;
  readonly flowSample: number;
}

/** How often they are asked for. */
const EVERY_MILLIS = 2_000;
/** Lines at a time: what is left waits in the tables, and what does not fit there is counted. */
export const MAX_LINES = 1_000;

const PROTOCOLS: Readonly<Record<number, string>> = {
  6: "tcp",
  17: "udp",
  58: "icmp",
  132: "sctp",
  33: "dccp",
};

export class FlowLog {
  readonly #source: FlowSource;
  readonly #log: Log;
  readonly #nameOf: (peer: Hit) => string | undefined;
  #sample = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: FlowSource, log: Log, nameOf: (peer: Hit) => string | undefined) {
    this.#source = source;
    this.#log = log;
    this.#nameOf = nameOf;
  }

  configure({ flows, flowSample }: FlowSettings): void {
    const sample = flows ? flowSample : 0;
    if (sample === this.#sample) return;
    if (sample === 0) {
      this.stop();
      return;
    }
    this.#sample = sample;
    this.#source.logFlows(sample);
    this.#timer ??= setInterval(() => this.#tell(false), EVERY_MILLIS).unref();
  }

  /** Tells what is there, and ends. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#sample === 0) return;
    this.#source.logFlows(0);
    while (this.#tell(true) === MAX_LINES) {
      // The tables are bounded, and nothing comes in any more.
    }
    this.#sample = 0;
  }

  #tell(all: boolean): number {
    const flows = this.#source.takeFlows(MAX_LINES, all);
    for (const flow of flows) this.#line(flow);
    return flows.length;
  }

  #line(flow: FlowRecord): void {
    const { peer, direction, family, localPort, peerPort, packets, bytes, end } = flow;
    const protocol = PROTOCOLS[flow.protocol] ?? String(flow.protocol);
    const hit = formatHit(peer);
    const name = this.#nameOf(peer);
    const way = direction === "out" ? "to" : "from";
    this.#log.info("flow", `${protocol} ${way} ${name ?? hit}`, {
      direction,
      protocol,
      family,
      localPort,
      peerPort,
      packets,
      bytes,
      first: new Date(flow.first).toISOString(),
      last: new Date(flow.last).toISOString(),
      end,
      sample: this.#sample,
      peer: name,
      hit,
    });
  }
}
