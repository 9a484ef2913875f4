/** Running programs: to their end, or beside us until we stop them. */
import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export interface Ended {
  /** 128 + N when signal N ended it, 127 when it could not be started. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMillis?: number;
}

/** The path of a program of this name that we may run, also of those that only root's PATH has. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return [...folders.map((folder) => join(folder, name)), name].find((path) => {
    if (!path.startsWith("/")) return false;
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a program to its end, whatever its status. */
export function attempt(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      {
        env: { ...process.env, ...options.env },
        maxBuffer: 64 << 20,
        timeout: options.timeoutMillis ?? 60_000,
        killSignal: "SIGKILL",
      },
      (error, stdout, stderr) => {
        const status =
          error === null ? 0 : typeof error.code === "number" ? error.code : error.killed ? 137 : 127;
        resolve({ status, stdout, stderr: status === 127 ? `${program}: ${error?.message ?? ""}` : stderr });
      },
    );
    child.stdin?.on("error", () => {}); // a program may end without reading its input
    child.stdin?.end(options.input ?? "");
  });
}

/** Runs a program that must succeed; gives its standard output. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const done = await attempt(command, options);
  if (done.status !== 0) {
    throw new Error(`"${command.join(" ")}" ended with status ${done.status}\n${done.stdout}${done.stderr}`);
  }
  return done.stdout;
}

/** A program that runs beside us. Output is kept line by line; waiting is for lines and for the end, never for time. */
export class Background {
  readonly child: ChildProcessWithoutNullStreams;
  readonly out: string[] = [];
  readonly err: string[] = [];
  readonly #name: string;
  readonly #exited: Promise<void>;
  readonly #ended: Promise<number>;
  readonly #watchers = new Set<() => void>();
  #status: number | undefined;

  /** `raw`: standard output is bytes for somebody else (read `child.stdout`), not lines. */
  constructor(
    command: readonly string[],
    options: { env?: NodeJS.ProcessEnv; raw?: boolean; cwd?: string } = {},
  ) {
    const [program = "", ...args] = command;
    this.#name = command.join(" ");
    this.child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.child.stdin.on("error", () => {});
    if (options.raw !== true) this.#lines(this.child.stdout, this.out);
    this.#lines(this.child.stderr, this.err);
    this.#exited = new Promise((resolve) => {
      this.child.once("error", () => resolve());
      this.child.once("exit", () => resolve());
    });
    this.#ended = new Promise((resolve) => {
      this.child.once("error", (error) => {
        this.err.push(error.message);
        this.#finish(127, resolve);
      });
      this.child.once("close", (code, signal) => this.#finish(signal === null ? (code ?? 1) : 128, resolve));
    });
  }

  get running(): boolean {
    return this.#status === undefined;
  }

  /** The exit status once the program has ended. */
  ended(): Promise<number> {
    return this.#ended;
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) this.child.kill(name);
  }

  /** Ends the program and waits for its end, that of all who share its output included; after 5 s by force. */
  async stop(name: NodeJS.Signals = "SIGTERM"): Promise<number> {
    await this.exit(name);
    return this.#ended;
  }

  /** Ends the program; its children may live, and write, on. After 5 s by force. */
  async exit(name: NodeJS.Signals = "SIGTERM"): Promise<void> {
    this.signal(name);
    const force = setTimeout(() => this.signal("SIGKILL"), 5_000);
    await this.#exited;
    clearTimeout(force);
  }

  /** The first line (of either stream, from line `from` of it on) that fits; fails when the program ends first. */
  line(test: (line: string) => boolean, timeoutMillis = 20_000): Promise<string> {
    return this.until(
      () => this.out.find(test) ?? this.err.find(test),
      timeoutMillis,
      () =>
        `waiting for a line of "${this.#name}"; it said:\n${[...this.out, ...this.err].slice(-40).join("\n")}`,
    );
  }

  /** The first value of `look` that is not undefined; it is asked again after each line of output. */
  until<T>(look: () => T | undefined, timeoutMillis: number, what: () => string): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        const value = look();
        if (value === undefined && this.running) return;
        this.#watchers.delete(settle);
        clearTimeout(alarm);
        if (value !== undefined) resolve(value);
        else reject(new Error(`the program ended with status ${this.#status} while ${what()}`));
      };
      const alarm = setTimeout(() => {
        this.#watchers.delete(settle);
        reject(new Error(`${timeoutMillis} ms passed while ${what()}`));
      }, timeoutMillis);
      this.#watchers.add(settle);
      settle();
    });
  }

  #finish(status: number, resolve: (status: number) => void): void {
    this.#status ??= status;
    resolve(this.#status);
    this.#wake();
  }

  #lines(stream: NodeJS.ReadableStream, into: string[]): void {
    let rest = "";
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      into.push(...parts);
      if (parts.length > 0) this.#wake();
    });
    stream.on("end", () => {
      if (rest !== "") into.push(rest);
    });
  }

  #wake(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}
