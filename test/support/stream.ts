/** Messages at a steady pace, and what becomes of them: how many are lost, and the longest time in which none arrives. */
import type { Daemon } from "../sim/daemon.ts";
import type { World } from "../sim/world.ts";

export interface StreamReport {
  readonly sent: number;
  readonly lost: number;
  /** Milliseconds between two arrivals, at most. */
  readonly gap: number;
}

export class Stream {
  readonly #world: World;
  readonly #from: Daemon;
  readonly #to: Daemon;
  readonly #sent = new Set<number>();
  #arrived = 0;
  #last: number;
  #gap = 0;
  #running = true;

  /** One message each `interval` milliseconds from now on. */
  constructor(world: World, from: Daemon, to: Daemon, interval = 1) {
    this.#world = world;
    this.#from = from;
    this.#to = to;
    this.#last = world.queue.now;
    const before = world.onDelivered;
    world.onDelivered = (sender, receiver, message) => {
      before(sender, receiver, message);
      if (sender === from && receiver === to && this.#sent.delete(message.id)) this.#hear();
    };
    const next = (): void => {
      if (!this.#running) return;
      this.#sent.add(world.say(from, to));
      world.queue.after(interval, next);
    };
    next();
  }

  #hear(): void {
    const { now } = this.#world.queue;
    this.#gap = Math.max(this.#gap, now - this.#last);
    this.#last = now;
    this.#arrived++;
  }

  /** Ends it, and waits a moment for what is on its way. */
  end(): StreamReport {
    this.#running = false;
    this.#world.run(500);
    return { sent: this.#sent.size + this.#arrived, lost: this.#sent.size, gap: this.#gap };
  }

  get name(): string {
    return `${this.#from.name} to ${this.#to.name}`;
  }
}
