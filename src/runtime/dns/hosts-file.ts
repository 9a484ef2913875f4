/** A block of our own in /etc/hosts, between two marks; every other byte of the file stays as it is. */
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  writeSync,
} from "node:fs";
import { err, ok, type Result } from "../../core/types.ts";
import { whyNot, writeAtomically } from "../files.ts";

export const HOSTS_FILE = "/etc/hosts";

/** Names that are written; more belong into DNS. */
export const MAX_HOSTS_NAMES = 2_000;
const MAX_FILE_BYTES = 16 * 1024 * 1024;

export interface HostLine {
  readonly address: string;
  readonly name: string;
}

function marks(owner: string): { readonly begin: string; readonly end: string } {
  return { begin: `# BEGIN hipd ${owner}`, end: `# END hipd ${owner}` };
}

/**
 * The text with the block of `owner` (an interface) holding these lines, or without it when there are none. A block whose end
 * is missing ends with its last line that looks like ours.
 */
export function withBlock(text: string, owner: string, entries: readonly HostLine[]): string {
  const { begin, end } = marks(owner);
  const lines = text.split("\n");
  const from = lines.indexOf(begin);
  let kept = text;
  let place = -1;
  if (from >= 0) {
    const close = lines.indexOf(end, from);
    let after = close + 1;
    if (close < 0) {
      after = from + 1;
      while (OURS.test(lines[after] ?? "")) after++;
    }
    kept = [...lines.slice(0, from), ...lines.slice(after)].join("\n");
    place = from;
  }
  if (entries.length === 0) return kept;
  const block = [begin, NOTE, ...entries.map(({ address, name }) => `${address}\t${name}`), end];
  if (place >= 0) {
    const rest = kept.split("\n");
    return [...rest.slice(0, place), ...block, ...rest.slice(place)].join("\n");
  }
  const gap = kept === "" || kept.endsWith("\n") ? "" : "\n";
  return `${kept}${gap}${block.join("\n")}\n`;
}

const NOTE = "# Written by hipd, which also removes it: hipctl dns off";
const OURS = /^(# Written by hipd|[0-9a-f.:]+\t[a-z0-9.-]+$)/;

/** Writes only what differs. The file keeps its mode; a symbolic link is followed. True: it was changed. */
export function writeHostsBlock(
  file: string,
  owner: string,
  entries: readonly HostLine[],
): Result<boolean, string> {
  const foreign = entries.find(({ address, name }) => !OURS.test(`${address}\t${name}`));
  if (foreign !== undefined)
    return err(`${JSON.stringify(foreign)} is no line for ${file}, which is not changed`);
  if (/\s/.test(owner)) return err(`${JSON.stringify(owner)} is not the name of an interface`);
  try {
    const real = realpathSync(file);
    const { mode, size } = statSync(real);
    if (size > MAX_FILE_BYTES)
      return err(`${file}: it has ${size} bytes; at most ${MAX_FILE_BYTES} are read`);
    const before = readFileSync(real, "latin1");
    const after = withBlock(before, owner, entries.slice(0, MAX_HOSTS_NAMES * 2));
    if (after === before) return ok(false);
    replace(real, Buffer.from(after, "latin1"), mode & 0o7777);
    return ok(true);
  } catch (error) {
    if (entries.length === 0 && (error as NodeJS.ErrnoException).code === "ENOENT") return ok(false);
    return err(`${file}: cannot be changed: ${whyNot(error)}`);
  }
}

/** A mount of its own (containers, ReadWritePaths=/etc/hosts) cannot be replaced, and not everybody may make files beside it. */
const NOT_REPLACED = ["EBUSY", "EROFS", "EACCES", "EPERM"];

function replace(file: string, content: Uint8Array, mode: number): void {
  try {
    writeAtomically(file, content, mode);
  } catch (error) {
    if (!NOT_REPLACED.includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    overwrite(file, content);
  }
}

/** Never empty on the way: what comes behind the new contents is cut off last. */
function overwrite(file: string, content: Uint8Array): void {
  const descriptor = openSync(file, "r+");
  try {
    for (let at = 0; at < content.length; ) at += writeSync(descriptor, content, at, content.length - at, at);
    ftruncateSync(descriptor, content.length);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
