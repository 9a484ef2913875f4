/**
 * From one hipd to the next, through the descriptor store of the service manager: what the control plane knows, in sealed
 * memory beside the data plane's part. It holds keys and never touches a disk.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { DefaultDeserializer, serialize } from "node:v8";
import { err, type Instant, ok, type Result } from "../core/types.ts";
import type { HandedOverlay } from "../overlay/takeover.ts";
import type { Carrier, CarrierAnswer } from "./carrier.ts";
import { STORED } from "./early.ts";
import type { ServiceAddon } from "./native-service.ts";
import type { SuspendedPlane } from "./network-port.ts";
import type { ServiceManager } from "./systemd.ts";

/**
 * Of what `HandedOverlay` and everything in it looks like. To be raised with every change of its shape: test/unit/
 * runtime-takeover.test.ts notices. Another one is refused, and the associations are made anew.
 */
export const CONTROL_FORMAT = 6;

const MAGIC = "hipd-takeover-control";
const DIGEST = "sha256";
const DIGEST_BYTES = 32;
/** Magic, format. */
const HEADER_BYTES = MAGIC.length + 4;

export interface HandedControl {
  /** Of the predecessor, for the log. */
  readonly version: string;
  /** The predecessor's clock, and the time since the boot, at the end, both in milliseconds. */
  readonly now: Instant;
  readonly boot: number;
  readonly overlay: HandedOverlay;
}

export function encodeControl(handed: HandedControl): Uint8Array {
  const body = serialize(handed);
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, "latin1");
  header.writeUInt32BE(CONTROL_FORMAT, MAGIC.length);
  const digest = createHash(DIGEST).update(header).update(body).digest();
  const bytes = Buffer.concat([header, digest, body]);
  body.fill(0);
  return bytes;
}

/** What a predecessor wrote, or what is wrong with it. The bytes are wiped. */
export function readControl(bytes: Uint8Array): Result<HandedControl, string> {
  const body = checked(bytes);
  const read = body.ok ? decoded(body.value) : body;
  bytes.fill(0);
  return read;
}

/** The part behind the header, if all is whole and of our format. */
function checked(bytes: Uint8Array): Result<Uint8Array, string> {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length < HEADER_BYTES + DIGEST_BYTES || all.toString("latin1", 0, MAGIC.length) !== MAGIC)
    return err("its control part is not one");
  const format = all.readUInt32BE(MAGIC.length);
  if (format !== CONTROL_FORMAT)
    return err(`its control part has format ${format}, and this hipd understands ${CONTROL_FORMAT}`);
  const body = all.subarray(HEADER_BYTES + DIGEST_BYTES);
  const digest = createHash(DIGEST).update(all.subarray(0, HEADER_BYTES)).update(body).digest();
  if (!timingSafeEqual(digest, all.subarray(HEADER_BYTES, HEADER_BYTES + DIGEST_BYTES)))
    return err("its control part is damaged");
  return ok(body);
}

/** It is our own, and whole: its shape is not looked at again. */
function decoded(body: Uint8Array): Result<HandedControl, string> {
  try {
    const reader = new CopyingDeserializer(body);
    reader.readHeader();
    return ok(reader.readValue() as HandedControl);
  } catch (error) {
    return err(`its control part cannot be read: ${(error as Error).message}`);
  }
}

/** Byte strings would be views of what is read: it could not be wiped, and each would keep all of it. */
class CopyingDeserializer extends DefaultDeserializer {
  _readHostObject(): unknown {
    // It is there, and meant to be overridden; its type is not.
    const inherited = Reflect.get(DefaultDeserializer.prototype, "_readHostObject") as () => unknown;
    const value = inherited.call(this);
    return value instanceof Uint8Array ? new Uint8Array(value) : value;
  }
}

/** What is handed over beside the control plane's part, and to whom. */
export interface Bequest {
  readonly control: Uint8Array;
  readonly suspend: () => SuspendedPlane;
  /** Who goes on until the next hipd comes; undefined: packets wait for it. */
  readonly carrier?: Pick<Carrier, "connection" | "give"> | undefined;
}

/**
 * To the carrier first, so that packets flow again; and everything that the next hipd needs into the store, a ticket last: without one
 * nothing is taken from there. Where the carrier goes on, the connection with it stands for all but the control plane's part.
 * @returns what the carrier said. @throws Error; then nothing can be taken.
 */
export function giveAway(
  service: Pick<ServiceManager, "store">,
  native: Pick<ServiceAddon, "makeSealed" | "makeTicket" | "closeFd">,
  { control, suspend, carrier }: Bequest,
): CarrierAnswer | undefined {
  const opened: number[] = [];
  const mine = (...fds: readonly number[]): void => void opened.push(...fds);
  const make = (fd: number): number => {
    mine(fd);
    return fd;
  };
  try {
    service.store(STORED.control, [make(native.makeSealed(STORED.control, control))]);
    control.fill(0);
    // Made beforehand: packets wait from here on.
    const ticket = make(native.makeTicket());
    const { blob, tunFds, udpFds } = suspend();
    mine(...tunFds, ...udpFds);
    const plane = make(native.makeSealed(STORED.plane, blob));
    blob.fill(0);
    const answer = carrier?.give(plane, ticket, tunFds, udpFds);
    if (carrier !== undefined && answer?.type !== "refused")
      service.store(STORED.carrier, [carrier.connection]);
    if (answer?.type === "carrying") return answer;
    for (const [i, fd] of tunFds.entries()) service.store(`${STORED.tun}${i}`, [fd]);
    for (const [i, fd] of udpFds.entries()) service.store(`${STORED.udp}${i}`, [fd]);
    service.store(STORED.plane, [plane]);
    service.store(STORED.ticket, [ticket]);
    return answer;
  } finally {
    for (const fd of opened) native.closeFd(fd);
  }
}
