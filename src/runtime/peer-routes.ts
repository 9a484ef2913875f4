/**
 * Routes of single peers: those that are shown another identity than the default one. Without them the kernel would choose the default
 * HIT as source of packets to such a peer, which its security association does not carry.
 */
import { contains, formatHit, HIT_PREFIX, hitBytes, hitFromBytes } from "../core/ip.ts";
import { type Hit, ok } from "../core/types.ts";
import { addon } from "./early.ts";

import { links, type RouteRow, routes } from "./network.ts";
import type { NetworkSystem, PeerSource } from "./network-port.ts";

/** rtnetlink's numbers. */
const UNICAST = 1;
const MAIN_TABLE = 254;
/** The kernel's default for IPv6, and another one than that of the interface's own addresses. */
const METRIC = 1024;
const WHOLE = 128;

/** The same system, whose networks also keep the routes of single peers. */
export function withPeerRoutes(system: NetworkSystem): NetworkSystem {
  return {
    ...system,
    open: (options) => {
      const opened = system.open(options);
      if (!opened.ok) return opened;
      const held = new PeerRoutes(options.interface, options.ecn ?? true);
      return ok({ ...opened.value, setSources: (sources) => held.set(sources) });
    },
  };
}

/** Routes to single HITs, of this overlay and of others; the kernel's own to local addresses are in another table. */
function peerRoutes(): readonly RouteRow[] {
  return routes().filter(
    ({ type, table, destination: { bytes, length } }) =>
      type === UNICAST && table === MAIN_TABLE && length === WHOLE && contains(HIT_PREFIX, bytes),
  );
}

function elsewhere(link: number): ReadonlySet<Hit> {
  const others = peerRoutes().filter((route) => route.link !== link && route.metric === METRIC);
  return new Set(others.map((route) => hitFromBytes(route.destination.bytes)));
}

class PeerRoutes {
  readonly #interface: string;
  readonly #ecn: boolean;
  #set = new Map<Hit, Hit>();
  /** What was there before is known and put right. */
  #adopted = false;

  constructor(name: string, ecn: boolean) {
    this.#interface = name;
    this.#ecn = ecn;
  }

  /**
   * Makes the routes be exactly these, at first also those that an earlier daemon left on an interface that outlived it.
   * @throws Error of the kernel, or about peers that another overlay has; all others then have their routes.
   */
  set(sources: readonly PeerSource[]): void {
    const wanted = new Map(sources.map(({ peer, local }) => [peer, local]));
    const link = this.#link();
    if (!this.#adopted) this.#dropOthers(link, wanted);
    for (const [peer, local] of this.#set) {
      if (wanted.get(peer) === local) continue;
      this.#change(false, peer, link);
      this.#set.delete(peer);
    }
    const fresh = [...wanted].filter(([peer]) => !this.#set.has(peer));
    const taken = fresh.length === 0 ? new Set<Hit>() : elsewhere(link.index);
    for (const [peer, local] of fresh) {
      if (taken.has(peer)) continue;
      this.#change(true, peer, link, local);
      this.#set.set(peer, local);
    }
    const refused = fresh.filter(([peer]) => taken.has(peer)).map(([peer]) => formatHit(peer));
    if (refused.length > 0) {
      throw new Error(`peers of another overlay on this host keep their routes to it: ${refused.join(", ")}`);
    }
  }

  #dropOthers(link: { readonly index: number; readonly mtu: number }, wanted: ReadonlyMap<Hit, Hit>): void {
    for (const { destination, metric } of peerRoutes().filter((route) => route.link === link.index)) {
      const peer = hitFromBytes(destination.bytes);
      if (metric === METRIC && !wanted.has(peer)) this.#change(false, peer, link);
    }
    this.#adopted = true;
  }

  #link(): { readonly index: number; readonly mtu: number } {
    const link = links().find((one) => one.name === this.#interface);
    if (link === undefined) throw new Error(`there is no interface ${this.#interface}`);
    return link;
  }

  #change(
    add: boolean,
    peer: Hit,
    link: { readonly index: number; readonly mtu: number },
    local?: Hit,
  ): void {
    const source = local === undefined ? new Uint8Array(0) : hitBytes(local);
    const mtu = add ? link.mtu : 0;
    const ecn = add && this.#ecn;
    addon().changeRoute(
      add,
      hitBytes(peer),
      WHOLE,
      UNICAST,
      link.index,
      MAIN_TABLE,
      METRIC,
      mtu,
      source,
      ecn,
    );
  }
}
