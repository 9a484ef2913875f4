/** The host's HITs as the kernel knows them: addresses of the interface, and from which of them packets to a peer leave. */
import { formatHit, parseHit } from "../core/ip.ts";
import type { Hit } from "../core/types.ts";
import type { ControlReply } from "../overlay/control.ts";
import type { Log } from "./log.ts";
import type { Network, PeerSource } from "./network-port.ts";

export interface SourceAddressesOptions {
  readonly network: Pick<Network, "setIdentities" | "setSources">;
  readonly log: Log;
  /** The identity that is shown to peers without one of their own. */
  readonly preferred: Hit;
  /** Whether peers that are shown the preferred identity need a route as well. */
  readonly everyPeer: boolean;
  readonly listPeers: (listed: (reply: ControlReply) => void) => void;
}

export class SourceAddresses {
  readonly #options: SourceAddressesOptions;
  #preferred: Hit;
  #due = false;
  #stopped = false;

  constructor(options: SourceAddressesOptions) {
    this.#options = options;
    this.#preferred = options.preferred;
  }

  get preferred(): Hit {
    return this.#preferred;
  }

  setIdentities(all: readonly Hit[], preferred: Hit): void {
    const { network, log } = this.#options;
    this.#preferred = preferred;
    this.peersChanged();
    try {
      network.setIdentities(all, preferred);
    } catch (error) {
      const reason = (error as Error).message;
      log.error("addresses-not-set", "the addresses of the interface could not be changed", { reason });
    }
  }

  /** Many peers may change at once; their routes follow together. */
  peersChanged(): void {
    if (this.#due || this.#options.network.setSources === undefined) return;
    this.#due = true;
    setImmediate(() => {
      this.#due = false;
      if (!this.#stopped) this.#options.listPeers((reply) => this.#setSources(reply));
    });
  }

  /** From now on routes stay as they are. */
  stop(): void {
    this.#stopped = true;
  }

  #setSources(reply: ControlReply): void {
    if (reply.type !== "peers") return;
    const { network, log, everyPeer } = this.#options;
    const preferred = formatHit(this.#preferred);
    const sources = reply.peers.flatMap((peer): PeerSource[] => {
      const routed = everyPeer || peer.identity !== preferred;
      const hit = peer.hit === null || !routed ? undefined : parseHit(peer.hit);
      const local = parseHit(peer.identity);
      return hit?.ok && local.ok ? [{ peer: hit.value, local: local.value }] : [];
    });
    try {
      network.setSources?.(sources);
    } catch (error) {
      const reason = (error as Error).message;
      log.error("routes-not-set", "the routes of single peers could not be changed", { reason });
    }
  }
}
