/** What operators change while the overlay runs: peers, identities, the whole configuration. All or nothing. */
import { BoundedMap } from "../core/bounded.ts";
import { canonicalIp, formatHit, parseHit } from "../core/ip.ts";
import { type Endpoint, err, type Hit, ok, type Result } from "../core/types.ts";
import { configDifference, type OverlayConfig, type PeerConfig } from "./config.ts";
import type { ControlReply, NewPeer, RequestId } from "./control.ts";
import { roomFor } from "./membership.ts";
import { findPeer } from "./names.ts";
import type { Overlay } from "./overlay.ts";
import { checkPeers, displacedBy, type Peer, type Refusal } from "./peers.ts";

/** Changes to peers.d that wait for the disk at once. */
export const MAX_PERSISTING = 64;

/** Undefined: the answer comes later. */
export type Answer = Result<ControlReply, Refusal> | undefined;

interface Persisting {
  readonly id: RequestId;
  readonly what: "add" | "remove";
  readonly peer: PeerConfig;
}

export class Changes {
  readonly #overlay: Overlay;
  readonly #persisting = new BoundedMap<number, Persisting>("persisting_peers", MAX_PERSISTING, "refuse");
  #tokens = 0;

  constructor(overlay: Overlay) {
    this.#overlay = overlay;
  }

  overflows(): Readonly<Record<string, number>> {
    return { [this.#persisting.name]: this.#persisting.overflows };
  }

  /** With `keep` the file comes first: a peer that could not be written is not added. */
  addPeer(id: RequestId, draft: NewPeer, keep: boolean): Answer {
    const config = readDraft(draft);
    if (!config.ok) return config;
    const refused = this.#mayAdd(config.value);
    if (refused !== undefined) return err(refused);
    const clash = keep ? this.#inFile(config.value) : undefined;
    if (clash !== undefined) {
      const message = `peer "${clash.name}" stands in ${clash.file} already; a reload brings it back`;
      return err({ code: "exists", message });
    }
    if (keep) return this.#persist(id, "add", { ...config.value, source: "peers.d" });
    return this.#addNow(config.value);
  }

  removePeer(id: RequestId, peer: Peer, keep: boolean): Answer {
    const { name, source, file } = peer.config;
    if (keep && source === "config") {
      return err({
        code: "denied",
        message: `peer "${name}" stands in ${file}; remove it there and reload`,
      });
    }
    if (keep && source === "peers.d") return this.#persist(id, "remove", peer.config);
    return this.#removeNow(name);
  }

  /** The runtime has written or deleted a file of peers.d, or could not. */
  persisted(token: number, result: Result<string, string>): void {
    const waiting = this.#persisting.get(token);
    if (waiting === undefined) return;
    this.#persisting.delete(token);
    const { id, what, peer } = waiting;
    const answer = this.#afterPersisting(what, peer, result);
    this.#overlay.reply(id, answer.ok ? answer.value : { type: "error", ...answer.error });
  }

  /** Until the next restart or reload: the default identity, or the one that a peer is shown. */
  useIdentity(text: string, peerText: string | undefined): Answer {
    const overlay = this.#overlay;
    const hit = parseHit(text);
    if (!hit.ok) return err({ code: "invalid", message: hit.error });
    const { identities } = overlay.config;
    if (!identities.some((identity) => identity.hit === hit.value)) {
      const known = identities.map((identity) => formatHit(identity.hit)).join(", ");
      return err({
        code: "not_found",
        message: `${formatHit(hit.value)} is not an identity of this host; it has ${known}`,
      });
    }
    if (peerText === undefined) {
      this.#setIdentities({ ...overlay.config, defaultIdentity: hit.value });
      return undefined;
    }
    const peer = findPeer(peerText, overlay.peers, overlay.lsis);
    if (!peer.ok) return peer;
    const config = { ...peer.value.config, localHit: hit.value };
    overlay.membership.change(peer.value, config, hit.value);
    overlay.event("peer-changed", peer.value.hit, { name: config.name });
    return undefined;
  }

  configure(config: OverlayConfig): Answer {
    const overlay = this.#overlay;
    const inUse = [...overlay.peers.all()].map((peer) => peer.config);
    const fromFiles = inUse.filter(({ source }) => source !== "runtime");
    const change = configDifference(overlay.config, config, fromFiles);
    const refused = this.#mayConfigure(config, change.needsRestart);
    if (refused !== undefined) return err(refused);
    const { added, removed, changed } = change.peers;

    for (const { name } of removed) this.#forget(name);
    for (const { name } of this.#displaced(config)) this.#forget(name);
    for (const { before, after } of changed) if (otherHit(before, after)) this.#forget(before.name);
    if (change.identities || change.defaultIdentity || change.host) this.#setIdentities(config);
    overlay.setConfig(config);
    if (change.locators) overlay.whereabouts.configure(config);
    for (const { before, after } of changed) {
      const peer = overlay.peers.named(after.name);
      if (otherHit(before, after) || peer === undefined) overlay.membership.add(after);
      else overlay.membership.change(peer, after, after.localHit ?? config.defaultIdentity);
      overlay.event("peer-changed", after.hit, { name: after.name });
    }
    for (const peer of added) {
      overlay.membership.add(peer);
      overlay.event("peer-added", peer.hit, { name: peer.name, source: peer.source });
    }
    // Only where they stand may have changed.
    for (const after of config.peers) {
      const peer = overlay.peers.named(after.name);
      if (peer !== undefined && peer.config !== after) overlay.peers.update(peer, after);
    }
    const changes = {
      added: added.map(({ name }) => name),
      removed: removed.map(({ name }) => name),
      changed: changed.map(({ after }) => after.name),
      host: change.host,
      locators: change.locators,
      identities: change.identities || change.defaultIdentity,
    };
    overlay.event("config-applied", undefined, {
      added: added.length,
      removed: removed.length,
      changed: changed.length,
    });
    return ok({ type: "configured", changes });
  }

  /** A peer of the files, in use or not, beside which this one could not be loaded. */
  #inFile({ name, hit }: PeerConfig): PeerConfig | undefined {
    return this.#overlay.config.peers.find((peer) =>
      peer.name === name ? peer.source === "config" : peer.hit !== undefined && peer.hit === hit,
    );
  }

  /** What the files say now. */
  #setFilePeers(name: string, peer: PeerConfig | undefined): void {
    const { config } = this.#overlay;
    const others = config.peers.filter((other) => other.name !== name);
    this.#overlay.setConfig({ ...config, peers: peer === undefined ? others : [...others, peer] });
  }

  #mayAdd(config: PeerConfig): Refusal | undefined {
    const { peers, lsis, config: whole } = this.#overlay;
    const own = whole.identities.map(({ hit }) => hit);
    const others = [...peers.all()].map((peer) => ({ ...peer.config, hit: peer.hit }));
    const checked = checkPeers(
      [...others.filter(({ hit }) => hit !== undefined), config],
      own,
      whole.host.opportunistic,
    );
    if (!checked.ok) return checked.error;
    if (peers.named(config.name) !== undefined) {
      return {
        code: "exists",
        message: `there is a peer named "${config.name}" already; choose another name`,
      };
    }
    if (config.hit === undefined && config.dns !== undefined && whole.names?.dnsPeers !== true) {
      const message = `peer "${config.name}": it has no HIT, and [dns] dns_peers is off; set its HIT`;
      return { code: "invalid", message };
    }
    const room = roomFor([config], lsis);
    return room === undefined ? undefined : { code: "failed", message: room };
  }

  #addNow(config: PeerConfig): Result<ControlReply, Refusal> {
    // The world may have changed while the file was written.
    const refused = this.#mayAdd(config);
    if (refused !== undefined) return err(refused);
    this.#overlay.membership.add(config);
    this.#overlay.event("peer-added", config.hit, { name: config.name, source: config.source });
    return ok({ type: "peer", peer: this.#overlay.peerView(config.name) });
  }

  #removeNow(name: string): Result<ControlReply, Refusal> {
    this.#forget(name);
    return ok({ type: "removed", name });
  }

  #forget(name: string): void {
    const peer = this.#overlay.peers.named(name);
    if (peer === undefined) return;
    const { hit } = peer;
    this.#overlay.removePeer(peer);
    this.#overlay.event("peer-removed", hit, { name });
  }

  #persist(id: RequestId, what: "add" | "remove", peer: PeerConfig): Answer {
    const token = ++this.#tokens;
    if (!this.#persisting.set(token, { id, what, peer })) {
      return err({ code: "failed", message: `${MAX_PERSISTING} changes wait for the disk; try again later` });
    }
    this.#overlay.emit({ type: what === "add" ? "persist-peer" : "unpersist-peer", token, peer });
    return undefined;
  }

  #afterPersisting(
    what: "add" | "remove",
    peer: PeerConfig,
    result: Result<string, string>,
  ): Result<ControlReply, Refusal> {
    if (!result.ok) {
      const done = what === "add" ? "added" : "removed";
      return err({ code: "failed", message: `peer "${peer.name}" was not ${done}: ${result.error}` });
    }
    const kept = what === "add" ? { ...peer, file: result.value } : undefined;
    this.#setFilePeers(peer.name, kept);
    return kept === undefined ? this.#removeNow(peer.name) : this.#addNow(kept);
  }

  #mayConfigure(config: OverlayConfig, needsRestart: readonly string[]): Refusal | undefined {
    if (needsRestart.length > 0) {
      const names = needsRestart.join(" and ");
      return { code: "invalid", message: `${names} cannot change while hipd runs; restart it` };
    }
    const own = config.identities.map(({ hit }) => hit);
    if (!own.includes(config.defaultIdentity)) {
      const hit = formatHit(config.defaultIdentity);
      return { code: "invalid", message: `the default identity ${hit} is not among the host's identities` };
    }
    const displaced = new Set(this.#displaced(config));
    const runtime = [...this.#overlay.peers.all()]
      .map((peer) => peer.config)
      .filter((peer) => peer.source === "runtime" && !displaced.has(peer));
    const checked = checkPeers([...config.peers, ...runtime], own, config.host.opportunistic);
    if (!checked.ok) return checked.error;
    const room = roomFor(config.peers, this.#overlay.lsis);
    return room === undefined ? undefined : { code: "failed", message: room };
  }

  /** Peers added at run time whose name or HIT a file gives to a peer now: the file wins. */
  #displaced(config: OverlayConfig): readonly PeerConfig[] {
    const displaced = displacedBy(config.peers);
    return [...this.#overlay.peers.all()]
      .filter((peer) => peer.config.source === "runtime")
      .filter((peer) => displaced(peer.config.name, peer.hit))
      .map((peer) => peer.config);
  }

  /** New identities, another default or other settings of the protocol. Peers that see another identity begin anew. */
  #setIdentities(config: OverlayConfig): void {
    const overlay = this.#overlay;
    const { peers } = overlay;
    const own = config.identities.map(({ hit }) => hit);
    const before = peers.defaultIdentity;
    const moved = [...peers.all()].filter(
      (peer) => peer.config.localHit === undefined && before !== config.defaultIdentity,
    );
    for (const peer of moved) overlay.membership.beginAnew(peer);
    peers.configure(own, config.defaultIdentity, config.host.opportunistic);
    overlay.setConfig(config);
    overlay.carry(overlay.host.configure(config.host, config.identities, overlay.now));
    overlay.emit({ type: "identities", all: own, preferred: config.defaultIdentity });
    if (before !== config.defaultIdentity) {
      overlay.event("identity-default", undefined, { hit: formatHit(config.defaultIdentity) });
    }
  }
}

/** Whether a peer is no longer sure to be the same: its HIT is another one, or would come from elsewhere. */
function otherHit(before: PeerConfig, after: PeerConfig): boolean {
  return before.hit !== after.hit || (after.hit === undefined && before.dns !== after.dns);
}

/** Turns what somebody typed into a peer, or says what is wrong with it. */
function readDraft(draft: NewPeer): Result<PeerConfig, Refusal> {
  const invalid = (message: string) =>
    err<Refusal>({ code: "invalid", message: `peer "${draft.name}": ${message}` });
  const hit = readHit(draft.hit);
  if (!hit.ok) return invalid(hit.error);
  const localHit = readHit(draft.identity);
  if (!localHit.ok) return invalid(localHit.error);
  const locators: Endpoint[] = [];
  for (const { address, port } of draft.locators) {
    const canonical = canonicalIp(address);
    if (canonical === undefined) return invalid(`locator "${address}" is not an IP address`);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
      return invalid(`locator "${address}": port ${port} is not between 0 and 65535`);
    }
    if (draft.carrier === "udp" && port === 0) return invalid(`locator "${address}" needs a UDP port`);
    locators.push({ address: canonical, port: draft.carrier === "none" ? 0 : port });
  }
  return ok({
    name: draft.name,
    hit: hit.value,
    localHit: localHit.value,
    carrier: draft.carrier,
    locators,
    inboundFamily: draft.inboundFamily,
    dns: draft.dns,
    source: "runtime",
    file: "",
  });
}

function readHit(text: string | undefined): Result<Hit | undefined, string> {
  return text === undefined ? ok(undefined) : parseHit(text);
}
