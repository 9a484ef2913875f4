/** What /proc and /sys tell: processes, sockets, rights. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { formatIp } from "../../core/ip.ts";
import { err, ok, type Result } from "../../core/types.ts";
import { whyNot } from "../../runtime/files.ts";
import type { BoundSocket, HipdProcess, Process } from "./facts.ts";

/** Of linux/capability.h, as far as they matter here. */
const CAPABILITIES: readonly (readonly [bit: number, name: string])[] = [
  [0, "chown"],
  [12, "net_admin"],
  [13, "net_raw"],
  [10, "net_bind_service"],
  [21, "sys_admin"],
];

export function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** The lines "Uid:" and "CapEff:" of /proc/PID/status. */
export function parseStatus(text: string): {
  readonly uid: number;
  readonly capabilities: readonly string[];
} {
  const uid = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(text)?.[1] ?? 0);
  const mask = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(text)?.[1] ?? "0"}`);
  const capabilities = CAPABILITIES.filter(([bit]) => ((mask >> BigInt(bit)) & 1n) === 1n).map(
    ([, name]) => name,
  );
  return { uid, capabilities };
}

export function ownRights(): { readonly uid: number; readonly capabilities: readonly string[] } {
  return parseStatus(read("/proc/self/status") ?? "");
}

function pids(): readonly number[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^[0-9]+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function commandLine(pid: number): readonly string[] {
  return (read(`/proc/${pid}/cmdline`) ?? "").split("\0").filter((word) => word !== "");
}

const INTERPRETER = /(^|\/)(node|sh|dash|bash|python3?|perl|ruby|java)$/;
/** What hipd does before it ends at once. */
const ONLY_ONCE: ReadonlySet<string> = new Set(["--check", "--guard", "--teardown", "--version", "--help"]);

/** Whether a command line is that of the daemon, however it was started. */
export function isHipd(words: readonly string[]): boolean {
  const at = words.findIndex((word, i) => i > 0 && !word.startsWith("-"));
  const program = INTERPRETER.test(words[0] ?? "") ? words[at] : words[0];
  return /(^|\/)(hipd-main\.js|hipd)$/.test(program ?? "") && !words.some((word) => ONLY_ONCE.has(word));
}

function processName(pid: number): string {
  const words = commandLine(pid);
  const [program = ""] = words;
  // What an interpreter runs says more than the interpreter.
  const first = words.slice(1).find((word) => !word.startsWith("-"));
  if (INTERPRETER.test(program) && first !== undefined) return first;
  return program || (read(`/proc/${pid}/comm`) ?? "").trim() || "?";
}

export function hipdProcesses(): readonly HipdProcess[] {
  const mine = namespaceOf("self");
  return pids().flatMap((pid): HipdProcess[] => {
    if (!isHipd(commandLine(pid))) return [];
    const status = read(`/proc/${pid}/status`);
    if (status === undefined) return [];
    const theirs = namespaceOf(pid);
    return [{ pid, name: "hipd", ...parseStatus(status), here: theirs === undefined || theirs === mine }];
  });
}

function namespaceOf(pid: number | "self"): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** /proc/net/udp and udp6: local addresses and inodes of the sockets on a port. */
export function parseUdp(
  text: string,
  port: number,
): readonly { readonly address: string; readonly inode: string }[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const words = line.trim().split(/\s+/);
      const [address = "", at = ""] = (words[1] ?? "").split(":");
      if (words.length < 10 || Number.parseInt(at, 16) !== port) return [];
      return [{ address: procAddress(address), inode: words[9] as string }];
    });
}

/** Four bytes at a time in the machine's order; all machines that hipd runs on have the low byte first. */
function procAddress(hex: string): string {
  const bytes = new Uint8Array(hex.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    const at = (i & ~3) + (3 - (i & 3));
    bytes[at] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  }
  return bytes.length === 4 || bytes.length === 16 ? formatIp(bytes) : hex;
}

export function socketsOn(port: number): readonly BoundSocket[] {
  const rows = ["udp", "udp6"].flatMap((file) => parseUdp(read(`/proc/self/net/${file}`) ?? "", port));
  if (rows.length === 0) return [];
  const owners = ownersOf(new Set(rows.map(({ inode }) => inode)));
  return rows.map(({ address, inode }) => ({ address, owner: owners.get(inode) }));
}

function ownersOf(inodes: ReadonlySet<string>): ReadonlyMap<string, Process> {
  const owners = new Map<string, Process>();
  for (const pid of pids()) {
    let names: string[];
    try {
      names = readdirSync(`/proc/${pid}/fd`);
    } catch {
      continue;
    }
    for (const name of names) {
      let target: string;
      try {
        target = readlinkSync(join("/proc", String(pid), "fd", name));
      } catch {
        continue;
      }
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode !== undefined && inodes.has(inode)) owners.set(inode, { pid, name: processName(pid) });
    }
    if (owners.size === inodes.size) break;
  }
  return owners;
}

/** Opening makes no interface yet. */
export function openable(device: string): Result<undefined, string> {
  try {
    closeSync(openSync(device, "r+"));
    return ok(undefined);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return err(code === "ENODEV" || code === "ENXIO" ? "the kernel has no TUN driver" : whyNot(error));
  }
}

export function osName(): string {
  return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(read("/etc/os-release") ?? "")?.[1] ?? "";
}
