/** A peer written from the RFCs alone that talks to our `Host` on a bench: LOCATOR_SETs, UPDATEs, and what is told the data plane. */
import type { Carrier, Hit, Instant, Path } from "../../src/core/types.ts";
import { Identity } from "../../src/crypto/identity.ts";
import type { HostOutput } from "../../src/hip/io.ts";
import { Bench } from "./bench.ts";
import { type Choice, PlainResponder, type PlainSession } from "./plain-exchange.ts";
import {
  addMac,
  checkMac,
  checkSignature,
  encrypted,
  field,
  find,
  P,
  type Parsed,
  PlainIdentity,
  packet,
  read,
  TYPE,
  tlv,
} from "./plain-peer.ts";

const { u16, u32 } = field;
export const ours = Identity.generate("ecdsa-p256");
export const theirs = new PlainIdentity("ecdsa-p384");
export const LOCATOR_SET = 193;
export const MAPPED_ADDRESS = 4660;
export const MAPPED_PREFIX = Buffer.from("00000000000000000000ffff", "hex");

export interface Locator {
  readonly address: string;
  readonly preferred?: boolean;
  readonly lifetime?: number;
  /** 0 for both (this one unless told), 1 for HIP packets, 2 for data. */
  readonly traffic?: number;
}

/** One of our addresses, as the system tells of it. */
export const own = (address: string) => ({
  address,
  port: 0,
  kind: "host" as const,
  local: true,
  preference: 65_000,
  lifetime: undefined,
});

export const v4 = (address: string): Buffer => Buffer.from(address.split(".").map(Number));
/** 16 bytes: IPv4 mapped into IPv6, or hexadecimal digits as they are. */
const wide = (address: string): Buffer =>
  address.includes(".") ? Buffer.concat([MAPPED_PREFIX, v4(address)]) : Buffer.from(address, "hex");

/** RFC 8046 4, type 1: SPI and address. */
export function plainSet(spi: number, ...locators: readonly Locator[]): Buffer {
  return tlv(
    LOCATOR_SET,
    ...locators.flatMap(({ address, preferred, lifetime, traffic }) => [
      Buffer.of(traffic ?? 0, 1, 5, preferred === true ? 1 : 0),
      u32(lifetime ?? 0xffff_ffff),
      u32(spi),
      wide(address),
    ]),
  );
}

/** RFC 9028 5.7, type 2: port, protocol, kind, priority, SPI and address. */
export function transportSet(spi: number, port: number, ...locators: readonly Locator[]): Buffer {
  return tlv(
    LOCATOR_SET,
    ...locators.flatMap(({ address, preferred, lifetime }) => [
      Buffer.of(0, 2, 7, preferred === true ? 1 : 0),
      u32(lifetime ?? 0xffff_ffff),
      u16(port),
      Buffer.of(17, 0),
      u32(0x7e_ff_ff_ff),
      u32(spi),
      MAPPED_PREFIX,
      v4(address),
    ]),
  );
}

export class Story {
  readonly bench: Bench;
  readonly session: PlainSession;
  #sequence = 0;

  constructor(carrier: Carrier = "udp", choice: Choice = {}) {
    this.bench = new Bench(ours, theirs.hit, {}, 7, carrier);
    const peer = new PlainResponder(theirs, choice);
    const i2 = this.bench.answer(peer.r1(this.bench.connect(theirs.hit)));
    this.bench.input({ type: "datagram", bytes: peer.r2(i2), path: this.bench.path() });
    this.bench.due();
    this.session = peer.session as PlainSession;
  }

  /** The peer's UPDATE with a new Update ID from one of its addresses; what is sent for it. */
  update(from: string, ...parameters: readonly Buffer[]): readonly Sent[] {
    return this.deliver(this.say(tlv(P.seq, u32(this.#sequence++)), ...parameters), from);
  }

  say(...parameters: readonly Buffer[]): Buffer {
    const { session } = this;
    const whole = packet(TYPE.UPDATE, theirs.hit, this.bench.hit, parameters);
    return theirs.sign(addMac(whole, session.rhash, session.keys.out.mac));
  }

  deliver(bytes: Buffer, from: string): readonly Sent[] {
    const before = this.bench.outputs.length;
    const path = this.bench.path();
    this.bench.input({
      type: "datagram",
      bytes,
      path: { ...path, remote: { ...path.remote, address: from } },
    });
    return this.sentSince(before);
  }

  sentSince(before: number): readonly Sent[] {
    return this.bench.outputs
      .slice(before)
      .filter((one): one is Extract<HostOutput, { type: "send" }> => one.type === "send")
      .map(({ path, bytes }) => {
        const parsed = read(bytes);
        checkMac(parsed, this.session.rhash, this.session.keys.in.mac);
        checkSignature(parsed, this.session.peer.algorithm, this.session.peer.hostIdentity);
        return { path, parsed };
      });
  }

  /** Where the data plane was told to send. */
  get told(): readonly string[] {
    return this.bench.outputs
      .filter((one) => one.type === "sa-path")
      .map(({ path, verified }) => `${path.remote.address}${verified ? "" : " on credit"}`);
  }

  /** ESP_INFO that changes no key (RFC 8046 3.2.1). */
  get info(): Buffer {
    return tlv(P.espInfo, u16(0), u16(0), u32(this.session.ownSpi), u32(this.session.ownSpi));
  }

  /** Addresses of the peer and what is thought of each. */
  get locators(): Readonly<Record<string, string>> {
    const all = this.bench.host.peerLocators(theirs.hit.toString("hex") as Hit);
    return Object.fromEntries(all.map(({ endpoint, status }) => [endpoint.address, status]));
  }

  /** The answer to a question: its nonce comes back. */
  echo(question: Sent, from: string): readonly Sent[] {
    const nonce = find(question.parsed, P.echoRequestSigned).contents;
    const id = find(question.parsed, P.seq).contents;
    return this.deliver(this.say(tlv(P.ack, id), tlv(P.echoResponseSigned, nonce)), from);
  }

  pass(millis: number): void {
    this.bench.now = (this.bench.now + millis) as Instant;
    this.bench.input({ type: "timeout" });
  }

  hidden(parameter: Buffer): Buffer {
    return encrypted(this.session.cipher, this.session.keys.out.encryption, parameter);
  }
}

export interface Sent {
  readonly path: Path;
  readonly parsed: Parsed;
}

export const typesOf = ({ parsed }: Sent): readonly number[] => parsed.parameters.map(({ type }) => type);
