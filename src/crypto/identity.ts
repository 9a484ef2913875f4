/** Host identities: key pairs that sign HIP packets and whose public half has a HIT (RFC 7401 3, 5.2.9, 5.2.14). */
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { BoundedMap } from "../core/bounded.ts";
import { formatHit } from "../core/ip.ts";
import { err, type Hit, ok, type Result } from "../core/types.ts";
import { ecdsaSignature, rawEcdsaSignature } from "./der.ts";
import { hitOf } from "./hit.ts";
import { decodeHostIdentity, encodeHostIdentity, type HostKey } from "./host-identity.ts";
import { withoutStackTraces } from "./keyobject.ts";
import { plain, toLatin1 } from "./plain.ts";
import { HI_ALGORITHM, type HitSuiteId, suiteOfAlgorithm } from "./suites.ts";

export type KeyKind = "ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-3072" | "rsa-4096" | "ed25519";
export const KEY_KINDS: readonly KeyKind[] = [
  "ecdsa-p256",
  "ecdsa-p384",
  "rsa-2048",
  "rsa-3072",
  "rsa-4096",
  "ed25519",
];

/** A key pair of this host. The private key never leaves the object but through `toPkcs8Pem`. */
export class Identity {
  readonly hit: Hit;
  /** HI algorithm (RFC 7401 5.2.9). */
  readonly algorithm: number;
  /** The Host Identity field of HOST_ID. */
  readonly hostIdentity: Uint8Array;
  readonly suite: HitSuiteId;
  readonly kind: KeyKind;
  readonly #key: KeyObject;
  readonly #public: PublicIdentity;

  private constructor(key: KeyObject, kind: KeyKind, publicHalf: PublicIdentity) {
    this.hit = publicHalf.hit;
    this.algorithm = publicHalf.algorithm;
    this.hostIdentity = publicHalf.hostIdentity;
    this.suite = suiteOfAlgorithm(publicHalf.algorithm)?.id as HitSuiteId;
    this.kind = kind;
    this.#key = key;
    this.#public = publicHalf;
  }

  static generate(kind: KeyKind): Identity {
    const made = Identity.#of(generate(kind));
    if (!made.ok) throw new Error(`a generated ${kind} key is not usable: ${made.error}`);
    return made.value;
  }

  /** A PEM text, or PKCS#8 in DER. The error says what is wrong and holds nothing of the key. */
  static fromPrivateKey(pemOrDer: string | Uint8Array): Result<Identity, string> {
    let key: KeyObject;
    try {
      key =
        typeof pemOrDer === "string"
          ? createPrivateKey({ key: pemOrDer, format: "pem" })
          : createPrivateKey({ key: Buffer.from(pemOrDer), format: "der", type: "pkcs8" });
    } catch {
      return err("not an unencrypted private key in PKCS#8, PKCS#1 or SEC 1 form");
    }
    return Identity.#of(key);
  }

  static #of(key: KeyObject): Result<Identity, string> {
    const kind = kindOf(key);
    if (kind === undefined) {
      return err(`a ${describe(key)} key cannot be an identity; use one of ${KEY_KINDS.join(", ")}`);
    }
    const { algorithm, hostIdentity } = encodeHostIdentity(createPublicKey(key));
    const publicHalf = PublicIdentity.from(algorithm, hostIdentity);
    return publicHalf.ok ? ok(new Identity(key, kind, publicHalf.value)) : publicHalf;
  }

  /** The contents of the Signature field over `bytes`, in the form of this key's algorithm (RFC 7401 5.2.14). */
  sign(bytes: Uint8Array): Uint8Array {
    const digest = digestOf(this.kind);
    const key = this.#key;
    if (this.algorithm === HI_ALGORITHM.RSA) {
      return plain(withoutStackTraces(() => sign(digest, bytes, { key, ...PSS })));
    }
    const made = sign(digest, bytes, key);
    if (this.algorithm !== HI_ALGORITHM.ECDSA) return plain(made);
    return rawEcdsaSignature(made, this.kind === "ecdsa-p384" ? 48 : 32);
  }

  /** The private key as PKCS#8 PEM, unencrypted: to be written to a file of mode 0600 and nowhere else. */
  toPkcs8Pem(): string {
    return this.#key.export({ format: "pem", type: "pkcs8" }).toString();
  }

  publicOnly(): PublicIdentity {
    return this.#public;
  }

  toJSON(): { readonly hit: string; readonly kind: KeyKind } {
    return { hit: formatHit(this.hit), kind: this.kind };
  }

  /** What Node's `util.inspect` and `console.log` show. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Identity(${formatHit(this.hit)} ${this.kind})`;
  }
}

/** Host identities that were met lately. Whoever signs once signs again: I2 or R2, then UPDATE and CLOSE. */
const MAX_KNOWN = 256;
const known = new BoundedMap<string, PublicIdentity>("known_host_identities", MAX_KNOWN, "evict-oldest");

/** What others know of an identity. */
export class PublicIdentity {
  readonly hit: Hit;
  readonly algorithm: number;
  readonly hostIdentity: Uint8Array;
  readonly #key: HostKey;

  private constructor(hit: Hit, algorithm: number, hostIdentity: Uint8Array, key: HostKey) {
    this.hit = hit;
    this.algorithm = algorithm;
    this.hostIdentity = hostIdentity;
    this.#key = key;
  }

  /** Checks the key: a known curve and a point on it, or an RSA modulus of 2048 to 4096 bits. Keeps a copy. */
  static from(algorithm: number, hostIdentity: Uint8Array): Result<PublicIdentity, string> {
    const name = `${algorithm} ${toLatin1(hostIdentity)}`;
    const before = known.get(name);
    if (before !== undefined) return ok(before);
    const key = decodeHostIdentity(algorithm, hostIdentity);
    if (!key.ok) return key;
    const hit = hitOf(algorithm, hostIdentity);
    if (!hit.ok) return hit;
    const identity = new PublicIdentity(hit.value, algorithm, plain(hostIdentity), key.value);
    known.set(name, identity);
    return ok(identity);
  }

  /** Whether `signature`, of SIG algorithm `algorithm`, is this identity's over `bytes`. False for any malformed input. */
  verify(bytes: Uint8Array, algorithm: number, signature: Uint8Array): boolean {
    const { key, digest, otherDigest, signatureBytes } = this.#key;
    if (algorithm !== this.algorithm || signature.length !== signatureBytes) return false;
    const isRsa = algorithm === HI_ALGORITHM.RSA;
    const form = algorithm === HI_ALGORITHM.ECDSA ? ecdsaSignature(signature) : signature;
    const one = (hash: typeof digest) =>
      isRsa
        ? withoutStackTraces(() => verify(hash, bytes, { key, ...PSS_OF_ANY_SALT }, form))
        : verify(hash, bytes, key, form);
    try {
      return one(digest) || (otherDigest !== undefined && one(otherDigest));
    } catch {
      return false;
    }
  }

  toJSON(): { readonly hit: string; readonly algorithm: number } {
    return { hit: formatHit(this.hit), algorithm: this.algorithm };
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `PublicIdentity(${formatHit(this.hit)})`;
  }
}

/** RSASSA-PSS (RFC 7401 5.2.9) with MGF1 of the same hash and a salt as long as the hash. */
const PSS = {
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
};

/** RFC 7401 names no salt length, so any is accepted. */
const PSS_OF_ANY_SALT = { ...PSS, saltLength: constants.RSA_PSS_SALTLEN_AUTO };

/** RFC 4754 for ECDSA, the hash of suite 1 for RSA; Ed25519 hashes by itself. */
function digestOf(kind: KeyKind): string | null {
  if (kind === "ed25519") return null;
  return kind === "ecdsa-p384" ? "sha384" : "sha256";
}

function generate(kind: KeyKind): KeyObject {
  switch (kind) {
    case "ecdsa-p256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    case "ecdsa-p384":
      return generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
    case "rsa-2048":
      return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    case "rsa-3072":
      return generateKeyPairSync("rsa", { modulusLength: 3072 }).privateKey;
    case "rsa-4096":
      return generateKeyPairSync("rsa", { modulusLength: 4096 }).privateKey;
    case "ed25519":
      return generateKeyPairSync("ed25519").privateKey;
  }
}

function kindOf(key: KeyObject): KeyKind | undefined {
  const details = key.asymmetricKeyDetails;
  const name =
    key.asymmetricKeyType === "ec"
      ? { prime256v1: "ecdsa-p256", secp384r1: "ecdsa-p384" }[details?.namedCurve ?? ""]
      : key.asymmetricKeyType === "rsa"
        ? `rsa-${details?.modulusLength}`
        : key.asymmetricKeyType;
  return KEY_KINDS.find((kind) => kind === name);
}

function describe(key: KeyObject): string {
  const details = key.asymmetricKeyDetails;
  const size = details?.namedCurve ?? details?.modulusLength;
  return [key.asymmetricKeyType, size].filter((part) => part !== undefined).join(" ");
}
