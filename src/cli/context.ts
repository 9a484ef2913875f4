/** What every hipctl command has: its output, the options that all share, and the way to hipd. */
import type { Command } from "commander";
import type { Result } from "../core/types.ts";
import { parseDuration } from "../runtime/config-values.ts";
import type { ClientError, ControlClient } from "../runtime/control-client.ts";
import { instanceSocket, parseInstanceName } from "../runtime/overlay-instance.ts";
import { EXIT, type ExitStatus, exitOf } from "./exit.ts";
import { type Io, json } from "./output.ts";

export const DEFAULT_SOCKET = "/run/hipd/hipd.sock";
export const DEFAULT_CONFIG_FILE = "/etc/hipd/hipd.toml";

/** The longest that hipd waits for anything on request, in milliseconds (MAX_TIMEOUT of overlay/requests.ts). */
export const LONGEST_WAIT = 10 * 60_000;
/** So long an answer may take before people are told what it waits for, in milliseconds. */
const MOMENT = 500;

/** Ends a command with a message and an exit status. */
export class CommandFailure extends Error {
  readonly status: ExitStatus;

  constructor(status: ExitStatus, message: string) {
    super(message);
    this.status = status;
  }
}

export function usage(message: string): CommandFailure {
  return new CommandFailure(EXIT.usage, message);
}

/** The value, or the end of the command. */
export function orFail<T>(result: Result<T, ClientError>): T {
  if (result.ok) return result.value;
  throw new CommandFailure(exitOf(result.error.code), result.error.message);
}

/** The same with this exit status. */
export function orExit<T>(status: ExitStatus, result: Result<T, string | readonly string[]>): T {
  if (result.ok) return result.value;
  const { error } = result;
  throw new CommandFailure(status, typeof error === "string" ? error : error.join("\n"));
}

export interface Context {
  readonly io: Io;
  readonly json: boolean;
  readonly socket: string;
  /** Opens the connection, gives it to `use`, and closes it whatever happens. */
  withClient<T>(use: (client: ControlClient) => Promise<T>): Promise<T>;
  /** Asks hipd one thing. `doing` is what people are told when the answer takes its time. */
  call<T>(method: string, request?: unknown, millis?: number, doing?: string): Promise<T>;
  /** JSON for programs, or the text for people. */
  print(value: unknown, text: () => string): void;
}

export function contextOf(command: Command, io: Io): Context {
  const options = command.optsWithGlobals<{ json?: boolean; socket?: string; instance?: string }>();
  const socket = socketOf(options, io);
  const asJson = options.json === true;
  const withClient = async <T>(use: (client: ControlClient) => Promise<T>): Promise<T> => {
    const { ControlClient } = await import("../runtime/control-client.ts");
    const client = orFail(ControlClient.open(socket));
    try {
      return await use(client);
    } finally {
      client.close();
    }
  };
  return {
    io,
    json: asJson,
    socket,
    withClient,
    call: (method, request = {}, millis, doing) =>
      patiently(io, doing, () =>
        withClient(async (client) => orFail(await client.call(method, request, millis))),
      ),
    print: (value, text) => io.out(asJson ? json(value) : text()),
  };
}

/** Says what is going on when it takes longer than a moment. */
async function patiently<T>(io: Io, doing: string | undefined, ask: () => Promise<T>): Promise<T> {
  const timer = setTimeout(() => io.progress?.(doing ?? "waiting for hipd"), MOMENT);
  try {
    return await ask();
  } finally {
    clearTimeout(timer);
    io.progress?.("");
  }
}

/** Where hipd listens, by what was said last: an option before a variable, a socket before an instance. */
function socketOf(options: { readonly socket?: string; readonly instance?: string }, io: Io): string {
  if (options.socket !== undefined) return options.socket;
  const variable = io.environment["HIPD_SOCKET"];
  if (options.instance === undefined && variable) return variable;
  const instance = options.instance ?? io.environment["HIPD_INSTANCE"];
  if (!instance) return DEFAULT_SOCKET;
  const name = parseInstanceName(instance);
  if (!name.ok) throw usage(name.error);
  return instanceSocket(name.value);
}

/** A whole number from the command line. */
export function wholeNumber(name: string, low: number, high: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value < low || value > high) {
      throw usage(`${name}: "${text}" is not a whole number from ${low} to ${high}`);
    }
    return value;
  };
}

/** A length of time from the command line, in milliseconds: `30` (seconds), `1.5`, `500ms`, `30s`, `2m`, `1h`. */
export function timeSpan(name: string, lowMillis: number, highMillis: number): (text: string) => number {
  return (text) => {
    const millis = parseDuration(/^[0-9.]+$/.test(text) ? `${text}s` : text);
    if (!millis.ok || millis.value < lowMillis || millis.value > highMillis) {
      const [low, high] = [spanText(lowMillis), spanText(highMillis)];
      throw usage(`${name}: "${text}" is not a time from ${low} to ${high}, like 30 (seconds), 500ms or 2m`);
    }
    return millis.value;
  };
}

function spanText(millis: number): string {
  if (millis < 1000) return `${millis}ms`;
  return millis < 120_000
    ? `${millis / 1000}s`
    : millis < 7_200_000
      ? `${millis / 60_000}m`
      : `${millis / 3_600_000}h`;
}
