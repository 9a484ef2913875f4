/** systemd-resolved: names of the overlay's domain, and its reverse zones, are asked of hipd on its own interface, and nothing else is. */
import { execFile } from "node:child_process";
import { existsSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "../../core/types.ts";

const RUN_MILLIS = 5_000;
const MAX_OUTPUT = 256 * 1024;

export interface LinkNames {
  readonly interface: string;
  readonly host: string;
  readonly port: number;
  /** The domain and the reverse zones. */
  readonly zones: readonly string[];
}

/** Runs a program; the error is what it said. Tests put something else in its place. */
export type Run = (program: string, ...args: readonly string[]) => Promise<Result<string, string>>;

export const RUN: Run = (program, ...args) =>
  new Promise((resolve) => {
    const options = { timeout: RUN_MILLIS, maxBuffer: MAX_OUTPUT, encoding: "utf8" } as const;
    const child = execFile(program, [...args], options, (error, out, complaint) => {
      if (error === null) resolve(ok(out));
      else resolve(err(complaint.trim().split("\n")[0] || error.message.split("\n")[0] || "it failed"));
    });
    child.stdin?.end();
  });

/** Undefined: it runs. */
export async function whyNoResolved(run: Run = RUN): Promise<string | undefined> {
  const active = await run("systemctl", "is-active", "systemd-resolved.service");
  return active.ok ? undefined : "systemd-resolved is not running";
}

/**
 * Why our interface may not be named to the system's services; undefined: it may. In another network namespace the same number
 * is another interface, and the machine would lose its resolver.
 */
export function whyNotOurs(): string | undefined {
  try {
    if (readlinkSync("/proc/self/ns/net") === readlinkSync("/proc/1/ns/net")) return undefined;
    return "this is another network namespace than that of the system's services";
  } catch {
    return "only root can see whether this is the network namespace of the system's services";
  }
}

/**
 * Why root may not tell systemd-resolved what a daemon without its rights asks for; undefined: it may. The resolver of other
 * interfaces, and of all names, is none of the daemon's business.
 */
export function whyNotTunnel(
  { interface: name, zones }: LinkNames,
  root = "/sys/class/net",
): string | undefined {
  if (!INTERFACE.test(name) || !existsSync(join(root, name, "tun_flags")))
    return `${JSON.stringify(name)} is not a TUN interface of this machine`;
  const strange = zones.find((zone) => !ZONE.test(zone));
  return strange === undefined ? undefined : `${JSON.stringify(strange)} is not a domain`;
}

const INTERFACE = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/;
const ZONE = /^[a-z0-9-]+(\.[a-z0-9-]+)*$/;

/** The commands of resolvectl(1). The domain is not signed, so DNSSEC must not be asked for there. */
export function resolvectlCommands(link: LinkNames): readonly (readonly string[])[] {
  const { interface: name, zones } = link;
  return [
    ["dns", name, serverText(link)],
    ["domain", name, ...zones.map((zone) => `~${zone}`)],
    ["default-route", name, "false"],
    ["dnssec", name, "no"],
    ["dnsovertls", name, "no"],
    ["llmnr", name, "no"],
    ["mdns", name, "no"],
  ];
}

export function serverText({ host, port }: Pick<LinkNames, "host" | "port">): string {
  if (port === 53) return host;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** All or nothing. systemd-resolved lets root do it, and whom polkit allows; capabilities do not count. */
export async function applyResolved(link: LinkNames, run: Run = RUN): Promise<Result<undefined, string>> {
  for (const command of resolvectlCommands(link)) {
    const done = await run("resolvectl", ...command);
    if (done.ok) continue;
    await run("resolvectl", "revert", link.interface);
    return err(`resolvectl ${command.slice(0, 2).join(" ")}: ${done.error}`);
  }
  return ok(undefined);
}

export function revertResolved(name: string, run: Run = RUN): Promise<Result<string, string>> {
  return run("resolvectl", "revert", name);
}

/** Whether systemd-resolved asks us now, as it says itself. */
export async function isApplied(link: LinkNames, run: Run = RUN): Promise<boolean> {
  const [dns, domain] = await Promise.all([
    run("resolvectl", "dns", link.interface),
    run("resolvectl", "domain", link.interface),
  ]);
  const [zone = ""] = link.zones;
  return dns.ok && domain.ok && words(dns.value).has(serverText(link)) && words(domain.value).has(`~${zone}`);
}

/** `Link 3 (hip0): 198.18.1.2:10553` */
function words(line: string): ReadonlySet<string> {
  return new Set(line.replace(/^[^)]*\):/, "").split(/\s+/));
}
