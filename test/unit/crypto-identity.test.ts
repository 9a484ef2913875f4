import { constants, createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import { inspect } from "node:util";
import { ed25519 } from "@noble/curves/ed25519.js";
import { describe, expect, test } from "vitest";
import { concat, equal, fromHex, toHex, utf8 } from "../../src/core/bytes.ts";
import { formatHit } from "../../src/core/ip.ts";
import { hitOf } from "../../src/crypto/hit.ts";
import { Identity, KEY_KINDS, type KeyKind, PublicIdentity } from "../../src/crypto/identity.ts";
import { suiteOfHit } from "../../src/crypto/suites.ts";

const message = utf8("a HIP packet");

/** Made once: RSA takes its time. */
const identities = new Map<KeyKind, Identity>(KEY_KINDS.map((kind) => [kind, Identity.generate(kind)]));

function identityOf(kind: KeyKind): Identity {
  return identities.get(kind) as Identity;
}

/** The error text, or undefined when the key is good. */
function refusal(algorithm: number, hostIdentity: Uint8Array): string | undefined {
  const made = PublicIdentity.from(algorithm, hostIdentity);
  return made.ok ? undefined : made.error;
}

describe.each([
  ["ecdsa-p256", 7, 2, 66, 64],
  ["ecdsa-p384", 7, 2, 98, 96],
  ["rsa-2048", 5, 1, 260, 256],
  ["rsa-3072", 5, 1, 388, 384],
  ["rsa-4096", 5, 1, 516, 512],
  ["ed25519", 13, 5, 36, 64],
] as const)("%s", (kind, algorithm, suite, hiBytes, signatureBytes) => {
  const identity = identityOf(kind);

  test("has its algorithm, suite, HIT and lengths", () => {
    expect(identity).toMatchObject({ kind, algorithm, suite });
    expect(identity.hostIdentity.length).toBe(hiBytes);
    expect(suiteOfHit(identity.hit)).toBe(suite);
    expect(hitOf(algorithm, identity.hostIdentity)).toEqual({ ok: true, value: identity.hit });
  });

  test("signs what its public half verifies, and nothing else", () => {
    const signature = identity.sign(message);
    const peer = PublicIdentity.from(algorithm, identity.hostIdentity);
    if (!peer.ok) throw new Error(peer.error);
    expect(signature.length).toBe(signatureBytes);
    expect(signature.constructor).toBe(Uint8Array);
    expect(peer.value.hit).toBe(identity.hit);
    for (const half of [peer.value, identity.publicOnly()]) {
      expect(half.verify(message, algorithm, signature)).toBe(true);
      expect(half.verify(utf8("another"), algorithm, signature)).toBe(false);
      expect(half.verify(message, algorithm === 5 ? 7 : 5, signature)).toBe(false);
      expect(half.verify(message, algorithm, signature.subarray(1))).toBe(false);
      expect(half.verify(message, algorithm, concat(signature, Uint8Array.of(0)))).toBe(false);
      expect(half.verify(message, algorithm, new Uint8Array(signatureBytes))).toBe(false);
    }
    const other = Identity.generate(kind.startsWith("rsa") ? "rsa-2048" : kind).publicOnly();
    expect(other.verify(message, algorithm, signature)).toBe(false);
  });

  test("comes back from PKCS#8, as text and as DER", () => {
    const pem = identity.toPkcs8Pem();
    const der = createPrivateKey(pem).export({ format: "der", type: "pkcs8" });
    for (const form of [pem, new Uint8Array(der)]) {
      const back = Identity.fromPrivateKey(form);
      expect(back.ok && back.value.hit).toBe(identity.hit);
    }
  });

  test("shows no key when it is printed", () => {
    const jwk = createPrivateKey(identity.toPkcs8Pem()).export({ format: "jwk" });
    for (const text of [
      JSON.stringify(identity),
      inspect(identity, { depth: 9, showHidden: true }),
      `${identity}`,
    ]) {
      for (const part of [jwk.d, jwk.p, jwk.q]) if (part !== undefined) expect(text).not.toContain(part);
      expect(text).not.toContain("KeyObject");
    }
    expect(inspect(identity)).toBe(`Identity(${formatHit(identity.hit)} ${kind})`);
    expect(JSON.stringify(identity)).toBe(JSON.stringify({ hit: formatHit(identity.hit), kind }));
  });
});

describe("RSA", () => {
  const identity = identityOf("rsa-2048");
  const { hostIdentity } = identity;
  const key = createPrivateKey(identity.toPkcs8Pem());

  test("the identity is RFC 3110: exponent length, exponent, modulus", () => {
    const { n = "" } = key.export({ format: "jwk" });
    expect(toHex(hostIdentity)).toBe(`03010001${Buffer.from(n, "base64url").toString("hex")}`);
  });

  test("signatures are PSS: any salt length verifies, PKCS #1 v1.5 and other hashes do not", () => {
    const pss = { key, padding: constants.RSA_PKCS1_PSS_PADDING };
    const verify = (signature: Uint8Array) => identity.publicOnly().verify(message, 5, signature);
    for (const saltLength of [0, 20, 32, constants.RSA_PSS_SALTLEN_MAX_SIGN]) {
      expect(verify(sign("sha256", message, { ...pss, saltLength }))).toBe(true);
    }
    expect(verify(sign("sha256", message, { key, padding: constants.RSA_PKCS1_PADDING }))).toBe(false);
    expect(verify(sign("sha384", message, { ...pss, saltLength: 32 }))).toBe(false);
  });

  const modulus = hostIdentity.subarray(4);
  const even = concat(modulus.subarray(0, -1), Uint8Array.of(0x02));
  test.each([
    ["an exponent of 1", concat(fromHex("0101"), modulus)],
    ["an even exponent", concat(fromHex("0104"), modulus)],
    ["a leading zero in the exponent", concat(fromHex("0400010001"), modulus)],
    ["an exponent of 9 bytes", concat(fromHex("09010000000000000001"), modulus)],
    ["no exponent", modulus.subarray(0, 1)],
    ["nothing at all", new Uint8Array(0)],
    ["a leading zero in the modulus", concat(fromHex("0301000100"), modulus)],
    ["an even modulus", concat(fromHex("03010001"), even)],
    ["a modulus of 2040 bits", hostIdentity.subarray(0, -1)],
    ["a modulus of 2047 bits", concat(fromHex("030100017f"), modulus.subarray(1))],
    ["a modulus of 4104 bits", concat(fromHex("03010001"), modulus, modulus, Uint8Array.of(1))],
    ["an exponent that reaches too far", fromHex("ff010001")],
  ])("%s is refused", (_, bytes) => {
    expect(refusal(5, bytes)).toMatch(/^RSA: /);
  });

  test("an exponent in the long form of RFC 3110 is the same key under another HIT", () => {
    const long = concat(fromHex("000003010001"), modulus);
    const peer = PublicIdentity.from(5, long);
    if (!peer.ok) throw new Error(peer.error);
    expect(peer.value.hostIdentity).toEqual(long);
    const message = fromHex("00112233");
    expect(peer.value.verify(message, 5, identity.sign(message))).toBe(true);
  });

  test("a modulus of any size from 2048 to 4096 bits is good for a peer", () => {
    expect(refusal(5, concat(hostIdentity, Uint8Array.of(1)))).toBeUndefined();
    expect(refusal(5, concat(fromHex("03010001"), modulus, modulus))).toBeUndefined();
  });
});

describe("ECDSA", () => {
  const p256 = identityOf("ecdsa-p256").hostIdentity;
  const p384 = identityOf("ecdsa-p384").hostIdentity;
  const offCurve = p256.slice();
  offCurve[65] = (offCurve[65] as number) ^ 1;
  test.each([
    ["a point off the curve", offCurve],
    ["the label of the other curve", concat(fromHex("0002"), p256.subarray(2))],
    ["an unknown label", concat(fromHex("0003"), p256.subarray(2))],
    ["the point at infinity", concat(fromHex("0001"), new Uint8Array(64))],
    ["coordinates that are not reduced", concat(fromHex("0001"), new Uint8Array(64).fill(0xff))],
    ["a byte too few", p384.subarray(0, -1)],
    ["a byte too many", concat(p256, Uint8Array.of(0))],
    ["a mark of the uncompressed form", concat(fromHex("000104"), p256.subarray(2))],
    ["nothing at all", new Uint8Array(0)],
  ])("%s is refused", (_, bytes) => {
    expect(refusal(7, bytes)).toMatch(/^ECDSA: /);
  });
});

describe("EdDSA", () => {
  const good = identityOf("ed25519").hostIdentity;

  test.each([
    ["Ed448's label", concat(fromHex("00030000"), good.subarray(4))],
    ["Ed25519ph's label", concat(fromHex("00020000"), good.subarray(4))],
    ["bytes in the NULL field", concat(fromHex("00010001"), good.subarray(4))],
    ["a byte too few", good.subarray(0, -1)],
    ["a byte too many", concat(good, Uint8Array.of(0))],
  ])("%s is refused", (_, bytes) => {
    expect(refusal(13, bytes)).toMatch(/^EdDSA: /);
  });

  test("the eight points of small order are refused, however they are written", () => {
    const order8 = ed25519.Point.fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
    let point = ed25519.Point.ZERO;
    const encodings = new Set<string>();
    for (let i = 0; i < 8; i++, point = point.add(order8)) encodings.add(point.toHex());
    expect(encodings.size).toBe(8);
    for (const p of ["ed", "ee", "ec"])
      encodings.add(`${p}${"ff".repeat(30)}7f`).add(`${p}${"ff".repeat(31)}`);
    for (const encoding of encodings) {
      expect(refusal(13, concat(fromHex("00010000"), fromHex(encoding)))).toBe(
        "EdDSA: not an Ed25519 public key",
      );
    }
  });
});

test("other algorithms are refused: DSA, ECDSA_LOW, unknown", () => {
  for (const algorithm of [0, 3, 9, 255])
    expect(refusal(algorithm, new Uint8Array(64))).toMatch(/not supported/);
});

describe("private keys that cannot be an identity", () => {
  test.each([
    ["rsa 1024", () => generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey],
    ["rsa 2056", () => generateKeyPairSync("rsa", { modulusLength: 2056 }).privateKey],
    ["ec secp521r1", () => generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey],
    ["ec secp256k1", () => generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey],
    ["x25519", () => generateKeyPairSync("x25519").privateKey],
    ["ed448", () => generateKeyPairSync("ed448").privateKey],
    ["rsa-pss 2048", () => generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).privateKey],
  ])("%s: refused by name", (name, make) => {
    const pem = make().export({ format: "pem", type: "pkcs8" }).toString();
    const made = Identity.fromPrivateKey(pem);
    expect(made.ok ? "" : made.error).toMatch(new RegExp(`^a ${name} key cannot be an identity`));
  });

  test("text that is no key gives a fixed error, with nothing of the text", () => {
    const made = Identity.fromPrivateKey(
      "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
    );
    expect(made.ok ? "" : made.error).toBe("not an unencrypted private key in PKCS#8, PKCS#1 or SEC 1 form");
    expect(Identity.fromPrivateKey(new Uint8Array(9)).ok).toBe(false);
  });
});

test("a public identity keeps a copy: later changes of the packet do not reach it", () => {
  const bytes = identityOf("ed25519").hostIdentity.slice();
  const made = PublicIdentity.from(13, bytes);
  bytes.fill(0);
  expect(made.ok && equal(made.value.hostIdentity, identityOf("ed25519").hostIdentity)).toBe(true);
});
