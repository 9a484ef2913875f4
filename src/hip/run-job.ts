/** Runs a job: pure but for the randomness inside key generation and signing. Worker threads and the simulator call it. */
import { concat } from "../core/bytes.ts";
import { err, type Hit, ok } from "../core/types.ts";
import { agree, generateDh } from "../crypto/dh.ts";
import { decrypt, encrypt } from "../crypto/encrypted.ts";
import { type Identity, PublicIdentity } from "../crypto/identity.ts";
import { espKeys, Keymat } from "../crypto/keymat.ts";
import { addMac, signatureValid, signPacket } from "../crypto/signature.ts";
import { isHipCipher } from "../crypto/suites.ts";
import {
  build,
  get,
  MAX_PACKET_BYTES,
  type PacketDraft,
  parse,
  parseParameters,
  tlv,
  unknownCriticalTypes,
} from "../wire/packet.ts";
import { ENCRYPTED } from "../wire/rfc7401.ts";
import type {
  Job,
  JobRefused,
  JobResult,
  PacketSealed,
  PacketVerified,
  Rekeyed,
  RekeyJob,
  SealPacket,
  VerifyPacket,
} from "./job.ts";
import { appendFitting, MAX_KEYMAT_INDEX, refusal } from "./job-common.ts";
import { acceptR2, answerR1 } from "./job-initiator.ts";
import { acceptI2, makeR1 } from "./job-responder.ts";

/** Never throws for bytes from the network; an identity that is gone gives a refusal. */
export function runJob(job: Job, identities: ReadonlyMap<Hit, Identity>): JobResult {
  if (job.kind === "accept-r2") return acceptR2(job);
  if (job.kind === "verify") return verifyPacket(job);
  if (job.kind === "make-dh") return { kind: "make-dh", dh: generateDh(job.group) };
  if (job.kind === "rekey") return rekey(job);
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

/** RFC 7402 6.10 steps 1 to 3, 7: only ESP keys are drawn. */
function rekey(job: RekeyJob): Rekeyed | JobRefused {
  const no = refusal("rekey");
  const { agreement, localHit, peerHit, peerPublic } = job;
  const ourNewDh = job.dh === "new" ? generateDh(agreement.dhGroup) : undefined;
  const newDh = ourNewDh ?? (job.dh === "new" ? undefined : job.dh);
  const dh = newDh ?? agreement.dh;
  const theirs = peerPublic ?? agreement.peerPublic;
  const fresh = newDh !== undefined || peerPublic !== undefined;
  const kij = fresh ? agree(dh, theirs) : ok(agreement.kij);
  if (!kij.ok) return no("dh_public_value", kij.error);
  const { rhash, i, j } = agreement;
  const keymat = new Keymat({ rhash, kij: kij.value, hitI: localHit, hitR: peerHit, i, j });
  const index = fresh ? 0 : job.keymatIndex;
  if (index > MAX_KEYMAT_INDEX || (!fresh && index < agreement.keymatIndex)) {
    return no("keymat_index", `KEYMAT Index ${index}`);
  }
  if (index > 0) keymat.draw(index);
  const esp = espKeys(keymat, agreement.espSuite, localHit, peerHit);
  return {
    kind: "rekey",
    ourNewDh,
    agreement: {
      ...agreement,
      espOut: esp.outbound,
      espIn: esp.inbound,
      kij: kij.value,
      keymatIndex: keymat.index,
      dh,
      peerPublic: theirs.slice(),
    },
  };
}

function verifyPacket(job: VerifyPacket): PacketVerified | JobRefused {
  const packet = parse(job.packet);
  const peer = PublicIdentity.from(job.peer.algorithm, job.peer.hostIdentity);
  const no = refusal("verify");
  if (!packet.ok || !peer.ok || !signatureValid(peer.value, packet.value)) {
    return no("signature", "HIP_SIGNATURE does not verify", "AUTHENTICATION_FAILED");
  }
  const encrypted = get(packet.value, ENCRYPTED);
  if (encrypted === undefined) return { kind: "verify", inside: [], insideUnknown: [] };
  const { cipher, key } = job.decrypt;
  const plain = isHipCipher(cipher) ? decrypt(cipher, key, encrypted.body) : err("no cipher");
  const inside = plain.ok ? parseParameters(concat(plain.value)) : plain;
  if (!inside.ok) return no("decryption", "ENCRYPTED does not decrypt", "ENCRYPTION_FAILED");
  // Copies: what a view would keep alive is the whole packet.
  const parameters = inside.value.map(({ type, contents }) => ({ type, contents: new Uint8Array(contents) }));
  return { kind: "verify", inside: parameters, insideUnknown: unknownCriticalTypes(inside.value) };
}

function withEncrypted({ draft, encrypt: secret }: SealPacket): PacketDraft {
  if (secret === undefined || !isHipCipher(secret.cipher)) return draft;
  const plain = concat(...secret.parameters.toSorted((a, b) => a.type - b.type).map(tlv));
  const body = encrypt(secret.cipher, secret.key, secret.iv, plain);
  return { ...draft, parameters: [...draft.parameters, ENCRYPTED.of({ body })] };
}

function sealPacket(job: SealPacket, identity: Identity): PacketSealed | JobRefused {
  const plain = build(withEncrypted(job));
  const authenticated = job.macKey === undefined ? plain : addMac(plain, job.rhash, job.macKey);
  const signed = signPacket(identity, authenticated);
  if (signed.length > MAX_PACKET_BYTES) return refusal("seal")("packet_too_large", `${signed.length} bytes`);
  return { kind: "seal", bytes: appendFitting(signed, job.unsigned ?? []) };
}
