/**
 * The inventory of a fleet as a signed file: who its members are (name, host identity, HIT) and where. JSON, in exactly the form that
 * `inventoryText` writes: docs/INVENTORY.md.
 */
import { utf8 } from "../../core/bytes.ts";
import { formatHit } from "../../core/ip.ts";
import { type Endpoint, endpointText, err, type Hit, ok, type Result } from "../../core/types.ts";
import { type Identity, PublicIdentity } from "../../crypto/identity.ts";
import { MAX_LOCATORS, MAX_PEERS } from "../../overlay/peers.ts";
import { parseLocator, parseName } from "../config-values.ts";

const FORMAT = "hipd-inventory";
const VERSION = 1;
/** Stands before what is signed, so that no signature over an inventory is one over anything else, and the other way round. */
const DOMAIN = "hipd inventory v1\0";

/** Longer files are not read. */
export const MAX_INVENTORY_BYTES = 64 * 1024 * 1024;
const MAX_SIGNATURES = 16;
/** Further problems of one file are only counted. */
const MAX_PROBLEMS = 20;

export interface Member {
  /** Lower-case DNS labels; what the others will call it. */
  readonly name: string;
  readonly identity: PublicIdentity;
  /** Best first; a port of 0 means the default one. Empty: it must speak first. */
  readonly locators: readonly Endpoint[];
}

export interface Inventory {
  /** Milliseconds since 1970. */
  readonly created: number;
  /** From then on it is not imported any more. */
  readonly expires: number | undefined;
  /** At least one, in the order of their names; no name and no HIT twice. */
  readonly members: readonly Member[];
}

/** An inventory whose every signature is right. Says nothing about whether its signers are trusted. */
export interface SignedInventory extends Inventory {
  readonly signers: readonly PublicIdentity[];
}

export function inventoryOf(
  created: number,
  expires: number | undefined,
  members: readonly Member[],
): Inventory {
  const sorted = [...members].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return { created, expires, members: sorted };
}

/** The whole file, signed by each of `keys`. */
export function inventoryText(inventory: Inventory, keys: readonly Identity[]): string {
  const bytes = signedBytes(inventory);
  const signatures = keys.map((key) => signatureEntry(key.publicOnly(), key.sign(bytes)));
  return text({ ...body(inventory), signatures });
}

/** What a signature covers: the domain, a zero byte, and the file as it would be without its `signatures`. */
export function signedBytes(inventory: Inventory): Uint8Array {
  return utf8(DOMAIN + text(body(inventory)));
}

function body({ created, expires, members }: Inventory) {
  return {
    format: FORMAT,
    version: VERSION,
    created: isoTime(created),
    expires: expires === undefined ? null : isoTime(expires),
    members: members.map(({ name, identity, locators }) => ({
      name,
      ...keyFields(identity),
      locators: locators.map(endpointText),
    })),
  };
}

function signatureEntry(signer: PublicIdentity, signature: Uint8Array) {
  return { ...keyFields(signer), signature: base64(signature) };
}

function keyFields({ hit, algorithm, hostIdentity }: PublicIdentity) {
  return { hit: formatHit(hit), algorithm, hostIdentity: base64(hostIdentity) };
}

function text(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function isoTime(millis: number): string {
  return new Date(millis).toISOString();
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

/**
 * Reads a file and checks everything that it says about itself: the form, that every host identity hashes to its HIT, and every
 * signature. One wrong signature beside good ones is an error, too. Each problem says where it is.
 */
export function readInventory(file: string): Result<SignedInventory, readonly string[]> {
  if (file.length > MAX_INVENTORY_BYTES)
    return err([`it is longer than ${MAX_INVENTORY_BYTES} characters; that is no inventory`]);
  let value: unknown;
  try {
    value = JSON.parse(file);
  } catch (error) {
    return err([`not valid JSON: ${firstLine((error as Error).message)}`]);
  }
  const problems = new Problems();
  const whole = problems.object(value, "the file", [
    "format",
    "version",
    "created",
    "expires",
    "members",
    "signatures",
  ]);
  if (whole === undefined) return err(problems.list());
  if (whole["format"] !== FORMAT) return err([`format is ${shown(whole["format"])}, not "${FORMAT}"`]);
  if (whole["version"] !== VERSION) {
    return err([`version is ${shown(whole["version"])}; this hipctl knows version ${VERSION} only`]);
  }
  const created = problems.time(whole["created"], "created");
  const expires = whole["expires"] === null ? undefined : problems.time(whole["expires"], "expires");
  if (created !== undefined && expires !== undefined && expires <= created)
    problems.add("expires: is not after created");
  const members = problems
    .array(whole["members"], "members", MAX_PEERS)
    .flatMap((each, i) => readMember(each, `members[${i}]`, problems) ?? []);
  checkMembers(members, problems);
  const signatures = problems
    .array(whole["signatures"], "signatures", MAX_SIGNATURES)
    .flatMap((each, i) => readSignature(each, `signatures[${i}]`, problems) ?? []);
  if (problems.any || created === undefined) return err(problems.list());
  const inventory: Inventory = { created, expires, members };
  // What a parser lets pass (blanks, order, a key twice) would not be covered by the signature.
  const canonical = text({
    ...body(inventory),
    signatures: signatures.map(({ signer, signature }) => signatureEntry(signer, signature)),
  });
  if (canonical !== file) return err([otherForm(file, canonical)]);
  const bytes = signedBytes(inventory);
  for (const [i, { signer, signature }] of signatures.entries()) {
    if (!signer.verify(bytes, signer.algorithm, signature))
      problems.add(`signatures[${i}]: is not the signature of ${formatHit(signer.hit)} over this inventory`);
  }
  if (problems.any) return err(problems.list());
  return ok({ ...inventory, signers: signatures.map(({ signer }) => signer) });
}

function readMember(value: unknown, where: string, problems: Problems): Member | undefined {
  const member = problems.object(value, where, ["name", "hit", "algorithm", "hostIdentity", "locators"]);
  if (member === undefined) return undefined;
  const nameText = problems.text(member["name"], `${where}.name`);
  const name = nameText === undefined ? undefined : problems.of(parseName(nameText), `${where}.name`);
  const identity = readKey(member, where, problems);
  const locators = problems
    .array(member["locators"], `${where}.locators`, MAX_LOCATORS, 0)
    .flatMap((each, i) => {
      const locator = problems.text(each, `${where}.locators[${i}]`);
      if (locator === undefined) return [];
      return problems.of(parseLocator(locator), `${where}.locators[${i}]`) ?? [];
    });
  return name === undefined || identity === undefined ? undefined : { name, identity, locators };
}

function readSignature(value: unknown, where: string, problems: Problems) {
  const entry = problems.object(value, where, ["hit", "algorithm", "hostIdentity", "signature"]);
  if (entry === undefined) return undefined;
  const signer = readKey(entry, where, problems);
  const signature = problems.bytes(entry["signature"], `${where}.signature`);
  return signer === undefined || signature === undefined ? undefined : { signer, signature };
}

/** The key, which must hash to the HIT beside it. */
function readKey(
  fields: Record<string, unknown>,
  where: string,
  problems: Problems,
): PublicIdentity | undefined {
  const hit = problems.text(fields["hit"], `${where}.hit`);
  const { algorithm } = fields;
  const bytes = problems.bytes(fields["hostIdentity"], `${where}.hostIdentity`);
  if (!Number.isInteger(algorithm) || (algorithm as number) < 0 || (algorithm as number) > 65_535) {
    problems.add(`${where}.algorithm: ${shown(algorithm)} is not the number of an algorithm`);
    return undefined;
  }
  if (hit === undefined || bytes === undefined) return undefined;
  const identity = problems.of(PublicIdentity.from(algorithm as number, bytes), `${where}.hostIdentity`);
  if (identity === undefined || formatHit(identity.hit) === hit) return identity;
  problems.add(`${where}: the host identity has the HIT ${formatHit(identity.hit)}, not ${shown(hit)}`);
  return undefined;
}

function checkMembers(members: readonly Member[], problems: Problems): void {
  const hits = new Map<Hit, string>();
  let last = "";
  for (const { name, identity } of members) {
    if (name === last) problems.add(`members: the name "${name}" stands twice`);
    else if (name < last)
      problems.add(`members: "${name}" stands behind "${last}"; they are in the order of names`);
    const twin = hits.get(identity.hit);
    if (twin !== undefined)
      problems.add(`members: "${twin}" and "${name}" have the same HIT ${formatHit(identity.hit)}`);
    hits.set(identity.hit, name);
    last = name;
  }
}

/** The first line that differs from what hipctl writes. */
function otherForm(file: string, canonical: string): string {
  const [found, wanted] = [file.split("\n"), canonical.split("\n")];
  const at = wanted.findIndex((line, i) => line !== found[i]);
  const line = at < 0 ? wanted.length : at + 1;
  return `line ${line} is not in the form that hipctl writes: ${shown(found[line - 1] ?? "")} in place of ${shown(wanted[line - 1] ?? "")}`;
}

/** What may come from anybody, fit for a terminal. */
function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? "missing";
  const ascii = json.replace(/[^\x20-\x7e]/g, "?");
  return ascii.length > 80 ? `${ascii.slice(0, 80)}...` : ascii;
}

function firstLine(message: string): string {
  return (message.split("\n")[0] ?? "").replace(/[^\x20-\x7e]/g, "?").slice(0, 200);
}

class Problems {
  readonly #list: string[] = [];
  #more = 0;

  get any(): boolean {
    return this.#list.length > 0;
  }

  list(): readonly string[] {
    return this.#more === 0 ? this.#list : [...this.#list, `and ${this.#more} more`];
  }

  add(problem: string): void {
    if (this.#list.length < MAX_PROBLEMS) this.#list.push(problem);
    else this.#more++;
  }

  of<T>(result: Result<T, string>, where: string): T | undefined {
    if (result.ok) return result.value;
    this.add(`${where}: ${firstLine(result.error)}`);
    return undefined;
  }

  object(value: unknown, where: string, keys: readonly string[]): Record<string, unknown> | undefined {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.add(`${where}: is not an object`);
      return undefined;
    }
    const missing = keys.filter((key) => !Object.hasOwn(value, key));
    const extra = Object.keys(value).filter((key) => !keys.includes(key));
    for (const key of missing) this.add(`${where}: ${key} is missing`);
    for (const key of extra) this.add(`${where}: unknown key ${shown(key)}`);
    return missing.length + extra.length > 0 ? undefined : (value as Record<string, unknown>);
  }

  array(value: unknown, where: string, max: number, min = 1): readonly unknown[] {
    if (!Array.isArray(value)) this.add(`${where}: is not a list`);
    else if (value.length < min) this.add(`${where}: is empty`);
    else if (value.length > max)
      this.add(`${where}: has ${value.length} entries; at most ${max} are allowed`);
    else return value;
    return [];
  }

  text(value: unknown, where: string): string | undefined {
    if (typeof value === "string") return value;
    this.add(`${where}: is not a string`);
    return undefined;
  }

  time(value: unknown, where: string): number | undefined {
    const millis = typeof value === "string" ? Date.parse(value) : Number.NaN;
    if (!Number.isNaN(millis) && isoTime(millis) === value) return millis;
    this.add(`${where}: ${shown(value)} is not a time like "2026-01-02T03:04:05.000Z"`);
    return undefined;
  }

  bytes(value: unknown, where: string): Uint8Array | undefined {
    const bytes = typeof value === "string" ? new Uint8Array(Buffer.from(value, "base64")) : undefined;
    if (bytes !== undefined && bytes.length > 0 && base64(bytes) === value) return bytes;
    this.add(`${where}: ${shown(value)} is not base64`);
    return undefined;
  }
}
