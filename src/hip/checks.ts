/** Address checks: an UPDATE with a nonce along a path, and its answer (RFC 8046 5.2, 5.4; RFC 9028 4.9, 5.7). */
import { constantTimeEqual } from "../core/bytes.ts";
import { after, type Carrier, type Path, samePath } from "../core/types.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import { ECHO_REQUEST_SIGNED, SEQ } from "../wire/rfc7401.ts";
import { ESP_INFO } from "../wire/rfc7402.ts";
import { LOCATOR_SET } from "../wire/rfc8046.ts";
import type { Timers } from "./config.ts";
import { type Context, event } from "./context.ts";
import type { HostOutput } from "./io.ts";
import { announceable, locatorSet, setText, withSpi } from "./locator-set.ts";
import {
  type Check,
  fallen,
  type HandoverReason,
  heard,
  isGuess,
  locatorAt,
  MAX_CHECKS,
  type Mobility,
  withLocator,
} from "./mobility-state.ts";
import { preferredLocal } from "./path-choice.ts";
import { afresh, isGuessed, lastWait, withoutNews } from "./questions.ts";
import { sentOnce } from "./retransmit.ts";
import type { Open, Session } from "./states.ts";
import { sealUpdate, sendUpdate } from "./update-send.ts";
import { outstandingAt } from "./update-state.ts";

const NONCE_BYTES = 16;
/** A set with lifetimes may be told again after so much of each second of the shortest. */
const ANNOUNCE_AGAIN_MILLIS = 600;
/** In the place of a set's text when nobody knows whether the peer has it: equal to none. */
const UNTOLD = "?";
/** Changes of our side: the peer must hear of them by each of the ways that are tried. */
const OWN_MOVES: ReadonlySet<HandoverReason> = new Set([
  "address-gone",
  "address-preferred",
  "path-dead",
  "asked",
]);

/** A state and what happens outside: a step that stays open. */
export interface Stay {
  readonly next: Open;
  readonly out: readonly HostOutput[];
}

export function withMobility<S extends Open>(state: S, change: Partial<Mobility>): S {
  const { session } = state;
  return { ...state, session: { ...session, mobility: { ...session.mobility, ...change } } };
}

type Announcing = Pick<Context, "own" | "config" | "now">;

/** Our LOCATOR_SET as the peer should have it. */
function ownSetText(session: Session, cx: Announcing): string {
  const own = announceable(cx.own ?? [], session.path.carrier, cx.config.udpPort, session.path.remote);
  return setText(own, preferredLocal(session, cx));
}

/**
 * Whether the peer has to be told of our locators. One that is reached where the base exchange was, and nowhere else, has
 * nothing to tell (RFC 8046 5.1), nor has one that it could not reach at any of them.
 */
export function mustAnnounce(session: Session, cx: Announcing): boolean {
  if (cx.own === undefined || cx.own.length === 0) return false;
  const { address } = session.path.local;
  const only = cx.own.length === 1 && cx.own[0]?.address === address && cx.own[0].lifetime === undefined;
  const { announced, announceAgainAt } = session.mobility;
  if (announced === "" && only) return false;
  const text = ownSetText(session, cx);
  const again = announceAgainAt !== undefined && announceAgainAt <= cx.now;
  return text !== "" && (again || announced !== text);
}

/** Somewhat before the overlay says anew how long our addresses last. */
function announceAgainAt(cx: Announcing): Mobility["announceAgainAt"] {
  const ends = (cx.own ?? []).map(({ lifetime }) => lifetime).filter((seconds) => seconds !== undefined);
  return ends.length === 0
    ? undefined
    : after(cx.now, Math.max(1, Math.min(...ends)) * ANNOUNCE_AGAIN_MILLIS);
}

/**
 * Asks the peer for an answer along a path, with our locators where it does not have them. `answers`: its UPDATE that
 * this one acknowledges, with the echoes that it wanted. Undefined: such a check runs already, or too many do.
 */
export function startCheck(
  state: Open,
  path: Path,
  use: HandoverReason | undefined,
  cx: Context,
  answers?: {
    readonly id: number;
    readonly parameters: readonly DraftParameter[];
    readonly unsigned: readonly DraftParameter[];
  },
): Stay | undefined {
  const { session } = state;
  const { checks, announced } = session.mobility;
  const same = checks.find((one) => samePath(one.path, path));
  if (same === undefined ? checks.length >= MAX_CHECKS : answers !== undefined) return undefined;
  const ours = use !== undefined && OWN_MOVES.has(use);
  // What is told only there may never be heard, and is for the peer: not for whoever copied a packet of it.
  const telling = ours || (mustAnnounce(session, cx) && !isGuessed(session, path));
  const set = telling ? announcement(session, path.carrier, cx) : undefined;
  const news = set !== undefined && set.text !== announced;
  // One that says already what there is to say need only be faster, when traffic waits for it.
  if (same !== undefined && (set === undefined || (!news && hasSet(session, same)))) {
    return use === undefined || same.use !== undefined ? undefined : stay(atOnce(state, same, use, cx));
  }
  const nonce = cx.random.bytes(NONCE_BYTES);
  const asking = [sameSpis(session), ...(set?.open ?? [])];
  const question = ECHO_REQUEST_SIGNED.of({ data: nonce });
  const secret = set?.secret ?? [];
  const before = news ? withNews(state, cx) : state;
  const sent =
    same === undefined
      ? sendUpdate(before, [...asking, ...(answers?.parameters ?? []), question], cx, {
          answers: answers?.id,
          unsigned: answers?.unsigned ?? [],
          secret,
          via: path,
          retransmit: sentOnce(paceOf(use, cx), cx.now, cx.random),
        })
      : sayMore(before, same, use, asking, question, secret, cx);
  if (sent.next === before) return { next: state, out: sent.out };
  const others = checks.filter((one) => one !== same).map((one) => (news ? withoutNews(one) : one));
  const told = set !== undefined && (news || checks.some((one) => one.told));
  const hastened = same === undefined || (use !== undefined && same.use === undefined);
  const check: Check = {
    path,
    updateId: session.updates.nextId,
    nonce,
    startedAt: hastened ? cx.now : same.startedAt,
    use: same?.use ?? use,
    told,
  };
  const next = withMobility(sent.next, {
    checks: [...others, check],
    ...(set === undefined ? {} : { announced: set.text, announceAgainAt: announceAgainAt(cx) }),
  });
  const said = news ? [event(cx, "locators-announced", { locators: set.text })] : [];
  return { next, out: [...sent.out, ...said] };
}

function paceOf(use: HandoverReason | undefined, { config: { mobility, timers } }: Context): Timers {
  return use === undefined ? timers : { ...timers, retransmit: mobility.checkRetransmit };
}

/** Whether the UPDATE of a check carries our LOCATOR_SET: then it is the one that we told last, see `withNews`. */
function hasSet({ updates }: Session, { updateId }: Check): boolean {
  const one = outstandingAt(updates, updateId);
  return (
    one !== undefined && [...one.parameters, ...one.secret].some(({ type }) => type === LOCATOR_SET.type)
  );
}

/**
 * The question of a check that runs, with more in it: under a fresh Update ID, as the peer may have taken the former one,
 * and with another nonce, so that no echo of what was said before counts for what is said now.
 */
function sayMore(
  state: Open,
  same: Check,
  use: HandoverReason | undefined,
  asking: readonly DraftParameter[],
  question: DraftParameter,
  secret: readonly DraftParameter[],
  cx: Context,
): Stay {
  const { updates } = state.session;
  const said = outstandingAt(updates, same.updateId);
  const replaced = new Set<number>([ESP_INFO.type, LOCATOR_SET.type, question.type]);
  const kept = (said?.parameters ?? []).filter(({ type }) => !replaced.has(type));
  const parameters = [...asking, ...kept, question];
  const faster = use !== undefined && same.use === undefined;
  const retransmit = faster
    ? sentOnce(paceOf(use, cx), cx.now, cx.random)
    : lastWait(state.session, same, cx);
  const change = { parameters, secret, ...(retransmit === undefined ? {} : { retransmit }) };
  const next = afresh(state, same.updateId, change);
  const id = updates.nextId;
  const what = { id, answers: undefined };
  const signed = [SEQ.of({ updateId: id }), ...parameters];
  return stay(
    next,
    sealUpdate(state.session, signed, what, same.path, cx, { secret, unsigned: said?.unsigned }),
  );
}

/** RFC 8046 3.2.1: equal SPIs change no key. */
function sameSpis({ agreement, inbound }: Session): DraftParameter {
  const { keymatIndex } = agreement;
  return ESP_INFO.of({ keymatIndex, oldSpi: inbound.spi, newSpi: inbound.spi });
}

/**
 * Checks that wait for their answers say what is so now when they are repeated: a LOCATOR_SET replaces all earlier ones
 * (RFC 8046 5.2), also where the network brings an older one later.
 */
function withNews(state: Open, cx: Announcing): Open {
  const { session } = state;
  return renewed(state, (parameter, via) => {
    if (parameter.type !== LOCATOR_SET.type) return [parameter];
    const set = announcement(session, via.carrier, cx);
    return [...(set?.open ?? []), ...(set?.secret ?? [])];
  });
}

/** Their SPI was replaced and is soon unknown. What they say about our locators stays: news are told as news. */
export function withNewSpi(state: Open): Open {
  const { session } = state;
  return renewed(state, (parameter) => {
    if (parameter.type === ESP_INFO.type) return [sameSpis(session)];
    return [parameter.type === LOCATOR_SET.type ? withSpi(parameter, session.inbound.spi) : parameter];
  });
}

function renewed(
  state: Open,
  anew: (parameter: DraftParameter, via: Path) => readonly DraftParameter[],
): Open {
  const { session } = state;
  const { updates, mobility, path } = session;
  if (mobility.checks.length === 0) return state;
  const outstanding = updates.outstanding.map((one) => {
    if (!mobility.checks.some(({ updateId }) => updateId === one.id)) return one;
    const change = (parameter: DraftParameter): readonly DraftParameter[] => anew(parameter, one.via ?? path);
    return {
      ...one,
      parameters: one.parameters.flatMap(change),
      secret: one.secret.flatMap(change),
      bytes: undefined,
      outdated: one.bytes === undefined,
    };
  });
  return { ...state, session: { ...session, updates: { ...updates, outstanding } } };
}

/** Without these checks. When the last one goes that carried a set, and nobody has heard of it, it is to be told again. */
function withoutChecks(
  { checks, announced }: Mobility,
  gone: (check: Check) => boolean,
): Pick<Mobility, "checks" | "announced"> {
  const left = checks.filter((one) => !gone(one));
  const unheard = checks.some(({ told }) => told) && !left.some(({ told }) => told);
  return { checks: left, announced: unheard ? UNTOLD : announced };
}

/** Traffic waits for a check now: its clock begins anew, and its UPDATE is repeated at once and then as fast as one of those. */
function atOnce(state: Open, check: Check, use: HandoverReason, cx: Context): Open {
  const { updates, mobility } = state.session;
  const retransmit = { ...sentOnce(paceOf(use, cx), cx.now, cx.random), tries: 0, due: cx.now };
  const outstanding = updates.outstanding.map((one) =>
    one.id === check.updateId ? { ...one, retransmit } : one,
  );
  const checks = mobility.checks.map((one) => (one === check ? { ...one, use, startedAt: cx.now } : one));
  return withMobility(
    { ...state, session: { ...state.session, updates: { ...updates, outstanding } } },
    { checks },
  );
}

/** LOCATOR_SET: inside ENCRYPTED over UDP (RFC 9028 5.7), in the clear without (RFC 8046 5.2). */
function announcement(
  session: Session,
  carrier: Carrier,
  cx: Announcing,
):
  | {
      readonly open: readonly DraftParameter[];
      readonly secret: readonly DraftParameter[];
      readonly text: string;
    }
  | undefined {
  const own = announceable(cx.own ?? [], carrier, cx.config.udpPort, session.path.remote);
  // An empty set would deprecate every address (RFC 8046 4).
  if (own.length === 0) return undefined;
  const preferred = preferredLocal(session, cx);
  const set = locatorSet(own, preferred, carrier, session.inbound.spi);
  const text = setText(own, preferred);
  return carrier === "udp" ? { open: [], secret: [set], text } : { open: [set], secret: [], text };
}

/** The check that an echo answers: the peer is there (RFC 8046 5.4). */
export function takeEcho(
  state: Open,
  echo: Uint8Array | undefined,
  cx: Context,
): { readonly state: Open; readonly check: Check; readonly out: readonly HostOutput[] } | undefined {
  const { mobility, updates } = state.session;
  const check =
    echo === undefined ? undefined : mobility.checks.find(({ nonce }) => constantTimeEqual(nonce, echo));
  if (check === undefined) return undefined;
  const { remote } = check.path;
  const locator = locatorAt(mobility, remote);
  const fresh = locator?.status !== "ACTIVE";
  const active = withLocator(mobility, {
    endpoint: remote,
    // The peer left it while the question was on its way; what was asked in need is an address again.
    status: locator?.status === "DEPRECATED" && check.use === undefined ? "DEPRECATED" : "ACTIVE",
    preferred: locator?.preferred ?? false,
    source: locator === undefined || locator.status === "DEPRECATED" ? "observed" : locator.source,
    // That it is there now is no promise that it stays.
    reflexive: locator?.reflexive ?? false,
    // Of sources that nobody announced the one that moved last is where the peer is.
    since: fresh || check.use === "source-moved" ? cx.now : (locator?.since ?? cx.now),
    // An end that has passed says nothing about an address that has just answered.
    until: locator?.until !== undefined && locator.until <= cx.now ? undefined : locator?.until,
  });
  const known = heard(active, check.path, cx.now - check.startedAt, cx.now);
  const others = mobility.checks.filter((one) => one !== check);
  const next: Open = {
    ...state,
    session: {
      ...state.session,
      updates: { ...updates, outstanding: updates.outstanding.filter(({ id }) => id !== check.updateId) },
      mobility: { ...known, checks: check.told ? others.map(withoutNews) : others },
    },
  };
  const told = fresh ? [event(cx, "locator-verified", { address: remote.address, port: remote.port })] : [];
  return { state: next, check, out: told };
}

/** Forgets a check that was not answered. */
export function failCheck(state: Open, check: Check, cx: Context): Stay {
  const { updates, mobility, path } = state.session;
  const { remote } = check.path;
  const locator = locatorAt(mobility, remote);
  const guess = locator !== undefined && isGuess(locator) && !samePath(check.path, path);
  const without = { ...mobility, locators: mobility.locators.filter((one) => one !== locator) };
  const next: Open = {
    ...state,
    session: {
      ...state.session,
      updates: { ...updates, outstanding: updates.outstanding.filter(({ id }) => id !== check.updateId) },
      mobility: {
        ...(guess ? without : fallen(mobility, check.path, cx.now, true)),
        ...withoutChecks(mobility, (one) => one === check),
      },
    },
  };
  return {
    next,
    out: [event(cx, "locator-unreachable", { address: remote.address, port: remote.port })],
  };
}

/** Forgets checks along paths that packets cannot leave by any more. */
export function dropChecks(state: Open, gone: (path: Path, use: Check["use"]) => boolean): Open {
  const { updates, mobility } = state.session;
  const left = mobility.checks.filter(({ path, use }) => gone(path, use)).map(({ updateId }) => updateId);
  if (left.length === 0) return state;
  return {
    ...state,
    session: {
      ...state.session,
      updates: { ...updates, outstanding: updates.outstanding.filter(({ id }) => !left.includes(id)) },
      mobility: { ...mobility, ...withoutChecks(mobility, ({ path, use }) => gone(path, use)) },
    },
  };
}

/** Nothing more to do; for callers that go on. */
export function stay(state: Open, ...out: readonly (HostOutput | readonly HostOutput[])[]): Stay {
  return { next: state, out: out.flat() as readonly HostOutput[] };
}
