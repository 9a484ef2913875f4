import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import sshpk from "sshpk";
import { describe, expect, test } from "vitest";
import { Identity, KEY_KINDS } from "../../src/crypto/identity.ts";
import { readHipRecord, readPrivateKey, writeHipRecord, writePrivateKey } from "../../src/crypto/keyfile.ts";

function refusal(text: string): string {
  const made = readPrivateKey(text);
  return made.ok ? "" : made.error;
}

describe.each(KEY_KINDS)("%s", (kind) => {
  const identity = Identity.generate(kind);

  test.each(["pkcs8", "openssh"] as const)("goes out as %s and comes back", (format) => {
    const text = writePrivateKey(identity, format);
    expect(text).toMatch(format === "pkcs8" ? /^-----BEGIN PRIVATE KEY/ : /^-----BEGIN OPENSSH PRIVATE KEY/);
    const back = readPrivateKey(text);
    if (!back.ok) throw new Error(back.error);
    expect(back.value.hit).toBe(identity.hit);
    const signature = back.value.sign(new Uint8Array(9));
    expect(identity.publicOnly().verify(new Uint8Array(9), identity.algorithm, signature)).toBe(true);
  });

  test("the HIP record goes there and back, with an owner before and a rendezvous server behind", () => {
    const record = writeHipRecord(identity.publicOnly());
    for (const text of [record, `www.example.com. ${record.replace(" )", "\n rvs.example.com. )")}`]) {
      const back = readHipRecord(text);
      expect(back.ok ? back.value.hit : back.error).toBe(identity.hit);
    }
  });
});

test("the record's key is RFC 3110 for RSA, and raw without a label for the curves", () => {
  const keyOf = (identity: Identity) =>
    Buffer.from(writeHipRecord(identity.publicOnly()).split(" ")[5] ?? "", "base64");
  const p256 = Identity.generate("ecdsa-p256");
  expect(keyOf(p256)).toEqual(Buffer.from(p256.hostIdentity.subarray(2)));
  const ed = Identity.generate("ed25519");
  expect(keyOf(ed)).toEqual(Buffer.from(ed.hostIdentity.subarray(4)));
  expect(writeHipRecord(ed.publicOnly())).toMatch(
    new RegExp(`^IN HIP \\( 4 ${ed.hit.toUpperCase()} \\S+ \\)$`),
  );
});

describe("HIP records that are refused", () => {
  const a = writeHipRecord(Identity.generate("ecdsa-p256").publicOnly());
  const b = writeHipRecord(Identity.generate("ecdsa-p256").publicOnly());
  test.each([
    ["another key's HIT", a.replace(a.split(" ")[4] ?? "", b.split(" ")[4] ?? ""), /is not that of the key/],
    ["an unknown algorithm", a.replace("( 3", "( 9"), /PK algorithm 9/],
    ["a cut key", a.replace(/.{12} \)$/, " )"), /with a key of \d+ bytes is not supported/],
    ["something else", "IN A 192.0.2.1", /not a HIP record/],
    ["far too long a text", `${a}${" ".repeat(70_000)}`, /longer than/],
  ])("%s", (_, text, error) => {
    const made = readHipRecord(text);
    expect(made.ok ? "" : made.error).toMatch(error);
  });
});

describe("private keys", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

  test("SEC 1 and PKCS #1 are read too", () => {
    const sec1 = privateKey.export({ format: "pem", type: "sec1" }).toString();
    expect(refusal(sec1)).toBe("");
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    expect(refusal(rsa.export({ format: "pem", type: "pkcs1" }).toString())).toBe("");
  });

  const pkcs8 = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  const spki = createPublicKey(privateKey).export({ format: "pem", type: "spki" }).toString();
  const openssh = sshpk.parsePrivateKey(pkcs8, "pem").toString("ssh");
  test.each([
    ["nothing", "", "no PEM header like -----BEGIN PRIVATE KEY-----"],
    ["a public key", spki, "a public key; a private key is needed"],
    [
      "an encrypted key",
      privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" }).toString(),
      "encrypted with a passphrase: decrypt it first (openssl pkey)",
    ],
    [
      "a broken key",
      pkcs8.replace(/\n.{20}/, "\n"),
      "not an unencrypted private key in PKCS#8, PKCS#1 or SEC 1 form",
    ],
    ["a broken OpenSSH key", openssh.replace(/\n.{20}/, "\n"), "not a readable OpenSSH private key"],
    ["a cut OpenSSH key", openssh.slice(0, 100), "not a readable OpenSSH private key"],
    ["far too long a text", "-".repeat(70_000), "longer than 65536 characters: not a key file"],
  ])("%s is refused with the reason", (_, text, error) => {
    expect(refusal(text)).toBe(error);
  });

  test("an encrypted OpenSSH key is refused with the reason", () => {
    // No tool here writes one without a prompt: the container's cipher name says what it is (PROTOCOL.key).
    const body = Buffer.concat([Buffer.from("openssh-key-v1\0"), ...["aes256-ctr", "bcrypt"].map(field)]);
    const salt = Buffer.concat([field("0123456789abcdef"), Buffer.from([0, 0, 0, 16])]);
    const tail = Buffer.concat([
      field(salt),
      Buffer.from([0, 0, 0, 1]),
      field(sshPublic()),
      field(Buffer.alloc(64)),
    ]);
    const base64 = Buffer.concat([body, tail]).toString("base64");
    const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${base64}\n-----END OPENSSH PRIVATE KEY-----\n`;
    expect(refusal(text)).toBe("encrypted with a passphrase: decrypt it first (ssh-keygen -p)");
  });

  function field(bytes: string | Buffer): Buffer {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, Buffer.from(bytes as Buffer)]);
  }

  function sshPublic(): Buffer {
    return sshpk.parseKey(spki, "pem").toBuffer("rfc4253");
  }

  test("no refusal holds a part of the key", () => {
    const secret = createPrivateKey(pkcs8).export({ format: "jwk" }).d ?? "";
    const body = pkcs8.split("\n").slice(1, -2).join("");
    for (const text of [pkcs8.replace(/\n.{20}/, "\n"), openssh.slice(0, 200)]) {
      const error = refusal(text);
      for (let i = 0; i + 8 <= body.length; i++) expect(error).not.toContain(body.slice(i, i + 8));
      expect(error).not.toContain(secret.slice(0, 8));
    }
  });
});
