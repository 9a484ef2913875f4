/** What a report tells: everything that was asked of hipd, and what was seen while it watched. */
import type { OverlayEvent } from "../../overlay/control.ts";
import type { LocatorList } from "../commands/locator.ts";
import { type DropRate, frameBetween, type Sample } from "../sampling.ts";
import type { AssociationDetails, PeerView, StatusView } from "../views.ts";

export interface Machine {
  readonly host: string;
  readonly kernel: string;
  readonly os: string;
  readonly processors: number;
  readonly memoryBytes: number;
}

/** All that the page is made of. */
export interface Report {
  /** ISO 8601, the end of the observation. */
  readonly madeAt: string;
  readonly hipctl: string;
  readonly machine: Machine;
  /** At the end. */
  readonly status: StatusView;
  readonly associations: readonly AssociationDetails[];
  readonly locators: LocatorList;
  readonly observed: Observed;
  /** What hipd remembers, oldest first. */
  readonly events: readonly OverlayEvent[];
}

export interface Observed {
  readonly seconds: number;
  /** Seconds since the begin, one for each value of the series. */
  readonly at: readonly number[];
  /** In the order of traffic, the busiest first. */
  readonly peers: readonly Series[];
  /** `total`: since hipd started; `perSecond`: while it was watched. */
  readonly drops: readonly DropRate[];
}

/** One peer while it was watched; a null is a moment at which nothing was known. */
export interface Series {
  readonly name: string;
  readonly tx: readonly number[];
  readonly rx: readonly number[];
  readonly rtt: readonly (number | null)[];
  readonly loss: readonly (number | null)[];
  /** Bytes a second, on average. */
  readonly meanTx: number;
  readonly meanRx: number;
}

/** Rates between neighbours of at least two samples. */
export function observe(samples: readonly Sample[]): Observed {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || first === last) {
    return { seconds: 0, at: [], peers: [], drops: [] };
  }
  const frames = samples.slice(1).map((sample, i) => frameBetween(samples[i] as Sample, sample));
  const whole = frameBetween(first, last);
  const peers = whole.peers.map(({ name }, row): Series => {
    const each = frames.map((frame) => {
      // Peers come and go, but mostly stay where they are in the list.
      const there = frame.peers[row];
      return there?.name === name ? there : frame.peers.find((peer) => peer.name === name);
    });
    const tx = each.map((peer) => peer?.txBytesPerSecond ?? 0);
    const rx = each.map((peer) => peer?.rxBytesPerSecond ?? 0);
    return {
      name,
      tx,
      rx,
      rtt: each.map((peer) => peer?.rttMillis ?? null),
      loss: each.map((peer) => peer?.loss ?? null),
      meanTx: mean(tx),
      meanRx: mean(rx),
    };
  });
  peers.sort((a, b) => b.meanTx + b.meanRx - a.meanTx - a.meanRx);
  const at = samples.slice(1).map((sample) => (sample.at - first.at) / 1000);
  return { seconds: whole.seconds, at, peers, drops: whole.drops };
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** How a peer does, in one word that colours and texts are chosen by. */
export type Health = "good" | "doubtful" | "bad" | "idle";

export const HEALTH_TEXT: Readonly<Record<Health, string>> = {
  good: "connected",
  doubtful: "doubtful",
  bad: "not reachable",
  idle: "no association",
};

const MUCH_LOSS = 0.05;

export function healthOf(peer: PeerView): Health {
  switch (peer.state) {
    case "ESTABLISHED":
    case "R2-SENT":
      return peer.pathState === "unverified" || (peer.loss ?? 0) > MUCH_LOSS ? "doubtful" : "good";
    case "E-FAILED":
      return "bad";
    case "UNASSOCIATED":
    case "CLOSED":
    case "CLOSING":
      return peer.lastError === null ? "idle" : "bad";
    default:
      return "doubtful";
  }
}

/** Health as a symbol, for those who do not see colours. */
export const HEALTH_SIGN: Readonly<Record<Health, string>> = {
  good: "●",
  doubtful: "◐",
  bad: "✕",
  idle: "○",
};
