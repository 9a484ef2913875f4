/** A data plane that a carrier (carry.ts) holds: how the next hipd gets it. Loaded by early.ts only where there is one. */
import { type CarryMessage, hearCarry, sendCarry } from "./carry-message.ts";
import {
  addon,
  type Begun,
  begin,
  claim,
  named,
  type Outcome,
  refuse,
  resume,
  STORED,
  type StoredDescriptor,
} from "./early.ts";
import type { HandoffAddon } from "./native-handoff.ts";
import type { ServiceAddon } from "./native-service.ts";

/** A carrier stops and answers in a few milliseconds; on a machine that has no processor for it, later. Until then it serves packets, mostly. */
const TAKE_MILLIS = 3_000;
/** A process that was killed is gone by then. */
const END_MILLIS = 500;

type Native = HandoffAddon & ServiceAddon;

/**
 * The ticket decides: who finds it in the store and takes it is the only one that goes on with what the predecessor left there, at
 * once, and no carrier will; else a carrier has it, and what it gives, when it is asked, has a ticket of its own.
 */
export function resumeCarried(stored: readonly StoredDescriptor[]): () => Outcome {
  const of = (name: string): readonly number[] => named(stored, name);
  const connections = of(STORED.carrier);
  /** Whoever is not needed any more would keep the sockets. */
  const alone = (outcome: Outcome): Outcome => {
    for (const connection of connections) endCarrier(connection);
    return outcome;
  };
  try {
    const claimed = claim(stored);
    if (claimed === "ours") {
      const outcome = alone(resume(stored, claimed));
      return () => outcome;
    }
  } catch (error) {
    return () => alone(refuse((error as Error).message));
  }
  return () => {
    const [[connection], [controlFd, ...controls]] = [connections, of(STORED.control)];
    const several = [connections, of(STORED.ticket), of(STORED.plane)].flatMap((fds) => fds.slice(1));
    if (several.length + controls.length > 0) return alone(refuse("more than one hipd has left something"));
    if (connection === undefined || controlFd === undefined) return alone(refuse("it is not complete"));
    try {
      const { begun, gapMicros, carriedMillis } = take(connection);
      return { ok: true, begun, controlFd, used: new Set(), carried: { gapMicros, millis: carriedMillis } };
    } catch (error) {
      return alone(refuse((error as Error).message));
    }
  };
}

type Handed = Extract<CarryMessage, { type: "handed" }>;

/** @throws Error in words. */
function take(connection: number): { readonly begun: Begun } & Handed {
  const native = addon() as unknown as Native;
  const heard = ask(native, connection);
  if (!heard.ok) throw new Error(`its carrier ${SILENCE[heard.error]}`);
  const { message, fds } = heard.value;
  const [memory = -1, ticket = -1, ...rest] = fds;
  let left = fds;
  try {
    if (message.type !== "handed")
      throw new Error(message.type === "refused" ? message.reason : "its carrier talks nonsense");
    // A hipd that died may have asked before us: then this is what it was given.
    if (!native.takeTicket(ticket)) throw new Error("another hipd has taken it from its carrier");
    const begun = begin(memory, rest.slice(0, message.tuns), rest.slice(message.tuns));
    left = [memory, ticket];
    return { ...message, begun };
  } finally {
    for (const fd of left) native.closeFd(fd);
  }
}

/** What the carrier says to "take". What it told the predecessor, who did not wait for it, may come first; and what it has said is there when it is gone. */
function ask(native: Native, connection: number): ReturnType<typeof hearCarry> {
  let end = performance.now() + TAKE_MILLIS;
  try {
    sendCarry(native, connection, { type: "take" }, [], TAKE_MILLIS);
  } catch {
    end = 0;
  }
  for (let gone = end === 0; ; ) {
    const heard = hearCarry(native, connection, Math.max(0, Math.ceil(end - performance.now())));
    if (heard.ok && heard.value.message.type === "carrying") continue;
    if (heard.ok || heard.error !== "gone" || gone) return heard;
    gone = true;
  }
}

/** Nothing that it says now counts: its end is what is waited for. */
function endCarrier(connection: number): void {
  const native = addon() as unknown as Native;
  const end = performance.now() + END_MILLIS;
  try {
    native.endPeer(connection);
    for (;;) {
      const last = hearCarry(native, connection, Math.max(0, Math.ceil(end - performance.now())));
      if (last.ok) for (const fd of last.value.fds) native.closeFd(fd);
      else if (last.error !== "nonsense") return;
    }
  } catch {}
}

const SILENCE = {
  late: `has not answered in ${TAKE_MILLIS / 1000} s`,
  gone: "has ended",
  nonsense: "talks nonsense",
} as const;
