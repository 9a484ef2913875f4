/** What the operator decides about the overlay, as one value; and the difference between two such values. */
import { formatPrefix, type Prefix } from "../core/ip.ts";
import { type Carrier, type Endpoint, type Hit, sameEndpoint } from "../core/types.ts";
import type { HostConfig } from "../hip/config.ts";
import type { InnerFamily } from "../hip/sa.ts";
import type { NamedKey, NamesConfig } from "./name-answers.ts";
import { DEFAULT_RULES, type LocatorRules } from "./own-locators.ts";
import { DEFAULT_PMTU, type PmtuOptions } from "./pmtu.ts";

/** One of the host's identities. The private key stays with whoever runs jobs. */
export interface IdentityConfig {
  readonly hit: Hit;
  /** HIT suite ID (RFC 7401 5.2.10): 1, 2 or 5. */
  readonly suite: number;
  /** For people: `ECDSA P-256`, `RSA 3072`, ... */
  readonly algorithm: string;
  /** Where the key is kept; "" when nowhere. */
  readonly file: string;
  /** The public half, for DNS. */
  readonly key?: Omit<NamedKey, "hit">;
}

/** Who told us about a peer: the configuration file, a file of peers.d, or somebody at run time. */
export type PeerSource = "config" | "peers.d" | "runtime";

export interface PeerConfig {
  /** Unique among the peers; lower-case DNS labels. */
  readonly name: string;
  /** Undefined: whoever answers at the locators is believed (opportunistic mode, RFC 7401 4.1.8). */
  readonly hit: Hit | undefined;
  /** The identity that we show this peer; undefined: the default one. */
  readonly localHit: Hit | undefined;
  readonly carrier: Carrier;
  /** Best first; ports are 0 for carrier "none". Empty: this peer must speak first. */
  readonly locators: readonly Endpoint[];
  readonly inboundFamily: InnerFamily;
  /** The peer's name in DNS, where its locators and, if it is not configured, its HIT are (RFC 8005). */
  readonly dns?: string | undefined;
  readonly source: PeerSource;
  /** The file that the peer stands in; "" for source "runtime". */
  readonly file: string;
}

/** Where we are and how paths are watched: `[locators]`. Times in milliseconds. */
export interface LocatorsConfig extends LocatorRules {
  /** A path that was sent to and gave nothing back for so long is dead. */
  readonly deadPathAfter: number;
  /** Pairs of addresses that are not in use are asked for a sign of life this often. */
  readonly probeInterval: number;
  /** Whether the largest packet that a path carries is looked for (RFC 8899). */
  readonly discoverMtu: boolean;
  readonly pmtu: PmtuOptions;
}

export const DEFAULT_LOCATORS: LocatorsConfig = {
  ...DEFAULT_RULES,
  deadPathAfter: 700,
  probeInterval: 5_000,
  discoverMtu: true,
  pmtu: DEFAULT_PMTU,
};

/** How long the data plane waits before it says that a peer is silent: the rest of `deadPathAfter` is for probes. */
export function silentMillis({ deadPathAfter }: LocatorsConfig = DEFAULT_LOCATORS): number {
  return Math.round((deadPathAfter * 5) / 7);
}

/** A peer's name in DNS: what DNS says about it is looked up anew in each run. Undefined: nothing about it is in DNS. */
export function dnsNameOf({ dns, name }: PeerConfig, { names }: OverlayConfig): string | undefined {
  const { dnsPeers = false, domain = "" } = names ?? {};
  if (!dnsPeers) return undefined;
  if (dns !== undefined) return dns;
  return name.includes(".") && name !== domain && !name.endsWith(`.${domain}`) ? name : undefined;
}

/** Everything that may change while the daemon runs. */
export interface OverlayConfig {
  /** At least one. */
  readonly identities: readonly IdentityConfig[];
  /** One of `identities`: shown to peers that have no identity of their own. */
  readonly defaultIdentity: Hit;
  /** The protocol's settings; `host.opportunistic` is the switch of opportunistic mode in both directions. */
  readonly host: HostConfig;
  readonly peers: readonly PeerConfig[];
  /** Undefined: `DEFAULT_LOCATORS`. */
  readonly locators?: LocatorsConfig;
  /** Undefined: `DEFAULT_NAMES`. */
  readonly names?: NamesConfig;
  /** UDP port of HIP and ESP on this host. Cannot change without a restart. */
  readonly port: number;
  /** IPv4 prefix of the LSIs. Cannot change without a restart; then every peer gets a new LSI. */
  readonly lsiPrefix: Prefix;
}

/** Peers that a reload makes come, go or change. Unchanged ones are not mentioned. */
export interface PeerDifference {
  readonly added: readonly PeerConfig[];
  readonly removed: readonly PeerConfig[];
  readonly changed: readonly { readonly before: PeerConfig; readonly after: PeerConfig }[];
}

/** What must happen to get from one configuration to another. */
export interface ConfigDifference {
  readonly peers: PeerDifference;
  readonly identities: boolean;
  readonly defaultIdentity: boolean;
  readonly host: boolean;
  readonly locators: boolean;
  /** Settings that differ but need a restart, by their names in the file. */
  readonly needsRestart: readonly string[];
}

/** Peers are the same peer when their names are equal. Only what matters on the wire or to lookups makes a change. */
export function peerDifference(before: readonly PeerConfig[], after: readonly PeerConfig[]): PeerDifference {
  const old = new Map(before.map((peer) => [peer.name, peer]));
  const kept = new Set<string>();
  const added: PeerConfig[] = [];
  const removed: PeerConfig[] = [];
  const changed: { before: PeerConfig; after: PeerConfig }[] = [];
  for (const peer of after) {
    const former = old.get(peer.name);
    kept.add(peer.name);
    if (former === undefined) added.push(peer);
    else if (!samePeer(former, peer)) changed.push({ before: former, after: peer });
  }
  for (const peer of before) if (!kept.has(peer.name)) removed.push(peer);
  return { added, removed, changed };
}

/** Whether two descriptions of a peer are equal, wherever they come from. */
export function samePeer(a: PeerConfig, b: PeerConfig): boolean {
  return (
    a.name === b.name &&
    a.hit === b.hit &&
    a.localHit === b.localHit &&
    a.carrier === b.carrier &&
    a.inboundFamily === b.inboundFamily &&
    a.dns === b.dns &&
    a.locators.length === b.locators.length &&
    a.locators.every((locator, i) => sameEndpoint(locator, b.locators[i] as Endpoint))
  );
}

/** `current` are the peers in use now, without those that were added at run time only. */
export function configDifference(
  before: OverlayConfig,
  after: OverlayConfig,
  current: readonly PeerConfig[] = before.peers,
): ConfigDifference {
  const needsRestart: string[] = [];
  if (before.port !== after.port) needsRestart.push("network.port");
  if (formatPrefix(before.lsiPrefix) !== formatPrefix(after.lsiPrefix))
    needsRestart.push("network.lsi_prefix");
  return {
    peers: peerDifference(current, after.peers),
    identities: !sameValue(identityKeys(before), identityKeys(after)),
    defaultIdentity: before.defaultIdentity !== after.defaultIdentity,
    host: !sameValue(withoutCounter(before.host), withoutCounter(after.host)),
    locators: !sameValue(before.locators ?? DEFAULT_LOCATORS, after.locators ?? DEFAULT_LOCATORS),
    needsRestart,
  };
}

/** Where the R1 counter began at this start of the daemon is no setting. */
function withoutCounter(config: HostConfig): HostConfig {
  return { ...config, r1CounterStart: 0n };
}

function identityKeys(config: OverlayConfig): readonly string[] {
  return config.identities.map((identity) => `${identity.hit}/${identity.suite}`).sort();
}

/** Equality of plain data: numbers, strings, booleans, byte strings, arrays and records. */
function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => key in b && sameValue((a as Fields)[key], (b as Fields)[key]));
}

type Fields = Readonly<Record<string, unknown>>;
