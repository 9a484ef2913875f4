/** Host Identity Tags (RFC 7401 3.2, RFC 7343 2; suite 5: RFC 9374 3.5.2 and docs/decisions/0001-hit-suite-5.md). */
import { cshake128 } from "@noble/hashes/sha3-addons.js";
import { concat, fromHex } from "../core/bytes.ts";
import { hitFromBytes } from "../core/ip.ts";
import { err, type Hit, ok, type Result } from "../core/types.ts";
import { rhash } from "./rhash.ts";
import { suiteOfAlgorithm } from "./suites.ts";

/** RFC 7401 3.2. */
const CONTEXT_ID = fromHex("f0eff02fbff43d0fe7930c3c6e6174ea");
const HASH_BYTES = 12;

/**
 * The HIT of a host identity. The hash covers the Host Identity field of HOST_ID, curve label included, without the
 * algorithm field. Says nothing about whether the key is a good one: that is `PublicIdentity.from`'s part.
 */
export function hitOf(algorithm: number, hostIdentity: Uint8Array): Result<Hit, string> {
  const suite = suiteOfAlgorithm(algorithm);
  if (suite === undefined) return err(`HI algorithm ${algorithm} is not supported`);
  const hash =
    suite.rhash === "cshake128"
      ? cshake128(hostIdentity, { personalization: CONTEXT_ID, dkLen: HASH_BYTES })
      : middle96(rhash(suite.rhash, concat(CONTEXT_ID, hostIdentity)));
  const prefixAndOga = Uint8Array.of(0x20, 0x01, 0x00, 0x20 | suite.id);
  return ok(hitFromBytes(concat(prefixAndOga, hash)));
}

/** Encode_96 of RFC 7343 2. */
function middle96(hash: Uint8Array): Uint8Array {
  const before = (hash.length - HASH_BYTES) / 2;
  return hash.subarray(before, before + HASH_BYTES);
}
