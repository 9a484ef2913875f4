/** A data plane that a carrier (carry.ts) holds: how the next hipd gets it. Loaded by early.ts only where there is one. */
import { type CarryMessage, hearCarry, sendCarry } from "./carry-message.ts";
import {
  addon,
  type Begun,
  begin,
  claim,
  type Outcome,
  resume,
  STORED,
  type StoredDescriptor,
} from "./early.ts";
import type { HandoffAddon } from "./native-handoff.ts";
import type { ServiceAddon } from "./native-service.ts";

/** A carrier stops and answers in a few milliseconds; on a machine that has no processor for it, later. Until then it serves packets, mostly. */
const TAKE_MILLIS = 2_000;

/**
 * The ticket decides: who finds it in the store and takes it is the only one that goes on with what the predecessor left there, and no
 * carrier will; else a carrier has it, and what it gives has a ticket of its own.
 */
export function resumeCarried(stored: readonly StoredDescriptor[]): Outcome {
  const refuse = (reason: string): Outcome => ({ ok: false, reason });
  try {
    const claimed = claim(stored);
    if (claimed === "ours") return resume(stored, claimed);
    const of = (name: string): readonly number[] =>
      stored.filter((one) => one.name === name).map(({ fd }) => fd);
    const [[connection, ...connections], [controlFd, ...controls]] = [of(STORED.carrier), of(STORED.control)];
    const several = [connections, controls, of(STORED.ticket).slice(1), of(STORED.plane).slice(1)].flat();
    if (several.length > 0) return refuse("more than one hipd has left something");
    if (connection === undefined || controlFd === undefined) return refuse("it is not complete");
    const { begun, gapMicros, carriedMillis } = take(connection);
    return { ok: true, begun, controlFd, used: new Set(), carried: { gapMicros, millis: carriedMillis } };
  } catch (error) {
    return refuse((error as Error).message);
  }
}

type Handed = Extract<CarryMessage, { type: "handed" }>;

/** @throws Error in words. */
function take(connection: number): { readonly begun: Begun } & Handed {
  const native = addon() as unknown as HandoffAddon & ServiceAddon;
  try {
    sendCarry(native, connection, { type: "take" }, [], TAKE_MILLIS);
  } catch (error) {
    throw new Error(`its carrier does not hear: ${(error as Error).message}`);
  }
  const heard = hearCarry(native, connection, TAKE_MILLIS);
  if (!heard.ok && heard.error === "late") endSilent(native, connection);
  if (!heard.ok) throw new Error(`its carrier ${SILENCE[heard.error]}`);
  const { message, fds } = heard.value;
  const [memory = -1, ticket = -1, ...rest] = fds;
  let left = fds;
  try {
    if (message.type !== "handed")
      throw new Error(message.type === "refused" ? message.reason : "its carrier talks nonsense");
    // Nobody else has it; but whoever might have is kept out.
    if (!native.takeTicket(ticket)) throw new Error("another hipd has taken it from its carrier");
    const begun = begin(memory, rest.slice(0, message.tuns), rest.slice(message.tuns));
    left = [memory, ticket];
    return { ...message, begun };
  } finally {
    for (const fd of left) native.closeFd(fd);
  }
}

/** One that hangs would keep the sockets. */
function endSilent(native: HandoffAddon & ServiceAddon, connection: number): void {
  try {
    native.endPeer(connection);
    // Nothing that it says now counts: its end is what is waited for.
    for (let last = hearCarry(native, connection, TAKE_MILLIS); last.ok; ) {
      for (const fd of last.value.fds) native.closeFd(fd);
      last = hearCarry(native, connection, TAKE_MILLIS);
    }
  } catch {}
}

const SILENCE = {
  late: `has not answered in ${TAKE_MILLIS / 1000} s`,
  gone: "has ended",
  nonsense: "talks nonsense",
} as const;
