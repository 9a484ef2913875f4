/** What surrounds the protocol: peers, names, LSIs, policy, requests and metrics around one `Host`. Pure: eats inputs, returns outputs. */

import { formatHit } from "../core/ip.ts";
import type { Random } from "../core/random.ts";
import {
  type Deadline,
  type Endpoint,
  earliest,
  err,
  type Hit,
  type Instant,
  type Lsi,
  NULL_HIT,
  ok,
  type Result,
  type Spi,
  unreachable,
} from "../core/types.ts";
import type { HipDrop } from "../hip/drop-reasons.ts";
import { Host } from "../hip/host.ts";
import type {
  AssociationView,
  HostInput,
  HostOutput,
  PathDetails,
  PeerLocatorDetails,
  StateName,
} from "../hip/io.ts";
import { isOpen } from "../hip/takeover.ts";
import { dnsNameOf, type OverlayConfig } from "./config.ts";
import type { ControlReply, Facts, OverlayEvent, PeerView, RequestId, Traffic } from "./control.ts";
import { loseIdle } from "./dns-peers.ts";
import type { AnyEventDetail, AnyEventName } from "./event-catalogue.ts";
import { tookPlace } from "./host-events.ts";
import type { OverlayInput, OverlayOutput } from "./io.ts";
import { countLocators, type QualityOf } from "./locator-views.ts";
import { LsiMap } from "./lsi.ts";
import { Membership, roomFor } from "./membership.ts";
import { Meter, type Metrics } from "./metrics.ts";
import { PathWatch } from "./path-watch.ts";
import { type PeerSample, peerSamples } from "./peer-metrics.ts";
import { checkPeers, type Peer, PeerTable } from "./peers.ts";
import { mayConnect } from "./policy.ts";
import { Requests } from "./requests.ts";
import { parseState, type SavedState } from "./state.ts";
import { type HandedOverlay, handOver, inheritedPeers, resume } from "./takeover.ts";
import { isoTime } from "./views.ts";
import { WaitingRequests } from "./waiting.ts";
import { ASLEEP_AFTER, Whereabouts } from "./whereabouts.ts";

/** What the protocol knows about paths (RFC 8046). */
export interface Mobility {
  /** The pair in use first. */
  paths(peer: Hit): readonly PathDetails[];
  peerLocators(peer: Hit): readonly PeerLocatorDetails[];
  /** Where the peer was last, best first. */
  lastLocators(peer: Hit): readonly Endpoint[];
}

/** What the overlay needs of the protocol; tests put something smaller in its place. */
export type Protocol = Pick<
  Host,
  "handle" | "deadline" | "configure" | "association" | "associations" | "gauges"
> &
  Partial<Mobility> &
  Partial<Pick<Host, "handOver" | "resume">>;

export interface OverlayOptions {
  readonly config: OverlayConfig;
  readonly facts: Facts;
  /** What an earlier run gave with "save", parsed; anything else is ignored. */
  readonly saved: unknown;
  readonly random: Random;
  /** What the predecessor on the same data plane handed over. */
  readonly handed?: HandedOverlay | undefined;
  readonly makeProtocol?: (config: OverlayConfig, peers: PeerTable, random: Random) => Protocol;
}

/** States in which an association still has something to say. */
const LIVELY: ReadonlySet<StateName> = new Set<StateName>([
  "I1-SENT",
  "I2-SENT",
  "R2-SENT",
  "ESTABLISHED",
  "CLOSING",
]);

/** The wall clock was set when it differs from the monotonic one by more than this. */
const CLOCK_STEP_MILLIS = 1_000;

export class Overlay {
  readonly facts: Facts;
  readonly peers: PeerTable;
  readonly lsis: LsiMap;
  readonly host: Protocol;
  readonly waiting: WaitingRequests;
  readonly membership: Membership;
  readonly meter = new Meter();
  readonly whereabouts: Whereabouts;
  /** What watching a path found out about it. */
  readonly quality: QualityOf = (peer, path) => this.#watch.quality(peer, path);
  readonly #requests: Requests;
  readonly #watch = new PathWatch(this);
  #config: OverlayConfig;
  #out: OverlayOutput[] = [];
  #now: Instant = 0 as Instant;
  #wall = 0;
  #epoch = 0;
  #events = 0;
  #addresses: readonly string[] = [];
  #startedAt: number | undefined;
  #handed: HandedOverlay | undefined;
  readonly #inheritedRoutes: Map<Hit, Spi>;

  /** Fails, with a message for the operator, when the configuration contradicts itself. */
  static create(options: OverlayOptions): Result<Overlay, string> {
    const { config } = options;
    const own = config.identities.map(({ hit }) => hit);
    if (!own.includes(config.defaultIdentity)) {
      return err(
        `the default identity ${formatHit(config.defaultIdentity)} is not among the host's identities`,
      );
    }
    const checked = checkPeers(config.peers, own, config.host.opportunistic);
    if (!checked.ok) return err(checked.error.message);
    const saved = parseState(options.saved);
    const lsis =
      saved === undefined
        ? LsiMap.create(config.lsiPrefix, config.defaultIdentity)
        : LsiMap.load(config.lsiPrefix, config.defaultIdentity, saved);
    if (!lsis.ok) return lsis;
    const room = roomFor(config.peers, lsis.value);
    if (room !== undefined) return err(room);
    return ok(new Overlay(options, lsis.value, saved));
  }

  private constructor(options: OverlayOptions, lsis: LsiMap, saved: SavedState | undefined) {
    const { config, random, handed } = options;
    this.#config = config;
    this.#handed = handed;
    this.#inheritedRoutes = new Map(handed?.routes);
    this.facts = options.facts;
    this.lsis = lsis;
    this.peers = new PeerTable(
      config.identities.map(({ hit }) => hit),
      config.defaultIdentity,
      config.host.opportunistic,
      (peer, hit) => this.membership.bind(peer, hit),
    );
    const makeProtocol =
      options.makeProtocol ?? ((): Protocol => new Host(config.host, config.identities, this.peers, random));
    this.host = makeProtocol(config, this.peers, random);
    this.waiting = new WaitingRequests({
      reply: (id, reply, last) => this.reply(id, reply, last),
      echo: (peer, sequence, bytes) => {
        if (peer.hit === undefined) return;
        this.emit({ type: "ping", localHit: this.peers.localHit(peer), peer: peer.hit, sequence, bytes });
      },
      details: (peer) => this.#requests.details(peer),
    });
    this.#requests = new Requests(this);
    this.membership = new Membership(this, new Map(saved?.discovered ?? []));
    this.whereabouts = new Whereabouts(this, options.facts.interface, config, saved);
  }

  get config(): OverlayConfig {
    return this.#config;
  }

  /** The host's own LSI: the address of the TUN interface. */
  get ownLsi(): Lsi {
    return this.lsis.own;
  }

  get now(): Instant {
    return this.#now;
  }

  get wall(): number {
    return this.#wall;
  }

  /** Wall-clock time of the start, in milliseconds since 1970. */
  get startedAt(): number {
    return this.#wall - (this.#now - (this.#startedAt ?? this.#now));
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** Whether an association still has something to say: after "shutdown" the time to wait for it. */
  get closing(): boolean {
    return this.host.associations().some(({ state }) => LIVELY.has(state));
  }

  /** `now` never decreases; `wall` is milliseconds since 1970 and may jump. Outputs to the network are in order. */
  handle(input: OverlayInput, now: Instant, wall: number): readonly OverlayOutput[] {
    this.#now = now;
    // The two clocks tick apart by a millisecond now and then: times that are shown must not.
    if (Math.abs(wall - now - this.#epoch) > CLOCK_STEP_MILLIS) this.#epoch = wall - now;
    this.#wall = now + this.#epoch;
    const late = now - (this.#startedAt === undefined ? now : (this.deadline()?.at ?? now));
    if (late > ASLEEP_AFTER) this.whereabouts.awake(late);
    this.#dispatch(input);
    if (this.peers.lost.size > 0) loseIdle(this);
    this.#saveWhenChanged();
    const out = this.#out;
    this.#out = [];
    return out;
  }

  deadline(): Deadline | undefined {
    return earliest(
      this.host.deadline(),
      this.waiting.deadline(),
      this.#watch.deadline(),
      this.whereabouts.deadline(),
      this.#requests.deadline(),
    );
  }

  metrics(): Metrics {
    return this.meter.snapshot({
      states: this.host.associations().map(({ state }) => state),
      gauges: this.host.gauges(),
      peers: this.peers.all(),
      host: this.host,
      lsiEntries: this.lsis.size,
      requestsWaiting: this.waiting.size,
      locators: countLocators(this),
      overflows: {
        ...this.waiting.overflows(),
        ...this.#requests.overflows(),
        ...this.whereabouts.overflows(),
      },
    });
  }

  /** Of the first `limit` peers. */
  peerSamples(traffic: readonly Traffic[], limit: number): readonly PeerSample[] {
    return peerSamples(this, traffic, limit);
  }

  #dispatch(input: OverlayInput): void {
    switch (input.type) {
      case "start":
        this.#start();
        break;
      case "datagram":
      case "job-done":
      case "esp":
        this.run(input);
        break;
      case "timeout":
        this.run(input);
        this.waiting.tick(this.#now);
        this.whereabouts.tick(this.#now);
        this.#requests.tick(this.#now);
        this.#watch.tick();
        break;
      case "traffic":
        this.#watch.traffic(input.traffic);
        break;
      case "unknown-spi":
        this.whereabouts.unknownSpi(input.path);
        break;
      case "moved":
        this.run({ type: "moved", spi: input.spi, path: input.path });
        break;
      case "miss":
        this.#miss(input.peer);
        break;
      case "echo-reply":
        this.waiting.echoReply(input.peer, input.sequence, input.rttMicros);
        break;
      case "addresses":
        this.#addresses = input.local.map(({ address }) => address);
        this.whereabouts.addresses(input.local);
        break;
      case "silent":
        this.#watch.silent(input.peer, input.millis);
        break;
      case "probe-reply":
        this.#watch.probeReply(input);
        break;
      case "request":
        this.#requests.handle(input.id, input.request, input.counts);
        break;
      case "cancel":
        this.waiting.cancel(input.id);
        this.#requests.cancel(input.id);
        break;
      case "persisted":
        this.#requests.persisted(input.token, input.result);
        break;
      case "shutdown":
        this.whereabouts.stop();
        for (const { peer, state } of this.host.associations()) {
          if (LIVELY.has(state)) this.run({ type: "close", peer });
        }
        return;
      default:
        unreachable(input);
    }
  }

  /** Hands an input to the protocol and carries over what comes out. */
  run(input: HostInput): void {
    this.carry(this.host.handle(input, this.#now));
  }

  carry(outputs: readonly HostOutput[]): void {
    for (const output of outputs) this.#fromHost(output);
  }

  emit(output: OverlayOutput): void {
    this.#out.push(output);
  }

  reply(id: RequestId, reply: ControlReply, last = true): void {
    this.emit({ type: "reply", id, reply, last });
  }

  inheritedRoute(hit: Hit): Spi | undefined {
    return this.#inheritedRoutes.get(hit);
  }

  /** Everything that a successor on the same data plane needs. Afterwards this overlay must not be used. */
  handOver(): HandedOverlay {
    return handOver(this, this.#watch);
  }

  /** Tells operators that something happened. */
  event<N extends AnyEventName>(name: N, hit: Hit | undefined, detail: AnyEventDetail<N>): void {
    const shown = hit === undefined || hit === NULL_HIT ? undefined : hit;
    this.meter.event(name);
    this.emit({
      type: "event",
      event: {
        number: ++this.#events,
        time: isoTime(this.#wall),
        name,
        peer: (shown === undefined ? undefined : this.peers.byHit(shown)?.config.name) ?? null,
        hit: shown === undefined ? null : formatHit(shown),
        detail: detail as OverlayEvent["detail"],
      },
    });
  }

  /** Local packets for the peer leave at once from now on. */
  usable(peer: Peer): void {
    this.#watch.usable();
    this.waiting.peerUsable(peer, this.#now);
  }

  /** Forgets a peer, and who waits for it. */
  removePeer(peer: Peer): void {
    this.membership.remove(peer);
    if (peer.hit !== undefined) this.whereabouts.removed(peer.hit);
    this.waiting.peerRemoved(peer);
  }

  /** The present view of a peer that is in the table. */
  peerView(name: string): PeerView {
    return this.#requests.peerView(this.peers.named(name) as Peer);
  }

  setConfig(config: OverlayConfig): void {
    this.#config = config;
  }

  pathsOf(peer: Hit): readonly PathDetails[] {
    return this.host.paths?.(peer) ?? [];
  }

  lastLocators(peer: Hit): readonly Endpoint[] | undefined {
    return this.host.lastLocators?.(peer);
  }

  association(peer: Peer): AssociationView | undefined {
    return peer.hit === undefined ? undefined : this.host.association(peer.hit);
  }

  #start(): void {
    this.#startedAt = this.#now;
    const added = this.#handed === undefined ? [] : inheritedPeers(this.#handed, this.#config);
    for (const config of [...this.#config.peers, ...added]) this.membership.add(config);
    if (this.#handed !== undefined) {
      resume(this, this.#watch, this.#handed);
      const open = this.#handed.host.associations.filter(({ state }) => isOpen(state));
      this.event("taken-over", undefined, { associations: open.length });
    }
    this.#handed = undefined;
    this.#inheritedRoutes.clear();
    this.run({ type: "timeout" });
    this.whereabouts.start();
  }

  #miss(hit: Hit): void {
    const verdict = mayConnect(this.peers, hit);
    if (verdict.allow) {
      this.run({ type: "connect", peer: hit });
      return;
    }
    this.#drop(verdict.reason);
    this.emit({ type: "route", peer: hit, via: verdict.reason === "peer_unknown" ? "unknown" : "reject" });
  }

  #drop(reason: HipDrop): void {
    this.meter.drop(reason);
    this.emit({ type: "drop", reason });
  }

  #fromHost(output: HostOutput): void {
    switch (output.type) {
      case "route": {
        const peer = this.peers.byHit(output.peer);
        // A peer that was removed gets no route any more.
        if (peer !== undefined) this.membership.route(peer, output.via);
        return;
      }
      case "event":
        this.event(output.name, output.peer, output.detail);
        this.#requests.happened(output);
        tookPlace(output, this);
        break;
      case "drop":
        this.#drop(output.reason);
        break;
      case "paths":
        this.whereabouts.learn(output.peer);
        this.#watch.changed(output.peer);
        break;
      case "seen-as":
        this.whereabouts.seenAs(output);
        break;
      default:
        this.emit(output);
    }
  }

  #saveWhenChanged(): void {
    if (!this.lsis.dirty && !this.whereabouts.mustSave) return;
    const found: [string, string][] = [];
    for (const { config, hit } of this.peers.all()) {
      const { dns } = config;
      const lasting = config.hit === undefined && dns === undefined && !dnsNameOf(config, this.#config);
      if (lasting && hit !== undefined) found.push([config.name, hit]);
    }
    const associations = this.whereabouts.saved();
    this.emit({
      type: "save",
      state: { version: 1, ...this.lsis.saved(), discovered: found, associations },
    });
  }
}
