/** Addresses that peers saw us come from and that no interface of ours has: what a NAT made of them. */
import { BoundedMap } from "../core/bounded.ts";
import { type Endpoint, endpointText, type Hit, type Instant } from "../core/types.ts";
import { scopeOf } from "./locator-rank.ts";

/** What peers told that is kept: one line for each peer and each local address of ours. */
export const MAX_WITNESSES = 256;
/** Addresses that are offered to others because peers told of them. */
export const MAX_REFLEXIVE = 4;

interface Testimony {
  readonly peer: Hit;
  readonly local: string;
  readonly mapped: Endpoint;
  readonly since: Instant;
}

/** An address that peers agree on. */
export interface Reflexive {
  readonly endpoint: Endpoint;
  /** The address of ours that a NAT translates to it. */
  readonly local: string;
  readonly since: Instant;
  readonly witnesses: number;
}

/**
 * Each peer's last word counts, as long as the peer and our local address stay. A NAT that gives every destination another
 * port (RFC 4787 4.1: endpoint-dependent mapping) shows by two peers that tell different ports: what only one of them
 * saw is of no use to a third, and is not offered.
 */
export class ReflexiveAddresses {
  readonly #told = new BoundedMap<string, Testimony>("reflexive_witnesses", MAX_WITNESSES, "evict-oldest");

  overflows(): Readonly<Record<string, number>> {
    return { [this.#told.name]: this.#told.overflows };
  }

  /**
   * A peer saw what we sent from `local` come from `mapped`. `ours`: whether an address is one of ours. True when that is
   * news.
   */
  seen(
    peer: Hit,
    local: string,
    mapped: Endpoint,
    ours: (address: string) => boolean,
    now: Instant,
  ): boolean {
    const key = `${peer} ${local}`;
    const scope = scopeOf(mapped.address);
    const useless = ours(mapped.address) || scope === "none" || scope === "host" || scope === "link";
    if (useless || mapped.address.includes(":") !== local.includes(":")) {
      return this.#told.delete(key);
    }
    const before = this.#told.get(key);
    if (before !== undefined && endpointText(before.mapped) === endpointText(mapped)) return false;
    this.#told.set(key, { peer, local, mapped, since: now });
    return true;
  }

  /** What was seen of addresses that went away is forgotten. */
  keep(stays: (address: string) => boolean): void {
    this.#told.deleteWhere(({ local, mapped }) => !stays(local) || stays(mapped.address));
  }

  /** The association that vouched for it is gone. True when something was forgotten. */
  forget(peer: Hit): boolean {
    return this.#told.deleteWhere((told) => told.peer === peer);
  }

  /** What may be offered: most witnesses first, then the oldest. */
  offered(): readonly Reflexive[] {
    const groups = new Map<string, Testimony[]>();
    const ports = new Map<string, Set<number>>();
    for (const told of this.#told.values()) {
      const key = `${told.local} ${endpointText(told.mapped)}`;
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [told]);
      else group.push(told);
      const address = `${told.local} ${told.mapped.address}`;
      const seen = ports.get(address) ?? new Set<number>();
      ports.set(address, seen.add(told.mapped.port));
    }
    const agreed: Reflexive[] = [];
    for (const group of groups.values()) {
      const { local, mapped } = group[0] as Testimony;
      const disputed = (ports.get(`${local} ${mapped.address}`)?.size ?? 0) > 1;
      if (disputed && group.length < 2) continue;
      const since = Math.min(...group.map((told) => told.since)) as Instant;
      agreed.push({ endpoint: mapped, local, since, witnesses: group.length });
    }
    return agreed.sort((a, b) => b.witnesses - a.witnesses || a.since - b.since).slice(0, MAX_REFLEXIVE);
  }
}
