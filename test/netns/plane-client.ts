/** Drives a plane-host.ts inside a namespace, and makes pairs of static SAs. */
import { join } from "node:path";
import { fromHex } from "../../src/core/bytes.ts";
import { hitFromBytes, parseIpv6 } from "../../src/core/ip.ts";
import type { Hit, Lsi, Path, Spi } from "../../src/core/types.ts";
import type { DataPlaneEvent } from "../../src/driver/ports.ts";
import type { EspSuite, SaSpec } from "../../src/hip/sa.ts";
import type { NativePlane } from "../../src/runtime/native.ts";
import type { PeerSource } from "../../src/runtime/network-port.ts";
import type { Host } from "../../tools/lab/lab.ts";
import type { Background } from "../../tools/lab/shell.ts";
import type { PlaneHostOptions, TakenOver } from "./plane-host.ts";

type Calls = Pick<
  NativePlane,
  | "addSa"
  | "setPath"
  | "probe"
  | "setPathMtu"
  | "dropSa"
  | "route"
  | "alias"
  | "ping"
  | "send"
  | "source"
  | "addresses"
> &
  Pick<NativePlane, "associations" | "counters" | "stalled"> & {
    setSources(sources: readonly PeerSource[]): void;
    /** Another process goes on. */
    takeOver(): TakenOver;
  };

export const NAMES = {
  a: { hit: hitFromBytes(parseIpv6("2001:22:1::a") as Uint8Array), lsi: "198.18.0.1" as Lsi },
  b: { hit: hitFromBytes(parseIpv6("2001:22:1::b") as Uint8Array), lsi: "198.18.0.2" as Lsi },
};

export class PlaneHost {
  readonly host: Host;
  readonly hit: Hit;
  readonly lsi: Lsi;
  readonly #program: Background;
  #next = 1;

  private constructor(host: Host, hit: Hit, lsi: Lsi, program: Background) {
    this.host = host;
    this.hit = hit;
    this.lsi = lsi;
    this.#program = program;
  }

  /** Starts the program; fails with its words when it does not come up. */
  static async start(
    host: Host,
    names: { hit: Hit; lsi: Lsi },
    more: Partial<PlaneHostOptions> = {},
  ): Promise<PlaneHost> {
    const options: PlaneHostOptions = { ...names, workers: 1, lsiPrefix: "198.18.0.0/15", ...more };
    const program = host.namespace.spawn([
      process.execPath,
      join(import.meta.dirname, "plane-host.ts"),
      JSON.stringify(options),
    ]);
    const first = await program.line((line) => line.startsWith("{") && !line.includes('"log"'));
    if (!first.includes('"up"')) throw new Error(first);
    return new PlaneHost(host, names.hit, names.lsi, program);
  }

  /** Calls a method of the plane and gives its result. */
  async call<Name extends keyof Calls>(
    name: Name,
    ...args: Parameters<Calls[Name]>
  ): Promise<ReturnType<Calls[Name]>> {
    const id = this.#next++;
    const text = JSON.stringify({ id, op: name, args }, (_, one) =>
      one instanceof Uint8Array ? { hex: Buffer.from(one).toString("hex") } : one,
    );
    this.#program.child.stdin.write(`${text}\n`);
    const line = await this.#program.line((one) => one.startsWith(`{"id":${id},`));
    return JSON.parse(line).result;
  }

  /** All events so far, oldest first. */
  events(): readonly DataPlaneEvent[] {
    return this.#program.out
      .filter((line) => line.startsWith('{"event"'))
      .map((line) => JSON.parse(line, (_, one) => (typeof one?.hex === "string" ? fromHex(one.hex) : one)))
      .map((line) => line.event as DataPlaneEvent);
  }

  /** The first event of a type that fits, of those that came or will come. */
  async event<Type extends DataPlaneEvent["type"]>(
    type: Type,
    test: (event: Extract<DataPlaneEvent, { type: Type }>) => boolean = () => true,
  ): Promise<Extract<DataPlaneEvent, { type: Type }>> {
    type Wanted = Extract<DataPlaneEvent, { type: Type }>;
    const look = () => this.events().find((one): one is Wanted => one.type === type && test(one as Wanted));
    return this.#program.until(look, 10_000, () => `waiting for an event "${type}"`);
  }

  /** The first line of output that fits. */
  line(test: (line: string) => boolean): Promise<string> {
    return this.#program.line(test);
  }

  async counter(name: string): Promise<number> {
    return (await this.call("counters"))[name] ?? 0;
  }

  stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    return this.#program.stop(signal);
  }
}

export interface SaOptions {
  readonly carrier?: Path["carrier"];
  readonly ipv6?: boolean;
  readonly suite?: EspSuite;
  /** Whether both sides know each other's second SPI. */
  readonly second?: boolean;
  readonly softPackets?: number;
  readonly idleAfter?: number;
}

const SPIS = { a: 0x1000, b: 0x2000 };
const KEY_LENGTHS: Readonly<Record<EspSuite, readonly [encryption: number, integrity: number]>> = {
  7: [0, 32],
  8: [16, 32],
  9: [32, 32],
  12: [20, 0],
  13: [20, 0],
};

export function spiOf(side: "a" | "b"): Spi {
  return SPIS[side] as Spi;
}

export function pathBetween(from: PlaneHost, to: PlaneHost, options: SaOptions = {}): Path {
  const { carrier = "udp", ipv6 = false } = options;
  const address = ({ host }: PlaneHost) => (ipv6 ? host.ipv6 : host.ipv4);
  const port = carrier === "udp" ? 10500 : 0;
  return {
    carrier,
    local: { address: address(from), port },
    remote: { address: address(to), port },
  };
}

/** Both SAs of `self` with `peer`, not routed yet; the peer's LSI is known. */
export async function install(
  self: PlaneHost,
  side: "a" | "b",
  peer: PlaneHost,
  options: SaOptions = {},
): Promise<void> {
  const { suite = 13, second = true, softPackets = 1_000_000, idleAfter = 0 } = options;
  const [encryption, integrity] = KEY_LENGTHS[suite];
  const key = (owner: "a" | "b", length: number) =>
    Uint8Array.from({ length }, (_, i) => owner.charCodeAt(0) + i);
  const one = (direction: SaSpec["direction"], owner: "a" | "b"): SaSpec => ({
    direction,
    spi: spiOf(owner),
    lsiSpi: second ? ((spiOf(owner) + 1) as Spi) : undefined,
    suite,
    encryptionKey: key(owner, encryption),
    integrityKey: key(owner, integrity),
    localHit: self.hit,
    peerHit: peer.hit,
    path: pathBetween(self, peer, options),
    inboundFamily: "hit",
    softPackets,
    idleAfter,
  });
  await self.call("alias", peer.lsi, peer.hit);
  await self.call("addSa", one("in", side));
  await self.call("addSa", one("out", side === "a" ? "b" : "a"));
}

/** SAs on both sides, in use. */
export async function associate(a: PlaneHost, b: PlaneHost, options: SaOptions = {}): Promise<void> {
  await install(a, "a", b, options);
  await install(b, "b", a, options);
  await a.call("route", b.hit, spiOf("b"));
  await b.call("route", a.hit, spiOf("a"));
}

/** Removes what `associate` installed. */
export async function dissociate(a: PlaneHost, b: PlaneHost): Promise<void> {
  for (const [self, side, peer] of [
    [a, "a", b],
    [b, "b", a],
  ] as const) {
    await self.call("route", peer.hit, "unknown");
    await self.call("dropSa", spiOf(side), "in", peer.hit);
    await self.call("dropSa", spiOf(side === "a" ? "b" : "a"), "out", peer.hit);
    await self.call("alias", peer.lsi, undefined);
  }
}

/** Associates them while `body` runs. What the near kernel has learnt about paths of former associations is forgotten first. */
export async function whileAssociated(
  near: Host,
  a: PlaneHost,
  b: PlaneHost,
  options: SaOptions,
  body: () => Promise<void>,
): Promise<void> {
  for (const family of ["-4", "-6"]) await near.namespace.run(["ip", family, "route", "flush", "cache"]);
  await associate(a, b, options);
  try {
    await body();
  } finally {
    await dissociate(a, b);
  }
}
