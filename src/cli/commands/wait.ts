/** hipctl wait: for scripts that must not go on before hipd is ready, or before a peer can be reached. */
import { watch } from "node:fs";
import { dirname } from "node:path";
import type { Command } from "commander";
import { err, type Result } from "../../core/types.ts";
import type { ClientError, ControlClient } from "../../runtime/control-client.ts";
import { CommandFailure, type Context, contextOf, LONGEST_WAIT, timeSpan, usage } from "../context.ts";
import { EXIT, exitOf } from "../exit.ts";
import { type Io, millis } from "../output.ts";
import { type Connected, connectedText } from "./association.ts";

interface WaitOptions {
  readonly ready?: boolean;
  readonly peer?: string;
  readonly timeout: string;
}

interface Version {
  readonly version: string;
  /** Null: an older hipd, which does not say. */
  readonly ready: boolean | null;
}

const TIMEOUT = "30s";
const LONGEST_MILLIS = 24 * 60 * 60_000;
/** Between two attempts that nothing else brings about, in milliseconds: doubled from the first to the second. */
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1_000;
/** Where much changes, not every change is followed at once. */
const SETTLE = 20;
const ANSWER_MILLIS = 10_000;

export function addWait(program: Command, io: Io): void {
  program
    .command("wait")
    .description("wait until hipd is ready, or until a peer can be reached")
    .option("--ready", "until hipd answers and is ready, even if it has not been started yet")
    .option("--peer <peer>", "until the association with this peer is usable; begins an exchange")
    .option("--timeout <time>", "how long to wait at most: 30s, 500ms, 2m", TIMEOUT)
    .action(async (options: WaitOptions, command: Command) => {
      const context = contextOf(command, io);
      const timeout = timeSpan("--timeout", 100, LONGEST_MILLIS)(options.timeout);
      if ((options.ready === true) === (options.peer !== undefined)) {
        throw usage("wait for what? Give either --ready or --peer PEER");
      }
      const waiting = new Waiting(context, timeout);
      try {
        if (options.peer === undefined) {
          const { version } = await waiting.ready();
          const ready = { ready: true, version, millis: waiting.millis };
          context.print(ready, () => `hipd ${version} is ready, after ${millis(ready.millis)}\n`);
        } else {
          const { association } = await waiting.peer(options.peer);
          const connected = { association, millis: waiting.millis };
          context.print(connected, () => connectedText(connected));
        }
      } finally {
        io.progress?.("");
      }
    });
}

class Waiting {
  readonly #context: Context;
  readonly #begun = performance.now();
  readonly #timeout: number;

  constructor(context: Context, timeout: number) {
    this.#context = context;
    this.#timeout = timeout;
  }

  /** How long it has been. */
  get millis(): number {
    return performance.now() - this.#begun;
  }

  get #left(): number {
    return this.#timeout - this.millis;
  }

  /** Until the socket is there, hipd answers on it, and says that it is ready. */
  async ready(): Promise<Version> {
    const { socket, io } = this.#context;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      // Looking begins before asking: what changes meanwhile is seen.
      const bell = new Bell();
      const close = onFolderChange(socket, bell);
      try {
        const answer = await this.#version();
        if (answer.ok && answer.value.ready !== false) return answer.value;
        const reason = answer.ok ? "it is still starting" : answer.error.message;
        io.progress?.(`waiting for hipd: ${reason}`);
        if (this.#left <= 0) {
          const status = answer.ok || answer.error.code !== "denied" ? EXIT.timeout : EXIT.permission;
          throw new CommandFailure(status, `hipd is not ready after ${this.#waited()}: ${reason}`);
        }
        // A hipd that answers is about to be ready.
        await bell.wait(Math.min(answer.ok ? FIRST_PAUSE : pause, this.#left));
      } finally {
        close();
      }
    }
  }

  /** Until the peer can be reached: what fails is tried again as long as there is time. */
  async peer(peer: string): Promise<Connected> {
    const { io } = this.#context;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      await this.ready();
      io.progress?.(`waiting for ${peer}`);
      const failed = await this.#withClient(async (client) => {
        const bell = new Bell();
        const close = onEstablished(client, bell);
        const millis = Math.max(1, Math.min(this.#left, LONGEST_WAIT));
        const made = await client.call<Connected>(
          "Connect",
          { peer, timeoutMillis: Math.ceil(millis) },
          millis + ANSWER_MILLIS,
        );
        if (!made.ok && AGAIN.has(made.error.code)) {
          await bell.wait(Math.max(0, Math.min(pause, this.#left)));
        }
        close();
        return made;
      });
      if (failed.ok) return failed.value;
      const { code, message } = failed.error;
      if (!AGAIN.has(code)) throw new CommandFailure(exitOf(code), message);
      if (this.#left <= 0) {
        throw new CommandFailure(
          EXIT.timeout,
          `"${peer}" cannot be reached after ${this.#waited()}: ${message}`,
        );
      }
    }
  }

  #waited(): string {
    return this.#timeout < 1_000 ? `${this.#timeout} ms` : `${this.#timeout / 1_000} s`;
  }

  #version(): Promise<Result<Version, ClientError>> {
    return this.#withClient((client) =>
      client.call<Version>("GetVersion", {}, Math.max(100, Math.min(this.#left, ANSWER_MILLIS))),
    );
  }

  async #withClient<T>(
    use: (client: ControlClient) => Promise<Result<T, ClientError>>,
  ): Promise<Result<T, ClientError>> {
    const { ControlClient } = await import("../../runtime/control-client.ts");
    const client = ControlClient.open(this.#context.socket);
    if (!client.ok) return err(client.error);
    try {
      return await use(client.value);
    } finally {
      client.value.close();
    }
  }
}

/** What may be otherwise a moment later. */
const AGAIN: ReadonlySet<ClientError["code"]> = new Set(["failed", "timeout", "unreachable", "cancelled"]);

/** Something to wait for, with a limit. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves a moment after it rang, or after `limit` milliseconds. */
  wait(limit: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limit);
      this.#wake = () => {
        clearTimeout(timer);
        setTimeout(resolve, Math.min(limit, SETTLE));
      };
      if (this.#rung) this.#wake();
    });
  }
}

/** Rings when something changes where the socket will be; the returned function ends that. */
function onFolderChange(socket: string, bell: Bell): () => void {
  // A folder that is not there yet is looked for in the one above it.
  for (let folder = dirname(socket); ; folder = dirname(folder)) {
    try {
      const watcher = watch(folder, () => bell.ring());
      watcher.on("error", () => bell.ring());
      return () => watcher.close();
    } catch {
      // Without a watcher there is still the pause.
      if (folder === dirname(folder)) return () => {};
    }
  }
}

/** Rings when any association is made: perhaps the peer has called. */
function onEstablished(client: ControlClient, bell: Bell): () => void {
  const stream = client.stream<{ readonly name: string }>("WatchEvents", {}, ({ name }) => {
    if (name === "association-established") bell.ring();
  });
  return () => stream.cancel();
}
