/** Gathers all facts. Nothing is changed, and nothing is sent to anybody but the local hipd and resolver. */
import { readFileSync, statSync } from "node:fs";
import { arch } from "node:os";
import { fileURLToPath } from "node:url";
import { detectCloud } from "../../runtime/metadata/dmi.ts";
import { packageVersion } from "../../runtime/version.ts";
import type { Facts, MachineFacts } from "./facts.ts";
import { gatherConfig } from "./gather-config.ts";
import { askDaemon } from "./gather-daemon.ts";
import { gatherClock, gatherFilters, gatherNames, gatherNetwork, gatherUnit } from "./gather-system.ts";
import { hipdProcesses, openable, osName, ownRights, socketsOn } from "./proc.ts";

export interface Where {
  readonly config: string;
  /** Undefined: the one of the configuration. */
  readonly socket: string | undefined;
  readonly now: number;
  readonly progress?: ((text: string) => void) | undefined;
  readonly sampleMillis?: number;
}

export async function gather({ config: file, socket, now, progress, sampleMillis }: Where): Promise<Facts> {
  progress?.("looking at the configuration ...");
  const processes = hipdProcesses();
  const {
    facts: config,
    files,
    disk,
  } = gatherConfig(
    file,
    processes.map(({ uid }) => uid),
  );
  const plan = { ...config.plan, socket: socket ?? config.plan.socket };
  progress?.("asking hipd and the system ...");
  const [answers, unit, filters, clock] = await Promise.all([
    askDaemon(plan.socket, sampleMillis),
    gatherUnit(plan.file),
    gatherFilters(),
    gatherClock(),
  ]);
  const port = answers.ok ? answers.value.status.self.port : plan.port;
  const names = answers.ok ? await gatherNames(answers.value) : undefined;
  progress?.("");
  return {
    machine: machine(now, clock),
    config: { ...config, plan },
    files,
    disk,
    daemon: { answers, processes },
    hipctl: packageVersion(),
    unit,
    network: gatherNetwork(),
    sockets: socketsOn(port),
    filters,
    cloud: detectCloud(),
    names,
  };
}

function machine(now: number, clock: MachineFacts["clock"]): MachineFacts {
  const tun = statOf("/dev/net/tun");
  return {
    now,
    builtAt: statOf(fileURLToPath(import.meta.url))?.mtimeMs,
    ...ownRights(),
    kernel: kernelRelease(),
    machine: arch() === "x64" ? "x86_64" : arch(),
    os: osName(),
    tun: { exists: tun !== undefined, openable: openable("/dev/net/tun") },
    clock,
  };
}

function statOf(path: string): { readonly mtimeMs: number } | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function kernelRelease(): string {
  try {
    return readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  } catch {
    return "unknown";
  }
}
