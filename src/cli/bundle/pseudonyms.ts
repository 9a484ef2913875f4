/**
 * Other names for everything that says where a host is and what it is called: the same one for the same thing in every file. What is not
 * known to be harmless is replaced; a word too many does less harm than an address too many.
 */
import { canonicalIp, contains, HIT_PREFIX, type Prefix, parseIp } from "../../core/ip.ts";

/** What a pseudonym stands for. */
export type Kind = "addr" | "hit" | "lsi" | "mac" | "peer" | "host" | "identity" | "id" | "user";

/** The last label of names that are files, units and the like, not hosts. */
const NO_DOMAINS: ReadonlySet<string> = new Set(
  "toml service pem jsonl prom sock socket json js ts conf d target slice mount timer scope so ko log txt gz md key node prom device path swap automount proto cc".split(
    " ",
  ),
);
/** First labels of kernel settings. */
const SETTINGS: ReadonlySet<string> = new Set(["net", "kernel", "vm", "fs", "hipd"]);

const IPV4 = /[0-9]{1,3}(?:\.[0-9]{1,3}){3}/g;
const COLONS = /[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*/g;
const HEX_ADDRESS = /(?<![0-9A-Za-z])[0-9a-f]{32}(?![0-9A-Za-z])/g;
const MAC = /(?<![0-9A-Za-z:])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![0-9A-Za-z:])/g;
const UUID = /(?<![0-9A-Za-z-])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Za-z-])/g;
const DOMAIN =
  /(?<![\w.@-])(?:[A-Za-z0-9_](?:[\w-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9](?![\w-])/g;
const ACCOUNT = /[\w.+-]+@(?:[\w-]+\.)*[\w-]+/g;

/** Longer runs of hex digits and colons are no addresses. */
const MAX_ADDRESS = 45;

export interface Legend {
  readonly pseudonym: string;
  readonly note: string;
}

export class Pseudonyms {
  readonly #byText = new Map<string, string>();
  readonly #counts = new Map<Kind, number>();
  readonly #notes: Legend[] = [];
  readonly #lsiPrefix: Prefix | undefined;
  #names: RegExp | undefined;
  readonly #words = new Set<string>();

  constructor(lsiPrefix: Prefix | undefined) {
    this.#lsiPrefix = lsiPrefix;
  }

  /** A name that is replaced wherever it stands as a word. */
  name(text: string, kind: Kind): void {
    if (text === "" || this.#words.has(text)) return;
    this.#words.add(text);
    this.#names = undefined;
    this.#pseudonym(text, kind, "");
  }

  /** Reserves the next number for an address, so that lists are numbered in their order. */
  address(text: string): void {
    this.#address(text);
  }

  /** What the pseudonyms are, without what they stand for. */
  legend(): readonly Legend[] {
    return this.#notes;
  }

  text(text: string): string {
    const names = this.#pattern();
    let result = text.replace(ACCOUNT, (found) =>
      this.#isUnit(found) ? found : this.#pseudonym(found, "user", ""),
    );
    result = result.replace(UUID, (found) => this.#pseudonym(found.toLowerCase(), "id", ""));
    result = result.replace(MAC, (found) => this.#pseudonym(found.toLowerCase(), "mac", ""));
    result = result.replace(COLONS, (found) => this.#ipv6Within(found));
    result = result.replace(HEX_ADDRESS, (found) => this.#hexAddress(found));
    result = result.replace(IPV4, (found) => this.#address(found) ?? found);
    if (names !== undefined) result = result.replace(names, (found) => this.#byText.get(found) ?? found);
    return result.replace(DOMAIN, (found) => this.#domain(found));
  }

  /** Values of JSON; keys stay. */
  value(value: unknown): unknown {
    if (typeof value === "string") return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.value(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.value(item)]));
  }

  /** Longer names first: "db" stands in "db-1", too. */
  #pattern(): RegExp | undefined {
    if (this.#names === undefined && this.#words.size > 0) {
      const sorted = [...this.#words].sort((a, b) => b.length - a.length);
      const escaped = sorted.map((word) => word.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&"));
      this.#names = new RegExp(`(?<![\\w-])(?:${escaped.join("|")})(?![\\w-])`, "g");
    }
    return this.#names;
  }

  #pseudonym(text: string, kind: Kind, note: string): string {
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const number = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, number);
    const pseudonym = `${kind}-${number}`;
    this.#byText.set(text, pseudonym);
    this.#notes.push({ pseudonym, note });
    return pseudonym;
  }

  /** Undefined: it is no address. */
  #address(text: string): string | undefined {
    const address = canonicalIp(text);
    const bytes = address === undefined ? undefined : parseIp(address);
    if (address === undefined || bytes === undefined) return undefined;
    if (contains(HIT_PREFIX, bytes)) return this.#pseudonym(address, "hit", "a HIT, or the HIT prefix");
    if (this.#lsiPrefix !== undefined && contains(this.#lsiPrefix, bytes)) {
      return this.#pseudonym(address, "lsi", "an LSI, or the LSI prefix");
    }
    return this.#pseudonym(address, "addr", describe(bytes));
  }

  #hexAddress(text: string): string {
    const groups = text.match(/.{4}/g) ?? [];
    const address = this.#address(groups.join(":"));
    return address?.startsWith("hit-") ? address : this.#pseudonym(text, "id", "32 hexadecimal digits");
  }

  /** The longest address in a run of hex digits, colons and dots; what is around it is looked at again. */
  #ipv6Within(run: string): string {
    for (let length = Math.min(run.length, MAX_ADDRESS); length >= 2; length--) {
      for (let at = 0; at + length <= run.length; at++) {
        const part = run.slice(at, at + length);
        if (!part.includes(":")) continue;
        const address = this.#address(part);
        if (address === undefined) continue;
        const [before, behind] = [run.slice(0, at), run.slice(at + length)];
        return `${this.#ipv6Within(before)}${address}${this.#ipv6Within(behind)}`;
      }
    }
    return run;
  }

  #domain(text: string): string {
    const labels = text.split(".");
    if (NO_DOMAINS.has(labels.at(-1) ?? "") || SETTINGS.has(labels[0] ?? "")) return text;
    // What is replaced already, as in "peer-1.hip".
    if (labels.at(-1) === "hip" && labels.length === 2 && /^[a-z]+-[0-9]+$/.test(labels[0] as string))
      return text;
    return this.#pseudonym(text.toLowerCase(), "host", "");
  }

  /** `hipd@blue.service`; `eth0@if7`, as links into other namespaces are shown. */
  #isUnit(text: string): boolean {
    return /@.*\.(service|slice|socket|target)$|@(if[0-9]+|NONE)$/.test(text);
  }
}

const RANGES: readonly (readonly [note: string, prefix: string, length: number])[] = [
  ["IPv4, unspecified", "0.0.0.0", 32],
  ["IPv4, loopback", "127.0.0.0", 8],
  ["IPv4, link-local", "169.254.0.0", 16],
  ["IPv4, private", "10.0.0.0", 8],
  ["IPv4, private", "172.16.0.0", 12],
  ["IPv4, private", "192.168.0.0", 16],
  ["IPv4, shared (RFC 6598)", "100.64.0.0", 10],
  ["IPv4, multicast", "224.0.0.0", 4],
  ["IPv6, unspecified", "::", 128],
  ["IPv6, loopback", "::1", 128],
  ["IPv6, link-local", "fe80::", 10],
  ["IPv6, private (RFC 4193)", "fc00::", 7],
  ["IPv6, multicast", "ff00::", 8],
];

function describe(bytes: Uint8Array): string {
  for (const [note, prefix, length] of RANGES) {
    if (contains({ bytes: parseIp(prefix) as Uint8Array, length }, bytes)) return note;
  }
  return bytes.length === 4 ? "IPv4" : "IPv6";
}
