/** What both sides' jobs share: keys from the Diffie-Hellman result, HOST_ID, refusals. */
import { concat, printable } from "../core/bytes.ts";
import type { Hit } from "../core/types.ts";
import { decrypt } from "../crypto/encrypted.ts";
import type { Identity } from "../crypto/identity.ts";
import { associationKeys, espKeys, Keymat } from "../crypto/keymat.ts";
import { type HipCipher, isHipCipher, type Rhash } from "../crypto/suites.ts";
import { NOTIFY } from "../wire/notification.ts";
import {
  append,
  get,
  type HasParameters,
  MAX_PACKET_BYTES,
  type Packet,
  parseParameters,
} from "../wire/packet.ts";
import type { DraftParameter } from "../wire/parameter.ts";
import { ENCRYPTED, HOST_ID, type HostId } from "../wire/rfc7401.ts";
import { LOCATOR_SET, type Locator } from "../wire/rfc8046.ts";
import type { DomainIdentifier } from "./config.ts";
import type { HipDrop } from "./drop-reasons.ts";
import type { Agreement, DhPair, Job, JobRefused } from "./job.ts";
import type { EspSuite } from "./sa.ts";

/** HKDF gives 255 hash lengths (RFC 5869 2.3); this is what the shortest hash gives, less one set of keys. */
export const MAX_KEYMAT_INDEX = 255 * 32 - 256;

/** The longest that the solver may take, whatever the puzzle's Lifetime says. */
const MAX_SOLVE_MILLIS = 60_000;

/** How long a puzzle may be worked on: its Lifetime field means 2^(value - 32) seconds (RFC 7401 5.2.4). */
export function solveMillis(lifetime: number): number {
  return Math.min(2 ** (lifetime - 32) * 1000, MAX_SOLVE_MILLIS);
}

/** Locators of one LOCATOR_SET that are looked at. */
const MAX_LOCATORS_READ = 64;

/** A KEYMAT Index further than this beyond the natural one is refused: it would only cost us hashing. */
const MAX_KEYMAT_SKIP = 4096;

export function hostIdParameter(identity: Identity, domain: DomainIdentifier): DraftParameter {
  return HOST_ID.of({
    algorithm: identity.algorithm,
    hostIdentity: identity.hostIdentity,
    diType: domain.type,
    domainId: domain.value,
  });
}

/** The Domain Identifier for people: labels joined by dots, or the NAI as it stands. */
export function domainText(host: HostId): string {
  if (host.diType !== 1) return printable(host.domainId);
  const labels: string[] = [];
  for (let at = 0; at < host.domainId.length; ) {
    const length = host.domainId[at] as number;
    if (length === 0 || length > 63 || at + 1 + length > host.domainId.length) {
      // Not the binary form of RFC 1035 3.1: some send the name as text.
      return length === 0 ? labels.join(".") : printable(host.domainId);
    }
    labels.push(printable(host.domainId.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
  return labels.join(".");
}

/** SPIs 0 to 255 are reserved (RFC 4303 2.1). */
export function isSpi(value: number): boolean {
  return value > 255 && value <= 0xffff_ffff;
}

export function u16Bytes(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/**
 * Parameters behind the signature, as many as fit: requests for them can be added on the way (RFC 7401 5.2.21), and
 * nobody shall be able to make a packet that cannot be expressed.
 */
export function appendFitting(bytes: Uint8Array, parameters: readonly DraftParameter[]): Uint8Array {
  let whole = bytes;
  for (const parameter of parameters) {
    const longer = append(whole, [parameter]);
    if (longer.length <= MAX_PACKET_BYTES) whole = longer;
  }
  return whole;
}

type Notify = keyof typeof NOTIFY | { readonly messageType: number; readonly data: Uint8Array };

/** Makes the refusals of one kind of job. */
export function refusal(of: Job["kind"]): (reason: HipDrop, detail: string, notify?: Notify) => JobRefused {
  return (reason, detail, notify) => ({
    kind: "refused",
    of,
    reason,
    detail,
    notify: typeof notify === "string" ? { messageType: NOTIFY[notify], data: new Uint8Array(0) } : notify,
  });
}

export interface Derivation {
  readonly rhash: Rhash;
  readonly kij: Uint8Array;
  readonly dh: DhPair;
  readonly peerPublic: Uint8Array;
  readonly hitI: Hit;
  readonly hitR: Hit;
  readonly i: Uint8Array;
  readonly j: Uint8Array;
  readonly localHit: Hit;
  readonly peerHit: Hit;
  readonly cipher: HipCipher;
  readonly dhGroup: number;
  readonly espSuite: EspSuite;
  /** Where the peer says that the ESP keys begin; undefined: where ours end. */
  readonly keymatIndex: number | undefined;
}

/** Draws the association's keys (RFC 7401 6.5) and then those of the first ESP SA pair (RFC 7402 7). */
export function deriveAgreement(from: Derivation): {
  readonly agreement: Omit<Agreement, "peer" | "peerDomain" | "peerSpi" | "peerLsiSpi">;
  readonly macIn: Uint8Array;
  readonly macOut: Uint8Array;
  readonly encryptIn: Uint8Array;
  readonly encryptOut: Uint8Array;
  /** What ESP_INFO says: where the ESP keys were drawn from. */
  readonly espKeymatIndex: number;
  readonly keymatIndexRefused: boolean;
} {
  const { rhash, kij, hitI, hitR, i, j, localHit, peerHit } = from;
  const keymat = new Keymat({ rhash, kij, hitI, hitR, i, j });
  const keys = associationKeys(keymat, from.cipher, rhash, localHit, peerHit);
  const natural = keymat.index;
  const wanted = from.keymatIndex ?? natural;
  const keymatIndexRefused = wanted < natural || wanted > natural + MAX_KEYMAT_SKIP;
  if (!keymatIndexRefused && wanted > natural) keymat.draw(wanted - natural);
  const espKeymatIndex = keymat.index;
  const esp = espKeys(keymat, from.espSuite, localHit, peerHit);
  return {
    ...keys,
    espKeymatIndex,
    keymatIndexRefused,
    agreement: {
      rhash,
      hipCipher: from.cipher,
      dhGroup: from.dhGroup,
      espSuite: from.espSuite,
      ...keys,
      espOut: esp.outbound,
      espIn: esp.inbound,
      kij,
      // Copies: the packet's buffer may be reused by whoever received it.
      i: i.slice(),
      j: j.slice(),
      keymatIndex: keymat.index,
      dh: from.dh,
      peerPublic: from.peerPublic.slice(),
    },
  };
}

/** The parameters of an I2 or R2 and of the ENCRYPTED in it; undefined when that does not decrypt. */
export function contentsOf(packet: Packet, key: Uint8Array, cipher: number): HasParameters | undefined {
  const encrypted = get(packet, ENCRYPTED);
  if (encrypted === undefined || !isHipCipher(cipher)) return packet;
  const inside = decrypt(cipher, key, encrypted.body);
  if (!inside.ok) return undefined;
  const parameters = parseParameters(concat(inside.value));
  return parameters.ok ? { parameters: [...packet.parameters, ...parameters.value] } : packet;
}

/** What a LOCATOR_SET lists, as copies: nothing where there is none. */
export function locatorsIn(contents: HasParameters): readonly Locator[] {
  const locators = get(contents, LOCATOR_SET)?.locators ?? [];
  return locators
    .slice(0, MAX_LOCATORS_READ)
    .map((one) => ({ ...one, locator: new Uint8Array(one.locator) }));
}
