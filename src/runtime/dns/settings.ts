/** The values of `[dns]` and of a peer's `dns`. */
import { formatIp, parseIp } from "../../core/ip.ts";
import { err, ok, type Result } from "../../core/types.ts";
import type { NamesConfig } from "../../overlay/name-answers.ts";
import { isLoopback } from "./resolv-conf.ts";

/** Where the responder listens: by itself, nowhere, on a port of the host's LSI, or on a loopback address. */
export type DnsListen =
  | { readonly where: "auto" | "off" }
  | { readonly where: "lsi"; readonly port: number }
  | { readonly where: "loopback"; readonly host: string; readonly port: number };

export interface DnsSettings {
  readonly listen: DnsListen;
  readonly domain: string;
  /** This host's name below the domain; undefined: the machine's. */
  readonly name: string | undefined;
  /** Whether systemd-resolved is told. */
  readonly resolved: boolean;
  /** Whether the names are written to /etc/hosts. */
  readonly hostsFile: boolean;
  readonly dnsPeers: boolean;
}

/** Where unprivileged programs may listen. 5353 is taken by multicast DNS. */
export const HIGH_PORT = 10_553;
export const AUTO_PORTS: readonly number[] = [53, HIGH_PORT];

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
/** Peers' names of 200 characters must fit below it. */
const MAX_DOMAIN = 50;

export function parseDnsListen(text: string): Result<DnsListen, string> {
  if (text === "auto" || text === "off") return ok({ where: text });
  const match = /^(?:(?:\[([^\]]+)\]|([0-9.]+)):)?([0-9]{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) {
    return err(
      `"${text}" is neither "auto" nor "off", a port like "53", nor a loopback address with a port like "127.0.0.1:5300"`,
    );
  }
  const host = match[1] ?? match[2];
  if (host === undefined) return ok({ where: "lsi", port });
  const bytes = parseIp(host);
  const address = bytes === undefined ? "" : formatIp(bytes);
  if (!isLoopback(address)) {
    return err(`"${text}": only this host may ask; write a loopback address, or a port alone for the LSI`);
  }
  return ok({ where: "loopback", host: address, port });
}

/** "hip", or several labels. */
export function parseNamesDomain(text: string): Result<string, string> {
  const plain = text.replace(/\.$/, "");
  if (plain.length > MAX_DOMAIN || !NAME.test(plain)) {
    return err(`"${text}" is not a domain: lower-case labels like "hip", at most ${MAX_DOMAIN} characters`);
  }
  if (/(^|\.)(arpa|local|localhost)$/.test(plain)) return err(`"${text}" is reserved for other uses`);
  return ok(plain);
}

/** The name of a host in DNS: at least two labels. */
export function parseDnsName(text: string): Result<string, string> {
  const plain = text.toLowerCase().replace(/\.$/, "");
  if (plain.length > 253 || !NAME.test(plain) || !plain.includes(".") || /^[0-9.]+$/.test(plain)) {
    return err(`"${text}" is not the name of a host in DNS, like vm1.example.org`);
  }
  return ok(plain);
}

/** The machine's own name as one label; "" when it has none that others could use. */
export function hostLabel(machine: string): string {
  const [label = ""] = machine.toLowerCase().split(".");
  return NAME.test(label) && label !== "localhost" ? label : "";
}

/** What the overlay needs to know; `label` is the machine's name. */
export function namesConfig(dns: DnsSettings, label: string): NamesConfig {
  return { domain: dns.domain, host: dns.name ?? label, dnsPeers: dns.dnsPeers };
}
