/** The one loop between the pure overlay and its edges. The daemon and the simulator run this same code. */
import { BoundedMap } from "../core/bounded.ts";
import { after, type Hit, type Instant, type Path, unreachable } from "../core/types.ts";
import type { JobId } from "../hip/io.ts";
import type { ControlReply, ControlRequest, OverlayEvent, RequestId } from "../overlay/control.ts";
import type { Counts, OverlayInput, OverlayOutput } from "../overlay/io.ts";
import type { Metrics } from "../overlay/metrics.ts";
import type { Overlay } from "../overlay/overlay.ts";
import type { PeerSample } from "../overlay/peer-metrics.ts";
import type { HandedOverlay } from "../overlay/takeover.ts";
import { checksumValid, withChecksum } from "../wire/packet.ts";
import { EventRing } from "./event-ring.ts";
import type { Alarm, Clock, DataPlane, DataPlaneEvent, JobRunner, Shell } from "./ports.ts";

/** Data plane events per turn; more wait for the next turn, after other work had its chance. */
export const MAX_EVENTS_PER_TURN = 64;
/** Control requests that wait for their answers at once. */
export const MAX_REQUESTS = 1024;
/** How often a driver that stops looks whether everything is closed, in milliseconds. */
const STOP_POLL = 20;

export interface DriverPorts {
  readonly overlay: Overlay;
  readonly plane: DataPlane;
  readonly jobs: JobRunner;
  readonly clock: Clock;
  readonly alarm: Alarm;
  readonly shell: Shell;
}

/** Gets the answers of one request; no more follow when `last` is true. */
export type OnReply = (reply: ControlReply, last: boolean) => void;

export interface DriverMetrics {
  readonly overlay: Metrics;
  readonly plane: Readonly<Record<string, number>>;
  readonly driver: Readonly<Record<string, number>>;
}

/** Requests whose answers show traffic or counters. */
const SHOWS_COUNTS: ReadonlySet<ControlRequest["type"]> = new Set([
  "status",
  "peer-list",
  "peer-show",
  "association-list",
  "association-show",
  "locator-list",
  "counters",
] as const);

type Turn = "network" | "job" | "told";

/** In the order in which somebody waits for them: packets, then what the next packet needs, then operators, files and clients. */
const TURNS: readonly Turn[] = ["network", "job", "told"];

/** Outputs of one turn stay in order. */
function turnOf({ type }: OverlayOutput): Turn {
  if (type === "job") return "job";
  return type === "event" || type === "save" || type === "reply" ? "told" : "network";
}

export class Driver {
  readonly #overlay: Overlay;
  readonly #plane: DataPlane;
  readonly #jobs: JobRunner;
  readonly #clock: Clock;
  readonly #alarm: Alarm;
  readonly #shell: Shell;
  readonly #ring = new EventRing();
  readonly #replies = new BoundedMap<RequestId, OnReply>("requests", MAX_REQUESTS, "refuse");
  readonly #inputs: OverlayInput[] = [];
  /** Answers of jobs that were done at once. They come before other inputs: peers wait for what follows from them. */
  readonly #answers: OverlayInput[] = [];
  readonly #drops = { checksum: 0, no_source: 0 };
  #requestIds = 0;
  #busy = false;
  #draining = false;
  #jobsRunning = 0;
  #turns = 0;
  #stopping: { readonly until: Instant; readonly done: () => void; readonly close: boolean } | undefined;
  #stopped = false;

  constructor(ports: DriverPorts) {
    this.#overlay = ports.overlay;
    this.#plane = ports.plane;
    this.#jobs = ports.jobs;
    this.#clock = ports.clock;
    this.#alarm = ports.alarm;
    this.#shell = ports.shell;
  }

  /** Tells the data plane about the peers and begins to listen. Once. */
  start(): void {
    this.#plane.onReady = () => this.#drain();
    this.#feed({ type: "start" });
    this.#drain();
  }

  /** To be called when the moment given to the alarm has come; earlier or later does no harm. */
  alarmFired(): void {
    this.#feed({ type: "timeout" });
  }

  /**
   * Asks or orders something. Answers come through `onReply`, at once or later; the returned function says that nobody
   * waits for them any more.
   */
  request(request: ControlRequest, onReply: OnReply): () => void {
    if (this.#stopped || this.#stopping !== undefined) {
      onReply({ type: "error", code: "failed", message: "hipd is stopping" }, true);
      return () => undefined;
    }
    if (request.type === "events") return this.#subscribe(request.since, onReply);
    const id = ++this.#requestIds as RequestId;
    if (!this.#replies.set(id, onReply)) {
      const message = `${MAX_REQUESTS} requests wait already; try again later`;
      onReply({ type: "error", code: "failed", message }, true);
      return () => undefined;
    }
    const counts = SHOWS_COUNTS.has(request.type) ? this.#counts() : undefined;
    this.#feed({ type: "request", id, request, counts });
    return () => {
      if (this.#replies.delete(id)) this.#feed({ type: "cancel", id });
    };
  }

  metrics(): DriverMetrics {
    return {
      overlay: this.#overlay.metrics(),
      plane: this.#plane.counters(),
      driver: {
        turns_total: this.#turns,
        drop_checksum_total: this.#drops.checksum,
        drop_no_source_total: this.#drops.no_source,
        requests_waiting: this.#replies.size,
        overflow_requests_total: this.#replies.overflows,
        event_subscribers: this.#ring.subscribers,
        jobs_running: this.#jobsRunning,
      },
    };
  }

  /** What a peer is called; undefined: it is not configured. */
  peerName(hit: Hit): string | undefined {
    return this.#overlay.peers.byHit(hit)?.config.name;
  }

  /** Of the first `limit` peers. */
  peerSamples(limit: number): readonly PeerSample[] {
    return this.#overlay.peerSamples(this.#plane.associations(), limit);
  }

  /**
   * Sends CLOSE to all peers and goes on until each has answered or `timeoutMillis` have passed; then closes the data
   * plane and calls `done`. Afterwards every call does nothing.
   */
  stop(timeoutMillis: number, done: () => void): void {
    if (this.#stopped || this.#stopping !== undefined) return;
    this.#stopping = { until: after(this.#clock.now(), timeoutMillis), done, close: true };
    this.#feed({ type: "shutdown" });
  }

  /**
   * Ends for a successor that goes on with the associations and the data plane. Waits until the jobs that run have ended, at
   * most `timeoutMillis`; then `done` gets what the overlay hands over, and must suspend the data plane before it returns:
   * nothing may change any more. Afterwards every call does nothing.
   */
  handOver(timeoutMillis: number, done: (handed: HandedOverlay) => void): void {
    if (this.#stopped || this.#stopping !== undefined) return;
    const until = after(this.#clock.now(), timeoutMillis);
    this.#stopping = { until, done: () => done(this.#overlay.handOver()), close: false };
    this.#setAlarm();
  }

  #subscribe(since: number | undefined, onReply: OnReply): () => void {
    const cancel = this.#ring.subscribe(since, (event) => onReply({ type: "event", event }, false));
    if (cancel !== undefined) return cancel;
    const message = "too many subscribers to events; end another one first";
    onReply({ type: "error", code: "failed", message }, true);
    return () => undefined;
  }

  #counts(): Counts {
    return {
      traffic: this.#plane.associations(),
      counters: { ...this.#plane.counters(), ...this.metrics().driver },
    };
  }

  /** Takes a bounded number of events from the data plane, and comes back soon when there may be more. */
  #drain(): void {
    if (this.#stopped || this.#draining) return;
    const events = this.#plane.drain(MAX_EVENTS_PER_TURN);
    this.#turns++;
    // One after the other, but one alarm for all.
    for (const event of events) this.#fromPlane(event);
    this.#work();
    if (events.length < MAX_EVENTS_PER_TURN) return;
    this.#draining = true;
    this.#shell.defer(() => {
      this.#draining = false;
      this.#drain();
    });
  }

  #fromPlane(event: DataPlaneEvent): void {
    if (event.type !== "control") {
      this.#inputs.push(event);
      return;
    }
    const { path, bytes } = event;
    // RFC 7401 5.1.1; over UDP the checksum is zero on the wire and UDP's own protects (RFC 9028 5.1).
    if (path.carrier === "none" && !checksumValid(bytes, path.remote.address, path.local.address)) {
      this.#drops.checksum++;
      return;
    }
    this.#inputs.push({ type: "datagram", path, bytes });
  }

  /** Inputs that arise while outputs are carried out wait until those are done: outputs stay in order. */
  #feed(input: OverlayInput, queue = this.#inputs): void {
    if (this.#stopped) return;
    queue.push(input);
    this.#work();
  }

  #work(): void {
    if (this.#stopped || this.#busy) return;
    this.#busy = true;
    const take = (): OverlayInput | undefined => this.#answers.shift() ?? this.#inputs.shift();
    for (let next = take(); next !== undefined; next = take()) {
      const outputs = this.#overlay.handle(next, this.#clock.now(), this.#clock.wall());
      for (const turn of TURNS)
        for (const output of outputs) if (turnOf(output) === turn) this.#execute(output);
    }
    this.#busy = false;
    this.#setAlarm();
  }

  #setAlarm(): void {
    const deadline = this.#overlay.deadline()?.at;
    const stopping = this.#stopping;
    if (stopping === undefined) {
      this.#alarm.set(deadline);
      return;
    }
    const now = this.#clock.now();
    // A running job may be the answer to somebody's CLOSE.
    const waits = stopping.close && this.#overlay.closing;
    if (now >= stopping.until || (!waits && this.#jobsRunning === 0)) {
      this.#stopped = true;
      this.#alarm.set(undefined);
      if (stopping.close) this.#plane.close();
      stopping.done();
      return;
    }
    const poll = Math.min(now + STOP_POLL, stopping.until) as Instant;
    this.#alarm.set(deadline === undefined || deadline > poll ? poll : deadline);
  }

  #execute(output: OverlayOutput): void {
    switch (output.type) {
      case "send":
        this.#send(output.path, output.bytes);
        break;
      case "job":
        this.#jobsRunning++;
        this.#jobs.run(output.job, (result) => this.#jobDone(output.id, result));
        break;
      case "sa-add":
        this.#plane.addSa({ ...output.sa, path: this.#concrete(output.sa.path) ?? output.sa.path });
        break;
      case "sa-path":
        this.#plane.setPath(
          output.peer,
          output.spi,
          this.#concrete(output.path) ?? output.path,
          output.verified,
        );
        break;
      case "sa-drop":
        this.#plane.dropSa(output.spi, output.direction, output.peer);
        break;
      case "route":
        this.#plane.route(output.peer, output.via);
        break;
      case "alias":
        this.#plane.alias(output.lsi, output.peer);
        break;
      case "ping":
        this.#plane.ping(output.localHit, output.peer, output.sequence, output.bytes);
        break;
      case "probe":
        this.#plane.probe(output.peer, output.path, output.token, output.bytes);
        break;
      case "shun":
        this.#plane.shun(output.address, output.millis);
        break;
      case "path-mtu":
        this.#plane.setPathMtu(output.peer, output.mtu);
        break;
      case "poll":
        this.#feed({ type: "traffic", traffic: this.#plane.associations() });
        break;
      case "reply":
        this.#reply(output.id, output.reply, output.last);
        break;
      case "event":
        this.#event(output.event);
        break;
      case "save":
        this.#shell.saveState(output.state);
        break;
      case "persist-peer":
      case "unpersist-peer": {
        const done = (result: Parameters<Parameters<Shell["persistPeer"]>[1]>[0]): void =>
          this.#feed({ type: "persisted", token: output.token, result });
        if (output.type === "persist-peer") this.#shell.persistPeer(output.peer, done);
        else this.#shell.unpersistPeer(output.peer, done);
        break;
      }
      case "identities":
        this.#shell.identities(output.all, output.preferred);
        break;
      case "drop":
        // Counted by the overlay.
        break;
      default:
        unreachable(output);
    }
  }

  #jobDone(id: JobId, result: Parameters<Parameters<JobRunner["run"]>[1]>[0]): void {
    this.#jobsRunning--;
    this.#feed({ type: "job-done", id, result }, this.#answers);
  }

  #send(path: Path, bytes: Uint8Array): void {
    const concrete = this.#concrete(path);
    if (concrete === undefined) {
      this.#drops.no_source++;
      return;
    }
    const { carrier, local, remote } = concrete;
    const sealed = carrier === "none" ? withChecksum(bytes, local.address, remote.address) : bytes;
    this.#plane.send(concrete, sealed);
  }

  /** The path with our own address and port filled in; undefined when no route leads there. */
  #concrete(path: Path): Path | undefined {
    const port = path.carrier === "none" ? 0 : path.local.port || this.#overlay.config.port;
    const address = path.local.address || this.#plane.source(path.remote.address);
    return address === undefined ? undefined : { ...path, local: { address, port } };
  }

  #reply(id: RequestId, reply: ControlReply, last: boolean): void {
    const onReply = this.#replies.get(id);
    if (onReply === undefined) return;
    if (last) this.#replies.delete(id);
    onReply(reply, last);
  }

  #event(event: OverlayEvent): void {
    this.#ring.add(event);
    this.#shell.event(event);
  }
}
