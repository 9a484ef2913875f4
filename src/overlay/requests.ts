/** Answers what operators ask. */
import { type Deadline, type Instant, ok, type Result, unreachable } from "../core/types.ts";
import type { AssociationView, HostEvent } from "../hip/io.ts";
import { type Answer, Changes } from "./changes.ts";
import type { AssociationDetails, ControlReply, ControlRequest, PeerView, RequestId } from "./control.ts";
import { dnsPeers, learnFromDns } from "./dns-peers.ts";
import type { Counts } from "./io.ts";
import { LocatorRequests } from "./locator-requests.ts";
import { pairsOf, pathSummary } from "./locator-views.ts";
import { flatCounters } from "./metrics.ts";
import { nameQuery } from "./name-requests.ts";
import { findPeer } from "./names.ts";
import type { Overlay } from "./overlay.ts";
import type { Peer, Refusal } from "./peers.ts";
import { mayConnect } from "./policy.ts";
import { whereaboutsReply } from "./sightings.ts";
import {
  associationDetails,
  identityViews,
  isoTime,
  peerView,
  selfView,
  type TrafficByPeer,
} from "./views.ts";
import { MAX_WAITING, type PingPlan } from "./waiting.ts";

/** The longest that a request may ask to wait, in milliseconds. */
export const MAX_TIMEOUT = 10 * 60_000;
/** Echo requests closer together than this would be a flood, in milliseconds. */
export const MIN_PING_INTERVAL = 10;
/** Payload bytes of the largest echo request. */
export const MAX_PING_BYTES = 8_900;

/** All requests but "events", whose subscribers the driver keeps. */
export type OverlayRequest = Exclude<ControlRequest, { type: "events" }>;

const NO_TRAFFIC: TrafficByPeer = new Map();

export class Requests {
  readonly #overlay: Overlay;
  readonly #changes: Changes;
  readonly #locators: LocatorRequests;

  constructor(overlay: Overlay) {
    this.#overlay = overlay;
    this.#changes = new Changes(overlay);
    this.#locators = new LocatorRequests(overlay);
  }

  overflows(): Readonly<Record<string, number>> {
    return { ...this.#changes.overflows(), ...this.#locators.overflows() };
  }

  happened(event: HostEvent): void {
    this.#locators.happened(event);
  }

  cancel(id: RequestId): void {
    this.#locators.cancel(id);
  }

  tick(now: Instant): void {
    this.#locators.tick(now);
  }

  deadline(): Deadline | undefined {
    return this.#locators.deadline();
  }

  handle(id: RequestId, request: OverlayRequest, counts: Counts | undefined): void {
    const answer = this.#answer(id, request, counts);
    if (answer === undefined) return;
    this.#overlay.reply(id, answer.ok ? answer.value : { type: "error", ...answer.error });
  }

  persisted(token: number, result: Result<string, string>): void {
    this.#changes.persisted(token, result);
  }

  details(peer: Peer, traffic: TrafficByPeer = NO_TRAFFIC): AssociationDetails | undefined {
    const association = this.#overlay.association(peer);
    return association === undefined ? undefined : this.#associationView(association, peer, traffic);
  }

  #associationView(
    view: AssociationView,
    peer: Peer | undefined,
    traffic: TrafficByPeer,
  ): AssociationDetails {
    const paths = pathSummary(pairsOf(view.peer, this.#overlay, traffic));
    return associationDetails(view, peer, traffic, paths, this.#overlay);
  }

  peerView(peer: Peer, traffic: TrafficByPeer = NO_TRAFFIC): PeerView {
    const association = this.#overlay.association(peer);
    const pairs = association === undefined ? [] : pairsOf(association.peer, this.#overlay, traffic);
    return peerView(peer, this.#overlay.peers, association, traffic, pathSummary(pairs), this.#overlay);
  }

  #answer(id: RequestId, request: OverlayRequest, counts: Counts | undefined): Answer {
    const overlay = this.#overlay;
    const traffic = new Map((counts?.traffic ?? []).map((one) => [one.peer, one]));
    switch (request.type) {
      case "status":
        return ok(this.#status(traffic));
      case "version":
        return ok({ type: "version", version: overlay.facts.version });
      case "peer-list":
        return ok({ type: "peers", peers: this.#peerViews(traffic) });
      case "peer-show":
        return this.#with(request.peer, (peer) => ok({ type: "peer", peer: this.peerView(peer, traffic) }));
      case "peer-add":
        return this.#changes.addPeer(id, request.peer, request.keep);
      case "peer-remove":
        return this.#with(request.peer, (peer) => this.#changes.removePeer(id, peer, request.keep));
      case "association-list":
        return ok({ type: "associations", associations: this.#associations(traffic) });
      case "association-show":
        return this.#with(request.peer, (peer) => this.#associationShow(peer, traffic));
      case "association-close":
        return this.#with(request.peer, (peer) => this.#associationClose(peer));
      case "connect":
        return this.#with(request.peer, (peer) => this.#reach(id, peer, request.timeoutMillis, undefined));
      case "ping":
        return this.#with(request.peer, (peer) => this.#ping(id, peer, request));
      case "locator-list":
        return this.#locators.list(request.peer, traffic);
      case "locator-add":
        return this.#locators.add(request.locator);
      case "locator-remove":
        return this.#locators.remove(request.address);
      case "locator-prefer":
        return this.#locators.prefer(request.address);
      case "handover":
        return this.#with(request.peer, (peer) => this.#locators.handover(id, peer, request));
      case "away":
        return this.#locators.away(request.seconds);
      case "cloud":
        overlay.whereabouts.cloud(request.facts);
        return ok({ type: "noted" });
      case "whereabouts":
        return ok(whereaboutsReply(overlay));
      case "name-query":
        return nameQuery(overlay, request.name, request.kind);
      case "dns-peers":
        return dnsPeers(overlay);
      case "dns-facts":
        return learnFromDns(overlay, request.peer, request.facts);
      case "counters":
        return ok({
          type: "counters",
          counters: { ...flatCounters(overlay.metrics()), ...counts?.counters },
        });
      case "identity-list":
        return ok({ type: "identities", identities: identityViews(overlay.config, overlay.peers) });
      case "identity-use": {
        const refused = this.#changes.useIdentity(request.hit, request.peer);
        if (refused !== undefined) return refused;
        return ok({ type: "identities", identities: identityViews(overlay.config, overlay.peers) });
      }
      case "configure":
        return this.#changes.configure(request.config);
      default:
        return unreachable(request);
    }
  }

  #with(text: string, use: (peer: Peer) => Answer): Answer {
    const peer = findPeer(text, this.#overlay.peers, this.#overlay.lsis);
    return peer.ok ? use(peer.value) : peer;
  }

  #status(traffic: TrafficByPeer): ControlReply {
    const { config, peers, facts, wall, startedAt, ownLsi, addresses } = this.#overlay;
    return {
      type: "status",
      self: selfView(config, peers, ownLsi, facts.interface, addresses),
      version: facts.version,
      startedAt: isoTime(startedAt),
      uptimeSeconds: Math.floor((wall - startedAt) / 1000),
      peers: this.#peerViews(traffic),
    };
  }

  #peerViews(traffic: TrafficByPeer): readonly PeerView[] {
    return [...this.#overlay.peers.all()].map((peer) => this.peerView(peer, traffic));
  }

  #associations(traffic: TrafficByPeer): readonly AssociationDetails[] {
    const { host, peers } = this.#overlay;
    return host.associations().map((view) => this.#associationView(view, peers.byHit(view.peer), traffic));
  }

  #associationShow(peer: Peer, traffic: TrafficByPeer): Answer {
    const association = this.details(peer, traffic);
    return association === undefined
      ? refuse("not_found", noAssociation(peer))
      : ok({ type: "association", association });
  }

  #associationClose(peer: Peer): Answer {
    const association = this.#overlay.association(peer);
    if (association === undefined || association.state === "UNASSOCIATED") {
      return refuse("not_found", noAssociation(peer));
    }
    const { name } = peer.config;
    this.#overlay.run({ type: "close", peer: association.peer });
    return ok({ type: "closing", name, was: association.state });
  }

  #ping(id: RequestId, peer: Peer, request: Extract<ControlRequest, { type: "ping" }>): Answer {
    const { count, intervalMillis, bytes, timeoutMillis } = request;
    if (!Number.isInteger(count) || count < 0)
      return refuse("invalid", `count ${count} is not a whole number`);
    if (!(intervalMillis >= MIN_PING_INTERVAL && intervalMillis <= MAX_TIMEOUT)) {
      return refuse(
        "invalid",
        `interval ${intervalMillis} ms is not between ${MIN_PING_INTERVAL} and ${MAX_TIMEOUT}`,
      );
    }
    if (!Number.isInteger(bytes) || bytes < 0 || bytes > MAX_PING_BYTES) {
      return refuse("invalid", `${bytes} bytes are not between 0 and ${MAX_PING_BYTES}`);
    }
    return this.#reach(id, peer, timeoutMillis, { count, intervalMillis, bytes, timeoutMillis });
  }

  /** Answers when the peer is usable; with a plan that is the begin of a ping. */
  #reach(id: RequestId, peer: Peer, timeoutMillis: number, plan: PingPlan | undefined): Answer {
    const overlay = this.#overlay;
    const { waiting, now } = overlay;
    if (!(timeoutMillis >= 1 && timeoutMillis <= MAX_TIMEOUT)) {
      return refuse("invalid", `timeout ${timeoutMillis} ms is not between 1 and ${MAX_TIMEOUT}`);
    }
    if (typeof peer.via === "number") {
      waiting.begin(id, peer, plan, now);
      return undefined;
    }
    if (peer.hit !== undefined) {
      const verdict = mayConnect(overlay.peers, peer.hit);
      if (!verdict.allow) {
        return refuse(
          "failed",
          `no locator of "${peer.config.name}" is known; add one, or wait until it speaks first`,
        );
      }
    }
    if (peer.hit === undefined && peer.config.dns !== undefined) {
      const why = peer.dnsProblem ?? "no answer yet";
      return refuse("failed", `the HIT of "${peer.config.name}" is not known: ${peer.config.dns}: ${why}`);
    }
    if (!waiting.wait(id, peer, timeoutMillis, plan, now)) {
      return refuse("failed", `${MAX_WAITING} requests wait already; try again later`);
    }
    this.#connect(peer);
    return undefined;
  }

  #connect(peer: Peer): void {
    const overlay = this.#overlay;
    if (peer.hit === undefined) {
      // Only DNS may say who this one is.
      if (peer.config.dns !== undefined) return;
      const { carrier, locators } = peer.config;
      const localHit = overlay.peers.localHit(peer);
      // The table refuses opportunistic peers without a locator.
      for (const remote of locators.slice(0, 1)) {
        overlay.run({ type: "connect-opportunistic", localHit, carrier, remote });
      }
      return;
    }
    // Somebody who asks does not want to wait until an earlier failure is forgotten.
    if (overlay.association(peer)?.state === "E-FAILED") overlay.membership.beginAnew(peer);
    overlay.run({ type: "connect", peer: peer.hit });
  }
}

function noAssociation(peer: Peer): string {
  return `there is no association with "${peer.config.name}"; hipctl connect ${peer.config.name} makes one`;
}

function refuse(code: Refusal["code"], message: string): Answer {
  return { ok: false, error: { code, message } };
}
