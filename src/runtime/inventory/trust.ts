/** Whose signature under an inventory counts: operators for everything, single hosts for themselves. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { formatHit, parseHit } from "../../core/ip.ts";
import { err, type Hit, ok, type Result } from "../../core/types.ts";
import type { PublicIdentity } from "../../crypto/identity.ts";
import { readHipRecord } from "../../crypto/keyfile.ts";
import { whyNot } from "../files.ts";
import type { SignedInventory } from "./document.ts";

/** Keys that may be trusted at once. */
const MAX_TRUSTED = 256;
const MAX_KEY_BYTES = 65_536;

export interface Trust {
  /** Whoever has such a key may say who the members are. Value: where that stands. */
  readonly operators: ReadonlyMap<Hit, string>;
  /** Such a host may say where it is itself, and nothing about others. */
  readonly hosts: ReadonlyMap<Hit, string>;
}

export interface TrustSources {
  /** `[inventory] trusted`: HITs, and files relative to `folder`. */
  readonly configured: readonly string[];
  /** The folder of the configuration. */
  readonly folder: string;
  /** Every file in it is an operator's public key. */
  readonly directory: string;
  /** What somebody gave by hand: HITs, and files. */
  readonly given: readonly string[];
}

/** All problems at once. A key that others may replace is one. */
export function readTrust(sources: TrustSources): Result<Trust, readonly string[]> {
  const problems: string[] = [];
  const operators = new Map<Hit, string>();
  const hosts = new Map<Hit, string>();
  const take = (reference: string, folder: string, where: string, guarded: boolean): void => {
    const hit = parseHit(reference);
    if (hit.ok) {
      hosts.set(hit.value, where);
      return;
    }
    const file = resolve(folder, reference);
    const key = readPublicKey(file, guarded);
    if (key.ok) operators.set(key.value.hit, file);
    else problems.push(`${where}: ${key.error}`);
  };
  for (const each of sources.configured) take(each, sources.folder, "[inventory] trusted", true);
  const listed = keyFiles(sources.directory);
  if (listed.ok) for (const file of listed.value) take(file, "/", "[inventory] trusted_dir", true);
  else problems.push(`[inventory] trusted_dir: ${listed.error}`);
  for (const each of sources.given) take(each, ".", "--trust", false);
  if (operators.size + hosts.size > MAX_TRUSTED)
    problems.push(`${operators.size + hosts.size} keys are trusted; at most ${MAX_TRUSTED} are allowed`);
  return problems.length > 0 ? err(problems) : ok({ operators, hosts });
}

/** A public key as `hipctl identity export` writes it. */
export function readPublicKey(file: string, guarded: boolean): Result<PublicIdentity, string> {
  let text: string;
  try {
    const { mode, size, uid } = statSync(file);
    if (guarded && isForeign(uid))
      return err(`${file}: user ${uid} may change this key; run: chown root ${file}`);
    if (guarded && (mode & 0o022) !== 0)
      return err(`${file}: other users may change this key; run: chmod go-w ${file}`);
    if (size > MAX_KEY_BYTES) return err(`${file}: has ${size} bytes, too many for a public key`);
    text = readFileSync(file, "utf8");
  } catch (error) {
    return err(`${file}: cannot be read: ${whyNot(error)}`);
  }
  if (text.includes("PRIVATE KEY-----"))
    return err(`${file}: is a private key; its public half is needed: hipctl identity export`);
  const key = readHipRecord(text);
  return key.ok ? key : err(`${file}: is not a public key of "hipctl identity export": ${key.error}`);
}

/** Neither root's nor ours. */
function isForeign(uid: number): boolean {
  return uid !== 0 && uid !== process.geteuid?.();
}

function keyFiles(directory: string): Result<readonly string[], string> {
  try {
    const names = readdirSync(directory).filter((name) => !name.startsWith("."));
    const { mode, uid } = statSync(directory);
    if (isForeign(uid))
      return err(`${directory}: user ${uid} may add keys to this folder; run: chown root ${directory}`);
    if ((mode & 0o022) !== 0)
      return err(`${directory}: other users may add keys to this folder; run: chmod go-w ${directory}`);
    return ok(names.sort().map((name) => join(directory, name)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return ok([]);
    return err(`${directory}: cannot be read: ${whyNot(error)}`);
  }
}

export interface Voucher {
  readonly signer: Hit;
  readonly as: "operator" | "host";
  /** Where it stands that this key is trusted. */
  readonly trustedIn: string;
}

/** Who of the signers may say what this inventory says; or why nobody of them may. */
export function voucherOf(inventory: SignedInventory, trust: Trust): Result<Voucher, string> {
  for (const { hit } of inventory.signers) {
    const trustedIn = trust.operators.get(hit);
    if (trustedIn !== undefined) return ok({ signer: hit, as: "operator", trustedIn });
  }
  let beyond: string | undefined;
  for (const { hit } of inventory.signers) {
    const trustedIn = trust.hosts.get(hit);
    if (trustedIn === undefined) continue;
    const other = inventory.members.find(({ identity }) => identity.hit !== hit);
    if (other === undefined) return ok({ signer: hit, as: "host", trustedIn });
    beyond = `${formatHit(hit)} is trusted (${trustedIn}) to speak for itself, not for "${other.name}"; an operator's key is trusted by its file, not by its HIT`;
  }
  if (beyond !== undefined) return err(beyond);
  const signers = inventory.signers.map(({ hit }) => formatHit(hit)).join(", ");
  return err(
    `signed by ${signers}, which is not trusted here; if it should be: --trust with the operator's public key file, or with the HIT of a host that tells of itself only`,
  );
}
