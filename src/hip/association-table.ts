/** All associations of a host: by their two HITs, and the one that stands for a peer. */
import { BoundedMap } from "../core/bounded.ts";
import type { Hit } from "../core/types.ts";
import type { Association } from "./association.ts";
import { sessionOf } from "./states.ts";

export function associationKey(local: Hit, peer: Hit): string {
  return local + peer;
}

export class AssociationTable {
  readonly #all: BoundedMap<string, Association>;
  readonly #byPeer = new Map<Hit, string>();

  constructor(limit: number) {
    this.#all = new BoundedMap("associations", limit, "refuse");
  }

  get size(): number {
    return this.#all.size;
  }

  get full(): boolean {
    return this.#all.size >= this.#all.limit;
  }

  get(key: string): Association | undefined {
    return this.#all.get(key);
  }

  values(): readonly Association[] {
    return [...this.#all.values()];
  }

  /** Of several with one peer the one that is open, else the latest. */
  of(peer: Hit): Association | undefined {
    const key = this.#byPeer.get(peer);
    return key === undefined ? undefined : this.#all.get(key);
  }

  /** A peer may have associations with several of our identities (RFC 7401 6). */
  allOf(peer: Hit, locals: readonly { readonly hit: Hit }[]): readonly Association[] {
    return locals
      .map(({ hit }) => this.#all.get(associationKey(hit, peer)))
      .filter((association) => association !== undefined);
  }

  /** False when the table is full. */
  keep(association: Association): boolean {
    const { key, peer } = association;
    if (!this.#all.has(key) && !this.#all.set(key, association)) return false;
    const shown = this.#all.get(this.#byPeer.get(peer) ?? key);
    const shownIsOpen = shown !== undefined && sessionOf(shown.state) !== undefined;
    if (!shownIsOpen || sessionOf(association.state) !== undefined) this.#byPeer.set(peer, key);
    return true;
  }

  remove(association: Association, locals: readonly { readonly hit: Hit }[]): void {
    const { key, peer } = association;
    this.#all.delete(key);
    if (this.#byPeer.get(peer) !== key) return;
    const [other] = this.allOf(peer, locals);
    if (other === undefined) this.#byPeer.delete(peer);
    else this.#byPeer.set(peer, other.key);
  }
}
