/** Finds peers that have lost their side of an association: we send, nothing comes back. */
import { after, type Deadline, type Hit, type Instant } from "../core/types.ts";
import type { Traffic } from "./control.ts";

/** Traffic is looked at this often while there is an association, in milliseconds. */
export const LIVENESS_INTERVAL = 10_000;

interface Seen {
  readonly txPackets: number;
  readonly rxPackets: number;
}

export class Liveness {
  #seen = new Map<Hit, Seen>();
  #next: Instant | undefined;

  deadline(): Deadline | undefined {
    return this.#next === undefined ? undefined : { at: this.#next, why: "look at traffic" };
  }

  /** Begins to look, if it does not yet. */
  start(now: Instant): void {
    this.#next ??= after(now, LIVENESS_INTERVAL);
  }

  /** True once per interval: the counters are wanted. */
  due(now: Instant): boolean {
    if (this.#next === undefined || this.#next > now) return false;
    this.#next = undefined;
    return true;
  }

  /** The usable peers that were sent something since the last look without a packet in return. */
  silent(traffic: readonly Traffic[], usable: (peer: Hit) => boolean, now: Instant): readonly Hit[] {
    const silent: Hit[] = [];
    const seen = new Map<Hit, Seen>();
    for (const { peer, txPackets, rxPackets } of traffic) {
      if (!usable(peer)) continue;
      const before = this.#seen.get(peer);
      seen.set(peer, { txPackets, rxPackets });
      if (before !== undefined && txPackets > before.txPackets && rxPackets === before.rxPackets) {
        silent.push(peer);
      }
    }
    this.#seen = seen;
    if (seen.size > 0) this.start(now);
    return silent;
  }
}
