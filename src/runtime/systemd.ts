/** The service manager, and what it is told (sd_notify(3)). What it kept for us is taken in early.ts. */

export type ServiceState = "READY" | "RELOADING" | "STOPPING" | "WATCHDOG";

/** Sends one datagram with descriptors to a Unix socket; a name that begins with "@" is abstract. Node has no such sockets, so it is handed in. */
export type UnixDatagram = (socket: string, message: string, fds: readonly number[]) => void;

export interface ServiceManager {
  notify(state: ServiceState, status?: string): void;
  /** One line for people ("systemctl status"): told when it is another one, and at most once a second. Made when it is told. */
  status(line: () => string): void;
  /** Asks for more time to start, from now on. */
  extendStart(millis: number): void;
  /** Keeps descriptors for the next hipd. @throws Error when the manager did not take them. */
  store(name: string, fds: readonly number[]): void;
  /** Lets the manager close what is stored under this name. */
  unstore(name: string): void;
  /** Whether there is a manager that could keep descriptors. */
  readonly present: boolean;
  /** Milliseconds between two WATCHDOG messages that the manager expects at most; undefined: none. */
  readonly watchdogMillis: number | undefined;
}

/** A status changes no more often than this. */
const STATUS_MILLIS = 1_000;
type Environment = Readonly<Record<string, string | undefined>>;

/** Does nothing when there is no service manager, or no way to reach it. What cannot be told is told to `complain`. */
export function serviceManager(
  environment: Environment,
  send: UnixDatagram | undefined,
  options: {
    readonly monotonicMicros?: () => bigint;
    readonly complain?: (reason: string) => void;
  } = {},
): ServiceManager {
  const socket = environment["NOTIFY_SOCKET"];
  const micros = Number(environment["WATCHDOG_USEC"]);
  const mine =
    environment["WATCHDOG_PID"] === undefined || environment["WATCHDOG_PID"] === String(process.pid);
  const monotonicMicros = options.monotonicMicros ?? (() => process.hrtime.bigint() / 1000n);
  const tell = (lines: readonly string[], fds: readonly number[] = []): void => {
    if (socket !== undefined && send !== undefined) send(socket, lines.join("\n"), fds);
  };
  const tellIfPossible = (lines: readonly string[]): void => {
    try {
      tell(lines);
    } catch (error) {
      options.complain?.((error as Error).message);
    }
  };
  const status = new StatusLine((text) => tellIfPossible([`STATUS=${text}`]));
  return {
    present: socket !== undefined && send !== undefined,
    watchdogMillis: socket !== undefined && mine && micros > 0 ? Math.floor(micros / 1000) : undefined,
    notify: (state, text) => {
      const lines = [`${state}=1`];
      if (state === "RELOADING") lines.push(`MONOTONIC_USEC=${monotonicMicros()}`);
      if (text !== undefined) lines.push(`STATUS=${status.told(text)}`);
      if (state === "STOPPING") status.end();
      tellIfPossible(lines);
    },
    status: (line) => {
      if (socket !== undefined) status.change(line);
    },
    extendStart: (millis) => tellIfPossible([`EXTEND_TIMEOUT_USEC=${Math.round(millis * 1000)}`]),
    // Without FDPOLL=0 the manager closes a socket as soon as it has an error to tell.
    store: (name, fds) => tell(["FDSTORE=1", `FDNAME=${name}`, "FDPOLL=0"], fds),
    unstore: (name) => tellIfPossible(["FDSTOREREMOVE=1", `FDNAME=${name}`]),
  };
}

/** The last line is told in the end, however many there were in between. */
class StatusLine {
  readonly #tell: (text: string) => void;
  #told = "";
  #line: () => string = () => "";
  #at = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  /** As part of another message. */
  told(text: string): string {
    this.#told = oneLine(text);
    this.#at = performance.now();
    return this.#told;
  }

  change(line: () => string): void {
    this.#line = line;
    if (this.#ended || this.#timer !== undefined) return;
    // Never at once: who changes something is in the midst of it.
    const wait = Math.max(0, this.#at + STATUS_MILLIS - performance.now());
    this.#timer = setTimeout(() => this.#send(), wait);
    this.#timer.unref();
  }

  #send(): void {
    this.#timer = undefined;
    if (this.#ended) return;
    const text = oneLine(this.#line());
    this.#at = performance.now();
    if (text !== this.#told) this.#tell(this.told(text));
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}

function oneLine(text: string): string {
  return text.replaceAll("\n", " ");
}
