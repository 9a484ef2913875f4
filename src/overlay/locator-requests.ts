/** What operators ask and order about locators and paths. */
import { BoundedMap } from "../core/bounded.ts";
import { canonicalIp, contains, formatHit, HIT_PREFIX, parseIp } from "../core/ip.ts";
import { after, type Deadline, type Endpoint, earliest, type Hit, type Instant, ok } from "../core/types.ts";
import { MAX_AWAY_SECONDS } from "../hip/away.ts";
import type { HostEvent } from "../hip/io.ts";
import type { Answer } from "./changes.ts";
import type { ControlReply, ControlRequest, RequestId } from "./control.ts";
import { scopeOf } from "./locator-rank.ts";
import { ownLocatorViews, pairsOf, peerLocatorsView } from "./locator-views.ts";
import { findPeer } from "./names.ts";
import type { Overlay } from "./overlay.ts";
import { MAX_ADDED } from "./own-locators.ts";
import type { Peer, Refusal } from "./peers.ts";
import { pathView, type TrafficByPeer } from "./views.ts";

/** Handovers by hand that somebody waits for at once. */
export const MAX_HANDOVERS_WAITING = 64;
/** The longest that one may wait, in milliseconds. */
export const MAX_HANDOVER_MILLIS = 60_000;

interface Waiting {
  readonly id: RequestId;
  readonly peer: Peer;
  readonly hit: Hit;
  readonly since: Instant;
  readonly until: Instant;
  readonly wanted: Wanted;
}

interface Wanted {
  readonly to: string | undefined;
  readonly from: string | undefined;
}

export class LocatorRequests {
  readonly #overlay: Overlay;
  readonly #waiting = new BoundedMap<RequestId, Waiting>(
    "handovers_waiting",
    MAX_HANDOVERS_WAITING,
    "refuse",
  );

  constructor(overlay: Overlay) {
    this.#overlay = overlay;
  }

  overflows(): Readonly<Record<string, number>> {
    return { [this.#waiting.name]: this.#waiting.overflows };
  }

  /** Both sides; without a peer those of all. */
  list(text: string | undefined, traffic: TrafficByPeer): Answer {
    const overlay = this.#overlay;
    const found = text === undefined ? undefined : findPeer(text, overlay.peers, overlay.lsis);
    if (found?.ok === false) return found;
    const peers = found === undefined ? [...overlay.peers.all()] : [found.value];
    const all = peers.map((peer) => ({
      peer,
      pairs: peer.hit === undefined ? [] : pairsOf(peer.hit, overlay, traffic),
    }));
    return ok({
      type: "locators",
      own: ownLocatorViews(
        overlay,
        all.flatMap(({ pairs }) => pairs),
      ),
      peers: all.map(({ peer, pairs }) => peerLocatorsView(peer, overlay, pairs)),
    });
  }

  add({ address, port }: Endpoint): Answer {
    const { whereabouts, config } = this.#overlay;
    const bytes = parseIp(address);
    if (bytes === undefined) return refuse("invalid", `"${address}" is not an IP address`);
    if (contains(HIT_PREFIX, bytes) || contains(config.lsiPrefix, bytes)) {
      return refuse(
        "invalid",
        `${address} lies in the overlay itself; a locator is an address of the underlying network`,
      );
    }
    if (scopeOf(address) === "none") return refuse("invalid", `${address} is not a unicast address`);
    if (!whereabouts.own.add({ address: canonicalIp(address) as string, port })) {
      return refuse("failed", `${MAX_ADDED} locators were added already; remove one first`);
    }
    return this.#changed();
  }

  remove(text: string): Answer {
    const address = canonicalIp(text);
    if (address === undefined) return refuse("invalid", `"${text}" is not an IP address`);
    if (!this.#overlay.whereabouts.own.remove(address)) {
      return refuse("not_found", `${address} is not a locator of this host; hipctl locator list shows them`);
    }
    return this.#changed();
  }

  prefer(text: string | undefined): Answer {
    const address = text === undefined ? undefined : canonicalIp(text);
    if (text !== undefined && address === undefined) {
      return refuse("invalid", `"${text}" is not an IP address; give one, or "auto" for the rule's choice`);
    }
    if (!this.#overlay.whereabouts.own.prefer(address)) {
      return refuse(
        "not_found",
        `${address} is no locator that peers are told of; hipctl locator list shows those, hipctl locator add adds one`,
      );
    }
    return this.#changed();
  }

  /** Tells all associated peers that we shall be away; they wait that long (docs/MOBILITY.md). */
  away(seconds: number): Answer {
    if (!(seconds >= 0 && seconds <= MAX_AWAY_SECONDS)) {
      return refuse("invalid", `${seconds} seconds is not between 0 and ${MAX_AWAY_SECONDS}`);
    }
    const overlay = this.#overlay;
    const peers = overlay.host
      .associations()
      .filter(({ state }) => state === "ESTABLISHED" || state === "R2-SENT")
      .map(({ peer }) => overlay.peers.byHit(peer)?.config.name ?? formatHit(peer));
    overlay.run({ type: "away", seconds });
    return ok({ type: "away", peers, seconds });
  }

  handover(
    id: RequestId,
    peer: Peer,
    { to, from, timeoutMillis }: Extract<ControlRequest, { type: "handover" }>,
  ): Answer {
    const overlay = this.#overlay;
    const wanted = { to: canonical(to), from: canonical(from) };
    for (const [text, address] of [
      [to, wanted.to],
      [from, wanted.from],
    ]) {
      if (text !== undefined && address === undefined)
        return refuse("invalid", `"${text}" is not an IP address`);
    }
    if (!(timeoutMillis >= 1 && timeoutMillis <= MAX_HANDOVER_MILLIS)) {
      return refuse("invalid", `timeout ${timeoutMillis} ms is not between 1 and ${MAX_HANDOVER_MILLIS}`);
    }
    const refused = this.#mayMove(peer, wanted);
    if (refused !== undefined) return { ok: false, error: refused };
    const hit = peer.hit as Hit;
    const { now } = overlay;
    const waiting: Waiting = { id, peer, hit, since: now, until: after(now, timeoutMillis), wanted };
    if (!this.#waiting.set(id, waiting)) {
      return refuse("failed", `${MAX_HANDOVERS_WAITING} handovers are waited for already; try again later`);
    }
    const there = this.#isThere(waiting);
    overlay.run({ type: "handover", peer: hit, local: wanted.from, remote: wanted.to });
    const asked = wanted.to !== undefined || wanted.from !== undefined;
    if (there || !asked) this.#answer(waiting, this.#done(waiting, false));
    return undefined;
  }

  /** Something happened to an association: perhaps what somebody waits for. */
  happened(event: HostEvent): void {
    if (this.#waiting.size === 0) return;
    for (const waiting of [...this.#waiting.values()]) {
      if (waiting.hit !== event.peer) continue;
      const { name } = waiting.peer.config;
      if (event.name === "handover" && this.#isThere(waiting))
        this.#answer(waiting, this.#done(waiting, true));
      else if (event.name === "handover-failed" || event.name === "association-closed") {
        const why = String(event.detail["reason"] ?? event.name).replaceAll("_", " ");
        this.#fail(waiting, "failed", `the association with "${name}" was not moved: ${why}`);
      } else if (event.name === "locator-unreachable" && event.detail["address"] === waiting.wanted.to) {
        this.#fail(
          waiting,
          "failed",
          `"${name}" does not answer at ${waiting.wanted.to}; it stays where it is`,
        );
      }
    }
  }

  cancel(id: RequestId): void {
    this.#waiting.delete(id);
  }

  tick(now: Instant): void {
    for (const waiting of [...this.#waiting.values()]) {
      if (waiting.until > now) continue;
      // The protocol may have settled it without a word.
      if (this.#isThere(waiting)) this.#answer(waiting, this.#done(waiting, true));
      else {
        const { name } = waiting.peer.config;
        const millis = waiting.until - waiting.since;
        const message = `no answer came from "${name}" along that path within ${millis} ms; it stays where it is`;
        this.#fail(waiting, "timeout", message);
      }
    }
  }

  deadline(): Deadline | undefined {
    let first: Deadline | undefined;
    for (const { until } of this.#waiting.values())
      first = earliest(first, { at: until, why: "handover timeout" });
    return first;
  }

  /** Peers are told, and the operator sees what they are told now. */
  #changed(): Answer {
    this.#overlay.whereabouts.tell();
    return ok({ type: "locators", own: ownLocatorViews(this.#overlay, []), peers: [] });
  }

  #mayMove(peer: Peer, { to, from }: Wanted): Refusal | undefined {
    const overlay = this.#overlay;
    const { name } = peer.config;
    const state = overlay.association(peer)?.state;
    if (peer.hit === undefined || (state !== "ESTABLISHED" && state !== "R2-SENT")) {
      const message = `there is no association with "${name}" to move; hipctl connect ${name} makes one`;
      return { code: "not_found", message };
    }
    if (from !== undefined && !overlay.whereabouts.own.isOurs(from)) {
      const ours = overlay.addresses.join(", ") || "none known";
      return { code: "invalid", message: `${from} is not an address of this host; it has ${ours}` };
    }
    const known = overlay.host.peerLocators?.(peer.hit) ?? [];
    if (to !== undefined && known.length > 0 && !known.some(({ endpoint }) => endpoint.address === to)) {
      const all = known.map(({ endpoint }) => endpoint.address).join(", ");
      return {
        code: "not_found",
        message: `${to} is not an address of "${name}"; it is known to be at ${all}`,
      };
    }
    return undefined;
  }

  /** Whether the association uses what was asked for. */
  #isThere({ peer, wanted }: Waiting): boolean {
    const path = this.#overlay.association(peer)?.path;
    if (path === undefined) return false;
    const { to, from } = wanted;
    return (
      (to === undefined || path.remote.address === to) && (from === undefined || path.local.address === from)
    );
  }

  #done({ peer, since }: Waiting, moved: boolean): ControlReply {
    const path = pathView(this.#overlay.association(peer)?.path);
    return { type: "handed-over", name: peer.config.name, moved, path, millis: this.#overlay.now - since };
  }

  #fail(waiting: Waiting, code: Refusal["code"], message: string): void {
    this.#answer(waiting, { type: "error", code, message });
  }

  #answer({ id }: Waiting, reply: ControlReply): void {
    if (this.#waiting.delete(id)) this.#overlay.reply(id, reply);
  }
}

function canonical(text: string | undefined): string | undefined {
  return text === undefined ? undefined : canonicalIp(text);
}

function refuse(code: Refusal["code"], message: string): Answer {
  return { ok: false, error: { code, message } };
}
