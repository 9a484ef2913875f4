/** Which jobs are over so soon that another thread, asleep, would hardly have begun. */
import type { Hit } from "../core/types.ts";
import type { Identity, KeyKind } from "../crypto/identity.ts";
import { DH_GROUP } from "../crypto/suites.ts";
import { get, parse } from "../wire/packet.ts";
import { DIFFIE_HELLMAN, PUZZLE } from "../wire/rfc7401.ts";
import type { Job } from "./job.ts";

/** Of our own keys those that sign in less than a tenth of a millisecond: P-384 takes 1 ms, RSA 2 to 4. */
const FAST_KEYS: ReadonlySet<KeyKind> = new Set<KeyKind>(["ecdsa-p256", "ed25519"]);
/** The puzzle that takes a tenth of a millisecond or two, with its 2^K attempts in the mean. */
const EASY_K = 6;

export function signsFast(identity: Pick<Identity, "kind"> | undefined): boolean {
  return identity !== undefined && FAST_KEYS.has(identity.kind);
}

/**
 * Whether a job takes about a millisecond at most: no search for a solution, no slow group, no slow key of ours. Checking a
 * signature takes 0.03 (RSA) to 0.7 ms (P-384), whatever key the peer has.
 */
export function isShort(job: Job, identities: ReadonlyMap<Hit, Pick<Identity, "kind">>): boolean {
  switch (job.kind) {
    case "accept-r2":
    case "verify":
      return true;
    case "seal":
      return signsFast(identities.get(job.localHit));
    case "accept-i2":
      return signsFast(identities.get(job.localHit)) && job.dh.group === DH_GROUP.P256;
    case "answer-r1":
      return signsFast(identities.get(job.localHit)) && isEasy(job.r1);
    case "make-r1":
    case "make-dh":
    case "rekey":
      return false;
  }
}

function isEasy(bytes: Uint8Array): boolean {
  const r1 = parse(bytes);
  if (!r1.ok) return true;
  const k = get(r1.value, PUZZLE)?.k ?? 0;
  return k <= EASY_K && get(r1.value, DIFFIE_HELLMAN)?.group === DH_GROUP.P256;
}
