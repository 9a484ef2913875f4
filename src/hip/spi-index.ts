/** Whose SPIs are whose: ours by number, the peers' by HIT and number, since each side draws its own (RFC 7402 3.3.4). */
import type { Random } from "../core/random.ts";
import type { Hit, Spi } from "../core/types.ts";
import type { HostOutput } from "./io.ts";
import type { InboundSpis } from "./states.ts";

export class SpiIndex {
  readonly #random: Random;
  /** By both SPIs of an SA. */
  readonly #inbound = new Map<Spi, string>();
  /** The second SPI of an SA, by its first. */
  readonly #lsiSpis = new Map<Spi, Spi>();
  /** Mostly one association: a list only where several peers chose the same number. */
  readonly #outbound = new Map<Spi, string | readonly string[]>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** The association that an SPI of ours belongs to. */
  inbound(spi: Spi): string | undefined {
    return this.#inbound.get(spi);
  }

  /** The associations whose peers chose this SPI: one, but for a coincidence. */
  outbound(spi: Spi): readonly string[] {
    const found = this.#outbound.get(spi);
    return typeof found === "string" ? [found] : (found ?? []);
  }

  /** Keeps up with the SAs that an association adds and drops. */
  follow(key: string, out: readonly HostOutput[]): void {
    for (const output of out) {
      if (output.type === "sa-add") {
        const { direction, spi, lsiSpi, peerHit } = output.sa;
        if (direction === "out") this.#addOutbound(key, spi, peerHit);
        else this.#addInbound(key, spi, lsiSpi);
      } else if (output.type === "sa-drop") {
        if (output.direction === "out") this.#dropOutbound(output.spi, output.peer);
        else {
          const lsiSpi = this.#lsiSpis.get(output.spi);
          this.#inbound.delete(output.spi);
          this.#lsiSpis.delete(output.spi);
          if (lsiSpi !== undefined) this.#inbound.delete(lsiSpi);
        }
      }
    }
  }

  /** The SAs of an association that was handed over. */
  resume(key: string, peer: Hit, inbound: readonly InboundSpis[], outbound: readonly Spi[]): void {
    for (const { spi, lsiSpi } of inbound) this.#addInbound(key, spi, lsiSpi);
    for (const spi of outbound) this.#addOutbound(key, spi, peer);
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

  #addInbound(key: string, spi: Spi, lsiSpi: Spi | undefined): void {
    this.#inbound.set(spi, key);
    if (lsiSpi === undefined) return;
    this.#inbound.set(lsiSpi, key);
    this.#lsiSpis.set(spi, lsiSpi);
  }

  #addOutbound(key: string, spi: Spi, peer: Hit): void {
    this.#setOutbound(spi, [...this.#ofOthers(spi, peer), key]);
  }

  #dropOutbound(spi: Spi, peer: Hit): void {
    this.#setOutbound(spi, this.#ofOthers(spi, peer));
  }

  /** The associations with other peers than this one; a key ends with the peer's HIT. */
  #ofOthers(spi: Spi, peer: Hit): readonly string[] {
    return this.outbound(spi).filter((key) => !key.endsWith(peer));
  }

  #setOutbound(spi: Spi, keys: readonly string[]): void {
    const [only] = keys;
    if (only === undefined) this.#outbound.delete(spi);
    else this.#outbound.set(spi, keys.length === 1 ? only : keys);
  }

  /** Entries of all tables: none is left when all SAs are gone. */
  get size(): number {
    return this.#inbound.size + this.#lsiSpis.size + this.#outbound.size;
  }
}
