/** hipctl top: what each peer does now, again every moment. */
import type { Command } from "commander";
import type { ControlClient } from "../../runtime/control-client.ts";
import { type Context, contextOf, orFail, timeSpan } from "../context.ts";
import { type Io, json, jsonLine, type Terminal } from "../output.ts";
import { type Frame, frameBetween, type Sample, takeSample } from "../sampling.ts";
import { Screen } from "../terminal.ts";
import { frameLines, isSort, type Look, type Sort } from "../top/frame.ts";

interface TopOptions {
  readonly interval: string;
  readonly once?: boolean;
}

const INTERVAL = "2s";
const CTRL_C = "\x03";

export function addTop(program: Command, io: Io): void {
  program
    .command("top")
    .description("show throughput, round trip, loss and handovers of each peer, live")
    .option("-i, --interval <time>", "between two looks: 2s, 500ms", INTERVAL)
    .option("--once", "one look over one interval, then end")
    .action(async (options: TopOptions, command: Command) => {
      const context = contextOf(command, io);
      const interval = timeSpan("--interval", 100, 3_600_000)(options.interval);
      await context.withClient(async (client) => {
        const live = options.once !== true && !context.json && io.terminal !== undefined;
        const view = live ? new Live(io, io.terminal as Terminal, interval) : undefined;
        try {
          await follow(context, client, interval, options.once === true, view);
        } finally {
          view?.close();
        }
      });
    });
}

/** Looks again and again until somebody wants an end. */
async function follow(
  context: Context,
  client: ControlClient,
  interval: number,
  once: boolean,
  view: Live | undefined,
): Promise<void> {
  const { io } = context;
  const pause = new Pause();
  const restore = io.onInterrupt(() => pause.end());
  if (view !== undefined) view.onQuit = () => pause.end();
  try {
    let before = await look(client, io);
    view?.begin(before);
    while (await pause.for(interval)) {
      const after = await look(client, io);
      const frame = frameBetween(before, after);
      before = after;
      if (view !== undefined) view.show(frame);
      else if (context.json) io.out(once ? json(frame) : jsonLine(frame));
      else io.out(plainText(frame, interval, io.color, once));
      if (once) return;
    }
  } finally {
    restore();
  }
}

async function look(client: ControlClient, io: Io): Promise<Sample> {
  return orFail(await takeSample(client, { at: () => performance.now(), wall: io.now }));
}

/** Frames of a stream are divided by an empty line. */
function plainText(frame: Frame, interval: number, color: boolean, once: boolean): string {
  const look = { sort: "t", interval: interval / 1000, paused: false, color, size: undefined } as const;
  return `${frameLines(frame, look).join("\n")}\n${once ? "" : "\n"}`;
}

/** A pause that can be ended for good. */
class Pause {
  #ended = false;
  #wake: (() => void) | undefined;

  /** True when the time has passed, false when there is to be no more. */
  for(millis: number): Promise<boolean> {
    if (this.#ended) return Promise.resolve(false);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(true), millis);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(false);
      };
    });
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }
}

/** The whole screen, and the keys. */
class Live {
  onQuit: () => void = () => {};
  readonly #io: Io;
  readonly #terminal: Terminal;
  readonly #interval: number;
  readonly #screen: Screen;
  readonly #restore: readonly (() => void)[];
  #frame: Frame | undefined;
  #sort: Sort = "t";
  #paused = false;

  constructor(io: Io, terminal: Terminal, interval: number) {
    this.#io = io;
    this.#terminal = terminal;
    this.#interval = interval;
    this.#screen = new Screen(terminal.draw ?? io.out);
    this.#restore = [terminal.keys((key) => this.#key(key)), terminal.onResize(() => this.#draw())];
  }

  /** Before the first interval is over there are states, but no rates. */
  begin(sample: Sample): void {
    this.show(frameBetween(sample, sample));
  }

  show(frame: Frame): void {
    if (this.#paused) return;
    this.#frame = frame;
    this.#draw();
  }

  close(): void {
    for (const restore of this.#restore) restore();
    this.#screen.close();
  }

  #key(key: string): void {
    if (key === "q" || key === "Q" || key === CTRL_C) {
      this.onQuit();
      return;
    }
    if (key === " ") this.#paused = !this.#paused;
    else if (isSort(key.toLowerCase())) this.#sort = key.toLowerCase() as Sort;
    else return;
    this.#draw();
  }

  #draw(): void {
    if (this.#frame === undefined) return;
    const look: Look = {
      sort: this.#sort,
      interval: this.#interval / 1000,
      paused: this.#paused,
      color: this.#io.color,
      size: { columns: this.#terminal.columns(), rows: this.#terminal.rows() },
    };
    this.#screen.draw(frameLines(this.#frame, look));
  }
}
