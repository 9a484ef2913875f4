/** Calls that come in a storm are gathered: waking the main thread for each costs more than what it is woken for. */

/** So many in one window are carried out at once, as those of any exchange are. */
const AT_ONCE = 25;
const WINDOW_MILLIS = 50;
/** Beyond that: one after so long for all that come meanwhile. */
const GATHER_MILLIS = 2;

export class Pace {
  readonly #run: () => void;
  readonly #now: () => number;
  #begun = Number.NEGATIVE_INFINITY;
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(run: () => void, now: () => number = () => performance.now()) {
    this.#run = run;
    this.#now = now;
  }

  /** Runs at once, or together with others a moment later. */
  ring(): void {
    if (this.#timer !== undefined) return;
    const now = this.#now();
    if (now - this.#begun >= WINDOW_MILLIS) {
      this.#begun = now;
      this.#count = 0;
    }
    if (++this.#count <= AT_ONCE) {
      this.#run();
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#run();
    }, GATHER_MILLIS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
