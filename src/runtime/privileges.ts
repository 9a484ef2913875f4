/** What hipd may still do once it runs (capabilities(7)). */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import type { DaemonConfig } from "./config-file.ts";

/** The user who owns a file or folder; undefined: there is none. */
export type OwnerOf = (path: string) => number | undefined;

const ROOT = 0;

/**
 * Routes and addresses follow identities and peers: CAP_NET_ADMIN. Raw sockets only where plain IP carriers are configured. Root alone
 * also keeps what it needs to go on writing into folders that belong to somebody else.
 */
export function keptCapabilities(
  config: DaemonConfig,
  user: number,
  ownerOf: OwnerOf = owner,
): readonly string[] {
  const kept = ["CAP_NET_ADMIN"];
  if (plainCarriers(config)) kept.push("CAP_NET_RAW");
  const { identity, stateDirectory, peersDirectory, control } = config;
  const used = [
    stateDirectory,
    peersDirectory,
    identity.key,
    dirname(identity.key),
    ...identity.extra,
    identity.directory,
    config.file,
    dirname(control.socket),
  ];
  const foreign = used.some((path) => (ownerOf(path) ?? ROOT) !== ROOT);
  if (user === ROOT && foreign) kept.push("CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_CHOWN");
  return kept;
}

/** Whether HIP and ESP travel as IP protocols 139 and 50 anywhere. */
export function plainCarriers(config: Pick<DaemonConfig, "network" | "peers">): boolean {
  return config.network.carrier === "none" || config.peers.some((peer) => peer.carrier === "none");
}

function owner(path: string): number | undefined {
  try {
    return statSync(path).uid;
  } catch {
    return undefined;
  }
}
