/**
 * Keys as text. Private: PKCS#8 PEM (what the daemon stores) and OpenSSH's own form. Public: the HIP resource record
 * of RFC 8005 6. No error text holds anything of a key.
 */
import { createRequire } from "node:module";
import { fromHex, toHex } from "../core/bytes.ts";
import { err, type Result } from "../core/types.ts";
import { hipRecordText, identityOfRecord } from "./hip-record.ts";
import { Identity, type PublicIdentity } from "./identity.ts";
import { fromBase64 } from "./plain.ts";

export type KeyFormat = "pkcs8" | "openssh";

/** No key file is longer; anything longer is not read. */
const MAX_KEY_TEXT = 65_536;

/** Only OpenSSH's own form needs it, and the daemon hardly ever meets one: it costs 10 ms and 3 MB. */
function sshpk(): typeof import("sshpk") {
  return createRequire(import.meta.url)("sshpk") as typeof import("sshpk");
}

/** Any unencrypted PEM (PKCS#8, PKCS#1, SEC 1) or OpenSSH private key of a kind that can be an identity. */
export function readPrivateKey(text: string): Result<Identity, string> {
  if (text.length > MAX_KEY_TEXT) return err(`longer than ${MAX_KEY_TEXT} characters: not a key file`);
  const label = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(text)?.[1];
  if (label === undefined) return err("no PEM header like -----BEGIN PRIVATE KEY-----");
  if (label.includes("PUBLIC")) return err("a public key; a private key is needed");
  if (label.includes("CERTIFICATE")) return err("a certificate; a private key is needed");
  if (label === "ENCRYPTED PRIVATE KEY" || text.includes("Proc-Type: 4,ENCRYPTED")) {
    return err("encrypted with a passphrase: decrypt it first (openssl pkey)");
  }
  if (label === "OPENSSH PRIVATE KEY") return readOpenSsh(text);
  return Identity.fromPrivateKey(text);
}

function readOpenSsh(text: string): Result<Identity, string> {
  try {
    const key = sshpk().parsePrivateKey(text, "ssh");
    return Identity.fromPrivateKey(key.toString("pkcs8"));
  } catch (error) {
    if (error instanceof Error && error.name === "KeyEncryptedError") {
      return err("encrypted with a passphrase: decrypt it first (ssh-keygen -p)");
    }
    return err("not a readable OpenSSH private key");
  }
}

/** The private key as text, unencrypted. */
export function writePrivateKey(identity: Identity, format: KeyFormat): string {
  const pem = identity.toPkcs8Pem();
  if (format === "pkcs8") return pem;
  return sshpk().parsePrivateKey(pem, "pem").toString("ssh");
}

/**
 * `IN HIP ( 2 200100… AwEAA… )`: the record for DNS, and the text to hand an identity to others.
 *
 * @throws never for an identity that can be made here: all their algorithms have a form.
 */
export function writeHipRecord(identity: PublicIdentity): string {
  const text = hipRecordText(identity);
  if (text === undefined) throw new Error(`no DNS record has a key of algorithm ${identity.algorithm}`);
  return text;
}

/** Reads what `writeHipRecord` writes, also with an owner name before and rendezvous servers behind. */
export function readHipRecord(text: string): Result<PublicIdentity, string> {
  if (text.length > MAX_KEY_TEXT) return err(`longer than ${MAX_KEY_TEXT} characters: not a HIP record`);
  const match = /\bHIP\s*\(?\s*([0-9]{1,3})\s+([0-9A-Fa-f]{32})\s+([A-Za-z0-9+/]+={0,2})(?=[\s)]|$)/.exec(
    text,
  );
  if (match === null) return err("not a HIP record like: IN HIP ( 2 <HIT in hex> <key in base64> )");
  const [, number, hitHex = "", keyText = ""] = match;
  const identity = identityOfRecord({ pkAlgorithm: Number(number), publicKey: fromBase64(keyText) });
  if (identity.ok && identity.value.hit !== hitHex.toLowerCase()) {
    return err(`the HIT ${toHex(fromHex(hitHex))} is not that of the key, which is ${identity.value.hit}`);
  }
  return identity;
}
