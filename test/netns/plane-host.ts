/**
 * A host with the native data plane and no control plane: SAs come from the test. One JSON line a command on standard input
 * (`{ id, op, args }`), one a result or an event on standard output. Byte strings are `{ hex }`.
 *
 * The command `takeOver` suspends the plane and starts this program again, as a successor with the descriptors; what comes on standard
 * input afterwards is passed on to it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fromHex, toHex } from "../../src/core/bytes.ts";
import { parsePrefix } from "../../src/core/ip.ts";
import type { Hit, Lsi } from "../../src/core/types.ts";
import { addon } from "../../src/runtime/early.ts";
import { NativePlane } from "../../src/runtime/native.ts";
import { NATIVE_NETWORK } from "../../src/runtime/network.ts";
import type { PeerSource } from "../../src/runtime/network-port.ts";

export interface PlaneHostOptions {
  readonly hit: Hit;
  readonly lsi: Lsi;
  readonly workers: number;
  readonly lsiPrefix: string;
  /** Everything by default. */
  readonly offloads?: readonly ("tso" | "uso" | "gso" | "gro")[];
}

const options = JSON.parse(process.argv[2] as string) as PlaneHostOptions;
const prefix = parsePrefix(options.lsiPrefix);
if (!prefix.ok) throw new Error(prefix.error);

function say(value: unknown): void {
  const text = JSON.stringify(value, (_, one) => (one instanceof Uint8Array ? { hex: toHex(one) } : one));
  process.stdout.write(`${text}\n`);
}

/** What a predecessor says first, and how many descriptors stand behind standard error. */
interface Inheritance {
  readonly id: number;
  readonly blob: Uint8Array;
  readonly tuns: number;
  readonly sockets: number;
  readonly suspendMillis: number;
}

/** How a take-over went. */
export interface TakenOver {
  /** From the end of the old threads to the start of the new ones. */
  readonly gapMillis: number;
  readonly suspendMillis: number;
  readonly resumeMillis: number;
  readonly process: number;
}

const log = (level: string, message: string): void => say({ log: level, message });
let plane: NativePlane;
let setSources: ((sources: readonly PeerSource[]) => void) | undefined;
let successor: ChildProcess | undefined;

function open(): void {
  if (!prefix.ok) throw new Error(prefix.error);
  const opened = NATIVE_NETWORK.open({
    interface: "hip0",
    port: 10500,
    lsiPrefix: prefix.value,
    mtu: 0,
    workers: options.workers,
    ...(options.offloads === undefined ? {} : { offloads: options.offloads }),
    lsi: options.lsi,
    hits: [options.hit],
    preferred: options.hit,
    plainIp: false,
    log,
  });
  if (!opened.ok) {
    say({ failed: opened.error });
    process.exit(1);
  }
  const network = opened.value;
  plane = network.plane as NativePlane;
  setSources = network.setSources?.bind(network);
  listen();
  say({ up: true });
}

function inherit({ id, blob, tuns, sockets, suspendMillis }: Inheritance): void {
  const fds = Array.from({ length: tuns + sockets }, (_, i) => 3 + i);
  addon();
  const start = performance.now();
  plane = NativePlane.resume({ blob, tunFds: fds.slice(0, tuns), udpFds: fds.slice(tuns) }, log);
  const resumeMillis = performance.now() - start;
  const result: TakenOver = {
    gapMillis: plane.gapMicros() / 1000,
    suspendMillis,
    resumeMillis,
    process: process.pid,
  };
  listen();
  say({ id, result });
}

function listen(): void {
  plane.onReady = () => {
    for (const event of plane.drain(1000)) say({ event });
  };
}

function takeOver(id: number): void {
  const start = performance.now();
  const suspended = plane.suspend();
  if (suspended === undefined) throw new Error("the plane is closed");
  const { blob, tunFds, udpFds } = suspended;
  const said = {
    id,
    blob: { hex: toHex(blob) },
    tuns: tunFds.length,
    sockets: udpFds.length,
    suspendMillis: performance.now() - start,
  };
  successor = spawn(process.execPath, [import.meta.filename, process.argv[2] as string, "inherit"], {
    stdio: ["pipe", "inherit", "inherit", ...tunFds, ...udpFds],
  });
  successor.on("exit", (status) => process.exit(status ?? 1));
  pass(JSON.stringify(said));
  plane.close();
}

function pass(line: string): void {
  successor?.stdin?.write(`${line}\n`);
}

let heir = process.argv[3] === "inherit";
if (!heir) open();

createInterface({ input: process.stdin })
  .on("line", (line) => {
    if (successor !== undefined) return pass(line);
    const said = JSON.parse(line, (_, one) => (typeof one?.hex === "string" ? fromHex(one.hex) : one));
    if (heir) {
      heir = false;
      return inherit(said as Inheritance);
    }
    const { id, op, args } = said as { id: number; op: string; args: readonly unknown[] };
    if (op === "takeOver") return takeOver(id);
    if (op === "setSources") {
      setSources?.(args[0] as readonly PeerSource[]);
      return say({ id, result: null });
    }
    const method = plane[op as keyof NativePlane] as (...args: readonly unknown[]) => unknown;
    say({
      id,
      result:
        method.apply(
          plane,
          args.map((one) => one ?? undefined),
        ) ?? null,
    });
  })
  .on("close", () => {
    if (successor === undefined) plane.close();
    else successor.stdin?.end();
  });
