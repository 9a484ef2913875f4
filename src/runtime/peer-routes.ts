/**
 * Routes of single peers: those that are shown another identity than the default one. Without them the kernel would choose the default
 * HIT as source of packets to such a peer, which its security association does not carry.
 */
import { contains, HIT_PREFIX, hitBytes, hitFromBytes } from "../core/ip.ts";
import { type Hit, ok } from "../core/types.ts";
import { addon } from "./native.ts";
import { links, routes } from "./network.ts";
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
      held.forgetOthers();
      return ok({ ...opened.value, setSources: (sources) => held.set(sources) });
    },
  };
}

class PeerRoutes {
  readonly #interface: string;
  readonly #ecn: boolean;
  #set = new Map<Hit, Hit>();

  constructor(name: string, ecn: boolean) {
    this.#interface = name;
    this.#ecn = ecn;
  }

  /** Removes what an earlier daemon left on an interface that outlived it. */
  forgetOthers(): void {
    const link = this.#link();
    for (const route of routes()) {
      const { bytes, length } = route.destination;
      const ours = route.link === link.index && route.type === UNICAST && route.metric === METRIC;
      if (ours && length === WHOLE && contains(HIT_PREFIX, bytes))
        this.#change(false, hitFromBytes(bytes), link);
    }
  }

  /** Makes the routes be exactly these. @throws Error of the kernel. */
  set(sources: readonly PeerSource[]): void {
    const wanted = new Map(sources.map(({ peer, local }) => [peer, local]));
    const link = this.#link();
    for (const [peer, local] of this.#set) {
      if (wanted.get(peer) === local) continue;
      this.#change(false, peer, link);
      this.#set.delete(peer);
    }
    for (const [peer, local] of wanted) {
      if (this.#set.has(peer)) continue;
      this.#change(true, peer, link, local);
      this.#set.set(peer, local);
    }
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
