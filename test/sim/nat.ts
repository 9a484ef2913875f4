/** A network address translator of the kinds of RFC 4787. */
import { type Endpoint, endpointText } from "../../src/core/types.ts";

/** RFC 4787 4.1 and 5: what a mapping, and what a filter, depends on. */
export type NatBehaviour = "endpoint" | "address" | "address-and-port";

export interface NatKind {
  readonly mapping: NatBehaviour;
  readonly filtering: NatBehaviour;
  /** Milliseconds without an outbound packet after which a mapping is forgotten. */
  readonly expiry: number;
}

interface Mapping {
  readonly inside: Endpoint;
  readonly port: number;
  usedAt: number;
  /** Remote endpoints that were sent to, each with the time. */
  readonly remotes: Map<string, number>;
}

const FIRST_PORT = 40_000;

export class Nat {
  #address: string;
  readonly kind: NatKind;
  readonly #byKey = new Map<string, Mapping>();
  readonly #byPort = new Map<number, Mapping>();
  #nextPort = FIRST_PORT;

  constructor(address: string, kind: NatKind) {
    this.#address = address;
    this.kind = kind;
  }

  get address(): string {
    return this.#address;
  }

  renumber(address: string): void {
    this.#address = address;
    this.forget();
  }

  /** The public endpoint of a packet that leaves. */
  outbound(inside: Endpoint, remote: Endpoint, now: number): Endpoint {
    const key = `${endpointText(inside)} ${part(this.kind.mapping, remote)}`;
    let mapping = this.#byKey.get(key);
    if (mapping !== undefined && now - mapping.usedAt > this.kind.expiry) {
      this.#byPort.delete(mapping.port);
      mapping = undefined;
    }
    if (mapping === undefined) {
      mapping = { inside, port: this.#nextPort++, usedAt: now, remotes: new Map() };
      this.#byKey.set(key, mapping);
      this.#byPort.set(mapping.port, mapping);
    }
    mapping.usedAt = now;
    mapping.remotes.set(part(this.kind.filtering, remote), now);
    return { address: this.#address, port: mapping.port };
  }

  /** Where a packet that arrives goes, or undefined: filtered. */
  inbound(port: number, remote: Endpoint, now: number): Endpoint | undefined {
    const mapping = this.#byPort.get(port);
    if (mapping === undefined || now - mapping.usedAt > this.kind.expiry) return undefined;
    const seen = mapping.remotes.get(part(this.kind.filtering, remote));
    return seen === undefined || now - seen > this.kind.expiry ? undefined : mapping.inside;
  }

  /** A restart, or a change of mind: every mapping is gone, and the next ones have other ports. */
  forget(): void {
    this.#byKey.clear();
    this.#byPort.clear();
  }
}

function part(behaviour: NatBehaviour, remote: Endpoint): string {
  if (behaviour === "endpoint") return "";
  return behaviour === "address" ? remote.address : endpointText(remote);
}
