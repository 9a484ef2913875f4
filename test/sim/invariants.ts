/** What must hold in every world, whatever happens. Each breach is written down with the time. */
import { formatHit } from "../../src/core/ip.ts";
import type { Endpoint, Hit, Instant } from "../../src/core/types.ts";
import type { Agreement } from "../../src/hip/job.ts";
import type { SaSpec } from "../../src/hip/sa.ts";
import type { OverlayInput, OverlayOutput } from "../../src/overlay/io.ts";
import { CreditLedger } from "./credit.ts";
import type { Daemon } from "./daemon.ts";
import { type Packet, sizeOf } from "./network.ts";
import { HOLD_LIMIT, keyName, type Message, type SealedMessage } from "./plane.ts";
import { describe, glance } from "./trace.ts";

/**
 * Questions whether somebody is there (RFC 8046 5.4) that an authentic packet from an address may bring upon it. They
 * are the one thing besides R1 that goes to where nobody has asked: the ACK, a check with its repetitions, and those once
 * more when the check became urgent.
 */
const CHECKS_PER_CAUSE = 12;
/** Timeouts in a row that may leave something for the next. */
const LATE_TURNS = 3;
/** R1s that the pool may remember. */
const MAX_R1S = 2048;

/** One message that an application sent. */
export interface Sent {
  readonly from: string;
  readonly to: string;
  readonly message: Message;
}

interface Stranger {
  bytesIn: number;
  bytesOut: number;
  i1s: number;
  r1s: number;
  /** ESP and UPDATEs from there; UPDATEs that went there. */
  causes: number;
  checks: number;
}

export class Invariants {
  readonly breaches: string[] = [];
  /** Inputs of all daemons so far. */
  inputs = 0;
  readonly #now: () => number;
  /** Who owns a HIT. */
  readonly #owners = new Map<Hit, string>();
  /** Sequence numbers used with each key. */
  readonly #used = new Map<string, Set<number>>();
  /** Who has derived a key. */
  readonly #derived = new Map<string, Set<Hit>>();
  readonly #sent = new Map<number, Sent>();
  /** Timeouts in a row after which something was still due. */
  readonly #late = new Map<string, number>();
  readonly #delivered = new Set<number>();
  readonly #lsis = new Map<string, string>();
  readonly credit = new CreditLedger((hit) => this.#nameOf(hit));
  /** Whose inbound SA a key belongs to. */
  readonly #receiver = new Map<string, Hit>();
  /** Bytes and packets from and to addresses where nobody of us is. */
  readonly #strangers = new Map<string, Stranger>();
  /** Addresses from where a complete, signed I2 came: the exchange itself has verified them. */
  readonly #verified = new Set<string>();

  constructor(now: () => number) {
    this.#now = now;
  }

  breach(text: string): void {
    if (this.breaches.length < 20) this.breaches.push(`${this.#now().toFixed(3)} ms: ${text}`);
  }

  own(hit: Hit, name: string): void {
    this.#owners.set(hit, name);
  }

  derived(local: Hit, agreement: Agreement): void {
    for (const keys of [agreement.espIn, agreement.espOut]) {
      const key = keyName(agreement.espSuite, keys);
      const holders = this.#derived.get(key);
      if (holders === undefined) this.#derived.set(key, new Set([local]));
      else holders.add(local);
    }
  }

  applicationSent(sent: Sent): void {
    this.#sent.set(sent.message.id, sent);
  }

  saAdded(daemon: Daemon, sa: SaSpec): void {
    if (sa.direction === "out") this.#receiver.set(keyName(sa.suite, sa), sa.peerHit);
    const who = `${daemon.name}: SA ${sa.direction} for ${this.#nameOf(sa.peerHit)}`;
    if (!daemon.knows(sa.peerHit)) this.breach(`${who}, which is not configured`);
    if (!daemon.owns(sa.localHit)) this.breach(`${who} with a foreign identity of ours`);
  }

  sealed(daemon: Daemon, sa: SaSpec, key: string, sequence: number, message: Message): void {
    let used = this.#used.get(key);
    if (used === undefined) {
      used = new Set();
      this.#used.set(key, used);
    }
    if (used.has(sequence))
      this.breach(`${daemon.name}: sequence number ${sequence} used twice with one key`);
    used.add(sequence);
    // The peer must have shown that it is the peer: only then both have drawn the same keys.
    if (this.#derived.get(key)?.has(sa.peerHit) !== true) {
      this.breach(`${daemon.name}: data for ${this.#nameOf(sa.peerHit)} under a key that it has not derived`);
    }
    if (!daemon.knows(sa.peerHit)) {
      this.breach(`${daemon.name}: data for ${this.#nameOf(sa.peerHit)}, which is not configured`);
    }
    const sent = this.#sent.get(message.id);
    if (sent !== undefined && this.#owners.get(sa.peerHit) !== sent.to) {
      this.breach(`${daemon.name}: data for ${sent.to} sealed for ${this.#nameOf(sa.peerHit)}`);
    }
  }

  delivered(daemon: Daemon, from: Hit, message: Message): void {
    const sent = this.#sent.get(message.id);
    if (sent === undefined) {
      this.breach(`${daemon.name}: a message that nobody sent`);
      return;
    }
    if (sent.to !== daemon.name) this.breach(`${daemon.name}: got a message for ${sent.to}`);
    if (this.#owners.get(from) !== sent.from) {
      this.breach(`${daemon.name}: a message of ${sent.from} seems to come from ${this.#nameOf(from)}`);
    }
    if (this.#delivered.has(message.id)) this.breach(`${daemon.name}: message ${message.id} arrived twice`);
    this.#delivered.add(message.id);
    if (sent.message.family !== message.family) {
      this.breach(
        `${daemon.name}: ${sent.message.family} message ${message.id} arrived as ${message.family}`,
      );
    }
  }

  forgetLsis(name: string): void {
    for (const key of this.#lsis.keys()) if (key.startsWith(`${name}/`)) this.#lsis.delete(key);
  }

  /** A packet leaves a host: only HIP, or ESP under a key of that host. */
  transmitted(from: string, packet: Packet): void {
    const { payload, destination } = packet;
    if (payload.kind === "hip") {
      const { asks, echoes } = glance(payload.bytes);
      if (asks !== undefined) this.credit.asks(from, asks, destination);
      if (echoes !== undefined) this.credit.echoes(from, echoes);
    } else if (payload.esp.message.kind !== "probe-reply") this.#spend(from, payload.esp, destination);
    if (payload.kind === "esp" && this.#used.get(payload.esp.key)?.has(payload.esp.sequence) !== true) {
      this.breach(`${from}: sent a message that no SA has sealed`);
    }
    const stranger = this.#strangers.get(destination.address);
    if (stranger === undefined || this.#verified.has(destination.address)) return;
    // What goes there on credit was counted above.
    if (payload.kind === "esp" && payload.esp.message.kind !== "probe-reply") return;
    const what = payload.kind === "hip" ? describe(payload.bytes) : "ESP";
    if (what.startsWith("R1")) stranger.r1s++;
    else if (what.startsWith("UPDATE")) stranger.checks++;
    else stranger.bytesOut += sizeOf(payload);
    if (stranger.checks > CHECKS_PER_CAUSE * stranger.causes)
      this.breach(`${from}: ${destination.address} was asked too often whether anybody is there`);
    if (stranger.r1s > stranger.i1s) this.breach(`${from}: more R1s than I1s for ${destination.address}`);
    if (stranger.bytesOut > stranger.bytesIn) {
      this.breach(`${from}: ${destination.address} got more bytes than it sent, beyond R1s`);
    }
  }

  #spend(from: string, { key, size }: SealedMessage, destination: Endpoint): void {
    const peer = this.#receiver.get(key);
    if (peer === undefined || !this.credit.overdraws(from, peer, destination, size)) return;
    this.breach(`${from}: more than credit went to ${destination.address}, where nobody has answered`);
  }

  /** A packet from an address where nobody is has arrived. */
  strangerHeard(address: string, payload: Packet["payload"]): void {
    const stranger = this.#strangers.get(address) ?? {
      bytesIn: 0,
      bytesOut: 0,
      i1s: 0,
      r1s: 0,
      causes: 0,
      checks: 0,
    };
    this.#strangers.set(address, stranger);
    stranger.bytesIn += sizeOf(payload);
    const what = payload.kind === "hip" ? describe(payload.bytes) : "ESP";
    if (what.startsWith("I1")) stranger.i1s++;
    if (what.startsWith("UPDATE") || what === "ESP") stranger.causes++;
  }

  planeDropped(daemon: Daemon, reason: string): void {
    if (!/^[a-z0-9]+(_[a-z0-9]+)*$/.test(reason))
      this.breach(`${daemon.name}: drop without a proper reason "${reason}"`);
    if (reason === "no_sa") this.breach(`${daemon.name}: a route leads to an SA that is not there`);
  }

  /** Every discarded packet is counted with a reason; every other one has some effect. */
  handled(daemon: Daemon, input: OverlayInput, outputs: readonly OverlayOutput[], now: Instant): void {
    this.inputs++;
    if (input.type === "datagram") {
      const { echoes } = glance(input.bytes);
      if (echoes !== undefined) this.credit.answered(daemon.name, echoes);
    }
    const exchanged = outputs.some(
      (output) => output.type === "event" && output.event.name === "association-established",
    );
    for (const output of outputs) {
      if (exchanged && output.type === "sa-add") this.#exchanged(daemon, output.sa);
      if (output.type === "drop" && !/^[a-z0-9]+(_[a-z0-9]+)*$/.test(output.reason)) {
        this.breach(`${daemon.name}: drop without a proper reason "${output.reason}"`);
      }
    }
    if (input.type === "timeout") this.#examineDeadline(daemon, now);
    // An UPDATE may say what is known, and a NOTIFY that keeps a NAT awake says nothing.
    const silent = input.type === "datagram" && /^(UPDATE|NOTIFY)/.test(describe(input.bytes));
    if (input.type === "datagram" && outputs.length === 0 && !silent) {
      this.breach(`${daemon.name}: ${describe(input.bytes)} vanished without a counted drop`);
    }
  }

  /** What is due at once may be left for one more turn, not for ever. */
  #examineDeadline(daemon: Daemon, now: Instant): void {
    const deadline = daemon.overlay?.deadline();
    const late = deadline !== undefined && deadline.at <= now ? (this.#late.get(daemon.name) ?? 0) + 1 : 0;
    this.#late.set(daemon.name, late);
    if (late > LATE_TURNS) this.breach(`${daemon.name}: the deadline "${deadline?.why}" stays in the past`);
  }

  #exchanged(daemon: Daemon, { peerHit, path }: SaSpec): void {
    this.#verified.add(path.remote.address);
    this.credit.exchanged(daemon.name, peerHit, path.remote);
  }

  /** Tables within their limits; the peer table and the LSIs as they should be. */
  examine(daemon: Daemon): void {
    const { overlay, plane, name } = daemon;
    if (overlay === undefined || plane === undefined) return;
    const { host } = overlay.config;
    const gauges = overlay.host.gauges();
    const limits: readonly (readonly [string, number, number])[] = [
      ["associations", gauges.associations, host.maxAssociations],
      ["jobs", gauges.jobsInFlight, host.maxJobs + 64],
      ["R1s", gauges.r1Generations, MAX_R1S],
      ["held packets", plane.held, HOLD_LIMIT],
      ["LSIs", overlay.lsis.size, overlay.lsis.room],
      ["inbound SAs", plane.inboundSas.length, 3 * host.maxAssociations],
    ];
    for (const [what, size, limit] of limits) {
      if (size > limit) this.breach(`${name}: ${size} ${what}, more than ${limit}`);
    }
    this.#examinePeers(daemon);
  }

  #examinePeers(daemon: Daemon): void {
    const { overlay, plane, name } = daemon;
    if (overlay === undefined || plane === undefined) return;
    const expected = daemon
      .expectedPeers()
      .map((peer) => peer.name)
      .sort()
      .join(" ");
    const actual = [...overlay.peers.all()]
      .map((peer) => peer.config.name)
      .sort()
      .join(" ");
    if (expected !== actual) this.breach(`${name}: peers are "${actual}" instead of "${expected}"`);
    for (const { hit, lsi } of overlay.peers.all()) {
      if (hit === undefined || lsi === undefined) continue;
      const before = this.#lsis.get(`${name}/${hit}`);
      if (before !== undefined && before !== lsi)
        this.breach(`${name}: LSI of ${formatHit(hit)} changed to ${lsi}`);
      this.#lsis.set(`${name}/${hit}`, lsi);
      if (plane.aliases.get(lsi) !== hit) this.breach(`${name}: LSI ${lsi} does not lead to its peer`);
    }
    const outbound = plane.outboundSas.map(({ peerHit }) => peerHit);
    for (const hit of outbound) {
      if (!daemon.knows(hit))
        this.breach(`${name}: an SA is left for ${this.#nameOf(hit)}, which was removed`);
    }
  }

  #nameOf(hit: Hit): string {
    return this.#owners.get(hit) ?? formatHit(hit);
  }
}
