/** Daemons under a small service manager (tools/lab/service-manager.cc), and carriers beside them. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { compiled } from "../../tools/lab/compiled.ts";
import type { Background } from "../../tools/lab/shell.ts";
import { at, type Mover, type Movers, type MoversOptions, withMovers } from "./mobile.ts";

/** hipd looks for carriers in such folders only. */
const SOCKETS = `/run/hipd-test-${process.pid}`;

export function carrierSocket({ namespace }: Mover): string {
  return join(SOCKETS, `${namespace.label}.sock`);
}

export type Line = Readonly<Record<string, unknown>>;

/** Both daemons under a small service manager. */
export async function withServices<T>(
  body: (movers: Movers) => Promise<T>,
  more: MoversOptions = {},
): Promise<T> {
  const runner = [await compiled("service-manager"), "--"];
  mkdirSync(SOCKETS, { mode: 0o700, recursive: true });
  try {
    return await withMovers({ runner, b: [at(0, "ipv4", 2), at(0, "ipv6", 2)], ...more }, body);
  } finally {
    rmSync(SOCKETS, { recursive: true });
  }
}

/** What the service manager tells next. */
export function manager({ daemon }: Mover, what: string): Promise<Line> {
  const { process } = daemon;
  const from = process.out.length;
  const word = `"manager":"${what}"`;
  return process
    .until(
      () => process.out.slice(from).find((line) => line.includes(word)),
      15_000,
      () => `waiting for the service manager to say "${what}"`,
    )
    .then((line) => JSON.parse(line) as Line);
}

export async function command(mover: Mover, word: string, answer: string): Promise<Line> {
  const told = manager(mover, answer);
  mover.daemon.process.child.stdin.write(`${word}\n`);
  return told;
}

export async function announce({ daemon }: Mover, ...more: readonly string[]): Promise<void> {
  const done = await daemon.ctl("takeover", "announce", ...more);
  if (done.status !== 0 || done.stderr !== "") throw new Error(`hipctl takeover announce: ${done.stderr}`);
}

/** Starts a carrier on the mover's host; resolves when it listens. */
export async function startCarrier(mover: Mover): Promise<Background> {
  const command = [await compiled("service-manager"), "--", HIPD, "--carry", carrierSocket(mover)];
  const carrier = mover.namespace.spawn(command);
  await carrier.line((line) => line.includes('"manager":"ready"'));
  return carrier;
}

export const HIPD = join(import.meta.dirname, "../../bin/hipd");

/** Restarts it beside a carrier, as the units do. */
export async function restartCarried(mover: Mover): Promise<Line> {
  const carrier = await startCarrier(mover);
  await announce(mover, "--carrier", carrierSocket(mover));
  const ready = await command(mover, "restart", "ready");
  await carrier.stop();
  return ready;
}

/** The process that a service manager runs now. */
export function runningPid(process: Background): number {
  const started = process.out.findLast((line) => line.includes('"manager":"started"'));
  return Number((JSON.parse(started ?? "{}") as { pid?: number }).pid);
}

/** Ends hipd beside a carrier, and starts no other one: the carrier is on its own. */
export async function leaveToCarrier(mover: Mover): Promise<Background> {
  const carrier = await startCarrier(mover);
  await announce(mover, "--carrier", carrierSocket(mover));
  const ended = manager(mover, "ended");
  process.kill(runningPid(mover.daemon.process), "SIGTERM");
  await ended;
  return carrier;
}
