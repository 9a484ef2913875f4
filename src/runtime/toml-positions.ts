/** Where each key and value of a TOML document stands, so that an error can name its line and column. */

export interface Position {
  /** Both count from 1. */
  readonly line: number;
  readonly column: number;
}

type Step = string | number;

/** Looks up positions by path: `["peer", 0, "locators", 1]`. */
export class TomlPositions {
  readonly #keys = new Map<string, number>();
  readonly #values = new Map<string, number>();
  /** Offset of each line's beginning. */
  readonly #lines: readonly number[];

  /** `text` must be a valid document; on an invalid one the positions found until then remain. */
  constructor(text: string) {
    this.#lines = lineStarts(text);
    scan(text, this.#keys, this.#values);
  }

  /** Position of the key (or table header, or array element) at `path`, or of its nearest ancestor that has one. */
  key(path: readonly Step[]): Position {
    return this.#nearest(path, this.#keys, this.#values);
  }

  /** Position of the value at `path`, or of its nearest ancestor. */
  value(path: readonly Step[]): Position {
    return this.#nearest(path, this.#values, this.#keys);
  }

  #nearest(path: readonly Step[], first: Map<string, number>, second: Map<string, number>): Position {
    for (let length = path.length; length > 0; length--) {
      const name = pathName(path.slice(0, length));
      const offset = first.get(name) ?? second.get(name);
      if (offset !== undefined) return this.#position(offset);
    }
    return { line: 1, column: 1 };
  }

  /** The last line that begins at or before `offset`. */
  #position(offset: number): Position {
    let low = 0;
    let high = this.#lines.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#lines[middle] as number) <= offset) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: offset - (this.#lines[low] as number) + 1 };
  }
}

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function pathName(path: readonly Step[]): string {
  return JSON.stringify(path);
}

/** One pass over the grammar of TOML 1.0; values are skipped, only places are kept. */
function scan(text: string, keys: Map<string, number>, values: Map<string, number>): void {
  let at = 0;
  let table: readonly Step[] = [];
  /** How many elements each array of tables has so far. */
  const arrays = new Map<string, number>();

  const blank = (newlines: boolean): void => {
    while (at < text.length) {
      const char = text[at] as string;
      if (char === "#") while (at < text.length && text[at] !== "\n") at++;
      else if (char === " " || char === "\t" || (newlines && (char === "\n" || char === "\r"))) at++;
      else return;
    }
  };

  /** Skips a string and gives its content where that is simple (no escapes), which is enough for keys. */
  const string = (): string => {
    const quote = text[at] as string;
    const long = text.startsWith(quote.repeat(3), at);
    const end = long ? quote.repeat(3) : quote;
    at += end.length;
    const start = at;
    while (at < text.length && !text.startsWith(end, at)) at += quote === '"' && text[at] === "\\" ? 2 : 1;
    const content = text.slice(start, at);
    at += end.length;
    while (long && text[at] === quote) at++;
    return content;
  };

  const dottedKey = (): { steps: string[]; starts: number[] } => {
    const steps: string[] = [];
    const starts: number[] = [];
    for (;;) {
      blank(false);
      starts.push(at);
      if (text[at] === '"' || text[at] === "'") steps.push(string());
      else {
        const start = at;
        while (at < text.length && /[A-Za-z0-9_-]/.test(text[at] as string)) at++;
        steps.push(text.slice(start, at));
      }
      blank(false);
      if (text[at] !== ".") return { steps, starts };
      at++;
    }
  };

  /** A table path as written, with the index of the latest element after each array of tables. */
  const resolve = (steps: readonly string[]): Step[] => {
    const path: Step[] = [];
    for (const step of steps) {
      path.push(step);
      const count = arrays.get(pathName(path));
      if (count !== undefined) path.push(count - 1);
    }
    return path;
  };

  const note = (
    base: readonly Step[],
    steps: readonly string[],
    starts: readonly number[],
  ): readonly Step[] => {
    const path: Step[] = [...base];
    for (const [i, step] of steps.entries()) {
      path.push(step);
      const name = pathName(path);
      if (!keys.has(name)) keys.set(name, starts[i] as number);
    }
    return path;
  };

  const pair = (base: readonly Step[]): boolean => {
    const { steps, starts } = dottedKey();
    if (text[at] !== "=") return false;
    const path = note(base, steps, starts);
    at++;
    return value(path);
  };

  const value = (path: readonly Step[]): boolean => {
    blank(false);
    values.set(pathName(path), at);
    const char = text[at];
    if (char === '"' || char === "'") string();
    else if (char === "[") {
      at++;
      for (let index = 0; ; index++) {
        blank(true);
        if (text[at] === "]") break;
        if (at >= text.length || !value([...path, index])) return false;
        blank(true);
        if (text[at] === ",") at++;
      }
      at++;
    } else if (char === "{") {
      at++;
      for (;;) {
        blank(true);
        if (text[at] === "}") break;
        if (at >= text.length || !pair(path)) return false;
        blank(true);
        if (text[at] === ",") at++;
      }
      at++;
    } else {
      const start = at;
      while (at < text.length && !/[,\]}\n#]/.test(text[at] as string)) at++;
      if (at === start) return false;
    }
    return true;
  };

  for (;;) {
    blank(true);
    if (at >= text.length) return;
    if (text[at] === "[") {
      const isArray = text[at + 1] === "[";
      at += isArray ? 2 : 1;
      const { steps, starts } = dottedKey();
      if (isArray) {
        const last = steps[steps.length - 1] as string;
        const base = [...resolve(steps.slice(0, -1)), last];
        const index = arrays.get(pathName(base)) ?? 0;
        arrays.set(pathName(base), index + 1);
        table = [...base, index];
        if (index === 0) note([], steps, starts);
        keys.set(pathName(table), starts[0] as number);
      } else {
        table = resolve(steps);
        keys.set(pathName(table), starts[0] as number);
      }
      at += isArray ? 2 : 1;
    } else if (!pair(table)) return;
  }
}
