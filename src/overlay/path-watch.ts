/** Between the path monitor and the rest: what the data plane raises goes in, what the protocol should know comes out. */
import { type Deadline, earliest, type Hit, type Instant, type Path } from "../core/types.ts";
import type { HostInput, PathDetails } from "../hip/io.ts";
import { Activity } from "./activity.ts";
import { DEFAULT_LOCATORS, type OverlayConfig } from "./config.ts";
import type { Traffic } from "./control.ts";
import type { AnyEventDetail, AnyEventName } from "./event-catalogue.ts";
import type { OverlayOutput } from "./io.ts";
import type { PathQuality } from "./locator-views.ts";
import { type MonitorOutput, PathMonitor } from "./path-monitor.ts";
import type { PeerTable } from "./peers.ts";

/** What this needs from the overlay. */
export interface PathWatchPort {
  readonly config: OverlayConfig;
  readonly peers: PeerTable;
  readonly now: Instant;
  run(input: HostInput): void;
  emit(output: OverlayOutput): void;
  event<N extends AnyEventName>(name: N, hit: Hit | undefined, detail: AnyEventDetail<N>): void;
  /** The pair in use first; empty without an association. */
  pathsOf(peer: Hit): readonly PathDetails[];
}

export class PathWatch {
  readonly #port: PathWatchPort;
  readonly #monitor: PathMonitor;
  readonly #activity = new Activity();

  constructor(port: PathWatchPort) {
    this.#port = port;
    this.#monitor = new PathMonitor(() => port.config.locators ?? DEFAULT_LOCATORS);
  }

  deadline(): Deadline | undefined {
    return earliest(this.#monitor.deadline(), this.#activity.deadline());
  }

  tick(): void {
    const { now } = this.#port;
    this.#carry(this.#monitor.tick(now));
    if (this.#activity.due(now)) this.#port.emit({ type: "poll" });
  }

  /** There is an association: its traffic is looked at. */
  usable(): void {
    this.#activity.start(this.#port.now);
  }

  /** The paths to a peer changed. */
  changed(peer: Hit): void {
    this.#carry(this.#monitor.paths(peer, this.#port.pathsOf(peer), this.#port.now));
  }

  imposed(): readonly (readonly [Hit, number])[] {
    return this.#monitor.imposed();
  }

  inherit(peer: Hit, mtu: number): void {
    this.#monitor.inherit(peer, mtu);
  }

  silent(peer: Hit, millis: number): void {
    this.#carry(this.#monitor.silent(peer, millis, this.#port.now));
  }

  probeReply(reply: { peer: Hit; token: number; rttMicros: number; bytes: number }): void {
    const { peer, token, rttMicros, bytes } = reply;
    this.#carry(this.#monitor.probeReply(peer, token, rttMicros, bytes, this.#port.now));
  }

  traffic(traffic: readonly Traffic[]): void {
    const usable = (peer: Hit): boolean => typeof this.#port.peers.byHit(peer)?.via === "number";
    const { sent, active } = this.#activity.look(traffic, usable, this.#port.now);
    if (sent.length > 0) this.#port.run({ type: "sent", peers: sent });
    for (const peer of active) this.#carry(this.#monitor.active(peer, this.#port.now));
  }

  quality(peer: Hit, path: Path): PathQuality | undefined {
    return this.#monitor.quality(peer, path);
  }

  get size(): number {
    return this.#monitor.size;
  }

  #carry(outputs: readonly MonitorOutput[]): void {
    for (const output of outputs) {
      if (output.type === "path-down" || output.type === "path-rtt") this.#port.run(output);
      else if (output.type === "event") this.#port.event(output.name, output.peer, output.detail);
      else this.#port.emit(output);
    }
  }
}
