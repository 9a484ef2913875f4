/** The Responder's heavy work: signing R1s ahead of time and accepting an I2 (RFC 7401 5.3.2, 6.9; RFC 7402 6.5). */
import type { Hit, Spi } from "../core/types.ts";
import { agree, generateDh } from "../crypto/dh.ts";
import { type Identity, PublicIdentity } from "../crypto/identity.ts";
import { addMac2, macOfPacketValid, signatureValid, signPacket, signR1 } from "../crypto/signature.ts";
import { isHipCipher, rhashLength, rhashOfHit } from "../crypto/suites.ts";
import { NOTIFY } from "../wire/notification.ts";
import { build, get, HEADER_BYTES, has, parse, tlv } from "../wire/packet.ts";
import { HIPD_LSI_SPI } from "../wire/private.ts";
import {
  DH_GROUP_LIST,
  DIFFIE_HELLMAN,
  ECHO_REQUEST_SIGNED,
  ECHO_RESPONSE_SIGNED,
  HIP_CIPHER,
  HIP_MAC,
  HIP_SIGNATURE,
  HIT_SUITE_LIST,
  HOST_ID,
  PUZZLE,
  R1_COUNTER,
  SOLUTION,
  TRANSPORT_FORMAT_LIST,
} from "../wire/rfc7401.ts";
import { ESP_INFO, ESP_TRANSFORM } from "../wire/rfc7402.ts";
import { NAT_TRAVERSAL_MODE } from "../wire/rfc9028.ts";
import type { AcceptI2, I2Accepted, JobRefused, MakeR1, R1Made } from "./job.ts";
import {
  appendFitting,
  contentsOf,
  deriveAgreement,
  domainText,
  hostIdParameter,
  isSpi,
  locatorsIn,
  refusal,
  u16Bytes,
} from "./job-common.ts";
import { mappedAddress, unsignedEchoes } from "./messages.ts";

/** Builds and signs an R1 with zeros for what is filled in per I1: the receiver's HIT, the puzzle's Opaque and #I. */
export function makeR1(job: MakeR1, identity: Identity): R1Made {
  const dh = generateDh(job.group);
  const hostId = hostIdParameter(identity, job.domainIdentifier);
  const rhash = rhashOfHit(job.localHit) ?? "sha384";
  const parameters = [
    R1_COUNTER.of({ counter: job.r1Counter }),
    PUZZLE.of({
      k: job.puzzleK,
      lifetime: job.puzzleLifetime,
      opaque: 0,
      i: new Uint8Array(rhashLength(rhash)),
    }),
    DH_GROUP_LIST.of({ groups: job.dhGroups }),
    DIFFIE_HELLMAN.of({ group: job.group, publicValue: dh.publicValue }),
    HIP_CIPHER.of({ ids: job.hipCiphers }),
    hostId,
    HIT_SUITE_LIST.of({ suites: job.hitSuites }),
    TRANSPORT_FORMAT_LIST.of({ formats: [ESP_TRANSFORM.type] }),
    ESP_TRANSFORM.of({ suites: job.espSuites }),
    ...(job.offerLsiSpi ? [HIPD_LSI_SPI.of({ lsiSpi: 0 })] : []),
  ];
  if (job.natTraversalModes.length > 0)
    parameters.push(NAT_TRAVERSAL_MODE.of({ modes: job.natTraversalModes }));
  const unsigned = build({
    name: "R1",
    sender: job.localHit,
    receiver: "0".repeat(32) as Hit,
    parameters,
  });
  return { kind: "make-r1", r1: signR1(identity, unsigned), dh, hostId: tlv(hostId) };
}

/**
 * RFC 7401 6.9 from step 9 on; the puzzle was checked before. The order of the checks differs from the text in one
 * point: HIP_MAC is checked before ENCRYPTED is decrypted, so that nobody can use the padding as an oracle.
 */
export function acceptI2(job: AcceptI2, identity: Identity): I2Accepted | JobRefused {
  const no = refusal("accept-i2");
  const parsed = parse(job.i2);
  if (!parsed.ok) return no(`malformed_${parsed.error.reason}`, parsed.error.detail);
  const i2 = parsed.value;
  const unknown = i2.unknownCritical[0];
  if (unknown !== undefined) {
    const notify = {
      messageType: NOTIFY.UNSUPPORTED_CRITICAL_PARAMETER_TYPE,
      data: u16Bytes(unknown),
    };
    return no("unknown_critical_parameter", `parameter type ${unknown}`, notify);
  }
  const solution = get(i2, SOLUTION);
  const dh = get(i2, DIFFIE_HELLMAN);
  const ciphers = get(i2, HIP_CIPHER);
  const espInfo = get(i2, ESP_INFO);
  const transforms = get(i2, ESP_TRANSFORM);
  if (solution === undefined || dh === undefined || ciphers === undefined) {
    return no("i2_incomplete", "SOLUTION, DIFFIE_HELLMAN or HIP_CIPHER is missing");
  }
  if (!has(i2, HIP_MAC) || !has(i2, HIP_SIGNATURE)) {
    return no("i2_incomplete", "HIP_MAC or HIP_SIGNATURE is missing");
  }
  const [cipher] = ciphers.ids;
  if (
    ciphers.ids.length !== 1 ||
    cipher === undefined ||
    !job.hipCiphers.includes(cipher) ||
    !isHipCipher(cipher)
  ) {
    return no("cipher_not_offered", `HIP_CIPHER ${ciphers.ids.join(",")}`, "INVALID_HIP_CIPHER_CHOSEN");
  }
  if (dh.group !== job.dh.group) {
    return no("dh_group_not_offered", `group ${dh.group}, offered ${job.dh.group}`, "INVALID_DH_CHOSEN");
  }
  const kij = agree(job.dh, dh.publicValue);
  // RFC 7401 5.3.2: a bad public value aborts the exchange silently.
  if (!kij.ok) return no("dh_public_value", kij.error);

  const [suite] = transforms?.suites ?? [];
  const chosen = job.espSuites.find((id) => id === suite);
  const rhash = rhashOfHit(job.localHit);
  if (rhash === undefined) return no("hit_suite", "our own HIT has an unknown suite");
  const keys = deriveAgreement({
    rhash,
    kij: kij.value,
    dh: job.dh,
    peerPublic: dh.publicValue,
    hitI: i2.sender,
    hitR: i2.receiver,
    i: solution.i,
    j: solution.j,
    localHit: job.localHit,
    peerHit: i2.sender,
    cipher,
    dhGroup: dh.group,
    // Keys of the HIP control channel do not depend on the ESP suite, and the MAC must be checked first.
    espSuite: chosen ?? 13,
    keymatIndex: espInfo?.keymatIndex,
  });
  if (!macOfPacketValid(i2, rhash, keys.macIn)) return no("mac", "HIP_MAC does not match", "HIP_MAC_FAILED");

  const contents = contentsOf(i2, keys.encryptIn, cipher);
  if (contents === undefined) return no("decryption", "ENCRYPTED does not decrypt", "ENCRYPTION_FAILED");
  const host = get(contents, HOST_ID);
  if (host === undefined) return no("host_id_missing", "no HOST_ID in the I2");
  const peer = PublicIdentity.from(host.algorithm, host.hostIdentity);
  if (!peer.ok) return no("host_id", peer.error, "INVALID_HIT");
  if (peer.value.hit !== i2.sender) {
    return no("hit_mismatch", "the HOST_ID does not hash to the sender's HIT", "INVALID_HIT");
  }
  if (!signatureValid(peer.value, i2)) {
    return no("signature", "HIP_SIGNATURE does not verify", "AUTHENTICATION_FAILED");
  }

  // From here on the sender is authenticated and may hear what was wrong (5.2.19, INVALID_SYNTAX).
  if (transforms === undefined || transforms.suites.length !== 1 || chosen === undefined) {
    const offered = transforms?.suites.join(",") ?? "none";
    return no("esp_suite_not_offered", `ESP_TRANSFORM ${offered}`, "INVALID_ESP_TRANSFORM_CHOSEN");
  }
  const formats = get(i2, TRANSPORT_FORMAT_LIST);
  // Absent is tolerated: the layout of I2 in RFC 7402 5.2.1.2 does not show it.
  if (formats !== undefined && (formats.formats.length !== 1 || formats.formats[0] !== ESP_TRANSFORM.type)) {
    return no("transport_format", `TRANSPORT_FORMAT_LIST ${formats.formats.join(",")}`, "INVALID_SYNTAX");
  }
  if (espInfo === undefined || espInfo.oldSpi !== 0 || !isSpi(espInfo.newSpi)) {
    return no("esp_info", "ESP_INFO is missing, has an old SPI or a reserved new SPI", "INVALID_SYNTAX");
  }
  if (keys.keymatIndexRefused) {
    return no("keymat_index", `ESP_INFO KEYMAT Index ${espInfo.keymatIndex}`, "INVALID_SYNTAX");
  }
  const modes = get(i2, NAT_TRAVERSAL_MODE);
  if (modes !== undefined && !modes.modes.every((mode) => job.natTraversalModes.includes(mode))) {
    return no("nat_traversal_mode", `NAT_TRAVERSAL_MODE ${modes.modes.join(",")}`, {
      messageType: NOTIFY.NO_VALID_NAT_TRAVERSAL_MODE_PARAMETER,
      // RFC 9028 5.10.
      data: i2.bytes.slice(0, HEADER_BYTES),
    });
  }
  const peerLsiSpi = get(i2, HIPD_LSI_SPI)?.lsiSpi as Spi | undefined;
  const both = job.lsiSpi !== undefined && peerLsiSpi !== undefined && isSpi(peerLsiSpi);
  const parameters = [
    ESP_INFO.of({ keymatIndex: keys.espKeymatIndex, oldSpi: 0, newSpi: job.spi }),
    ...(both ? [HIPD_LSI_SPI.of({ lsiSpi: job.lsiSpi })] : []),
    ...mappedAddress(job.path),
  ];
  const echo = get(i2, ECHO_REQUEST_SIGNED);
  if (echo !== undefined) parameters.push(ECHO_RESPONSE_SIGNED.of(echo));
  const plain = build({ name: "R2", sender: job.localHit, receiver: i2.sender, parameters });
  const signed = signPacket(identity, addMac2(plain, rhash, keys.macOut, job.hostId));
  return {
    kind: "accept-i2",
    r2: appendFitting(signed, unsignedEchoes(i2)),
    locators: locatorsIn(contents),
    agreement: {
      ...keys.agreement,
      peer: { algorithm: host.algorithm, hostIdentity: host.hostIdentity.slice() },
      peerDomain: domainText(host),
      peerSpi: espInfo.newSpi as Spi,
      peerLsiSpi: both ? peerLsiSpi : undefined,
    },
  };
}
