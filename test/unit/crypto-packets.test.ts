/** HIP_MAC, HIP_MAC_2, HIP_SIGNATURE, HIP_SIGNATURE_2 and ENCRYPTED on whole packets. */
import { createCipheriv } from "node:crypto";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex, utf8 } from "../../src/core/bytes.ts";
import type { Hit } from "../../src/core/types.ts";
import { decrypt, encrypt } from "../../src/crypto/encrypted.ts";
import { Identity } from "../../src/crypto/identity.ts";
import { hipMac, macValid } from "../../src/crypto/mac.ts";
import {
  addMac,
  addMac2,
  mac2OfPacketValid,
  macOfPacketValid,
  r1SignatureValid,
  signatureValid,
  signPacket,
  signR1,
} from "../../src/crypto/signature.ts";
import { append, build, covered, get, type Packet, parse, raw, tlv } from "../../src/wire/packet.ts";
import * as base from "../../src/wire/rfc7401.ts";

const peer = "20010022222222222222222222222222" as Hit;
const key = new Uint8Array(48).fill(0x5a);

function mustParse(bytes: Uint8Array): Packet {
  const parsed = parse(bytes);
  if (!parsed.ok) throw new Error(`${parsed.error.reason}: ${parsed.error.detail}`);
  return parsed.value;
}

/** Each byte of `bytes` changed in turn; those that make no packet any more are left out. */
function* damaged(bytes: Uint8Array, from: number, to: number): Generator<Packet> {
  for (let at = from; at < to; at++) {
    const copy = bytes.slice();
    copy[at] = (copy[at] as number) ^ 0x40;
    const parsed = parse(copy);
    if (parsed.ok) yield parsed.value;
  }
}

const kinds = ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519"] as const;

describe.each(kinds)("an UPDATE from %s", (kind) => {
  const identity = Identity.generate(kind);
  const plain = build({
    name: "UPDATE",
    sender: identity.hit,
    receiver: peer,
    parameters: [base.SEQ.of({ updateId: 7 }), base.ECHO_REQUEST_SIGNED.of({ data: utf8("nonce") })],
  });
  const sealed = signPacket(identity, addMac(plain, "sha384", key));
  const packet = mustParse(sealed);
  const signatureAt = raw(packet, base.HIP_SIGNATURE)?.offset ?? 0;

  test("is valid as made, and with what may follow or change on the way", () => {
    const echoed = append(sealed, [base.ECHO_REQUEST_UNSIGNED.of({ data: utf8("middlebox") })]);
    echoed.set([0xab, 0xcd], 4);
    for (const one of [packet, mustParse(echoed)]) {
      expect(macOfPacketValid(one, "sha384", key)).toBe(true);
      expect(signatureValid(identity.publicOnly(), one)).toBe(true);
    }
  });

  test("the MAC is HMAC of the packet before it", () => {
    expect(toHex(get(packet, base.HIP_MAC)?.mac ?? new Uint8Array())).toBe(
      toHex(hipMac("sha384", key, covered(sealed, 61505))),
    );
  });

  test("no byte that is covered can change", () => {
    const macAt = raw(packet, base.HIP_MAC)?.offset ?? 0;
    let seen = 0;
    // 0 to 3 are checked by parse or recomputed; 4 and 5 are the checksum.
    for (const one of [...damaged(sealed, 6, macAt)]) {
      seen++;
      // Padding behind "nonce" is covered too.
      expect(macOfPacketValid(one, "sha384", key)).toBe(false);
    }
    for (const one of damaged(sealed, 6, signatureAt))
      expect(signatureValid(identity.publicOnly(), one)).toBe(false);
    expect(seen).toBeGreaterThan(40);
  });

  test("another key, another hash, another identity, or nothing to check: not valid", () => {
    expect(macOfPacketValid(packet, "sha384", key.subarray(1))).toBe(false);
    expect(macOfPacketValid(packet, "sha256", key)).toBe(false);
    expect(signatureValid(Identity.generate("ecdsa-p256").publicOnly(), packet)).toBe(false);
    const bare = mustParse(plain);
    expect(macOfPacketValid(bare, "sha384", key)).toBe(false);
    expect(mac2OfPacketValid(bare, "sha384", key, new Uint8Array(0))).toBe(false);
    expect(signatureValid(identity.publicOnly(), bare)).toBe(false);
    expect(r1SignatureValid(identity.publicOnly(), packet)).toBe(false);
  });
});

describe.each(kinds)("an R1 from %s", (kind) => {
  const identity = Identity.generate(kind);
  const puzzle = { k: 10, lifetime: 37, opaque: 0, i: new Uint8Array(48) };
  const template = signR1(
    identity,
    build({
      name: "R1",
      sender: identity.hit,
      receiver: "0".repeat(32) as Hit,
      parameters: [base.PUZZLE.of(puzzle), base.DH_GROUP_LIST.of({ groups: [7] })],
    }),
  );
  const puzzleAt = raw(mustParse(template), base.PUZZLE)?.offset ?? 0;

  test("stays valid when receiver, Opaque and I are filled in", () => {
    const filled = template.slice();
    filled.set(fromHex(peer), 24);
    filled.fill(0xee, puzzleAt + 6, puzzleAt + 8 + 48);
    expect(get(mustParse(filled), base.PUZZLE)).toMatchObject({ opaque: 0xeeee, k: 10 });
    expect(r1SignatureValid(identity.publicOnly(), mustParse(filled))).toBe(true);
    expect(r1SignatureValid(identity.publicOnly(), mustParse(template))).toBe(true);
  });

  test.each([
    ["K", 4],
    ["Lifetime", 5],
    ["a DH group", 8 + 48 + 4],
    ["the sender", -20],
  ])("is not valid any more with another %s", (_, offset) => {
    const copy = template.slice();
    copy[puzzleAt + offset] = (copy[puzzleAt + offset] as number) ^ 1;
    expect(r1SignatureValid(identity.publicOnly(), mustParse(copy))).toBe(false);
  });
});

describe("HIP_MAC_2", () => {
  const identity = Identity.generate("ecdsa-p256");
  const { algorithm, hostIdentity } = identity;
  const hostId = tlv(base.HOST_ID.of({ algorithm, hostIdentity, diType: 0, domainId: new Uint8Array(0) }));
  const r2 = build({
    name: "R2",
    sender: identity.hit,
    receiver: peer,
    parameters: [base.SEQ.of({ updateId: 1 })],
  });
  const packet = mustParse(addMac2(r2, "cshake128", key, hostId));

  test("needs exactly the HOST_ID of the R1", () => {
    expect(mac2OfPacketValid(packet, "cshake128", key, hostId)).toBe(true);
    const named = tlv(base.HOST_ID.of({ algorithm, hostIdentity, diType: 2, domainId: utf8("a") }));
    expect(mac2OfPacketValid(packet, "cshake128", key, named)).toBe(false);
    expect(mac2OfPacketValid(packet, "cshake128", key, new Uint8Array(0))).toBe(false);
  });

  test("is HMAC over packet and HOST_ID, with the length of both", () => {
    const whole = concat(r2, hostId);
    whole[1] = whole.length / 8 - 1;
    expect(get(packet, base.HIP_MAC_2)).toEqual({ mac: hipMac("cshake128", key, whole) });
  });
});

test("a MAC of any other length is not valid: nothing is truncated", () => {
  const mac = hipMac("sha256", key, utf8("x"));
  expect(macValid("sha256", key, utf8("x"), mac)).toBe(true);
  for (const wrong of [mac.subarray(0, 12), new Uint8Array(0), concat(mac, Uint8Array.of(0))]) {
    expect(macValid("sha256", key, utf8("x"), wrong)).toBe(false);
  }
});

describe("ENCRYPTED", () => {
  const iv = fromHex("3dafba429d9eb430b422da802c9fac41");

  test("RFC 3602 4, case 1, with PKCS #5 padding behind", () => {
    const body = encrypt(2, fromHex("06a9214036b8a15b512e03d534120006"), iv, utf8("Single block msg"));
    expect(toHex(body.subarray(0, 32))).toBe(`${toHex(iv)}e353779c1079aeb82708942dbe77181a`);
    expect(body.length).toBe(48);
  });

  test.each([
    [2, 16, 8],
    [2, 16, 16],
    [4, 32, 24],
    [4, 32, 520],
  ] as const)("cipher %i with a key of %i bytes: %i bytes come back", (cipher, keyBytes, length) => {
    const secret = new Uint8Array(keyBytes).fill(9);
    const text = Uint8Array.from({ length }, (_, n) => n & 0xff);
    const body = encrypt(cipher, secret, iv, text);
    expect((body.length - 16) % 16).toBe(0);
    expect(body.length - 16).toBeGreaterThan(length);
    expect(decrypt(cipher, secret, body)).toEqual({ ok: true, value: text });
  });

  test("a sender that pads only when it must is understood, also when the text ends like padding", () => {
    const secret = new Uint8Array(16).fill(9);
    const endings = ["01", "0404040404040404", "0008080808080808", "0000000000000008", "0000000000000010"];
    for (const ending of endings) {
      const tail = fromHex(ending);
      const text = concat(new Uint8Array(32 - tail.length), tail);
      const aes = createCipheriv("aes-128-cbc", secret, iv).setAutoPadding(false);
      const body = concat(iv, aes.update(text), aes.final());
      expect(decrypt(2, secret, body)).toEqual({ ok: true, value: text });
    }
  });

  test.each([
    ["nothing", 0],
    ["half an IV", 8],
    ["an IV alone", 16],
    ["half a block", 24],
  ])("%s is refused", (_, length) => {
    const text = decrypt(2, new Uint8Array(16), new Uint8Array(length));
    expect(text).toEqual({ ok: false, error: `ENCRYPTED: ${length} bytes are not an IV and whole blocks` });
  });

  test("a key of the wrong length is refused, not thrown", () => {
    expect(decrypt(4, new Uint8Array(16), new Uint8Array(32)).ok).toBe(false);
  });
});
