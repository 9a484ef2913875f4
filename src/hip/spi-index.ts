/** Whose SPIs are whose: ours by number, the peers' by HIT and number, since each side draws its own (RFC 7402 3.3.4). */
import type { Random } from "../core/random.ts";
import type { Hit, Spi } from "../core/types.ts";
import type { HostOutput } from "./io.ts";
import type { InboundSpis } from "./states.ts";

export class SpiIndex {
  readonly #random: Random;
  /** The second SPI of an SA is there, too. */
  readonly #inbound = new Map<Spi, { readonly key: string; readonly lsiSpi: Spi | undefined }>();
  readonly #outbound = new Map<string, string>();
  /** How often a peer's SPI is in use, by number alone. */
  readonly #peersOf = new Map<Spi, Set<Hit>>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** The association that an SPI of ours belongs to. */
  inbound(spi: Spi): string | undefined {
    return this.#inbound.get(spi)?.key;
  }

  /** The associations whose peers chose this SPI: one, but for a coincidence. */
  outbound(spi: Spi): readonly string[] {
    const peers = [...(this.#peersOf.get(spi) ?? [])];
    return peers.map((peer) => this.#outbound.get(`${peer}/${spi}`)).filter((key) => key !== undefined);
  }

  /** Keeps up with the SAs that an association adds and drops. */
  follow(key: string, out: readonly HostOutput[]): void {
    for (const output of out) {
      if (output.type === "sa-add") {
        const { direction, spi, lsiSpi, peerHit } = output.sa;
        if (direction === "out") this.#addOutbound(key, spi, peerHit);
        else {
          this.#inbound.set(spi, { key, lsiSpi });
          if (lsiSpi !== undefined) this.#inbound.set(lsiSpi, { key, lsiSpi: undefined });
        }
      } else if (output.type === "sa-drop") {
        if (output.direction === "out") this.#dropOutbound(output.spi, output.peer);
        else {
          const lsiSpi = this.#inbound.get(output.spi)?.lsiSpi;
          this.#inbound.delete(output.spi);
          if (lsiSpi !== undefined) this.#inbound.delete(lsiSpi);
        }
      }
    }
  }

  /** Inbound SPIs that no SA has; the second one only when it is offered at all. */
  fresh(withLsi: boolean): InboundSpis {
    const spi = this.#draw();
    if (!withLsi) return { spi, lsiSpi: undefined };
    let lsiSpi = this.#draw();
    while (lsiSpi === spi) lsiSpi = this.#draw();
    return { spi, lsiSpi };
  }

  /** SPIs 0 to 255 are reserved (RFC 4303 2.1). */
  #draw(): Spi {
    for (;;) {
      const spi = this.#random.u32() as Spi;
      if (spi > 255 && !this.#inbound.has(spi)) return spi;
    }
  }

  #addOutbound(key: string, spi: Spi, peer: Hit): void {
    this.#outbound.set(`${peer}/${spi}`, key);
    const peers = this.#peersOf.get(spi);
    if (peers === undefined) this.#peersOf.set(spi, new Set([peer]));
    else peers.add(peer);
  }

  #dropOutbound(spi: Spi, peer: Hit): void {
    this.#outbound.delete(`${peer}/${spi}`);
    const peers = this.#peersOf.get(spi);
    peers?.delete(peer);
    if (peers?.size === 0) this.#peersOf.delete(spi);
  }
}
