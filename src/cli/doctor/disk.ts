/** Configuration, keys, folders and the disk that they are on. */

import { bytes } from "../output.ts";
import type { Finding } from "../verdict.ts";
import type { ConfigFacts, DaemonFacts, DiskFacts, FileFacts, Known, MachineFacts } from "./facts.ts";
import { AS_ROOT, say, some } from "./say.ts";

/** Messages beyond these say no more. */
const MAX_SHOWN = 20;

export function checkConfiguration({ plan, problems, unreadable }: ConfigFacts): readonly Finding[] {
  const { ok, problem, notChecked } = say("configuration");
  if (unreadable !== undefined) return [notChecked(unreadable, AS_ROOT)];
  if (problems.length === 0) {
    const peers = `${plan.peers} peer${plan.peers === 1 ? "" : "s"}`;
    return [ok(`${plan.file} is valid, ${peers}`)];
  }
  const shown = problems.slice(0, MAX_SHOWN);
  const more = problems.length - shown.length;
  const absent = problems[0]?.startsWith(`${plan.file}: cannot be read: no such file`) === true;
  const remedy = absent
    ? "make one, as hipd.toml(5) shows, or say where it is: --config FILE"
    : `correct it, then: hipd --check --config ${plan.file}`;
  return shown.map((text, i) => {
    const last = i === shown.length - 1;
    return problem(last && more > 0 ? `${text} (and ${more} more)` : text, last ? remedy : undefined);
  });
}

/** Nobody but the owner may read a key, and nobody else may put one there. */
export function checkFiles(
  files: readonly FileFacts[],
  { uid }: MachineFacts,
  { processes }: DaemonFacts,
): readonly Finding[] {
  const { ok, warning, problem, notChecked } = say("files");
  const users = usersOf(files, processes);
  const findings: Finding[] = [];
  const good: string[] = [];
  for (const { path, role, found } of files) {
    if (!found.ok) {
      const text = `${path}: ${found.error}`;
      findings.push(uid === 0 ? problem(text) : notChecked(text, AS_ROOT));
      continue;
    }
    if (found.value === undefined) continue;
    const { mode, uid: owner } = found.value;
    const octal = (mode & 0o7777).toString(8).padStart(4, "0");
    if (role === "key" && (mode & 0o077) !== 0) {
      const text = `${path} has mode ${octal}: other users have access to this private key, so hipd refuses it`;
      findings.push(problem(text, `chmod 600 ${path}`));
    } else if (role === "keys" && (mode & 0o022) !== 0) {
      const text = `${path} has mode ${octal}: other users may add keys, so hipd refuses it`;
      findings.push(problem(text, `chmod 700 ${path}`));
    } else if (role === "peers" && (mode & 0o022) !== 0) {
      const text = `${path} has mode ${octal}: other users may add peers`;
      findings.push(problem(text, `chmod go-w ${path}`));
    } else if ((role === "state" || role === "keys") && (mode & 0o077) !== 0) {
      const text = `${path} has mode ${octal}: other users may look into it`;
      findings.push(warning(text, `chmod 700 ${path}`));
    } else if (role === "key" && users.length > 0 && !users.includes(owner)) {
      const text = `${path} belongs to user ${owner}, but hipd runs as user ${users[0]}`;
      findings.push(problem(text, `chown ${users[0]} ${path}`));
    } else good.push(path);
  }
  if (good.length > 0) findings.unshift(ok(`modes and owners are right: ${some(good)}`));
  if (findings.length === 0) findings.push(ok("no key yet: hipd makes one on its first start"));
  return findings;
}

/** Whom hipd runs as; when it does not run, whom the state directory belongs to. */
function usersOf(files: readonly FileFacts[], processes: DaemonFacts["processes"]): readonly number[] {
  const running = processes.filter(({ here }) => here).map(({ uid }) => uid);
  if (running.length > 0) return running;
  const state = files.find(({ role }) => role === "state")?.found;
  return state?.ok === true && state.value !== undefined ? [state.value.uid] : [];
}

/** The state file is written as a whole, so that twice its size must fit; below this something is going wrong anyhow. */
const LEAST_BYTES = 16 * 1024 * 1024;
const LEAST_FILES = 64;

export function checkDisk(disk: Known<DiskFacts>, { uid }: MachineFacts): readonly Finding[] {
  const { ok, warning, problem, notChecked } = say("state");
  if (!disk.ok) return [uid === 0 ? problem(disk.error) : notChecked(disk.error, AS_ROOT)];
  const { path, writable, freeBytes, totalBytes, freeFiles } = disk.value;
  if (!writable.ok) {
    const text = `${path} cannot be written: ${writable.error}`;
    if (uid !== 0 && /permission|permitted/.test(writable.error)) return [notChecked(text, AS_ROOT)];
    const remedy = /read-only/.test(writable.error)
      ? "mount it for writing, or set [state] directory to another place"
      : `install -d -m 700 ${path}, of the user that hipd runs as`;
    return [problem(`${text}: LSIs of peers would not be kept`, remedy)];
  }
  const free = `${bytes(freeBytes)} of ${bytes(totalBytes)} are free`;
  if (freeBytes === 0 || freeFiles === 0) {
    const what = freeBytes === 0 ? "no space" : "no room for another file";
    return [
      problem(`${path}: ${what} is left on its file system`, `free some; see: df -h ${path}; df -i ${path}`),
    ];
  }
  if (freeBytes < LEAST_BYTES || freeFiles < LEAST_FILES) {
    return [warning(`${path} is nearly full: ${free}`, `free some; see: df -h ${path}`)];
  }
  return [ok(`${path} can be written, ${free}`)];
}
