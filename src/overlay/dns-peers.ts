/** Peers whose locators, and perhaps whose HIT, stand in DNS (RFC 8005): what an answer may change, and what not. */
import { canonicalIp, contains, formatHit, HIT_PREFIX, parseIp } from "../core/ip.ts";
import { type Endpoint, type Hit, ok } from "../core/types.ts";
import type { StateName } from "../hip/io.ts";
import type { Answer } from "./changes.ts";
import { dnsNameOf } from "./config.ts";
import { scopeOf } from "./locator-rank.ts";
import { roomFor } from "./membership.ts";
import type { Overlay } from "./overlay.ts";
import { MAX_LOCATORS, type Peer } from "./peers.ts";

/** Where peers listen unless they say otherwise (RFC 9028 5.1). DNS has no field for a port. */
const HIP_PORT = 10_500;

/** A peer, and the name that it has in DNS. */
export interface DnsPeer {
  readonly peer: string;
  readonly name: string;
}

/** What DNS says about a name. Records whose HIT is not that of their key are not among them. */
export interface DnsFacts {
  readonly name: string;
  /** A resolver on this host has checked the signatures of the HIP records (DNSSEC). */
  readonly validated: boolean;
  readonly keys: readonly DnsKey[];
  /** From A and AAAA records. */
  readonly addresses: readonly string[];
}

export interface DnsKey {
  /** Computed from the key (RFC 8005 4.1). */
  readonly hit: Hit;
  /** Addresses of the rendezvous servers that stand in the record of this key, the preferred ones first. */
  readonly rendezvous: readonly string[];
}

/** States that nobody is talked to in. */
const IDLE: ReadonlySet<StateName | undefined> = new Set([undefined, "UNASSOCIATED", "CLOSED", "E-FAILED"]);

export function dnsPeers(overlay: Overlay): Answer {
  const peers: DnsPeer[] = [];
  for (const { config } of overlay.peers.all()) {
    const name = dnsNameOf(config, overlay.config);
    if (name !== undefined) peers.push({ peer: config.name, name });
  }
  return ok({ type: "dns-peers", peers });
}

/** Takes what may be taken. Whoever is configured with a HIT keeps it, whatever DNS says. */
export function learnFromDns(overlay: Overlay, peerName: string, facts: DnsFacts): Answer {
  const found = overlay.peers.named(peerName);
  if (found === undefined || dnsNameOf(found.config, overlay.config) !== facts.name)
    return ok({ type: "noted" });
  const key =
    found.config.hit === undefined ? bindKey(overlay, found, facts) : configuredKey(overlay, found, facts);
  // Binding may have made the peer anew.
  const peer = overlay.peers.named(peerName);
  if (peer !== undefined) publish(overlay, peer, [...facts.addresses, ...(key?.rendezvous ?? [])]);
  return ok({ type: "noted" });
}

function configuredKey(overlay: Overlay, peer: Peer, { keys, name }: DnsFacts): DnsKey | undefined {
  const key = keys.find(({ hit }) => hit === peer.config.hit);
  const other = key === undefined ? keys[0] : undefined;
  problem(
    overlay,
    peer,
    name,
    other && `its record has the HIT ${formatHit(other.hit)}; the configured one stays`,
  );
  return key;
}

/** RFC 8005 8: only an answer that was validated may say who somebody is. */
function bindKey(overlay: Overlay, peer: Peer, facts: DnsFacts): DnsKey | undefined {
  const { keys, name, validated } = facts;
  const current = keys.find(({ hit }) => hit === peer.hit);
  if (keys.length === 0 || !validated) {
    const why = "its record is not validated by a resolver on this host (DNSSEC); configure its HIT";
    problem(overlay, peer, name, keys.length === 0 ? undefined : why);
    lose(overlay, peer);
    return undefined;
  }
  if (current !== undefined) {
    overlay.peers.lost.delete(peer);
    problem(overlay, peer, name, undefined);
    return current;
  }
  const free = keys.filter(({ hit }) => overlay.peers.byHit(hit) === undefined && !isOwn(overlay, hit));
  const key = [...free].sort((a, b) => (a.hit < b.hit ? -1 : 1))[0];
  if (key === undefined) {
    const taken = formatHit((keys[0] as DnsKey).hit);
    problem(overlay, peer, name, `its record has the HIT ${taken}, which is another peer's or our own`);
    return undefined;
  }
  const room = roomFor([{ ...peer.config, hit: key.hit }], overlay.lsis);
  problem(overlay, peer, name, room);
  if (room !== undefined) return undefined;
  const fresh = peer.hit === undefined ? peer : anew(overlay, peer);
  overlay.membership.bind(fresh, key.hit);
  overlay.event("peer-dns-hit", key.hit, { name: peer.config.name, dns: name });
  return key;
}

function isOwn(overlay: Overlay, hit: Hit): boolean {
  return overlay.config.identities.some((one) => one.hit === hit);
}

/** A record that is gone may begin nothing new (RFC 8005 4.2); what has begun goes on. */
function lose(overlay: Overlay, peer: Peer): void {
  if (peer.hit === undefined) return;
  if (!IDLE.has(overlay.association(peer)?.state)) {
    overlay.peers.lost.add(peer);
    return;
  }
  overlay.event("peer-dns-lost", peer.hit, { name: peer.config.name });
  anew(overlay, peer);
}

/** Those whose association has ended after their record. */
export function loseIdle(overlay: Overlay): void {
  for (const peer of [...overlay.peers.lost]) lose(overlay, peer);
}

/** The same peer, without a HIT. */
function anew(overlay: Overlay, peer: Peer): Peer {
  overlay.removePeer(peer);
  overlay.membership.add(peer.config);
  return overlay.peers.named(peer.config.name) as Peer;
}

/** Says once what is wrong; `text` undefined: nothing is. */
function problem(overlay: Overlay, peer: Peer, dns: string, text: string | undefined): void {
  if (peer.dnsProblem === text) return;
  peer.dnsProblem = text;
  if (text === undefined) return;
  peer.lastError = { text: `DNS name ${dns}: ${text}`, wall: overlay.wall };
  overlay.event("peer-dns-refused", peer.hit, { name: peer.config.name, dns, reason: text });
}

function publish(overlay: Overlay, peer: Peer, addresses: readonly string[]): void {
  const port = peer.config.carrier === "none" ? 0 : HIP_PORT;
  const places = new Set(addresses.flatMap((one) => usableAddress(one, overlay)));
  const locators = [...places].slice(0, MAX_LOCATORS).map((address): Endpoint => ({ address, port }));
  if (!overlay.peers.publish(peer, locators)) return;
  overlay.event("peer-dns-locators", peer.hit, { name: peer.config.name, locators: locators.length });
  // There may be a place now where the peer can be asked, or none any more.
  if (peer.hit !== undefined && typeof peer.via !== "number") overlay.membership.route(peer, "demand");
}

/** DNS must not send us to ourselves, to the link or into the overlay. */
function usableAddress(text: string, { config }: Overlay): readonly string[] {
  const address = canonicalIp(text);
  const bytes = parseIp(text);
  if (address === undefined || bytes === undefined) return [];
  const overlaid = contains(HIT_PREFIX, bytes) || contains(config.lsiPrefix, bytes);
  const scope = scopeOf(address);
  return overlaid || scope === "none" || scope === "host" || scope === "link" ? [] : [address];
}
