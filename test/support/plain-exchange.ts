/** The base exchange of the plain peer, in both roles. */
import { randomBytes } from "node:crypto";
import * as plain from "./plain-peer.ts";

const { P, TYPE, tlv, find } = plain;
const { u16, u32 } = plain.field;

export interface PlainSession {
  readonly keys: ReturnType<typeof plain.keysOf>;
  readonly rhash: "sha256" | "sha384";
  readonly espSuite: number;
  readonly cipher: number;
  readonly peer: {
    readonly algorithm: number;
    readonly hostIdentity: Buffer;
    readonly diType: number;
    readonly domain: Buffer;
  };
  /** The Responder's HOST_ID parameter. */
  readonly responderHostId: Buffer;
  readonly ownSpi: number;
  readonly peerSpi: number;
  /** For keys that are drawn later. */
  readonly material: plain.Material;
  readonly dh: plain.DhSide;
  readonly peerPublic: Buffer;
}

/** Parameters of the plain peer's own choice; the defaults exercise what is optional. */
export interface Choice {
  readonly groups?: readonly number[];
  readonly group?: number;
  readonly cipher?: number;
  readonly espSuite?: number;
  readonly encrypt?: boolean;
  readonly domain?: Buffer;
  readonly counter?: boolean;
  readonly natMode?: boolean;
  readonly k?: number;
  readonly extra?: readonly Buffer[];
  /** The last of an R1, behind its signature. */
  readonly behind?: readonly Buffer[];
  /** Parameters of I2 or R1 that are replaced by others, or left out, before MAC and signature are made. */
  readonly replace?: Readonly<Record<number, readonly Buffer[]>>;
  /** The same for R2. */
  readonly replaceInR2?: Readonly<Record<number, readonly Buffer[]>>;
  /** More parameters of R2; `hide` puts one into ENCRYPTED. */
  readonly extraInR2?: (hide: (parameter: Buffer) => Buffer) => readonly Buffer[];
}

function replaced(parameters: readonly Buffer[], by: Choice["replace"] = {}): readonly Buffer[] {
  return parameters.flatMap((one) => by[one.readUInt16BE(0)] ?? [one]);
}

const SPI = 0x0badcafe;

export class PlainInitiator {
  readonly identity: plain.PlainIdentity;
  readonly choice: Choice;
  session: PlainSession | undefined;

  constructor(identity: plain.PlainIdentity, choice: Choice = {}) {
    this.identity = identity;
    this.choice = choice;
  }

  i1(responder: Buffer): Buffer {
    const groups = Buffer.from(this.choice.groups ?? [7, 8, 9, 4, 3]);
    return plain.packet(TYPE.I1, this.identity.hit, responder, [tlv(P.dhGroupList, groups)]);
  }

  /** 6.8: the I2 for an R1 that is right in every point. */
  i2(bytes: Uint8Array, responder: Buffer): Buffer {
    const { identity, choice } = this;
    const r1 = plain.read(bytes);
    if (r1.type !== TYPE.R1 || !r1.sender.equals(responder) || !r1.receiver.equals(identity.hit))
      throw new Error("not our R1");
    const hostId = find(r1, P.hostId);
    const peer = plain.readHostId(hostId.contents);
    if (!plain.hitOf(peer.algorithm, peer.hostIdentity).equals(responder)) throw new Error("HIT and HOST_ID");
    plain.checkSignature(r1, peer.algorithm, peer.hostIdentity, P.signature2);
    const rhash = plain.rhashOf(responder);
    const size = rhash === "sha256" ? 32 : 48;
    const puzzle = find(r1, P.puzzle).contents;
    if (puzzle.length !== 4 + size) throw new Error("length of PUZZLE");
    const suites = find(r1, P.hitSuiteList).contents;
    if (!suites.includes(((identity.hit[3] as number) & 15) << 4))
      throw new Error("our HIT suite is not listed");
    const theirs = [...find(r1, P.dhGroupList).contents];
    const dhParameter = find(r1, P.diffieHellman).contents;
    const group = dhParameter[0] as number;
    const best = theirs.find((id) => (choice.groups ?? [7, 8, 9, 4, 3]).includes(id));
    if (best !== group) throw new Error(`downgrade: group ${group}, not ${best}`);
    const publicValue = dhParameter.subarray(3);
    if (dhParameter.readUInt16BE(1) !== publicValue.length) throw new Error("Public Value Length");
    if (find(r1, P.transportFormatList).contents.readUInt16BE(0) !== 4095)
      throw new Error("transport format");
    const offered = list16(find(r1, P.espTransform).contents.subarray(2));
    const espSuite = choice.espSuite ?? (offered[0] as number);
    const cipher = choice.cipher ?? (list16(find(r1, P.hipCipher).contents)[0] as number);

    const [k, i] = [puzzle[0] as number, puzzle.subarray(4)];
    const j = plain.solve(rhash, i, identity.hit, responder, k);
    const dh = plain.diffieHellman(group);
    const material = {
      own: identity.hit,
      peer: responder,
      rhash,
      kij: dh.agree(publicValue),
      i,
      j,
      cipher,
      espSuite,
    };
    const keys = plain.keysOf(material);
    const ownHostId = identity.hostId(choice.domain);
    const echo = (from: number, to: number) =>
      r1.parameters.filter(({ type }) => type === from).map(({ contents }) => tlv(to, contents));
    const parameters = [
      tlv(P.espInfo, u16(0), u16(keys.espAt), u32(0), u32(SPI)),
      ...r1.parameters.filter(({ type }) => type === P.r1Counter).map(({ whole }) => whole),
      tlv(P.solution, Buffer.of(k, 0), puzzle.subarray(2, 4), i, j),
      tlv(P.diffieHellman, Buffer.of(group), u16(dh.publicValue.length), dh.publicValue),
      tlv(P.hipCipher, u16(cipher)),
      ...(choice.natMode === true ? [tlv(P.natTraversalMode, u16(0), u16(1))] : []),
      choice.encrypt === false ? ownHostId : plain.encrypted(cipher, keys.out.encryption, ownHostId),
      ...echo(P.echoRequestSigned, P.echoResponseSigned),
      tlv(P.transportFormatList, u16(4095)),
      tlv(P.espTransform, u16(0), u16(espSuite)),
      ...(choice.extra ?? []),
    ];
    const unsigned = plain.packet(TYPE.I2, identity.hit, responder, replaced(parameters, choice.replace));
    const signed = identity.sign(plain.addMac(unsigned, rhash, keys.out.mac));
    this.session = {
      keys,
      rhash,
      espSuite,
      cipher,
      peer,
      responderHostId: hostId.whole,
      ownSpi: SPI,
      peerSpi: 0,
      material,
      dh,
      peerPublic: publicValue,
    };
    return plain.packet(TYPE.I2, identity.hit, responder, [
      ...plain.read(signed).parameters.map(({ whole }) => whole),
      ...echo(P.echoRequestUnsigned, P.echoResponseUnsigned),
    ]);
  }

  /** 6.10. */
  acceptR2(bytes: Uint8Array): PlainSession {
    const { session } = this;
    if (session === undefined) throw new Error("no I2 was sent");
    const r2 = plain.read(bytes);
    plain.checkMac(r2, session.rhash, session.keys.in.mac, session.responderHostId);
    plain.checkSignature(r2, session.peer.algorithm, session.peer.hostIdentity);
    const peerSpi = readEspInfo(r2, session.keys.espAt);
    this.session = { ...session, peerSpi };
    return this.session;
  }
}

export class PlainResponder {
  readonly identity: plain.PlainIdentity;
  readonly choice: Choice;
  readonly i: Buffer;
  readonly dh: plain.DhSide;
  readonly hostId: Buffer;
  readonly echoes = [randomBytes(5), randomBytes(12), randomBytes(33)] as const;
  session: PlainSession | undefined;

  constructor(identity: plain.PlainIdentity, choice: Choice = {}) {
    this.identity = identity;
    this.choice = choice;
    this.i = randomBytes(plain.rhashOf(identity.hit) === "sha256" ? 32 : 48);
    this.dh = plain.diffieHellman(choice.group ?? 7);
    this.hostId = identity.hostId(choice.domain);
  }

  /** The counter's Reserved field is not zero, as an Initiator must echo it verbatim (5.2.3). */
  get counter(): Buffer {
    return tlv(P.r1Counter, u32(0x1badb002), u32(0), u32(4711));
  }

  r1(bytes: Uint8Array): Buffer {
    const i1 = plain.read(bytes);
    if (i1.type !== TYPE.I1 || !i1.receiver.equals(this.identity.hit)) throw new Error("not our I1");
    if (i1.parameters.length !== 1 || !find(i1, P.dhGroupList).contents.includes(this.dh.group))
      throw new Error("DH_GROUP_LIST of I1");
    const { identity, choice, dh } = this;
    const [signedEcho, ...unsignedEchoes] = this.echoes;
    const parameters = [
      ...(choice.counter === false ? [] : [this.counter]),
      tlv(P.puzzle, Buffer.of(choice.k ?? 6, 40, 0xbe, 0xef), this.i),
      tlv(P.dhGroupList, Buffer.from(choice.groups ?? [dh.group])),
      tlv(P.diffieHellman, Buffer.of(dh.group), u16(dh.publicValue.length), dh.publicValue),
      tlv(P.hipCipher, ...[choice.cipher ?? 2].map(u16)),
      ...(choice.natMode === true ? [tlv(P.natTraversalMode, u16(0), u16(3), u16(1))] : []),
      this.hostId,
      tlv(P.hitSuiteList, Buffer.of(0x10, 0x20)),
      tlv(P.echoRequestSigned, signedEcho),
      tlv(P.transportFormatList, u16(4095)),
      tlv(P.espTransform, u16(0), ...[choice.espSuite ?? 13].map(u16)),
      ...(choice.extra ?? []),
    ];
    const unsigned = plain.packet(TYPE.R1, identity.hit, i1.sender, replaced(parameters, choice.replace));
    const signed = identity.sign(unsigned, P.signature2);
    return plain.packet(TYPE.R1, identity.hit, i1.sender, [
      ...plain.readParameters(signed.subarray(40)).map(({ whole }) => whole),
      ...unsignedEchoes.map((data) => tlv(P.echoRequestUnsigned, data)),
      ...(choice.behind ?? []),
    ]);
  }

  /** 6.9: the R2 for an I2 that is right in every point. */
  r2(bytes: Uint8Array): Buffer {
    const { identity, choice, dh } = this;
    const i2 = plain.read(bytes);
    if (i2.type !== TYPE.I2 || !i2.receiver.equals(identity.hit)) throw new Error("not our I2");
    if (choice.counter !== false && !find(i2, P.r1Counter).whole.equals(this.counter))
      throw new Error("R1_COUNTER is not verbatim");
    const rhash = plain.rhashOf(identity.hit);
    const solution = find(i2, P.solution).contents;
    const size = this.i.length;
    if (solution.length !== 4 + 2 * size || solution[1] !== 0) throw new Error("SOLUTION");
    if (solution[0] !== (choice.k ?? 6) || solution.readUInt16BE(2) !== 0xbeef)
      throw new Error("K or Opaque");
    const [i, j] = [solution.subarray(4, 4 + size), solution.subarray(4 + size)];
    if (!i.equals(this.i) || !plain.solved(rhash, i, i2.sender, identity.hit, j, choice.k ?? 6))
      throw new Error("puzzle");
    const dhParameter = find(i2, P.diffieHellman).contents;
    if (dhParameter[0] !== dh.group || dhParameter.readUInt16BE(1) !== dhParameter.length - 3)
      throw new Error("DIFFIE_HELLMAN");
    const [cipher = 0, ...moreCiphers] = list16(find(i2, P.hipCipher).contents);
    const [espSuite = 0, ...moreSuites] = list16(find(i2, P.espTransform).contents.subarray(2));
    if (
      moreCiphers.length + moreSuites.length > 0 ||
      cipher !== (choice.cipher ?? 2) ||
      espSuite !== (choice.espSuite ?? 13)
    )
      throw new Error("choice of suites");
    if (!find(i2, P.transportFormatList).contents.equals(u16(4095))) throw new Error("TRANSPORT_FORMAT_LIST");
    if (choice.natMode === true && !find(i2, P.natTraversalMode).contents.equals(Buffer.of(0, 0, 0, 1)))
      throw new Error("NAT_TRAVERSAL_MODE");
    const kij = dh.agree(dhParameter.subarray(3));
    const material = { own: identity.hit, peer: i2.sender, rhash, kij, i, j, cipher, espSuite };
    const keys = plain.keysOf(material);
    plain.checkMac(i2, rhash, keys.in.mac);
    const hostId =
      choice.encrypt === false
        ? find(i2, P.hostId).contents
        : find(
            {
              parameters: plain.readParameters(
                plain.decrypted(cipher, keys.in.encryption, find(i2, P.encrypted).contents),
              ),
            },
            P.hostId,
          ).contents;
    const peer = plain.readHostId(hostId);
    if (!plain.hitOf(peer.algorithm, peer.hostIdentity).equals(i2.sender)) throw new Error("HIT and HOST_ID");
    plain.checkSignature(i2, peer.algorithm, peer.hostIdentity);
    const [signedEcho, ...unsignedEchoes] = this.echoes;
    if (!find(i2, P.echoResponseSigned).contents.equals(signedEcho)) throw new Error("ECHO_RESPONSE_SIGNED");
    const unsigned = i2.parameters.filter(({ type }) => type === P.echoResponseUnsigned);
    if (
      unsigned.length !== 2 ||
      !unsigned.every(({ contents }, at) => contents.equals(unsignedEchoes[at] as Buffer))
    )
      throw new Error("ECHO_RESPONSE_UNSIGNED");
    const peerSpi = readEspInfo(i2, keys.espAt);
    this.session = {
      keys,
      rhash,
      espSuite,
      cipher,
      peer,
      responderHostId: this.hostId,
      ownSpi: SPI,
      peerSpi,
      material,
      dh,
      peerPublic: dhParameter.subarray(3),
    };
    const espInfo = tlv(P.espInfo, u16(0), u16(keys.espAt), u32(0), u32(SPI));
    const hide = (parameter: Buffer): Buffer => plain.encrypted(cipher, keys.out.encryption, parameter);
    const parameters = [...replaced([espInfo], choice.replaceInR2), ...(choice.extraInR2?.(hide) ?? [])];
    const plainR2 = plain.packet(TYPE.R2, identity.hit, i2.sender, parameters);
    return identity.sign(plain.addMac(plainR2, rhash, keys.out.mac, this.hostId));
  }
}

/** The packet with one bit of a parameter's contents changed, the last one. */
export function flipped(bytes: Buffer, type: number): Buffer {
  const copy = Buffer.from(bytes);
  for (const { type: found, whole } of plain.readParameters(copy.subarray(40))) {
    if (found !== type) continue;
    const last = 3 + whole.readUInt16BE(2);
    whole[last] = (whole[last] as number) ^ 1;
  }
  return copy;
}

function list16(contents: Buffer): readonly number[] {
  return Array.from({ length: contents.length / 2 }, (_, at) => contents.readUInt16BE(2 * at));
}

/** RFC 7402 5.1.1, 6.5: no old SPI, and where the ESP keys begin. */
function readEspInfo(from: plain.Parsed, espAt: number): number {
  const { contents } = find(from, P.espInfo);
  if (contents.length !== 12 || contents.readUInt16BE(0) !== 0 || contents.readUInt32BE(4) !== 0)
    throw new Error("ESP_INFO");
  if (contents.readUInt16BE(2) !== espAt)
    throw new Error(`KEYMAT Index ${contents.readUInt16BE(2)}, not ${espAt}`);
  return contents.readUInt32BE(8);
}
