/**
 * What a contestant is: something that carries an application's traffic between the two ends of a site. One file for each;
 * all.ts lists them.
 */
import { attempt, findProgram } from "../../tools/lab/shell.ts";
import { program } from "../programs.ts";
import type { End, Site } from "../site.ts";

/** Where the server's applications are found; most contestants have one. */
export interface Target {
  /** Unique in a run: "hipd HIT". */
  readonly name: string;
  readonly what: string;
  readonly address: string;
}

/** Two command lines. The sink prints "listening", then one line of JSON for each run (programs/bulk.h). */
export interface Stream {
  readonly sink: readonly string[];
  /** Without its last two arguments: seconds and the number of streams. */
  readonly source: readonly string[];
}

export interface Running {
  readonly targets: readonly Target[];
  /** Processes of the tunnel at both ends, whose CPU time and memory are its price. Empty when there is none. */
  readonly pids: readonly number[];
  /** The client's device that everything for the targets must pass: the proof that the tunnel was used. */
  readonly device: string;
  /** How a bulk stream to a port of the server runs. */
  stream(target: Target, port: number): Promise<Stream>;
  /**
   * Is called when the addresses of an end's underlay device have been changed, and does what then is to be done by hand,
   * without a restart; absent when the contestant cannot go on from another address. For handovers.
   */
  move?(end: End, address: string): Promise<void>;
  stop(): Promise<void>;
}

export interface Contestant {
  readonly name: string;
  readonly what: string;
  /** "streams": carries the bytes of TCP connections, and neither UDP nor echo requests. */
  readonly carries: "packets" | "streams";
  /** The Debian packages that `make bench-peers` installs for it. */
  readonly packages: readonly string[];
  /** Why it cannot run here; undefined when it can. */
  missing(): string | undefined;
  version(): Promise<string>;
  /** Returns when its programs are ready; the tunnel may still have to be negotiated. */
  start(site: Site): Promise<Running>;
}

/** Undefined when all of these programs are there. */
export function lacks(...programs: readonly string[]): string | undefined {
  const absent = programs.filter((name) => findProgram(name) === undefined);
  return absent.length === 0 ? undefined : `${absent.join(" and ")} not installed (make bench-peers)`;
}

/** The first line of output that tells a version. */
export async function firstVersion(...command: readonly string[]): Promise<string> {
  const { stdout, stderr } = await attempt(command, { timeoutMillis: 10_000 });
  const line = `${stdout}\n${stderr}`.split("\n").find((text) => /\d\.\d|\bv\d/.test(text)) ?? "unknown";
  return line.trim().slice(0, 80);
}

/** Plain TCP to the target: what an unchanged application does. */
export async function plainStream(target: Target, port: number): Promise<Stream> {
  const bulk = await program("tcp-bulk");
  return { sink: [bulk, "serve", `${port}`], source: [bulk, "send", target.address, `${port}`] };
}
