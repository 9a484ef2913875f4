/** hipd.toml and peers.d: read, checked as a whole, and turned into values. Every problem found is told, with file, line and column. */
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Prefix } from "../core/ip.ts";
import { type Carrier, err, ok, type Result } from "../core/types.ts";
import type { HostConfig } from "../hip/config.ts";
import type { LocatorsConfig } from "../overlay/config.ts";
import type { NamesConfig } from "../overlay/name-answers.ts";
import { MAX_PEERS } from "../overlay/peers.ts";
import { type Problem, readDocument, type Source } from "./config-document.ts";
import { type FilePeer, filePeers, peerEntries } from "./config-peers.ts";
import { CONFIG_SCHEMA, type RawConfig } from "./config-schema.ts";
import { hostConfig, locatorsConfig } from "./config-settings.ts";
import { inOverlay, type ListenAddress, type MetadataSource } from "./config-values.ts";
import { credentialPath, isCredentialSetting } from "./credentials.ts";
import { type DnsSettings, hostLabel, namesConfig } from "./dns/settings.ts";
import type { OnNewInstance } from "./instance.ts";
import type { Offload } from "./offloads.ts";
import { instanceOfFile } from "./overlay-instance.ts";
import type { Position } from "./toml-positions.ts";

/** `/etc/hipd/hipd.toml:12:1: unknown key "locater" in [[peer]]; did you mean "locators"?` */
export function problemText(problem: Problem): string {
  const { file, position, message } = problem;
  return position === undefined
    ? `${file}: ${message}`
    : `${file}:${position.line}:${position.column}: ${message}`;
}

export interface DaemonConfig {
  readonly file: string;
  /** Of several overlays on this host, the name of this one. */
  readonly instance: string | undefined;
  readonly peersDirectory: string;
  readonly identity: {
    /** The identity made on first start; the default one unless `default` or `hipctl identity use` says otherwise. */
    readonly key: string;
    readonly extra: readonly string[];
    readonly directory: string;
    readonly default: string | undefined;
    readonly defaultAt: Position;
    readonly onNewInstance: OnNewInstance;
  };
  readonly network: {
    readonly interface: string;
    readonly port: number;
    readonly lsiPrefix: Prefix;
    /** 0: from the path. */
    readonly mtu: number;
    readonly carrier: Carrier;
    /** 0: as many as processors, at most 8. */
    readonly workers: number;
    /** What seals packets; "auto": the fastest that works here. */
    readonly aead: "auto" | "builtin" | "ipsec-mb" | "openssl";
    /** What may be used of the kernel. */
    readonly offloads: readonly Offload[];
    /** Whether TCP through the overlay asks for ECN. */
    readonly ecn: boolean;
    /** How long data threads look for packets before they sleep. */
    readonly busyPollMicros: number;
    /** Of the process (setpriority(2)). */
    readonly nice: number;
    /** Which HITs have a route: all, or those of peers, beside another overlay on this host. */
    readonly hitRoutes: "prefix" | "peers";
  };
  readonly locators: LocatorsConfig;
  /** The cloud's metadata service. */
  readonly metadata: { readonly source: MetadataSource; readonly intervalMillis: number };
  readonly control: { readonly socket: string; readonly group: string | undefined };
  /** Whose signatures `hipctl inventory import` takes: HITs and key files, and a folder of key files. */
  readonly inventory: { readonly trusted: readonly string[]; readonly trustedDirectory: string };
  readonly dns: DnsSettings;
  /** What the overlay needs to know of `dns`. */
  readonly names: NamesConfig;
  readonly metrics: {
    readonly listen: ListenAddress | undefined;
    /** Peers with series of their own. */
    readonly peerSeries: number;
  };
  readonly log: {
    readonly level: "debug" | "info" | "warn" | "error";
    readonly format: "auto" | "json" | "text";
    /** Whether flows are logged: one of `flowSample`. */
    readonly flows: boolean;
    readonly flowSample: number;
  };
  readonly stateDirectory: string;
  readonly host: HostConfig;
  readonly peers: readonly FilePeer[];
}

/** Reads and checks everything. On failure every problem of every file is there, in the order of the files. */
export function loadConfig(
  file: string,
  instance: string | undefined = instanceOfFile(file),
): Result<DaemonConfig, readonly Problem[]> {
  const problems: Problem[] = [];
  const main = readDocument(resolve(file), CONFIG_SCHEMA, problems, instance);
  if (main === undefined) return err(problems);
  const raw = main.value;
  const folder = dirname(main.source.file);
  const peersDirectory = resolve(folder, raw?.peers_dir ?? "peers.d");
  const entries = peerEntries(raw?.peer ?? [], main.source, peersDirectory, problems);
  if (raw === undefined) return err(problems);
  checkWhole(raw, main.source, problems);
  const peers = filePeers(entries, raw, problems);
  if (peers.length > MAX_PEERS) {
    problems.push({
      file: main.source.file,
      position: undefined,
      message: `${peers.length} peers; at most ${MAX_PEERS} are allowed`,
    });
  }
  if (problems.length > 0) return err(problems);
  const stateDirectory = resolve(folder, raw.state.directory);
  const dns: DnsSettings = {
    listen: raw.dns.listen,
    domain: raw.dns.domain,
    name: raw.dns.name,
    resolved: raw.dns.resolved,
    hostsFile: raw.dns.hosts_file,
    dnsPeers: raw.dns.dns_peers,
  };
  const unit = instance === undefined ? "hipd.service" : `hipd@${instance}.service`;
  const keyFile = (path: string) =>
    isCredentialSetting(path) ? credentialPath(path, unit) : resolve(folder, path);
  return ok({
    file: main.source.file,
    instance,
    peersDirectory,
    identity: {
      key: keyFile(raw.identity.key ?? join(stateDirectory, "identity.pem")),
      extra: raw.identity.extra.map(keyFile),
      directory: resolve(folder, raw.identity.dir ?? join(stateDirectory, "identities")),
      default: raw.identity.default,
      onNewInstance: raw.identity.on_new_instance,
      defaultAt: main.source.positions.value(["identity", "default"]),
    },
    network: {
      interface: raw.network.interface,
      port: raw.network.port,
      lsiPrefix: raw.network.lsi_prefix,
      mtu: raw.network.mtu,
      carrier: raw.network.encapsulation,
      workers: raw.network.workers,
      aead: raw.network.aead,
      offloads: raw.network.offloads,
      ecn: raw.network.ecn,
      hitRoutes: raw.network.hit_routes,
      busyPollMicros: raw.network.busy_poll,
      nice: raw.network.nice,
    },
    locators: locatorsConfig(raw.locators, raw.network.port),
    metadata: { source: raw.locators.metadata, intervalMillis: raw.locators.metadata_interval },
    control: { socket: resolve(folder, raw.control.socket), group: raw.control.group },
    inventory: {
      trusted: raw.inventory.trusted,
      trustedDirectory: resolve(folder, raw.inventory.trusted_dir),
    },
    dns,
    names: namesConfig(dns, hostLabel(hostname())),
    metrics: { listen: raw.metrics.listen, peerSeries: raw.metrics.peer_series },
    log: {
      level: raw.log.level,
      format: raw.log.format,
      flows: raw.log.flows,
      flowSample: raw.log.flow_sample,
    },
    stateDirectory,
    host: hostConfig(raw),
    peers,
  });
}

/** What no single value can be wrong about. */
function checkWhole(raw: RawConfig, source: Source, problems: Problem[]): void {
  const wrong = (path: readonly (string | number)[], message: string): void => {
    problems.push({ file: source.file, position: source.positions.value(path), message });
  };
  const { timers, puzzle } = raw.protocol;
  if (timers.retransmit > timers.retransmit_max) {
    wrong(["protocol", "timers", "retransmit"], "[protocol.timers] retransmit is longer than retransmit_max");
  }
  if (puzzle.idle_k > puzzle.loaded_k) {
    wrong(
      ["protocol", "puzzle", "idle_k"],
      `[protocol.puzzle] idle_k (${puzzle.idle_k}) is above loaded_k (${puzzle.loaded_k})`,
    );
  }
  for (const [i, { address }] of raw.locators.advertise.entries()) {
    if (!inOverlay(address, raw.network.lsi_prefix)) continue;
    wrong(
      ["locators", "advertise", i],
      `[locators] advertise: ${address} lies in the overlay itself; a locator is an address of the underlying network`,
    );
  }
  if (raw.control.socket.length > MAX_SOCKET_PATH) {
    wrong(
      ["control", "socket"],
      `[control] socket: a Unix socket's path has at most ${MAX_SOCKET_PATH} characters`,
    );
  }
}

/** sun_path of a Linux sockaddr_un, without the final zero. */
const MAX_SOCKET_PATH = 107;
