/**
 * A HIPv2 peer written from RFC 7401 and RFC 7402 and nothing else. It shares no line with src/, so that the two can
 * agree only on what the texts say. It believes what it is sent as little as they ask: every check that fails throws.
 */
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHash,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  getDiffieHellman,
  hkdfSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from "node:crypto";

export type PlainKind = "ecdsa-p256" | "ecdsa-p384" | "rsa-2048";
export interface Parameter {
  readonly type: number;
  readonly contents: Buffer;
  /** Type, length, contents and padding. */
  readonly whole: Buffer;
}
export interface Parsed {
  readonly type: number;
  readonly sender: Buffer;
  readonly receiver: Buffer;
  readonly parameters: readonly Parameter[];
  readonly bytes: Buffer;
}

export const P = {
  espInfo: 65,
  r1Counter: 129,
  puzzle: 257,
  solution: 321,
  seq: 385,
  ack: 449,
  dhGroupList: 511,
  diffieHellman: 513,
  hipCipher: 579,
  natTraversalMode: 608,
  encrypted: 641,
  hostId: 705,
  hitSuiteList: 715,
  notification: 832,
  echoRequestSigned: 897,
  echoResponseSigned: 961,
  transportFormatList: 2049,
  espTransform: 4095,
  mac: 61505,
  mac2: 61569,
  signature2: 61633,
  signature: 61697,
  echoResponseUnsigned: 63425,
  echoRequestUnsigned: 63661,
} as const;
export const TYPE = { I1: 1, R1: 2, I2: 3, R2: 4, UPDATE: 16, NOTIFY: 17, CLOSE: 18, CLOSE_ACK: 19 } as const;

const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const u32 = (value: number) =>
  Buffer.from([value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255]);

function must(truth: boolean, what: string): asserts truth {
  if (!truth) throw new Error(`plain peer: ${what}`);
}

/** 5.2.1: Total Length = 11 + Length - (Length + 3) % 8. */
export function tlv(type: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents);
  const total = 11 + body.length - ((body.length + 3) % 8);
  const whole = Buffer.alloc(total);
  u16(type).copy(whole, 0);
  u16(body.length).copy(whole, 2);
  body.copy(whole, 4);
  return whole;
}

/** 5.1: Next Header, Header Length, packet type, version 2 and the fixed bit, checksum, controls, HITs. */
export function packet(
  type: number,
  sender: Buffer,
  receiver: Buffer,
  parameters: readonly Buffer[],
): Buffer {
  const sorted = [...parameters].sort((a, b) => a.readUInt16BE(0) - b.readUInt16BE(0));
  const head = Buffer.from([59, 0, type, 0x21, 0, 0, 0, 0]);
  return lengthSet(Buffer.concat([head, sender, receiver, ...sorted]));
}

function lengthSet(bytes: Buffer): Buffer {
  bytes[1] = bytes.length / 8 - 1;
  return bytes;
}

/** Reads a packet as strictly as a sender has to write it: fixed bits, zero padding, order, lengths. */
export function read(input: Uint8Array): Parsed {
  const bytes = Buffer.from(input);
  must(bytes.length >= 40 && bytes[0] === 59, "not a HIP header");
  must(bytes.length === ((bytes[1] as number) + 1) * 8, "Header Length is not the length");
  must(bytes[3] === 0x21 && ((bytes[2] as number) & 0x80) === 0, "version, reserved or fixed bits");
  must(bytes.readUInt16BE(4) === 0, "a checksum where UDP carries the packet (RFC 9028 5.1)");
  must(bytes.readUInt16BE(6) <= 1, "control bits");
  return {
    type: bytes[2] as number,
    sender: bytes.subarray(8, 24),
    receiver: bytes.subarray(24, 40),
    parameters: readParameters(bytes.subarray(40)),
    bytes,
  };
}

export function readParameters(bytes: Buffer): readonly Parameter[] {
  const parameters: Parameter[] = [];
  for (let at = 0, last = 0; at < bytes.length; ) {
    const type = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    const total = 11 + length - ((length + 3) % 8);
    must(type >= last && at + total <= bytes.length, `parameter ${type} out of order or too long`);
    const whole = bytes.subarray(at, at + total);
    must(
      whole.subarray(4 + length).every((byte) => byte === 0),
      `padding of ${type} is not zero`,
    );
    parameters.push({ type, contents: whole.subarray(4, 4 + length), whole });
    last = type;
    at += total;
  }
  return parameters;
}

export function find(from: { readonly parameters: readonly Parameter[] }, type: number): Parameter {
  const all = from.parameters.filter((one) => one.type === type);
  must(all.length === 1, `${all.length} parameters of type ${type}`);
  return all[0] as Parameter;
}

/** 6.4: the packet up to the parameters of this type, Header Length to match, checksum zero. */
function upTo(bytes: Buffer, type: number): Buffer {
  const kept = readParameters(bytes.subarray(40)).filter((one) => one.type < type);
  const copy = Buffer.concat([bytes.subarray(0, 40), ...kept.map(({ whole }) => whole)]);
  copy.fill(0, 4, 6);
  return lengthSet(copy);
}

/** 5.2.15: receiver's HIT, Opaque and #I are zero. */
function signature2Scope(bytes: Buffer): Buffer {
  const copy = upTo(bytes, P.signature2);
  copy.fill(0, 24, 40);
  let at = 40;
  for (const { type, whole } of readParameters(copy.subarray(40))) {
    if (type === P.puzzle) copy.fill(0, at + 6, at + 4 + whole.readUInt16BE(2));
    at += whole.length;
  }
  return copy;
}

const CURVE = { 1: "prime256v1", 2: "secp384r1" } as const;
const COORDINATE = { 7: 32, 8: 48, 9: 66 } as const;
const ECDH = { 7: "prime256v1", 8: "secp384r1", 9: "secp521r1" } as const;
const MODP = { 3: "modp5", 4: "modp15", 11: "modp14" } as const;

export interface DhSide {
  readonly group: number;
  readonly publicValue: Buffer;
  agree(peer: Buffer): Buffer;
}

/** RFC 5903 7: X | Y, and X as the secret. MODP: numbers as wide as the prime. */
export function diffieHellman(group: number): DhSide {
  if (group in ECDH) {
    const width = COORDINATE[group as 7];
    const ecdh = createECDH(ECDH[group as 7]);
    const publicValue = ecdh.generateKeys().subarray(1);
    return {
      group,
      publicValue,
      agree: (peer) => {
        must(peer.length === 2 * width, `public value of ${peer.length} bytes in group ${group}`);
        return ecdh.computeSecret(Buffer.concat([Buffer.of(4), peer]));
      },
    };
  }
  const dh = getDiffieHellman(MODP[group as 3]);
  dh.generateKeys();
  const width = dh.getPrime().length;
  const wide = (value: Buffer) => Buffer.concat([Buffer.alloc(width - value.length), value]);
  return { group, publicValue: wide(dh.getPublicKey()), agree: (peer) => wide(dh.computeSecret(peer)) };
}

/** 3.2 and RFC 7343 2. */
export function hitOf(algorithm: number, hostIdentity: Buffer): Buffer {
  const suite = algorithm === 5 ? 1 : 2;
  const context = Buffer.from("f0eff02fbff43d0fe7930c3c6e6174ea", "hex");
  const hash = createHash(suite === 1 ? "sha256" : "sha384")
    .update(context)
    .update(hostIdentity)
    .digest();
  const from = (hash.length - 12) / 2;
  return Buffer.concat([Buffer.from([0x20, 0x01, 0x00, 0x20 | suite]), hash.subarray(from, from + 12)]);
}

export function rhashOf(hit: Buffer): "sha256" | "sha384" {
  return ((hit[3] as number) & 15) === 1 ? "sha256" : "sha384";
}

/** 5.2.9 into a key that verifies. */
export function publicKeyOf(algorithm: number, hostIdentity: Buffer): KeyObject {
  if (algorithm === 5) {
    const length = hostIdentity[0] as number;
    const e = hostIdentity.subarray(1, 1 + length).toString("base64url");
    const n = hostIdentity.subarray(1 + length).toString("base64url");
    return createPublicKey({ key: { kty: "RSA", e, n }, format: "jwk" });
  }
  must(algorithm === 7, `HI algorithm ${algorithm}`);
  const label = hostIdentity.readUInt16BE(0) as 1 | 2;
  const width = label === 1 ? 32 : 48;
  must(CURVE[label] !== undefined && hostIdentity.length === 2 + 2 * width, "ECDSA host identity");
  const x = hostIdentity.subarray(2, 2 + width).toString("base64url");
  const y = hostIdentity.subarray(2 + width).toString("base64url");
  return createPublicKey({ key: { kty: "EC", crv: label === 1 ? "P-256" : "P-384", x, y }, format: "jwk" });
}

function formOf(key: KeyObject) {
  const isRsa = key.asymmetricKeyType === "rsa";
  const p384 = key.asymmetricKeyDetails?.namedCurve === "secp384r1";
  const form = isRsa
    ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
    : { key, dsaEncoding: "ieee-p1363" as const };
  return { hash: p384 ? "sha384" : "sha256", form };
}

export class PlainIdentity {
  readonly key: KeyObject;
  readonly algorithm: number;
  readonly hostIdentity: Buffer;
  readonly hit: Buffer;

  constructor(kind: PlainKind) {
    const pair =
      kind === "rsa-2048"
        ? generateKeyPairSync("rsa", { modulusLength: 2048 })
        : generateKeyPairSync("ec", { namedCurve: kind === "ecdsa-p256" ? "prime256v1" : "secp384r1" });
    this.key = pair.privateKey;
    const jwk = pair.publicKey.export({ format: "jwk" });
    const part = (text: string | undefined) => Buffer.from(text ?? "", "base64url");
    this.algorithm = kind === "rsa-2048" ? 5 : 7;
    this.hostIdentity =
      kind === "rsa-2048"
        ? Buffer.concat([Buffer.of(part(jwk.e).length), part(jwk.e), part(jwk.n)])
        : Buffer.concat([u16(kind === "ecdsa-p256" ? 1 : 2), part(jwk.x), part(jwk.y)]);
    this.hit = hitOf(this.algorithm, this.hostIdentity);
  }

  /** 5.2.9, with an FQDN in the form of RFC 1035 3.1. */
  hostId(domain: Buffer = Buffer.alloc(0), diType = domain.length === 0 ? 0 : 1): Buffer {
    const { hostIdentity } = this;
    return tlv(
      P.hostId,
      u16(hostIdentity.length),
      u16((diType << 12) | domain.length),
      u16(this.algorithm),
      hostIdentity,
      domain,
    );
  }

  sign(bytes: Buffer, type: number = P.signature): Buffer {
    const { hash, form } = formOf(this.key);
    const scope = type === P.signature2 ? signature2Scope(bytes) : bytes;
    return lengthSet(Buffer.concat([bytes, tlv(type, u16(this.algorithm), sign(hash, scope, form))]));
  }
}

export function checkSignature(
  input: Parsed,
  algorithm: number,
  hostIdentity: Buffer,
  type: number = P.signature,
): void {
  const { contents } = find(input, type);
  must(contents.readUInt16BE(0) === algorithm, "SIG alg is not that of the HOST_ID");
  const { hash, form } = formOf(publicKeyOf(algorithm, hostIdentity));
  const scope = type === P.signature2 ? signature2Scope(input.bytes) : upTo(input.bytes, type);
  must(verify(hash, scope, form, contents.subarray(2)), "the signature does not verify");
}

export function readHostId(contents: Buffer) {
  const length = contents.readUInt16BE(0);
  const di = contents.readUInt16BE(2);
  must(contents.length === 6 + length + (di & 0xfff), "HOST_ID lengths");
  return {
    algorithm: contents.readUInt16BE(4),
    hostIdentity: contents.subarray(6, 6 + length),
    diType: di >> 12,
    domain: contents.subarray(6 + length),
  };
}

/** What KEYMAT is made of (6.5), and which ESP keys are wanted. */
export interface Material {
  readonly own: Buffer;
  readonly peer: Buffer;
  readonly rhash: "sha256" | "sha384";
  readonly kij: Buffer;
  readonly i: Buffer;
  readonly j: Buffer;
  readonly cipher: number;
  readonly espSuite: number;
}

const KEYMAT_BYTES = 2048;
const ESP_KEYS = { 13: [20, 0], 12: [20, 0], 9: [32, 32], 8: [16, 32], 7: [0, 32] } as const;

function drawer(from: Material, start: number): (length: number) => Buffer {
  const info = Buffer.concat([from.own, from.peer].sort(Buffer.compare));
  const salt = Buffer.concat([from.i, from.j]);
  const keymat = Buffer.from(hkdfSync(from.rhash, from.kij, salt, info, KEYMAT_BYTES));
  let at = start;
  return (length) => {
    at += length;
    return keymat.subarray(at - length, at);
  };
}

const isGreater = (from: Material) => Buffer.compare(from.own, from.peer) > 0;

/** RFC 7402 7: keys of HOST_g's traffic first. "out" is what the host with `own` sends. */
export function espKeysOf(from: Material, index: number) {
  const draw = drawer(from, index);
  const [encryption, integrity] = ESP_KEYS[from.espSuite as 13];
  const pair = () => ({ encryption: draw(encryption), integrity: draw(integrity) });
  const [gl, lg] = [pair(), pair()];
  const end = index + 2 * (encryption + integrity);
  return isGreater(from) ? { espOut: gl, espIn: lg, end } : { espOut: lg, espIn: gl, end };
}

/** 6.5, and the first ESP keys behind those of HIP. */
export function keysOf(from: Material) {
  const [encryption, mac] = [from.cipher === 4 ? 32 : 16, from.rhash === "sha256" ? 32 : 48];
  const draw = drawer(from, 0);
  const pair = () => ({ encryption: draw(encryption), mac: draw(mac) });
  const [gl, lg] = [pair(), pair()];
  const espAt = 2 * (encryption + mac);
  const hip = isGreater(from) ? { out: gl, in: lg } : { out: lg, in: gl };
  return { ...hip, ...espKeysOf(from, espAt), espAt };
}

export function addMac(bytes: Buffer, rhash: string, key: Buffer, hostId?: Buffer): Buffer {
  const scope = hostId === undefined ? bytes : lengthSet(Buffer.concat([bytes, hostId]));
  const mac = createHmac(rhash, key).update(scope).digest();
  return lengthSet(Buffer.concat([bytes, tlv(hostId === undefined ? P.mac : P.mac2, mac)]));
}

export function checkMac(input: Parsed, rhash: string, key: Buffer, hostId?: Buffer): void {
  const type = hostId === undefined ? P.mac : P.mac2;
  const scope = upTo(input.bytes, type);
  const whole = hostId === undefined ? scope : lengthSet(Buffer.concat([scope, hostId]));
  must(
    createHmac(rhash, key).update(whole).digest().equals(find(input, type).contents),
    "the MAC does not match",
  );
}

/** 5.2.18 with AES-CBC: Reserved, IV, ciphertext with PKCS #5 padding. */
export function encrypted(cipher: number, key: Buffer, inside: Buffer): Buffer {
  const iv = randomBytes(16);
  const aes = createCipheriv(cipher === 4 ? "aes-256-cbc" : "aes-128-cbc", key, iv);
  return tlv(P.encrypted, u32(0), iv, aes.update(inside), aes.final());
}

export function decrypted(cipher: number, key: Buffer, contents: Buffer): Buffer {
  must(contents.readUInt32BE(0) === 0, "Reserved of ENCRYPTED");
  const aes = createDecipheriv(cipher === 4 ? "aes-256-cbc" : "aes-128-cbc", key, contents.subarray(4, 20));
  return Buffer.concat([aes.update(contents.subarray(20)), aes.final()]);
}

/** 6.3: the K low-order bits of the hash as a number. */
export function solved(rhash: string, i: Buffer, hitI: Buffer, hitR: Buffer, j: Buffer, k: number): boolean {
  const digest = createHash(rhash)
    .update(Buffer.concat([i, hitI, hitR, j]))
    .digest("hex");
  return (BigInt(`0x${digest}`) & ((1n << BigInt(k)) - 1n)) === 0n;
}

export function solve(rhash: string, i: Buffer, hitI: Buffer, hitR: Buffer, k: number): Buffer {
  for (;;) {
    const j = randomBytes(i.length);
    if (solved(rhash, i, hitI, hitR, j, k)) return j;
  }
}

export const field = { u16, u32 };
