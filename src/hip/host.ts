/** One host's HIP: its identities, its R1 pool and all its associations (RFC 7401 6). */
import type { Random } from "../core/random.ts";
import type { Deadline, Hit, Instant } from "../core/types.ts";
import type { HostConfig } from "./config.ts";
import type { AssociationView, HostGauges, HostInput, HostOutput, PeerBook } from "./io.ts";

/** An identity as the protocol needs it: the private key stays with the job runner. */
export interface LocalIdentity {
  readonly hit: Hit;
  readonly suite: number;
}

export class Host {
  constructor(_config: HostConfig, _identities: readonly LocalIdentity[], _peers: PeerBook, _random: Random) {
    throw new Error("being written");
  }
  handle(_input: HostInput, _now: Instant): readonly HostOutput[] {
    return [];
  }
  deadline(): Deadline | undefined {
    return undefined;
  }
  /** Applies new settings and identities; associations of identities that are gone are forgotten. */
  configure(_config: HostConfig, _identities: readonly LocalIdentity[], _now: Instant): readonly HostOutput[] {
    return [];
  }
  association(_peer: Hit): AssociationView | undefined {
    return undefined;
  }
  associations(): readonly AssociationView[] {
    return [];
  }
  gauges(): HostGauges {
    return { puzzleDifficulty: 0, jobsInFlight: 0, associations: 0, r1Generations: 0 };
  }
}
