/** What must not be in an image that other machines are made of: keys, state, and what ties both to one machine. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { err, ok, type Result } from "../core/types.ts";
import type { DaemonConfig } from "./config-file.ts";
import { isCredentialPath } from "./credentials.ts";
import { syncDirectory, whyNot } from "./files.ts";

export interface Leftover {
  readonly file: string;
  readonly what: string;
  /** Its bytes are overwritten before it is deleted. */
  readonly secret: boolean;
}

const STATE_FILES: readonly (readonly [name: string, what: string])[] = [
  ["state.json", "LSIs and where peers were"],
  ["r1-counter", "counter of R1s"],
  ["instance.json", "which machine this was"],
  ["inventory.json", "which inventories were imported"],
];

/** Copies that hipd has set aside (`identity.pem.before-...`), and files that it had no time to rename (`.state.json.....tmp`). */
function belongsTo(entry: string, name: string): boolean {
  return (
    entry === name ||
    entry.startsWith(`${name}.`) ||
    (entry.startsWith(`.${name}.`) && entry.endsWith(".tmp"))
  );
}

/** Everything that is there to delete; with `peers` the peers that were added with --keep, too. Changes nothing. */
export function leftovers(
  config: DaemonConfig,
  peers: boolean,
): Result<readonly Leftover[], readonly string[]> {
  const found = new Map<string, Leftover>();
  const problems: string[] = [];
  const take = (folder: string, what: string, secret: boolean, fits: (entry: string) => boolean): void => {
    if (isForeignLink(folder)) {
      problems.push(
        `${folder}: is a symbolic link that root did not make; look where it points to, and remove it`,
      );
      return;
    }
    for (const entry of entries(folder, problems).filter(fits)) {
      const file = join(folder, entry);
      const kind = lstatSync(file);
      if (secret && kind.isSymbolicLink())
        problems.push(`${file}: is a symbolic link; remove the key that it points to, and the link`);
      else if (!kind.isDirectory() && !found.has(file)) found.set(file, { file, what, secret });
    }
  };
  const { key, extra, directory } = config.identity;
  // What the service manager hands over is in memory; where it comes from is for others to say.
  for (const each of [key, ...extra].filter((path) => !isCredentialPath(path)))
    take(dirname(each), "private key", true, (entry) => belongsTo(entry, basename(each)));
  take(directory, "private key", true, (entry) => /\.pem(\.|$)/.test(entry));
  take(directory, "choice of the default identity", false, (entry) => belongsTo(entry, "default"));
  for (const [name, what] of STATE_FILES)
    take(config.stateDirectory, what, false, (entry) => belongsTo(entry, name));
  take(dirname(config.file), "this host's inventory", false, (entry) => entry === "self.json");
  if (peers) take(config.peersDirectory, "peer", false, (entry) => /\.toml(\.|$)/.test(entry));
  return problems.length > 0 ? err(problems) : ok([...found.values()]);
}

/** What root deletes must not be chosen by the service's user. */
function isForeignLink(folder: string): boolean {
  const kind = lstatSync(folder, { throwIfNoEntry: false });
  return process.geteuid?.() === 0 && kind !== undefined && kind.isSymbolicLink() && kind.uid !== 0;
}

function entries(folder: string, problems: string[]): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      problems.push(`${folder}: cannot be read: ${whyNot(error)}`);
    return [];
  }
}

/** Deletes; gives what was deleted and what was not. A folder of keys that is empty then goes, too. */
export function removeLeftovers(
  list: readonly Leftover[],
  identityDirectory: string,
): { readonly removed: readonly Leftover[]; readonly problems: readonly string[] } {
  const removed: Leftover[] = [];
  const problems: string[] = [];
  for (const each of list) {
    try {
      if (each.secret) overwrite(each.file);
      unlinkSync(each.file);
      removed.push(each);
    } catch (error) {
      problems.push(`${each.file}: cannot be deleted: ${whyNot(error)}`);
    }
  }
  for (const folder of new Set(removed.map(({ file }) => dirname(file)))) syncDirectory(folder);
  try {
    rmdirSync(identityDirectory);
  } catch {
    // It is not there, or something else is in it.
  }
  return { removed, problems };
}

const ZEROS = new Uint8Array(4096);

/** A snapshot of a disk holds its free blocks, too. In place, so that it is these blocks: most file systems write over them. */
function overwrite(file: string): void {
  // Its folder may belong to another user, who could put a link to any file in its place.
  const descriptor = openSync(file, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const kind = fstatSync(descriptor);
    if (!kind.isFile()) return;
    let left = kind.size;
    for (let at = 0; left > 0; ) {
      const written = writeSync(descriptor, ZEROS, 0, Math.min(left, ZEROS.length), at);
      at += written;
      left -= written;
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
