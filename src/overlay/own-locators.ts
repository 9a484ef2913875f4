/** The host's own locators: which addresses peers are told about, and in which order. */
import { canonicalIp } from "../core/ip.ts";
import { after, type Deadline, type Endpoint, endpointText, type Hit, type Instant } from "../core/types.ts";
import type { OwnLocator, OwnLocatorKind } from "../hip/locator.ts";
import {
  type InterfaceRules,
  type OverlayGround,
  preferenceOf,
  scopeOf,
  whyLeftOut,
} from "./locator-rank.ts";
import { ReflexiveAddresses } from "./reflexive.ts";

/** An underlay address of this host as the kernel describes it. */
export interface LocalAddress {
  readonly address: string;
  /** Name of the interface. */
  readonly interface: string;
  /** `deprecated`: the kernel would not choose it for a new connection (RFC 4862 5.5.4). */
  readonly deprecated: boolean;
  /** RFC 8981. */
  readonly temporary: boolean;
  /** Seconds that it stays preferred; undefined: without an end. */
  readonly preferredSeconds: number | undefined;
  /** Metric of the interface's best default route of this family; undefined: it has none. */
  readonly metric: number | undefined;
  /** The source that the kernel takes towards the default route of this family. */
  readonly defaultSource: boolean;
}

/** The operator's part: `[locators]`. */
export interface LocatorRules extends InterfaceRules {
  /** Where peers reach us although no interface has the address; port 0 is our own. */
  readonly advertise: readonly Endpoint[];
}

export const DEFAULT_RULES: LocatorRules = {
  advertise: [],
  interfaces: [],
  excludeInterfaces: [],
  addresses: [],
  excludeAddresses: [],
};

/** Locators that peers are told about at once: what every peer is sure to take. */
export const MAX_OWN_LOCATORS = 16;
/** Locators that operators may add at run time. */
export const MAX_ADDED = 16;
/** Addresses that operators may take back at run time. */
export const MAX_REMOVED = 64;
/** An end nearer than this is not told: until a peer knew it, it would be over, in seconds. */
const MIN_LIFETIME = 60;

/** A locator with what operators want to know about it. */
export interface KnownLocator extends OwnLocator {
  readonly interface: string | undefined;
  readonly since: Instant;
  /** Why peers are not told of it; undefined: they are. */
  readonly leftOut: string | undefined;
}

interface Candidate {
  readonly address: string;
  readonly port: number;
  readonly kind: OwnLocatorKind;
  readonly local: LocalAddress | undefined;
  readonly leftOut: string | undefined;
}

export class OwnLocators {
  readonly #port: number;
  readonly #overlay: OverlayGround;
  readonly #reflexive = new ReflexiveAddresses();
  #rules: LocatorRules;
  #addresses: readonly LocalAddress[] = [];
  /** When the addresses were told: their seconds count from then. */
  #addressesAt: Instant = 0 as Instant;
  #cloud: readonly string[] = [];
  readonly #added = new Map<string, Endpoint>();
  readonly #removed = new Set<string>();
  #chosen: string | undefined;
  readonly #since = new Map<string, Instant>();
  #heard = false;
  #told: readonly OwnLocator[] | undefined;
  #toldAt: Instant = 0 as Instant;

  /** `port`: our UDP port. */
  constructor(port: number, overlay: OverlayGround, rules: LocatorRules = DEFAULT_RULES) {
    this.#port = port;
    this.#overlay = overlay;
    this.#rules = rules;
  }

  overflows(): Readonly<Record<string, number>> {
    return this.#reflexive.overflows();
  }

  configure(rules: LocatorRules): void {
    this.#rules = rules;
  }

  /** All underlay addresses, as they are now. */
  addresses(all: readonly LocalAddress[], now: Instant): void {
    this.#heard = true;
    this.#addresses = all;
    this.#addressesAt = now;
    const present = new Set(all.map(({ address }) => address));
    this.#reflexive.keep((address) => present.has(address));
  }

  /** The public addresses that the cloud's metadata service knows, all of them. Anything but an IP address is left out. */
  cloud(all: readonly string[]): void {
    const usable = all.map(canonicalIp).filter((address) => address !== undefined);
    this.#cloud = [...new Set(usable)].filter((address) => isUnicast(address)).slice(0, MAX_OWN_LOCATORS);
  }

  /** A peer sees what we send from `local` come from `mapped`. */
  seenAs(peer: Hit, local: string, mapped: Endpoint, now: Instant): boolean {
    return this.#reflexive.seen(peer, local, mapped, (address) => this.isOurs(address), now);
  }

  /** The association with a peer ended: what it vouched for goes. */
  forgetPeer(peer: Hit): boolean {
    return this.#reflexive.forget(peer);
  }

  /** Whether an interface of ours has the address. */
  isOurs(address: string): boolean {
    return this.#addresses.some((local) => local.address === address);
  }

  /** From now on, until the daemon ends: a place where we are reached. False: too many. */
  add(endpoint: Endpoint): boolean {
    this.#removed.delete(endpoint.address);
    const key = endpointText(this.#withPort(endpoint));
    if (!this.#added.has(key) && this.#added.size >= MAX_ADDED) return false;
    this.#added.set(key, this.#withPort(endpoint));
    return true;
  }

  /** Peers are no longer told of an address, wherever it came from. False: it was not known, or too many are removed. */
  remove(address: string): boolean {
    let known = false;
    for (const [key, endpoint] of [...this.#added]) {
      if (endpoint.address === address) known = this.#added.delete(key);
    }
    if (this.#chosen === address) this.#chosen = undefined;
    if (!this.#candidates().some((each) => each.address === address)) return known;
    if (this.#removed.size >= MAX_REMOVED) return known;
    this.#removed.add(address);
    return true;
  }

  /** Puts an address first; undefined: the rule alone decides again. False: there is no such locator. */
  prefer(address: string | undefined): boolean {
    const offered = this.known(this.#toldAt).some(
      (each) => each.address === address && each.leftOut === undefined,
    );
    if (address !== undefined && !offered) return false;
    this.#chosen = address;
    return true;
  }

  /** Every locator, best first, with those that are left out last. */
  known(now: Instant): readonly KnownLocator[] {
    const best = new Map<string, KnownLocator>();
    for (const candidate of this.#candidates()) {
      const { address, port, kind, local } = candidate;
      const key = endpointText({ address, port });
      const leftOut = this.#removed.has(address) ? "removed by hipctl" : candidate.leftOut;
      const seconds = this.#secondsLeft(local, now);
      const known: KnownLocator = {
        address,
        port,
        kind,
        local: local !== undefined,
        preference: preferenceOf({ address, kind, chosen: address === this.#chosen, local, seconds }),
        lifetime: seconds !== undefined && seconds >= MIN_LIFETIME ? seconds : undefined,
        interface: local?.interface,
        since: this.#since.get(key) ?? now,
        leftOut,
      };
      const other = best.get(key);
      if (other === undefined || rank(known) > rank(other)) best.set(key, known);
    }
    for (const key of this.#since.keys()) if (!best.has(key)) this.#since.delete(key);
    for (const [key, { since }] of best) this.#since.set(key, since);
    return atMost([...best.values()].sort((a, b) => rank(b) - rank(a)));
  }

  /** What peers must be told, best first; undefined: they know. */
  news(now: Instant): readonly OwnLocator[] | undefined {
    const offered = this.known(now).filter(({ leftOut }) => leftOut === undefined);
    const list = offered.map(
      ({ address, port, kind, local, preference, lifetime }): OwnLocator => ({
        address,
        port,
        kind,
        local,
        preference,
        lifetime,
      }),
    );
    const fresh = (this.deadline()?.at ?? Number.POSITIVE_INFINITY) > now;
    // Before the kernel has told its addresses, a list without them would be a lie: nothing could be sent from anywhere.
    if (!this.#heard) return undefined;
    if (this.#told !== undefined && fresh && sameList(this.#told, list)) return undefined;
    this.#told = list;
    this.#toldAt = now;
    return list;
  }

  /** Peers must be told again before what they know ends, when it is still ours then. */
  deadline(): Deadline | undefined {
    const ends = (this.#told ?? []).flatMap(({ lifetime }) => (lifetime === undefined ? [] : [lifetime]));
    if (ends.length === 0) return undefined;
    return { at: after(this.#toldAt, (Math.min(...ends) * 2000) / 3), why: "locator lifetimes" };
  }

  #candidates(): readonly Candidate[] {
    const byAddress = new Map(this.#addresses.map((local) => [local.address, local]));
    const elsewhere = (endpoint: Endpoint, kind: OwnLocatorKind): Candidate => ({
      ...this.#withPort(endpoint),
      kind,
      local: byAddress.get(endpoint.address),
      leftOut: undefined,
    });
    return [
      ...this.#rules.advertise.map((endpoint) => elsewhere(endpoint, "static")),
      ...[...this.#added.values()].map((endpoint) => elsewhere(endpoint, "static")),
      ...this.#addresses.map(
        (local): Candidate => ({
          address: local.address,
          port: this.#port,
          kind: "host",
          local,
          leftOut: whyLeftOut(local, this.#rules, this.#overlay),
        }),
      ),
      ...this.#cloud.map((address) => elsewhere({ address, port: 0 }, "cloud")),
      ...this.#reflexive.offered().map(({ endpoint }) => elsewhere(endpoint, "reflexive")),
    ];
  }

  #withPort(endpoint: Endpoint): Endpoint {
    return endpoint.port === 0 ? { address: endpoint.address, port: this.#port } : endpoint;
  }

  /** Seconds that the kernel still gives an address. Past its end it is there for as long as the kernel says nothing else. */
  #secondsLeft(local: LocalAddress | undefined, now: Instant): number | undefined {
    if (local?.preferredSeconds === undefined || local.deprecated) return undefined;
    const left = Math.floor(local.preferredSeconds - (now - this.#addressesAt) / 1000);
    return left > 0 ? left : undefined;
  }
}

function isUnicast(address: string): boolean {
  const scope = scopeOf(address);
  return scope === "global" || scope === "private";
}

/** What is offered goes before what is not. */
function rank({ preference, leftOut }: KnownLocator): number {
  return leftOut === undefined ? preference + 0x1_0000 : preference;
}

/** The best of them, but none of the two families is left without any. The others are left out. */
function atMost(sorted: readonly KnownLocator[]): readonly KnownLocator[] {
  const offered = sorted.filter(({ leftOut }) => leftOut === undefined);
  if (offered.length <= MAX_OWN_LOCATORS) return sorted;
  const chosen = new Set(offered.slice(0, MAX_OWN_LOCATORS));
  const isV6 = ({ address }: KnownLocator): boolean => address.includes(":");
  for (const v6 of [true, false]) {
    const first = offered.find((each) => isV6(each) === v6);
    if (first === undefined || [...chosen].some((each) => isV6(each) === v6)) continue;
    chosen.delete(offered[MAX_OWN_LOCATORS - 1] as KnownLocator);
    chosen.add(first);
  }
  const reason = `beyond ${MAX_OWN_LOCATORS} locators`;
  const limited = sorted.map((each) =>
    each.leftOut === undefined && !chosen.has(each) ? { ...each, leftOut: reason } : each,
  );
  return limited.sort((a, b) => rank(b) - rank(a));
}

/** Lifetimes that merely ran down are no news: `deadline` sees to them. */
function sameList(a: readonly OwnLocator[], b: readonly OwnLocator[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, i) => {
      const other = b[i] as OwnLocator;
      return (
        one.address === other.address &&
        one.port === other.port &&
        one.kind === other.kind &&
        one.local === other.local &&
        one.preference === other.preference
      );
    })
  );
}
