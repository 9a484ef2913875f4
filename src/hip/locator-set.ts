/** LOCATOR_SET to and from locators (RFC 8046 4, 5.2, 5.3; RFC 9028 5.7). */
import { formatIp, isHit, parseIp } from "../core/ip.ts";
import { type Carrier, type Endpoint, endpointText, type Spi } from "../core/types.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import { LOCATOR_SET, type Locator, locatorOf, locatorParts, TRAFFIC_TYPE } from "../wire/rfc8046.ts";
import type { OwnLocator } from "./locator.ts";
import { MAX_PEER_LOCATORS } from "./mobility-state.ts";

/** "Does not expire" (RFC 8046 5.1). */
const UNBOUNDED = 0xffff_ffff;
const UDP = 17;
/** Kinds of RFC 9028 5.7. */
const KIND = { host: 0, static: 0, cloud: 0, reflexive: 1 } as const;
/** Type preferences of RFC 8445 5.1.2.2. */
const TYPE_PREFERENCE = { host: 126, static: 120, cloud: 120, reflexive: 100 } as const;
/** In which order data goes to the locators of a set: RFC 8046 4.1. */
const RANK = { preferredForData: 0, preferred: 1, other: 2 } as const;
/** Locators that one LOCATOR_SET of ours lists. */
export const MAX_ANNOUNCED = 16;

/** A locator that a peer announced. */
export interface AnnouncedLocator {
  readonly endpoint: Endpoint;
  readonly preferred: boolean;
  /** Seconds; undefined: without an end. */
  readonly lifetime: number | undefined;
  /** A NAT's mapping as somebody saw it once: it may be another one by now. */
  readonly reflexive: boolean;
}

/**
 * What of our locators goes to a peer at `remote` on this carrier: nothing else could be used. Link-local addresses only
 * where the peer is on the same link (RFC 8047 5.1).
 */
export function announceable(
  own: readonly OwnLocator[],
  carrier: Carrier,
  udpPort: number,
  remote: Endpoint,
): readonly OwnLocator[] {
  return own
    .filter(({ kind }) => carrier === "udp" || kind !== "reflexive")
    .filter((one) => !isLinkLocal(one) || isLinkLocal(remote))
    .map((one) => ({ ...one, port: carrier === "udp" ? one.port || udpPort : 0 }))
    .filter((one, at, all) => all.findIndex((other) => sameText(one, other)) === at)
    .slice(0, MAX_ANNOUNCED);
}

/** RFC 3927, RFC 4291 2.5.6. */
function isLinkLocal({ address }: Endpoint): boolean {
  const [first = 0, second = 0] = parseIp(address) ?? [];
  return address.includes(":") ? first === 0xfe && (second & 0xc0) === 0x80 : first === 169 && second === 254;
}

function sameText(a: Endpoint, b: Endpoint): boolean {
  return a.address === b.address && a.port === b.port;
}

/** Names a set and its preferred member: two equal texts need not be told apart by the peer. */
export function setText(own: readonly OwnLocator[], preferred: string): string {
  return own
    .map((one) => `${one.address === preferred ? "*" : ""}${endpointText(one)}/${one.lifetime ?? ""}`)
    .join(" ");
}

/** Type 2 over UDP (RFC 9028 5.7), type 1 without (RFC 8046 5.2); `spi` is our inbound SPI. */
export function locatorSet(
  own: readonly OwnLocator[],
  preferred: string,
  carrier: Carrier,
  spi: Spi,
): DraftParameter {
  const locators = own.flatMap((one): readonly Locator[] => {
    const address = parseIp(one.address);
    if (address === undefined) return [];
    const transport =
      carrier === "udp"
        ? { port: one.port, protocol: UDP, kind: KIND[one.kind], priority: priority(one) }
        : undefined;
    return [
      {
        trafficType: TRAFFIC_TYPE.BOTH,
        preferred: one.address === preferred,
        // RFC 8046 4: never zero.
        lifetime: Math.min(UNBOUNDED, Math.max(1, Math.ceil(one.lifetime ?? UNBOUNDED))),
        ...locatorOf({ address, spi, transport }),
      },
    ];
  });
  return LOCATOR_SET.of({ locators });
}

/** The same set after a change of keys: its locators name our new inbound SPI. */
export function withSpi(set: DraftParameter, spi: Spi): DraftParameter {
  const { locators } = LOCATOR_SET.decode(set.contents) ?? { locators: [] };
  return LOCATOR_SET.of({
    locators: locators.map((one) => {
      const parts = locatorParts(one);
      return parts === undefined ? one : { ...one, ...locatorOf({ ...parts, spi }) };
    }),
  });
}

/** RFC 8445 5.1.2.1, for component 1. */
function priority({ kind, preference }: OwnLocator): number {
  return TYPE_PREFERENCE[kind] * 2 ** 24 + Math.min(0xffff, preference) * 2 ** 8 + 255;
}

/**
 * What a received LOCATOR_SET announces, in its order but those of higher priority first. Locators that are not for
 * data, or that are no unicast addresses (RFC 8046 5.3), or beyond MAX_PEER_LOCATORS, are left out. `unsupported` is
 * the preferred one where its type is not known; `preferred` is the one for HIP packets, too (4.1). `udpPort`: for those
 * that name none.
 */
export function announcedLocators(
  locators: readonly Locator[],
  carrier: Carrier,
  udpPort: number,
): {
  readonly list: readonly AnnouncedLocator[];
  readonly unsupported: Uint8Array | undefined;
  readonly preferred: Endpoint | undefined;
} {
  let unsupported: Uint8Array | undefined;
  const found: (AnnouncedLocator & { readonly rank: number; readonly priority: number })[] = [];
  for (const locator of locators) {
    const parts = locatorParts(locator);
    const protocol = parts?.transport?.protocol ?? UDP;
    if (parts === undefined || protocol !== UDP) {
      if (locator.preferred) unsupported = locator.locator;
      continue;
    }
    if (locator.trafficType === TRAFFIC_TYPE.SIGNALING || locator.lifetime === 0) continue;
    if (!isUnicast(parts.address)) continue;
    const port = carrier === "udp" ? parts.transport?.port || udpPort : 0;
    found.push({
      endpoint: { address: formatIp(parts.address), port },
      preferred: locator.preferred,
      // RFC 8046 4.1: what is preferred for data alone counts more than what is preferred for both.
      rank: !locator.preferred
        ? RANK.other
        : locator.trafficType === TRAFFIC_TYPE.DATA
          ? RANK.preferredForData
          : RANK.preferred,
      lifetime: locator.lifetime === UNBOUNDED ? undefined : locator.lifetime,
      reflexive: parts.transport?.kind === KIND.reflexive,
      priority: parts.transport?.priority ?? 0,
    });
  }
  const sorted = found.toSorted((a, b) => a.rank - b.rank || b.priority - a.priority);
  const preferred = sorted.find(({ rank }) => rank === RANK.preferred)?.endpoint;
  const list = sorted
    // Once, whatever SPIs it is listed with: there is one SA each way.
    .filter((one, at, all) => all.findIndex((other) => sameText(one.endpoint, other.endpoint)) === at)
    .slice(0, MAX_PEER_LOCATORS);
  return { list, unsupported, preferred };
}

/** Neither unspecified, loopback, multicast, broadcast nor an overlay address. */
function isUnicast(address: Uint8Array): boolean {
  const first = address[0] as number;
  if (address.length === 4) return first !== 0 && first !== 127 && first < 224;
  if (first === 0xff) return false;
  // HIP inside HIP would never end.
  return !isHit(address) && address.subarray(0, 15).some((byte) => byte !== 0);
}
