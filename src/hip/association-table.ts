/** All associations of a host: by their two HITs, and the one that stands for a peer. */
import type { Hit, Spi } from "../core/types.ts";
import type { Association } from "./association.ts";
import { sessionOf } from "./states.ts";
import { spisOf } from "./takeover.ts";

const NONE: readonly Association[] = [];

export class AssociationTable {
  /** Associations at most. */
  readonly limit: number;
  /** Mostly a peer has one. Of several, the one that stands for the peer comes first. */
  readonly #byPeer = new Map<Hit, Association | readonly Association[]>();
  #size = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  get full(): boolean {
    return this.#size >= this.limit;
  }

  get(local: Hit, peer: Hit): Association | undefined {
    return this.#with(peer).find((one) => one.local === local);
  }

  has(association: Association): boolean {
    return this.#with(association.peer).includes(association);
  }

  values(): readonly Association[] {
    return [...this.#byPeer.values()].flat();
  }

  /** Of several with one peer the one that is open, else the latest. */
  of(peer: Hit): Association | undefined {
    return this.#with(peer)[0];
  }

  /** A peer may have associations with several of our identities (RFC 7401 6), best first. */
  allOf(peer: Hit, locals: readonly { readonly hit: Hit }[]): readonly Association[] {
    const all = this.#with(peer);
    return locals.flatMap(({ hit }) => all.filter((one) => one.local === hit));
  }

  /** Those whose peers chose this SPI: one, but for a coincidence. Looks through all: it is asked once for 2^28 packets. */
  byOutbound(spi: Spi): readonly Association[] {
    return this.values().filter(({ state }) => {
      const session = sessionOf(state);
      return session !== undefined && spisOf(session).outbound.includes(spi);
    });
  }

  /** False when the table is full. */
  keep(association: Association): boolean {
    const all = this.#with(association.peer);
    const known = all.includes(association);
    if (!known && this.full) return false;
    if (!known) this.#size++;
    const [shown] = all;
    const shownIsOpen = shown !== undefined && sessionOf(shown.state) !== undefined;
    if (shown === association) return true;
    const others = all.filter((one) => one !== association);
    const stands = !shownIsOpen || sessionOf(association.state) !== undefined;
    this.#set(association.peer, stands ? [association, ...others] : [...others, association]);
    return true;
  }

  /** Of those that stay, the one of the first of `locals` stands for the peer where the removed one did. */
  remove(association: Association, locals: readonly { readonly hit: Hit }[]): void {
    const { peer } = association;
    const all = this.#with(peer);
    if (!all.includes(association)) return;
    this.#size--;
    const others = all.filter((one) => one !== association);
    this.#set(peer, others);
    if (all[0] !== association) return;
    const best = this.allOf(peer, locals);
    this.#set(peer, [...best, ...others.filter((one) => !best.includes(one))]);
  }

  #with(peer: Hit): readonly Association[] {
    const there = this.#byPeer.get(peer);
    return there === undefined ? NONE : "peer" in there ? [there] : there;
  }

  #set(peer: Hit, all: readonly Association[]): void {
    const [only] = all;
    if (only === undefined) this.#byPeer.delete(peer);
    else this.#byPeer.set(peer, all.length === 1 ? only : all);
  }
}
