/**
 * Short jobs run on the thread that asks for them. Waking another thread and being woken by it takes as long as such a job,
 * and the first packets to a peer wait for three of them one after the other; but the main thread must not be kept busy.
 */
import type { Hit } from "../core/types.ts";
import { forgetReadyKeys } from "../crypto/dh.ts";
import type { Identity } from "../crypto/identity.ts";
import type { JobRunner } from "../driver/ports.ts";
import type { Job, JobResult } from "../hip/job.ts";
import { isShort, signsFast } from "../hip/job-length.ts";
import { runJob } from "../hip/run-job.ts";
import type { JobPool, JobPoolCounters } from "./job-pool.ts";

/** Milliseconds of jobs that this thread does at a stretch: a handful of exchanges. */
export const MAX_STRETCH_MILLIS = 20;
/** The share of the time beyond it: a storm of exchanges is for threads that step back behind packets. */
export const MAX_SHARE = 0.02;

export class ShortJobs implements JobRunner {
  readonly #threads: Pick<JobPool, "run" | "setIdentities" | "counters">;
  readonly #now: () => number;
  readonly #work: typeof runJob;
  #identities: ReadonlyMap<Hit, Identity> = new Map();
  /** Milliseconds of jobs that were done here, less the share of the time since. */
  #spent = 0;
  #spentAt = 0;
  #run = 0;

  /** `now` in milliseconds; tests put others in the place of it and of `work`. */
  constructor(
    threads: Pick<JobPool, "run" | "setIdentities" | "counters">,
    now: () => number = () => performance.now(),
    work: typeof runJob = runJob,
  ) {
    this.#threads = threads;
    this.#now = now;
    this.#work = work;
  }

  /** New keys reach each job that is given after this call. */
  setIdentities(identities: readonly Identity[]): void {
    this.#identities = new Map(identities.map((identity) => [identity.hit, identity]));
    this.#threads.setIdentities(identities);
  }

  /** Answers at once what is short, unless this thread has had its share. */
  run(job: Job, done: (result: JobResult) => void): void {
    const begun = this.#now();
    this.#spent = Math.max(0, this.#spent - MAX_SHARE * (begun - this.#spentAt));
    this.#spentAt = begun;
    if (this.#spent >= MAX_STRETCH_MILLIS || !isShort(job, this.#identities)) {
      this.#threads.run(job, done);
      return;
    }
    const result = this.#attempt(job);
    this.#spent += this.#now() - begun;
    if (result !== undefined) this.#run++;
    this.#answer(job, result, done);
  }

  /**
   * For exchanges in memory whose code shall be compiled where the jobs of `own` will run. What is short here is not limited,
   * nor counted.
   */
  rehearsal(own: Identity | undefined): JobRunner {
    if (!signsFast(own)) return this.#threads;
    const attempt = (job: Job) => (isShort(job, this.#identities) ? this.#attempt(job) : undefined);
    return { run: (job, done) => this.#answer(job, attempt(job), done) };
  }

  counters(): JobPoolCounters & { readonly jobs_short_total: number } {
    const counters = this.#threads.counters();
    return {
      ...counters,
      jobs_run_total: counters.jobs_run_total + this.#run,
      jobs_short_total: this.#run,
    };
  }

  /** Undefined when it threw. A thread may die of that, and say why; this one may not. */
  #attempt(job: Job): JobResult | undefined {
    try {
      return this.#work(job, this.#identities);
    } catch {
      return undefined;
    } finally {
      // Unlike the threads that make R1s, this one has no new keys that would push them out.
      forgetReadyKeys();
    }
  }

  #answer(job: Job, result: JobResult | undefined, done: (result: JobResult) => void): void {
    if (result === undefined) this.#threads.run(job, done);
    else done(result);
  }
}
