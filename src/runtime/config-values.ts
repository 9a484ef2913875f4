/** Values of the configuration that are more than a string or a number: each parser says what is wrong and what would be right. */
import { concat, utf8 } from "../core/bytes.ts";
import {
  contains,
  formatIp,
  HIT_PREFIX,
  isHit,
  type Prefix,
  parseHit,
  parseIp,
  parseIpv6,
  parsePrefix,
} from "../core/ip.ts";
import { type Carrier, type Endpoint, err, type Hit, ok, type Result } from "../core/types.ts";
import { ESP_SUITES, HIP_CIPHER_ID } from "../crypto/suites.ts";
import type { DomainIdentifier } from "../hip/config.ts";
import { didYouMean } from "./nearest.ts";

export type Parser<T> = (text: string) => Result<T, string>;

/** An underlay address without a port has `port` 0: the default of the peer's carrier is meant. */
export function parseLocator(text: string): Result<Endpoint, string> {
  const match =
    /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? (text.includes(".") ? /^([^:]*)(?::(.*))?$/.exec(text) : null);
  const host = match === null ? text : (match[1] as string);
  const portText = match?.[2];
  const bytes = text.startsWith("[") ? parseIpv6(host) : parseIp(host);
  if (bytes === undefined) {
    return err(
      `"${text}" is not a locator; write 192.0.2.10, 192.0.2.10:10500, 2001:db8::10 or [2001:db8::10]:10500`,
    );
  }
  let port = 0;
  if (portText !== undefined) {
    port = Number(portText);
    if (!/^[0-9]{1,5}$/.test(portText) || port < 1 || port > 65535)
      return err(`"${text}": the port must be 1 to 65535`);
  }
  const address = formatIp(bytes);
  if (isHit(bytes))
    return err(`"${text}" is a HIT, not a locator: a locator is an address of the underlying network`);
  if (bytes.every((byte) => byte === 0))
    return err(`"${text}" is the unspecified address and reaches nobody`);
  const multicast = bytes.length === 4 ? (bytes[0] as number) >= 224 : bytes[0] === 0xff;
  if (multicast) return err(`"${text}" is not a unicast address`);
  return ok({ address, port });
}

/** The LSI prefix: IPv4, with room for at least a handful of peers. */
export function parseLsiPrefix(text: string): Result<Prefix, string> {
  const prefix = parsePrefix(text);
  if (!prefix.ok) return prefix;
  if (prefix.value.bytes.length !== 4)
    return err(`"${text}": LSIs are IPv4 addresses; write a prefix like 198.18.0.0/15`);
  if (prefix.value.length < 4 || prefix.value.length > 28) {
    return err(`"${text}": the prefix length must be 4 to 28, so that there is room for peers`);
  }
  const reserved = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4"].find((range) => {
    const other = parsePrefix(range);
    return other.ok && contains(other.value, prefix.value.bytes);
  });
  if (reserved !== undefined) return err(`"${text}" lies in ${reserved}, which hosts do not route`);
  return prefix;
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a duration with its unit. */
export function parseDuration(text: string): Result<number, string> {
  const match = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*(ms|s|m|h)$/.exec(text);
  if (match === null)
    return err(`"${text}" is not a duration; write a number with ms, s, m or h, like "500ms" or "15m"`);
  const millis = Number(match[1]) * (UNITS[match[2] as string] as number);
  return millis >= 1 ? ok(Math.round(millis)) : err(`"${text}" is shorter than a millisecond`);
}

/** The longest that a data thread may look for packets before it sleeps. */
const MAX_BUSY_POLL_MICROS = 10_000;

/** Whole microseconds; "0" needs no unit. */
export function parseBusyPoll(text: string): Result<number, string> {
  const match = /^([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(us|ms)$/.exec(text);
  if (text !== "0" && match === null)
    return err(`"${text}" is not a short duration; write a number with us or ms, like "50us", or "0"`);
  const micros = match === null ? 0 : Math.round(Number(match[1]) * (match[2] === "ms" ? 1000 : 1));
  return micros <= MAX_BUSY_POLL_MICROS ? ok(micros) : err(`"${text}" is longer than 10ms`);
}

export const PEER_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** A name of a peer or identity: DNS labels in lower case, because names become DNS names. */
export function parseName(text: string): Result<string, string> {
  if (text.length <= 200 && PEER_NAME.test(text)) return ok(text);
  const lower = text.toLowerCase();
  const hint = PEER_NAME.test(lower)
    ? `; write "${lower}"`
    : "; use lower-case letters, digits, hyphens and dots";
  return err(`"${text}" is not a name${hint}`);
}

/** "host.example" is an FQDN and "user@example" a NAI (RFC 7401 5.2.9); a prefix "fqdn:" or "nai:" says it outright. */
export function parseDomain(text: string): Result<DomainIdentifier, string> {
  if (text === "") return ok({ type: 0, value: new Uint8Array(0) });
  const match = /^(?:(fqdn|nai):)?([\x21-\x7e]+)$/.exec(text);
  if (match === null) return err(`"${text}" is neither an FQDN (host.example) nor a NAI (user@example)`);
  const value = match[2] as string;
  const type = match[1] === "nai" || (match[1] === undefined && value.includes("@")) ? 2 : 1;
  if (
    type === 1 &&
    !/^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?$/.test(value)
  ) {
    return err(`"${value}" is not a fully qualified domain name`);
  }
  if (value.length > 255)
    return err(`the domain identifier has ${value.length} characters; at most 255 are allowed`);
  if (type === 2) return ok({ type, value: utf8(value) });
  const labels = value.replace(/\.$/, "").split(".");
  if (labels.some((label) => label.length > 63))
    return err(`"${value}" has a label of more than 63 characters`);
  return ok({ type, value: domainName(labels) });
}

/** The binary form of RFC 1035 3.1, which RFC 7401 5.2.9 asks for: each label behind its length, then a zero. */
function domainName(labels: readonly string[]): Uint8Array {
  return concat(...labels.map((label) => concat(Uint8Array.of(label.length), utf8(label))), Uint8Array.of(0));
}

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** "127.0.0.1:9510" or "[::1]:9510"; "" means off. */
export function parseListen(text: string): Result<ListenAddress | undefined, string> {
  if (text === "") return ok(undefined);
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([0-9]{1,5})$/.exec(text);
  const host = match === null ? undefined : (match[1] ?? match[2]);
  const bytes = host === undefined ? undefined : parseIp(host);
  if (match === null || bytes === undefined) {
    return err(`"${text}" is not an address with a port; write 127.0.0.1:9510 or [::1]:9510, or "" for none`);
  }
  const port = Number(match[3]);
  if (port > 65535) return err(`"${text}": the port must be 0 to 65535`);
  return ok({ host: formatIp(bytes), port });
}

const INTERFACE_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,14}$/;

export function parseInterface(text: string): Result<string, string> {
  if (INTERFACE_NAME.test(text)) return ok(text);
  return err(
    `"${text}" is not an interface name: up to 15 letters, digits, "_", "." and "-", a letter first`,
  );
}

/** Letters of a pattern beyond an interface's name are of no use, but do no harm. */
const INTERFACE_PATTERN = /^[A-Za-z0-9_.:*?-]{1,32}$/;

/** The name of an interface with `*` for any characters and `?` for one. */
export function parseInterfacePattern(text: string): Result<string, string> {
  if (INTERFACE_PATTERN.test(text)) return ok(text);
  return err(
    `"${text}" is not a pattern for interfaces: letters, digits, "_", ".", ":", "-", "*" for any and "?" for one character`,
  );
}

/** A range of addresses; one address alone is a range too. */
export function parseAddressPrefix(text: string): Result<Prefix, string> {
  return parsePrefix(text);
}

/** Where the cloud's metadata is read; "auto": where the machine's firmware names a cloud. */
export const METADATA_SOURCES = ["auto", "off", "openstack", "aws", "gcp", "azure"] as const;
export type MetadataSource = (typeof METADATA_SOURCES)[number];

/** A duration between two others, which are told in words. */
export function parseDurationBetween(low: string, high: string): Parser<number> {
  const [least, most] = [parseDuration(low), parseDuration(high)];
  return (text) => {
    const millis = parseDuration(text);
    if (!millis.ok || !least.ok || !most.ok) return millis;
    if (millis.value >= least.value && millis.value <= most.value) return millis;
    return err(`"${text}" is not between ${low} and ${high}`);
  };
}

export function parseHitText(text: string): Result<Hit, string> {
  return parseHit(text);
}

/** A closed list whose members have a number on the wire and a name for people. */
export interface Numbered {
  readonly id: number;
  readonly name: string;
}

export const DH_GROUPS: readonly Numbered[] = [
  { id: 7, name: "P256" },
  { id: 8, name: "P384" },
  { id: 9, name: "P521" },
  { id: 4, name: "MODP-3072" },
  { id: 3, name: "MODP-1536" },
];

export const HIP_CIPHERS: readonly Numbered[] = [
  { id: HIP_CIPHER_ID.AES_128_CBC, name: "AES-128-CBC" },
  { id: HIP_CIPHER_ID.AES_256_CBC, name: "AES-256-CBC" },
];

export const ESP_SUITE_NAMES: readonly Numbered[] = ESP_SUITES.map(({ id, name }) => ({ id, name }));

/** The name of a number of a closed list; a number that is not in it stays a number. */
export function nameOf(list: readonly Numbered[], id: number | undefined): string {
  return id === undefined ? "" : (list.find((entry) => entry.id === id)?.name ?? String(id));
}

/** "P-256", "p256" and "P256" are one name. */
function letters(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}

/** Members by name or number, in the order given: the order is the preference. */
export function parseNumbered(
  what: string,
  list: readonly Numbered[],
): (value: string | number) => Result<number, string> {
  return (value) => {
    const found = list.find((entry) => entry.id === value || letters(entry.name) === letters(String(value)));
    if (found !== undefined) return ok(found.id);
    const names = list.map((entry) => entry.name);
    if (typeof value === "string") return err(`"${value}" is not a known ${what}${didYouMean(value, names)}`);
    return err(
      `${value} is not a known ${what}; known: ${list.map((e) => `${e.id} (${e.name})`).join(", ")}`,
    );
  };
}

/** Whether an underlay address lies in one of the overlay's own prefixes. */
export function inOverlay(address: string, lsiPrefix: Prefix): boolean {
  const bytes = parseIp(address);
  return bytes !== undefined && (contains(HIT_PREFIX, bytes) || contains(lsiPrefix, bytes));
}

/** The port a locator means: its own, else the carrier's default. */
export function withDefaultPort(locator: Endpoint, carrier: Carrier, port: number): Endpoint {
  if (carrier === "none") return { address: locator.address, port: 0 };
  return locator.port === 0 ? { address: locator.address, port } : locator;
}

/** The file of a private key, or "credential:NAME" for one that the service manager hands over. */
export function parseKeyFile(text: string): Result<string, string> {
  if (text === "") return err('"" is not the name of a file');
  if (!text.startsWith("credential:") || /^credential:[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(text))
    return ok(text);
  return err(
    `"${text}" does not name a credential; write "credential:NAME", with a unit that has LoadCredential=NAME:FILE`,
  );
}
