/** What one host does for all its peers together only so often: NOTIFYs, hints that it follows, checks that can wait. */
import { RateLimit } from "../core/bounded.ts";
import type { Instant } from "../core/types.ts";
import type { Association } from "./association.ts";
import type { Agreement, Job } from "./job.ts";
import { notifyDraft } from "./messages.ts";
import { agreementOf } from "./states.ts";

/** NOTIFYs a second, to all peers together (RFC 7401 5.2.19). */
const NOTIFY_RATE = 10;
const NOTIFY_BURST = 20;
/** Exchanges a second that packets of unknown associations may begin. */
const HINT_RATE = 10;
const HINT_BURST = 20;

/** Checks a second that nothing waits for, to all peers together: a host with many associations has time for them. */
const SPARE_RATE = 50;
const SPARE_BURST = 32;

export class Notices {
  readonly #spare = new RateLimit(SPARE_RATE, SPARE_BURST);
  readonly #notifies = new RateLimit(NOTIFY_RATE, NOTIFY_BURST);
  readonly #hints = new RateLimit(HINT_RATE, HINT_BURST);

  mayFollowHint(now: Instant): boolean {
    return this.#hints.take(now);
  }

  maySpare(now: Instant): boolean {
    return this.#spare.take(now);
  }

  /** The job that signs a NOTIFY, under the association's keys or these; undefined: there were enough of them. */
  notify(
    association: Association,
    messageType: number,
    data: Uint8Array,
    keys: Agreement | undefined,
    now: Instant,
  ): Job | undefined {
    if (!this.#notifies.take(now)) return undefined;
    const { local, peer, state } = association;
    const agreement = keys ?? agreementOf(state);
    return {
      kind: "seal",
      localHit: local,
      draft: notifyDraft(local, peer, messageType, data),
      rhash: agreement?.rhash ?? "sha256",
      macKey: agreement?.macOut,
    };
  }
}
