/** How far this process goes before other programs, or after them (setpriority(2), sched(7)). */
import { openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { constants, getPriority, setPriority } from "node:os";
import type { Log } from "./log.ts";

const TASKS = "/proc/self/task";
const GROUP = "/proc/self/autogroup";
/** The last nice value that there is. */
const { PRIORITY_LOW: LAST } = constants.priority;
/** In /proc/self/stat, behind the name. */
const SESSION = 3;
/** The kernel lets one process in 100 ms move its session, and answers EAGAIN to the others. */
const AGAIN_MILLIS = 150;
const AGAIN_TIMES = 10;

/** What a thread would have where that is beyond the last one, so that it finds its place among the others again. */
const beyond = new Map<number, number>();
let session: number | undefined;
let wanted = 0;

/**
 * Opens what moves this process's session. To be called before the process may not be dumped any more: then the file is root's.
 * Whoever does not begin a session has none to move.
 */
export function keepSession(): void {
  try {
    const stat = readFileSync("/proc/self/stat", "latin1");
    const leader = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[SESSION];
    if (Number(leader) === process.pid) session = openSync(GROUP, "w");
  } catch {
    // This kernel does not share processors out among sessions.
  }
}

/** Sets the nice value of this process and says so where that is refused: then it works at the priority that it has. */
export function goAhead(nice: number, log: Log): void {
  const refused = setNice(nice);
  if (refused === undefined) return;
  const now = getPriority();
  log.warn("priority-refused", "the nice value stays as it is, not as configured", {
    wanted: nice,
    nice: now,
    reason: refused,
    remedy: `restart hipd; or allow it (LimitNICE=-20 in a unit, --ulimit nice=40 for a container); or set [network] nice = ${now}`,
  });
}

/**
 * Moves all threads of this process, and those that they start, by as much as the first one must move to have the nice value `nice`:
 * what they are to each other stays. Where the kernel shares processors out among sessions first (autogroups), nice values of threads
 * count within a session only: one that `keepSession` found gets the value, too.
 * @returns why the kernel refuses it; then nothing has changed
 */
export function setNice(nice: number): string | undefined {
  const move = nice - getPriority();
  try {
    setPriority(nice);
  } catch (error) {
    return codeOf(error);
  }
  const moved = new Set([process.pid]);
  // A thread that has not been moved yet may start others: until there is none that is new.
  for (let news = move !== 0; news; ) {
    news = false;
    for (const thread of readdirSync(TASKS).map(Number)) {
      if (moved.has(thread)) continue;
      moved.add(thread);
      news = moveThread(thread, move) || news;
    }
  }
  wanted = nice;
  moveSession(AGAIN_TIMES);
  return undefined;
}

/** False when it has ended. */
function moveThread(thread: number, move: number): boolean {
  try {
    const nice = (beyond.get(thread) ?? getPriority(thread)) + move;
    if (nice > LAST) beyond.set(thread, nice);
    else beyond.delete(thread);
    setPriority(thread, Math.min(LAST, nice));
    return true;
  } catch {
    return false;
  }
}

/** A session that cannot be moved costs what a refused nice value would: the threads have theirs all the same. */
function moveSession(times: number): void {
  if (session === undefined) return;
  try {
    writeSync(session, `${wanted}`);
  } catch (error) {
    if (codeOf(error) !== "EAGAIN" || times === 0) return;
    setTimeout(() => moveSession(times - 1), AGAIN_MILLIS).unref();
  }
}

function codeOf(error: unknown): string {
  const { code, info } = error as { code?: string; info?: { code?: string } };
  return info?.code ?? code ?? (error as Error).message;
}
