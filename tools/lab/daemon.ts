/** A real hipd in a namespace, with its own folder for key, configuration, socket and state. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { formatHit } from "../../src/core/ip.ts";
import { Identity, type KeyKind } from "../../src/crypto/identity.ts";
import type { Lab, Namespace } from "./lab.ts";
import type { Background, Ended } from "./shell.ts";

const BIN = join(import.meta.dirname, "../../bin");

export interface PeerEntry {
  readonly name: string;
  readonly hit?: string;
  readonly locators: readonly string[];
  readonly encapsulation?: "udp" | "none";
  readonly identity?: string;
  readonly inbound_family?: "hit" | "lsi";
}

export interface DaemonOptions {
  readonly kind?: KeyKind;
  /** Tables of hipd.toml, laid over the defaults one by one. */
  readonly config?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** What runs hipd: a command line that hipd's is added to. */
  readonly runner?: readonly string[];
  /** The name of its folder, when its host has another daemon already. */
  readonly folder?: string;
}

/** What `hipctl status --json` says, as far as tests read it. */
export interface Status {
  readonly self: { readonly hit: string; readonly lsi: string };
  readonly peers: readonly PeerStatus[];
}

export interface PeerStatus {
  readonly name: string;
  readonly hit: string | null;
  readonly lsi: string | null;
  readonly state: string;
  readonly suite: string | null;
  readonly path: { readonly carrier: string; readonly local: string; readonly remote: string } | null;
  readonly txBytes: number;
  readonly rxBytes: number;
  readonly establishedAt: string | null;
}

/** What `hipctl locator list --json` says, as far as tests read it. */
export interface Locators {
  readonly own: readonly {
    readonly address: string;
    readonly source: string;
    readonly state: string;
    readonly preferred: boolean;
  }[];
  readonly peers: readonly {
    readonly name: string;
    readonly locators: readonly {
      readonly address: string;
      readonly state: string;
      readonly source: string;
      readonly inUse: boolean;
      readonly rttMillis: number | null;
    }[];
  }[];
}

export class Daemon {
  readonly namespace: Namespace;
  readonly folder: string;
  /** In RFC 5952 form. */
  readonly hit: string;
  readonly peers: PeerEntry[] = [];
  readonly config: Record<string, Record<string, unknown>>;
  readonly configFile: string;
  readonly keyFile: string;
  readonly socket: string;
  readonly #runner: readonly string[];
  #process: Background | undefined;

  /** Makes the folder with a key; nothing runs yet. */
  constructor(lab: Lab, namespace: Namespace, options: DaemonOptions = {}) {
    this.namespace = namespace;
    this.#runner = options.runner ?? [];
    this.folder = join(lab.folder, options.folder ?? namespace.label);
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    this.keyFile = join(this.folder, "identity.pem");
    this.configFile = join(this.folder, "hipd.toml");
    this.socket = join(this.folder, "hipd.sock");
    const identity = Identity.generate(options.kind ?? "ecdsa-p256");
    this.hit = formatHit(identity.hit);
    writeFileSync(this.keyFile, identity.toPkcs8Pem(), { mode: 0o600 });
    chmodSync(this.keyFile, 0o600);
    this.config = {
      identity: { key: "identity.pem" },
      state: { directory: "state" },
      control: { socket: "hipd.sock" },
      log: { level: "debug", format: "json" },
    };
    for (const [table, values] of Object.entries(options.config ?? {})) {
      this.config[table] = { ...this.config[table], ...values };
    }
  }

  writeConfig(): void {
    const peers = this.peers.length === 0 ? {} : { peer: this.peers };
    writeFileSync(this.configFile, stringify({ ...this.config, ...peers }));
  }

  /** The running process, for its output and signals. */
  get process(): Background {
    if (this.#process === undefined) throw new Error(`hipd of ${this.namespace.label} has not been started`);
    return this.#process;
  }

  get pid(): number {
    return this.process.child.pid as number;
  }

  /** The command line of hipd. */
  command(...args: readonly string[]): string[] {
    return [join(BIN, "hipd"), "--config", this.configFile, ...args];
  }

  /** Writes the configuration and starts hipd; resolves when it says that it is ready. */
  async start(): Promise<void> {
    this.writeConfig();
    this.#process = this.namespace.spawn([...this.#runner, ...this.command()]);
    await this.event("ready");
  }

  /** The first log line of the running process that tells this event, and fits. */
  async event(
    name: string,
    fits: (fields: Readonly<Record<string, unknown>>) => boolean = () => true,
    timeoutMillis = 20_000,
  ): Promise<Readonly<Record<string, unknown>>> {
    const word = `"event":"${name}"`;
    const line = await this.process.line(
      (text) => text.includes(word) && fits(JSON.parse(text)),
      timeoutMillis,
    );
    return JSON.parse(line) as Readonly<Record<string, unknown>>;
  }

  /** Ends hipd as a service manager does; gives its exit status. */
  stop(): Promise<number> {
    return this.process.stop("SIGTERM");
  }

  /** Ends hipd as a crash does. */
  async kill(): Promise<void> {
    await this.process.stop("SIGKILL");
  }

  /** The command line of hipctl. */
  ctlCommand(...args: readonly string[]): string[] {
    return [join(BIN, "hipctl"), "--socket", this.socket, ...args];
  }

  ctl(...args: readonly string[]): Promise<Ended> {
    return this.namespace.attempt(this.ctlCommand(...args));
  }

  /** `hipctl ... --json`, which must succeed. */
  async json<T>(...args: readonly string[]): Promise<T> {
    const done = await this.ctl(...args, "--json");
    if (done.status !== 0) {
      throw new Error(
        `hipctl ${args.join(" ")} ended with status ${done.status}: ${done.stderr}${done.stdout}`,
      );
    }
    return JSON.parse(done.stdout) as T;
  }

  status(): Promise<Status> {
    return this.json<Status>("status");
  }

  async peer(name: string): Promise<PeerStatus> {
    const status = await this.status();
    const found = status.peers.find((peer) => peer.name === name);
    if (found === undefined) throw new Error(`${this.namespace.label} has no peer named "${name}"`);
    return found;
  }

  /** The address that stands for the peer in IPv4 applications of this host. */
  async lsi(peer: string): Promise<string> {
    const { lsi } = await this.peer(peer);
    if (lsi === null) throw new Error(`${peer} has no LSI`);
    return lsi;
  }

  counters(): Promise<Readonly<Record<string, number>>> {
    return this.json("counters");
  }

  /** The sum of all counters whose name fits. */
  async count(name: RegExp): Promise<number> {
    const entries = Object.entries(await this.counters());
    return entries.filter(([key]) => name.test(key)).reduce((sum, [, value]) => sum + value, 0);
  }
}

export interface Introduction {
  /** Which underlay addresses they tell each other. */
  readonly family?: "ipv4" | "ipv6";
  readonly carrier?: "udp" | "none";
}

/** Two hosts with a daemon each. */
export interface Side {
  readonly daemon: Daemon;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** Configures each as a peer of the other, by the label of its namespace. */
export function introduce(a: Side, b: Side, options: Introduction = {}): void {
  const { family = "ipv4", carrier } = options;
  for (const [here, there] of [
    [a, b],
    [b, a],
  ] as const) {
    here.daemon.peers.push({
      name: there.daemon.namespace.label,
      hit: there.daemon.hit,
      locators: [there[family]],
      ...(carrier === undefined ? {} : { encapsulation: carrier }),
    });
  }
}
