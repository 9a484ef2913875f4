/** What an import would change: members of inventories against the peers of the configuration. */
import { join } from "node:path";
import { formatHit } from "../../core/ip.ts";
import {
  type Endpoint,
  endpointText,
  err,
  type Hit,
  ok,
  type Result,
  sameEndpoint,
} from "../../core/types.ts";
import { MAX_PEERS } from "../../overlay/peers.ts";
import type { DaemonConfig } from "../config-file.ts";
import type { FilePeer } from "../config-peers.ts";
import { HIP_PORT } from "../config-schema.ts";
import { inOverlay, withDefaultPort } from "../config-values.ts";
import { exists } from "../files.ts";
import { type PeerEntry, peerFileText } from "../peers-directory.ts";
import type { Member, SignedInventory } from "./document.ts";
import type { Brought, Imported, Memory } from "./memory.ts";
import type { Voucher } from "./trust.ts";

/** An inventory that may be imported. */
export interface Admitted {
  readonly file: string;
  readonly inventory: SignedInventory;
  readonly voucher: Voucher;
  readonly imported: Imported;
}

/**
 * `add`: a new peer. `change`: other locators. `replace`: another HIT or another name. `remove`: no longer listed (only with prune).
 * `same`: nothing to do. `keep`: it stands in hipd.toml and stays as it is there. `self`: this host.
 */
export type Action = "add" | "change" | "replace" | "remove" | "same" | "keep" | "self";

export interface Change {
  readonly action: Action;
  readonly name: string;
  readonly hit: Hit;
  /** What differs, for people. */
  readonly detail: string;
}

export type Step =
  | { readonly kind: "write"; readonly file: string; readonly text: string }
  | { readonly kind: "remove"; readonly file: string };

export interface Plan {
  /** In the order of names. */
  readonly changes: readonly Change[];
  /** Removals first: should the machine stop between two steps, no two files claim one name or HIT. */
  readonly steps: readonly Step[];
  /** What is to be remembered afterwards. */
  readonly memory: Memory;
}

/** All conflicts at once; with any of them nothing is to be changed. */
export function planImport(
  admitted: readonly Admitted[],
  config: DaemonConfig,
  own: ReadonlySet<Hit>,
  memory: Memory,
  prune: boolean,
): Result<Plan, readonly string[]> {
  const planner = new Planner(config, own, memory);
  const listed = combine(admitted, planner.problems);
  for (const [member, by] of listed.values()) planner.member(member, by);
  if (prune) planner.prune(admitted, listed);
  const plan = planner.plan(admitted);
  return planner.problems.length > 0 ? err(planner.problems) : ok(plan);
}

/** Every member once. Files that contradict each other are a problem. */
function combine(
  admitted: readonly Admitted[],
  problems: string[],
): ReadonlyMap<Hit, readonly [Member, Admitted]> {
  const byHit = new Map<Hit, readonly [Member, Admitted]>();
  const byName = new Map<string, readonly [Member, Admitted]>();
  for (const each of admitted) {
    for (const member of each.inventory.members) {
      const twin = byHit.get(member.identity.hit) ?? byName.get(member.name);
      if (twin === undefined) {
        byHit.set(member.identity.hit, [member, each]);
        byName.set(member.name, [member, each]);
      } else if (!sameMember(twin[0], member)) {
        problems.push(
          `${each.file} and ${twin[1].file} say different things about "${member.name}"; import them one after another, the older one first`,
        );
      }
    }
  }
  return byHit;
}

function sameMember(a: Member, b: Member): boolean {
  return a.name === b.name && a.identity.hit === b.identity.hit && sameEndpoints(a.locators, b.locators);
}

function sameEndpoints(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  return a.length === b.length && a.every((each, i) => sameEndpoint(each, b[i] as Endpoint));
}

class Planner {
  readonly problems: string[] = [];
  readonly #config: DaemonConfig;
  readonly #own: ReadonlySet<Hit>;
  readonly #memory: Memory;
  readonly #brought: Map<Hit, Brought>;
  readonly #byHit = new Map<Hit, FilePeer>();
  readonly #byName = new Map<string, FilePeer>();
  readonly #inFile = new Map<string, number>();
  readonly #changes: Change[] = [];
  readonly #removals: Step[] = [];
  readonly #writes: Step[] = [];

  constructor(config: DaemonConfig, own: ReadonlySet<Hit>, memory: Memory) {
    this.#config = config;
    this.#own = own;
    this.#memory = memory;
    this.#brought = new Map(memory.members);
    for (const peer of config.peers) {
      if (peer.hit !== undefined) this.#byHit.set(peer.hit, peer);
      this.#byName.set(peer.name, peer);
      this.#inFile.set(peer.file, (this.#inFile.get(peer.file) ?? 0) + 1);
    }
  }

  member(member: Member, by: Admitted): void {
    const { name } = member;
    const { hit } = member.identity;
    if (this.#own.has(hit)) {
      this.#note("self", member, "this host");
      return;
    }
    for (const { address } of member.locators) {
      if (inOverlay(address, this.#config.network.lsiPrefix))
        this.problems.push(`"${name}": locator ${address} lies in the overlay itself`);
    }
    const before = this.#memory.members.get(hit);
    if (before !== undefined && before.created > by.inventory.created) {
      const newest = new Date(before.created).toISOString();
      this.problems.push(
        `"${name}" was brought by a newer inventory, made at ${newest} by ${formatHit(before.signer)}`,
      );
      return;
    }
    const sameHit = this.#byHit.get(hit);
    const sameName = this.#byName.get(name);
    if (sameHit !== undefined && sameHit === sameName) this.#known(member, sameHit, by);
    else if (sameHit === undefined && sameName === undefined) this.#add(member, by);
    else this.#replace(member, sameHit, sameName, by);
  }

  #known(member: Member, peer: FilePeer, by: Admitted): void {
    const wanted = this.#locators(member, peer.carrier);
    const owned = this.#memory.members.has(member.identity.hit);
    if (sameEndpoints(wanted, peer.locators)) this.#note("same", member, "");
    else if (peer.source === "config")
      this.#note("keep", member, `${peer.file} has ${listText(peer.locators)}`);
    else if (!this.#alone(peer)) this.#shared(peer);
    else {
      this.#note("change", member, `${listText(peer.locators)} -> ${listText(wanted)}`);
      this.#write(member, peer, by);
    }
    if (owned) this.#claim(member, by);
  }

  #add(member: Member, by: Admitted): void {
    const file = this.#file(member.name);
    if (exists(file)) {
      this.problems.push(`"${member.name}": ${file} exists already and holds another peer`);
      return;
    }
    this.#note("add", member, listText(this.#locators(member, this.#config.network.carrier)));
    this.#write(member, undefined, by);
    this.#claim(member, by);
  }

  /** A name with another HIT, or a HIT with another name: only for what the same signer has brought. */
  #replace(
    member: Member,
    sameHit: FilePeer | undefined,
    sameName: FilePeer | undefined,
    by: Admitted,
  ): void {
    const before = sameHit ?? (sameName as FilePeer);
    const brought = before.hit === undefined ? undefined : this.#memory.members.get(before.hit);
    const mine = brought?.signer === by.voucher.signer && brought.name === before.name;
    if ((sameHit !== undefined && sameName !== undefined) || !mine || before.source !== "peers.d") {
      const is =
        sameHit === undefined
          ? `the name "${member.name}" belongs to ${before.hit === undefined ? "another peer" : formatHit(before.hit)}`
          : `${formatHit(member.identity.hit)} is the peer "${before.name}"`;
      this.problems.push(
        `"${member.name}" (${formatHit(member.identity.hit)}): ${is} (${before.file}), which this signer did not bring; remove it first: hipctl peer remove ${before.name} --keep`,
      );
      return;
    }
    if (!this.#alone(before)) {
      this.#shared(before);
      return;
    }
    const what =
      sameHit === undefined ? `HIT was ${formatHit(before.hit as Hit)}` : `name was ${before.name}`;
    this.#note("replace", member, what);
    if (before.name !== member.name) this.#removals.push({ kind: "remove", file: before.file });
    this.#write(member, before, by);
    this.#brought.delete(before.hit as Hit);
    this.#claim(member, by);
  }

  /** What these signers brought once and do not list any more. */
  prune(admitted: readonly Admitted[], listed: ReadonlyMap<Hit, unknown>): void {
    const signers = new Set(
      admitted.filter(({ voucher }) => voucher.as === "operator").map(({ voucher }) => voucher.signer),
    );
    for (const [hit, { name, signer }] of this.#memory.members) {
      if (!signers.has(signer) || listed.has(hit) || !this.#brought.has(hit)) continue;
      this.#brought.delete(hit);
      const peer = this.#byHit.get(hit);
      if (peer === undefined || peer.name !== name || peer.source !== "peers.d") continue;
      if (!this.#alone(peer)) {
        this.#shared(peer);
        continue;
      }
      this.#changes.push({ action: "remove", name, hit, detail: "no longer listed" });
      this.#removals.push({ kind: "remove", file: peer.file });
    }
  }

  plan(admitted: readonly Admitted[]): Plan {
    const added = this.#changes.filter(({ action }) => action === "add").length;
    const removed = this.#changes.filter(({ action }) => action === "remove").length;
    const peers = this.#config.peers.length + added - removed;
    if (peers > MAX_PEERS)
      this.problems.push(`there would be ${peers} peers; at most ${MAX_PEERS} are allowed`);
    const signers = new Map(this.#memory.signers);
    for (const { voucher, imported } of admitted) {
      const before = signers.get(voucher.signer);
      if (before === undefined || imported.created > before.created) signers.set(voucher.signer, imported);
    }
    return {
      changes: this.#changes.sort((a, b) => (a.name < b.name ? -1 : 1)),
      steps: [...this.#removals, ...this.#writes],
      memory: { signers, members: this.#brought },
    };
  }

  #note(action: Action, { name, identity }: Member, detail: string): void {
    this.#changes.push({ action, name, hit: identity.hit, detail });
  }

  /** A host that only tells where it is does not become the one who may name or remove what somebody else has brought. */
  #claim(member: Member, by: Admitted): void {
    const { created } = by.inventory;
    const before = this.#memory.members.get(member.identity.hit);
    const signer = (by.voucher.as === "host" ? before?.signer : undefined) ?? by.voucher.signer;
    this.#brought.set(member.identity.hit, { name: member.name, signer, created });
  }

  /** What an operator has set for the peer here stays. */
  #write(member: Member, before: FilePeer | undefined, by: Admitted): void {
    const carrier = before?.carrier ?? this.#config.network.carrier;
    const entry: PeerEntry = {
      name: member.name,
      hit: member.identity.hit,
      carrier,
      locators: this.#locators(member, carrier),
      identity: before?.identity,
      inboundFamily: before?.inboundFamily ?? "hit",
      dns: before?.dns,
    };
    const origin = `Written by "hipctl inventory import"; signed by ${formatHit(by.voucher.signer)}.`;
    this.#writes.push({ kind: "write", file: this.#file(member.name), text: peerFileText(entry, origin) });
  }

  #locators(member: Member, carrier: FilePeer["carrier"]): readonly Endpoint[] {
    return member.locators.map((locator) => withDefaultPort(locator, carrier, HIP_PORT));
  }

  #file(name: string): string {
    return join(this.#config.peersDirectory, `${name}.toml`);
  }

  /** Whether its file is the one that `peer add --keep` would have written. */
  #alone(peer: FilePeer): boolean {
    return peer.file === this.#file(peer.name) && this.#inFile.get(peer.file) === 1;
  }

  #shared(peer: FilePeer): void {
    this.problems.push(
      `"${peer.name}" stands in ${peer.file}, which hipctl did not write or which holds further peers; change it there`,
    );
  }
}

function listText(locators: readonly Endpoint[]): string {
  return locators.length === 0 ? "no locator" : locators.map(endpointText).join(", ");
}
