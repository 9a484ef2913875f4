/** Runs a job: pure but for the randomness inside key generation and signing. Worker threads and the simulator call it. */
import type { Hit } from "../core/types.ts";
import { type Identity, PublicIdentity } from "../crypto/identity.ts";
import { addMac, signatureValid, signPacket } from "../crypto/signature.ts";
import { build, parse } from "../wire/packet.ts";
import type {
  Job,
  JobRefused,
  JobResult,
  PacketSealed,
  PacketVerified,
  SealPacket,
  VerifyPacket,
} from "./job.ts";
import { refusal } from "./job-common.ts";
import { acceptR2, answerR1 } from "./job-initiator.ts";
import { acceptI2, makeR1 } from "./job-responder.ts";

/** Never throws for bytes from the network; an identity that is gone gives a refusal. */
export function runJob(job: Job, identities: ReadonlyMap<Hit, Identity>): JobResult {
  if (job.kind === "accept-r2") return acceptR2(job);
  if (job.kind === "verify") return verifyPacket(job);
  const identity = identities.get(job.localHit);
  if (identity === undefined) return refusal(job.kind)("identity_gone", "the local identity was removed");
  switch (job.kind) {
    case "make-r1":
      return makeR1(job, identity);
    case "answer-r1":
      return answerR1(job, identity);
    case "accept-i2":
      return acceptI2(job, identity);
    case "seal":
      return sealPacket(job, identity);
  }
}

function verifyPacket(job: VerifyPacket): PacketVerified | JobRefused {
  const packet = parse(job.packet);
  const peer = PublicIdentity.from(job.peer.algorithm, job.peer.hostIdentity);
  if (packet.ok && peer.ok && signatureValid(peer.value, packet.value)) return { kind: "verify" };
  return refusal("verify")("signature", "HIP_SIGNATURE does not verify", "AUTHENTICATION_FAILED");
}

function sealPacket(job: SealPacket, identity: Identity): PacketSealed {
  const plain = build(job.draft);
  const authenticated = job.macKey === undefined ? plain : addMac(plain, job.rhash, job.macKey);
  return { kind: "seal", bytes: signPacket(identity, authenticated) };
}
