/** What happened in a world, as records, as one number, and as a picture. */
import { toHex } from "../../src/core/bytes.ts";
import { get, parse } from "../../src/wire/packet.ts";
import { ECHO_REQUEST_SIGNED, ECHO_RESPONSE_SIGNED } from "../../src/wire/rfc7401.ts";
import type { Fate, Packet } from "./network.ts";

export interface Record {
  readonly at: number;
  readonly from: string;
  readonly to: string;
  readonly what: string;
  readonly note: string;
}

/** Records that a picture can go back to. */
const KEPT = 4000;

export class Trace {
  readonly records: Record[] = [];
  /** How often each kind of thing was remarked: what a run has covered. */
  readonly counts = new Map<string, number>();
  /** Two 32-bit FNV-1a states over everything recorded, in order. */
  #low = 0x811c_9dc5;
  #high = 0x9747_b28c;

  packet(at: number, packet: Packet, fate: Fate, from: string, to: string): void {
    const { source, destination, carrier, payload } = packet;
    const what = payload.kind === "hip" ? describe(payload.bytes) : `ESP(${payload.esp.size})`;
    this.#hash(
      `${at} ${carrier} ${source.address}:${source.port}>${destination.address}:${destination.port} ${fate} ${what}`,
    );
    const short = what.replace(/\(.*/, "");
    this.#keep({ at, from, to, what: payload.kind === "hip" ? short : what, note: fate });
  }

  /** Something that a host or the world does; part of the hash. */
  action(at: number, from: string, what: string): void {
    this.#hash(`${at} ${from} ${what}`);
    this.#keep({ at, from, to: "", what, note: "" });
  }

  /** Something that is shown but not hashed, because it may depend on random bytes. */
  remark(at: number, from: string, what: string): void {
    this.#keep({ at, from, to: "", what, note: "remark" });
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, "0") + (this.#low >>> 0).toString(16).padStart(8, "0");
  }

  #hash(text: string): void {
    for (let i = 0; i < text.length; i++) {
      this.#low = Math.imul(this.#low ^ text.charCodeAt(i), 0x0100_0193);
      this.#high = Math.imul(this.#high ^ text.charCodeAt(i), 0x0100_01b3) + (this.#low >>> 13);
    }
  }

  #keep(record: Record): void {
    this.records.push(record);
    if (this.records.length > 2 * KEPT) this.records.splice(0, KEPT);
  }
}

/** A HIP packet at a glance. */
export interface Glance {
  /** Packet type and the types and lengths of its parameters, not its bytes: those differ from run to run. */
  readonly text: string;
  /** Nonces that it asks to be sent back, and that it sends back, in hexadecimal. */
  readonly asks: string | undefined;
  readonly echoes: string | undefined;
}

const seen = new WeakMap<Uint8Array, Glance>();

export function glance(bytes: Uint8Array): Glance {
  const known = seen.get(bytes);
  if (known !== undefined) return known;
  const packet = parse(bytes);
  const made: Glance = packet.ok
    ? {
        text: `${packet.value.name}(${packet.value.parameters.map(({ type, contents }) => `${type}:${contents.length}`).join(",")})`,
        asks: hexOf(get(packet.value, ECHO_REQUEST_SIGNED)?.data),
        echoes: hexOf(get(packet.value, ECHO_RESPONSE_SIGNED)?.data),
      }
    : { text: `garbage(${bytes.length})`, asks: undefined, echoes: undefined };
  seen.set(bytes, made);
  return made;
}

export function describe(bytes: Uint8Array): string {
  return glance(bytes).text;
}

function hexOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : toHex(bytes);
}
