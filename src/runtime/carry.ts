/**
 * The carrier: a process that forwards packets between the end of one hipd and the beginning of the next. It is started before the
 * first one stops, gets the suspended data plane with its descriptors, and gives it away again when the next one asks for it. It
 * knows nothing of HIP: control packets and events wait in the data plane for the next hipd.
 *
 * A ticket says who may go on with the sequence numbers: it is taken before the first packet, and each hand-over makes a new one.
 */
import { unlinkSync } from "node:fs";
import { CARRY_PROTOCOL, type CarryMessage, type Heard, hearCarry, sendCarry } from "./carry-message.ts";
import { STORED } from "./early.ts";
import type { Log } from "./log.ts";
import type { Addon, Handle } from "./native-addon.ts";
import type { HandoffAddon } from "./native-handoff.ts";
import type { ServiceAddon } from "./native-service.ts";

/** A restart that was announced comes within this time, or not at all: a little more than hipd remembers it. Milliseconds. */
export const AWAIT_MILLIS = 40_000;
/** The next hipd comes within this time; then the associations are given up. */
export const CARRY_MILLIS = 20_000;
/** Who has connected says at once what it wants. */
const HAND_MILLIS = 5_000;
/** After a stranger, and when no descriptor is free. */
const PAUSE_MILLIS = 100;
/** Messages are small, and who asks waits. */
const SEND_MILLIS = 2_000;

export type CarrierAddon = Pick<HandoffAddon, "acceptPeer" | "receiveMessage" | "sendMessage"> &
  Pick<ServiceAddon, "readSealed" | "makeSealed" | "makeTicket" | "closeFd"> &
  Pick<Addon, "resume" | "suspend" | "close" | "resumedOptions">;

export interface CarrierSystem {
  readonly native: CarrierAddon;
  readonly log: Log;
  /** Of this process: see `ownNetwork`. */
  readonly network: string;
  /** Milliseconds. */
  readonly now: () => number;
}

/** How it ended: it gave away what it carried, nobody came for it, it was never given anything, or it refused that. */
export type CarryEnd = "handed" | "abandoned" | "unused" | "refused";

/** Serves one restart, from the first packet to the last. The listener is closed, and its name removed, once somebody has come. */
export function carry(system: CarrierSystem, listener: number, path: string): CarryEnd {
  const { native, log } = system;
  const connection = awaitPeer(system, listener);
  native.closeFd(listener);
  removeName(path);
  if (connection === undefined) return "unused";
  const given = hearCarry(native, connection, HAND_MILLIS);
  if (!given.ok || given.value.message.type !== "carry") {
    const reason = given.ok ? `"${given.value.message.type}" was not asked for` : `hipd is ${given.error}`;
    return refuse(system, connection, given.ok ? given.value.fds : [], reason);
  }
  const { message, fds } = given.value as Heard & { message: Extract<CarryMessage, { type: "carry" }> };
  const wrong = misfit(message, system.network);
  if (wrong !== undefined) return refuse(system, connection, fds, wrong);
  let plane: Handle;
  try {
    plane = begin(native, message.tuns, fds);
  } catch (error) {
    return refuse(system, connection, fds, (error as Error).message);
  }
  const since = system.now();
  const gapMicros = native.resumedOptions(plane)[12];
  answer(native, connection, { type: "carrying", gapMicros });
  // A log that is not read must not come between: lines are written when all is done.
  const tell = (): void =>
    log.info("carrying", "packets went on while hipd restarted", {
      millis: Math.round(gapMicros / 1000),
      from: message.version,
    });
  const asked = hearCarry(native, connection, CARRY_MILLIS);
  if (!asked.ok || asked.value.message.type !== "take") {
    native.close(plane);
    tell();
    const reason = asked.ok || asked.error === "nonsense" ? "something else came" : GIVEN_UP[asked.error];
    log.warn("carry-ended", "the associations are given up: no hipd has taken them", { reason });
    return "abandoned";
  }
  const carriedMillis = Math.round(system.now() - since);
  handOn(native, connection, plane, { gapMicros, carriedMillis });
  tell();
  log.info("carry-handed", "the next hipd goes on", { millis: carriedMillis });
  return "handed";
}

const GIVEN_UP = {
  late: `none came in ${CARRY_MILLIS / 1000} s`,
  gone: "hipd was stopped, or has begun anew",
} as const;

/** The first of our user who comes. */
function awaitPeer({ native, log, now }: CarrierSystem, listener: number): number | undefined {
  const end = now() + AWAIT_MILLIS;
  for (;;) {
    try {
      const connection = native.acceptPeer(listener, Math.max(0, Math.ceil(end - now())));
      if (connection !== null) return connection;
      log.info("carry-unused", "no hipd has stopped: the carrier is not needed");
      return undefined;
    } catch (error) {
      log.warn("carry-refused", "the carrier carries nothing", { reason: (error as Error).message });
      if (now() >= end) return undefined;
      // Whatever it is, it may come again at once.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MILLIS);
    }
  }
}

/** Why it cannot be carried; undefined: it can. */
function misfit(
  { protocol, network }: Extract<CarryMessage, { type: "carry" }>,
  own: string,
): string | undefined {
  if (protocol !== CARRY_PROTOCOL)
    return `hipd speaks version ${protocol} with its carrier, and this one version ${CARRY_PROTOCOL}`;
  if (network !== own || own === "") return `hipd is in another network namespace (${network}, not ${own})`;
  return undefined;
}

/** From here on nobody else goes on with these sequence numbers. @throws Error; then nothing was taken, or not by us. */
function begin(native: CarrierAddon, tuns: number, fds: readonly number[]): Handle {
  const [memory = -1, ticket = -1] = fds;
  const blob = native.readSealed(memory);
  try {
    const tunFds = fds.slice(2, 2 + tuns);
    const [plane] = native.resume(blob, tunFds, fds.slice(2 + tuns), () => {}, ticket);
    native.closeFd(memory);
    native.closeFd(ticket);
    return plane;
  } finally {
    blob.fill(0);
  }
}

/** From here on this process touches no packet. */
function handOn(
  native: CarrierAddon,
  connection: number,
  plane: Handle,
  facts: { readonly gapMicros: number; readonly carriedMillis: number },
): void {
  const [blob, tunFds, socketFds] = native.suspend(plane);
  const memory = native.makeSealed(STORED.plane, blob);
  blob.fill(0);
  const fds = [memory, native.makeTicket(), ...tunFds, ...socketFds];
  const load = { tuns: tunFds.length, sockets: socketFds.length };
  sendCarry(native, connection, { type: "handed", ...facts, ...load }, fds, SEND_MILLIS);
}

function refuse(
  { native, log }: CarrierSystem,
  connection: number,
  fds: readonly number[],
  reason: string,
): CarryEnd {
  answer(native, connection, { type: "refused", reason });
  for (const fd of fds) native.closeFd(fd);
  log.warn("carry-refused", "the carrier carries nothing", { reason });
  return "refused";
}

/** Whether it is heard is not what counts: the ticket is. */
function answer(native: CarrierAddon, connection: number, message: CarryMessage): void {
  try {
    sendCarry(native, connection, message, [], SEND_MILLIS);
  } catch {}
}

function removeName(path: string): void {
  try {
    unlinkSync(path);
  } catch {}
}
