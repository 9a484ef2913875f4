/** From a name to what DNS is told about it: peers and this host below one domain, and their addresses back to names. */
import { HIT_PREFIX, hitFromBytes, type Prefix } from "../core/ip.ts";
import type { Hit, Lsi } from "../core/types.ts";

/** `[dns]`, as far as names are concerned. */
export interface NamesConfig {
  /** The domain that everything stands below: labels in lower case. */
  readonly domain: string;
  /** This host's own name below it; "" for none. */
  readonly host: string;
  /** Whether peers with the name of a host elsewhere ("vm1.example.org") are looked up in DNS. */
  readonly dnsPeers: boolean;
}

export const DEFAULT_NAMES: NamesConfig = { domain: "hip", host: "", dnsPeers: false };

/** Peers may come and go at any time: an answer is good for so many seconds. */
export const NAME_TTL = 5;

/** DNS types that something is said about (RFC 1035 3.2.2, RFC 3596, RFC 8005). */
export const RR = {
  A: 1,
  NS: 2,
  SOA: 6,
  PTR: 12,
  AAAA: 28,
  HIP: 55,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

/** A Host Identity as HOST_ID carries it. */
export interface NamedKey {
  readonly hit: Hit;
  readonly algorithm: number;
  readonly hostIdentity: Uint8Array;
}

/** Owners and names inside are in lower case and without the final dot. */
export type NameRecord =
  | { readonly owner: string; readonly type: "A"; readonly lsi: Lsi }
  | { readonly owner: string; readonly type: "AAAA"; readonly hit: Hit }
  | { readonly owner: string; readonly type: "HIP"; readonly key: NamedKey }
  | { readonly owner: string; readonly type: "PTR" | "NS"; readonly target: string }
  | { readonly owner: string; readonly type: "SOA"; readonly server: string; readonly mailbox: string };

export interface NameAnswer {
  readonly code: "NOERROR" | "NXDOMAIN" | "REFUSED";
  readonly answers: readonly NameRecord[];
  /** The SOA of the zone, when there is no answer. */
  readonly authority: readonly NameRecord[];
}

/** A peer or this host. What is undefined is not known yet. */
export interface NamedHost {
  readonly name: string;
  readonly lsi: Lsi | undefined;
  readonly hit: Hit | undefined;
  readonly key: NamedKey | undefined;
}

/** What is known about names. Called for each question: must be cheap. */
export interface NameSource {
  readonly config: NamesConfig;
  readonly lsiPrefix: Prefix;
  named(name: string): NamedHost | undefined;
  byLsi(lsi: Lsi): NamedHost | undefined;
  byHit(hit: Hit): NamedHost | undefined;
  /** Whether a name ends with `.${ending}`. */
  hasBelow(ending: string): boolean;
}

const REFUSED: NameAnswer = { code: "REFUSED", answers: [], authority: [] };

/** 2001:20::/28 as a zone: its seven nibbles backwards. */
const HIT_ZONE = `${hitFromBytes(HIT_PREFIX.bytes)
  .slice(0, HIT_PREFIX.length / 4)
  .split("")
  .reverse()
  .join(".")}.ip6.arpa`;
const V4_ROOT = "in-addr.arpa";
const V6_ROOT = ".ip6.arpa";

/**
 * The zones of the reverse tree that hold the overlay's addresses. An IPv4 prefix that ends within an octet is several zones,
 * at most 128.
 */
export function reverseZones({ bytes, length }: Prefix): readonly string[] {
  const octets = Math.ceil(length / 8);
  const zones: string[] = [];
  const last = bytes[octets - 1] as number;
  for (let n = 0; n < 2 ** (8 * octets - length); n++) {
    const labels = [...bytes.subarray(0, octets - 1), last + n].reverse();
    zones.push(`${labels.join(".")}.${V4_ROOT}`);
  }
  return [...zones, HIT_ZONE];
}

/** All zones that are answered for, that of names first. */
export function zonesOf({ domain }: Pick<NamesConfig, "domain">, lsiPrefix: Prefix): readonly string[] {
  return [domain, ...reverseZones(lsiPrefix)];
}

/** Answers for the overlay's own zones; nothing else is looked up. `name`: lower case, without the final dot. */
export function answerName(name: string, type: number, source: NameSource): NameAnswer {
  if (type === RR.AXFR || type === RR.IXFR) return REFUSED;
  const zone = zonesOf(source.config, source.lsiPrefix).find((one) => isWithin(name, one));
  if (zone === undefined) return REFUSED;
  const found = zone === source.config.domain ? forward(name, zone, source) : reverse(name, source);
  const records = [...(name === zone ? apex(zone, source.config) : []), ...(found ?? [])];
  const answers = records.filter((record) => type === RR.ANY || RR[record.type] === type);
  if (answers.length > 0) return { code: "NOERROR", answers, authority: [] };
  const exists = found !== undefined || name === zone;
  return { code: exists ? "NOERROR" : "NXDOMAIN", answers, authority: apex(zone, source.config).slice(0, 1) };
}

function isWithin(name: string, zone: string): boolean {
  return name === zone || name.endsWith(`.${zone}`);
}

function apex(zone: string, config: NamesConfig): readonly NameRecord[] {
  const server = config.host === "" ? config.domain : `${config.host}.${config.domain}`;
  return [
    { owner: zone, type: "SOA", server, mailbox: `hostmaster.${config.domain}` },
    { owner: zone, type: "NS", target: server },
  ];
}

/** Undefined: there is no such name. Empty: it is there, but nothing stands at it. */
function forward(name: string, zone: string, source: NameSource): readonly NameRecord[] | undefined {
  if (name === zone) return [];
  const short = name.slice(0, -zone.length - 1);
  const host = source.named(short);
  if (host === undefined) return source.hasBelow(short) ? [] : undefined;
  const records: NameRecord[] = [];
  if (host.lsi !== undefined) records.push({ owner: name, type: "A", lsi: host.lsi });
  if (host.hit !== undefined) records.push({ owner: name, type: "AAAA", hit: host.hit });
  if (host.key !== undefined) records.push({ owner: name, type: "HIP", key: host.key });
  return records;
}

function reverse(name: string, source: NameSource): readonly NameRecord[] | undefined {
  const found = name.endsWith(V6_ROOT) ? reverseHit(name, source) : reverseLsi(name, source);
  if (found === undefined || found === "above") return found === undefined ? undefined : [];
  return [{ owner: name, type: "PTR", target: `${found.name}.${source.config.domain}` }];
}

function reverseLsi(name: string, source: NameSource): NamedHost | "above" | undefined {
  const labels = name.slice(0, -V4_ROOT.length - 1).split(".");
  if (labels.length > 4 || !labels.every((label) => OCTET.test(label) && Number(label) < 256))
    return undefined;
  return labels.length < 4 ? "above" : source.byLsi(labels.reverse().join(".") as Lsi);
}

function reverseHit(name: string, source: NameSource): NamedHost | "above" | undefined {
  const labels = name.slice(0, -V6_ROOT.length).split(".");
  if (labels.length > 32 || !labels.every((label) => NIBBLE.test(label))) return undefined;
  return labels.length < 32 ? "above" : source.byHit(labels.reverse().join("") as Hit);
}

const OCTET = /^(0|[1-9][0-9]{0,2})$/;
const NIBBLE = /^[0-9a-f]$/;
