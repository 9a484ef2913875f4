/** What is known about one pair of addresses: round trip, loss, size; smoothed as RFC 6298 does. */
import type { Instant, Path } from "../core/types.ts";
import type { PathQuality } from "./locator-views.ts";
import { Pmtu, type PmtuOptions } from "./pmtu.ts";

/** Weight of the newest round trip, of its variation, and of the newest probe's fate. */
const ALPHA = 1 / 8;
const BETA = 1 / 4;
const LOSS = 1 / 16;
/** Probes wait at least that long for their answer, and this much more than a round trip takes. */
const PATIENCE = 50;

export class PathState {
  readonly path: Path;
  readonly pmtu: Pmtu;
  #rtt: number | undefined;
  #variation = 0;
  #loss: number | undefined;
  /** Probes in a row that were not answered. */
  missed = 0;
  /** When it was given up last; undefined: it works. */
  downAt: Instant | undefined;

  /** `known` of an earlier time. */
  constructor(path: Path, { rttMillis, loss }: Partial<PathQuality>, pmtu: PmtuOptions) {
    this.path = path;
    this.#loss = loss;
    this.pmtu = new Pmtu(path.remote.address.includes(":"), pmtu);
    if (rttMillis === undefined) return;
    this.#rtt = rttMillis;
    this.#variation = rttMillis / 2;
  }

  /** Whether it ever answered a probe. Another implementation may never do. */
  get answers(): boolean {
    return this.#loss !== undefined && this.#loss < 1;
  }

  answered(millis: number): void {
    this.missed = 0;
    this.downAt = undefined;
    // What was lost before the first answer says that the path was not there yet, not that it loses.
    this.#loss = this.answers && this.#loss !== undefined ? this.#loss * (1 - LOSS) : 0;
    if (this.#rtt === undefined) {
      this.#rtt = millis;
      this.#variation = millis / 2;
      return;
    }
    this.#variation += BETA * (Math.abs(this.#rtt - millis) - this.#variation);
    this.#rtt += ALPHA * (millis - this.#rtt);
  }

  lost(): void {
    this.missed++;
    this.#loss = this.#loss === undefined ? 1 : this.#loss + LOSS * (1 - this.#loss);
  }

  /** How long an answer may take; `unknown`: where no round trip was measured yet. */
  patience(unknown: number): number {
    return this.#rtt === undefined ? unknown : this.#rtt + 4 * this.#variation + PATIENCE;
  }

  get quality(): PathQuality {
    return { rttMillis: this.#rtt, loss: this.#loss, mtu: this.pmtu.arrived };
  }
}
