/** The C++ data plane in native/, in the shape of the `DataPlane` port. */
import { formatIp, hitBytes, type Prefix, parseIp } from "../core/ip.ts";
import type { Hit, Lsi, Path, Spi } from "../core/types.ts";
import type { AssociationStats, DataPlane, DataPlaneEvent, Route } from "../driver/ports.ts";
import type { SaSpec } from "../hip/sa.ts";
import type { LocalAddress } from "../overlay/own-locators.ts";
import { addon, type Begun } from "./early.ts";
import type { Addon, Handle } from "./native-addon.ts";
import { decodeFlows, type FlowRecord } from "./native-flows.ts";
import { bytesOf, decodeAssociations, decodeEvents, encodePath, parseAddresses } from "./native-records.ts";
import type { SuspendedPlane } from "./network-port.ts";
import { OFFLOADS, type Offload } from "./offloads.ts";
import { Pace } from "./pace.ts";

/** What seals and opens packets: our own kernels, Intel's library, or the OpenSSL inside Node. */
export type Aead = "auto" | "builtin" | "ipsec-mb" | "openssl";

/** One line about something that an administrator should know. */
export type NativeLog = (level: "info" | "warn", message: string) => void;

export interface NativePlaneOptions {
  readonly interface: string;
  /** Of the overlay interface; the packets of each peer are also held to their path's. */
  readonly mtu: number;
  readonly port: number;
  /** Fail when HIP and ESP cannot also be carried as IP protocols 139 and 50. Else raw sockets are opened when a path needs them. */
  readonly raw: boolean;
  /** Data threads, 1 by default. */
  readonly workers?: number;
  /** The AEAD back-end: the fastest, or this one when it works here. */
  readonly aead?: Aead;
  readonly ownLsi: Lsi;
  readonly lsiPrefix: Prefix;
  readonly log?: NativeLog;
  /** Each is used where the kernel has it. Default: all. */
  readonly offloads?: readonly Offload[];
  /** How long a worker looks for packets before it sleeps: less latency for a busy processor. Default 0. */
  readonly busyPollMicros?: number;
  /** How long nothing may come back from a peer that packets go to before `silent` is raised. Default 500. */
  readonly silentMillis?: number;
}

/** With which options a resumed plane runs: those of the plane that was suspended. */
export type ResumedOptions = Required<Omit<NativePlaneOptions, "log">>;

/** In native/addon.cc. */
const OFFLOAD_BIT: Readonly<Record<Offload, number>> = { tso: 1, uso: 2, gso: 4, gro: 8 };

const BUFFER_LENGTH = 256 * 1024;
const MODE = { unknown: 0, demand: 1, reject: 2, send: 3 } as const;
const NOTHING = new Uint8Array(0);
const SILENT_MILLIS = 500;

/**
 * The data plane of a running daemon. Needs CAP_NET_ADMIN and, for raw carriers, CAP_NET_RAW. One for each overlay interface.
 * After `close` every call does nothing.
 */
export class NativePlane implements DataPlane {
  readonly #native: Addon;
  readonly #log: NativeLog;
  readonly #buffer = new Uint8Array(BUFFER_LENGTH);
  readonly #pace = new Pace(() => this.#ready());
  #handle: Handle | undefined;
  #suspended: Handle | undefined;
  #onReady: (() => void) | undefined;
  /** Events came before anybody listened. */
  #missed = false;
  /** SAs that did not fit: keys of a wrong length, a reserved SPI, or more than the tables take. */
  #refusedSas = 0;

  private constructor(
    log: NativeLog | undefined,
    begin: (native: Addon, notify: () => void) => readonly [Handle, ...string[]],
  ) {
    this.#native = addon();
    this.#log = log ?? (() => {});
    const [handle, ...notes] = begin(this.#native, () => this.#pace.ring());
    this.#handle = handle;
    for (const note of notes) this.#log("warn", note);
    this.#log("info", `packets are sealed by ${this.#native.cipher(handle)}`);
  }

  /**
   * Opens or takes over the TUN device, opens the sockets and starts the threads. The interface is not up yet: see network.ts.
   * @throws Error in words for an administrator.
   */
  static open(options: NativePlaneOptions): NativePlane {
    const wanted = options.offloads ?? OFFLOADS;
    const plane = new NativePlane(options.log, (native, notify) =>
      native.open(
        options.interface,
        options.mtu,
        options.port,
        options.raw,
        options.workers ?? 1,
        bytesOf(options.ownLsi),
        options.lsiPrefix.bytes,
        options.lsiPrefix.length,
        notify,
        wanted.reduce((mask, name) => mask | OFFLOAD_BIT[name], 0),
        options.busyPollMicros ?? 0,
        options.aead ?? "auto",
        options.silentMillis ?? SILENT_MILLIS,
      ),
    );
    plane.#tellOffloads(wanted, options.busyPollMicros ?? 0);
    return plane;
  }

  /**
   * Goes on where another plane was suspended, in this process or another one: with its options, tables, TUN device and sockets. The
   * threads run at once; events wait until `onReady` is set. The descriptors belong to the plane from now on. Each suspended plane may
   * be resumed once only: two would repeat sequence numbers under the same keys.
   * @throws Error when the blob is damaged or of another format, or a descriptor is not what it should be. Then nothing has changed, and
   * the descriptors are still the caller's.
   */
  static resume(suspended: SuspendedPlane, log?: NativeLog): NativePlane {
    const { blob, tunFds, udpFds } = suspended;
    const plane = new NativePlane(log, (native, notify) => native.resume(blob, tunFds, udpFds, notify));
    plane.#tellResumed();
    return plane;
  }

  /** A data plane that runs already, from early.ts. */
  static adopt({ plane: begun, onEvents }: Begun, log?: NativeLog): NativePlane {
    const plane = new NativePlane(log, (_native, notify) => {
      onEvents(notify);
      return begun;
    });
    plane.#tellResumed();
    return plane;
  }

  #ready(): void {
    if (this.#handle === undefined) return;
    if (this.#onReady === undefined) this.#missed = true;
    else this.#onReady();
  }

  #tellResumed(): void {
    const { offloads, busyPollMicros } = this.resumedOptions() as ResumedOptions;
    this.#tellOffloads(offloads, busyPollMicros);
  }

  #tellOffloads(wanted: readonly Offload[], busyPollMicros: number): void {
    const counters = this.counters();
    const used = OFFLOADS.filter((name) => counters[`offload_${name}`] === 1);
    this.#log("info", `the data plane uses the offloads ${used.join(", ") || "none"}`);
    for (const name of OFFLOADS) {
      if (used.includes(name)) continue;
      const why = wanted.includes(name) ? "the kernel does not have it" : "the configuration leaves it out";
      this.#log("info", `the data plane does without the offload ${name}: ${why}`);
    }
    if (busyPollMicros > 0) {
      this.#log("info", `data threads look for packets for ${busyPollMicros} us before they sleep`);
    }
  }

  /**
   * Stops all threads and gives away everything that a successor needs to go on. Events that nobody has drained travel along; packets
   * that wait for an exchange are lost. Afterwards every call but `close` does nothing; `close` leaves what was given away open.
   * Undefined when it is closed already.
   * @throws Error when the process has no descriptors left; then the plane goes on.
   */
  suspend(): SuspendedPlane | undefined {
    if (this.#handle === undefined) return undefined;
    const [blob, tunFds, udpFds] = this.#native.suspend(this.#handle);
    this.#suspended = this.#handle;
    this.#handle = undefined;
    return { blob, tunFds, udpFds };
  }

  /** The options that it runs with, whoever gave them. Undefined when it is closed. */
  resumedOptions(): ResumedOptions | undefined {
    if (this.#handle === undefined) return undefined;
    const [name, mtu, port, raw, workers, ownLsi, bytes, length, mask, busyPollMicros, aead, silentMillis] =
      this.#native.resumedOptions(this.#handle);
    return {
      interface: name,
      mtu,
      port,
      raw,
      workers,
      aead: aead as Aead,
      ownLsi: formatIp(ownLsi) as Lsi,
      lsiPrefix: { bytes, length },
      offloads: OFFLOADS.filter((one) => (mask & OFFLOAD_BIT[one]) !== 0),
      busyPollMicros,
      silentMillis,
    };
  }

  /** For how many microseconds nobody served the TUN device and the sockets before it was resumed; 0 for a new plane. */
  gapMicros(): number {
    return this.#handle === undefined ? 0 : this.#native.resumedOptions(this.#handle)[12];
  }

  /** How many data threads have been busy with what they found in one look at their sockets for longer than `millis`. For a watchdog. */
  stalled(millis: number): number {
    return this.#handle === undefined ? 0 : this.#native.stalled(this.#handle, millis);
  }

  get onReady(): () => void {
    return this.#onReady ?? (() => {});
  }

  set onReady(listener: () => void) {
    this.#onReady = listener;
    if (this.#missed) queueMicrotask(() => this.#onReady?.());
    this.#missed = false;
  }

  source(remote: string): string | undefined {
    const bytes = parseIp(remote);
    if (bytes === undefined) return undefined;
    const local = this.#native.source(bytes);
    return local.length === 0 ? undefined : formatIp(local);
  }

  send(path: Path, bytes: Uint8Array): void {
    const record = encodePath(path);
    if (this.#handle !== undefined && record !== undefined) this.#native.send(this.#handle, record, bytes);
  }

  addSa(sa: SaSpec): void {
    const record = encodePath(sa.path);
    if (this.#handle === undefined) return;
    const result =
      record === undefined
        ? 2
        : this.#native.addSa(
            this.#handle,
            sa.direction === "in",
            sa.spi,
            sa.lsiSpi ?? 0,
            sa.suite,
            sa.encryptionKey,
            sa.integrityKey,
            hitBytes(sa.localHit),
            hitBytes(sa.peerHit),
            record,
            sa.inboundFamily === "lsi",
            sa.softPackets,
            sa.idleAfter,
          );
    if (result >= 2) {
      this.#refusedSas++;
      const why = result === 2 ? "its keys or its SPI do not fit its suite" : "too many SAs";
      this.#log("warn", `${sa.direction}bound SA ${sa.spi} was not installed: ${why}`);
    }
  }

  setPath(peer: Hit, outbound: Spi, path: Path, verified: boolean): void {
    const record = encodePath(path);
    if (this.#handle === undefined || record === undefined) return;
    this.#native.setPath(this.#handle, outbound, hitBytes(peer), record, verified);
  }

  probe(peer: Hit, path: Path, token: number, bytes: number): void {
    const record = encodePath(path);
    if (this.#handle === undefined || record === undefined) return;
    this.#native.probe(this.#handle, hitBytes(peer), record, token, bytes);
  }

  setPathMtu(peer: Hit, mtu: number | undefined): void {
    if (this.#handle !== undefined) this.#native.setPathMtu(this.#handle, hitBytes(peer), mtu ?? 0);
  }

  shun(address: string, millis: number): void {
    if (this.#handle !== undefined) this.#native.shun(this.#handle, bytesOf(address), millis);
  }

  dropSa(spi: Spi, direction: "in" | "out", peer: Hit): void {
    if (this.#handle !== undefined)
      this.#native.dropSa(this.#handle, spi, direction === "in", hitBytes(peer));
  }

  route(peer: Hit, via: Route): void {
    if (this.#handle === undefined) return;
    const bytes = hitBytes(peer);
    if (typeof via === "number") this.#native.route(this.#handle, bytes, MODE.send, via);
    else this.#native.route(this.#handle, bytes, MODE[via], 0);
  }

  alias(lsi: Lsi, peer: Hit | undefined): void {
    if (this.#handle === undefined) return;
    this.#native.alias(this.#handle, bytesOf(lsi), peer === undefined ? NOTHING : hitBytes(peer));
  }

  ping(localHit: Hit, peer: Hit, sequence: number, bytes: number): void {
    if (this.#handle === undefined) return;
    this.#native.ping(this.#handle, hitBytes(localHit), hitBytes(peer), sequence, bytes);
  }

  drain(max: number): readonly DataPlaneEvent[] {
    if (this.#handle === undefined) return [];
    const length = this.#native.drain(this.#handle, this.#buffer, max);
    return decodeEvents(this.#buffer.subarray(0, length), (note) => this.#log("warn", note));
  }

  associations(): readonly AssociationStats[] {
    return this.#handle === undefined ? [] : decodeAssociations(this.#native.associations(this.#handle));
  }

  counters(): Readonly<Record<string, number>> {
    if (this.#handle === undefined) return {};
    const counters = this.#native.counters(this.#handle);
    counters["sa_refused_total"] = this.#refusedSas;
    return counters;
  }

  /** Counts one of `sample` flows from now on; 0: none. */
  logFlows(sample: number): void {
    if (this.#handle !== undefined) this.#native.logFlows(this.#handle, sample);
  }

  /** Flows that ended or rest, at most `max` (4096); with `all` every one. */
  takeFlows(max: number, all: boolean): readonly FlowRecord[] {
    return this.#handle === undefined ? [] : decodeFlows(this.#native.takeFlows(this.#handle, max, all));
  }

  /** The host's own underlay addresses, as the latest `addresses` event has told or will tell. */
  addresses(): readonly LocalAddress[] {
    return this.#handle === undefined ? [] : parseAddresses(this.#native.addresses(this.#handle));
  }

  close(): void {
    const handle = this.#handle ?? this.#suspended;
    this.#pace.stop();
    if (handle === undefined) return;
    this.#native.close(handle);
    this.#handle = undefined;
    this.#suspended = undefined;
  }
}
