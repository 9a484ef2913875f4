/** Tells the service manager that hipd works: only while the control loop answers and no data worker hangs. */

export interface Watched {
  /** Sends something through the control loop and calls back when it has come out. */
  turn(answered: () => void): void;
  /** How many data workers have had work for so long without doing any. */
  stalled(millis: number): number;
  /** WATCHDOG=1 */
  feed(): void;
  /** Once for each time that it stays hungry. */
  complain(reason: string): void;
}

export class Watchdog {
  readonly #watched: Watched;
  readonly #timer: NodeJS.Timeout;
  #hungry = false;

  /** `limit`: milliseconds after which the manager loses its patience. It is fed twice in that time. */
  constructor(watched: Watched, limit: number) {
    this.#watched = watched;
    const every = Math.max(1, Math.floor(limit / 2));
    this.#timer = setInterval(() => this.#look(every), every);
    this.#timer.unref();
  }

  #look(every: number): void {
    const reason = this.#hangs(every);
    if (reason === undefined) this.#watched.feed();
    else if (!this.#hungry) this.#watched.complain(reason);
    this.#hungry = reason !== undefined;
  }

  #hangs(every: number): string | undefined {
    const stalled = this.#watched.stalled(every);
    if (stalled > 0) return `data workers that hang: ${stalled}`;
    let answered = false;
    this.#watched.turn(() => {
      answered = true;
    });
    return answered ? undefined : "the control loop does not answer";
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
