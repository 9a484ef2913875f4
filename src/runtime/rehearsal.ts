/**
 * Two hosts that exist nowhere call each other in memory, so that the code of an exchange is compiled before a peer waits
 * for it: the first exchange of a fresh process takes ten times as long as the thirtieth.
 */
import type { Hit, Instant, Path, Spi } from "../core/types.ts";
import { Identity } from "../crypto/identity.ts";
import { Driver } from "../driver/driver.ts";
import type { DataPlane, DataPlaneEvent, JobRunner, Shell } from "../driver/ports.ts";
import type { HostConfig } from "../hip/config.ts";
import { Overlay } from "../overlay/overlay.ts";
import { SYSTEM_RANDOM } from "./random.ts";

/** Exchanges; behind them nothing gets much faster. */
const ROUNDS = 30;
/** So many without a pause: behind them a first ping gets no faster, and a start may take that long. */
const FIRST_ROUNDS = 8;
/** Between two of the others: a small machine has other things to do when the daemon starts. */
const PAUSE_MILLIS = 10;
/** Nobody waits longer for the first ones, whatever happens to them. */
const FIRST_MILLIS = 250;
/** The same in the time of the two hosts: no rate limit is touched, and no timer is due. */
const ROUND_MILLIS = 100;
const PORT = 10500;

/** What happens around the two. */
interface World {
  readonly host: HostConfig;
  readonly jobs: JobRunner;
  readonly now: () => Instant;
  /** Runs what an event of the network would run. */
  readonly later: (task: () => void) => void;
}

const SHELL: Shell = {
  saveState: () => undefined,
  persistPeer: () => undefined,
  unpersistPeer: () => undefined,
  event: () => undefined,
  identities: () => undefined,
  defer: (task) => void setImmediate(task),
};

/** One of the two: a driver above a data plane that only knows packets to the other one. */
class Actor {
  readonly hit: Hit;
  partner: Actor | undefined;
  readonly #address: string;
  readonly #world: World;
  readonly #driver: Driver;
  readonly #plane: DataPlane;
  readonly #events: DataPlaneEvent[] = [];
  #inbound: Spi | undefined;
  established = 0;

  constructor(world: World, identity: Identity, address: string, partner: Hit, partnerAddress: string) {
    this.#world = world;
    this.hit = identity.hit;
    this.#address = address;
    const overlay = Overlay.create({
      config: {
        identities: [{ hit: identity.hit, suite: identity.suite, algorithm: "", file: "" }],
        defaultIdentity: identity.hit,
        host: world.host,
        peers: [
          {
            name: "partner",
            hit: partner,
            localHit: undefined,
            carrier: "udp",
            locators: [{ address: partnerAddress, port: PORT }],
            inboundFamily: "hit",
            source: "runtime",
            file: "",
          },
        ],
        port: PORT,
        lsiPrefix: { bytes: Uint8Array.of(198, 18, 0, 0), length: 15 },
      },
      facts: { version: "", interface: "" },
      saved: undefined,
      random: SYSTEM_RANDOM,
    });
    if (!overlay.ok) throw new Error(`the rehearsal's configuration contradicts itself: ${overlay.error}`);
    this.#plane = {
      source: () => address,
      send: (path, bytes) => this.#send(path, bytes),
      addSa: ({ direction, spi }) => {
        if (direction === "in") this.#inbound = spi;
      },
      setPath: () => undefined,
      probe: () => undefined,
      setPathMtu: () => undefined,
      shun: () => undefined,
      dropSa: () => undefined,
      route: (_, via) => {
        if (typeof via === "number") this.established++;
      },
      alias: () => undefined,
      ping: () => undefined,
      onReady: () => undefined,
      drain: (max) => this.#events.splice(0, max),
      associations: () => [],
      counters: () => ({}),
      close: () => undefined,
    };
    const { jobs, now } = world;
    const clock = { now, wall: now };
    const alarm = { set: () => undefined };
    const driver = new Driver({
      overlay: overlay.value,
      plane: this.#plane,
      jobs,
      clock,
      alarm,
      shell: SHELL,
    });
    this.#driver = driver;
    driver.start();
  }

  hear(event: DataPlaneEvent): void {
    this.#events.push(event);
    this.#plane.onReady();
  }

  /** R1s that were used are made anew. */
  prepare(): void {
    this.#driver.alarmFired();
  }

  hearEsp(): void {
    if (this.#inbound !== undefined) this.hear({ type: "esp", spi: this.#inbound, event: "first-inbound" });
  }

  hangUp(): void {
    this.#driver.request({ type: "association-close", peer: "partner" }, () => undefined);
  }

  #send(path: Path, bytes: Uint8Array): void {
    const seen: Path = {
      carrier: path.carrier,
      local: path.remote,
      remote: { address: this.#address, port: PORT },
    };
    this.#world.later(() => this.partner?.hear({ type: "control", path: seen, bytes }));
  }
}

/** One exchange. */
const SCENES: readonly ((initiator: Actor, responder: Actor) => void)[] = [
  (initiator, responder) => {
    initiator.prepare();
    responder.prepare();
  },
  (initiator, responder) => initiator.hear({ type: "miss", peer: responder.hit }),
  (_, responder) => responder.hearEsp(),
  (initiator) => initiator.hangUp(),
];

export interface RehearsalOptions {
  readonly host: HostConfig;
  /** Who does the jobs of the first exchanges, and of the others: each thread compiles for itself. */
  readonly first: JobRunner;
  readonly jobs: JobRunner;
  /** Whether nothing more important waits for `jobs`. */
  readonly idle: () => boolean;
  /** Whether somebody waits for the first ones. */
  readonly hurry: boolean;
  /** Called once at the end, with the number of exchanges that were completed; not after `stop`. */
  readonly finished: (exchanges: number) => void;
}

export class Rehearsal {
  /** The keys of the two: whoever runs `jobs` must have them until all is finished. */
  readonly identities: readonly Identity[] = [
    Identity.generate("ecdsa-p256"),
    Identity.generate("ecdsa-p256"),
  ];
  #options: RehearsalOptions | undefined;
  #actors: readonly Actor[] = [];
  #now = 1;
  #pending = 0;
  #round = 0;
  #scene = 0;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #warm: () => void = () => undefined;

  /** Resolves when the code is no longer new: an exchange with a peer may follow, and the rest of the rehearsal goes on beside it. */
  start(options: RehearsalOptions): Promise<void> {
    this.#options = options;
    const { host, first, jobs } = options;
    const world: World = {
      // One kind of R1 and no puzzle: other algorithms are not our code.
      host: { ...host, dhGroups: host.dhGroups.slice(0, 1), puzzle: { ...host.puzzle, idleK: 0 } },
      jobs: {
        run: (job, done) => {
          this.#pending++;
          const runner = this.#round < FIRST_ROUNDS ? first : jobs;
          runner.run(job, (result) => this.#after(() => done(result)));
        },
      },
      now: () => this.#now as Instant,
      later: (task) => {
        this.#pending++;
        setImmediate(() => this.#after(task));
      },
    };
    const [one, two] = this.identities as readonly [Identity, Identity];
    const initiator = new Actor(world, one, "192.0.2.1", two.hit, "192.0.2.2");
    const responder = new Actor(world, two, "192.0.2.2", one.hit, "192.0.2.1");
    initiator.partner = responder;
    responder.partner = initiator;
    this.#actors = [initiator, responder];
    return new Promise((resolve) => {
      const limit = setTimeout(resolve, FIRST_MILLIS);
      this.#warm = () => {
        clearTimeout(limit);
        resolve();
      };
      this.#soon(PAUSE_MILLIS);
    });
  }

  stop(): void {
    this.#options = undefined;
    this.#actors = [];
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#warm();
  }

  /** Whether somebody waits. Else there is a pause before each scene: packets need the processors more. */
  get #hurries(): boolean {
    return this.#options?.hurry === true && this.#round < FIRST_ROUNDS;
  }

  #after(task: () => void): void {
    task();
    this.#pending--;
    if (this.#pending === 0) this.#soon(0);
  }

  #soon(millis: number): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    if (this.#hurries) this.#immediate = setImmediate(() => this.#next());
    else this.#timer = setTimeout(() => this.#next(), millis).unref();
  }

  /** Each scene begins when all packets and jobs of the one before are done. */
  #next(): void {
    const options = this.#options;
    const [initiator, responder] = this.#actors;
    if (options === undefined || initiator === undefined || responder === undefined) return;
    if (this.#pending > 0) return;
    if (!this.#hurries && !options.idle()) {
      this.#soon(PAUSE_MILLIS);
      return;
    }
    if (this.#round === ROUNDS) {
      this.stop();
      options.finished(initiator.established);
      return;
    }
    const scene = this.#scene;
    this.#scene = (scene + 1) % SCENES.length;
    if (this.#scene === 0) {
      this.#round++;
      this.#now += ROUND_MILLIS;
      if (this.#round === FIRST_ROUNDS) this.#warm();
    }
    SCENES[scene]?.(initiator, responder);
    if (this.#pending === 0) this.#soon(this.#scene === 0 ? PAUSE_MILLIS : 0);
  }
}
