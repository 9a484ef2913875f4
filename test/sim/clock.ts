/** Virtual time: a queue of things that will happen. Equal times happen in the order in which they were planned. */

interface Planned {
  readonly at: number;
  readonly order: number;
  task: (() => void) | undefined;
}

/** Takes a planned thing back. */
export type Cancel = () => void;

export class EventQueue {
  /** Milliseconds since the world began. */
  now = 0;
  readonly #heap: Planned[] = [];
  #order = 0;
  /** Things that have happened. */
  steps = 0;

  at(time: number, task: () => void): Cancel {
    const planned: Planned = { at: Math.max(time, this.now), order: this.#order++, task };
    this.#push(planned);
    return () => {
      planned.task = undefined;
    };
  }

  after(delay: number, task: () => void): Cancel {
    return this.at(this.now + delay, task);
  }

  /** Things that may happen within one millisecond: more is an endless loop. */
  static readonly CROWD = 200_000;
  #millisecond = 0;
  #crowd = 0;

  #countCrowd(): void {
    const millisecond = Math.floor(this.now);
    if (millisecond !== this.#millisecond) {
      this.#millisecond = millisecond;
      this.#crowd = 0;
    }
    if (++this.#crowd > EventQueue.CROWD) throw new Error(`time stands still: a loop at ${this.now} ms`);
  }

  /** Lets everything happen up to `time`, or until `until` holds. True when it did hold. */
  run(time: number, until?: () => boolean): boolean {
    for (;;) {
      if (until?.() === true) return true;
      const next = this.#heap[0];
      if (next === undefined || next.at > time) break;
      this.#pop();
      if (next.task === undefined) continue;
      this.now = next.at;
      this.steps++;
      this.#countCrowd();
      next.task();
    }
    this.now = time;
    return until?.() ?? false;
  }

  #push(planned: Planned): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(planned);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(planned, heap[parent] as Planned)) break;
      heap[i] = heap[parent] as Planned;
      i = parent;
    }
    heap[i] = planned;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Planned;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Planned, heap[child] as Planned)) child++;
      if (!before(heap[child] as Planned, last)) break;
      heap[i] = heap[child] as Planned;
      i = child;
    }
    heap[i] = last;
  }
}

function before(a: Planned, b: Planned): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
