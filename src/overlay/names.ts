/** Finding a peer by whatever a person calls it: its name, its HIT, or its LSI. */
import { formatHit, hitFromBytes, isHit, parseIpv4, parseIpv6 } from "../core/ip.ts";
import { err, type Lsi, ok, type Result } from "../core/types.ts";
import type { LsiMap } from "./lsi.ts";
import type { Peer, PeerTable, Refusal } from "./peers.ts";

/** Names that an error message suggests. */
const MAX_SUGGESTIONS = 3;

/** The peer that `text` means: a HIT in any IPv6 form, an LSI, or a name. The error says why there is none and what is near. */
export function findPeer(text: string, peers: PeerTable, lsis: LsiMap): Result<Peer, Refusal> {
  const v6 = parseIpv6(text);
  if (v6 !== undefined) {
    if (!isHit(v6)) {
      return err({
        code: "invalid",
        message: `${text} is an IPv6 address but not a HIT (2001:20::/28); give the peer's name, HIT or LSI`,
      });
    }
    const peer = peers.byHit(hitFromBytes(v6));
    return peer === undefined
      ? notFound(`no peer has the HIT ${formatHit(hitFromBytes(v6))}`, "add it with hipctl peer add")
      : ok(peer);
  }
  if (parseIpv4(text) !== undefined) {
    if (text === lsis.own) return err({ code: "invalid", message: `${text} is this host's own LSI` });
    const hit = lsis.hit(text as Lsi);
    const peer = hit === undefined ? undefined : peers.byHit(hit);
    if (peer !== undefined) return ok(peer);
    return hit === undefined
      ? notFound(`no peer has the LSI ${text}`, "hipctl peer list shows them all")
      : notFound(
          `${text} is the LSI of ${formatHit(hit)}, which is not a peer any more`,
          "add it with hipctl peer add",
        );
  }
  const peer = peers.named(text);
  if (peer !== undefined) return ok(peer);
  const near = suggestions(text, peers);
  return notFound(
    `no peer is named "${text}"`,
    near.length === 0
      ? "hipctl peer list shows them all"
      : `did you mean ${near.map((name) => `"${name}"`).join(" or ")}?`,
  );
}

function notFound(what: string, hint: string): Result<Peer, Refusal> {
  return err({ code: "not_found", message: `${what}; ${hint}` });
}

/** Names that differ by a few letters or that contain `text`, the nearest first. */
function suggestions(text: string, peers: PeerTable): readonly string[] {
  const wanted = text.toLowerCase();
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  const near: { name: string; distance: number }[] = [];
  for (const { config } of peers.all()) {
    const name = config.name.toLowerCase();
    if (wanted.length >= 3 && name.includes(wanted)) near.push({ name: config.name, distance: 0 });
    else if (Math.abs(name.length - wanted.length) <= limit) {
      const distance = editDistance(wanted, name);
      if (distance <= limit) near.push({ name: config.name, distance });
    }
  }
  near.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return near.slice(0, MAX_SUGGESTIONS).map(({ name }) => name);
}

/** Levenshtein distance, with a swap of neighbours as one step. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
