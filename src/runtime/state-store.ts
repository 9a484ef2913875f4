/** What outlives the daemon: the LSI map and the R1 counter, in the state directory, each in a file that is replaced as a whole. */
import { copyFileSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "../core/types.ts";
import type { SavedState } from "../overlay/state.ts";
import { ensurePrivateDirectory, whyNot, writeAtomically, writeAtomicallyLater } from "./files.ts";

export const STATE_FILE = "state.json";
const COUNTER_FILE = "r1-counter";

/** Kept aside because it could not be used. */
export interface Damaged {
  readonly file: string;
  readonly keptAs: string;
  readonly reason: string;
}

export interface Loaded {
  /** Parsed JSON, to be checked by whom it belongs to; undefined when there was none. */
  readonly value: unknown;
  readonly damaged: Damaged | undefined;
}

export class StateStore {
  readonly directory: string;
  readonly #onFailure: (message: string) => void;
  #waiting: SavedState | undefined;
  #writing: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Writes that failed. */
  failures = 0;

  constructor(directory: string, onFailure: (message: string) => void = () => {}) {
    this.directory = directory;
    this.#onFailure = onFailure;
  }

  /** Makes the folder. */
  open(): Result<undefined, string> {
    try {
      ensurePrivateDirectory(this.directory);
      return ok(undefined);
    } catch (error) {
      return err(`${this.directory}: the state directory cannot be made: ${whyNot(error)}`);
    }
  }

  /** A file that is not JSON is moved aside, never overwritten; a file that cannot be read is an error. */
  load(): Result<Loaded, string> {
    const file = join(this.directory, STATE_FILE);
    const text = read(file);
    if (!text.ok) return text;
    if (text.value === undefined) return ok({ value: undefined, damaged: undefined });
    try {
      return ok({ value: JSON.parse(text.value) as unknown, damaged: undefined });
    } catch (error) {
      const damaged = this.setAside((error as Error).message);
      return damaged.ok ? ok({ value: undefined, damaged: damaged.value }) : damaged;
    }
  }

  /** Moves a state file that somebody found unusable out of the way, under a name that says when. */
  setAside(reason: string): Result<Damaged, string> {
    return this.#keep(reason, renameSync, "moved aside");
  }

  /** Keeps a copy of a state file of which only parts could be used. */
  copyAside(reason: string): Result<Damaged, string> {
    return this.#keep(reason, copyFileSync, "copied");
  }

  #keep(reason: string, put: (from: string, to: string) => void, done: string): Result<Damaged, string> {
    const file = join(this.directory, STATE_FILE);
    const keptAs = damagedName(file);
    try {
      put(file, keptAs);
      return ok({ file, keptAs, reason });
    } catch (error) {
      return err(`${file}: is damaged (${reason}) and cannot be ${done}: ${whyNot(error)}`);
    }
  }

  /** Writes the state soon, without holding up the caller; of several waiting states only the latest is written. */
  save(state: SavedState): void {
    this.#waiting = state;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when everything given so far is on disk, or could not be written. */
  async flush(): Promise<void> {
    if (this.#retry !== undefined) clearTimeout(this.#retry);
    this.#retry = undefined;
    if (this.#writing !== undefined) await this.#writing;
    else if (this.#waiting !== undefined) await this.#write();
    if (this.#retry !== undefined) clearTimeout(this.#retry);
  }

  /**
   * A start value for the R1 generation counter that is above every one used before (RFC 7401 4.1.4), remembered before it is
   * used. Wall time makes it grow even when the state directory was lost.
   */
  nextR1Counter(wallMillis: number): Result<bigint, string> {
    const file = join(this.directory, COUNTER_FILE);
    const text = read(file);
    if (!text.ok) return text;
    const last = /^[0-9]{1,19}$/.test(text.value?.trim() ?? "") ? BigInt((text.value as string).trim()) : 0n;
    const byTime = BigInt(Math.floor(wallMillis / 1000)) * COUNTER_STEP;
    const next = byTime > last + COUNTER_STEP ? byTime : last + COUNTER_STEP;
    try {
      writeAtomically(file, `${next}\n`, 0o600);
      return ok(next);
    } catch (error) {
      return err(`${file}: cannot be written: ${whyNot(error)}`);
    }
  }

  async #write(): Promise<void> {
    const file = join(this.directory, STATE_FILE);
    for (let state = this.#waiting; state !== undefined; state = this.#waiting) {
      this.#waiting = undefined;
      try {
        await writeAtomicallyLater(file, `${JSON.stringify(state, null, 1)}\n`, 0o600);
      } catch (error) {
        this.failures++;
        this.#onFailure(
          `${file}: cannot be written: ${whyNot(error)}; trying again every ${RETRY_MILLIS / 1000} s`,
        );
        this.#waiting ??= state;
        this.#retry = setTimeout(() => this.save(this.#waiting ?? state), RETRY_MILLIS);
        this.#retry.unref();
        return;
      }
    }
  }
}

const RETRY_MILLIS = 10_000;

function damagedName(file: string): string {
  return `${file}.damaged-${new Date().toISOString().replaceAll(":", "")}`;
}

/** R1 generations that one start may use before it could meet the numbers of the next one. */
const COUNTER_STEP = 1n << 16n;

function read(file: string): Result<string | undefined, string> {
  try {
    return ok(readFileSync(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return ok(undefined);
    return err(`${file}: cannot be read: ${whyNot(error)}`);
  }
}
