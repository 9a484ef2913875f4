/** What the path monitor remembers of one association: what it asked and waits for, and what is left when nothing happens. */
import { after, type Instant, type Path } from "../core/types.ts";
import type { PathQuality } from "./locator-views.ts";
import type { PathState } from "./path-quality.ts";
import { DEFAULT_PMTU, type Size } from "./pmtu.ts";

/** A path that was given up is not given up again so soon, and one that never answered a probe much later. */
export const DOWN_AGAIN = 2_000;
export const DOWN_AGAIN_MUTE = 60_000;
/** An answer that comes later than this after it was given up tells nothing. */
export const LATE_AFTER = 5_000;
/** A lone path without traffic for so long is hardly remembered: its size would be asked for again, anyway. */
export const REST_AFTER: number = DEFAULT_PMTU.confirm;

export interface Asked {
  readonly state: PathState;
  readonly kind: "alive" | "standby" | "size";
  readonly size: Size;
  readonly until: Instant;
  /** Nobody waits for the answer any more. It still tells how long a round trip takes now. */
  late?: boolean;
}

/** The answer to "does the path in use work?". */
export interface Round {
  readonly state: PathState;
  readonly startedAt: Instant;
  readonly step: number;
  readonly until: Instant;
  nextAt: Instant;
  sent: number;
}

/** The answer to "does this size fit?": a packet of the size and, beside it, a small one that must not be lost. */
export interface Trial {
  readonly state: PathState;
  readonly size: Size;
  readonly until: Instant;
  pilot: boolean;
}

export class Watch {
  paths: readonly PathState[] = [];
  current: PathState | undefined;
  /** The peer has answered along `current`: only there it may be probed (RFC 8046 5.6). */
  verified = false;
  /** Most associations ask nothing most of the time: then there is no map. */
  #asked: Map<number, Asked> | undefined;
  round: Round | undefined;
  trial: Trial | undefined;
  /** A trial that told nothing is not repeated before more traffic. */
  trials = 0;
  standbyAt: Instant | undefined;
  activeAt: Instant;
  imposed: number | undefined;

  constructor(now: Instant) {
    this.activeAt = now;
  }

  /** When it may be forgotten but for its quality, if nothing is under way; undefined: it may not. */
  get restAt(): Instant | undefined {
    const { current } = this;
    if (this.paths.length !== 1 || current === undefined || !this.verified) return undefined;
    if (this.imposed !== undefined) return undefined;
    if (current.downAt === undefined) return after(this.activeAt, REST_AFTER);
    return after(Math.max(this.activeAt, current.downAt) as Instant, DOWN_AGAIN_MUTE);
  }

  get asked(): Iterable<[number, Asked]> {
    return this.#asked ?? [];
  }

  ask(token: number, asked: Asked): void {
    this.#asked ??= new Map();
    this.#asked.set(token, asked);
  }

  /** What was asked with this token; once. */
  settle(token: number): Asked | undefined {
    const asked = this.#asked?.get(token);
    this.#asked?.delete(token);
    if (this.#asked?.size === 0) this.#asked = undefined;
    return asked;
  }
}

/** What is left of a watch while nothing happens: most associations, most of the time. */
export interface Rest extends PathQuality {
  readonly path: Path;
}
