/** One association: a state, the jobs that run for it, and when it wants to be woken. */
import { equal } from "../core/bytes.ts";
import { type Deadline, type Hit, type Instant, type Spi, wholeMillis } from "../core/types.ts";
import type { HostConfig } from "./config.ts";
import type { Context, Pending, Received, Step } from "./context.ts";
import type { AssociationView, HostOutput, JobId } from "./io.ts";
import type { JobResult } from "./job.ts";
import { type PathHappening, pathHappens } from "./path-happenings.ts";
import { pathsChanged } from "./path-views.ts";
import { type Attempt, agreementOf, type Session, type State, UNASSOCIATED } from "./states.ts";
import { conclude, deadlineOf, type Happening, happen, receive, timeout } from "./tables.ts";

/** A job that runs, and the keys that its result is good for. */
interface Running {
  readonly pending: Pending;
  readonly keys: Uint8Array | undefined;
}

const NONE: readonly Pending[] = [];

export class Association {
  readonly local: Hit;
  readonly peer: Hit;
  /** Whether it came from trying another of our HITs after R1 refused the first (RFC 7401 6.8 step 6). */
  readonly secondChoice: boolean;
  #state: State = UNASSOCIATED;
  #since: Instant;
  /** Mostly there are none: then there is no map, either. */
  #pending: Map<JobId, Running> | undefined;

  constructor(local: Hit, peer: Hit, now: Instant, secondChoice = false) {
    this.local = local;
    this.peer = peer;
    this.secondChoice = secondChoice;
    this.#since = wholeMillis(now);
  }

  /** When its state began. */
  get since(): Instant {
    return this.#since;
  }

  get state(): State {
    return this.#state;
  }

  /** Nothing is lost when it is forgotten. */
  get blank(): boolean {
    return this.#state.name === "UNASSOCIATED" && this.#pending === undefined;
  }

  /** Goes on where another process stopped. */
  static resumed(local: Hit, peer: Hit, state: State, since: Instant): Association {
    const association = new Association(local, peer, since);
    association.#state = state;
    return association;
  }

  /** Takes over I1s that went to the NULL HIT (RFC 7401 4.1.8). */
  adopt(attempt: Attempt, now: Instant): void {
    this.#take({ next: { name: "I1-SENT", attempt }, out: [] }, now);
  }

  receive(received: Received, cx: Context): readonly HostOutput[] {
    return this.#take(receive(this.#state, received, cx), cx.now);
  }

  /** `spi`: our inbound SPI, where the data plane tells. */
  happen(what: Happening, cx: Context, spi?: Spi): readonly HostOutput[] {
    return this.#take(happen(this.#state, what, cx, spi), cx.now);
  }

  /** May come early: then nothing happens. */
  timeout(cx: Context): readonly HostOutput[] {
    const due = this.deadline(cx.config);
    if (due === undefined || due.at > cx.now) return [];
    return this.#take(timeout(this.#state, cx), cx.now);
  }

  /** What happens to our addresses and to paths. */
  pathHappens(what: PathHappening, cx: Context): readonly HostOutput[] {
    return this.#take(pathHappens(this.#state, what, cx), cx.now);
  }

  conclude(id: JobId, result: JobResult, cx: Context): readonly HostOutput[] {
    const running = this.#pending?.get(id);
    if (running === undefined) return [{ type: "drop", reason: "overtaken" }];
    this.#ended(id);
    const { pending, keys } = running;
    // The association has a new incarnation: what was said under the old keys is nothing to it.
    const now = keys === undefined ? undefined : agreementOf(this.#state)?.macOut;
    if (keys !== undefined && (now === undefined || !equal(keys, now)))
      return [{ type: "drop", reason: "overtaken" }];
    return this.#take(conclude(this.#state, pending, result, cx), cx.now);
  }

  deadline(config: HostConfig): Deadline | undefined {
    return deadlineOf(this.#state, this.#running(), config);
  }

  busy(kind: Pending["kind"]): boolean {
    return this.#running().some((pending) => pending.kind === kind);
  }

  running(kind: Pending["kind"]): number {
    return this.#running().filter((pending) => pending.kind === kind).length;
  }

  started(id: JobId, pending: Pending): void {
    const keys = boundToKeys(pending) ? agreementOf(this.#state)?.macOut : undefined;
    this.#pending ??= new Map();
    this.#pending.set(id, { pending, keys });
  }

  abandon(kind: Pending["kind"]): void {
    for (const [id, { pending }] of this.#pending ?? []) if (pending.kind === kind) this.#ended(id);
  }

  view(): AssociationView {
    const state = this.#state;
    const session: Session | undefined = "session" in state ? state.session : undefined;
    const agreement = agreementOf(state);
    const path = session?.path ?? ("path" in state ? state.path : undefined);
    return {
      local: this.local,
      peer: this.peer,
      state: state.name,
      role: session?.role ?? (state.name === "I1-SENT" || state.name === "I2-SENT" ? "initiator" : "none"),
      path,
      espSuite: agreement?.espSuite,
      hipCipher: agreement?.hipCipher,
      dhGroup: agreement?.dhGroup,
      inSpi: session?.inbound.spi,
      outSpi: session?.outbound,
      exchangeMillis: session?.exchangeMillis,
      since: this.#since,
      establishedAt: session?.establishedAt,
      peerDomain: agreement?.peerDomain ?? "",
      peerKey: () => (session === undefined ? undefined : agreement?.peer),
    };
  }

  #running(): readonly Pending[] {
    return this.#pending === undefined ? NONE : Array.from(this.#pending.values(), ({ pending }) => pending);
  }

  #ended(id: JobId): void {
    this.#pending?.delete(id);
    if (this.#pending?.size === 0) this.#pending = undefined;
  }

  #take(step: Step, now: Instant): readonly HostOutput[] {
    const before = this.#state;
    if (step.next.name !== before.name) this.#since = wholeMillis(now);
    this.#state = step.next;
    return pathsChanged(before, step.next) ? [...step.out, { type: "paths", peer: this.peer }] : step.out;
  }
}

/** NOTIFY and CLOSE_ACK are sent whatever becomes of the state; jobs of the base exchange bring their own keys. */
function boundToKeys(pending: Pending): boolean {
  if (pending.kind === "seal") return pending.sealed.what === "update" || pending.sealed.what === "close";
  return pending.kind === "verify" || pending.kind === "make-dh" || pending.kind === "rekey";
}
