/** The host's private keys on disk: which there are, which is the default one, and how new ones get there. */
import { generateKeyPair } from "node:crypto";
import { readdirSync, readFileSync, statSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { formatHit, parseHit } from "../core/ip.ts";
import { err, type Hit, ok, type Result } from "../core/types.ts";
import { Identity, KEY_KINDS, type KeyKind } from "../crypto/identity.ts";
import { readPrivateKey } from "../crypto/keyfile.ts";
import type { NamedIdentity } from "./config-overlay.ts";
import { parseName } from "./config-values.ts";
import { isCredentialPath, isOwnCredential } from "./credentials.ts";
import { ensurePrivateDirectory, exists, readSecret, whyNot, writeAtomically } from "./files.ts";
import { didYouMean } from "./nearest.ts";

/** Where keys may be. */
export interface IdentityPlaces {
  /** The main key, made on first start; undefined when only a folder is meant. */
  readonly key: string | undefined;
  readonly extra: readonly string[];
  /** Further identities, one `NAME.pem` each. */
  readonly directory: string;
}

export interface StoredIdentity extends NamedIdentity {
  readonly identity: Identity;
}

/** More identities than this on one host are a mistake. */
export const MAX_IDENTITIES = 256;

const KIND_NAMES: Readonly<Record<KeyKind, string>> = {
  "ecdsa-p256": "ECDSA P-256",
  "ecdsa-p384": "ECDSA P-384",
  "rsa-2048": "RSA 2048",
  "rsa-3072": "RSA 3072",
  "rsa-4096": "RSA 4096",
  ed25519: "Ed25519",
};

/** What a first start makes. */
export const DEFAULT_KIND: KeyKind = "ecdsa-p256";

/** The files that `loadIdentities` would read, whether they are there or not. */
export function keyFilesOf(places: IdentityPlaces): readonly string[] {
  const listed = keyFiles(places.directory);
  const others = listed.ok ? listed.value : [];
  return [...new Set([...(places.key === undefined ? [] : [places.key]), ...places.extra, ...others])];
}

/** Reads every key; the main one first. All refusals are told, not only the first. */
export function loadIdentities(places: IdentityPlaces): Result<readonly StoredIdentity[], readonly string[]> {
  const problems: string[] = [];
  const files = [...(places.key === undefined ? [] : [places.key]), ...places.extra];
  const listed = keyFiles(places.directory);
  if (listed.ok) files.push(...listed.value.filter((file) => !files.includes(file)));
  else problems.push(listed.error);
  const identities: StoredIdentity[] = [];
  for (const file of files) {
    const read = readIdentity(file);
    if (!read.ok) {
      problems.push(read.error);
      continue;
    }
    const twin = identities.find((other) => other.hit === read.value.hit || other.name === read.value.name);
    if (twin !== undefined) {
      const what = twin.hit === read.value.hit ? "the same key" : `the same name "${twin.name}"`;
      problems.push(`${file}: is ${what} as ${twin.file}; remove or rename one of them`);
    } else identities.push(read.value);
  }
  if (identities.length > MAX_IDENTITIES) {
    problems.push(
      `${places.directory}: ${identities.length} identities; at most ${MAX_IDENTITIES} are allowed`,
    );
  }
  return problems.length > 0 ? err(problems) : ok(identities);
}

/** Reads one key file and refuses one that others can read. */
export function readIdentity(file: string): Result<StoredIdentity, string> {
  const name = identityName(file);
  if (!name.ok) return err(`${file}: the file's name gives the identity's name: ${name.error}`);
  const bytes = readSecret(file, isOwnCredential(file) ? "credential" : "file");
  if (!bytes.ok) return bytes;
  const identity = parseKey(bytes.value);
  bytes.value.fill(0);
  if (!identity.ok) return err(`${file}: is not a usable private key: ${identity.error}`);
  return ok(stored(identity.value, name.value, file));
}

/** PEM or OpenSSH text, or PKCS#8 in DER. */
export function parseKey(bytes: Uint8Array): Result<Identity, string> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  return text.includes("-----BEGIN ") ? readPrivateKey(text) : Identity.fromPrivateKey(bytes);
}

/** Makes the main key if there is none yet. Gives the new identity, or undefined when a key was there. */
export function ensureMainIdentity(key: string): Result<StoredIdentity | undefined, string> {
  if (exists(key)) return ok(undefined);
  if (isCredentialPath(key)) {
    const wanted = `LoadCredential=${basename(key)}:FILE`;
    return err(`${key}: the service manager handed no such credential over; its unit needs ${wanted}`);
  }
  return writeIdentity(key, Identity.generate(DEFAULT_KIND));
}

/** Makes a key off this thread (RSA takes seconds) and writes it; an existing file is never replaced. */
export async function createIdentity(file: string, kind: KeyKind): Promise<Result<StoredIdentity, string>> {
  if (exists(file)) return err(`${file}: exists already and is not replaced; choose another name`);
  const identity = Identity.fromPrivateKey(await generatePem(kind));
  return identity.ok ? writeIdentity(file, identity.value) : identity;
}

async function generatePem(kind: KeyKind): Promise<string> {
  const make = promisify(generateKeyPair);
  const pair =
    kind === "ed25519"
      ? await make("ed25519", {})
      : kind === "ecdsa-p256" || kind === "ecdsa-p384"
        ? await make("ec", { namedCurve: kind === "ecdsa-p256" ? "P-256" : "P-384" })
        : await make("rsa", { modulusLength: Number(kind.slice("rsa-".length)) });
  return pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}

/** A kind of key by its name. */
export function parseKind(text: string): Result<KeyKind, string> {
  const kind = KEY_KINDS.find((known) => known === text.toLowerCase());
  return kind === undefined ? err(`"${text}" is not a kind of key${didYouMean(text, KEY_KINDS)}`) : ok(kind);
}

/** Takes a key from elsewhere (PKCS#8 or OpenSSH, PEM or DER) into the store, unless it is one of `present`. */
export function importIdentity(
  file: string,
  key: Uint8Array,
  present: readonly StoredIdentity[] = [],
): Result<StoredIdentity, string> {
  const identity = parseKey(key);
  if (!identity.ok) return err(`not a usable private key: ${identity.error}`);
  const twin = present.find((other) => other.hit === identity.value.hit);
  if (twin !== undefined)
    return err(`this key exists already: it is the identity "${twin.name}" in ${twin.file}`);
  return writeIdentity(file, identity.value);
}

function writeIdentity(file: string, identity: Identity): Result<StoredIdentity, string> {
  const name = identityName(file);
  if (!name.ok) return name;
  if (exists(file)) return err(`${file}: exists already and is not replaced; choose another name`);
  try {
    ensurePrivateDirectory(dirname(file));
    writeAtomically(file, identity.toPkcs8Pem(), 0o600);
  } catch (error) {
    return err(`${file}: cannot be written: ${whyNot(error)}`);
  }
  return ok(stored(identity, name.value, file));
}

/** Takes a new identity back that could not be put to use. */
export function removeIdentity(file: string): void {
  try {
    unlinkSync(file);
  } catch {}
}

/** The file of a new identity of this name. */
export function identityFile(places: IdentityPlaces, name: string): Result<string, string> {
  const checked = parseName(name);
  return checked.ok ? ok(join(places.directory, `${name}.pem`)) : checked;
}

export function kindName(kind: KeyKind): string {
  return KIND_NAMES[kind];
}

function stored(identity: Identity, name: string, file: string): StoredIdentity {
  return {
    identity,
    name,
    file,
    hit: identity.hit,
    suite: identity.suite,
    algorithm: KIND_NAMES[identity.kind],
    key: { algorithm: identity.algorithm, hostIdentity: identity.hostIdentity },
  };
}

function identityName(file: string): Result<string, string> {
  return parseName(basename(file).replace(/\.(pem|key|der)$/, ""));
}

function keyFiles(directory: string): Result<readonly string[], string> {
  try {
    const names = readdirSync(directory).filter((name) => name.endsWith(".pem") && !name.startsWith("."));
    const others = statSync(directory).mode & 0o022;
    if (others !== 0)
      return err(`${directory}: other users may add keys to this folder; run: chmod 700 ${directory}`);
    return ok(names.sort().map((name) => join(directory, name)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return ok([]);
    return err(`${directory}: cannot be read: ${whyNot(error)}`);
  }
}

/** The file that remembers `identity use`. */
function choiceFile(places: IdentityPlaces): string {
  return join(places.directory, "default");
}

/** The default identity that an operator chose, if any. */
export function chosenIdentity(places: IdentityPlaces): Result<Hit | undefined, string> {
  let text: string;
  try {
    text = readFileSync(choiceFile(places), "utf8").trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return ok(undefined);
    return err(`${choiceFile(places)}: cannot be read: ${whyNot(error)}`);
  }
  const hit = parseHit(text);
  return hit.ok ? ok(hit.value) : err(`${choiceFile(places)}: ${hit.error}; run: hipctl identity use NAME`);
}

/** Remembers the default identity. */
export function chooseIdentity(places: IdentityPlaces, hit: Hit): Result<undefined, string> {
  try {
    ensurePrivateDirectory(places.directory);
    writeAtomically(choiceFile(places), `${formatHit(hit)}\n`, 0o600);
    return ok(undefined);
  } catch (error) {
    return err(`${choiceFile(places)}: cannot be written: ${whyNot(error)}`);
  }
}

/** Writes a private key for somebody to carry away: a new file of mode 0600. */
export function writePrivateKey(file: string, text: string): Result<undefined, string> {
  if (exists(file)) return err(`${file}: exists already and is not replaced`);
  try {
    writeAtomically(file, text, 0o600);
    return ok(undefined);
  } catch (error) {
    return err(`${file}: cannot be written: ${whyNot(error)}`);
  }
}
