/** One host's HIP: its identities, its R1 pool and all its associations (RFC 7401 6). */
import type { Random } from "../core/random.ts";
import { Timers } from "../core/timers.ts";
import {
  type Deadline,
  type Endpoint,
  earliest,
  type Hit,
  type Instant,
  NULL_HIT,
  type Path,
  type Spi,
} from "../core/types.ts";
import { parse } from "../wire/packet.ts";
import { Association } from "./association.ts";
import { AssociationTable } from "./association-table.ts";
import type { HostConfig } from "./config.ts";
import { type Context, drop, event, type Pending, type Received } from "./context.ts";
import type { HipDrop } from "./drop-reasons.ts";
import { HostJobs } from "./host-jobs.ts";
import type {
  AssociationView,
  HostGauges,
  HostInput,
  HostOutput,
  JobId,
  LocalIdentity,
  PathDetails,
  PeerBook,
  PeerLocatorDetails,
} from "./io.ts";
import type { Agreement, JobResult } from "./job.ts";
import type { OwnLocator } from "./locator.ts";
import { closeDraft } from "./messages.ts";
import { Notices } from "./notices.ts";
import { identityFor, Opportunistic } from "./opportunistic.ts";
import type { PathHappening } from "./path-happenings.ts";
import { lastLocatorsOf, pathsOf, peerLocatorsOf } from "./path-views.ts";
import { R1Pool } from "./r1-pool.ts";
import { dropSasOf } from "./session.ts";
import { SpiIndex } from "./spi-index.ts";
import { sessionOf, UNASSOCIATED } from "./states.ts";
import type { Happening } from "./tables.ts";
import { type HandedHost, handedHost, inboundOf, isOpen, leftovers, taken } from "./takeover.ts";
import { SHUN_MILLIS, WrongAnswers } from "./wrong-answers.ts";

/** The key under which the R1 pool sets its alarm; associations are keys themselves. */
const POOL = "r1-pool";

export class Host {
  readonly #peers: PeerBook;
  readonly #random: Random;
  #config: HostConfig;
  #identities: readonly LocalIdentity[];
  #pool: R1Pool;
  readonly #associations: AssociationTable;
  readonly #spis: SpiIndex<Association>;
  readonly #timers = new Timers<Association | typeof POOL>();
  readonly #jobs = new HostJobs();
  readonly #notices = new Notices();
  readonly #wrongAnswers = new WrongAnswers();
  readonly #opportunistic: Opportunistic;
  #own: readonly OwnLocator[] | undefined;

  constructor(config: HostConfig, identities: readonly LocalIdentity[], peers: PeerBook, random: Random) {
    this.#config = config;
    this.#identities = identities;
    this.#peers = peers;
    this.#random = random;
    this.#associations = new AssociationTable(config.maxAssociations);
    this.#spis = new SpiIndex(random);
    this.#opportunistic = new Opportunistic(random);
    this.#pool = this.#newPool(config.r1CounterStart);
    this.#timers.set(POOL, { at: 0 as Instant, why: "first r1s" });
  }

  handle(input: HostInput, now: Instant): readonly HostOutput[] {
    const out = this.#dispatch(input, now);
    this.#startWantedR1s();
    return this.#jobs.appendedTo(out);
  }

  deadline(): Deadline | undefined {
    return earliest(this.#timers.earliest(), this.#opportunistic.deadline());
  }

  /** Applies new settings and identities; associations of identities that are gone are forgotten. */
  configure(config: HostConfig, identities: readonly LocalIdentity[], now: Instant): readonly HostOutput[] {
    this.#config = config;
    this.#identities = identities;
    const out: HostOutput[] = [];
    for (const association of this.#associations.values()) {
      if (!identities.some(({ hit }) => hit === association.local))
        out.push(...this.#forget(association, now));
    }
    const before = this.#pool;
    this.#pool = this.#newPool(before.generation);
    this.#pool.inherit(before, now);
    this.#timers.set(POOL, { at: now, why: "first r1s" });
    return [...out, ...this.handle({ type: "timeout" }, now)];
  }

  /** All that a successor can go on with: see takeover.ts. Nothing else may be done with this host afterwards. */
  handOver(): HandedHost {
    const all = this.#associations.values();
    // Whoever waits for the answer of an identity's holder solved a puzzle, and has nothing for it yet.
    for (const { state } of all) {
      const asking = sessionOf(state)?.challenge?.pending.match;
      asking?.solutions.release(asking.solution);
    }
    return handedHost(all, this.#pool.handOver());
  }

  /**
   * Goes on with the associations of a predecessor whose data plane is ours now. Those with peers or identities that are
   * configured no more end.
   */
  resume(from: HandedHost, now: Instant): readonly HostOutput[] {
    const out: HostOutput[] = [...from.leftovers];
    this.#pool.resume(from.r1s, now);
    for (const { local, peer, since, state } of from.associations) {
      const policy = this.#peers.find(peer);
      const known = policy?.hit ?? peer;
      const association = Association.resumed(local, known, taken(state), since);
      const open = isOpen(state);
      const ours = this.#identities.some(({ hit }) => hit === local) && (open || policy !== undefined);
      if (!ours || this.#associations.full) {
        out.push(...leftovers(association));
        continue;
      }
      this.#spis.resume(association, inboundOf(state));
      out.push(...this.#after(association, open ? [{ type: "paths", peer: known }] : [], now));
    }
    return this.#jobs.appendedTo(out);
  }

  association(peer: Hit): AssociationView | undefined {
    return this.#associations.of(peer)?.view();
  }

  /** The pairs of addresses that the association may use, the one in use first. */
  paths(peer: Hit): readonly PathDetails[] {
    return pathsOf(this.#associations.of(peer)?.state ?? UNASSOCIATED);
  }

  /** Where the peer says, or showed, that it is (RFC 8046 5.1). */
  peerLocators(peer: Hit): readonly PeerLocatorDetails[] {
    return peerLocatorsOf(this.#associations.of(peer)?.state ?? UNASSOCIATED);
  }

  /** Where an associated peer was last, best first: to find it again after a restart. */
  lastLocators(peer: Hit): readonly Endpoint[] {
    return lastLocatorsOf(this.#associations.of(peer)?.state ?? UNASSOCIATED);
  }

  associations(): readonly AssociationView[] {
    return this.#associations.values().map((association) => association.view());
  }

  gauges(): HostGauges {
    return {
      puzzleDifficulty: this.#pool.difficulty,
      jobsInFlight: this.#jobs.size,
      associations: this.#associations.size,
      r1Generations: this.#pool.size,
    };
  }

  /** Entries of all tables that grow with associations. */
  entries(): { associations: number; timers: number; spis: number; jobs: number } {
    const { size: timers } = this.#timers;
    return { associations: this.#associations.size, timers, spis: this.#spis.size, jobs: this.#jobs.size };
  }

  #newPool(generation: bigint): R1Pool {
    return new R1Pool(this.#config, this.#identities, ["udp", "none"], this.#random, generation);
  }

  #dispatch(input: HostInput, now: Instant): readonly HostOutput[] {
    switch (input.type) {
      case "datagram":
        return this.#datagram(input.bytes, input.path, now);
      case "connect":
      case "probe":
        return this.#happen(input.peer, input.type, now);
      case "close":
        return this.#allOf(input.peer).flatMap((one) =>
          this.#after(one, one.happen("close", this.#context(one, now)), now),
        );
      case "forget":
        return this.#allOf(input.peer).flatMap((association) => this.#forget(association, now));
      case "connect-opportunistic":
        return this.#opportunistic.begin(input, this.#config, now);
      case "esp":
        return this.#esp(input.spi, input.event, now);
      case "locators":
      case "away":
        if (input.type === "locators") this.#own = input.own;
        return this.#associations.values().flatMap((one) => this.#pathHappens(one, input, now));
      case "path-down":
      case "path-rtt":
      case "handover":
        return this.#allOf(input.peer).flatMap((one) => this.#pathHappens(one, input, now));
      case "moved":
        return this.#bySpi(input.spi).flatMap((one) => this.#pathHappens(one, input, now));
      case "sent":
        return input.peers.flatMap((peer) => this.#happen(peer, "sent", now));
      case "job-done":
        return this.#jobDone(input.id, input.result, now);
      case "timeout":
        return this.#timeout(now);
    }
  }

  #datagram(bytes: Uint8Array, path: Path, now: Instant): readonly HostOutput[] {
    const parsed = parse(bytes);
    if (!parsed.ok) return [drop(`malformed_${parsed.error.reason}`)];
    const packet = parsed.value;
    const received: Received = { packet, path };
    if (packet.name === "I1" && packet.receiver === NULL_HIT) return this.#opportunisticI1(received, now);
    // RFC 7401 6.7 step 1, 6.9 step 2: whatever is not for one of our HITs is dropped.
    const own = this.#identities.find(({ hit }) => hit === packet.receiver);
    if (own === undefined) return [drop("not_our_hit")];
    let association = this.#associations.get(packet.receiver, packet.sender);
    if (association === undefined) {
      const hit = this.#permitted(packet.sender, received);
      if (hit !== undefined) return [drop(hit)];
      if (this.#associations.full) return [drop("associations_full")];
      // Not the packet's own copies: they would stay as long as the association.
      const peer = this.#peers.find(packet.sender)?.hit ?? packet.sender;
      association = new Association(own.hit, peer, now);
    }
    if (packet.name === "R1" && association.blank) {
      const cx = this.#context(association, now);
      const adopted = this.#opportunistic.adopt(received, association, cx);
      if (adopted !== undefined) return this.#after(association, adopted, now);
    }
    return this.#after(association, association.receive(received, this.#context(association, now)), now);
  }

  /** Default deny: why a HIT without an association gets nothing, or undefined when it may go on. */
  #permitted(peer: Hit, received: Received): HipDrop | undefined {
    if (this.#peers.find(peer) !== undefined) return undefined;
    const { name } = received.packet;
    if (this.#config.opportunistic && (name === "I1" || name === "I2")) return undefined;
    if (name === "R1" && this.#opportunistic.expects(received)) return undefined;
    return "policy";
  }

  #opportunisticI1(received: Received, now: Instant): readonly HostOutput[] {
    if (!this.#config.opportunistic) return [drop("policy")];
    const identity = identityFor(received.packet.sender, this.#identities);
    if (identity === undefined) return [drop("no_identity")];
    const known = this.#associations.get(identity.hit, received.packet.sender);
    if (known?.state.name === "ESTABLISHED")
      return this.#after(known, known.receive(received, this.#context(known, now)), now);
    return this.#answerI1(identity.hit, received, now);
  }

  #answerI1(local: Hit, received: Received, now: Instant): readonly HostOutput[] {
    const answer = this.#pool.answer(local, received.packet, received.path, now);
    if ("drop" in answer) return [drop(answer.drop)];
    return [{ type: "send", path: received.path, bytes: answer }];
  }

  #matchI2(local: Hit, { packet, path }: Received, now: Instant): ReturnType<Context["matchI2"]> {
    const match = this.#pool.match(local, packet, path, now);
    if (!("drop" in match)) return match;
    const { address } = path.remote;
    if (match.drop === "puzzle_unknown") this.#wrongAnswers.guessed(address, now);
    const shuns = match.drop === "puzzle_unsolved" && this.#wrongAnswers.tooMany(address, now);
    return { drop: match.drop, out: shuns ? [{ type: "shun", address, millis: SHUN_MILLIS }] : [] };
  }

  #happen(peer: Hit, what: Happening, now: Instant): readonly HostOutput[] {
    const existing = this.#associations.of(peer);
    if (existing === undefined && what !== "connect") return [];
    const policy = this.#peers.find(peer);
    if (existing === undefined && policy === undefined) return [drop("policy")];
    if (existing === undefined && this.#associations.full) return [drop("associations_full")];
    const local = existing?.local ?? (policy?.localHit as Hit);
    const association = existing ?? new Association(local, peer, now);
    return this.#after(association, association.happen(what, this.#context(association, now)), now);
  }

  #bySpi(inbound: Spi): readonly Association[] {
    const association = this.#spis.inbound(inbound);
    return association === undefined || !this.#associations.has(association) ? [] : [association];
  }

  #pathHappens(association: Association, what: PathHappening, now: Instant): readonly HostOutput[] {
    return this.#after(association, association.pathHappens(what, this.#context(association, now)), now);
  }

  #esp(spi: Spi, what: "first-inbound" | "idle" | "soft-expiry", now: Instant): readonly HostOutput[] {
    const all = what === "soft-expiry" ? this.#associations.byOutbound(spi) : this.#bySpi(spi);
    return all.flatMap((association) =>
      this.#after(association, association.happen(what, this.#context(association, now), spi), now),
    );
  }

  #jobDone(id: JobId, result: JobResult, now: Instant): readonly HostOutput[] {
    const owner = this.#jobs.ended(id);
    if (owner === undefined) return [drop("overtaken")];
    if (owner.what === "farewell") {
      return result.kind === "seal" ? [{ type: "send", path: owner.path, bytes: result.bytes }] : [];
    }
    if (owner.what === "r1") {
      owner.pool.made(
        owner.wanted.slotKey,
        result.kind === "make-r1" ? result : undefined,
        owner.wanted.k,
        now,
      );
      if (owner.pool === this.#pool) this.#timers.set(POOL, this.#pool.deadline());
      return [];
    }
    const { association } = owner;
    // It was forgotten meanwhile, and there may be another one in its place.
    if (!this.#associations.has(association)) return [drop("overtaken")];
    const cx = this.#context(association, now);
    const out = this.#after(association, association.conclude(id, result, cx), now);
    return [...out, ...this.#tryOtherIdentity(association, result, now)];
  }

  /** RFC 7401 6.8 step 6, Table 3: the peer does not support our HIT's suite, but that of another HIT of ours. */
  #tryOtherIdentity(before: Association, result: JobResult, now: Instant): readonly HostOutput[] {
    if (result.kind !== "refused" || result.peerSuites === undefined || before.secondChoice) return [];
    if (before.state.name !== "I1-SENT") return [];
    const { peerSuites } = result;
    const other = this.#identities.find((one) => one.hit !== before.local && peerSuites.includes(one.suite));
    if (other === undefined) return [];
    const next = new Association(other.hit, before.peer, now, true);
    if (this.#associations.get(next.local, next.peer) !== undefined || this.#associations.full) return [];
    const left = this.#after(before, before.happen("close", this.#context(before, now)), now);
    return [...left, ...this.#after(next, next.happen("connect", this.#context(next, now)), now)];
  }

  #timeout(now: Instant): readonly HostOutput[] {
    const out: HostOutput[] = [...this.#opportunistic.timeout(this.#config, now)];
    for (let key = this.#timers.due(now); key !== undefined; key = this.#timers.due(now)) {
      if (key === POOL) {
        this.#pool.timeout(now);
        this.#timers.set(POOL, this.#pool.deadline());
        continue;
      }
      if (!this.#associations.has(key)) continue;
      out.push(...this.#after(key, key.timeout(this.#context(key, now)), now));
    }
    return out;
  }

  /** Ends without waiting for anything: one CLOSE goes out where there is an association. */
  #forget(association: Association, now: Instant): readonly HostOutput[] {
    const { state } = association;
    const cx = this.#context(association, now);
    const out: HostOutput[] = [...dropSasOf(cx, state)];
    const session = sessionOf(state);
    if (session !== undefined) {
      this.#farewell(association, session.agreement, session.path);
      out.push(event(cx, "association-closed", { by: "us", reason: "forgotten" }));
    }
    return this.#removed(association, out);
  }

  #allOf(peer: Hit): readonly Association[] {
    return this.#associations.allOf(peer, this.#identities);
  }

  /** A CLOSE that nobody waits for an answer to. */
  #farewell({ local, peer }: Association, agreement: Agreement, path: Path): void {
    const { rhash, macOut: macKey } = agreement;
    const draft = closeDraft(local, peer, this.#random.bytes(16));
    this.#jobs.start({ kind: "seal", localHit: local, draft, rhash, macKey }, { what: "farewell", path });
  }

  /** Keeps tables and timers in step with what the association became. */
  #after(association: Association, out: readonly HostOutput[], now: Instant): readonly HostOutput[] {
    if (association.blank) return this.#removed(association, out);
    if (!this.#associations.keep(association)) return [drop("associations_full")];
    this.#timers.set(association, association.deadline(this.#config));
    this.#spis.follow(association, out);
    // Whoever lost the permission is left with the next thing that happens.
    if (sessionOf(association.state) !== undefined && this.#peers.find(association.peer) === undefined) {
      return [...out.filter(({ type }) => type !== "send"), ...this.#forget(association, now)];
    }
    return out;
  }

  #removed(association: Association, out: readonly HostOutput[]): readonly HostOutput[] {
    this.#spis.follow(association, out);
    this.#associations.remove(association, this.#identities);
    this.#timers.set(association, undefined);
    return out;
  }

  #startWantedR1s(): void {
    for (const wanted of this.#pool.takeWanted()) {
      this.#jobs.start(wanted.job, { what: "r1", wanted, pool: this.#pool });
    }
  }

  #context(association: Association, now: Instant): Context {
    const { local, peer } = association;
    return {
      now,
      local,
      peer,
      policy: this.#peers.find(peer),
      config: this.#config,
      random: this.#random,
      own: this.#own,
      running: (kind) => association.running(kind),
      busy: (kind) => association.busy(kind),
      abandon: (kind) => association.abandon(kind),
      start: (job, pending) => {
        if (!this.#jobs.mayStart(job, this.#pool.making, this.#config.maxJobs)) {
          if (job.kind === "accept-i2") this.#pool.busy(now);
          return false;
        }
        association.started(this.#jobs.start(job, { what: "association", association }), pending);
        return true;
      },
      admit: ({ carrier, remote }) =>
        this.#peers.find(peer) !== undefined || this.#peers.discovered(peer, local, carrier, remote),
      farewell: (agreement, path) => this.#farewell(association, agreement, path),
      newInbound: () => this.#spis.fresh(this.#config.offerLsiSpi),
      answerI1: (received) => this.#answerI1(local, received, now),
      matchI2: (received) => this.#matchI2(local, received, now),
      usedI2: (match) => this.#pool.used(match),
      forgedI2: (match) => this.#pool.forged(match, now),
      maySpare: () => this.#notices.maySpare(now),
      mayFollowHint: () => this.#notices.mayFollowHint(now),
      notify: (messageType, data, path, limit, keys) => {
        const job = this.#notices.notify(association, messageType, data, keys, now);
        if (job === undefined) return [drop("notify_rate_limit")];
        const pending: Pending = { kind: "seal", sealed: { what: "notify", limit }, path };
        association.started(this.#jobs.start(job, { what: "association", association }), pending);
        return [];
      },
    };
  }
}
