/** One simulated machine: a whole daemon (driver, overlay, host) with its disk, clock and applications. */
import type { Prefix } from "../../src/core/ip.ts";
import { type Hit, type Instant, type Lsi, ok, type Path } from "../../src/core/types.ts";
import type { Identity } from "../../src/crypto/identity.ts";
import { Driver, type OnReply } from "../../src/driver/driver.ts";
import type { HostConfig } from "../../src/hip/config.ts";
import type { OverlayConfig, PeerConfig } from "../../src/overlay/config.ts";
import type { ControlReply, ControlRequest, OverlayEvent } from "../../src/overlay/control.ts";
import { Overlay } from "../../src/overlay/overlay.ts";
import type { LocalAddress } from "../../src/overlay/own-locators.ts";
import type { SavedState } from "../../src/overlay/state.ts";
import type { HandedOverlay } from "../../src/overlay/takeover.ts";
import type { Cancel, EventQueue } from "./clock.ts";
import type { Invariants } from "./invariants.ts";
import { SimJobs } from "./jobs.ts";
import type { Network, Payload, Station } from "./network.ts";
import { MemoryPlane, type Message } from "./plane.ts";
import type { SeededRandom } from "./random.ts";
import type { Trace } from "./trace.ts";

/** What a machine is, for as long as the world lives. */
export interface Machine {
  readonly name: string;
  readonly identities: readonly Identity[];
  /** Underlay addresses on its own interfaces, where its peers' configurations look for it. */
  readonly addresses: readonly string[];
  /** All addresses that it may have some day. */
  readonly pool?: readonly string[];
  /** Whether its kernel tells of addresses. */
  readonly mobile?: boolean;
  readonly port: number;
  readonly behindNat: boolean;
  readonly lsiPrefix: Prefix;
  readonly host: HostConfig;
}

/** What the world gives to each of its machines. */
export interface Surroundings {
  readonly queue: EventQueue;
  readonly network: Network;
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly invariants: Invariants;
  /** Mean time of a crypto job in milliseconds. */
  readonly jobDelay: () => number;
  readonly delivered: (to: Daemon, from: Hit, message: Message) => void;
}

/** 2030-01-01, where the worlds begin. */
const EPOCH = 1_893_456_000_000;
/** A request must have its last answer this long after its own limit, in milliseconds. */
const REQUEST_SLACK = 1000;
/** Alarms that ring too early, to show that it does no harm. */
const EARLY_ALARMS = 0.03;

/** Handovers are counted by how long they took, in milliseconds. */
const GAPS: readonly number[] = [0, 50, 200, 1000, 5000, 30_000];
/** What the kernel needs at most to tell of a change, in milliseconds. */
const KERNEL_DELAY = 20;

export class Daemon implements Station {
  readonly machine: Machine;
  readonly #world: Surroundings;
  #addresses: readonly string[];
  #announcing = false;
  /** What waits for the end of a sleep; undefined: the machine is awake. */
  #dreams: (() => void)[] | undefined;
  #asleepAt = 0;
  /** The configuration file, peers.d, and what was changed at run time. */
  filePeers: readonly PeerConfig[] = [];
  keptPeers: readonly PeerConfig[] = [];
  #runtimePeers: PeerConfig[] = [];
  readonly #hidden = new Set<string>();
  /** The wall clock's error in milliseconds. */
  wallError = 0;
  overlay: Overlay | undefined;
  plane: MemoryPlane | undefined;
  readonly events: OverlayEvent[] = [];
  #driver: Driver | undefined;
  #saved: SavedState | undefined;
  #bootedAt = 0;
  #boots = 0;
  #cancelAlarm: Cancel | undefined;
  #alarmAt: number | undefined;
  readonly #open = new Map<number, { readonly text: string; readonly until: number }>();
  #requests = 0;

  constructor(machine: Machine, world: Surroundings) {
    this.machine = machine;
    this.#world = world;
    this.#addresses = machine.addresses;
    for (const { hit } of machine.identities) world.invariants.own(hit, machine.name);
  }

  /** Its underlay addresses at the moment. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get asleep(): boolean {
    return this.#dreams !== undefined;
  }

  get name(): string {
    return this.machine.name;
  }

  get hit(): Hit {
    return (this.machine.identities[0] as Identity).hit;
  }

  get running(): boolean {
    return this.#driver !== undefined;
  }

  owns(hit: Hit): boolean {
    return this.machine.identities.some((identity) => identity.hit === hit);
  }

  /** The model: which peers should be in use. */
  expectedPeers(): readonly PeerConfig[] {
    const fromDisk = [...this.filePeers, ...this.keptPeers].filter(({ name }) => !this.#hidden.has(name));
    return [...fromDisk, ...this.#runtimePeers];
  }

  knows(hit: Hit): boolean {
    return this.expectedPeers().some((peer) => peer.hit === hit);
  }

  /** Starts the daemon, as after a boot. */
  boot(): void {
    if (this.running) return;
    const { queue, random } = this.#world;
    this.#bootedAt = queue.now - random.between(0, 5000);
    this.#run(this.#newPlane(), undefined);
    if (this.machine.mobile === true) this.plane?.announce(this.#kernelsView());
    this.#driver?.start();
  }

  /** Another process goes on with the associations, on the same data plane and the same clock. */
  takeOver(timeoutMillis: number): void {
    if (!this.running || this.asleep) return;
    const { plane } = this;
    this.#driver?.handOver(timeoutMillis, (handed) => {
      this.#cancelAlarm?.();
      this.#cancelAlarm = undefined;
      this.#alarmAt = undefined;
      this.#open.clear();
      // As through a file: nothing is shared with the predecessor.
      this.#run(plane as MemoryPlane, structuredClone(handed));
      this.#driver?.start();
      if (this.machine.mobile === true) plane?.announce(this.#kernelsView());
    });
  }

  #run(plane: MemoryPlane, handed: HandedOverlay | undefined): void {
    const { machine } = this;
    const { queue, random, invariants } = this.#world;
    const boot = ++this.#boots;
    this.#hidden.clear();
    const fromDisk = this.#fromDisk();
    this.#runtimePeers =
      handed === undefined
        ? []
        : this.#runtimePeers.filter(
            (peer) => !fromDisk.some((other) => other.name === peer.name || other.hit === peer.hit),
          );
    const config = this.#config();
    const saved: unknown = this.#saved === undefined ? undefined : JSON.parse(JSON.stringify(this.#saved));
    const facts = { version: "sim", interface: "hip0" };
    const overlay = Overlay.create({ config, facts, saved, random: random.fork(`host ${boot}`), handed });
    if (!overlay.ok) throw new Error(`${this.name}: ${overlay.error}`);
    this.#watch(overlay.value);
    this.overlay = overlay.value;
    this.plane = plane;
    const isAlive = (): boolean => this.#boots === boot && this.running;
    this.#driver = new Driver({
      overlay: overlay.value,
      plane,
      jobs: new SimJobs({
        queue,
        random: random.fork(`jobs ${boot}`),
        identities: new Map(machine.identities.map((identity) => [identity.hit, identity])),
        delay: this.#world.jobDelay,
        alive: isAlive,
        whenAwake: (task) => this.#whenAwake(task),
        derived: (local, agreement) => invariants.derived(local, agreement),
        limit: (running) => {
          if (running > machine.host.maxJobs + 64) invariants.breach(`${this.name}: ${running} jobs at once`);
        },
      }),
      clock: { now: () => this.#now(), wall: () => EPOCH + queue.now + this.wallError },
      alarm: { set: (at) => this.#setAlarm(at) },
      shell: {
        saveState: (state) => {
          this.#saved = state;
        },
        persistPeer: (peer, done) => this.#disk(isAlive, () => this.#keep(peer), done),
        unpersistPeer: (peer, done) => this.#disk(isAlive, () => this.#unkeep(peer.name), done),
        event: (event) => this.#event(event),
        identities: () => undefined,
        defer: (task) => {
          queue.after(0, () =>
            this.#whenAwake(() => {
              if (isAlive()) task();
            }),
          );
        },
      },
    });
  }

  #newPlane(): MemoryPlane {
    const { queue, network, invariants } = this.#world;
    return new MemoryPlane({
      name: this.name,
      addresses: this.#addresses,
      port: this.machine.port,
      queue,
      network,
      hooks: {
        saAdded: (sa) => invariants.saAdded(this, sa),
        // Nobody here ever solves a puzzle wrongly.
        shunned: (address) => invariants.breach(`${this.name}: shuns ${address}`),
        opened: (sa, size) => invariants.credit.earned(this.name, sa.peerHit, size),
        sealed: (sa, key, sequence, message) => invariants.sealed(this, sa, key, sequence, message),
        delivered: (from, message) => {
          invariants.delivered(this, from, message);
          this.#world.delivered(this, from, message);
        },
        rejected: () => undefined,
        dropped: (reason) => {
          invariants.planeDropped(this, reason);
          this.#remark(`plane drops: ${reason}`);
          this.#world.trace.count(`plane drop ${reason}`);
        },
      },
    });
  }

  /** Other addresses from now on, `announced` by the kernel a little later. */
  move(addresses: readonly string[]): void {
    const { network, queue, random } = this.#world;
    for (const address of this.#addresses) if (!addresses.includes(address)) network.detach(address);
    for (const address of addresses) network.attach(address, this);
    this.#addresses = addresses;
    this.plane?.readdress(addresses);
    if (this.#announcing) return;
    this.#announcing = true;
    queue.after(random.between(0, KERNEL_DELAY), () => {
      this.#announcing = false;
      this.plane?.announce(this.#kernelsView());
    });
  }

  #kernelsView(): readonly LocalAddress[] {
    return this.#addresses.map((address, at, all) => {
      const second = (this.machine.pool ?? []).indexOf(address) % 2 === 1;
      return {
        address,
        interface: second ? "eth1" : "eth0",
        deprecated: false,
        temporary: false,
        preferredSeconds: undefined,
        metric: second ? 200 : 100,
        defaultSource: all.findIndex((one) => one.includes(":") === address.includes(":")) === at,
      };
    });
  }

  /** Nothing runs until it wakes; time passes, also for the clock that counts time asleep. */
  sleep(): void {
    if (this.asleep) return;
    this.#dreams = [];
    this.#asleepAt = this.#world.queue.now;
    this.plane?.freeze(true);
  }

  wake(): void {
    const dreams = this.#dreams;
    if (dreams === undefined) return;
    this.#dreams = undefined;
    const slept = this.#world.queue.now - this.#asleepAt;
    for (const [number, one] of this.#open) this.#open.set(number, { ...one, until: one.until + slept });
    for (const task of dreams) task();
    this.plane?.freeze(false);
  }

  #whenAwake(task: () => void): void {
    if (this.#dreams === undefined) task();
    else this.#dreams.push(task);
  }

  /** The disk, too. */
  loseState(): void {
    this.#saved = undefined;
    this.#world.invariants.forgetLsis(this.name);
  }

  /** Everything but the disk is lost at once. */
  crash(): void {
    this.#dreams = undefined;
    if (!this.running) return;
    this.#world.invariants.credit.forget(this.name);
    this.plane?.close();
    this.#cancelAlarm?.();
    this.#cancelAlarm = undefined;
    this.#alarmAt = undefined;
    this.#driver = undefined;
    this.overlay = undefined;
    this.plane = undefined;
    this.#open.clear();
    this.#runtimePeers = [];
    this.#hidden.clear();
  }

  /** An orderly end: CLOSE to everybody. */
  stop(timeoutMillis: number, done: () => void): void {
    const driver = this.#driver;
    if (driver === undefined) {
      done();
      return;
    }
    driver.stop(timeoutMillis, () => {
      this.crash();
      done();
    });
  }

  receive(path: Path, payload: Payload): void {
    this.plane?.receive(path, payload);
  }

  /** An application sends a message. */
  send(to: Hit | Lsi, message: Message): void {
    if (!this.asleep) this.plane?.application(to, message);
  }

  /** What is asked of a daemon has an end. */
  request(request: ControlRequest, limitMillis: number, onReply: OnReply = () => undefined): () => void {
    const driver = this.#driver;
    if (driver === undefined || this.asleep) return () => undefined;
    const number = ++this.#requests;
    const until = this.#world.queue.now + limitMillis + REQUEST_SLACK;
    this.#open.set(number, { text: request.type, until });
    const cancel = driver.request(request, (reply, last) => {
      if (last) this.#open.delete(number);
      onReply(reply, last);
    });
    return () => {
      this.#open.delete(number);
      cancel();
    };
  }

  /** Requests that should have been answered by now. */
  overdue(): readonly string[] {
    const { now } = this.#world.queue;
    if (this.asleep) return [];
    return [...this.#open.values()].filter(({ until }) => until < now).map(({ text }) => text);
  }

  removePeer(name: string, keep: boolean): void {
    this.request({ type: "peer-remove", peer: name, keep }, 1000, (reply) => {
      if (reply.type !== "removed") return;
      this.#runtimePeers = this.#runtimePeers.filter((peer) => peer.name !== name);
      // What still stands in a file comes back with a reload.
      if (this.#fromDisk().some((peer) => peer.name === name)) this.#hidden.add(name);
    });
  }

  addPeer(peer: PeerConfig, keep: boolean): void {
    const { name, hit, carrier, locators, inboundFamily } = peer;
    const draft = {
      name,
      hit: hexToText(hit),
      identity: hexToText(peer.localHit),
      carrier,
      locators,
      inboundFamily,
    };
    this.request({ type: "peer-add", peer: draft, keep }, 1000, (reply) => {
      if (reply.type !== "peer") return;
      // What stands in a file and was removed until the next reload stays so: this one is another.
      if (keep) this.#hidden.delete(name);
      else this.#runtimePeers.push({ ...peer, source: "runtime", file: "" });
    });
  }

  /** Reads the files again. What was added at run time stays unless a file says otherwise. */
  reload(onReply: (reply: ControlReply) => void = () => undefined): void {
    this.request({ type: "configure", config: this.#config() }, 0, (reply) => {
      if (reply.type === "configured") {
        this.#hidden.clear();
        const fromDisk = this.#fromDisk();
        this.#runtimePeers = this.#runtimePeers.filter(
          (peer) => !fromDisk.some((other) => other.name === peer.name || other.hit === peer.hit),
        );
      }
      onReply(reply);
    });
  }

  #fromDisk(): readonly PeerConfig[] {
    return [...this.filePeers, ...this.keptPeers];
  }

  #config(): OverlayConfig {
    const { machine } = this;
    const wall = EPOCH + this.#world.queue.now + this.wallError;
    return {
      identities: machine.identities.map(({ hit, suite, kind }) => ({
        hit,
        suite,
        algorithm: kind,
        file: "",
      })),
      defaultIdentity: this.hit,
      host: { ...machine.host, r1CounterStart: BigInt(Math.floor(wall)) },
      peers: this.#fromDisk(),
      port: machine.port,
      lsiPrefix: machine.lsiPrefix,
    };
  }

  #now(): Instant {
    return (this.#world.queue.now - this.#bootedAt) as Instant;
  }

  /** Looks at everything that goes in and comes out. */
  #watch(overlay: Overlay): void {
    const { handle } = overlay;
    overlay.handle = (input, now, wall) => {
      const outputs = handle.call(overlay, input, now, wall);
      this.#world.invariants.handled(this, input, outputs, now);
      for (const output of outputs) {
        if (output.type !== "drop") continue;
        this.#remark(`drops: ${output.reason}`);
        this.#world.trace.count(`drop ${output.reason}`);
      }
      return outputs;
    };
  }

  #event(event: OverlayEvent): void {
    this.events.push(event);
    if (this.events.length > 200) this.events.shift();
    const { name, peer, detail } = event;
    const move = name === "association-state" ? ` ${detail["from"]} ${detail["to"]}` : "";
    this.#world.trace.count(`event ${name}${move}`);
    if (name === "handover") {
      const within = GAPS.find((limit) => Number(detail["millis"]) <= limit) ?? "more";
      this.#world.trace.count(`handover for ${detail["reason"]} within ${String(within).padStart(5)} ms`);
    }
    this.#remark(`${name} ${peer ?? event.hit ?? ""} ${Object.values(detail).join(" ")}`);
  }

  #remark(text: string): void {
    this.#world.trace.remark(this.#world.queue.now, this.name, text);
  }

  #setAlarm(at: Instant | undefined): void {
    if (at === this.#alarmAt) return;
    this.#cancelAlarm?.();
    this.#cancelAlarm = undefined;
    this.#alarmAt = at;
    if (at === undefined) return;
    const { queue, random } = this.#world;
    // A microsecond late, as no timer is exact: rounding must not make it early again and again.
    const due = at + this.#bootedAt + 0.001;
    const early = random.chance(EARLY_ALARMS) ? random.float() : 1;
    const when = queue.now + Math.max(0, due - queue.now) * early;
    const cancel = queue.at(when, () => {
      this.#whenAwake(() => {
        if (this.#cancelAlarm === cancel) this.#alarmAt = undefined;
        this.#driver?.alarmFired();
      });
    });
    this.#cancelAlarm = cancel;
  }

  #disk(
    isAlive: () => boolean,
    change: () => void,
    done: Parameters<import("../../src/driver/ports.ts").Shell["persistPeer"]>[1],
  ): void {
    this.#world.queue.after(this.#world.random.between(0, 5), () =>
      this.#whenAwake(() => {
        if (!isAlive()) return;
        change();
        done(ok("peers.d/peer.toml"));
      }),
    );
  }

  #keep(peer: PeerConfig): void {
    this.#unkeep(peer.name);
    this.keptPeers = [...this.keptPeers, { ...peer, source: "peers.d", file: "peers.d/peer.toml" }];
  }

  #unkeep(name: string): void {
    this.keptPeers = this.keptPeers.filter((peer) => peer.name !== name);
  }
}

function hexToText(hit: Hit | undefined): string | undefined {
  return hit?.replace(/(.{4})(?!$)/g, "$1:");
}
