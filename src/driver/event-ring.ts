/** The last events, for those who come late, and everybody who wants to hear the next ones. */
import { BoundedMap } from "../core/bounded.ts";
import type { OverlayEvent } from "../overlay/control.ts";

/** Events that are remembered. */
export const REMEMBERED_EVENTS = 1024;
/** Subscribers at once. */
export const MAX_SUBSCRIBERS = 64;

export class EventRing {
  readonly #events: OverlayEvent[] = [];
  readonly #listeners = new BoundedMap<number, (event: OverlayEvent) => void>(
    "event_subscribers",
    MAX_SUBSCRIBERS,
    "refuse",
  );
  #ids = 0;

  get subscribers(): number {
    return this.#listeners.size;
  }

  add(event: OverlayEvent): void {
    this.#events.push(event);
    if (this.#events.length > REMEMBERED_EVENTS) this.#events.shift();
    for (const listener of [...this.#listeners.values()]) listener(event);
  }

  /**
   * Gives the remembered events with a number of at least `since` (undefined: none), then every new one, until the
   * returned function is called. Undefined: there are too many subscribers.
   */
  subscribe(since: number | undefined, listener: (event: OverlayEvent) => void): (() => void) | undefined {
    const id = ++this.#ids;
    if (!this.#listeners.set(id, listener)) return undefined;
    if (since !== undefined) {
      for (const event of [...this.#events]) if (event.number >= since) listener(event);
    }
    return () => {
      this.#listeners.delete(id);
    };
  }
}
