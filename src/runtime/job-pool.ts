/** Heavy crypto on worker threads. Threads start when there is work for them; one that dies is replaced and its job refused. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Identity } from "../crypto/identity.ts";
import type { JobRunner } from "../driver/ports.ts";
import type { Job, JobRefused, JobResult } from "../hip/job.ts";
import type { FromWorker, ToWorker } from "./job-worker.ts";
import type { Log } from "./log.ts";

/** Jobs that may wait for a thread. The protocol keeps fewer in flight by itself (`HostConfig.maxJobs`). */
export const MAX_WAITING_JOBS = 16_384;
/** Beyond so many other jobs that wait, R1s go first: their harder puzzles are what ends a storm. One for each group is made a second. */
const STORM = 16;
/** Pause before a dead thread's successor starts; doubles with each death in a row. */
const RESTART_MILLIS = 50;
const RESTART_MILLIS_MAX = 5_000;

interface Task {
  readonly job: Job;
  readonly done: (result: JobResult) => void;
}

interface Thread {
  readonly worker: Worker;
  task: Task | undefined;
}

export interface JobPoolCounters {
  readonly jobs_run_total: number;
  readonly jobs_refused_total: number;
  readonly job_threads_crashed_total: number;
  readonly job_queue_depth: number;
  readonly job_threads: number;
}

/** Half of the processors, 1 to 8. */
export function defaultThreads(): number {
  return Math.min(8, Math.max(1, Math.floor(availableParallelism() / 2)));
}

export class JobPool implements JobRunner {
  readonly #limit: number;
  readonly #script: URL;
  readonly #onCrash: (reason: string) => void;
  readonly #threads = new Set<Thread>();
  #waiting: Task[] = [];
  #keys: readonly string[];
  #closed = false;
  #run = 0;
  #watchers: { readonly count: number; readonly tell: () => void }[] = [];
  #refused = 0;
  #crashed = 0;
  #crashesInRow = 0;
  #restart: NodeJS.Timeout | undefined;

  /** `onCrash` hears why a thread died, for the log. */
  constructor(
    identities: readonly Identity[],
    onCrash: (reason: string) => void = () => {},
    threads = defaultThreads(),
    script = workerScript(),
  ) {
    this.#limit = threads;
    this.#script = script;
    this.#onCrash = onCrash;
    this.#keys = identities.map((identity) => identity.toPkcs8Pem());
  }

  /** Starts a first thread before there is work: it takes a tenth of a second until one can do any. */
  warm(): void {
    if (this.#threads.size === 0) this.#grow();
  }

  run(job: Job, done: (result: JobResult) => void): void {
    if (this.#closed || this.#waiting.length >= MAX_WAITING_JOBS) {
      this.#refuse({ job, done }, this.#closed ? "jobs_stopped" : "job_queue_full");
      return;
    }
    this.#waiting.push({ job, done });
    this.#feed();
  }

  /** New keys reach each thread before any job that is given after this call. */
  setIdentities(identities: readonly Identity[]): void {
    this.#keys = identities.map((identity) => identity.toPkcs8Pem());
    for (const thread of this.#threads) post(thread.worker, { type: "identities", keys: this.#keys });
  }

  /** Threads with nothing to do collect what can be collected. */
  tidy(): void {
    for (const { worker, task } of this.#threads) if (task === undefined) post(worker, { type: "tidy" });
  }

  counters(): JobPoolCounters {
    return {
      jobs_run_total: this.#run,
      jobs_refused_total: this.#refused,
      job_threads_crashed_total: this.#crashed,
      job_queue_depth: this.#waiting.length,
      job_threads: this.#threads.size,
    };
  }

  /** Resolves when `count` jobs have run since the start, or after `limitMillis`. */
  ran(count: number, limitMillis: number): Promise<void> {
    if (this.#run >= count) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limitMillis);
      this.#watchers.push({
        count,
        tell: () => {
          clearTimeout(timer);
          resolve();
        },
      });
    });
  }

  /** Waiting jobs are refused; running ones are given up without an answer. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#restart !== undefined) clearTimeout(this.#restart);
    for (const task of this.#waiting.splice(0)) this.#refuse(task, "jobs_stopped");
    await Promise.all([...this.#threads].map((thread) => thread.worker.terminate()));
  }

  #feed(): void {
    while (this.#waiting.length > 0) {
      const thread = [...this.#threads].find((candidate) => candidate.task === undefined) ?? this.#grow();
      if (thread === undefined) return;
      const [task] = this.#waiting.splice(nextOf(this.#waiting), 1) as [Task];
      thread.task = task;
      post(thread.worker, { type: "job", job: task.job });
    }
  }

  #grow(): Thread | undefined {
    if (this.#threads.size >= this.#limit || this.#restart !== undefined || this.#closed) return undefined;
    const worker = new Worker(this.#script, { workerData: { keys: this.#keys }, env: {}, execArgv: [] });
    const thread: Thread = { worker, task: undefined };
    this.#threads.add(thread);
    worker.unref();
    worker.on("message", (message: FromWorker) => {
      const task = thread.task;
      thread.task = undefined;
      this.#run++;
      this.#tellWatchers();
      this.#crashesInRow = 0;
      task?.done(message.result);
      this.#feed();
    });
    let reason = "it ended by itself";
    worker.on("error", (error) => {
      reason =
        error instanceof Error ? (error.stack ?? error.message) : "it threw something that is no error";
    });
    worker.on("exit", () => this.#exited(thread, reason));
    return thread;
  }

  #exited(thread: Thread, reason: string): void {
    this.#threads.delete(thread);
    if (this.#closed) return;
    this.#crashed++;
    this.#onCrash(reason);
    if (thread.task !== undefined) this.#refuse(thread.task, "job_thread_crashed");
    const wait = Math.min(RESTART_MILLIS_MAX, RESTART_MILLIS * 2 ** this.#crashesInRow++);
    this.#restart ??= setTimeout(() => {
      this.#restart = undefined;
      this.#feed();
    }, wait);
    this.#feed();
  }

  #tellWatchers(): void {
    const done = this.#watchers.filter(({ count }) => count <= this.#run);
    if (done.length === 0) return;
    this.#watchers = this.#watchers.filter(({ count }) => count > this.#run);
    for (const { tell } of done) tell();
  }

  #refuse(task: Task, reason: JobRefused["reason"]): void {
    this.#refused++;
    task.done({ kind: "refused", of: task.job.kind, reason, detail: "", notify: undefined });
  }
}

/** One whose log says why a thread died; the keys come later. */
export function loggedJobs(log: Log): JobPool {
  return new JobPool([], (reason) =>
    log.error("job-thread-crashed", "a crypto thread died and is replaced", { reason }),
  );
}

/** The place of the job that is next: an exchange under way goes before R1s that nobody asked for yet. */
export function nextOf(waiting: readonly Pick<Task, "job">[]): number {
  const others = waiting.filter(({ job }) => job.kind !== "make-r1").length;
  const r1First = others > STORM;
  return Math.max(
    0,
    waiting.findIndex(({ job }) => (job.kind === "make-r1") === r1First),
  );
}

function post(worker: Worker, message: ToWorker): void {
  worker.postMessage(message);
}

/** The worker beside this file: TypeScript when run from sources, JavaScript when built. */
function workerScript(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "./job-worker.ts" : "./job-worker.js", import.meta.url);
}
