/** Which resolvers this host asks: /etc/resolv.conf (resolv.conf(5)). */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";

export const RESOLV_CONF = "/etc/resolv.conf";
export const DNS_PORT = 53;
/** How long one server has for one answer, in milliseconds. */
export const ANSWER_MILLIS = 2_000;

/** Whom a client asks; other places only in tests. */
export interface DnsClientPlaces {
  /** Read before each question. */
  readonly servers: () => readonly string[];
  readonly port: number;
  readonly answerMillis: number;
}

export const DNS_PLACES: DnsClientPlaces = {
  servers: () => readServers(),
  port: DNS_PORT,
  answerMillis: ANSWER_MILLIS,
};

/** As many as the C library asks. */
const MAX_SERVERS = 3;
const MAX_FILE_BYTES = 64 * 1024;

/** Addresses in the file's order; an IPv6 address may have a zone. Without any the host itself is meant. */
export function parseResolvConf(text: string): readonly string[] {
  const servers: string[] = [];
  for (const line of text.slice(0, MAX_FILE_BYTES).split("\n")) {
    const address = /^nameserver[ \t]+(\S+)/.exec(line)?.[1];
    if (address !== undefined && isIP(address.replace(/%.*$/, "")) !== 0) servers.push(address);
  }
  return servers.length === 0 ? ["127.0.0.1"] : servers.slice(0, MAX_SERVERS);
}

export function readServers(file: string = RESOLV_CONF): readonly string[] {
  try {
    return parseResolvConf(readFileSync(file, "utf8"));
  } catch {
    return parseResolvConf("");
  }
}

/** Whoever answers there is this host itself, and nobody on the way can change what it says. */
export function isLoopback(address: string): boolean {
  return address === "::1" || /^127\.[0-9.]+$/.test(address);
}
