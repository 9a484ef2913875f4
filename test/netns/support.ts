/** What every namespace test needs: the reason to skip, a pair of hosts with daemons, and logs when something fails. */
import { afterAll, beforeAll, describe, onTestFailed } from "vitest";
import {
  Daemon,
  type DaemonOptions,
  type Introduction,
  introduce,
  type Side,
} from "../../tools/lab/daemon.ts";
import { Lab, type Namespace, routedPair, unavailable } from "../../tools/lab/lab.ts";
import { ping as echo, type PingResult } from "../../tools/lab/ping.ts";

const reason = unavailable();

/** `describe`, but skipped by name and reason where there are no namespaces. */
export function suite(name: string, body: () => void): void {
  describe.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, body);
}

/** Why a test cannot run here, to append to its name. */
export const why = reason === undefined ? "" : ` (${reason})`;

export interface Pair {
  readonly lab: Lab;
  readonly a: Side;
  readonly b: Side;
  readonly router: Namespace;
}

export interface PairOptions extends Introduction {
  readonly mtu?: number;
  readonly daemonA?: DaemonOptions;
  readonly daemonB?: DaemonOptions;
  /** Whether they know each other from the start (default) or not. */
  readonly strangers?: boolean;
  /** Whether the daemons run (default) or wait. */
  readonly idle?: boolean;
}

/** Two hosts with running daemons that know each other; closed when `body` ends. */
export async function withPair<T>(options: PairOptions, body: (pair: Pair) => Promise<T>): Promise<T> {
  const pair = await makePair(options);
  try {
    return await body(pair);
  } catch (error) {
    throw withLogs(error, pair);
  } finally {
    await pair.lab.close();
  }
}

/** The same, shared by the tests of one `describe`. */
export function sharedPair(options: PairOptions): () => Pair {
  let pair: Pair | undefined;
  beforeAll(async () => {
    pair = await makePair(options);
  });
  afterAll(() => pair?.lab.close());
  return () => {
    if (pair === undefined) throw new Error("the pair could not be made");
    const shown = pair;
    onTestFailed(() => console.log(logs(shown)));
    return pair;
  };
}

async function makePair(options: PairOptions): Promise<Pair> {
  const lab = Lab.create();
  try {
    const hosts = await routedPair(lab, options.mtu === undefined ? {} : { mtu: options.mtu });
    const a: Side = { ...hosts.a, daemon: new Daemon(lab, hosts.a.namespace, options.daemonA) };
    const b: Side = { ...hosts.b, daemon: new Daemon(lab, hosts.b.namespace, options.daemonB) };
    if (options.strangers !== true) introduce(a, b, options);
    if (options.idle !== true) await Promise.all([a.daemon.start(), b.daemon.start()]);
    return { lab, a, b, router: hosts.router };
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** What the other host is called inside this one: its LSI, its HIT. */
export async function addressesOf(
  from: Side,
  to: Side,
): Promise<{ readonly lsi: string; readonly hit: string }> {
  return { lsi: await from.daemon.lsi(to.daemon.namespace.label), hit: to.daemon.hit };
}

/** What makes one association different from the next: its state and both SPIs, seen from both ends. */
export async function associationOf({ a, b }: Pick<Pair, "a" | "b">): Promise<unknown> {
  const ends = [
    [a, "b"],
    [b, "a"],
  ] as const;
  return Promise.all(
    ends.map(async ([side, peer]) => {
      const { state, inSpi, outSpi } = await side.daemon.json<Association>("association", "show", peer);
      return { state, inSpi, outSpi };
    }),
  );
}

interface Association {
  readonly state: string;
  readonly inSpi: string;
  readonly outSpi: string;
}

export function ping(from: Namespace, to: string, ...options: readonly string[]): Promise<PingResult> {
  return echo(from, to, 3, options);
}

function logs(pair: Pair): string {
  return [pair.a, pair.b].map(logOf).join("\n");
}

function logOf({ daemon }: Side): string {
  const label = daemon.namespace.label;
  try {
    const lines = [...daemon.process.out, ...daemon.process.err].slice(-40);
    return `--- hipd of ${label}, the last lines ---\n${lines.join("\n")}`;
  } catch {
    return `--- hipd of ${label} has not been started ---`;
  }
}

/** The same error, with the daemons' logs behind its message. */
function withLogs(error: unknown, pair: Pair): Error {
  const shown = error instanceof Error ? error : new Error(String(error));
  shown.message = `${shown.message}\n${logs(pair)}`;
  return shown;
}
