/** How far this process goes before other programs, or after them (setpriority(2), sched(7)). */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { getPriority, setPriority } from "node:os";
import type { Log } from "./log.ts";

const TASKS = "/proc/self/task";
const GROUP = "/proc/self/autogroup";
/** The last nice value that there is. */
const LAST = 19;
/** In /proc/self/stat, behind the name. */
const SESSION = 3;

/** Sets the nice value of this process and says so where that is refused: then it works at the priority that it has. */
export function goAhead(nice: number, log: Log): void {
  const refused = setNice(nice);
  if (refused === undefined) return;
  const now = getPriority();
  log.warn("priority-refused", "packets wait for other programs: the nice value stays as it is", {
    wanted: nice,
    nice: now,
    reason: refused,
    remedy: `allow it (LimitNICE=-20 in a unit, --ulimit nice=40 for a container), or set [network] nice = ${now}`,
  });
}

/**
 * Moves all threads of this process, and those that they start, by as much as the first one must move to have the nice value `nice`:
 * what they are to each other stays.
 * @returns why the kernel refuses it; then nothing has changed
 */
export function setNice(nice: number): string | undefined {
  const move = nice - getPriority();
  if (move === 0) return undefined;
  try {
    setPriority(nice);
  } catch (error) {
    return codeOf(error);
  }
  const moved = new Set([process.pid]);
  // A thread that has not been moved yet may start others: until there is none that is new.
  for (let news = true; news; ) {
    news = false;
    for (const thread of readdirSync(TASKS).map(Number)) {
      if (moved.has(thread)) continue;
      moved.add(thread);
      news = moveThread(thread, move) || news;
    }
  }
  moveSession(nice);
  return undefined;
}

/** False when it has ended. */
function moveThread(thread: number, move: number): boolean {
  try {
    setPriority(thread, Math.min(LAST, getPriority(thread) + move));
    return true;
  } catch {
    return false;
  }
}

/**
 * Where the kernel shares processors out among sessions first, the nice values of threads count within a session only. One that begins
 * with this process is its own.
 */
function moveSession(nice: number): void {
  try {
    const stat = readFileSync("/proc/self/stat", "latin1");
    const session = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[SESSION];
    if (Number(session) === process.pid) writeFileSync(GROUP, `${nice}`);
  } catch {
    // It does not share them out so, or has been asked too often.
  }
}

function codeOf(error: unknown): string {
  const { info } = error as { info?: { code?: string } };
  return info?.code ?? (error as Error).message;
}
