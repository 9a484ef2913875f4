/** A worker thread: runs one crypto job after the other. */
import { constants, getPriority, setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import type { Hit } from "../core/types.ts";
import { forgetReadyKeys } from "../crypto/dh.ts";
import { Identity } from "../crypto/identity.ts";
import type { Job, JobResult } from "../hip/job.ts";
import { runJob } from "../hip/run-job.ts";
import { collectAll } from "./tidy.ts";

/** To a worker. Keys are PKCS#8 PEM and stay inside the process. */
export type ToWorker =
  | { readonly type: "job"; readonly job: Job }
  | { readonly type: "identities"; readonly keys: readonly string[] }
  /** The storm is over: nothing that is not needed shall stay in memory. Not answered. */
  | { readonly type: "tidy" };

/** More than the thread that started it, and than data threads: a third of the time that an equal one would get beside a busy one. */
const NICER = 5;

/** From a worker: one answer for each job, in order. */
export interface FromWorker {
  readonly result: JobResult;
}

function identities(keys: readonly string[]): ReadonlyMap<Hit, Identity> {
  const map = new Map<Hit, Identity>();
  for (const key of keys) {
    const identity = Identity.fromPrivateKey(key);
    if (identity.ok) map.set(identity.value.hit, identity.value);
  }
  return map;
}

/** Linux has a priority for each thread: packets of those who have an association go before exchanges of those who have none. */
function stepBack(): void {
  try {
    setPriority(Math.min(constants.priority.PRIORITY_LOW, getPriority() + NICER));
  } catch {
    // Then it works at the priority of the process.
  }
}

stepBack();
let own = identities((workerData as { keys: readonly string[] }).keys);

parentPort?.on("message", (message: ToWorker) => {
  if (message.type === "identities") own = identities(message.keys);
  else if (message.type === "tidy") {
    forgetReadyKeys();
    collectAll();
  } else parentPort?.postMessage({ result: runJob(message.job, own) } satisfies FromWorker);
});
