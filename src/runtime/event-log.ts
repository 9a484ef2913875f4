/** One log line for each association event; a flood of them is thinned, and told. */
import { RateLimit } from "../core/bounded.ts";
import type { OverlayEvent } from "../overlay/control.ts";
import { levelOf } from "./catalogue/log-lines.ts";
import { readableDetail } from "./event-detail.ts";
import type { Log, LogFields } from "./log.ts";

/** Lines of events that somebody outside can cause. */
const LINES_PER_SECOND = 50;
const LINES_AT_ONCE = 500;

export class EventLog {
  readonly #log: Log;
  readonly #limit = new RateLimit(LINES_PER_SECOND, LINES_AT_ONCE);
  #suppressed = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** `now` in milliseconds of any clock that does not go back. */
  add(event: OverlayEvent, now: number): void {
    if (!this.#limit.take(now)) {
      this.#suppressed++;
      return;
    }
    if (this.#suppressed > 0) {
      this.#log.warn("events-suppressed", "events came too fast to be logged", { count: this.#suppressed });
      this.#suppressed = 0;
    }
    const { name, peer, hit, number, detail } = event;
    const fields: LogFields = {
      ...readableDetail(detail),
      number,
      peer: peer ?? undefined,
      hit: hit ?? undefined,
    };
    this.#log[levelOf(name)](name, name.replaceAll("-", " "), fields);
  }
}
