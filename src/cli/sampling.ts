/** Rates: what a host and its peers do in a second, from two looks at their counters. */
import type { Result } from "../core/types.ts";
import { dropsIn } from "../runtime/catalogue/drops.ts";
import type { ClientError, ControlClient } from "../runtime/control-client.ts";
import type { PeerView, StatusView } from "./views.ts";

/** One look. `at` is a monotonic time in milliseconds, `time` one that people read. */
export interface Sample {
  readonly at: number;
  readonly time: string;
  readonly status: StatusView;
  readonly counters: Readonly<Record<string, number>>;
}

export interface Rates {
  readonly txBytesPerSecond: number;
  readonly rxBytesPerSecond: number;
  readonly txPacketsPerSecond: number;
  readonly rxPacketsPerSecond: number;
}

export interface PeerRates extends Rates {
  readonly name: string;
  readonly hit: string | null;
  readonly lsi: string | null;
  readonly state: string;
  readonly suite: string | null;
  readonly path: PeerView["path"];
  readonly pathState: PeerView["pathState"];
  readonly rttMillis: number | null;
  readonly loss: number | null;
  readonly handovers: number;
  readonly lastError: string | null;
}

/** Drops are counted for the host: a packet that is dropped often belongs to no peer. */
export interface DropRate {
  readonly layer: string;
  readonly reason: string;
  /** "look": somebody should look when it grows; "normal": happens in any network. */
  readonly concern: string;
  readonly perSecond: number;
  readonly total: number;
}

/** What happened between two looks. */
export interface Frame {
  readonly time: string;
  readonly seconds: number;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly total: Rates & { readonly dropsPerSecond: number };
  readonly peers: readonly PeerRates[];
  /** Of every reason that ever was, the most frequent ones first. */
  readonly drops: readonly DropRate[];
}

export async function takeSample(
  client: ControlClient,
  clock: { readonly at: () => number; readonly wall: () => number },
): Promise<Result<Sample, ClientError>> {
  const [status, counters] = await Promise.all([
    client.call<StatusView>("GetStatus", {}),
    client.call<{ readonly counters: Record<string, number> }>("GetCounters", {}),
  ]);
  if (!status.ok) return status;
  if (!counters.ok) return counters;
  const time = new Date(clock.wall()).toISOString();
  const sample = { at: clock.at(), time, status: status.value, counters: counters.value.counters };
  return { ok: true, value: sample };
}

type Counted = "txBytes" | "rxBytes" | "txPackets" | "rxPackets";

/** The rates between two samples; `after` is the later one. */
export function frameBetween(before: Sample, after: Sample): Frame {
  const seconds = Math.max(0.001, (after.at - before.at) / 1000);
  const restarted = after.status.uptimeSeconds < before.status.uptimeSeconds;
  const former = new Map(restarted ? [] : before.status.peers.map((peer) => [peer.name, peer]));
  const peers = after.status.peers.map((peer) => peerRates(former.get(peer.name), peer, seconds));
  const sum = (pick: (peer: PeerRates) => number): number =>
    peers.reduce((total, peer) => total + pick(peer), 0);
  const drops = dropRates(restarted ? {} : before.counters, after.counters, seconds);
  return {
    time: after.time,
    seconds: round(seconds),
    version: after.status.version,
    uptimeSeconds: after.status.uptimeSeconds,
    total: {
      txBytesPerSecond: sum((peer) => peer.txBytesPerSecond),
      rxBytesPerSecond: sum((peer) => peer.rxBytesPerSecond),
      txPacketsPerSecond: sum((peer) => peer.txPacketsPerSecond),
      rxPacketsPerSecond: sum((peer) => peer.rxPacketsPerSecond),
      dropsPerSecond: round(drops.reduce((total, drop) => total + drop.perSecond, 0)),
    },
    peers,
    drops,
  };
}

function peerRates(before: PeerView | undefined, after: PeerView, seconds: number): PeerRates {
  const rate = (key: Counted): number => {
    if (before === undefined) return 0;
    // Counters are those of the present association: with a new one they begin at nothing.
    return Math.round(grownBy(before[key], after[key]) / seconds);
  };
  const { name, hit, lsi, state, suite, path, pathState, rttMillis, loss, handovers, lastError } = after;
  return {
    name,
    hit,
    lsi,
    state,
    suite,
    path,
    pathState,
    rttMillis,
    loss,
    handovers,
    lastError,
    txBytesPerSecond: rate("txBytes"),
    rxBytesPerSecond: rate("rxBytes"),
    txPacketsPerSecond: rate("txPackets"),
    rxPacketsPerSecond: rate("rxPackets"),
  };
}

function dropRates(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  seconds: number,
): readonly DropRate[] {
  const former = new Map(dropsIn(before).map((drop) => [`${drop.layer} ${drop.reason}`, drop.count]));
  return dropsIn(after)
    .filter(({ count }) => count > 0)
    .map(({ layer, reason, concern, count }) => {
      const grown = grownBy(former.get(`${layer} ${reason}`) ?? 0, count);
      return { layer, reason, concern, perSecond: round(grown / seconds), total: count };
    });
}

/** Of a counter that began anew meanwhile, what it has now. */
function grownBy(before: number, after: number): number {
  return after >= before ? after - before : after;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
