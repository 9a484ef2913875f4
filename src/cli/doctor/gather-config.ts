/** The configuration as far as it can be read, and the files that it names. */
import { accessSync, constants, readFileSync, statfsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parse } from "smol-toml";
import { formatPrefix } from "../../core/ip.ts";
import { err, ok } from "../../core/types.ts";
import { type DaemonConfig, loadConfig, problemText } from "../../runtime/config-file.ts";
import { HIP_PORT } from "../../runtime/config-schema.ts";
import { whyNot } from "../../runtime/files.ts";
import { keyFilesOf } from "../../runtime/identity-store.ts";
import { OFFLOADS } from "../../runtime/offloads.ts";
import { instanceOfFile, withInstanceDefaults } from "../../runtime/overlay-instance.ts";
import { checkConfig, places } from "../../runtime/prepare.ts";
import { DEFAULT_SOCKET } from "../context.ts";
import type { ConfigFacts, DiskFacts, FileFacts, Known, Plan } from "./facts.ts";

export interface ConfigSources {
  readonly facts: ConfigFacts;
  readonly files: readonly FileFacts[];
  readonly disk: Known<DiskFacts>;
}

/** `daemonUids`: whom keys may belong to besides root and us. */
export function gatherConfig(file: string, daemonUids: readonly number[]): ConfigSources {
  const path = resolve(file);
  const unreadable = whyUnreadable(path);
  const loaded = unreadable === undefined ? loadConfig(path) : undefined;
  const config = loaded?.ok === true ? loaded.value : undefined;
  const plan = config === undefined ? roughPlan(path) : planOf(config);
  const problems =
    loaded === undefined
      ? []
      : loaded.ok
        ? checkProblems(loaded.value, [...daemonUids, ...ownerOf(plan.stateDirectory)])
        : loaded.error.map(problemText);
  return {
    facts: { plan, problems, peerNames: config?.peers.map(({ name }) => name) ?? [], unreadable },
    files: filesOf(config, plan),
    disk: diskOf(plan.stateDirectory),
  };
}

/** What only more rights would mend; a file that is not there is a problem of the configuration itself. */
function whyUnreadable(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES" ? `${path}: ${whyNot(error)}` : undefined;
  }
}

function checkProblems(config: DaemonConfig, daemonUids: readonly number[]): readonly string[] {
  const checked = checkConfig(config);
  if (checked.ok) return [];
  // A key that belongs to the user that hipd runs as is right, also when somebody else looks at it.
  return checked.error.messages.filter((message) => {
    const owner = /belongs to user (\d+), not to us/.exec(message)?.[1];
    if (owner !== undefined && daemonUids.includes(Number(owner))) return false;
    return process.geteuid?.() === 0 || !/permission denied/.test(message);
  });
}

function planOf(config: DaemonConfig): Plan {
  const { network, control, metadata } = config;
  return {
    file: config.file,
    socket: control.socket,
    port: network.port,
    interface: network.interface,
    lsiPrefix: formatPrefix(network.lsiPrefix),
    stateDirectory: config.stateDirectory,
    peersDirectory: config.peersDirectory,
    offloads: network.offloads,
    metadata: metadata.source,
    peers: config.peers.length,
    metrics: metricsPlace(config.metrics.listen),
    hitRoutes: network.hitRoutes,
  };
}

/** "Every address" is asked at the loopback. */
function metricsPlace(listen: DaemonConfig["metrics"]["listen"]): string | undefined {
  if (listen === undefined) return undefined;
  const host = { "0.0.0.0": "127.0.0.1", "::": "::1" }[listen.host] ?? listen.host;
  return host.includes(":") ? `[${host}]:${listen.port}` : `${host}:${listen.port}`;
}

/** A configuration that is wrong somewhere may be right where it matters here. */
function roughPlan(path: string): Plan {
  let raw: unknown;
  try {
    raw = parse(readFileSync(path, "utf8"));
  } catch {}
  const instance = instanceOfFile(path);
  if (instance !== undefined) raw = withInstanceDefaults({ ...(raw as object | undefined) }, instance);
  const value = <T>(table: string, key: string, standard: T): T => {
    const found = (raw as Record<string, Record<string, unknown>> | undefined)?.[table]?.[key];
    return typeof found === typeof standard ? (found as T) : standard;
  };
  const folder = dirname(path);
  const peersDirectory = (raw as { peers_dir?: unknown } | undefined)?.peers_dir;
  return {
    file: path,
    socket: resolve(folder, value("control", "socket", DEFAULT_SOCKET)),
    port: value("network", "port", HIP_PORT),
    interface: value("network", "interface", "hip0"),
    lsiPrefix: value("network", "lsi_prefix", "198.18.0.0/15"),
    stateDirectory: resolve(folder, value("state", "directory", "/var/lib/hipd")),
    peersDirectory: resolve(folder, typeof peersDirectory === "string" ? peersDirectory : "peers.d"),
    offloads: [...OFFLOADS],
    metadata: value("locators", "metadata", "auto"),
    peers: 0,
    metrics: undefined,
    hitRoutes: "prefix",
  };
}

/** systemd gives the state directory to the user that hipd runs as. */
function ownerOf(path: string): readonly number[] {
  const found = statOf(path);
  return found.ok && found.value !== undefined ? [found.value.uid] : [];
}

function filesOf(config: DaemonConfig | undefined, plan: Plan): readonly FileFacts[] {
  const keys =
    config === undefined ? [join(plan.stateDirectory, "identity.pem")] : keyFilesOf(places(config));
  const directory = config?.identity.directory ?? join(plan.stateDirectory, "identities");
  const entries: readonly (readonly [string, FileFacts["role"]])[] = [
    ...keys.map((key) => [key, "key"] as const),
    [directory, "keys"],
    [plan.stateDirectory, "state"],
    [plan.peersDirectory, "peers"],
  ];
  return entries.map(([path, role]) => ({ path, role, found: statOf(path) }));
}

function statOf(path: string): FileFacts["found"] {
  try {
    const { mode, uid } = statSync(path);
    return ok({ mode, uid });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? ok(undefined) : err(whyNot(error));
  }
}

/** Before the first start the folder is not there: what counts is the one that it will be made in. */
function diskOf(directory: string): Known<DiskFacts> {
  let path = directory;
  while (statOf(path).ok && !present(path) && path !== dirname(path)) path = dirname(path);
  try {
    const { bavail, blocks, bsize, ffree, files } = statfsSync(path);
    return ok({
      path,
      writable: writableOf(path),
      freeBytes: bavail * bsize,
      totalBytes: blocks * bsize,
      // File systems without a table of files say 0 of 0.
      freeFiles: files === 0 ? Number.POSITIVE_INFINITY : ffree,
    });
  } catch (error) {
    return err(`${path}: ${whyNot(error)}`);
  }
}

function present(path: string): boolean {
  const found = statOf(path);
  return found.ok && found.value !== undefined;
}

function writableOf(path: string): DiskFacts["writable"] {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return ok(undefined);
  } catch (error) {
    return err(whyNot(error));
  }
}
