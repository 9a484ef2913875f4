/**
 * Watches the paths of every association: finds those that silently eat packets, measures round trips and loss, and the
 * size that fits. Pure: eats what the data plane raises, returns probes and verdicts.
 */

import { Timers } from "../core/timers.ts";
import {
  after,
  type Deadline,
  type Hit,
  type Instant,
  type Path,
  pathText,
  samePath,
} from "../core/types.ts";
import type { PathDetails } from "../hip/io.ts";
import type { PathQuality } from "./locator-views.ts";
import { PathState } from "./path-quality.ts";
import { DEFAULT_PMTU, type PmtuOptions } from "./pmtu.ts";
import { type Asked, DOWN_AGAIN, DOWN_AGAIN_MUTE, LATE_AFTER, type Rest, Watch } from "./watched-path.ts";

export interface MonitorOptions {
  /** A path that was sent to and gave nothing back for so long is dead. Milliseconds, as all of these. */
  readonly deadPathAfter: number;
  /** Pairs of addresses that are not in use are asked for a sign of life this often while there is traffic. */
  readonly probeInterval: number;
  /** Whether the size that fits is looked for. */
  readonly discoverMtu: boolean;
  readonly pmtu?: PmtuOptions;
}

export type MonitorOutput =
  | {
      readonly type: "probe";
      readonly peer: Hit;
      readonly path: Path;
      readonly token: number;
      readonly bytes: number;
    }
  | { readonly type: "path-mtu"; readonly peer: Hit; readonly mtu: number | undefined }
  | { readonly type: "path-down"; readonly peer: Hit; readonly path: Path }
  | { readonly type: "path-rtt"; readonly peer: Hit; readonly path: Path; readonly millis: number }
  | {
      readonly type: "event";
      readonly name: "path-dead" | "path-mtu";
      readonly peer: Hit;
      readonly detail: Readonly<Record<string, string | number>>;
    };

/** Probes that ask whether a path works, before it is given up. */
export const ALIVE_PROBES = 3;
/** They take at least that long, however long the silence was before. */
const LEAST_ROUND = 150;
/** The same, and a probe's patience, where no round trip was measured yet. */
const UNKNOWN_ROUND = 500;
/** A probe of a size is waited for at least that long: a wrong verdict costs more than a late one. */
const LEAST_TRIAL = 250;
/** Associations without traffic for so long are left alone. */
const QUIET_AFTER = 60_000;
/** The smallest probe: an ICMPv6 header and a cookie, sealed. */
const SMALL = 128;
/** Tokens are 32 bits on the way. */
const MAX_TOKEN = 2 ** 32;

export class PathMonitor {
  readonly #options: () => MonitorOptions;
  readonly #watches = new Map<Hit, Watch>();
  readonly #resting = new Map<Hit, Rest>();
  readonly #timers = new Timers<Hit>();
  #token = 0;
  #out: MonitorOutput[] = [];

  /** `options` is asked again each time: it follows a reload. */
  constructor(options: () => MonitorOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#watches.size + this.#resting.size;
  }

  /** Those with more than a few bytes. */
  get awake(): number {
    return this.#watches.size;
  }

  deadline(): Deadline | undefined {
    return this.#timers.earliest();
  }

  /** What is known about a path; undefined: nothing. */
  quality(peer: Hit, path: Path): PathQuality | undefined {
    const rest = this.#resting.get(peer);
    if (rest !== undefined) return samePath(rest.path, path) ? qualityOf(rest) : undefined;
    return this.#watches.get(peer)?.paths.find((one) => samePath(one.path, path))?.quality;
  }

  /** The paths of a peer as they are now; none: the association ended. */
  paths(peer: Hit, details: readonly PathDetails[], now: Instant): readonly MonitorOutput[] {
    const current = details.find((one) => one.current);
    const usable = details.filter((one) => one.verified || one.current);
    const rest = this.#resting.get(peer);
    if (rest !== undefined && current?.verified && usable.length === 1 && samePath(rest.path, current.path))
      return [];
    const known = this.#awake(peer, now);
    if (current === undefined) {
      this.#watches.delete(peer);
      this.#timers.set(peer, undefined);
      return known?.imposed === undefined ? [] : [{ type: "path-mtu", peer, mtu: undefined }];
    }
    const watch = known ?? new Watch(now);
    this.#watches.set(peer, watch);
    const pmtu = this.#options().pmtu ?? DEFAULT_PMTU;
    watch.paths = usable.map(
      ({ path, rttMillis }) =>
        watch.paths.find((one) => samePath(one.path, path)) ?? new PathState(path, { rttMillis }, pmtu),
    );
    const before = watch.current;
    watch.current = watch.paths.find((one) => samePath(one.path, current.path));
    watch.verified = current.verified;
    if (watch.current !== before) this.#moved(peer, watch, now);
    if (!current.verified) watch.round = watch.trial = undefined;
    this.#trySize(peer, watch, now);
    return this.#done(peer, watch, now);
  }

  /** The sizes that packets to peers are held to, for a successor. */
  imposed(): readonly (readonly [Hit, number])[] {
    return [...this.#watches].flatMap(([peer, { imposed }]) =>
      imposed === undefined ? [] : [[peer, imposed] as const],
    );
  }

  /** A predecessor holds packets to a peer to `mtu`. Its paths are known. */
  inherit(peer: Hit, mtu: number): void {
    const watch = this.#watches.get(peer);
    if (watch === undefined) return;
    watch.imposed = mtu;
    watch.current?.pmtu.inherit(mtu);
  }

  /** Packets went to the peer for `millis`, and nothing came back. */
  silent(peer: Hit, millis: number, now: Instant): readonly MonitorOutput[] {
    const watch = this.#awake(peer, now);
    const state = watch?.current;
    if (watch === undefined || state === undefined) return [];
    watch.activeAt = now;
    if (!this.#doubt(peer, watch, state, millis, now)) return [];
    return this.#done(peer, watch, now);
  }

  /** Begins to ask whether the path in use, silent for so long, still works. False: that is not to be asked now. */
  #doubt(peer: Hit, watch: Watch, state: PathState, millis: number, now: Instant): boolean {
    if (watch.round !== undefined || !watch.verified) return false;
    const again = state.answers ? DOWN_AGAIN : DOWN_AGAIN_MUTE;
    if (state.downAt !== undefined && now - state.downAt < again) return false;
    const { deadPathAfter } = this.#options();
    const length = Math.max(deadPathAfter - millis, state.patience(UNKNOWN_ROUND), LEAST_ROUND);
    watch.round = {
      state,
      startedAt: after(now, -millis),
      // The last probe gets as long as an answer takes.
      step: Math.max(
        (length - state.patience(UNKNOWN_ROUND)) / (ALIVE_PROBES - 1),
        length / ALIVE_PROBES / 2,
      ),
      until: after(now, length),
      nextAt: now,
      sent: 0,
    };
    state.pmtu.check(now, true);
    this.#trySize(peer, watch, now);
    this.#round(peer, watch, now);
    return true;
  }

  /** Packets went to or came from the peer lately. */
  active(peer: Hit, now: Instant): readonly MonitorOutput[] {
    const watch = this.#awake(peer, now);
    if (watch?.current === undefined) return [];
    watch.activeAt = now;
    watch.trials = 0;
    watch.current.pmtu.check(now);
    this.#trySize(peer, watch, now);
    return this.#done(peer, watch, now);
  }

  probeReply(
    peer: Hit,
    token: number,
    rttMicros: number,
    bytes: number,
    now: Instant,
  ): readonly MonitorOutput[] {
    const watch = this.#watches.get(peer);
    const asked = watch?.settle(token);
    if (watch === undefined || asked === undefined) return [];
    const { state } = asked;
    const millis = rttMicros / 1000;
    const wasDown = state.downAt !== undefined;
    state.answered(millis);
    if (watch.round?.state === state) watch.round = undefined;
    if (watch.trial?.state === state) watch.trial.pilot = true;
    if (asked.kind === "size") {
      if (watch.trial?.state === state && watch.trial.size === asked.size) watch.trial = undefined;
      if (state.pmtu.answered(asked.size, bytes, now)) this.#impose(peer, watch);
      this.#trySize(peer, watch, now);
    }
    if (asked.kind !== "size" || wasDown)
      this.#out.push({ type: "path-rtt", peer, path: state.path, millis });
    return this.#done(peer, watch, now);
  }

  /** To be called when the deadline has come. */
  tick(now: Instant): readonly MonitorOutput[] {
    const out: MonitorOutput[] = [];
    for (let peer = this.#timers.due(now); peer !== undefined; peer = this.#timers.due(now)) {
      const watch = this.#watches.get(peer);
      if (watch === undefined) continue;
      this.#expire(watch, now);
      this.#round(peer, watch, now);
      this.#endTrial(peer, watch, now);
      this.#standby(peer, watch, now);
      out.push(...this.#done(peer, watch, now));
    }
    return out;
  }

  /** The watch, made again if it rests. */
  #awake(peer: Hit, now: Instant): Watch | undefined {
    const rest = this.#resting.get(peer);
    if (rest === undefined) return this.#watches.get(peer);
    const watch = new Watch(now);
    watch.current = new PathState(rest.path, rest, this.#options().pmtu ?? DEFAULT_PMTU);
    watch.paths = [watch.current];
    watch.verified = true;
    this.#resting.delete(peer);
    this.#watches.set(peer, watch);
    return watch;
  }

  /** Another path is in use: its own size holds, and what was asked about the old one is void. */
  #moved(peer: Hit, watch: Watch, now: Instant): void {
    watch.round = undefined;
    watch.trial = undefined;
    watch.trials = 0;
    watch.activeAt = now;
    watch.current?.pmtu.restart();
    this.#impose(peer, watch);
  }

  #impose(peer: Hit, watch: Watch): void {
    const mtu = watch.current?.pmtu.mtu;
    if (mtu === watch.imposed || watch.current === undefined) return;
    watch.imposed = mtu;
    this.#out.push({ type: "path-mtu", peer, mtu });
    const detail = { path: pathText(watch.current.path), mtu: mtu ?? "from the kernel" };
    this.#out.push({ type: "event", name: "path-mtu", peer, detail });
  }

  #ask(peer: Hit, watch: Watch, asked: Asked): void {
    this.#token = (this.#token + 1) % MAX_TOKEN;
    watch.ask(this.#token, asked);
    const bytes = asked.kind === "size" ? asked.size : SMALL;
    this.#out.push({ type: "probe", peer, path: asked.state.path, token: this.#token, bytes });
  }

  /** The next probe of the round; the end of it is the end of the path. */
  #round(peer: Hit, watch: Watch, now: Instant): void {
    const { round } = watch;
    if (round === undefined) return;
    if (now >= round.until) {
      watch.round = undefined;
      watch.trial = undefined;
      round.state.downAt = now;
      const { path } = round.state;
      this.#out.push({ type: "path-down", peer, path });
      const detail = { path: pathText(path), millis: now - round.startedAt };
      this.#out.push({ type: "event", name: "path-dead", peer, detail });
      return;
    }
    if (now < round.nextAt || round.sent >= ALIVE_PROBES) return;
    round.sent++;
    round.nextAt = after(now, round.step);
    this.#ask(peer, watch, { state: round.state, kind: "alive", size: SMALL, until: round.until });
  }

  #trySize(peer: Hit, watch: Watch, now: Instant): void {
    const state = watch.current;
    if (state === undefined || !watch.verified || watch.trial !== undefined) return;
    if (!this.#options().discoverMtu) return;
    const size = state.pmtu.next;
    if (size === undefined || watch.trials >= ALIVE_PROBES) return;
    const until = after(now, Math.max(LEAST_TRIAL, state.patience(UNKNOWN_ROUND)));
    watch.trial = { state, size, until, pilot: false };
    this.#ask(peer, watch, { state, kind: "size", size, until });
    // A round asks already whether small ones arrive.
    if (watch.round === undefined) this.#ask(peer, watch, { state, kind: "alive", size: SMALL, until });
  }

  #endTrial(peer: Hit, watch: Watch, now: Instant): void {
    const { trial } = watch;
    if (trial === undefined || now < trial.until) return;
    watch.trial = undefined;
    // Nothing arrived at all: that says nothing about sizes.
    watch.trials = trial.pilot ? 0 : watch.trials + 1;
    if (trial.pilot && trial.state.pmtu.lost(trial.size, now)) this.#impose(peer, watch);
    this.#trySize(peer, watch, now);
  }

  /** Probes without an answer. */
  #expire(watch: Watch, now: Instant): void {
    for (const [token, asked] of [...watch.asked]) {
      const { state, kind, until, late } = asked;
      if (now < until) continue;
      if (late === true && now >= until + LATE_AFTER) watch.settle(token);
      if (late === true) continue;
      asked.late = true;
      if (kind !== "size") state.lost();
    }
  }

  /** Pairs that are not in use, while there is traffic. */
  #standby(peer: Hit, watch: Watch, now: Instant): void {
    if (watch.standbyAt === undefined || now < watch.standbyAt) return;
    watch.standbyAt = undefined;
    for (const state of watch.paths) {
      if (state === watch.current) continue;
      if (state.missed >= ALIVE_PROBES && state.downAt === undefined) {
        state.downAt = now;
        this.#out.push({ type: "path-down", peer, path: state.path });
      }
      const until = after(now, state.patience(UNKNOWN_ROUND));
      this.#ask(peer, watch, { state, kind: "standby", size: SMALL, until });
    }
    const { current } = watch;
    if (current === undefined || !watch.verified || watch.round !== undefined) return;
    // The peer's packets may come along another path: then it is not silent, and yet nothing of ours arrives.
    if (current.answers && current.missed >= ALIVE_PROBES && this.#doubt(peer, watch, current, 0, now))
      return;
    const until = after(now, current.patience(UNKNOWN_ROUND));
    this.#ask(peer, watch, { state: current, kind: "alive", size: SMALL, until });
  }

  #done(peer: Hit, watch: Watch, now: Instant): readonly MonitorOutput[] {
    const wanted = watch.paths.length > 1 && now - watch.activeAt < QUIET_AFTER;
    if (!wanted) watch.standbyAt = undefined;
    else watch.standbyAt ??= after(now, this.#options().probeInterval);
    let next: Instant | undefined;
    const consider = (at: Instant | undefined): void => {
      if (at !== undefined && (next === undefined || at < next)) next = at;
    };
    if (watch.round !== undefined) {
      consider(watch.round.until);
      if (watch.round.sent < ALIVE_PROBES) consider(watch.round.nextAt);
    }
    consider(watch.trial?.until);
    consider(watch.standbyAt);
    for (const [, { until, late }] of watch.asked) if (late !== true) consider(until);
    if (next === undefined) {
      next = watch.restAt;
      if (next !== undefined && next <= now && watch.current !== undefined) {
        this.#watches.delete(peer);
        const { path, quality } = watch.current;
        // Not spread: fields that are added later are kept in a list of their own.
        this.#resting.set(peer, { path, rttMillis: quality.rttMillis, loss: quality.loss, mtu: quality.mtu });
        next = undefined;
      }
    }
    this.#timers.set(peer, next === undefined ? undefined : { at: next, why: "probe paths" });
    const out = this.#out;
    this.#out = [];
    return out;
  }
}

function qualityOf({ rttMillis, loss, mtu }: PathQuality): PathQuality {
  return { rttMillis, loss, mtu };
}
