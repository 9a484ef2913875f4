/** Whether this is the machine that the identity was made on: a copied disk is another machine with the same keys. */
import { readFileSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { err, ok, type Result } from "../core/types.ts";
import { optionalCredential } from "./credentials.ts";
import { exists, readSecret, syncDirectory, whyNot, writeAtomically } from "./files.ts";

/** What tells machines apart; "" where it is not known. */
export interface Instance {
  /** SMBIOS UUID: another one in another virtual machine. */
  readonly smbios: string;
  /** The cloud's instance id, as cloud-init found it at this boot. */
  readonly cloud: string;
  /** systemd's machine-id: copied with the disk, so that it only counts where nothing else is known. */
  readonly machine: string;
}

/** What to do on a machine that is not the one before. */
export const ON_NEW_INSTANCE = ["ask-peers", "adopt", "new-identity", "refuse"] as const;
export type OnNewInstance = (typeof ON_NEW_INSTANCE)[number];

export interface InstancePlaces {
  readonly smbios: string;
  readonly cloud: readonly string[];
  readonly machine: string;
}

export const INSTANCE_PLACES: InstancePlaces = {
  // Only root may read it: the unit of an unprivileged hipd hands it over.
  smbios: optionalCredential("hipd-product-uuid") ?? "/sys/class/dmi/id/product_uuid",
  cloud: ["/run/cloud-init/.instance-id", "/var/lib/cloud/data/instance-id"],
  machine: "/etc/machine-id",
};

/** More than any identifier has. */
const MAX_LENGTH = 256;

export function readInstance(places: InstancePlaces): Instance {
  const cloud = places.cloud.map(readWord).find((word) => word !== "") ?? "";
  return { smbios: readWord(places.smbios), cloud, machine: readWord(places.machine) };
}

function readWord(file: string): string {
  try {
    const text = readFileSync(file, "utf8").trim().toLowerCase();
    // cloud-init's placeholder, and the UUIDs of firmware that has none.
    if (text.length > MAX_LENGTH || /^[0-]*$|^[f-]*$|^no_instance_id|^iid-datasource-none/.test(text))
      return "";
    return text;
  } catch {
    return "";
  }
}

/** What differs, for people; undefined: nothing says that it is another machine. */
export function difference(before: Instance, now: Instance): string | undefined {
  const differs = (a: string, b: string): boolean => a !== "" && b !== "" && a !== b;
  const strong = (["smbios", "cloud"] as const).filter((name) => before[name] !== "" && now[name] !== "");
  const names = strong.length > 0 ? strong : (["machine"] as const);
  const found = names.filter((name) => differs(before[name], now[name]));
  if (found.length === 0) return undefined;
  const words = { smbios: "SMBIOS UUID", cloud: "cloud instance", machine: "machine-id" };
  return found.map((name) => `${words[name]} ${before[name]} before, ${now[name]} now`).join("; ");
}

export interface InstanceCheck {
  /** What differs, when this is another machine than before. */
  readonly changed: string | undefined;
  /** Where the key that was left went, after "new-identity". */
  readonly keptAs: string | undefined;
}

/**
 * Compares this machine with the one that is kept in `file`, and does what the operator wants about a difference. Before the keys are
 * read. A refusal changes nothing. `stamp` goes into the name of a key that is set aside.
 */
export function checkInstance(
  file: string,
  key: string,
  policy: OnNewInstance,
  now: Instance,
  stamp: string,
): Result<InstanceCheck, string> {
  const before = readKept(file);
  if (!before.ok) return before;
  const changed = before.value === undefined || !exists(key) ? undefined : difference(before.value, now);
  if (changed !== undefined && policy === "refuse") {
    return err(
      `${key} was used on another machine before (${changed}), and [identity] on_new_instance is "refuse": to use it here, delete ${file}; to get another identity, delete the key`,
    );
  }
  let keptAs: string | undefined;
  try {
    if (changed !== undefined && policy === "new-identity") {
      keptAs = `${key}.${stamp}`;
      renameSync(key, keptAs);
      syncDirectory(dirname(key));
    }
    // What is not known now may be known again later.
    const known = changed === undefined && before.value !== undefined ? merged(before.value, now) : now;
    writeAtomically(file, `${JSON.stringify({ version: 1, ...known })}\n`, 0o600);
  } catch (error) {
    return err(`${file}: ${whyNot(error)}`);
  }
  return ok({ changed, keptAs });
}

function merged(before: Instance, now: Instance): Instance {
  return {
    smbios: now.smbios || before.smbios,
    cloud: now.cloud || before.cloud,
    machine: now.machine || before.machine,
  };
}

/** A damaged file says nothing: it is written anew. */
function readKept(file: string): Result<Instance | undefined, string> {
  if (!exists(file)) return ok(undefined);
  const bytes = readSecret(file);
  if (!bytes.ok) return bytes;
  try {
    const kept = JSON.parse(Buffer.from(bytes.value).toString("utf8")) as Partial<
      Record<keyof Instance, unknown>
    >;
    const text = (value: unknown): string =>
      typeof value === "string" && value.length <= MAX_LENGTH ? value : "";
    return ok({ smbios: text(kept.smbios), cloud: text(kept.cloud), machine: text(kept.machine) });
  } catch {
    return ok(undefined);
  }
}
