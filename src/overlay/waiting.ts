/** Requests that cannot be answered at once: `connect` waits for an association, `ping` for one and then for echoes. */
import { BoundedMap } from "../core/bounded.ts";
import { after, type Deadline, earliest, type Hit, type Instant } from "../core/types.ts";
import type { AssociationDetails, ControlReply, RequestId } from "./control.ts";
import type { Peer } from "./peers.ts";

/** Requests that wait at once. */
export const MAX_WAITING = 256;
/** Echo requests on their way at once, over all requests. */
export const MAX_ECHOES = 4096;

export interface PingPlan {
  readonly count: number;
  readonly intervalMillis: number;
  readonly bytes: number;
  readonly timeoutMillis: number;
}

/** What waiting requests need from the overlay. */
export interface WaitingPort {
  reply(id: RequestId, reply: ControlReply, last: boolean): void;
  echo(peer: Peer, sequence: number, bytes: number): void;
  details(peer: Peer): AssociationDetails | undefined;
}

interface Waiter {
  readonly id: RequestId;
  readonly peer: Peer;
  readonly since: Instant;
  /** When the association must be usable. */
  readonly until: Instant;
  readonly plan: PingPlan | undefined;
}

interface Pinger {
  readonly id: RequestId;
  readonly peer: Peer;
  readonly plan: PingPlan;
  next: Instant;
  sent: number;
  received: number;
  outstanding: number;
  min: number;
  max: number;
  sum: number;
}

interface Echo {
  readonly pinger: Pinger;
  readonly number: number;
  readonly until: Instant;
}

export class WaitingRequests {
  readonly #port: WaitingPort;
  readonly #waiters = new BoundedMap<RequestId, Waiter>("waiting_requests", MAX_WAITING, "refuse");
  readonly #pingers = new BoundedMap<RequestId, Pinger>("running_pings", MAX_WAITING, "refuse");
  readonly #echoes = new BoundedMap<number, Echo>("echoes", MAX_ECHOES, "refuse");
  #sequence = 0;

  constructor(port: WaitingPort) {
    this.#port = port;
  }

  get size(): number {
    return this.#waiters.size + this.#pingers.size;
  }

  overflows(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      [this.#waiters, this.#pingers, this.#echoes].map((table) => [table.name, table.overflows]),
    );
  }

  /** Waits until `peer` is usable. A ping starts then; without a plan the request is answered then. */
  wait(id: RequestId, peer: Peer, timeoutMillis: number, plan: PingPlan | undefined, now: Instant): boolean {
    return this.#waiters.set(id, { id, peer, since: now, until: after(now, timeoutMillis), plan });
  }

  /** Answers at once, or begins to ping, for a peer that was usable already. */
  begin(id: RequestId, peer: Peer, plan: PingPlan | undefined, now: Instant): void {
    this.#usable({ id, peer, since: now, until: now, plan }, now, true);
  }

  cancel(id: RequestId): void {
    this.#waiters.delete(id);
    this.#endPing(id);
  }

  /** Somebody waits for this peer. */
  waitsFor(peer: Peer): boolean {
    return [...this.#waiters.values()].some((waiter) => waiter.peer === peer);
  }

  peerUsable(peer: Peer, now: Instant): void {
    for (const waiter of [...this.#waiters.values()]) {
      if (waiter.peer !== peer) continue;
      this.#waiters.delete(waiter.id);
      this.#usable(waiter, now, false);
    }
  }

  peerFailed(peer: Peer, message: string): void {
    for (const waiter of [...this.#waiters.values()]) {
      if (waiter.peer !== peer) continue;
      this.#waiters.delete(waiter.id);
      this.#port.reply(waiter.id, { type: "error", code: "failed", message }, true);
    }
  }

  peerRemoved(peer: Peer): void {
    const message = `peer "${peer.config.name}" was removed`;
    this.peerFailed(peer, message);
    for (const pinger of [...this.#pingers.values()]) {
      if (pinger.peer !== peer) continue;
      this.#endPing(pinger.id);
      this.#port.reply(pinger.id, { type: "error", code: "failed", message }, true);
    }
  }

  echoReply(peer: Hit, sequence: number, rttMicros: number): void {
    const echo = this.#echoes.get(sequence);
    if (echo === undefined || echo.pinger.peer.hit !== peer) return;
    this.#echoes.delete(sequence);
    const { pinger } = echo;
    const rttMillis = rttMicros / 1000;
    pinger.outstanding--;
    pinger.received++;
    pinger.sum += rttMillis;
    pinger.min = Math.min(pinger.min, rttMillis);
    pinger.max = Math.max(pinger.max, rttMillis);
    const { bytes } = pinger.plan;
    const path = this.#port.details(pinger.peer)?.path ?? null;
    this.#port.reply(pinger.id, { type: "ping-reply", sequence: echo.number, bytes, rttMillis, path }, false);
    this.#finish(pinger);
  }

  /** Sends what is due, gives up on what is overdue. */
  tick(now: Instant): void {
    for (const waiter of [...this.#waiters.values()]) {
      if (waiter.until > now) continue;
      this.#waiters.delete(waiter.id);
      const last = waiter.peer.lastError;
      const why = last === undefined ? "no answer came" : `the last error was: ${last.text}`;
      const message = `peer "${waiter.peer.config.name}" was not reachable within ${waiter.until - waiter.since} ms; ${why}`;
      this.#port.reply(waiter.id, { type: "error", code: "timeout", message }, true);
    }
    for (const [sequence, echo] of [...this.#echoes.entries()]) {
      if (echo.until > now) continue;
      this.#echoes.delete(sequence);
      echo.pinger.outstanding--;
      this.#port.reply(echo.pinger.id, { type: "ping-lost", sequence: echo.number }, false);
      this.#finish(echo.pinger);
    }
    for (const pinger of [...this.#pingers.values()]) {
      if (mayGoOn(pinger) && pinger.next <= now) this.#send(pinger, now);
    }
  }

  deadline(): Deadline | undefined {
    if (this.size === 0) return undefined;
    let first: Deadline | undefined;
    for (const { until } of this.#waiters.values())
      first = earliest(first, { at: until, why: "connect timeout" });
    for (const { until } of this.#echoes.values())
      first = earliest(first, { at: until, why: "echo timeout" });
    for (const pinger of this.#pingers.values()) {
      if (mayGoOn(pinger)) first = earliest(first, { at: pinger.next, why: "next echo" });
    }
    return first;
  }

  #usable(waiter: Waiter, now: Instant, already: boolean): void {
    const { id, peer, plan } = waiter;
    const association = this.#port.details(peer);
    if (association === undefined) {
      const message = `the association with "${peer.config.name}" is gone again`;
      this.#port.reply(id, { type: "error", code: "failed", message }, true);
      return;
    }
    if (plan === undefined) {
      this.#port.reply(id, { type: "connected", association, millis: now - waiter.since }, true);
      return;
    }
    const pinger: Pinger = {
      id,
      peer,
      plan,
      next: now,
      sent: 0,
      received: 0,
      outstanding: 0,
      min: Number.POSITIVE_INFINITY,
      max: 0,
      sum: 0,
    };
    if (!this.#pingers.set(id, pinger)) {
      const message = `${MAX_WAITING} pings are running already; try again later`;
      this.#port.reply(id, { type: "error", code: "failed", message }, true);
      return;
    }
    const { name, hit, lsi, path } = association;
    const exchangeMillis = already ? null : association.exchangeMillis;
    this.#port.reply(id, { type: "ping-start", name, hit, lsi, exchangeMillis, path }, false);
    this.#send(pinger, now);
  }

  #send(pinger: Pinger, now: Instant): void {
    pinger.next = after(now, pinger.plan.intervalMillis);
    pinger.sent++;
    // 16 bits, as in the ICMPv6 header; a number still in use is passed over.
    do this.#sequence = (this.#sequence + 1) % 0x1_0000;
    while (this.#echoes.has(this.#sequence));
    const echo: Echo = { pinger, number: pinger.sent, until: after(now, pinger.plan.timeoutMillis) };
    if (!this.#echoes.set(this.#sequence, echo)) {
      this.#port.reply(pinger.id, { type: "ping-lost", sequence: pinger.sent }, false);
      this.#finish(pinger);
      return;
    }
    pinger.outstanding++;
    this.#port.echo(pinger.peer, this.#sequence, pinger.plan.bytes);
  }

  #finish(pinger: Pinger): void {
    if (mayGoOn(pinger) || pinger.outstanding > 0 || !this.#pingers.delete(pinger.id)) return;
    const some = pinger.received > 0;
    this.#port.reply(
      pinger.id,
      {
        type: "ping-done",
        sent: pinger.sent,
        received: pinger.received,
        minMillis: some ? pinger.min : null,
        meanMillis: some ? pinger.sum / pinger.received : null,
        maxMillis: some ? pinger.max : null,
      },
      true,
    );
  }

  #endPing(id: RequestId): void {
    if (!this.#pingers.delete(id)) return;
    this.#echoes.deleteWhere(({ pinger }) => pinger.id === id);
  }
}

function mayGoOn(pinger: Pinger): boolean {
  return pinger.plan.count === 0 || pinger.sent < pinger.plan.count;
}
