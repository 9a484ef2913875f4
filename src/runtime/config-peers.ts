/** The peers of hipd.toml and of the files in peers.d, checked against the rest of the configuration and against each other. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { formatHit } from "../core/ip.ts";
import { endpointText, type Hit } from "../core/types.ts";
import type { PeerConfig } from "../overlay/config.ts";
import { type Problem, readDocument, type Source } from "./config-document.ts";
import { HIP_PORT, PEERS_FILE_SCHEMA, type RawConfig, type RawPeer } from "./config-schema.ts";
import { inOverlay, withDefaultPort } from "./config-values.ts";
import { whyNot } from "./files.ts";
import type { Position } from "./toml-positions.ts";

/** A configured peer whose identity is still a name: identities are known later than the file. */
export interface FilePeer extends Omit<PeerConfig, "localHit"> {
  /** Name, file or HIT of one of our identities. */
  readonly identity: string | undefined;
  readonly at: Position;
  readonly identityAt: Position;
}

/** Files in peers.d beyond this are a mistake. */
const MAX_PEER_FILES = 100_000;

/** One [[peer]] and where it stands. */
export interface PeerEntry {
  readonly raw: RawPeer;
  /** Among those of its file. */
  readonly index: number;
  readonly source: Source;
  readonly from: "config" | "peers.d";
}

/** The entries of hipd.toml (`own`, read from `main`), then those of the files in `directory`. */
export function peerEntries(
  own: readonly RawPeer[],
  main: Source,
  directory: string,
  problems: Problem[],
): readonly PeerEntry[] {
  const entries: PeerEntry[] = own.map((raw, index) => ({ raw, index, source: main, from: "config" }));
  for (const path of peerFiles(directory, problems)) {
    const document = readDocument(path, PEERS_FILE_SCHEMA, problems);
    if (document === undefined) continue;
    for (const [index, raw] of (document.value?.peer ?? []).entries()) {
      entries.push({ raw, index, source: document.source, from: "peers.d" });
    }
  }
  return entries;
}

/** What they say, beside the rest of the configuration. */
export function filePeers(
  entries: readonly PeerEntry[],
  whole: RawConfig,
  problems: Problem[],
): readonly FilePeer[] {
  const peers = entries.map((entry) => filePeer(entry, whole, problems));
  checkDuplicates(peers, problems);
  return peers;
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

function filePeer({ raw, index, source, from }: PeerEntry, whole: RawConfig, problems: Problem[]): FilePeer {
  const path = ["peer", index];
  const carrier = raw.encapsulation ?? whole.network.encapsulation;
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
    if (inOverlay(locator.address, whole.network.lsi_prefix)) {
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
