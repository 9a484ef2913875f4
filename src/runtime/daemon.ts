import { formatHit } from "../core/ip.ts";
import { err, ok, type Result } from "../core/types.ts";
import { Driver } from "../driver/driver.ts";
import type { Shell } from "../driver/ports.ts";
import type { ControlReply, ControlRequest } from "../overlay/control.ts";
import { Overlay } from "../overlay/overlay.ts";
import type { HandedOverlay } from "../overlay/takeover.ts";
import { SystemAlarm, SystemClock } from "./clock.ts";
import type { DaemonConfig } from "./config-file.ts";
import type { ControlBackend } from "./control-backend.ts";
import type { MetadataView, Problem, ReloadReport } from "./control-convert.ts";
import { ControlServer, freeSocket } from "./control-server.ts";
import { Names, type NamesPlaces, type NamesStatus } from "./dns/names.ts";
import { EventLog } from "./event-log.ts";
import { groupId } from "./files.ts";
import { FlowLog } from "./flow-log.ts";
import { Identities } from "./identities.ts";
import type { Inheritance } from "./inherit.ts";
import { INSTANCE_PLACES, type InstancePlaces } from "./instance.ts";
import { type JobPool, loggedJobs } from "./job-pool.ts";
import type { Log } from "./log.ts";
import type { MetadataPlaces } from "./metadata/poller.ts";
import { MetadataPoller } from "./metadata/poller.ts";
import { type MetricsPage, MetricsServer } from "./metrics-server.ts";
import { fitting, networkOptions } from "./network-options.ts";
import type { Network, NetworkSystem } from "./network-port.ts";
import { dropPeer, keepPeer } from "./peers-directory.ts";
import { type Found, keysOf, ownKey, type Prepared, prepareStart, type StartFailure } from "./prepare.ts";
import { SYSTEM_RANDOM } from "./random.ts";
import { Rehearsal } from "./rehearsal.ts";
import { logReload, RunningConfig } from "./running-config.ts";
import { ShortJobs } from "./short-jobs.ts";
import { SourceAddresses } from "./source-addresses.ts";
import type { StateStore } from "./state-store.ts";
import { Succession } from "./succession.ts";
import type { ServiceManager } from "./systemd.ts";
import { Watchdog, type Watched } from "./watchdog.ts";

/** Time for peers to answer CLOSE when the daemon stops. */
const CLOSE_MILLIS = 1_500;

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
  /** Gives the process another nice value, when a reload says so. */
  readonly goAhead?: (nice: number) => void;
}

/** What a daemon is put together from. */
interface Parts extends Found {
  readonly network: Network;
  readonly overlay: Overlay;
  readonly inheritance: Inheritance | undefined;
}

export class Daemon implements ControlBackend {
  readonly identities = new Identities(
    () => this.#active,
    (config) => this.#running.apply(config),
  );
  readonly #log: Log;
  readonly #service: ServiceManager;
  readonly #version: string;
  readonly #network: Network;
  readonly #driver: Driver;
  readonly #threads: JobPool;
  readonly #jobs: ShortJobs;
  readonly #rehearsal = new Rehearsal();
  readonly #state: StateStore;
  readonly #running: RunningConfig;
  readonly #addresses: SourceAddresses;
  readonly #succession: Succession;
  readonly #metadata: MetadataPoller | undefined;
  readonly #flows: FlowLog | undefined;
  readonly #makeNames: () => Names | undefined;
  #names: Names | undefined;
  #control: ControlServer | undefined;
  #metrics: MetricsServer | undefined;
  #watchdog: Watchdog | undefined;
  #stopping: Promise<void> | undefined;
  #ready = false;

  /** Everything up to the point where the control socket answers. On failure nothing is left behind but what guards. */
  static async start(options: DaemonOptions): Promise<Result<Daemon, StartFailure>> {
    const { config, log } = options;
    const failed = (kind: StartFailure["kind"], ...messages: string[]) => err({ kind, messages });
    const group = config.control.group === undefined ? ok(undefined) : groupId(config.control.group);
    if (!group.ok) return failed("config", `[control] group: ${group.error}`);
    // Before anything is touched that a running daemon may use.
    const free = await freeSocket(config.control.socket);
    if (!free.ok) return failed("failed", free.error);
    const found = prepareStart(config, options.instance ?? INSTANCE_PLACES, log);
    if (!found.ok) return found;
    const { prepared, saved } = found.value;
    const make = (handed: HandedOverlay | undefined): ReturnType<typeof Overlay.create> =>
      Overlay.create({
        config: prepared.overlay,
        facts: { version: options.version, interface: config.network.interface },
        saved,
        random: SYSTEM_RANDOM,
        handed,
      });
    let overlay = make(options.inheritance?.control.overlay);
    if (!overlay.ok) return failed("config", `${config.file}: ${overlay.error}`);
    const wanted = networkOptions(prepared, overlay.value, log);
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
    const parts = { ...found.value, network: network.value, overlay: overlay.value, inheritance };
    const daemon = new Daemon(options, parts);
    const serving = await daemon.#serve(group.value);
    if (!serving.ok) {
      await daemon.stop();
      return failed("failed", serving.error);
    }
    // "Ready" means that an I1 is answered: the first R1s are those of the preferred group, one for each carrier.
    await daemon.#threads.ran(2 * prepared.identities.length, FIRST_R1_MILLIS);
    // Peers of a predecessor have their associations; their packets need the processors now.
    const hurry = inheritance === undefined;
    const rehearsed = daemon.#rehearse(hurry);
    if (hurry) await rehearsed;
    daemon.#ready = true;
    return ok(daemon);
  }

  private constructor(options: DaemonOptions, parts: Parts) {
    const { prepared, r1CounterStart, state, network, overlay, inheritance } = parts;
    this.#log = options.log;
    this.#service = options.service;
    this.#version = options.version;
    this.#network = network;
    this.#state = state;
    this.#threads = options.jobs ?? loggedJobs(options.log);
    this.#jobs = new ShortJobs(this.#threads);
    this.#jobs.setIdentities([...keysOf(prepared), ...this.#rehearsal.identities]);
    this.#running = new RunningConfig({
      prepared,
      r1CounterStart,
      log: this.#log,
      jobs: this.#jobs,
      configure: (request, answer) => void this.#driver.request(request, answer),
      applied: (config, former) => {
        this.#metadata?.configure(config.metadata);
        this.#names?.configure(config);
        this.#flows?.configure(config.log);
        const { nice } = config.network;
        if (nice !== former.network.nice) options.goAhead?.(nice);
      },
    });
    this.#addresses = new SourceAddresses({
      network,
      log: this.#log,
      preferred: prepared.overlay.defaultIdentity,
      everyPeer: prepared.config.network.hitRoutes === "peers",
      listPeers: (listed) => void this.#driver.request({ type: "peer-list" }, listed),
    });
    const clock = new SystemClock(undefined, inheritance?.control);
    const { log, service, version, network: system } = options;
    this.#succession = new Succession({ system, network, service, clock, log, version });
    const alarm = new SystemAlarm(clock);
    const events = new EventLog(this.#log);
    const shell: Shell = {
      saveState: (saved) => this.#state.save(saved),
      persistPeer: (peer, done) => done(keepPeer(this.#active.config.peersDirectory, peer)),
      unpersistPeer: (peer, done) => done(dropPeer(peer)),
      event: (event) => {
        events.add(event, clock.now());
        if (SOURCE_EVENTS.has(event.name)) {
          this.#addresses.peersChanged();
          this.#names?.changed();
        }
        this.#service.status(() => this.statusText());
      },
      identities: (all, preferred) => this.#addresses.setIdentities(all, preferred),
      defer: (task) => void setImmediate(task),
    };
    this.#driver = new Driver({ overlay, plane: network.plane, jobs: this.#jobs, clock, alarm, shell });
    alarm.onFire = () => this.#driver.alarmFired();
    this.#driver.start();
    this.#flows = network.flows && new FlowLog(network.flows, this.#log, (hit) => this.#driver.peerName(hit));
    this.#flows?.configure(prepared.config.log);
    this.#addresses.peersChanged();
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

  get #active(): Prepared {
    return this.#running.active;
  }

  /** Resolves when the code of an exchange is no longer new. */
  #rehearse(hurry: boolean): Promise<void> {
    const begun = performance.now();
    return this.#rehearsal.start({
      host: this.#active.overlay.host,
      first: this.#jobs.rehearsal(ownKey(this.#active)),
      jobs: this.#threads,
      idle: () => this.#threads.counters().job_queue_depth === 0,
      hurry,
      finished: (exchanges) => {
        this.#jobs.setIdentities(keysOf(this.#active));
        const millis = Math.round(performance.now() - begun);
        this.#log.debug("rehearsed", "the code of an exchange is compiled", { exchanges, millis });
      },
    });
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

  #page: Promise<MetricsPage> | undefined;

  #metricsPage(): Promise<MetricsPage> {
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
    this.#threads.tidy();
  }

  /** For "systemctl status". */
  statusText(): string {
    const { peers, peersUp } = this.#driver.metrics().overlay;
    return `${formatHit(this.#addresses.preferred)}, ${peersUp} of ${peers} peers up`;
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
    return this.#succession.announce(carrier);
  }

  /** Reads the file again and applies the differences; anything wrong in it changes nothing. */
  reload(): Result<ReloadReport, Problem> {
    this.#service.notify("RELOADING");
    const report = this.#running.reload();
    this.#service.notify("READY", this.statusText());
    logReload(this.#log, report);
    return report;
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
    this.#addresses.stop();
    this.#rehearsal.stop();
    this.#metadata?.stop();
    this.#flows?.stop();
    const handsOver = this.#succession.announced;
    await this.#names?.stop(handsOver);
    if (handsOver) {
      // Everything slow happens while packets still flow.
      this.#control?.close();
      this.#metrics?.close();
      await this.#state.flush();
      await this.#succession.handOver(this.#driver);
      return;
    }
    await new Promise<void>((resolve) => this.#driver.stop(CLOSE_MILLIS, resolve));
    this.#watchdog?.stop();
    this.#control?.close();
    this.#metrics?.close();
    await Promise.all([this.#threads.close(), this.#state.flush()]);
  }

  /** Whether the last stop was a take-over: then nothing is left to wait for. */
  get handedOver(): boolean {
    return this.#succession.handedOver;
  }
}
