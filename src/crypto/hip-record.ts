/** Host Identities as the keys of HIP resource records: the forms of IPSECKEY and DNSKEY (RFC 8005 5.2, 5.5). */
import { concat, equal, fromHex } from "../core/bytes.ts";
import { hitBytes } from "../core/ip.ts";
import { err, type Result } from "../core/types.ts";
import { encodeHipRecord, type HipRecord } from "../wire/rfc8005.ts";
import { PublicIdentity } from "./identity.ts";
import { toBase64 } from "./plain.ts";
import { HI_ALGORITHM } from "./suites.ts";

/** PK algorithms of a HIP record: those of IPSECKEY (RFC 8005 9, RFC 9373). */
const PK_ALGORITHM: Readonly<Record<number, number>> = {
  [HI_ALGORITHM.RSA]: 2,
  [HI_ALGORITHM.ECDSA]: 3,
  [HI_ALGORITHM.EDDSA]: 4,
};

/** What stands before the record's key in the Host Identity field: nothing for RSA, else the curve's label. */
const FORMS: readonly {
  readonly algorithm: number;
  readonly prefix: Uint8Array;
  readonly keyBytes?: number;
}[] = [
  { algorithm: HI_ALGORITHM.RSA, prefix: new Uint8Array(0) },
  { algorithm: HI_ALGORITHM.ECDSA, prefix: fromHex("0001"), keyBytes: 64 },
  { algorithm: HI_ALGORITHM.ECDSA, prefix: fromHex("0002"), keyBytes: 96 },
  { algorithm: HI_ALGORITHM.EDDSA, prefix: fromHex("00010000"), keyBytes: 32 },
];

export type RecordKey = Pick<HipRecord, "pkAlgorithm" | "publicKey">;

/** Undefined for algorithms that no record is defined for. */
export function recordKey(algorithm: number, hostIdentity: Uint8Array): RecordKey | undefined {
  const pkAlgorithm = PK_ALGORITHM[algorithm];
  const form = FORMS.find(
    (row) => row.algorithm === algorithm && equal(hostIdentity.subarray(0, row.prefix.length), row.prefix),
  );
  if (pkAlgorithm === undefined || form === undefined) return undefined;
  return { pkAlgorithm, publicKey: hostIdentity.slice(form.prefix.length) };
}

/** The identity whose key stands in a record. Its HIT is computed from the key, never taken from the record (RFC 8005 4.1). */
export function identityOfRecord({ pkAlgorithm, publicKey }: RecordKey): Result<PublicIdentity, string> {
  const form = FORMS.find(
    (row) =>
      PK_ALGORITHM[row.algorithm] === pkAlgorithm && (row.keyBytes ?? publicKey.length) === publicKey.length,
  );
  if (form === undefined)
    return err(`PK algorithm ${pkAlgorithm} with a key of ${publicKey.length} bytes is not supported`);
  return PublicIdentity.from(form.algorithm, concat(form.prefix, publicKey));
}

/** The RDATA for an identity; undefined where `recordKey` is. */
export function hipRdata(
  identity: Pick<PublicIdentity, "hit" | "algorithm" | "hostIdentity">,
  rendezvous: readonly string[] = [],
): Uint8Array | undefined {
  const key = recordKey(identity.algorithm, identity.hostIdentity);
  return key === undefined ? undefined : encodeHipRecord({ ...key, hit: hitBytes(identity.hit), rendezvous });
}

/** The record as a line of a zone file (RFC 8005 6), without its owner; undefined where `recordKey` is. */
export function hipRecordText(
  identity: Pick<PublicIdentity, "hit" | "algorithm" | "hostIdentity">,
  rendezvous: readonly string[] = [],
): string | undefined {
  const key = recordKey(identity.algorithm, identity.hostIdentity);
  if (key === undefined) return undefined;
  const { pkAlgorithm, publicKey } = key;
  const servers = rendezvous.map((name) => ` ${name.replace(/\.?$/, ".")}`).join("");
  return `IN HIP ( ${pkAlgorithm} ${identity.hit.toUpperCase()} ${toBase64(publicKey)}${servers} )`;
}
