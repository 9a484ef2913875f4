/** A data plane in memory: routes, SAs, held packets, sequence numbers and replay windows, without a byte of cryptography. */

import { RateLimit } from "../../src/core/bounded.ts";
import { toHex } from "../../src/core/bytes.ts";
import {
  endpointText,
  type Hit,
  type Instant,
  type Lsi,
  type Path,
  type Spi,
  sameEndpoint,
} from "../../src/core/types.ts";
import type { AssociationStats, DataPlane, DataPlaneEvent, Route } from "../../src/driver/ports.ts";
import type { EspKeys } from "../../src/hip/job.ts";
import type { InnerFamily, SaSpec } from "../../src/hip/sa.ts";
import type { LocalAddress } from "../../src/overlay/own-locators.ts";
import type { EventQueue } from "./clock.ts";
import { type Network, OVERHEAD, type Payload } from "./network.ts";
import { PeerLedger } from "./peer-ledger.ts";

/** What applications send each other. */
export interface Message {
  readonly id: number;
  readonly kind: "data" | "echo-request" | "echo-reply" | "probe" | "probe-reply";
  readonly family: InnerFamily;
  readonly size: number;
  readonly sequence: number;
  /** World time of the first sending; echo replies carry the request's. */
  readonly sentAt: number;
}

/** A message as ESP carries it. Only who has the same key can open it. */
export interface SealedMessage {
  readonly spi: Spi;
  readonly sequence: number;
  readonly key: string;
  readonly message: Message;
  /** Bytes on the wire behind the UDP header. */
  readonly size: number;
}

/** What the world wants to know of a data plane. */
export interface PlaneHooks {
  saAdded(sa: SaSpec): void;
  shunned(address: string): void;
  /** Before every use of an outbound key. */
  sealed(sa: SaSpec, key: string, sequence: number, message: Message): void;
  /** A packet was opened: its sender has its keys. */
  opened(sa: SaSpec, size: number): void;
  delivered(from: Hit, message: Message): void;
  rejected(peer: Hit, message: Message): void;
  dropped(reason: string): void;
}

export interface PlaneOptions {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly port: number;
  readonly queue: EventQueue;
  readonly network: Network;
  readonly hooks: PlaneHooks;
}

interface Outbound {
  readonly sa: SaSpec;
  readonly key: string;
  path: Path;
  verified: boolean;
  sequence: number;
  softRaised: boolean;
}

interface Inbound {
  readonly sa: SaSpec;
  readonly key: string;
  /** Where the peer's packets should come from. */
  path: Path;
  readonly window: Set<number>;
  highest: number;
  first: boolean;
  /** How often it may be said that packets come from elsewhere. */
  readonly moved: RateLimit;
}

/** Packets held for one peer. */
export const HOLD_LIMIT = 16;
const REPLAY_WINDOW = 4096;
/** ESP header, IV, padding and ICV over the payload of a BEET packet. */
const ESP_OVERHEAD = 36;
const MISS_INTERVAL = 1000;
const MOVED_PER_SECOND = 1;
const MOVED_BURST = 3;
/** Hints about unknown SPIs, per second. */
const UNKNOWN_PER_SECOND = 10;
/** Milliseconds without an answer after which a peer is silent. */
const SILENT_AFTER = 500;
/** Of an interface. */
const LINK_MTU = 1500;
/** Probes that wait for their reply. */
const PROBES = 256;

export class MemoryPlane implements DataPlane {
  onReady: () => void = () => undefined;
  readonly #options: PlaneOptions;
  readonly #routes = new Map<Hit, Route>();
  readonly #held = new Map<Hit, Message[]>();
  readonly #missAt = new Map<Hit, number>();
  readonly #out = new Map<string, Outbound>();
  readonly #in = new Map<Spi, Inbound>();
  readonly #lsiSpis = new Map<Spi, Spi>();
  readonly #aliases = new Map<Lsi, Hit>();
  readonly #ledgers = new Map<Hit, PeerLedger>();
  readonly #probes = new Map<
    number,
    { readonly peer: Hit; readonly token: number; readonly bytes: number }
  >();
  /** Downward: messages of applications count upward. */
  #probeIds = 0;
  /** What the kernel learned by ICMP, by destination. */
  readonly #kernelMtu = new Map<string, number>();
  #addresses: readonly string[];
  #frozen = false;
  readonly #drops = new Map<string, number>();
  #events: DataPlaneEvent[] = [];
  #ready = false;
  #closed = false;
  #unknownAt = 0;
  #unknown = 0;

  constructor(options: PlaneOptions) {
    this.#options = options;
    this.#addresses = options.addresses;
  }

  get held(): number {
    let most = 0;
    for (const messages of this.#held.values()) most = Math.max(most, messages.length);
    return most;
  }

  get inboundSas(): readonly SaSpec[] {
    return [...this.#in.values()].map(({ sa }) => sa);
  }

  get outboundSas(): readonly SaSpec[] {
    return [...this.#out.values()].map(({ sa }) => sa);
  }

  get aliases(): ReadonlyMap<Lsi, Hit> {
    return this.#aliases;
  }

  routeOf(peer: Hit): Route {
    return this.#routes.get(peer) ?? "unknown";
  }

  source(remote: string): string | undefined {
    return this.#addresses.find((address) => address.includes(":") === remote.includes(":"));
  }

  send(path: Path, bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#transmit(path, { kind: "hip", bytes: bytes.slice() });
  }

  addSa(sa: SaSpec): void {
    const key = keyName(sa.suite, sa);
    this.#options.hooks.saAdded(sa);
    if (sa.direction === "out") {
      this.#out.set(outKey(sa.spi, sa.peerHit), {
        sa,
        key,
        path: sa.path,
        // Unless `setPath` says otherwise: the exchange has verified it.
        verified: true,
        sequence: 0,
        softRaised: false,
      });
      return;
    }
    const inbound: Inbound = {
      sa,
      key,
      path: sa.path,
      window: new Set(),
      highest: 0,
      first: true,
      moved: new RateLimit(MOVED_PER_SECOND, MOVED_BURST),
    };
    this.#in.set(sa.spi, inbound);
    if (sa.lsiSpi !== undefined) this.#lsiSpis.set(sa.lsiSpi, sa.spi);
    this.#ledger(sa.peerHit).activeAt = this.#options.queue.now;
    if (sa.idleAfter > 0) this.#watchIdle(inbound, sa.idleAfter);
  }

  setPath(peer: Hit, outbound: Spi, path: Path, verified: boolean): void {
    const one = this.#out.get(outKey(outbound, peer));
    if (one === undefined) return;
    const { now } = this.#options.queue;
    if (!sameEndpoint(one.path.remote, path.remote))
      this.#ledger(peer).left(endpointText(one.path.remote), now);
    one.path = path;
    one.verified = verified;
    for (const inbound of this.#in.values()) if (inbound.sa.peerHit === peer) inbound.path = path;
  }

  probe(peer: Hit, path: Path, token: number, bytes: number): void {
    const via = this.#routes.get(peer);
    const outbound = typeof via === "number" ? this.#out.get(outKey(via, peer)) : undefined;
    if (outbound === undefined) {
      this.#drop("no_peer");
      return;
    }
    const id = --this.#probeIds;
    const { now } = this.#options.queue;
    this.#probes.set(id, { peer, token, bytes: bytes || this.#mtuTo(peer, path) });
    if (this.#probes.size > PROBES) this.#probes.delete(this.#probes.keys().next().value as number);
    const size = Math.max((bytes || this.#mtuTo(peer, path)) - OVERHEAD - ESP_OVERHEAD, 24);
    const message = { id, kind: "probe", family: "hit", size, sequence: token, sentAt: now } as const;
    this.#sealAlong(outbound, path, message);
  }

  shun(address: string): void {
    this.#options.hooks.shunned(address);
  }

  setPathMtu(peer: Hit, mtu: number | undefined): void {
    this.#ledger(peer).pathMtu = mtu;
  }

  dropSa(spi: Spi, direction: "in" | "out", peer: Hit): void {
    if (direction === "out") {
      this.#out.delete(outKey(spi, peer));
      return;
    }
    const inbound = this.#in.get(spi);
    if (inbound === undefined) return;
    this.#in.delete(spi);
    if (inbound.sa.lsiSpi !== undefined) this.#lsiSpis.delete(inbound.sa.lsiSpi);
  }

  route(peer: Hit, via: Route): void {
    if (via === "unknown") this.#routes.delete(peer);
    else this.#routes.set(peer, via);
    const held = this.#held.get(peer) ?? [];
    if (via === "demand") {
      // The first packet of each episode raises a miss.
      this.#missAt.delete(peer);
      return;
    }
    this.#held.delete(peer);
    for (const message of held) this.#sendMessage(peer, message);
  }

  alias(lsi: Lsi, peer: Hit | undefined): void {
    if (peer === undefined) this.#aliases.delete(lsi);
    else this.#aliases.set(lsi, peer);
  }

  ping(_localHit: Hit, peer: Hit, sequence: number, bytes: number): void {
    const sentAt = this.#options.queue.now;
    this.#sendMessage(peer, { id: 0, kind: "echo-request", family: "hit", size: bytes, sequence, sentAt });
  }

  drain(max: number): readonly DataPlaneEvent[] {
    const events = this.#events.slice(0, max);
    this.#events = this.#events.slice(max);
    this.#ready = false;
    return events;
  }

  associations(): readonly AssociationStats[] {
    return [...this.#ledgers].map(([peer, counts]) => ({
      peer,
      outSpi: [...this.#out.values()].find(({ sa }) => sa.peerHit === peer)?.sa.spi,
      inSpi: [...this.#in.values()].find(({ sa }) => sa.peerHit === peer)?.sa.spi,
      txPackets: counts.txPackets,
      txBytes: counts.txBytes,
      rxPackets: counts.rxPackets,
      rxBytes: counts.rxBytes,
      pathMtu: counts.pathMtu ?? LINK_MTU,
    }));
  }

  counters(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#drops].map(([reason, n]) => [`drop_${reason}_total`, n]));
  }

  close(): void {
    this.#closed = true;
    this.onReady = () => undefined;
  }

  /** The machine has other addresses now. The kernel knows at once. */
  readdress(addresses: readonly string[]): void {
    this.#addresses = addresses;
  }

  /** The kernel tells about its addresses, sooner or later. */
  announce(local: readonly LocalAddress[]): void {
    this.#raise({ type: "addresses", local });
  }

  /** ICMP: packets to this destination must be smaller. */
  tooBig(destination: string, mtu: number): void {
    this.#kernelMtu.set(destination, mtu);
  }

  /** The machine sleeps, or wakes. */
  freeze(frozen: boolean): void {
    this.#frozen = frozen;
    if (!frozen && this.#events.length > 0) this.#wakeUp();
  }

  /** An application sends to a HIT or to an LSI. */
  application(to: Hit | Lsi, message: Message): void {
    const peer = to.includes(".") ? this.#aliases.get(to as Lsi) : (to as Hit);
    if (peer === undefined) this.#drop("unknown_destination");
    else this.#sendMessage(peer, message);
  }

  /** A packet arrives from the underlay. */
  receive(path: Path, payload: Payload): void {
    if (this.#closed || this.#frozen) return;
    if (path.carrier === "udp" && path.local.port !== this.#options.port) {
      this.#drop("port");
      return;
    }
    if (payload.kind === "hip") this.#raise({ type: "control", path, bytes: payload.bytes });
    else this.#open(path, payload.esp);
  }

  #sendMessage(peer: Hit, message: Message): void {
    const via = this.#routes.get(peer) ?? "unknown";
    if (via === "unknown" || via === "reject") {
      this.#drop(via === "unknown" ? "no_peer" : "unreachable");
      this.#options.hooks.rejected(peer, message);
      return;
    }
    if (via === "demand") {
      this.#hold(peer, message);
      return;
    }
    const outbound = this.#out.get(outKey(via, peer));
    if (outbound === undefined) this.#drop("no_sa");
    else this.#seal(outbound, message);
  }

  #hold(peer: Hit, message: Message): void {
    const held = this.#held.get(peer) ?? [];
    this.#held.set(peer, held);
    if (held.length >= HOLD_LIMIT) {
      held.shift();
      this.#drop("hold_full");
    }
    held.push(message);
    const { now } = this.#options.queue;
    if (now - (this.#missAt.get(peer) ?? Number.NEGATIVE_INFINITY) < MISS_INTERVAL) return;
    this.#missAt.set(peer, now);
    this.#raise({ type: "miss", peer });
  }

  #seal(outbound: Outbound, message: Message): void {
    const { sa, path } = outbound;
    const size = message.size + ESP_OVERHEAD;
    if (size + OVERHEAD > this.#mtuTo(sa.peerHit, path)) {
      this.#drop("too_big");
      this.#options.hooks.rejected(sa.peerHit, message);
      return;
    }
    const ledger = this.#ledger(sa.peerHit);
    if (!outbound.verified && !ledger.spend(size, this.#options.queue.now)) {
      this.#drop("credit");
      return;
    }
    this.#sealAlong(outbound, path, message);
  }

  #sealAlong(outbound: Outbound, path: Path, message: Message): void {
    const { sa, key } = outbound;
    if (outbound.sequence >= 2 * sa.softPackets) {
      this.#drop("sa_exhausted");
      return;
    }
    const sequence = ++outbound.sequence;
    this.#options.hooks.sealed(sa, key, sequence, message);
    if (sequence >= sa.softPackets && !outbound.softRaised) {
      outbound.softRaised = true;
      this.#raise({ type: "esp", spi: sa.spi, event: "soft-expiry" });
    }
    const { now } = this.#options.queue;
    const ledger = this.#ledger(sa.peerHit);
    if (message.kind !== "probe" && message.kind !== "probe-reply") {
      ledger.sent(message.size);
      ledger.activeAt = now;
      // Probes say for themselves when nothing comes back.
      if (ledger.awaits(now)) this.#listen(sa.peerHit);
    }
    const spi = message.family === "lsi" && sa.lsiSpi !== undefined ? sa.lsiSpi : sa.spi;
    const esp = { spi, sequence, key, message, size: message.size + ESP_OVERHEAD };
    this.#transmit(path, { kind: "esp", esp });
  }

  /** Looks again when an answer should have come. */
  #listen(peer: Hit): void {
    const { queue } = this.#options;
    const ledger = this.#ledger(peer);
    ledger.listening = true;
    const look = (): void => {
      if (this.#closed) return;
      const silence = ledger.silence(queue.now, SILENT_AFTER);
      if (silence === undefined) {
        ledger.listening = false;
        return;
      }
      if (silence.raise) this.#raise({ type: "silent", peer, millis: Math.round(silence.millis) });
      queue.after(silence.again, look);
    };
    queue.after(SILENT_AFTER, look);
  }

  #mtuTo(peer: Hit, path: Path): number {
    return this.#ledger(peer).pathMtu ?? this.#kernelMtu.get(path.remote.address) ?? LINK_MTU;
  }

  #open(path: Path, esp: SealedMessage): void {
    const underLsi = this.#lsiSpis.get(esp.spi);
    const inbound = this.#in.get(underLsi ?? esp.spi);
    if (inbound === undefined) {
      this.#drop("unknown_spi");
      this.#unknownSpi(esp.spi, path);
      return;
    }
    if (inbound.key !== esp.key) {
      this.#drop("esp_authentication");
      return;
    }
    const { sa, window } = inbound;
    if (esp.sequence + REPLAY_WINDOW <= inbound.highest || window.has(esp.sequence)) {
      this.#drop("replay");
      return;
    }
    window.add(esp.sequence);
    inbound.highest = Math.max(inbound.highest, esp.sequence);
    this.#opened(inbound, path, esp);
    const family = this.#familyOf(sa, underLsi !== undefined);
    this.#arrived(inbound, path, { ...esp.message, family });
  }

  #opened(inbound: Inbound, path: Path, esp: SealedMessage): void {
    const { sa } = inbound;
    const { now } = this.#options.queue;
    const { message, size } = esp;
    this.#options.hooks.opened(sa, size);
    const ledger = this.#ledger(sa.peerHit);
    // A probe keeps no association alive, and comes along any path.
    const probe = message.kind === "probe" || message.kind === "probe-reply";
    const expected = path.carrier === inbound.path.carrier && sameEndpoint(path.remote, inbound.path.remote);
    ledger.earned(size, now);
    if (expected || !probe) ledger.heard();
    if (inbound.first) {
      inbound.first = false;
      this.#raise({ type: "esp", spi: sa.spi, event: "first-inbound" });
    }
    if (probe) return;
    ledger.received(message.size);
    ledger.activeAt = now;
    if (expected) {
      ledger.followed = true;
      return;
    }
    // The peer may not know yet that we went elsewhere, or finish what it had begun to send. But where it had followed,
    // what is newer than all that came shows that it is back.
    const back = ledger.followed && esp.sequence >= inbound.highest;
    if (!back && ledger.hasLeft(endpointText(path.remote), now)) return;
    if (!inbound.moved.take(now as Instant)) return;
    this.#raise({ type: "moved", spi: sa.spi, path });
  }

  #familyOf(sa: SaSpec, underLsi: boolean): InnerFamily {
    if (sa.lsiSpi === undefined) return sa.inboundFamily;
    return underLsi ? "lsi" : "hit";
  }

  #arrived({ sa }: Inbound, path: Path, message: Message): void {
    const from = sa.peerHit;
    const rtt = this.#options.queue.now - message.sentAt;
    const rttMicros = Math.round(rtt * 1000);
    switch (message.kind) {
      case "data":
        this.#options.hooks.delivered(from, message);
        break;
      case "echo-request":
        this.#sendMessage(from, { ...message, kind: "echo-reply" });
        break;
      case "echo-reply":
        this.#raise({ type: "echo-reply", peer: from, sequence: message.sequence, rttMicros });
        break;
      case "probe":
        this.#answerProbe(from, path, message);
        break;
      case "probe-reply": {
        const probe = this.#probes.get(message.id);
        if (probe?.peer !== from || !this.#probes.delete(message.id)) break;
        this.#raise({ type: "probe-reply", peer: from, token: probe.token, rttMicros, bytes: probe.bytes });
      }
    }
  }

  /** Shortly, and to where the probe came from: never more than was received. */
  #answerProbe(peer: Hit, path: Path, message: Message): void {
    const via = this.#routes.get(peer);
    const outbound = typeof via === "number" ? this.#out.get(outKey(via, peer)) : undefined;
    if (outbound === undefined) this.#drop("no_peer");
    else this.#sealAlong(outbound, path, { ...message, kind: "probe-reply", size: 24 });
  }

  #unknownSpi(spi: Spi, path: Path): void {
    const second = Math.floor(this.#options.queue.now / 1000);
    if (second !== this.#unknownAt) {
      this.#unknownAt = second;
      this.#unknown = 0;
    }
    if (++this.#unknown <= UNKNOWN_PER_SECOND) this.#raise({ type: "unknown-spi", spi, path });
  }

  #watchIdle(inbound: Inbound, idleAfter: number): void {
    const { queue } = this.#options;
    const look = (): void => {
      if (this.#closed || this.#in.get(inbound.sa.spi) !== inbound) return;
      const due = this.#ledger(inbound.sa.peerHit).activeAt + idleAfter;
      if (due > queue.now) {
        queue.at(due, look);
        return;
      }
      this.#raise({ type: "esp", spi: inbound.sa.spi, event: "idle" });
      queue.after(idleAfter, look);
    };
    queue.after(idleAfter, look);
  }

  #ledger(peer: Hit): PeerLedger {
    let ledger = this.#ledgers.get(peer);
    if (ledger === undefined) {
      ledger = new PeerLedger(this.#options.queue.now);
      this.#ledgers.set(peer, ledger);
    }
    return ledger;
  }

  #transmit(path: Path, payload: Payload): void {
    const { name, network, port } = this.#options;
    const address = path.local.address || this.source(path.remote.address);
    if (address === undefined || !this.#addresses.includes(address)) {
      this.#drop("no_source");
      return;
    }
    const source = { address, port: path.carrier === "udp" ? port : 0 };
    network.send(name, { carrier: path.carrier, source, destination: path.remote, payload });
  }

  #raise(event: DataPlaneEvent): void {
    this.#events.push(event);
    this.#wakeUp();
  }

  #wakeUp(): void {
    if (this.#ready || this.#frozen) return;
    this.#ready = true;
    // As in the daemon: the wake-up comes later, never inside a call of the driver.
    this.#options.queue.after(0, () => {
      if (this.#frozen) this.#ready = false;
      else if (!this.#closed) this.onReady();
    });
  }

  #drop(reason: string): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1);
    this.#options.hooks.dropped(reason);
  }
}

/** One text for one set of ESP keys. */
export function keyName(suite: number, keys: EspKeys): string {
  return `${suite}:${toHex(keys.encryptionKey)}${toHex(keys.integrityKey)}`;
}

function outKey(spi: number, peer: Hit): string {
  return `${peer}/${spi}`;
}
