/** hipd.toml and peers.d: read, checked as a whole, and turned into values. Every problem found is told, with file, line and column. */
import { readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import type { Prefix } from "../core/ip.ts";
import { formatHit } from "../core/ip.ts";
import { type Carrier, endpointText, err, type Hit, ok, type Result } from "../core/types.ts";
import type { HostConfig } from "../hip/config.ts";
import type { IdentityConfig, LocatorsConfig, OverlayConfig, PeerConfig } from "../overlay/config.ts";
import type { NamesConfig } from "../overlay/name-answers.ts";
import { MAX_PEERS } from "../overlay/peers.ts";
import { issueProblems } from "./config-issues.ts";
import { CONFIG_SCHEMA, HIP_PORT, PEERS_FILE_SCHEMA, type RawConfig, type RawPeer } from "./config-schema.ts";
import { hostConfig, locatorsConfig } from "./config-settings.ts";
import { inOverlay, type ListenAddress, type MetadataSource, withDefaultPort } from "./config-values.ts";
import { credentialPath, isCredentialSetting } from "./credentials.ts";
import { type DnsSettings, hostLabel, namesConfig } from "./dns/settings.ts";
import { whyNot } from "./files.ts";
import type { OnNewInstance } from "./instance.ts";
import { didYouMean } from "./nearest.ts";
import type { Offload } from "./offloads.ts";
import { instanceOfFile, withInstanceDefaults } from "./overlay-instance.ts";
import { type Position, TomlPositions } from "./toml-positions.ts";

/** One thing that is wrong with the configuration. */
export interface Problem {
  readonly file: string;
  readonly position: Position | undefined;
  readonly message: string;
}

/** `/etc/hipd/hipd.toml:12:1: unknown key "locater" in [[peer]]; did you mean "locators"?` */
export function problemText(problem: Problem): string {
  const { file, position, message } = problem;
  return position === undefined
    ? `${file}: ${message}`
    : `${file}:${position.line}:${position.column}: ${message}`;
}

/** A configured peer whose identity is still a name: identities are known later than the file. */
export interface FilePeer extends Omit<PeerConfig, "localHit"> {
  /** Name, file or HIT of one of our identities. */
  readonly identity: string | undefined;
  readonly at: Position;
  readonly identityAt: Position;
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

/** Files in peers.d beyond this are a mistake. */
const MAX_PEER_FILES = 100_000;
const MAX_FILE_BYTES = 64 * 1024 * 1024;

interface Source {
  readonly file: string;
  readonly positions: TomlPositions;
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
  const peers: { raw: RawPeer; index: number; source: Source; from: "config" | "peers.d" }[] = [];
  for (const [index, peer] of (raw?.peer ?? []).entries()) {
    peers.push({ raw: peer, index, source: main.source, from: "config" });
  }
  for (const path of peerFiles(peersDirectory, problems)) {
    const document = readDocument(path, PEERS_FILE_SCHEMA, problems);
    if (document === undefined) continue;
    for (const [index, peer] of (document.value?.peer ?? []).entries()) {
      peers.push({ raw: peer, index, source: document.source, from: "peers.d" });
    }
  }
  if (raw === undefined) return err(problems);
  checkWhole(raw, main.source, problems);
  const network = {
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
  };
  const filePeers = peers.map((peer) =>
    filePeer(peer.raw, peer.index, peer.source, peer.from, network, raw, problems),
  );
  checkDuplicates(filePeers, problems);
  if (filePeers.length > MAX_PEERS) {
    problems.push({
      file: main.source.file,
      position: undefined,
      message: `${filePeers.length} peers; at most ${MAX_PEERS} are allowed`,
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
    network,
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
    peers: filePeers,
  });
}

interface Schema<T> {
  safeParse(
    data: unknown,
  ): { success: true; data: T } | { success: false; error: { issues: readonly unknown[] } };
}

/** Undefined when there is no document at all; `value` is undefined when it has problems (which were added). */
function readDocument<T>(
  file: string,
  schema: Schema<T>,
  problems: Problem[],
  instance?: string,
): { source: Source; value: T | undefined } | undefined {
  let text: string;
  try {
    const bytes = readFileSync(file);
    if (bytes.length > MAX_FILE_BYTES)
      throw new Error(`it has ${bytes.length} bytes; at most ${MAX_FILE_BYTES} are allowed`);
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    const message = error instanceof TypeError ? "is not UTF-8 text" : `cannot be read: ${whyNot(error)}`;
    problems.push({ file, position: undefined, message });
    return undefined;
  }
  let document: unknown;
  try {
    const parsed = parse(text);
    document = instance === undefined ? parsed : withInstanceDefaults(parsed, instance);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const message = (error.message.split("\n")[0] as string).replace(/^Invalid TOML document: /, "");
    problems.push({
      file,
      position: { line: error.line, column: error.column },
      message: `not valid TOML: ${message}`,
    });
    return undefined;
  }
  const source = { file, positions: new TomlPositions(text) };
  const result = schema.safeParse(document);
  if (result.success) return { source, value: result.data };
  problems.push(
    ...issueProblems(result.error.issues, schema, source.positions, document).map((p) => ({ file, ...p })),
  );
  return { source, value: undefined };
}

function peerFiles(directory: string, problems: Problem[]): readonly string[] {
  try {
    const names = readdirSync(directory).filter((name) => name.endsWith(".toml") && !name.startsWith("."));
    if (names.length > MAX_PEER_FILES) throw new Error(`it holds more than ${MAX_PEER_FILES} files`);
    return names.sort().map((name) => join(directory, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    problems.push({ file: directory, position: undefined, message: `cannot be read: ${whyNot(error)}` });
    return [];
  }
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

function filePeer(
  raw: RawPeer,
  index: number,
  source: Source,
  from: "config" | "peers.d",
  network: DaemonConfig["network"],
  whole: RawConfig,
  problems: Problem[],
): FilePeer {
  const path = ["peer", index];
  const carrier = raw.encapsulation ?? network.carrier;
  const wrong = (where: readonly (string | number)[], message: string): void => {
    problems.push({ file: source.file, position: source.positions.value([...path, ...where]), message });
  };
  for (const [i, locator] of raw.locators.entries()) {
    const text = endpointText(locator);
    if (carrier === "none" && locator.port !== 0) {
      wrong(
        ["locators", i],
        `[[peer]] "${raw.name}": locator ${text} has a port, but encapsulation "none" has no ports; write ${locator.address}`,
      );
    }
    if (inOverlay(locator.address, network.lsiPrefix)) {
      wrong(
        ["locators", i],
        `[[peer]] "${raw.name}": locator ${text} lies in the overlay itself; a locator is an address of the underlying network`,
      );
    }
  }
  const dns = raw.dns;
  if (dns !== undefined && `.${dns}`.endsWith(`.${whole.dns.domain}`)) {
    wrong(
      ["dns"],
      `[[peer]] "${raw.name}" dns: names below "${whole.dns.domain}" are our own, not those of DNS`,
    );
  }
  if (raw.hit === undefined && dns !== undefined) {
    if (!whole.dns.dns_peers)
      wrong([], `[[peer]] "${raw.name}" has no hit; give it one, or let DNS tell it: [dns] dns_peers = true`);
  } else if (raw.hit === undefined) {
    if (!whole.protocol.opportunistic) {
      wrong([], `[[peer]] "${raw.name}" has no hit; give it one, or allow [protocol] opportunistic = true`);
    } else if (raw.locators.length === 0)
      wrong([], `[[peer]] "${raw.name}" has neither hit nor locators; give it one of them`);
  }
  return {
    name: raw.name,
    hit: raw.hit,
    identity: raw.identity,
    carrier,
    locators: raw.locators.map((locator) => withDefaultPort(locator, carrier, HIP_PORT)),
    inboundFamily: raw.inbound_family,
    dns,
    source: from,
    file: source.file,
    at: source.positions.key(path),
    identityAt: source.positions.value([...path, "identity"]),
  };
}

function checkDuplicates(peers: readonly FilePeer[], problems: Problem[]): void {
  const names = new Map<string, FilePeer>();
  const hits = new Map<Hit, FilePeer>();
  for (const peer of peers) {
    const sameName = names.get(peer.name);
    const sameHit = peer.hit === undefined ? undefined : hits.get(peer.hit);
    if (sameName !== undefined) problems.push(duplicate(peer, `the name "${peer.name}"`, sameName));
    else if (sameHit !== undefined && peer.hit !== undefined) {
      problems.push(duplicate(peer, `the HIT ${formatHit(peer.hit)}`, sameHit));
    }
    names.set(peer.name, sameName ?? peer);
    if (peer.hit !== undefined) hits.set(peer.hit, sameHit ?? peer);
  }
}

function duplicate(peer: FilePeer, what: string, first: FilePeer): Problem {
  const where = `${first.file}:${first.at.line}:${first.at.column}`;
  return {
    file: peer.file,
    position: peer.at,
    message: `[[peer]] "${peer.name}": ${what} is already used at ${where}`,
  };
}

/** An identity as the configuration can refer to it. */
export interface NamedIdentity extends IdentityConfig {
  readonly name: string;
}

/** Finds an identity by name, file or HIT. */
export function findIdentity(
  identities: readonly NamedIdentity[],
  reference: string,
): NamedIdentity | undefined {
  const wanted = reference.toLowerCase();
  return identities.find(
    (identity) =>
      identity.name === wanted || identity.file === reference || sameHitText(identity.hit, wanted),
  );
}

function sameHitText(hit: Hit, text: string): boolean {
  return formatHit(hit) === text || hit === text;
}

/** Joins the configuration with the identities that exist. `chosen` is the choice of `hipctl identity use`. */
export function overlayConfig(
  config: DaemonConfig,
  identities: readonly NamedIdentity[],
  chosen: Hit | undefined,
): Result<OverlayConfig, readonly Problem[]> {
  const problems: Problem[] = [];
  const names = identities.map((identity) => identity.name);
  const refer = (
    reference: string,
    file: string,
    position: Position,
    where: string,
  ): NamedIdentity | undefined => {
    const found = findIdentity(identities, reference);
    if (found === undefined) {
      problems.push({
        file,
        position,
        message: `${where}: there is no identity "${reference}"${didYouMean(reference, names)}`,
      });
    }
    return found;
  };
  const configured =
    config.identity.default === undefined
      ? undefined
      : refer(config.identity.default, config.file, config.identity.defaultAt, "[identity] default");
  const preferred = configured ?? identities.find((identity) => identity.hit === chosen) ?? identities[0];
  const own = new Map(identities.map((identity) => [identity.hit, identity]));
  const peers = config.peers.map((peer): PeerConfig => {
    const { identity, at, identityAt, ...rest } = peer;
    const mine = peer.hit === undefined ? undefined : own.get(peer.hit);
    if (mine !== undefined) {
      problems.push({
        file: peer.file,
        position: at,
        message: `[[peer]] "${peer.name}": this HIT is our own identity "${mine.name}"`,
      });
    }
    const shown =
      identity === undefined
        ? undefined
        : refer(identity, peer.file, identityAt, `[[peer]] "${peer.name}" identity`);
    return { ...rest, localHit: shown?.hit };
  });
  if (preferred === undefined) {
    problems.push({ file: config.file, position: undefined, message: "there is no identity" });
    return err(problems);
  }
  if (problems.length > 0) return err(problems);
  return ok({
    identities: identities.map(({ hit, suite, algorithm, file, key }) => ({
      ...{ hit, suite, algorithm, file },
      ...(key === undefined ? {} : { key }),
    })),
    defaultIdentity: preferred.hit,
    host: config.host,
    peers,
    locators: config.locators,
    names: config.names,
    port: config.network.port,
    lsiPrefix: config.network.lsiPrefix,
  });
}
