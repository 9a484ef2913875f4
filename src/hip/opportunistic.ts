/** Base exchanges with a peer whose HIT is not known yet (RFC 7401 4.1.8). */
import { BoundedMap } from "../core/bounded.ts";
import type { Random } from "../core/random.ts";
import { type Deadline, earliest, type Hit, type Instant, NULL_HIT, type Path } from "../core/types.ts";
import type { Association } from "./association.ts";
import { pathTo } from "./carrier.ts";
import type { HostConfig } from "./config.ts";
import { type Context, event, type Received } from "./context.ts";
import type { HostInput, HostOutput, LocalIdentity } from "./io.ts";
import { i1 } from "./messages.ts";
import { type Retransmit, sentAgain, sentOnce } from "./retransmit.ts";
import type { Attempt } from "./states.ts";

const MAX_ATTEMPTS = 64;

interface Search {
  readonly local: Hit;
  readonly path: Path;
  readonly startedAt: Instant;
  readonly dhGroups: readonly number[];
  readonly retransmit: Retransmit;
}

export class Opportunistic {
  readonly #random: Random;
  /** By our HIT and the address, since the HIT of who answers is what we want to learn. */
  readonly #searches = new BoundedMap<string, Search>("opportunistic_attempts", MAX_ATTEMPTS, "refuse");

  constructor(random: Random) {
    this.#random = random;
  }

  begin(
    input: Extract<HostInput, { type: "connect-opportunistic" }>,
    config: HostConfig,
    now: Instant,
  ): readonly HostOutput[] {
    const path = pathTo(input.carrier, input.remote, config.udpPort);
    const retransmit = sentOnce(config.timers, now, this.#random);
    const { dhGroups } = config;
    const search: Search = { local: input.localHit, path, startedAt: now, dhGroups, retransmit };
    if (!this.#searches.set(searchKey(input.localHit, path), search)) {
      return [{ type: "drop", reason: "opportunistic_attempts_full" }];
    }
    return [{ type: "send", path, bytes: i1(input.localHit, NULL_HIT, dhGroups) }];
  }

  /** RFC 7401 6.8 step 1: here, and only here, the R1 is matched by its address. */
  expects({ packet, path }: Received): boolean {
    return this.#searches.has(searchKey(packet.receiver, path));
  }

  /** Turns the search into an association with whoever answered, which then processes the R1. */
  adopt(received: Received, association: Association, cx: Context): readonly HostOutput[] | undefined {
    const key = searchKey(received.packet.receiver, received.path);
    const search = this.#searches.get(key);
    if (search === undefined) return undefined;
    this.#searches.delete(key);
    const attempt: Attempt = {
      candidates: [search.path],
      next: 0,
      retransmit: search.retransmit,
      startedAt: search.startedAt,
      dhGroups: search.dhGroups,
      opportunistic: true,
    };
    association.adopt(attempt, cx.now);
    const found = event(cx, "peer-discovered", { address: received.path.remote.address });
    return [found, ...association.receive(received, cx)];
  }

  deadline(): Deadline | undefined {
    let first: Deadline | undefined;
    for (const { retransmit } of this.#searches.values()) {
      first = earliest(first, { at: retransmit.due, why: "opportunistic I1 retransmission" });
    }
    return first;
  }

  timeout(config: HostConfig, now: Instant): readonly HostOutput[] {
    const out: HostOutput[] = [];
    for (const [key, search] of [...this.#searches.entries()]) {
      if (search.retransmit.due > now) continue;
      if (search.retransmit.tries >= config.retries.i1) {
        this.#searches.delete(key);
        const detail = { reason: "no_answer_to_i1", address: search.path.remote.address };
        out.push({ type: "event", name: "association-failed", local: search.local, peer: NULL_HIT, detail });
        continue;
      }
      const retransmit = sentAgain(search.retransmit, config.timers.retransmitMax, now, this.#random);
      this.#searches.set(key, { ...search, retransmit });
      out.push({ type: "send", path: search.path, bytes: i1(search.local, NULL_HIT, search.dhGroups) });
    }
    return out;
  }
}

function searchKey(local: Hit, path: Path): string {
  return `${local} ${path.carrier} ${path.remote.address} ${path.remote.port}`;
}

/** RFC 7401 4.1.8, 6.7 step 5: a HIT of the Initiator's suite, else RSA, else any. */
export function identityFor(initiator: Hit, identities: readonly LocalIdentity[]): LocalIdentity | undefined {
  const suite = Number.parseInt(initiator.charAt(7), 16);
  return (
    identities.find((one) => one.suite === suite) ??
    identities.find((one) => one.suite === 1) ??
    identities[0]
  );
}
