/** The jobs that two hosts ask for, from the first packet to the close. */
import type { Hit } from "../../src/core/types.ts";
import type { Identity, KeyKind } from "../../src/crypto/identity.ts";
import type { HostConfig } from "../../src/hip/config.ts";
import type { Job } from "../../src/hip/job.ts";
import { identity, Pair } from "./pair.ts";

export interface Exchange {
  readonly jobs: readonly Job[];
  readonly identities: ReadonlyMap<Hit, Identity>;
}

/** Both hosts have keys of one kind and the same configuration. */
export function jobsOfExchange(kind: KeyKind, config: Partial<HostConfig> = {}): Exchange {
  const [one, two] = [identity(kind, 0), identity(kind, 1)];
  const pair = new Pair({ a: [one], b: [two], config });
  const jobs: Job[] = [];
  for (const node of pair.nodes) {
    node.runner = (job, run) => {
      jobs.push(job);
      return run(job);
    };
    // Also those of the R1s that were made before anybody listened.
    node.reboot();
  }
  pair.start();
  pair.establish();
  pair.close(pair.a);
  pair.run(() => pair.b.state(pair.a) === "CLOSED");
  return { jobs, identities: new Map([one, two].map((key) => [key.hit, key])) };
}
