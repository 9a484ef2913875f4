/** Settings that a running daemon cannot change. */
import { isDeepStrictEqual } from "node:util";
import type { DaemonConfig } from "./config-file.ts";
import { plainCarriers } from "./privileges.ts";

type Setting = readonly [name: string, read: (config: DaemonConfig) => unknown];

const FIXED: readonly Setting[] = [
  ["network.interface", (config) => config.network.interface],
  ["network.port", (config) => config.network.port],
  ["network.lsi_prefix", (config) => config.network.lsiPrefix],
  ["network.mtu", (config) => config.network.mtu],
  ["network.workers", (config) => config.network.workers],
  ["network.aead", (config) => config.network.aead],
  ["network.offloads", (config) => [...config.network.offloads].sort()],
  ["network.hit_routes", (config) => config.network.hitRoutes],
  ["network.ecn", (config) => config.network.ecn],
  ["network.busy_poll", (config) => config.network.busyPollMicros],
  ["control.socket", (config) => config.control.socket],
  ["control.group", (config) => config.control.group],
  ["dns.listen", (config) => config.dns.listen],
  ["metrics.listen", (config) => config.metrics.listen],
  ["metrics.peer_series", (config) => config.metrics.peerSeries],
  ["log.format", (config) => config.log.format],
  ["state.directory", (config) => config.stateDirectory],
];

/** Their names in the file, where the two configurations differ. Rights that a first plain carrier needs were given up at the start. */
export function changedSettings(running: DaemonConfig, wanted: DaemonConfig): readonly string[] {
  const changed = FIXED.filter(([, read]) => !isDeepStrictEqual(read(running), read(wanted)));
  const firstPlain = plainCarriers(wanted) && !plainCarriers(running);
  return [...changed.map(([name]) => name), ...(firstPlain ? ['encapsulation = "none"'] : [])];
}

/** `wanted`, with the settings of `running` that a running daemon cannot change. */
export function withFixed(wanted: DaemonConfig, running: DaemonConfig): DaemonConfig {
  return {
    ...wanted,
    network: { ...running.network, carrier: wanted.network.carrier, nice: wanted.network.nice },
    control: running.control,
    dns: { ...wanted.dns, listen: running.dns.listen },
    metrics: running.metrics,
    log: { ...wanted.log, format: running.log.format },
    stateDirectory: running.stateDirectory,
  };
}
