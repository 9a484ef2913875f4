/** The nouns that every layer shares. */

declare const brand: unique symbol;
/** A primitive that the compiler keeps apart from others of the same representation. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Host Identity Tag (RFC 7401 3.1): 32 lower-case hex digits, so that it can be a Map key. */
export type Hit = Brand<string, "Hit">;
/** Local Scope Identifier (RFC 9063 4.4): a dotted-quad IPv4 address, meaningful on this host only. */
export type Lsi = Brand<string, "Lsi">;
/** Security Parameter Index (RFC 4303 2.1): an unsigned 32-bit number above 255. */
export type Spi = Brand<number, "Spi">;
/** Milliseconds on a monotonic clock that also advances through suspend. */
export type Instant = Brand<number, "Instant">;

/** The one moment at which a component wants to be called again, and why. */
export interface Deadline {
  readonly at: Instant;
  readonly why: string;
}

/** The all-zero HIT: "unknown" in the I1 of opportunistic mode (RFC 7401 4.1.8). */
export const NULL_HIT = "00000000000000000000000000000000" as Hit;

/** How HIP and ESP travel: inside UDP (RFC 9028 5.1) or as IP protocols 139 and 50. */
export type Carrier = "udp" | "none";

/** An underlay address. `address` is a dotted quad or RFC 5952 text, "" when not chosen yet; `port` is 0 when the carrier is "none". */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Where one packet goes or came from. */
export interface Path {
  readonly carrier: Carrier;
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

export interface Ok<T> {
  readonly ok: true;
  readonly value: T;
}
export interface Err<E> {
  readonly ok: false;
  readonly error: E;
}
export type Result<T, E> = Ok<T> | Err<E>;

export function ok<T>(value: T): Ok<T> {
  return { ok: true, value };
}

export function err<E>(error: E): Err<E> {
  return { ok: false, error };
}

/** The earliest of several deadlines, if there is any. */
export function earliest(...deadlines: readonly (Deadline | undefined)[]): Deadline | undefined {
  let first: Deadline | undefined;
  for (const deadline of deadlines) {
    if (deadline !== undefined && (first === undefined || deadline.at < first.at)) first = deadline;
  }
  return first;
}

export function after(now: Instant, milliseconds: number): Instant {
  return (now + milliseconds) as Instant;
}

/**
 * Without the fraction of a millisecond, for what is kept by the thousand: in V8 a number with a fraction is an object of its
 * own, 16 bytes behind the 8 that point to it.
 */
export function wholeMillis(at: Instant): Instant {
  return Math.floor(at) as Instant;
}

/** Marks code that the type system proves unreachable; reaching it is a bug. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}

/** A path as one line of text: `udp 192.0.2.1:10500 > 198.51.100.7:10500`. */
export function pathText(path: Path): string {
  return `${path.carrier === "udp" ? "udp" : "ip"} ${endpointText(path.local)} > ${endpointText(path.remote)}`;
}

/** `192.0.2.1:10500`, `[2001:db8::1]:10500`, or the bare address where the port is 0. */
export function endpointText(endpoint: Endpoint): string {
  const address = endpoint.address === "" ? "*" : endpoint.address;
  if (endpoint.port === 0) return address;
  return address.includes(":") ? `[${address}]:${endpoint.port}` : `${address}:${endpoint.port}`;
}

export function samePath(a: Path, b: Path): boolean {
  return a.carrier === b.carrier && sameEndpoint(a.local, b.local) && sameEndpoint(a.remote, b.remote);
}

export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.address === b.address;
}
