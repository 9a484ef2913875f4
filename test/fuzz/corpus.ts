/** A valid packet of every type, with the parameters that the RFCs put into it. The same every time. */
import { concat, fromHex } from "../../src/core/bytes.ts";
import type { Hit } from "../../src/core/types.ts";
import { encrypt } from "../../src/crypto/encrypted.ts";
import { build, type PacketDraft, tlv } from "../../src/wire/packet.ts";
import type { DraftParameter } from "../../src/wire/parameter.ts";
import { HIPD_LSI_SPI } from "../../src/wire/private.ts";
import * as base from "../../src/wire/rfc7401.ts";
import * as esp from "../../src/wire/rfc7402.ts";
import * as registration from "../../src/wire/rfc8003.ts";
import * as rendezvous from "../../src/wire/rfc8004.ts";
import { LOCATOR_SET, locatorOf } from "../../src/wire/rfc8046.ts";
import * as nat from "../../src/wire/rfc9028.ts";

const sender = "20010022f4a1b2c3d4e5f60718293a4b" as Hit;
const receiver = "200100250102030405060708090a0b0c" as Hit;
const i = new Uint8Array(48).fill(0x11);
const j = new Uint8Array(48).fill(0x22);
const nonce = fromHex("00112233445566778899");
const address = fromHex("00000000000000000000ffffc0000201");
const noDomain = { diType: 0, domainId: new Uint8Array(0) } as const;

/** The base point of P-256 as a host identity. */
const p256 = fromHex(
  "0001" +
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" +
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
);
const ed25519 = concat(
  fromHex("00010000"),
  fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
);
const rsa = concat(fromHex("03010001"), new Uint8Array(256).fill(0xc5));

const hostId = base.HOST_ID.of({
  algorithm: 7,
  hostIdentity: p256,
  diType: 1,
  domainId: fromHex("0364623100"),
});
const mac = base.HIP_MAC.of({ mac: new Uint8Array(48).fill(0x33) });
const signature = base.HIP_SIGNATURE.of({ algorithm: 7, signature: new Uint8Array(64).fill(0x44) });
const dh = base.DIFFIE_HELLMAN.of({ group: 7, publicValue: p256.subarray(2) });
const sealed = base.ENCRYPTED.of({
  body: encrypt(2, new Uint8Array(16), new Uint8Array(16).fill(0x55), tlv(hostId)),
});
const espInfo = esp.ESP_INFO.of({ keymatIndex: 160, oldSpi: 0, newSpi: 0xdeadbeef });
const transport = { port: 10500, protocol: 17, address };

function packet(name: PacketDraft["name"], ...parameters: readonly DraftParameter[]): Uint8Array {
  return build({ name, sender, receiver, parameters });
}

export const CORPUS: readonly Uint8Array[] = [
  packet("I1", base.DH_GROUP_LIST.of({ groups: [7, 8, 9, 4, 3] })),
  packet(
    "R1",
    base.R1_COUNTER.of({ counter: 77n }),
    base.PUZZLE.of({ k: 10, lifetime: 37, opaque: 0x1234, i }),
    dh,
    base.HIP_CIPHER.of({ ids: [4, 2] }),
    nat.NAT_TRAVERSAL_MODE.of({ modes: [1] }),
    hostId,
    base.HIT_SUITE_LIST.of({ suites: [2, 5, 1] }),
    base.DH_GROUP_LIST.of({ groups: [7, 8] }),
    base.ECHO_REQUEST_SIGNED.of({ data: nonce }),
    base.TRANSPORT_FORMAT_LIST.of({ formats: [4095] }),
    esp.ESP_TRANSFORM.of({ suites: [13, 12, 9, 8] }),
    registration.REG_INFO.of({ minLifetime: 64, maxLifetime: 128, regTypes: [1, 2] }),
    base.HIP_SIGNATURE_2.of({ algorithm: 7, signature: new Uint8Array(64).fill(0x44) }),
    base.ECHO_REQUEST_UNSIGNED.of({ data: nonce }),
    base.ECHO_REQUEST_UNSIGNED.of({ data: nonce }),
  ),
  packet(
    "I2",
    espInfo,
    base.R1_COUNTER.of({ counter: 77n }),
    base.SOLUTION.of({ k: 10, opaque: 0x1234, i, j }),
    dh,
    base.HIP_CIPHER.of({ ids: [2] }),
    nat.NAT_TRAVERSAL_MODE.of({ modes: [1] }),
    sealed,
    base.ECHO_RESPONSE_SIGNED.of({ data: nonce }),
    base.TRANSPORT_FORMAT_LIST.of({ formats: [4095] }),
    esp.ESP_TRANSFORM.of({ suites: [13] }),
    registration.REG_REQUEST.of({ lifetime: 100, regTypes: [1] }),
    HIPD_LSI_SPI.of({ lsiSpi: 0xfeedface }),
    mac,
    signature,
    base.ECHO_RESPONSE_UNSIGNED.of({ data: nonce }),
  ),
  packet("I2", base.HOST_ID.of({ algorithm: 13, hostIdentity: ed25519, ...noDomain }), mac, signature),
  packet("I2", base.HOST_ID.of({ algorithm: 5, hostIdentity: rsa, ...noDomain }), mac, signature),
  packet(
    "R2",
    espInfo,
    HIPD_LSI_SPI.of({ lsiSpi: 0xfeedface }),
    registration.REG_RESPONSE.of({ lifetime: 100, regTypes: [1] }),
    registration.REG_FAILED.of({ failureType: 1, regTypes: [2] }),
    nat.REG_FROM.of(transport),
    base.HIP_MAC_2.of({ mac: new Uint8Array(48).fill(0x33) }),
    signature,
  ),
  packet(
    "UPDATE",
    espInfo,
    LOCATOR_SET.of({
      locators: [
        {
          trafficType: 0,
          preferred: true,
          lifetime: 3600,
          ...locatorOf({
            address: fromHex("c0000201"),
            spi: 7,
            transport: { port: 10500, protocol: 17, kind: 0, priority: 1 },
          }),
        },
        {
          trafficType: 2,
          preferred: false,
          lifetime: 60,
          ...locatorOf({ address, spi: 7, transport: undefined }),
        },
      ],
    }),
    base.SEQ.of({ updateId: 3 }),
    base.ACK.of({ ids: [1, 2] }),
    dh,
    base.ECHO_REQUEST_SIGNED.of({ data: nonce }),
    nat.CANDIDATE_PRIORITY.of({ priority: 9 }),
    nat.NOMINATE.of({}),
    nat.MAPPED_ADDRESS.of(transport),
    mac,
    signature,
  ),
  packet(
    "NOTIFY",
    base.NOTIFICATION.of({ messageType: 1, data: fromHex("2001") }),
    base.NOTIFICATION.of({ messageType: 44, data: new Uint8Array(0) }),
    hostId,
    signature,
  ),
  packet("CLOSE", base.ECHO_REQUEST_SIGNED.of({ data: nonce }), mac, signature),
  packet("CLOSE_ACK", base.ECHO_RESPONSE_SIGNED.of({ data: nonce }), mac, signature),
  packet(
    "I1",
    base.DH_GROUP_LIST.of({ groups: [7] }),
    nat.RELAY_FROM.of(transport),
    rendezvous.FROM.of({ address }),
    rendezvous.RVS_HMAC.of({ mac: new Uint8Array(32) }),
    rendezvous.VIA_RVS.of({ addresses: [address, address] }),
  ),
];
