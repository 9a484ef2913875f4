/** Which associations our SPIs belong to (RFC 7402 3.3.4). The peers' own are asked for too rarely to be listed. */
import type { Random } from "../core/random.ts";
import type { Spi } from "../core/types.ts";
import type { HostOutput } from "./io.ts";
import type { InboundSpis } from "./states.ts";

/** `A`: what stands for an association. */
export class SpiIndex<A> {
  readonly #random: Random;
  /** By both SPIs of an SA. */
  readonly #inbound = new Map<Spi, A>();
  /** The second SPI of an SA, by its first. */
  readonly #lsiSpis = new Map<Spi, Spi>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** The association that an SPI of ours belongs to. */
  inbound(spi: Spi): A | undefined {
    return this.#inbound.get(spi);
  }

  /** Keeps up with the SAs that an association adds and drops. */
  follow(association: A, out: readonly HostOutput[]): void {
    for (const output of out) {
      if (output.type === "sa-add") {
        const { direction, spi, lsiSpi } = output.sa;
        if (direction === "in") this.#add(association, spi, lsiSpi);
      } else if (output.type === "sa-drop" && output.direction === "in") {
        const lsiSpi = this.#lsiSpis.get(output.spi);
        this.#inbound.delete(output.spi);
        this.#lsiSpis.delete(output.spi);
        if (lsiSpi !== undefined) this.#inbound.delete(lsiSpi);
      }
    }
  }

  /** The SAs of an association that was handed over. */
  resume(association: A, inbound: readonly InboundSpis[]): void {
    for (const { spi, lsiSpi } of inbound) this.#add(association, spi, lsiSpi);
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

  #add(association: A, spi: Spi, lsiSpi: Spi | undefined): void {
    this.#inbound.set(spi, association);
    if (lsiSpi === undefined) return;
    this.#inbound.set(lsiSpi, association);
    this.#lsiSpis.set(spi, lsiSpi);
  }

  /** Entries of all tables: none is left when all SAs are gone. */
  get size(): number {
    return this.#inbound.size + this.#lsiSpis.size;
  }
}
