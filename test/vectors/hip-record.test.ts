/** HIP resource records: the examples of RFC 8005 7, byte for byte, and the forms of keys of RFC 8005 5.5. */
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../src/core/bytes.ts";
import { hitBytes } from "../../src/core/ip.ts";
import { hipRdata, hipRecordText, identityOfRecord, recordKey } from "../../src/crypto/hip-record.ts";
import { Identity, KEY_KINDS } from "../../src/crypto/identity.ts";
import { readHipRecord } from "../../src/crypto/keyfile.ts";
import { decodeHipRecord, encodeHipRecord, MAX_RENDEZVOUS } from "../../src/wire/rfc8005.ts";

/** RFC 8005 7. */
const HIT = fromHex("200100107b1a74df365639cc39f1d578");
const KEY = new Uint8Array(
  Buffer.from(
    "AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ry" +
      "ra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D",
    "base64",
  ),
);

/** HIT length, PK algorithm, PK length (RFC 8005 5), and what they are of. */
const HEAD = concat(fromHex("10020084"), HIT, KEY);
const name = (...labels: readonly string[]): Uint8Array =>
  concat(
    ...labels.map((label) => concat(Uint8Array.of(label.length), new TextEncoder().encode(label))),
    Uint8Array.of(0),
  );

describe("RFC 8005 7", () => {
  test.each([
    ["no rendezvous server", [], HEAD],
    ["one", ["rvs.example.com"], concat(HEAD, name("rvs", "example", "com"))],
    [
      "two",
      ["rvs1.example.com", "rvs2.example.com"],
      concat(HEAD, name("rvs1", "example", "com"), name("rvs2", "example", "com")),
    ],
  ])("%s", (_what, rendezvous, wire) => {
    expect(KEY.length).toBe(0x84);
    const record = { hit: HIT, pkAlgorithm: 2, publicKey: KEY, rendezvous };
    expect(toHex(encodeHipRecord(record))).toBe(toHex(wire));
    expect(decodeHipRecord(wire)).toEqual({ ok: true, value: record });
  });

  test("its key is too small for this implementation, and its HIT is one of version 1", () => {
    expect(identityOfRecord({ pkAlgorithm: 2, publicKey: KEY })).toMatchObject({ ok: false });
  });
});

describe("what is no record", () => {
  test.each([
    ["nothing", ""],
    ["a HIT that is cut off", "10020000aabb"],
    ["a key that is cut off", "01020004aabbcc"],
    ["a compressed name", "00020000c00c"],
    ["a name without its end", "000200000361"],
    ["the root as a rendezvous server", "0002000000"],
    ["a name with a dot in a label", "0002000003612e6200"],
    ["a name of more than 255 bytes", `00020000${`3f${"61".repeat(63)}`.repeat(4)}00`],
  ])("%s", (_what, hex) => {
    expect(decodeHipRecord(fromHex(hex)).ok).toBe(false);
  });
});

test.each(KEY_KINDS)("%s: from the identity to bytes and text, and back to the same HIT", (kind) => {
  const identity = Identity.generate(kind).publicOnly();
  const rdata = hipRdata(identity, ["rvs.example.org"]);
  const record = decodeHipRecord(rdata ?? new Uint8Array(0));
  if (!record.ok) throw new Error(record.error);
  expect(record.value.hit).toEqual(hitBytes(identity.hit));
  expect(record.value.rendezvous).toEqual(["rvs.example.org"]);
  const again = identityOfRecord(record.value);
  expect(again.ok && again.value.hit).toBe(identity.hit);
  const text = readHipRecord(`www.example.org. 3600 ${hipRecordText(identity, ["rvs.example.org"])}`);
  expect(text.ok && text.value.hit).toBe(identity.hit);
});

test("of many rendezvous servers the preferred ones are kept; each of them must be a name (RFC 8005 5.6)", () => {
  const letters = "abcdefghi";
  const names = [...letters].map((letter) => `01${letter.charCodeAt(0).toString(16)}00`);
  const record = decodeHipRecord(fromHex(`00020000${names.join("")}`));
  expect(record.ok && record.value.rendezvous).toEqual([...letters].slice(0, MAX_RENDEZVOUS));
  expect(decodeHipRecord(fromHex(`00020000${names.join("")}c00c`)).ok).toBe(false);
});

test("an identity whose key has no form in DNS has no record (RFC 8005 5)", () => {
  const { hit, hostIdentity } = Identity.generate("ecdsa-p256").publicOnly();
  const odd = { hit, algorithm: 99, hostIdentity };
  expect([hipRdata(odd), hipRecordText(odd), recordKey(99, hostIdentity)]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test("RFC 8005 5.5: the forms of IPSECKEY and DNSKEY, without HOST_ID's curve labels", () => {
  const length = (kind: (typeof KEY_KINDS)[number]) => {
    const { algorithm, hostIdentity } = Identity.generate(kind);
    const key = recordKey(algorithm, hostIdentity);
    return [key?.pkAlgorithm, key?.publicKey.length];
  };
  expect(length("ecdsa-p256")).toEqual([3, 64]);
  expect(length("ecdsa-p384")).toEqual([3, 96]);
  expect(length("ed25519")).toEqual([4, 32]);
  expect(length("rsa-2048")).toEqual([2, 1 + 3 + 256]);
});
