/** What the machine is, and how busy it was: results without this mean nothing. */
import { readFileSync } from "node:fs";
import { arch, availableParallelism, cpus, release, totalmem } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly arch: string;
  readonly node: string;
  readonly openssl: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    arch: arch(),
    node: process.version,
    openssl: process.versions.openssl,
  };
}

const TICKS = 100;

export interface CpuTimes {
  /** Seconds since boot, over all cores. */
  readonly busy: number;
  readonly steal: number;
  readonly total: number;
}

/** Reads /proc/stat. */
export function cpuTimes(): CpuTimes {
  const line = readFileSync("/proc/stat", "utf8").split("\n")[0] ?? "";
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map((text) => Number(text) / TICKS);
  const busy = user + nice + system + irq + soft;
  return { busy, steal, total: busy + idle + wait + steal };
}

/** CPU seconds that a process has used, its threads included. */
export function processSeconds(pid: number): number {
  return cpuSeconds(`/proc/${pid}/stat`);
}

/** CPU seconds that one thread of a process has used. The first thread has the number of the process. */
export function threadSeconds(pid: number, thread: number): number {
  return cpuSeconds(`/proc/${pid}/task/${thread}/stat`);
}

function cpuSeconds(file: string): number {
  const fields = readFileSync(file, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Resident memory of a process, in MB of 1,000,000 bytes. */
export function residentMegabytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return (Number(kib ?? 0) * 1024) / 1e6;
}

/** Processes that want to run, on average over the last minute: what else this machine does. */
export function load(): number {
  return Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0]);
}

/** Whether others keep this machine busy: then absolute figures mean nothing, and ratios little. */
export function isBusy(loadBefore: number, cores = availableParallelism()): boolean {
  return loadBefore > cores / 4;
}

export function busyText(loadBefore: number): string {
  return `noisy: the machine was busy before the benchmarks began (load ${loadBefore.toFixed(2)})`;
}
