/** Peers that were added at run time and are to be kept: one file each in peers.d. */
import { mkdirSync, readFileSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse, stringify } from "smol-toml";
import { formatHit } from "../core/ip.ts";
import { endpointText, err, ok, type Result } from "../core/types.ts";
import type { PeerConfig } from "../overlay/config.ts";
import { exists, syncDirectory, whyNot, writeAtomically } from "./files.ts";

const ADDED_BY_HAND = 'Written by "hipctl peer add --keep".';

/** What a file says about its peer. */
export interface PeerEntry
  extends Pick<PeerConfig, "name" | "hit" | "carrier" | "locators" | "inboundFamily" | "dns"> {
  /** Name, file or HIT of the identity that it is shown. */
  readonly identity: string | undefined;
}

/** The text of a file that holds just this peer, under a line that says who wrote it. */
export function peerFileText(peer: PeerEntry, origin: string): string {
  const table: Record<string, string | string[]> = { name: peer.name };
  if (peer.hit !== undefined) table["hit"] = formatHit(peer.hit);
  table["locators"] = peer.locators.map(endpointText);
  table["encapsulation"] = peer.carrier;
  if (peer.identity !== undefined) table["identity"] = peer.identity;
  table["inbound_family"] = peer.inboundFamily;
  if (peer.dns !== undefined) table["dns"] = peer.dns;
  return `# ${origin}\n${stringify({ peer: [table] })}\n`;
}

/** Writes `NAME.toml`; gives its path. A file that is there already is not replaced. */
export function keepPeer(directory: string, peer: PeerConfig): Result<string, string> {
  const file = join(directory, `${peer.name}.toml`);
  if (exists(file)) return err(`${file}: exists already and is not replaced`);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    const identity = peer.localHit === undefined ? undefined : formatHit(peer.localHit);
    writeAtomically(file, peerFileText({ ...peer, identity }, ADDED_BY_HAND), 0o644);
    return ok(file);
  } catch (error) {
    return err(`${file}: cannot be written: ${whyNot(error)}`);
  }
}

/** Deletes the file that a peer stands in, unless other peers stand there too. */
export function dropPeer(peer: PeerConfig): Result<string, string> {
  try {
    const document = parse(readFileSync(peer.file, "utf8"));
    const listed = document["peer"];
    if (Array.isArray(listed) && listed.length > 1) {
      return err(
        `${peer.file}: holds ${listed.length} peers; take "${peer.name}" out by hand, then run: hipctl reload`,
      );
    }
    unlinkSync(peer.file);
    syncDirectory(dirname(peer.file));
    return ok(peer.file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return ok(peer.file);
    return err(`${peer.file}: cannot be removed: ${whyNot(error)}`);
  }
}
