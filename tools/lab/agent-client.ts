/** Drives the application that runs inside a namespace (agent.ts): one JSON line for a request, one for its answer. */
import { join } from "node:path";
import type { Namespace } from "./lab.ts";
import type { Background } from "./shell.ts";

/** What the far side counted of a TCP stream, and what was sent. */
export interface Transfer {
  readonly bytes: number;
  readonly sentHash: string;
  readonly receivedHash: string;
  readonly receivedBytes: number;
  readonly millis: number;
  /** Error code of the kernel, like "EHOSTUNREACH". */
  readonly error: string | undefined;
}

export interface UdpResult {
  readonly sent: number;
  readonly received: number;
  /** Error codes that the kernel gave the socket. */
  readonly errors: readonly string[];
  /** Milliseconds until the first answer or error. */
  readonly millis: number;
}

export class Agent {
  readonly #program: Background;
  #next = 1;

  private constructor(program: Background) {
    this.#program = program;
  }

  static async start(namespace: Namespace): Promise<Agent> {
    const program = namespace.spawn([process.execPath, join(import.meta.dirname, "agent.ts")]);
    await program.line((line) => line === "ready");
    return new Agent(program);
  }

  /** Listens on TCP; each stream is hashed to its end and the hash sent back. Gives the port. */
  serveTcp(port = 0, host = "::"): Promise<number> {
    return this.#ask("serveTcp", { port, host });
  }

  /** Sends `bytes` of pseudo-random data to a `serveTcp`. */
  sendTcp(host: string, port: number, bytes: number, timeoutMillis = 60_000): Promise<Transfer> {
    return this.#ask("sendTcp", { host, port, bytes, timeoutMillis }, timeoutMillis + 5_000);
  }

  /** Ends every `sendTcp` of this agent, also later ones, with what it has sent. */
  finishTcp(): Promise<void> {
    return this.#ask("finishTcp", {});
  }

  /** Waits until all `serveTcp` together have got so many bytes since the agent started; gives how many they have. */
  arrived(bytes: number, timeoutMillis = 20_000): Promise<number> {
    return this.#ask("arrived", { bytes, timeoutMillis }, timeoutMillis + 1_000);
  }

  /** Echoes UDP. Gives the port. */
  serveUdp(port = 0, host = "::"): Promise<number> {
    return this.#ask("serveUdp", { port, host });
  }

  /** Sends `count` datagrams that begin with `text`, and waits until all came back, an error came, or the time is over. */
  sendUdp(
    host: string,
    port: number,
    options: { count?: number; bytes?: number; text?: string; timeoutMillis?: number } = {},
  ): Promise<UdpResult> {
    const { count = 1, bytes = 100, text = "", timeoutMillis = 5_000 } = options;
    return this.#ask("sendUdp", { host, port, count, bytes, text, timeoutMillis }, timeoutMillis + 5_000);
  }

  /** Sends datagrams all the time until `stop`; the name tells several streams apart. */
  stream(name: string, host: string, port: number, text: string, everyMillis = 5): Promise<void> {
    return this.#ask("stream", { name, host, port, text, everyMillis });
  }

  /** Ends a stream and says how it went. */
  stop(name: string): Promise<UdpResult> {
    return this.#ask("stop", { name });
  }

  /** Waits until the stream got an answer to something sent after this call. */
  answered(name: string, timeoutMillis = 20_000): Promise<number> {
    return this.#ask("answered", { name, timeoutMillis }, timeoutMillis + 1_000);
  }

  /** The body of what an HTTP server answers. */
  httpGet(url: string, timeoutMillis = 5_000): Promise<string> {
    return this.#ask("httpGet", { text: url, timeoutMillis }, timeoutMillis + 1_000);
  }

  async #ask<T>(op: string, args: Readonly<Record<string, unknown>>, timeoutMillis = 10_000): Promise<T> {
    const id = this.#next++;
    const program = this.#program;
    program.child.stdin.write(`${JSON.stringify({ id, op, ...args })}\n`);
    const mark = `{"id":${id},`;
    const line = await program.until(
      () => {
        const at = program.out.findIndex((text) => text.startsWith(mark));
        return at < 0 ? undefined : program.out.splice(at, 1)[0];
      },
      timeoutMillis,
      () => `asking for ${op} ${JSON.stringify(args)}; stderr: ${program.err.slice(-10).join("\n")}`,
    );
    const answer = JSON.parse(line) as { value?: T; error?: string };
    if (answer.error !== undefined) throw new Error(`${op} ${JSON.stringify(args)}: ${answer.error}`);
    return answer.value as T;
  }
}
