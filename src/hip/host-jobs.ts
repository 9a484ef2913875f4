/** The crypto jobs of one host: for whom each runs, and how many may. */
import type { Path } from "../core/types.ts";
import type { Association } from "./association.ts";
import type { HostOutput, JobId } from "./io.ts";
import type { Job } from "./job.ts";
import type { MakeR1Wanted, R1Pool } from "./r1-pool.ts";

/** Whom a running job is for. */
export type JobOwner =
  | { readonly what: "association"; readonly association: Association }
  | { readonly what: "r1"; readonly wanted: MakeR1Wanted; readonly pool: R1Pool }
  /** A farewell of an association that is gone already. */
  | { readonly what: "farewell"; readonly path: Path };

export class HostJobs {
  readonly #owners = new Map<JobId, JobOwner>();
  #last = 0;
  /** Outputs of the call under way that are not a handler's return value. */
  #queued: HostOutput[] = [];

  get size(): number {
    return this.#owners.size;
  }

  start(job: Job, owner: JobOwner): JobId {
    const id = ++this.#last as JobId;
    this.#owners.set(id, owner);
    this.#queued.push({ type: "job", id, job });
    return id;
  }

  /** For whom the job that ended ran; undefined when nobody waits for it. */
  ended(id: JobId): JobOwner | undefined {
    const owner = this.#owners.get(id);
    this.#owners.delete(id);
    return owner;
  }

  /**
   * I2s get half of the places, so that strangers with solved puzzles cannot stop our own exchanges. R1s, which are
   * replaced many at once, have a bound of their own: one job for each, `making` of them now.
   */
  mayStart(job: Job, making: number, maxJobs: number): boolean {
    return this.#owners.size - making < (job.kind === "accept-i2" ? maxJobs / 2 : maxJobs);
  }

  /** These outputs with the jobs that were begun for them. */
  appendedTo(out: readonly HostOutput[]): readonly HostOutput[] {
    if (this.#queued.length === 0) return out;
    const all = [...out, ...this.#queued];
    this.#queued = [];
    return all;
  }
}
