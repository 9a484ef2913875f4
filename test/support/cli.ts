/** hipctl in this process: what it writes and how it ends. */
import { run } from "../../src/cli/hipctl.ts";
import type { Io } from "../../src/cli/output.ts";

export interface CliResult {
  readonly status: number;
  readonly out: string;
  readonly error: string;
}

/** The moment that all relative times of goldens refer to. */
export const NOW = Date.parse("2025-01-02T03:04:05.000Z");

/** Says nothing to anybody. For tests that change what they look at. */
export const QUIET: Io = {
  out: () => {},
  error: () => {},
  color: false,
  environment: {},
  now: () => NOW,
  input: async () => new Uint8Array(0),
  onInterrupt: () => () => {},
};

/** Keeps what is written to it, also while the command goes on. */
export function recorder(more: Partial<Io> = {}): {
  readonly io: Io;
  readonly written: { readonly out: string; readonly error: string; readonly both: string };
} {
  const written = { out: "", error: "", both: "" };
  const keep = (where: "out" | "error") => (text: string) => {
    written[where] += text;
    written.both += text;
  };
  return { io: { ...QUIET, out: keep("out"), error: keep("error"), ...more }, written };
}

export interface CliOptions {
  readonly color?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: Uint8Array;
  /** Gets the function that interrupts the command, as Ctrl-C does. */
  readonly interrupt?: (fire: () => void) => void;
}

export async function hipctl(argv: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { io, written } = recorder({
    color: options.color ?? false,
    environment: options.environment ?? {},
    input: async () => options.input ?? new Uint8Array(0),
    onInterrupt: (action) => {
      options.interrupt?.(action);
      return () => {};
    },
  });
  const status = await run(argv, io);
  return { status, out: written.out, error: written.error };
}
