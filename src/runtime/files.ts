/** Files that must not be half written, and secrets that nobody else may read. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { err, ok, type Result } from "../core/types.ts";

const ROOT = 0;

const WHY: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is not a directory",
  EEXIST: "it exists already",
  EROFS: "the file system is read-only",
  ENOSPC: "no space is left on the device",
  ELOOP: "it is a symbolic link, or too many of them",
  EADDRINUSE: "the address is in use already",
  EADDRNOTAVAIL: "the address is not one of this machine's",
};

/** An error of the operating system in words, without the name of the call. */
export function whyNot(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (code === undefined ? undefined : WHY[code]) ?? message ?? String(error);
}

/** Whose the files are that root writes into a service's folder: that service's. Undefined: the writer's, as usual. */
function ownerOfFilesIn(folder: string): { readonly uid: number; readonly gid: number } | undefined {
  if (process.geteuid?.() !== ROOT) return undefined;
  const { uid, gid } = statSync(folder);
  return uid === ROOT ? undefined : { uid, gid };
}

/** Writes the whole file or nothing: a temporary file beside it, fsync, rename, fsync of the folder. Throws like node:fs. */
export function writeAtomically(path: string, content: string | Uint8Array, mode: number): void {
  // Renaming over /dev/null or /dev/stdout would take it away from everybody.
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false)
    throw new Error("it is not a regular file, and is not replaced");
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  const descriptor = openSync(temporary, "wx", mode);
  try {
    try {
      fchmodSync(descriptor, mode);
      const owner = ownerOfFilesIn(dirname(path));
      if (owner !== undefined) fchownSync(descriptor, owner.uid, owner.gid);
      const bytes = typeof content === "string" ? Buffer.from(content) : content;
      for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    try {
      unlinkSync(temporary);
    } catch {}
    throw error;
  }
  syncDirectory(dirname(path));
}

/** As `writeAtomically`, without holding up the thread while the disk works. */
export async function writeAtomicallyLater(path: string, content: string, mode: number): Promise<void> {
  const temporary = await writeBeside(path, content, mode);
  try {
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The first half of it: the content is on the disk, in a file beside `path` whose name is given. */
export async function writeBeside(path: string, content: string, mode: number): Promise<string> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx", mode);
    try {
      await file.chmod(mode);
      const owner = ownerOfFilesIn(dirname(path));
      if (owner !== undefined) await file.chown(owner.uid, owner.gid);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    return temporary;
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}

/** Makes a rename or a removal in this folder durable. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Makes a folder for private files (0700) where there is none; one that exists is left as it is. */
export function ensurePrivateDirectory(path: string): void {
  const first = mkdirSync(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  const owner = ownerOfFilesIn(dirname(first));
  if (owner === undefined) return;
  for (let made = path; ; made = dirname(made)) {
    giveFolder(made, owner);
    if (made === first || made === dirname(made)) return;
  }
}

/** Whoever owns the folder around it may have put a link in its place: nothing behind one changes its owner. */
export function giveFolder(path: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    fchownSync(descriptor, uid, gid);
  } finally {
    closeSync(descriptor);
  }
}

/** A text in a folder that another user may write to: no link is followed, so that its owner cannot have us read what only we may. */
export function readUnlinked(path: string): Buffer {
  return readFileSync(path, { flag: constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK });
}

const MAX_SECRET_BYTES = 64 * 1024;

/** Rights of others than the owner. A credential's folder keeps others out, and its access list shows as rights of the group. */
const OTHERS = { file: 0o077, credential: 0o037 } as const;

/** Reads a file that only its owner may read. The error says why it was refused and how to mend it. */
export function readSecret(path: string, kind: "file" | "credential" = "file"): Result<Uint8Array, string> {
  let descriptor: number;
  try {
    // A pipe in its place would let us wait for ever.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return err(`${path}: cannot be read: ${whyNot(error)}`);
  }
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) return err(`${path}: is not a regular file`);
    if ((stat.mode & OTHERS[kind]) !== 0) {
      const mode = (stat.mode & 0o7777).toString(8).padStart(4, "0");
      return err(
        `${path}: other users have access to this private key (mode ${mode}); run: chmod 600 ${path}`,
      );
    }
    const user = process.geteuid?.();
    if (
      user !== undefined &&
      stat.uid !== user &&
      stat.uid !== ROOT &&
      !(user === ROOT && atHome(path, stat.uid))
    ) {
      return err(
        `${path}: belongs to user ${stat.uid}, not to us (${user}) or root; run: chown ${user} ${path}`,
      );
    }
    if (stat.size > MAX_SECRET_BYTES)
      return err(`${path}: has ${stat.size} bytes, too many for a private key`);
    const bytes = new Uint8Array(stat.size);
    let length = 0;
    while (length < bytes.length) {
      const read = readSync(descriptor, bytes, length, bytes.length - length, null);
      if (read === 0) break;
      length += read;
    }
    return ok(bytes.subarray(0, length));
  } catch (error) {
    return err(`${path}: cannot be read: ${whyNot(error)}`);
  } finally {
    closeSync(descriptor);
  }
}

/** Whether a file's owner is that of its folder, where nobody else may put files: root believes what a service keeps there. */
function atHome(path: string, owner: number): boolean {
  const folder = statSync(dirname(path));
  return folder.uid === owner && (folder.mode & 0o022) === 0;
}

export function exists(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

/** The numeric ID of a group of /etc/group, by name or number. */
export function groupId(name: string): Result<number, string> {
  if (/^[0-9]+$/.test(name)) return ok(Number(name));
  let table: string;
  try {
    table = readFileSync("/etc/group", "utf8");
  } catch (error) {
    return err(`/etc/group: cannot be read: ${whyNot(error)}`);
  }
  for (const line of table.split("\n")) {
    const [group, , id] = line.split(":");
    if (group === name && id !== undefined) return ok(Number(id));
  }
  return err(`there is no group "${name}" in /etc/group; run: groupadd --system ${name}`);
}
