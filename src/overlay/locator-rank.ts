/**
 * Which of the host's addresses peers are told about, and in which order. The order is a local preference as in RFC 8445
 * 5.1.2.1, with the ideas of RFC 6724 5 for what makes a source address good. docs/MOBILITY.md has the rule in words.
 */
import { contains, HIT_PREFIX, type Prefix, parseIp } from "../core/ip.ts";
import type { OwnLocatorKind } from "../hip/locator.ts";
import type { LocalAddress } from "./own-locators.ts";

/** Interfaces of containers, virtual machines and other tunnels: their addresses mean nothing to a peer elsewhere. */
export const CONTAINER_INTERFACES: readonly string[] = [
  "docker*",
  "br-*",
  "cni*",
  "flannel*",
  "cali*",
  "cilium*",
  "virbr*",
  "vnet*",
  "lxc*",
  "lxd*",
  "podman*",
  "kube*",
  "tailscale*",
  "wg*",
  "tun*",
  "tap*",
  // Other overlays of this host.
  "hip*",
];

/** Where an address means something, best first. */
export type Scope = "global" | "private" | "link" | "host" | "none";

/** An address that ends within this many seconds is about to go. */
export const LASTING_SECONDS = 300;

const SCOPES: readonly (readonly [text: string, scope: Scope])[] = [
  ["127.0.0.0/8", "host"],
  ["169.254.0.0/16", "link"],
  ["10.0.0.0/8", "private"],
  ["172.16.0.0/12", "private"],
  ["192.168.0.0/16", "private"],
  // RFC 6598: behind a carrier's NAT.
  ["100.64.0.0/10", "private"],
  ["0.0.0.0/8", "none"],
  ["224.0.0.0/3", "none"],
  ["::1/128", "host"],
  ["::/128", "none"],
  // RFC 4291 2.5.5.2: IPv4 in disguise.
  ["::ffff:0:0/96", "none"],
  ["fe80::/10", "link"],
  ["fc00::/7", "private"],
  ["fec0::/10", "private"],
  ["ff00::/8", "none"],
];

const SCOPE_TABLE = SCOPES.map(([text, scope]) => ({ prefix: prefixOf(text), scope }));

/** "none": nobody can be there (RFC 8046 5.2: broadcast and multicast addresses are never announced). */
export function scopeOf(address: string): Scope {
  const bytes = parseIp(address);
  if (bytes === undefined) return "none";
  return SCOPE_TABLE.find(({ prefix }) => contains(prefix, bytes))?.scope ?? "global";
}

/** Whether an interface's name matches one of the patterns: `*` stands for any characters, `?` for one. */
export function matchesAny(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matches(pattern, name));
}

function matches(pattern: string, name: string): boolean {
  // Greedy with one point to come back to: no pattern takes more than pattern x name steps.
  let p = 0;
  let n = 0;
  let star = -1;
  let mark = 0;
  while (n < name.length) {
    if (pattern[p] === "?" || (pattern[p] === name[n] && pattern[p] !== "*")) {
      p++;
      n++;
    } else if (pattern[p] === "*") {
      star = p++;
      mark = n;
    } else if (star >= 0) {
      p = star + 1;
      n = ++mark;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** What the operator says about addresses of interfaces. */
export interface InterfaceRules {
  /** Empty: every interface but those of `CONTAINER_INTERFACES`. */
  readonly interfaces: readonly string[];
  readonly excludeInterfaces: readonly string[];
  /** Offered although link-local or loopback. */
  readonly addresses: readonly Prefix[];
  readonly excludeAddresses: readonly Prefix[];
}

/** The overlay's own things, which are never a locator. */
export interface OverlayGround {
  readonly interface: string;
  readonly lsiPrefix: Prefix;
}

/** Why an address is not offered; undefined: it is. */
export function whyLeftOut(
  local: LocalAddress,
  rules: InterfaceRules,
  overlay: OverlayGround,
): string | undefined {
  const { address, interface: name } = local;
  const bytes = parseIp(address);
  if (bytes === undefined) return "not an address";
  const overlayAddress = contains(HIT_PREFIX, bytes) || contains(overlay.lsiPrefix, bytes);
  if (overlayAddress || (name !== "" && name === overlay.interface)) return "address of the overlay";
  const within = (prefixes: readonly Prefix[]): boolean => prefixes.some((prefix) => contains(prefix, bytes));
  if (within(rules.excludeAddresses)) return "excluded by exclude_addresses";
  if (matchesAny(rules.excludeInterfaces, name)) return "excluded by exclude_interfaces";
  // A data plane that does not say which interface it is leaves nothing to match.
  if (name !== "") {
    if (rules.interfaces.length > 0 && !matchesAny(rules.interfaces, name)) return "not in interfaces";
    if (rules.interfaces.length === 0 && matchesAny(CONTAINER_INTERFACES, name)) {
      return "interface of containers or a tunnel";
    }
  }
  if (within(rules.addresses)) return undefined;
  switch (scopeOf(address)) {
    case "link":
      return "link-local address";
    case "host":
      return "loopback address";
    case "none":
      return "not a unicast address";
    default:
      return undefined;
  }
}

/** What the order rests on. */
export interface Rankable {
  readonly address: string;
  readonly kind: OwnLocatorKind;
  /** The operator wants it first (`hipctl locator prefer`). */
  readonly chosen: boolean;
  /** Undefined: no interface of ours has it. */
  readonly local: LocalAddress | undefined;
  /** Seconds that it stays preferred; undefined: without an end. */
  readonly seconds: number | undefined;
}

/** As in ICE, what is nearer to the interface is tried first (RFC 8445 5.1.2.2); what an operator wrote goes before. */
const KIND_RANK: Readonly<Record<OwnLocatorKind, number>> = { static: 3, host: 2, cloud: 1, reflexive: 0 };
const SCOPE_RANK: Readonly<Record<Scope, number>> = { global: 3, private: 2, link: 1, host: 0, none: 0 };
/** Cost steps that 6 bits tell apart. */
const MAX_COST = 62;

/**
 * 0 to 65535, higher is better. From the highest bit: chosen by the operator; not deprecated; kind; not temporary (RFC
 * 8981); scope; IPv6; the kernel's own choice towards the default route; lasting; interface cost.
 */
export function preferenceOf({ address, kind, chosen, local, seconds }: Rankable): number {
  const bits: readonly (readonly [width: number, value: number])[] = [
    [1, Number(chosen)],
    [1, Number(local?.deprecated !== true)],
    [2, KIND_RANK[kind]],
    [1, Number(local?.temporary !== true)],
    [2, SCOPE_RANK[scopeOf(address)]],
    [1, Number(address.includes(":"))],
    [1, Number(local?.defaultSource === true)],
    [1, Number(seconds === undefined || seconds >= LASTING_SECONDS)],
    [6, costRank(local?.metric)],
  ];
  return bits.reduce((all, [width, value]) => (all << width) | value, 0);
}

/** 63 for metric 0 down to 1; 0 where no default route leads out. Equal factors are equal steps. */
function costRank(metric: number | undefined): number {
  return metric === undefined ? 0 : MAX_COST + 1 - Math.min(MAX_COST, Math.round(4 * Math.log2(1 + metric)));
}

function prefixOf(text: string): Prefix {
  const [address = "", length] = text.split("/");
  return { bytes: parseIp(address) as Uint8Array, length: Number(length) };
}
