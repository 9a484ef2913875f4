/** The terminal that hipctl runs in: its size, its keys, a line of progress, and the whole screen for what is live. */
import type { Terminal } from "./output.ts";

const ESCAPE = "\x1b";
const CLEAR_LINE = `\r${ESCAPE}[K`;

/** Colours, and what could make a terminal do anything else: control characters, and what turns the direction of writing around. */
const CONTROLS = new RegExp(`${ESCAPE}\\[[0-9;]{0,16}m|\\p{Cc}|[\\u202a-\\u202e\\u2066-\\u2069]`, "gu");

/** Text that may hold what others have named, fit for a terminal: all that is left are its lines, tabs and colours. */
export function harmless(text: string): string {
  return text.replace(CONTROLS, (found) =>
    found === "\n" || found === "\t" || found.endsWith("m") ? found : "\ufffd",
  );
}

/** Of this process; `draw` writes to it as it is. Keys come only when standard input is a terminal, too. */
export function terminal(draw: (text: string) => void): Terminal {
  return {
    draw,
    columns: () => process.stdout.columns || 80,
    rows: () => process.stdout.rows || 24,
    keys: (each) => {
      const { stdin } = process;
      if (!stdin.isTTY) return () => {};
      const onData = (data: Buffer): void => {
        for (const key of data.toString("latin1")) each(key);
      };
      stdin.setRawMode(true);
      stdin.on("data", onData);
      stdin.resume();
      return () => {
        stdin.off("data", onData);
        stdin.setRawMode(false);
        stdin.pause();
      };
    },
    onResize: (action) => {
      process.stdout.on("resize", action);
      return () => {
        process.stdout.off("resize", action);
      };
    },
  };
}

/** One line that the next call replaces; "" removes it. */
export function progressLine(write: (text: string) => void): (text: string) => void {
  let shown = false;
  return (text) => {
    if (text === "" && !shown) return;
    shown = text !== "";
    write(`${CLEAR_LINE}${harmless(text)}`);
  };
}

/** The alternate screen: what stood there before is back when it closes. */
export class Screen {
  readonly #write: (text: string) => void;
  #open = true;

  constructor(write: (text: string) => void) {
    this.#write = write;
    // The other screen, no cursor, and long lines end at the edge.
    write(`${ESCAPE}[?1049h${ESCAPE}[?25l${ESCAPE}[?7l${ESCAPE}[H${ESCAPE}[2J`);
  }

  /** Draws over what is there, so that nothing flickers. */
  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    this.#write(`${ESCAPE}[H${lines.map((line) => `${harmless(line)}${ESCAPE}[K`).join("\r\n")}${ESCAPE}[J`);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#write(`${ESCAPE}[?7h${ESCAPE}[?25h${ESCAPE}[?1049l`);
  }
}
