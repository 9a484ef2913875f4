/** The Initiator's heavy work: answering an R1 with an I2 and accepting the R2 (RFC 7401 6.8, 6.10; RFC 7402 6.4, 6.6). */
import type { Spi } from "../core/types.ts";
import { agree, generateDh } from "../crypto/dh.ts";
import { encrypt } from "../crypto/encrypted.ts";
import { type Identity, PublicIdentity } from "../crypto/identity.ts";
import { solve } from "../crypto/puzzle.ts";
import {
  addMac,
  mac2OfPacketValid,
  r1SignatureValid,
  signatureValid,
  signPacket,
} from "../crypto/signature.ts";
import { isHipCipher, rhashLength, rhashOfHit } from "../crypto/suites.ts";
import { NOTIFY } from "../wire/notification.ts";
import { build, get, MAX_PACKET_BYTES, parse, raw, tlv } from "../wire/packet.ts";
import { HIPD_LSI_SPI } from "../wire/private.ts";
import {
  DH_GROUP_LIST,
  DIFFIE_HELLMAN,
  ECHO_REQUEST_SIGNED,
  ECHO_RESPONSE_SIGNED,
  ENCRYPTED,
  HIP_CIPHER,
  HIT_SUITE_LIST,
  HOST_ID,
  PUZZLE,
  R1_COUNTER,
  SOLUTION,
  TRANSPORT_FORMAT_LIST,
} from "../wire/rfc7401.ts";
import { ESP_INFO, ESP_TRANSFORM } from "../wire/rfc7402.ts";
import { NAT_TRAVERSAL_MODE } from "../wire/rfc9028.ts";
import type { AcceptR2, AnswerR1, I2Made, JobRefused, R2Accepted } from "./job.ts";
import {
  appendFitting,
  contentsOf,
  deriveAgreement,
  domainText,
  hostIdParameter,
  isSpi,
  locatorsIn,
  refusal,
  solveMillis,
  u16Bytes,
} from "./job-common.ts";
import { mappedIn, unsignedEchoes } from "./messages.ts";

/** 2^(K + this) attempts find a solution but for one puzzle in e^16. */
const SOLVE_SLACK_BITS = 4;

/** RFC 7401 6.8 steps 4 to 17. Nothing of the R1 is used before its signature is found valid, as 5.3.2 asks. */
export function answerR1(job: AnswerR1, identity: Identity): I2Made | JobRefused {
  const no = refusal("answer-r1");
  const parsed = parse(job.r1);
  if (!parsed.ok) return no(`malformed_${parsed.error.reason}`, parsed.error.detail);
  const r1 = parsed.value;
  // 6.8.1: a malformed R1 is dropped silently, so an unknown critical parameter is too.
  if (r1.unknownCritical.length > 0) {
    return no("unknown_critical_parameter", `parameter type ${r1.unknownCritical.join(",")}`);
  }
  const puzzle = get(r1, PUZZLE);
  const dh = get(r1, DIFFIE_HELLMAN);
  const ciphers = get(r1, HIP_CIPHER);
  const transforms = get(r1, ESP_TRANSFORM);
  const hostId = get(r1, HOST_ID);
  const hostIdRaw = raw(r1, HOST_ID);
  const suites = get(r1, HIT_SUITE_LIST);
  const groups = get(r1, DH_GROUP_LIST);
  if (
    puzzle === undefined ||
    dh === undefined ||
    ciphers === undefined ||
    transforms === undefined ||
    hostId === undefined ||
    hostIdRaw === undefined ||
    suites === undefined ||
    groups === undefined
  ) {
    return no("r1_incomplete", "a mandatory parameter of R1 is missing (RFC 7401 5.3.2, RFC 7402 5.2.1.1)");
  }
  const peer = PublicIdentity.from(hostId.algorithm, hostId.hostIdentity);
  if (!peer.ok) return no("host_id", peer.error);
  if (peer.value.hit !== r1.sender)
    return no("hit_mismatch", "the HOST_ID does not hash to the sender's HIT");
  if (!r1SignatureValid(peer.value, r1)) return no("signature", "HIP_SIGNATURE_2 does not verify");

  const rhash = rhashOfHit(r1.sender);
  if (rhash === undefined || puzzle.i.length !== rhashLength(rhash)) {
    return no("puzzle_length", `#I has ${puzzle.i.length} bytes`);
  }
  if (!suites.suites.includes(identity.suite)) {
    return {
      ...no("hit_suite", `the peer supports HIT suites ${suites.suites.join(",")}`, "UNSUPPORTED_HIT_SUITE"),
      peerSuites: suites.suites,
    };
  }
  // Step 7 as 5.2.6 defines the Responder's choice: its first group that our I1 listed.
  const best = groups.groups.find((group) => job.dhGroups.includes(group));
  if (best === undefined)
    return no("dh_groups", `groups ${groups.groups.join(",")}`, "NO_DH_PROPOSAL_CHOSEN");
  if (dh.group !== best) {
    return no("dh_downgrade", `the peer chose group ${dh.group}, its list with ours says ${best}`);
  }
  const cipher = job.hipCiphers.find((id) => ciphers.ids.includes(id));
  if (cipher === undefined || !isHipCipher(cipher)) {
    return no("hip_ciphers", `ciphers ${ciphers.ids.join(",")}`, "NO_HIP_PROPOSAL_CHOSEN");
  }
  const formats = get(r1, TRANSPORT_FORMAT_LIST);
  if (formats !== undefined && !formats.formats.includes(ESP_TRANSFORM.type)) {
    return no("transport_format", `formats ${formats.formats.join(",")}`, "NO_HIP_PROPOSAL_CHOSEN");
  }
  const espSuite = transforms.suites
    .map((id) => job.espSuites.find((ours) => ours === id))
    .find((id) => id !== undefined);
  if (espSuite === undefined) {
    return no("esp_suites", `ESP suites ${transforms.suites.join(",")}`, "NO_ESP_PROPOSAL_CHOSEN");
  }
  // Non-critical: without a common mode the exchange goes on as if it were not there (RFC 9028 4.3).
  const offeredModes = get(r1, NAT_TRAVERSAL_MODE)?.modes;
  const mode = offeredModes && job.natTraversalModes.find((ours) => offeredModes.includes(ours));
  if (puzzle.k > job.solveK) return no("puzzle_too_hard", `K ${puzzle.k}, bound ${job.solveK}`);

  const start = job.j.subarray(0, puzzle.i.length);
  const { i, k } = puzzle;
  const hits = { hitI: job.localHit, hitR: r1.sender };
  // The search has this thread for itself, so it must end by itself when nobody waits for it any more.
  const millis = solveMillis(puzzle.lifetime);
  const j = solve({ rhash, i, ...hits, k, start, attempts: 2 ** (k + SOLVE_SLACK_BITS), millis });
  if (j === undefined) return no("puzzle_unsolved", `K ${k}`);

  const ours = generateDh(dh.group);
  const kij = agree(ours, dh.publicValue);
  if (!kij.ok) return no("dh_public_value", kij.error);
  const keys = deriveAgreement({
    rhash,
    kij: kij.value,
    dh: ours,
    peerPublic: dh.publicValue,
    ...hits,
    i,
    j,
    localHit: job.localHit,
    peerHit: r1.sender,
    cipher,
    dhGroup: dh.group,
    espSuite,
    keymatIndex: undefined,
  });

  // Only a peer that announced it gets a second SPI: the inbound SA is installed before the R2 could tell.
  const lsiSpi = get(r1, HIPD_LSI_SPI) === undefined ? undefined : job.lsiSpi;
  const ownHostId = hostIdParameter(identity, job.domainIdentifier);
  const counter = raw(r1, R1_COUNTER);
  const echo = get(r1, ECHO_REQUEST_SIGNED);
  const parameters = [
    ESP_INFO.of({ keymatIndex: keys.espKeymatIndex, oldSpi: 0, newSpi: job.spi }),
    // 5.2.3: echoed with its Reserved field verbatim.
    ...(counter === undefined ? [] : [{ type: counter.type, contents: counter.contents }]),
    SOLUTION.of({ k, opaque: puzzle.opaque, i, j }),
    DIFFIE_HELLMAN.of({ group: dh.group, publicValue: ours.publicValue }),
    HIP_CIPHER.of({ ids: [cipher] }),
    ...(mode === undefined ? [] : [NAT_TRAVERSAL_MODE.of({ modes: [mode] })]),
    job.encryptHostId
      ? ENCRYPTED.of({ body: encrypt(cipher, keys.encryptOut, job.iv, tlv(ownHostId)) })
      : ownHostId,
    ...(echo === undefined ? [] : [ECHO_RESPONSE_SIGNED.of(echo)]),
    TRANSPORT_FORMAT_LIST.of({ formats: [ESP_TRANSFORM.type] }),
    ESP_TRANSFORM.of({ suites: [espSuite] }),
    ...(lsiSpi === undefined ? [] : [HIPD_LSI_SPI.of({ lsiSpi })]),
  ];
  const plain = build({ name: "I2", sender: job.localHit, receiver: r1.sender, parameters });
  const signed = signPacket(identity, addMac(plain, rhash, keys.macOut));
  // What an R1 wants echoed may need more room than it took there, beside a longer key of ours.
  if (signed.length > MAX_PACKET_BYTES) return no("packet_too_large", `an I2 of ${signed.length} bytes`);
  return {
    kind: "answer-r1",
    i2: appendFitting(signed, unsignedEchoes(r1)),
    hostId: r1.bytes.slice(hostIdRaw.offset, hostIdRaw.end),
    r1Counter: get(r1, R1_COUNTER)?.counter,
    lsiSpi,
    puzzleK: k,
    locators: locatorsIn(r1),
    agreement: {
      ...keys.agreement,
      peer: { algorithm: hostId.algorithm, hostIdentity: hostId.hostIdentity.slice() },
      peerDomain: domainText(hostId),
      peerSpi: undefined,
      peerLsiSpi: undefined,
    },
  };
}

/** RFC 7401 6.10 steps 3 and 4, RFC 7402 6.6. */
export function acceptR2(job: AcceptR2): R2Accepted | JobRefused {
  const no = refusal("accept-r2");
  const parsed = parse(job.r2);
  if (!parsed.ok) return no(`malformed_${parsed.error.reason}`, parsed.error.detail);
  const r2 = parsed.value;
  if (!mac2OfPacketValid(r2, job.rhash, job.macKey, job.hostId)) return no("mac", "HIP_MAC_2 does not match");
  const peer = PublicIdentity.from(job.peer.algorithm, job.peer.hostIdentity);
  if (!peer.ok || !signatureValid(peer.value, r2)) {
    return no("signature", "HIP_SIGNATURE does not verify", "AUTHENTICATION_FAILED");
  }
  const contents = contentsOf(r2, job.decrypt.key, job.decrypt.cipher);
  if (contents === undefined) return no("decryption", "ENCRYPTED does not decrypt", "ENCRYPTION_FAILED");
  const unknown = r2.unknownCritical[0];
  if (unknown !== undefined) {
    return no("unknown_critical_parameter", `parameter type ${unknown}`, {
      messageType: NOTIFY.UNSUPPORTED_CRITICAL_PARAMETER_TYPE,
      data: u16Bytes(unknown),
    });
  }
  const espInfo = get(r2, ESP_INFO);
  if (espInfo === undefined || espInfo.oldSpi !== 0 || !isSpi(espInfo.newSpi)) {
    return no("esp_info", "ESP_INFO is missing, has an old SPI or a reserved new SPI", "INVALID_SYNTAX");
  }
  const lsiSpi = get(r2, HIPD_LSI_SPI)?.lsiSpi;
  return {
    kind: "accept-r2",
    peerSpi: espInfo.newSpi as Spi,
    peerLsiSpi: lsiSpi !== undefined && isSpi(lsiSpi) ? (lsiSpi as Spi) : undefined,
    mapped: mappedIn(r2),
    locators: locatorsIn(contents),
  };
}
