/** Which associations carry traffic: the counters are looked at once in a while. */
import { after, type Deadline, type Hit, type Instant } from "../core/types.ts";
import type { Traffic } from "./control.ts";

/** Traffic is looked at this often while there is an association, in milliseconds. */
export const ACTIVITY_INTERVAL = 10_000;

interface Seen {
  readonly txPackets: number;
  readonly rxPackets: number;
}

export interface Active {
  /** Packets went there since the last look. */
  readonly sent: readonly Hit[];
  /** Packets went or came. */
  readonly active: readonly Hit[];
}

export class Activity {
  #seen = new Map<Hit, Seen>();
  #next: Instant | undefined;

  deadline(): Deadline | undefined {
    return this.#next === undefined ? undefined : { at: this.#next, why: "look at traffic" };
  }

  /** Begins to look, if it does not yet. */
  start(now: Instant): void {
    this.#next ??= after(now, ACTIVITY_INTERVAL);
  }

  /** True once per interval: the counters are wanted. */
  due(now: Instant): boolean {
    if (this.#next === undefined || this.#next > now) return false;
    this.#next = undefined;
    return true;
  }

  /** What happened since the last look between us and peers that packets can go to. */
  look(traffic: readonly Traffic[], usable: (peer: Hit) => boolean, now: Instant): Active {
    const sent: Hit[] = [];
    const active: Hit[] = [];
    const seen = new Map<Hit, Seen>();
    let any = false;
    for (const { peer, txPackets, rxPackets } of traffic) {
      if (!usable(peer)) continue;
      any = true;
      const before = this.#seen.get(peer);
      const tx = txPackets > (before?.txPackets ?? 0);
      // Many never see a packet: those need no entry.
      if (txPackets > 0 || rxPackets > 0) seen.set(peer, { txPackets, rxPackets });
      if (tx) sent.push(peer);
      if (tx || rxPackets > (before?.rxPackets ?? 0)) active.push(peer);
    }
    this.#seen = seen;
    if (any) this.start(now);
    return { sent, active };
  }
}
