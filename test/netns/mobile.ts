/** What tests of mobility need: two hosts with daemons whose addresses come and go, and what the daemons say of it. */
import { Daemon, type DaemonOptions, type PeerEntry } from "../../tools/lab/daemon.ts";
import { Lab, type Namespace } from "../../tools/lab/lab.ts";
import { type Cable, type Family, type MobileHost, mobilePair } from "../../tools/lab/mobile.ts";

export interface At {
  readonly cable: Cable;
  readonly family: Family;
  readonly number: number;
}

export function at(cable: Cable, family: Family, number: number): At {
  return { cable, family, number };
}

type Fields = Readonly<Record<string, unknown>>;

/** A host, its daemon, and the addresses that it has now. */
export class Mover {
  readonly host: MobileHost;
  readonly daemon: Daemon;
  readonly addresses: At[] = [];

  constructor(host: MobileHost, daemon: Daemon) {
    this.host = host;
    this.daemon = daemon;
  }

  get namespace(): Namespace {
    return this.host.namespace;
  }

  text({ cable, family, number }: At): string {
    return this.host.address(cable, family, number);
  }

  /** Takes these addresses away and adds those, in this order, in one go. */
  async change(change: { readonly del?: readonly At[]; readonly add?: readonly At[] }): Promise<void> {
    const { del = [], add = [] } = change;
    await this.namespace.ip([
      ...del.flatMap((one) => this.host.deleting(one.cable, one.family, one.number)),
      ...add.flatMap((one) => this.host.adding(one.cable, one.family, one.number)),
    ]);
    const gone = new Set(del.map((one) => this.text(one)));
    const left = this.addresses.filter((one) => !gone.has(this.text(one)));
    this.addresses.splice(0, this.addresses.length, ...left, ...add);
  }

  /** Replaces everything by these addresses: the old ones go first. */
  breakAndMake(...to: readonly At[]): Promise<void> {
    return this.change({ del: [...this.addresses], add: to });
  }

  async deprecate(...these: readonly At[]): Promise<void> {
    await this.namespace.ip(
      these.flatMap(({ cable, family, number }) => this.host.deprecating(cable, family, number)),
    );
  }

  /** Moves traffic to the peer by hand, to a path from this address of ours. */
  async handover(peer: string, from: At): Promise<void> {
    const done = await this.daemon.ctl("handover", peer, "--from", this.text(from));
    if (done.status !== 0) throw new Error(`hipctl handover: ${done.stderr}`);
  }

  /** The next event of this name, counted from now on. */
  next(
    name: string,
    fits: (fields: Fields) => boolean = () => true,
    timeoutMillis = 15_000,
  ): Promise<Fields> {
    const { process } = this.daemon;
    const from = process.out.length;
    const word = `"event":"${name}"`;
    const find = (): string | undefined => {
      for (let i = from; i < process.out.length; i++) {
        const line = process.out[i] as string;
        if (line.includes(word) && fits(JSON.parse(line) as Fields)) return line;
      }
      return undefined;
    };
    return process
      .until(find, timeoutMillis, () => `waiting for "${name}" of hipd of ${this.namespace.label}`)
      .then((line) => JSON.parse(line) as Fields);
  }

  /** All events of this name in the log of the running process. */
  events(name: string, from = 0): readonly Fields[] {
    const word = `"event":"${name}"`;
    return this.daemon.process.out
      .slice(from)
      .filter((line) => line.includes(word))
      .map((line) => JSON.parse(line) as Fields);
  }

  /** Resolves when traffic to the peer goes along a path with this address of ours, or of the peer's. */
  handedOver(
    to: { readonly local?: string; readonly remote?: string },
    timeoutMillis?: number,
  ): Promise<Fields> {
    return this.next(
      "handover",
      (fields) => {
        const [local = "", remote = ""] = String(fields["to"]).replace(/^\w+ /, "").split(" > ");
        return includes(local, to.local) && includes(remote, to.remote);
      },
      timeoutMillis,
    );
  }
}

function includes(endpoint: string, address: string | undefined): boolean {
  if (address === undefined) return true;
  return endpoint === address || endpoint.includes(`[${address}]`) || endpoint.startsWith(`${address}:`);
}

export interface Movers {
  readonly lab: Lab;
  readonly router: Namespace;
  readonly a: Mover;
  readonly b: Mover;
}

export interface MoversOptions {
  readonly mtu?: number;
  /** The addresses that they begin with; the first of each is what the other is told. */
  readonly a?: readonly At[];
  readonly b?: readonly At[];
  readonly config?: NonNullable<DaemonOptions["config"]>;
  readonly peer?: Partial<PeerEntry>;
  /** What runs each hipd. */
  readonly runner?: readonly string[];
  /** Whether the daemons run and are associated (default) or wait. */
  readonly idle?: boolean;
}

const HOME: readonly At[] = [at(0, "ipv4", 2)];

/** Two hosts with running daemons; closed when `body` ends. Errors bring the daemons' logs with them. */
export async function withMovers<T>(
  options: MoversOptions,
  body: (movers: Movers) => Promise<T>,
): Promise<T> {
  const lab = Lab.create();
  let movers: Movers | undefined;
  try {
    const pair = await mobilePair(lab, options.mtu);
    const daemon = { config: { ...options.config }, runner: options.runner ?? [] };
    const a = new Mover(pair.a, new Daemon(lab, pair.a.namespace, daemon));
    const b = new Mover(pair.b, new Daemon(lab, pair.b.namespace, daemon));
    movers = { lab, router: pair.router, a, b };
    await a.change({ add: options.a ?? HOME });
    await b.change({ add: options.b ?? HOME });
    for (const [here, there] of [
      [a, b],
      [b, a],
    ] as const) {
      const [home] = there.addresses;
      here.daemon.peers.push({
        name: there.namespace.label,
        hit: there.daemon.hit,
        locators: home === undefined ? [] : [there.text(home)],
        ...options.peer,
      });
    }
    if (options.idle !== true) await meet(movers);
    return await body(movers);
  } catch (error) {
    throw movers === undefined ? error : withLogs(error, movers);
  } finally {
    await lab.close();
  }
}

/** Starts both daemons, and makes them associates: streams that begin now lose nothing to the exchange. */
export async function meet({ a, b }: Movers): Promise<void> {
  await Promise.all([a.daemon.start(), b.daemon.start()]);
  const done = await a.daemon.ctl("connect", b.namespace.label);
  if (done.status !== 0) throw new Error(`hipctl connect: ${done.stderr}`);
}

const SHOWN = 60;

function logOf({ daemon, namespace }: Mover): string {
  try {
    const { out, err } = daemon.process;
    return `--- hipd of ${namespace.label} ---\n${[...out, ...err].slice(-SHOWN).join("\n")}`;
  } catch {
    return `--- hipd of ${namespace.label} has not been started ---`;
  }
}

function withLogs(error: unknown, { a, b }: Movers): Error {
  const shown = error instanceof Error ? error : new Error(String(error));
  shown.message = `${shown.message}\n${[a, b].map(logOf).join("\n")}`;
  return shown;
}
