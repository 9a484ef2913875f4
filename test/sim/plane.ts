/** A data plane in memory: routes, SAs, held packets, sequence numbers and replay windows, without a byte of cryptography. */
import { toHex } from "../../src/core/bytes.ts";
import { type Hit, type Lsi, type Path, type Spi, samePath } from "../../src/core/types.ts";
import type { AssociationStats, DataPlane, DataPlaneEvent, Route } from "../../src/driver/ports.ts";
import type { EspKeys } from "../../src/hip/job.ts";
import type { InnerFamily, SaSpec } from "../../src/hip/sa.ts";
import type { EventQueue } from "./clock.ts";
import type { Network, Payload } from "./network.ts";

/** What applications send each other. */
export interface Message {
  readonly id: number;
  readonly kind: "data" | "echo-request" | "echo-reply";
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
  /** Before every use of an outbound key. */
  sealed(sa: SaSpec, key: string, sequence: number, message: Message): void;
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
  sequence: number;
  softRaised: boolean;
}

interface Inbound {
  readonly sa: SaSpec;
  readonly key: string;
  readonly window: Set<number>;
  highest: number;
  first: boolean;
  movedAt: number;
}

interface PeerCounts {
  txPackets: number;
  txBytes: number;
  rxPackets: number;
  rxBytes: number;
  activeAt: number;
}

/** Packets held for one peer. */
export const HOLD_LIMIT = 16;
const REPLAY_WINDOW = 4096;
/** ESP header, IV, padding and ICV over the payload of a BEET packet. */
const ESP_OVERHEAD = 36;
const MISS_INTERVAL = 1000;
const MOVED_INTERVAL = 1000;
/** Hints about unknown SPIs, per second. */
const UNKNOWN_PER_SECOND = 10;

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
  readonly #counts = new Map<Hit, PeerCounts>();
  readonly #drops = new Map<string, number>();
  #events: DataPlaneEvent[] = [];
  #ready = false;
  #closed = false;
  #unknownAt = 0;
  #unknown = 0;

  constructor(options: PlaneOptions) {
    this.#options = options;
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
    return this.#options.addresses.find((address) => address.includes(":") === remote.includes(":"));
  }

  send(path: Path, bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#transmit(path, { kind: "hip", bytes: bytes.slice() });
  }

  addSa(sa: SaSpec): void {
    const key = keyName(sa.suite, sa);
    this.#options.hooks.saAdded(sa);
    if (sa.direction === "out") {
      this.#out.set(outKey(sa.spi, sa.peerHit), { sa, key, path: sa.path, sequence: 0, softRaised: false });
      return;
    }
    const inbound: Inbound = {
      sa,
      key,
      window: new Set(),
      highest: 0,
      first: true,
      movedAt: Number.NEGATIVE_INFINITY,
    };
    this.#in.set(sa.spi, inbound);
    if (sa.lsiSpi !== undefined) this.#lsiSpis.set(sa.lsiSpi, sa.spi);
    this.#countsOf(sa.peerHit).activeAt = this.#options.queue.now;
    if (sa.idleAfter > 0) this.#watchIdle(inbound, sa.idleAfter);
  }

  setPath(peer: Hit, outbound: Spi, path: Path, _verified: boolean): void {
    const one = this.#out.get(outKey(outbound, peer));
    if (one !== undefined) one.path = path;
  }

  probe(_peer: Hit, _path: Path, _token: number, _bytes: number): void {}

  setPathMtu(_peer: Hit, _mtu: number | undefined): void {}

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
    return [...this.#counts].map(([peer, counts]) => ({
      peer,
      outSpi: [...this.#out.values()].find(({ sa }) => sa.peerHit === peer)?.sa.spi,
      inSpi: [...this.#in.values()].find(({ sa }) => sa.peerHit === peer)?.sa.spi,
      txPackets: counts.txPackets,
      txBytes: counts.txBytes,
      rxPackets: counts.rxPackets,
      rxBytes: counts.rxBytes,
      pathMtu: this.#options.network.mtu,
    }));
  }

  counters(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#drops].map(([reason, n]) => [`drop_${reason}_total`, n]));
  }

  close(): void {
    this.#closed = true;
    this.onReady = () => undefined;
  }

  /** An application sends to a HIT or to an LSI. */
  application(to: Hit | Lsi, message: Message): void {
    const peer = to.includes(".") ? this.#aliases.get(to as Lsi) : (to as Hit);
    if (peer === undefined) this.#drop("unknown_destination");
    else this.#sendMessage(peer, message);
  }

  /** A packet arrives from the underlay. */
  receive(path: Path, payload: Payload): void {
    if (this.#closed) return;
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
    const counts = this.#countsOf(sa.peerHit);
    counts.txPackets++;
    counts.txBytes += message.size;
    counts.activeAt = this.#options.queue.now;
    const spi = message.family === "lsi" && sa.lsiSpi !== undefined ? sa.lsiSpi : sa.spi;
    const esp = { spi, sequence, key, message, size: message.size + ESP_OVERHEAD };
    this.#transmit(outbound.path, { kind: "esp", esp });
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
    this.#arrived(sa.peerHit, { ...esp.message, family });
  }

  #opened(inbound: Inbound, path: Path, esp: SealedMessage): void {
    const { sa } = inbound;
    const { now } = this.#options.queue;
    const counts = this.#countsOf(sa.peerHit);
    counts.rxPackets++;
    counts.rxBytes += esp.message.size;
    counts.activeAt = now;
    if (inbound.first) {
      inbound.first = false;
      this.#raise({ type: "esp", spi: sa.spi, event: "first-inbound" });
    }
    if (!samePath(path, sa.path) && now - inbound.movedAt >= MOVED_INTERVAL) {
      inbound.movedAt = now;
      this.#raise({ type: "moved", spi: sa.spi, path });
    }
  }

  #familyOf(sa: SaSpec, underLsi: boolean): InnerFamily {
    if (sa.lsiSpi === undefined) return sa.inboundFamily;
    return underLsi ? "lsi" : "hit";
  }

  #arrived(from: Hit, message: Message): void {
    const rtt = this.#options.queue.now - message.sentAt;
    if (message.kind === "echo-request") this.#sendMessage(from, { ...message, kind: "echo-reply" });
    else if (message.kind === "echo-reply") {
      const rttMicros = Math.round(rtt * 1000);
      this.#raise({ type: "echo-reply", peer: from, sequence: message.sequence, rttMicros });
    } else this.#options.hooks.delivered(from, message);
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
      const due = this.#countsOf(inbound.sa.peerHit).activeAt + idleAfter;
      if (due > queue.now) {
        queue.at(due, look);
        return;
      }
      this.#raise({ type: "esp", spi: inbound.sa.spi, event: "idle" });
      queue.after(idleAfter, look);
    };
    queue.after(idleAfter, look);
  }

  #countsOf(peer: Hit): PeerCounts {
    let counts = this.#counts.get(peer);
    if (counts === undefined) {
      counts = { txPackets: 0, txBytes: 0, rxPackets: 0, rxBytes: 0, activeAt: this.#options.queue.now };
      this.#counts.set(peer, counts);
    }
    return counts;
  }

  #transmit(path: Path, payload: Payload): void {
    const { name, network, addresses, port } = this.#options;
    const address = path.local.address || this.source(path.remote.address);
    if (address === undefined || !addresses.includes(address)) {
      this.#drop("no_source");
      return;
    }
    const source = { address, port: path.carrier === "udp" ? port : 0 };
    network.send(name, { carrier: path.carrier, source, destination: path.remote, payload });
  }

  #raise(event: DataPlaneEvent): void {
    this.#events.push(event);
    if (this.#ready) return;
    this.#ready = true;
    // As in the daemon: the wake-up comes later, never inside a call of the driver.
    this.#options.queue.after(0, () => {
      if (!this.#closed) this.onReady();
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
