/** The jobs that two hosts ask for, from the first packet to the close. */
import type { Hit, Instant, Path } from "../../src/core/types.ts";
import { Identity, type KeyKind } from "../../src/crypto/identity.ts";
import type { HostConfig } from "../../src/hip/config.ts";
import { Host } from "../../src/hip/host.ts";
import type { HostInput } from "../../src/hip/io.ts";
import type { Job } from "../../src/hip/job.ts";
import { runJob } from "../../src/hip/run-job.ts";
import { SeededRandom } from "./random.ts";

export interface Exchange {
  readonly jobs: readonly Job[];
  readonly identities: ReadonlyMap<Hit, Identity>;
}

/** Both hosts have keys of one kind and the same configuration. */
export function jobsOfExchange(kind: KeyKind, config: HostConfig): Exchange {
  const [one, two] = [Identity.generate(kind), Identity.generate(kind)];
  const identities = new Map([one, two].map((identity) => [identity.hit, identity]));
  const jobs: Job[] = [];
  const host = (own: Identity, peer: Identity, address: string, seed: number): Host => {
    const policy = {
      hit: peer.hit,
      localHit: own.hit,
      carrier: "udp" as const,
      locators: [{ address, port: 10500 }],
      inboundFamily: "hit" as const,
    };
    const book = { find: () => policy, discovered: () => false };
    return new Host(config, [{ hit: own.hit, suite: own.suite }], book, new SeededRandom(seed));
  };
  const [a, b] = [host(one, two, "192.0.2.2", 1), host(two, one, "192.0.2.1", 2)];
  const path = (from: string, to: string): Path => ({
    carrier: "udp",
    local: { address: to, port: 10500 },
    remote: { address: from, port: 10500 },
  });
  const take = (to: Host, input: HostInput): void => {
    const other = to === a ? b : a;
    const route = to === a ? path("192.0.2.1", "192.0.2.2") : path("192.0.2.2", "192.0.2.1");
    for (const output of to.handle(input, 1000 as Instant)) {
      if (output.type === "send") take(other, { type: "datagram", bytes: output.bytes, path: route });
      if (output.type !== "job") continue;
      jobs.push(output.job);
      take(to, { type: "job-done", id: output.id, result: runJob(output.job, identities) });
    }
  };
  for (const one of [a, b]) take(one, { type: "timeout" });
  take(a, { type: "connect", peer: two.hit });
  take(a, { type: "close", peer: two.hit });
  return { jobs, identities };
}
