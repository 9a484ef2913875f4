import { formatHit, parseHit } from "../core/ip.ts";
import { err, type Hit, ok, type Result } from "../core/types.ts";
import { Driver } from "../driver/driver.ts";
import type { Shell } from "../driver/ports.ts";
import type { ConfigChanges, ControlReply, ControlRequest } from "../overlay/control.ts";
import { Overlay } from "../overlay/overlay.ts";
import type { HandedOverlay } from "../overlay/takeover.ts";
import { Carrier, wrongCarrierPlace } from "./carrier.ts";
import { SystemAlarm, SystemClock } from "./clock.ts";
import { type DaemonConfig, loadConfig, problemText } from "./config-file.ts";
import type { ControlBackend } from "./control-backend.ts";
import type { MetadataView, Problem, ReloadReport } from "./control-convert.ts";
import { ControlServer, freeSocket } from "./control-server.ts";
import { Names, type NamesPlaces, type NamesStatus } from "./dns/names.ts";
import { EventLog } from "./event-log.ts";
import { groupId } from "./files.ts";
import { FlowLog } from "./flow-log.ts";
import { Identities } from "./identities.ts";
import { ensureMainIdentity } from "./identity-store.ts";
import type { Inheritance } from "./inherit.ts";
import { INSTANCE_PLACES, type InstancePlaces } from "./instance.ts";
import { type JobPool, loggedJobs } from "./job-pool.ts";
import type { Log } from "./log.ts";
import type { MetadataPlaces } from "./metadata/poller.ts";
import { MetadataPoller } from "./metadata/poller.ts";
import { MetricsServer } from "./metrics-server.ts";
import { fitting, networkOptions } from "./network-options.ts";
import type { Network, NetworkSystem, PeerSource, SuspendedPlane } from "./network-port.ts";
import { dropPeer, keepPeer } from "./peers-directory.ts";
import { checkMachine, keysOf, loadState, type Prepared, prepare, type StartFailure } from "./prepare.ts";
import { SYSTEM_RANDOM } from "./random.ts";
import { Rehearsal } from "./rehearsal.ts";
import { changedSettings } from "./restart.ts";
import { StateStore } from "./state-store.ts";
import type { ServiceManager } from "./systemd.ts";
import { encodeControl, giveAway } from "./takeover.ts";
import { Watchdog, type Watched } from "./watchdog.ts";

/** Time for peers to answer CLOSE when the daemon stops. */
const CLOSE_MILLIS = 1_500;

/** A restart that was announced comes within this time, in milliseconds. */
const ANNOUNCED_MILLIS = 30_000;

/** Jobs that run may end before associations are handed over; what takes longer begins anew. */
const JOBS_MILLIS = 100;

/** Readiness waits this long at most for the first R1s. */
const FIRST_R1_MILLIS = 2_000;

/** Events after which a peer may be shown another identity than before. */
const SOURCE_EVENTS: ReadonlySet<string> = new Set([
  "peer-added",
  "peer-changed",
  "peer-removed",
  "peer-discovered",
  "config-applied",
  "identity-default",
]);

export interface DaemonOptions {
  /** As loaded from the file; `reload` reads that file again. */
  readonly config: DaemonConfig;
  readonly network: NetworkSystem;
  readonly log: Log;
  readonly service: ServiceManager;
  readonly version: string;
  /** Threads that start while the daemon is put together; it owns them from now on. */
  readonly jobs?: JobPool;
  /** Where the cloud's metadata service is; undefined: it is never asked. */
  readonly metadata?: MetadataPlaces;
  /** What the responder for names needs of the machine; undefined: there is none. */
  readonly names?: NamesPlaces;
  /** Where the machine says which one it is. */
  readonly instance?: InstancePlaces;
  /** What the hipd before handed over. */
  readonly inheritance?: Inheritance | undefined;
}

/** What a daemon is put together from. */
interface Parts {
  readonly network: Network;
  readonly overlay: Overlay;
  readonly state: StateStore;
  readonly inheritance: Inheritance | undefined;
}

export class Daemon implements ControlBackend {
  readonly identities = new Identities(
    () => this.#active,
    (config) => this.#apply(config),
  );
  readonly #log: Log;
  readonly #service: ServiceManager;
  readonly #version: string;
  readonly #network: Network;
  readonly #clock: SystemClock;
  readonly #driver: Driver;
  readonly #jobs: JobPool;
  readonly #rehearsal = new Rehearsal();
  readonly #state: StateStore;
  readonly #r1CounterStart: bigint;
  readonly #metadata: MetadataPoller | undefined;
  readonly #flows: FlowLog | undefined;
  readonly #makeNames: () => Names | undefined;
  #names: Names | undefined;
  #active: Prepared;
  #preferred: Hit;
  #sourcesDue = false;
  #control: ControlServer | undefined;
  #metrics: MetricsServer | undefined;
  #watchdog: Watchdog | undefined;
  #stopping: Promise<void> | undefined;
  #ready = false;
  #takeoverUntil = Number.NEGATIVE_INFINITY;
  /** Where a carrier listens, if the next stop may use one. */
  #carrierSocket: string | undefined;
  #handedOver = false;
  readonly #native: NetworkSystem["service"];
  readonly #carriers: NetworkSystem["carriers"];

  /** Everything up to the point where the control socket answers. On failure nothing is left behind but what guards. */
  static async start(options: DaemonOptions): Promise<Result<Daemon, StartFailure>> {
    const { config, log } = options;
    const failed = (kind: StartFailure["kind"], ...messages: string[]) => err({ kind, messages });
    const group = config.control.group === undefined ? ok(undefined) : groupId(config.control.group);
    if (!group.ok) return failed("config", `[control] group: ${group.error}`);
    // Before anything is touched that a running daemon may use.
    const free = await freeSocket(config.control.socket);
    if (!free.ok) return failed("failed", free.error);
    const state = new StateStore(config.stateDirectory, (message) => log.error("state-not-written", message));
    const opened = state.open();
    if (!opened.ok) return failed("permission", opened.error);
    const checked = checkMachine(config, options.instance ?? INSTANCE_PLACES, log);
    if (!checked.ok) return failed("config", checked.error);
    const made = ensureMainIdentity(config.identity.key);
    if (!made.ok) return failed("permission", made.error);
    if (made.value !== undefined) {
      const { hit, file, algorithm } = made.value;
      log.info("identity-created", "made this host's identity", { hit: formatHit(hit), algorithm, file });
    }
    const counter = state.nextR1Counter(Date.now());
    if (!counter.ok) return failed("permission", counter.error);
    const prepared = prepare(config, counter.value);
    if (!prepared.ok) return prepared;
    const saved = loadState(state, log);
    if (!saved.ok) return failed("failed", saved.error);
    const make = (handed: HandedOverlay | undefined): ReturnType<typeof Overlay.create> =>
      Overlay.create({
        config: prepared.value.overlay,
        facts: { version: options.version, interface: config.network.interface },
        saved: saved.value,
        random: SYSTEM_RANDOM,
        handed,
      });
    let overlay = make(options.inheritance?.control.overlay);
    if (!overlay.ok) return failed("config", `${config.file}: ${overlay.error}`);
    const wanted = networkOptions(prepared.value, overlay.value, log);
    const inheritance = fitting(options.inheritance, options.network, wanted, log);
    if (inheritance !== options.inheritance) overlay = make(undefined);
    if (!overlay.ok) return failed("config", `${config.file}: ${overlay.error}`);
    const network = options.network.open({
      ...wanted,
      ...(inheritance === undefined ? {} : { inherited: inheritance.plane }),
    });
    if (!network.ok) {
      return failed(network.error.kind === "permission" ? "permission" : "failed", network.error.message);
    }
    const parts = { network: network.value, overlay: overlay.value, state, inheritance };
    const daemon = new Daemon(options, prepared.value, parts, counter.value);
    const serving = await daemon.#serve(group.value);
    if (!serving.ok) {
      await daemon.stop();
      return failed("failed", serving.error);
    }
    // "Ready" means that an I1 is answered: the first R1s are those of the preferred group, one for each carrier.
    await daemon.#jobs.ran(2 * prepared.value.identities.length, FIRST_R1_MILLIS);
    const rehearsed = daemon.#rehearse();
    // Peers of a predecessor have their associations; nobody waits for an exchange.
    if (inheritance === undefined) await rehearsed;
    daemon.#ready = true;
    return ok(daemon);
  }

  private constructor(
    options: DaemonOptions,
    prepared: Prepared,
    { network, overlay, state, inheritance }: Parts,
    r1CounterStart: bigint,
  ) {
    this.#log = options.log;
    this.#service = options.service;
    this.#version = options.version;
    this.#network = network;
    this.#native = options.network.service;
    this.#carriers = options.network.carriers;
    this.#state = state;
    this.#r1CounterStart = r1CounterStart;
    this.#active = prepared;
    this.#preferred = prepared.overlay.defaultIdentity;
    this.#jobs = options.jobs ?? loggedJobs(options.log);
    this.#jobs.setIdentities([...keysOf(prepared), ...this.#rehearsal.identities]);
    const clock = new SystemClock(undefined, inheritance?.control);
    this.#clock = clock;
    const alarm = new SystemAlarm(clock);
    const events = new EventLog(this.#log);
    const shell: Shell = {
      saveState: (saved) => this.#state.save(saved),
      persistPeer: (peer, done) => done(keepPeer(this.#active.config.peersDirectory, peer)),
      unpersistPeer: (peer, done) => done(dropPeer(peer)),
      event: (event) => {
        events.add(event, clock.now());
        if (SOURCE_EVENTS.has(event.name)) {
          this.#sourcesChanged();
          this.#names?.changed();
        }
        this.#service.status(() => this.statusText());
      },
      identities: (all, preferred) => this.#setIdentities(all, preferred),
      defer: (task) => void setImmediate(task),
    };
    this.#driver = new Driver({ overlay, plane: network.plane, jobs: this.#jobs, clock, alarm, shell });
    alarm.onFire = () => this.#driver.alarmFired();
    this.#driver.start();
    this.#flows = network.flows && new FlowLog(network.flows, this.#log, (hit) => this.#driver.peerName(hit));
    this.#flows?.configure(prepared.config.log);
    this.#sourcesChanged();
    if (options.metadata !== undefined) {
      this.#metadata = new MetadataPoller(options.metadata, this.#log, (facts) =>
        this.#driver.request({ type: "cloud", facts }, () => undefined),
      );
      this.#metadata.configure(prepared.config.metadata);
    }
    const { names: places } = options;
    this.#makeNames = () =>
      places &&
      new Names({
        config: this.#active.config,
        log: this.#log,
        places,
        lsi: overlay.ownLsi,
        hits: () => this.#active.overlay.identities.map(({ hit }) => formatHit(hit)),
        request: (request, reply) => void this.#driver.request(request, reply),
      });
  }

  /** Resolves when the code of an exchange is no longer new. */
  #rehearse(): Promise<void> {
    const begun = performance.now();
    return this.#rehearsal.start({
      host: this.#active.overlay.host,
      jobs: this.#jobs,
      idle: () => this.#jobs.counters().job_queue_depth === 0,
      finished: (exchanges) => {
        this.#jobs.setIdentities(keysOf(this.#active));
        const millis = Math.round(performance.now() - begun);
        this.#log.debug("rehearsed", "the code of an exchange is compiled", { exchanges, millis });
      },
    });
  }

  /** Many peers may change at once; their routes follow together. */
  #sourcesChanged(): void {
    if (this.#sourcesDue || this.#network.setSources === undefined) return;
    this.#sourcesDue = true;
    setImmediate(() => {
      this.#sourcesDue = false;
      if (this.#stopping === undefined)
        this.#driver.request({ type: "peer-list" }, (reply) => this.#setSources(reply));
    });
  }

  #setSources(reply: ControlReply): void {
    if (reply.type !== "peers") return;
    const preferred = formatHit(this.#preferred);
    const all = this.#active.config.network.hitRoutes === "peers";
    const sources = reply.peers.flatMap((peer): PeerSource[] => {
      const routed = all || peer.identity !== preferred;
      const hit = peer.hit === null || !routed ? undefined : parseHit(peer.hit);
      const local = parseHit(peer.identity);
      return hit?.ok && local.ok ? [{ peer: hit.value, local: local.value }] : [];
    });
    try {
      this.#network.setSources?.(sources);
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.error("routes-not-set", "the routes of single peers could not be changed", { reason });
    }
  }

  #setIdentities(all: readonly Hit[], preferred: Hit): void {
    this.#preferred = preferred;
    this.#sourcesChanged();
    try {
      this.#network.setIdentities(all, preferred);
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.error("addresses-not-set", "the addresses of the interface could not be changed", { reason });
    }
  }

  async #serve(group: number | undefined): Promise<Result<undefined, string>> {
    const { config } = this.#active;
    const control = await ControlServer.listen(config.control.socket, group, this);
    if (!control.ok) return control;
    this.#control = control.value;
    if (config.metrics.listen !== undefined) {
      const metrics = await MetricsServer.listen(config.metrics.listen, {
        page: () => this.#metricsPage(),
        healthy: () => this.#stopping === undefined,
      });
      if (!metrics.ok) return metrics;
      this.#metrics = metrics.value;
    }
    this.#names = this.#makeNames();
    const patience = this.#service.watchdogMillis;
    if (patience !== undefined) this.#watchdog = new Watchdog(this.#watched(), patience);
    return ok(undefined);
  }

  #watched(): Watched {
    return {
      turn: (answered) => void this.#driver.request({ type: "version" }, answered),
      stalled: (millis) => this.#network.stalled?.(millis) ?? 0,
      feed: () => this.#service.notify("WATCHDOG"),
      complain: (reason) =>
        this.#log.error("watchdog-hungry", "hipd hangs; the service manager will start it again", { reason }),
    };
  }

  #page: Promise<import("./metrics-server.ts").MetricsPage> | undefined;

  #metricsPage(): Promise<import("./metrics-server.ts").MetricsPage> {
    this.#page ??= import("./metrics-page.ts").then(({ createMetricsPage }) =>
      createMetricsPage(() => ({
        driver: this.#driver.metrics(),
        jobs: { ...this.#jobs.counters() },
        metadata: { ...this.#metadata?.counters() },
        names: this.#names?.counters() ?? {},
        peers: this.#driver.peerSamples(this.#active.config.metrics.peerSeries),
        version: this.#version,
        stateWriteFailures: this.#state.failures,
      })),
    );
    return this.#page;
  }

  /** Memory that other threads do not need is freed. */
  tidy(): void {
    this.#jobs.tidy();
  }

  /** For "systemctl status". */
  statusText(): string {
    const { peers, peersUp } = this.#driver.metrics().overlay;
    return `${formatHit(this.#preferred)}, ${peersUp} of ${peers} peers up`;
  }

  /** For the log line that says that all is well. */
  summary(): Readonly<Record<string, string | number>> {
    const { config, overlay } = this.#active;
    return {
      hit: formatHit(overlay.defaultIdentity),
      interface: config.network.interface,
      port: config.network.port,
      peers: overlay.peers.length,
      socket: config.control.socket,
    };
  }

  /** The port of /metrics, when there is one. */
  get metricsPort(): number | undefined {
    return this.#metrics?.port;
  }

  request(request: ControlRequest, reply: (reply: ControlReply, last: boolean) => void): () => void {
    return this.#driver.request(request, reply);
  }

  get ready(): boolean {
    return this.#ready && this.#stopping === undefined;
  }

  get carrier(): "udp" | "none" {
    return this.#active.config.network.carrier;
  }

  names(): Promise<NamesStatus> | undefined {
    return this.#names?.status();
  }

  metadata(): MetadataView | undefined {
    return this.#metadata?.view();
  }

  announceTakeover(carrier?: string): Result<{ readonly seconds: number }, Problem> {
    const wrong = carrier === undefined ? undefined : wrongCarrierPlace(carrier);
    if (wrong !== undefined) return err({ code: "invalid", message: wrong });
    if (!this.#service.present || this.#native === undefined || this.#network.suspend === undefined) {
      const message = "no service manager keeps what this hipd would hand over";
      return err({ code: "failed", message });
    }
    this.#takeoverUntil = performance.now() + ANNOUNCED_MILLIS;
    this.#carrierSocket = carrier;
    return ok({ seconds: ANNOUNCED_MILLIS / 1000 });
  }

  /** Reads the file again and applies the differences; anything wrong in it changes nothing. */
  reload(): Result<ReloadReport, Problem> {
    this.#service.notify("RELOADING");
    const report = this.#reload();
    this.#service.notify("READY", this.statusText());
    if (report.ok) {
      const { needsRestart, ...applied } = report.value;
      this.#log.info("reloaded", "reloaded the configuration", { ...applied });
      if (needsRestart.length > 0) {
        this.#log.warn("restart-needed", "some settings take effect only after a restart", {
          settings: needsRestart,
        });
      }
    } else {
      for (const line of report.error.message.split("\n")) {
        this.#log.error("reload-refused", `nothing was changed: ${line}`);
      }
    }
    return report;
  }

  #reload(): Result<ReloadReport, Problem> {
    const loaded = loadConfig(this.#active.config.file, this.#active.config.instance);
    if (!loaded.ok) return err({ code: "config", message: loaded.error.map(problemText).join("\n") });
    const before = this.#active.config;
    const applied = this.#apply(loaded.value);
    if (!applied.ok) return applied;
    this.#log.setLevel(loaded.value.log.level);
    return ok({ ...applied.value, needsRestart: changedSettings(before, loaded.value) });
  }

  /** Settings that need a restart stay as they are. */
  #apply(config: DaemonConfig): Result<ConfigChanges, Problem> {
    const running = this.#active.config;
    const mixed: DaemonConfig = {
      ...config,
      network: { ...running.network, carrier: config.network.carrier },
      control: running.control,
      dns: { ...config.dns, listen: running.dns.listen },
      metrics: running.metrics,
      log: { ...config.log, format: running.log.format },
      stateDirectory: running.stateDirectory,
    };
    const prepared = prepare(mixed, this.#r1CounterStart);
    if (!prepared.ok) return err({ code: "config", message: prepared.error.messages.join("\n") });
    const former = this.#active;
    this.#jobs.setIdentities(keysOf(prepared.value));
    this.#active = prepared.value;
    let reply: ControlReply | undefined;
    this.#driver.request({ type: "configure", config: prepared.value.overlay }, (answer) => {
      reply = answer;
    });
    if (reply?.type === "configured") {
      this.#metadata?.configure(prepared.value.config.metadata);
      this.#names?.configure(prepared.value.config);
      this.#flows?.configure(prepared.value.config.log);
      return ok(reply.changes);
    }
    this.#jobs.setIdentities(keysOf(former));
    this.#active = former;
    const message = reply?.type === "error" ? reply.message : "the new configuration was not taken";
    return err({ code: "config", message: `${config.file}: ${message}` });
  }

  /**
   * CLOSE to all peers, then everything down: takes at most two seconds. Or, when a restart was announced, everything that a
   * successor needs into the store of the service manager, within a few milliseconds; then the process must end at once.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#service.notify("STOPPING");
    this.#rehearsal.stop();
    this.#metadata?.stop();
    this.#flows?.stop();
    const handsOver = performance.now() < this.#takeoverUntil;
    await this.#names?.stop(handsOver);
    if (handsOver) {
      await this.#handOver();
      return;
    }
    await new Promise<void>((resolve) => this.#driver.stop(CLOSE_MILLIS, resolve));
    this.#watchdog?.stop();
    this.#control?.close();
    this.#metrics?.close();
    await Promise.all([this.#jobs.close(), this.#state.flush()]);
  }

  /** Whether the last stop was a take-over: then nothing is left to wait for. */
  get handedOver(): boolean {
    return this.#handedOver;
  }

  async #handOver(): Promise<void> {
    const native = this.#native as NonNullable<NetworkSystem["service"]>;
    // Everything slow happens while packets still flow.
    this.#control?.close();
    this.#metrics?.close();
    await this.#state.flush();
    const carrier = this.#reachCarrier();
    await new Promise<void>((resolve) =>
      this.#driver.handOver(JOBS_MILLIS, (overlay) => {
        try {
          const control = {
            version: this.#version,
            now: this.#clock.now(),
            boot: this.#clock.boot(),
            overlay,
          };
          const answer = giveAway(this.#service, native, {
            control: encodeControl(control),
            suspend: () => this.#suspended(),
            carrier,
          });
          this.#handedOver = true;
          if (answer !== undefined && answer.type !== "carrying")
            this.#notCarried(answer.type === "refused" ? answer.reason : "the carrier does not answer");
        } catch (error) {
          const reason = (error as Error).message;
          this.#log.error("takeover-failed", "associations could not be handed over; they are made anew", {
            reason,
          });
          this.#network.plane.close();
        }
        carrier?.close();
        resolve();
      }),
    );
  }

  #reachCarrier(): Carrier | undefined {
    if (this.#carrierSocket === undefined || this.#carriers === undefined) return undefined;
    const reached = Carrier.reach(this.#carriers, this.#carrierSocket, this.#version);
    if (!reached.ok) this.#notCarried(reached.error);
    return reached.ok ? reached.value : undefined;
  }

  #notCarried(reason: string): void {
    this.#log.warn("not-carried", "packets wait for the next hipd: no carrier goes on with them", { reason });
  }

  #suspended(): SuspendedPlane {
    const suspended = this.#network.suspend?.();
    if (suspended === undefined) throw new Error("the data plane has ended");
    return suspended;
  }
}
