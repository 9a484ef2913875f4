/** What was imported before, so that an older file does not undo a newer one. Kept in the state directory. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { formatHit, parseHit } from "../../core/ip.ts";
import { err, type Hit, ok, type Result } from "../../core/types.ts";
import { exists, whyNot, writeAtomically } from "../files.ts";

/** The newest inventory of one signer. */
export interface Imported {
  readonly created: number;
  /** Of the file's text. */
  readonly digest: string;
}

/** Who brought a peer that stands in peers.d. */
export interface Brought {
  readonly name: string;
  readonly signer: Hit;
  readonly created: number;
}

export interface Memory {
  readonly signers: ReadonlyMap<Hit, Imported>;
  /** By the peer's HIT. */
  readonly members: ReadonlyMap<Hit, Brought>;
}

export const NO_MEMORY: Memory = { signers: new Map(), members: new Map() };

export function memoryFile(stateDirectory: string): string {
  return join(stateDirectory, "inventory.json");
}

export function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** A damaged memory is an error: going on would let old files in again. */
export function readMemory(file: string): Result<Memory, string> {
  if (!exists(file)) return ok(NO_MEMORY);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    return err(`${file}: cannot be read: ${whyNot(error)}`);
  }
  try {
    const { version, signers, members } = JSON.parse(text) as Record<string, unknown>;
    if (version !== 1) throw new Error();
    return ok({ signers: readMap(signers, readImported), members: readMap(members, readBrought) });
  } catch {
    return err(
      `${file}: is damaged, so that it is not known which inventories came before; to forget them, delete it`,
    );
  }
}

export function writeMemory(file: string, { signers, members }: Memory): Result<undefined, string> {
  const document = {
    version: 1,
    signers: Object.fromEntries([...signers].map(([hit, each]) => [formatHit(hit), each])),
    members: Object.fromEntries(
      [...members].map(([hit, { signer, ...each }]) => [
        formatHit(hit),
        { ...each, signer: formatHit(signer) },
      ]),
    ),
  };
  try {
    writeAtomically(file, `${JSON.stringify(document)}\n`, 0o600);
    return ok(undefined);
  } catch (error) {
    return err(`${file}: cannot be written: ${whyNot(error)}`);
  }
}

/** Why a file of this signer and time may not be imported any more; undefined: it may. */
export function replayed(memory: Memory, signer: Hit, created: number, digest: string): string | undefined {
  const before = memory.signers.get(signer);
  if (before === undefined || created > before.created) return undefined;
  const newest = new Date(before.created).toISOString();
  if (created < before.created)
    return `it was made at ${new Date(created).toISOString()}, and a newer one of the same signer, made at ${newest}, was imported before`;
  if (digest === before.digest) return undefined;
  return `another inventory of the same signer and the same time, ${newest}, was imported before`;
}

function readMap<T>(value: unknown, read: (entry: Record<string, unknown>) => T): ReadonlyMap<Hit, T> {
  const entries = Object.entries(value as Record<string, Record<string, unknown>>);
  return new Map(entries.map(([hit, entry]) => [hitOf(hit), read(entry)]));
}

function readImported({ created, digest }: Record<string, unknown>): Imported {
  if (typeof digest !== "string") throw new Error();
  return { created: timeOf(created), digest };
}

function readBrought({ name, signer, created }: Record<string, unknown>): Brought {
  if (typeof name !== "string" || typeof signer !== "string") throw new Error();
  return { name, signer: hitOf(signer), created: timeOf(created) };
}

function hitOf(text: string): Hit {
  const hit = parseHit(text);
  if (!hit.ok) throw new Error();
  return hit.value;
}

function timeOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw new Error();
  return value;
}
