/** Daemons under a small service manager (tools/lab/service-manager.cc), and carriers beside them. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { compiled } from "../../tools/lab/compiled.ts";
import { longestGap, lostOf, monotonic, Pulse, type PulseReport } from "../../tools/lab/pulse.ts";
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

export interface Restarts {
  /** For the report. */
  readonly what: string;
  readonly count: number;
  /** Of the TCP stream. */
  readonly bytes: number;
  readonly restart: (mover: Mover) => Promise<unknown>;
}

export interface Restarted {
  /** The longest time without a datagram in any of the restarts, in milliseconds. */
  readonly longest: number;
  readonly pulse: PulseReport;
}

/**
 * Restarts both in turn while a TCP stream goes one way and datagrams the other. The stream arrives whole, no datagram twice,
 * and the first association is the only one.
 */
export async function restartUnderStream(
  { a, b }: Movers,
  { what, count, bytes, restart }: Restarts,
): Promise<Restarted> {
  const [here, there] = await Promise.all([a.namespace.agent(), b.namespace.agent()]);
  await a.namespace.rate("eth0", "200mbit");
  const moving = here.sendTcp(await a.daemon.lsi("b"), await there.serveTcp(), bytes, 100_000);
  const pulse = await Pulse.start(b.namespace, a.namespace, a.daemon.hit, 7000);
  await there.arrived(1_000_000);
  const gaps: number[] = [];
  for (let i = 0; i < count; i++) {
    const since = monotonic();
    await restart(i % 2 === 0 ? a : b);
    await pulse.beats(100);
    gaps.push(longestGap(await pulse.report(), since));
  }
  const moved = await moving;
  expect(moved.error).toBeUndefined();
  expect(moved.receivedHash).toBe(moved.sentHash);
  const report = await pulse.stop();
  gaps.sort((x, y) => x - y);
  const longest = gaps.at(-1) ?? Number.NaN;
  console.log(
    `${count} ${what} under a stream: nothing came for ${gaps[count >> 1]?.toFixed(0)} ms in the median, ` +
      `${longest.toFixed(0)} ms at most (the machine's own longest pause ${report.pause.toFixed(0)} ms); ` +
      `${lostOf(report)} of ${report.highest} datagrams lost`,
  );
  expect(report.duplicates).toBe(0);
  for (const mover of [a, b]) {
    expect(mover.events("association-established").length).toBe(1);
    expect(mover.events("takeover-refused").length).toBe(0);
  }
  return { longest, pulse: report };
}
