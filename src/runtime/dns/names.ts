/** Names of the overlay on this machine: the responder, who is told about it, and peers that stand in DNS. None of it holds up the daemon. */
import type { ControlReply, ControlRequest } from "../../overlay/control.ts";
import { type NameAnswer, zonesOf } from "../../overlay/name-answers.ts";
import type { DaemonConfig } from "../config-file.ts";
import type { Log } from "../log.ts";
import type { DnsClient } from "./client.ts";
import { HOSTS_FILE, type HostLine, MAX_HOSTS_NAMES, writeHostsBlock } from "./hosts-file.ts";
import type { DnsPeerPoller, DnsPeerView } from "./peer-poller.ts";
import { DNS_PLACES, type DnsClientPlaces } from "./resolv-conf.ts";
import {
  applyResolved,
  type LinkNames,
  RUN,
  type Run,
  revertResolved,
  whyNoResolved,
  whyNotOurs,
} from "./resolved.ts";
import type { DnsServer } from "./server.ts";
import { AUTO_PORTS } from "./settings.ts";

/** Where everything is; tests put other places here. */
export interface NamesPlaces {
  readonly hosts: string;
  readonly resolver: DnsClientPlaces;
  readonly run: Run;
}

export const NAMES_PLACES: NamesPlaces = {
  hosts: HOSTS_FILE,
  resolver: DNS_PLACES,
  run: RUN,
};

export interface NamesOptions {
  readonly config: DaemonConfig;
  readonly log: Log;
  readonly places: NamesPlaces;
  readonly lsi: string;
  /** The host's own HITs at this moment, as IPv6 text. */
  readonly hits: () => readonly string[];
  /** As `Driver.request`. */
  readonly request: (request: ControlRequest, reply: (reply: ControlReply) => void) => void;
}

export interface NamesStatus {
  /** `198.18.0.1:53`; null: nobody is answered. */
  readonly listen: string | null;
  /** Why nobody is, or why it is that port. */
  readonly listenReason: string;
  readonly interface: string;
  readonly host: string;
  readonly port: number;
  readonly domain: string;
  /** This host's own name, or "". */
  readonly name: string;
  readonly zones: readonly string[];
  /** What hipd itself told systemd-resolved at its start, or why not. */
  readonly resolved: string;
  /** What stands in the file of hosts, or why nothing does. */
  readonly hosts: string;
  readonly dnsPeers: boolean;
  readonly peers: readonly DnsPeerView[];
  readonly counters: Readonly<Record<string, number>>;
}

/** Peers that come and go together are written together. */
const GATHER_MILLIS = 200;
/** A stop does not wait longer for systemd-resolved, which forgets the interface anyway when that goes. */
const REVERT_MILLIS = 1_000;

export class Names {
  readonly #options: NamesOptions;
  /** Seen before the daemon gives up the right to look. */
  readonly #notOurs = whyNotOurs();
  /** What `hipctl` may wait for: the responder is open, or is not going to be. */
  readonly settled: Promise<void>;
  readonly #opened: Promise<void>;
  #config: DaemonConfig;
  #server: DnsServer | undefined;
  #client: DnsClient | undefined;
  #poller: DnsPeerPoller | undefined;
  #listenReason = "it is being opened";
  #resolved = "not told yet";
  #applied = false;
  #hosts = "off: [dns] hosts_file = false";
  #hostsWritten = false;
  #gathering: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: NamesOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#opened = this.#open();
    this.settled = this.#opened.then(() => this.#tell());
  }

  /** New settings; where it listens stays until a restart. */
  configure(config: DaemonConfig): void {
    const before = this.#config.dns;
    this.#config = config;
    if (before.domain !== config.dns.domain || before.resolved !== config.dns.resolved)
      void this.#tellResolved();
    this.changed();
  }

  /** Peers or identities changed. */
  changed(): void {
    if (this.#stopped || this.#gathering !== undefined) return;
    this.#gathering = setTimeout(() => {
      this.#gathering = undefined;
      if (this.#stopped) return;
      this.#writeHosts();
      void this.#followPeers();
    }, GATHER_MILLIS);
    this.#gathering.unref();
  }

  /** `leave`: a successor takes over at once, and finds everything as it is. */
  async stop(leave: boolean): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#gathering);
    this.#poller?.stop();
    await this.#opened;
    this.#server?.close();
    if (leave) return;
    if (this.#hostsWritten) this.#put([]);
    if (!this.#applied) return;
    const reverted = revertResolved(this.#link().interface, this.#options.places.run);
    await Promise.race([reverted, new Promise((resolve) => setTimeout(resolve, REVERT_MILLIS).unref())]);
  }

  async status(): Promise<NamesStatus> {
    await this.settled;
    const { host, port, zones } = this.#link();
    const { domain, dnsPeers } = this.#config.dns;
    const server = this.#server;
    const where = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    return {
      listen: server === undefined ? null : where,
      listenReason: this.#listenReason,
      interface: this.#config.network.interface,
      host: server === undefined ? "" : host,
      port: server === undefined ? 0 : port,
      domain,
      name: this.#config.names.host === "" ? "" : `${this.#config.names.host}.${domain}`,
      zones,
      resolved: this.#resolved,
      hosts: this.#hosts,
      dnsPeers,
      peers: this.#poller?.views() ?? [],
      counters: flat(this.counters()),
    };
  }

  /** By subject, then by name. */
  counters(): Readonly<Record<string, Readonly<Record<string, number>>>> {
    const server = this.#server?.counters();
    return {
      queries: { ...server?.queries },
      drops: { ...server?.drops },
      answers: server === undefined ? {} : { truncated: server.truncated, tcp: server.tcp },
      client: { ...this.#client?.counters() },
      peers: { ...this.#poller?.counters() },
    };
  }

  async #tell(): Promise<void> {
    if (this.#stopped) return;
    this.changed();
    await this.#tellResolved();
  }

  async #open(): Promise<void> {
    try {
      await this.#listen();
    } catch (error) {
      this.#listenReason = (error as Error).message;
      this.#options.log.error("names-not-served", "names of peers are not answered", {
        reason: this.#listenReason,
      });
    }
  }

  async #listen(): Promise<void> {
    const { listen } = this.#config.dns;
    if (listen.where === "off") {
      this.#listenReason = 'off: [dns] listen = "off"';
      return;
    }
    const { DnsServer } = await import("./server.ts");
    const { lsi, log } = this.#options;
    const host = listen.where === "loopback" ? listen.host : lsi;
    const ports = "port" in listen ? [listen.port] : AUTO_PORTS;
    const opened = await DnsServer.open({
      host,
      ports,
      own: (address) => this.#isOwn(address),
      resolve: (name, kind) => this.#resolve(name, kind),
    });
    if (!opened.ok) {
      this.#listenReason = opened.error;
      log.warn("names-not-served", "names of peers are not answered", { reason: opened.error });
      return;
    }
    if (this.#stopped) {
      opened.value.close();
      return;
    }
    this.#server = opened.value;
    const { port } = opened.value;
    const chosen =
      port === 53 ? "the port of DNS" : "port 53 is taken, or may not be bound without a capability";
    this.#listenReason = listen.where === "auto" ? `auto: ${chosen}` : "as configured";
    log.info("names-served", "names of peers are answered", { host, port, domain: this.#config.dns.domain });
  }

  /** Nobody else may ask: a peer would learn who this host's other peers are. */
  #isOwn(address: string): boolean {
    const { lsi, hits } = this.#options;
    return address === lsi || address === "::1" || address.startsWith("127.") || hits().includes(address);
  }

  #resolve(name: string, kind: number): NameAnswer | undefined {
    let answer: NameAnswer | undefined;
    this.#options.request({ type: "name-query", name, kind }, (reply) => {
      if (reply.type === "name-answer") answer = reply.answer;
    });
    return answer;
  }

  #link(): LinkNames {
    const { network, names } = this.#config;
    return {
      interface: network.interface,
      host: this.#server?.host ?? this.#options.lsi,
      port: this.#server?.port ?? 0,
      zones: zonesOf(names, network.lsiPrefix),
    };
  }

  async #tellResolved(): Promise<void> {
    const { log, places } = this.#options;
    const { run } = places;
    if (!this.#config.dns.resolved || this.#server === undefined) {
      this.#resolved = this.#server === undefined ? "nobody answers" : "off: [dns] resolved = false";
      if (this.#applied) await revertResolved(this.#link().interface, run);
      this.#applied = false;
      return;
    }
    const none = this.#notOurs ?? (await whyNoResolved(run));
    if (none !== undefined) {
      this.#resolved = none;
      return;
    }
    const link = this.#link();
    const done = await applyResolved(link, run);
    this.#applied = done.ok;
    this.#resolved = done.ok
      ? `told to ask for ~${link.zones[0]}`
      : `${done.error} (root may: hipctl dns on; the service unit does that)`;
    if (done.ok)
      log.info("names-wired", "systemd-resolved asks hipd for names of peers", { ...zonesField(link) });
    else
      log.info("names-not-wired", "systemd-resolved could not be told by hipd itself", {
        reason: done.error,
      });
  }

  #writeHosts(): void {
    if (!this.#config.dns.hostsFile) {
      if (this.#hostsWritten) this.#put([]);
      this.#hosts = "off: [dns] hosts_file = false";
      return;
    }
    this.#options.request({ type: "status" }, (reply) => {
      if (reply.type !== "status") return;
      const { host, domain } = this.#config.names;
      const own =
        host === "" || reply.peers.some(({ name }) => name === host) ? [] : [{ name: host, ...reply.self }];
      const all = [...own, ...reply.peers];
      const entries = all.slice(0, MAX_HOSTS_NAMES).flatMap(({ name, lsi, hit }): HostLine[] => {
        const full = `${name}.${domain}`;
        return [lsi, hit].flatMap((address) => (address === null ? [] : [{ address, name: full }]));
      });
      this.#put(entries, all.length);
    });
  }

  #put(entries: readonly HostLine[], names = 0): void {
    const { places, log } = this.#options;
    const put = writeHostsBlock(places.hosts, this.#config.network.interface, entries);
    if (!put.ok) {
      if (this.#hosts !== put.error)
        log.warn("hosts-not-written", "names could not be written", { reason: put.error });
      this.#hosts = put.error;
      return;
    }
    this.#hostsWritten = entries.length > 0;
    const beyond = Math.max(0, names - MAX_HOSTS_NAMES);
    this.#hosts = `${names - beyond} names in ${places.hosts}${beyond > 0 ? `, ${beyond} more do not fit` : ""}`;
  }

  async #followPeers(): Promise<void> {
    if (!this.#config.dns.dnsPeers) {
      this.#poller?.set([]);
      return;
    }
    if (this.#poller === undefined) {
      const [{ DnsClient }, { DnsPeerPoller }, { lookUp }] = await Promise.all([
        import("./client.ts"),
        import("./peer-poller.ts"),
        import("./lookup.ts"),
      ]);
      if (this.#stopped || this.#poller !== undefined) return;
      const client = new DnsClient(this.#options.places.resolver);
      this.#client = client;
      this.#poller = new DnsPeerPoller(
        (name) => lookUp(client, name),
        (peer, facts) => this.#options.request({ type: "dns-facts", peer, facts }, () => undefined),
      );
    }
    const poller = this.#poller;
    this.#options.request({ type: "dns-peers" }, (reply) => {
      if (reply.type === "dns-peers" && !this.#stopped) poller.set(reply.peers);
    });
  }
}

function zonesField({ zones }: LinkNames): { readonly zones: readonly string[] } {
  return { zones };
}

function flat(
  tables: Readonly<Record<string, Readonly<Record<string, number>>>>,
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(tables).flatMap(([table, values]) =>
      Object.entries(values).map(([name, value]) => [`${table}_${name}`, value] as const),
    ),
  );
}
