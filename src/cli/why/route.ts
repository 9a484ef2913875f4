/** Where the kernel would send a packet: `ip route get`. */
import { execFile } from "node:child_process";
import { canonicalIp } from "../../core/ip.ts";
import { err, ok, type Result } from "../../core/types.ts";

export interface Route {
  readonly device: string;
  /** The source that an application gets that does not choose one; null: none is preferred. */
  readonly source: string | null;
  /** "unicast", "unreachable", "local", ... */
  readonly type: string;
}

export interface RouteError {
  /** "none": the kernel says that there is no route. "unknown": it could not be asked. */
  readonly kind: "none" | "unknown";
  readonly text: string;
}

const MILLIS = 2_000;

export function routeTo(address: string): Promise<Result<Route, RouteError>> {
  const family = address.includes(":") ? "-6" : "-4";
  const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`;
  return new Promise((resolve) => {
    execFile(
      "ip",
      ["-j", family, "route", "get", address],
      { timeout: MILLIS, env: { ...process.env, PATH: path } },
      (error, stdout, stderr) => resolve(routeAnswer(error, stdout, stderr)),
    );
  });
}

/** What `ip` printed, and how it ended. */
export function routeAnswer(
  error: { readonly code?: string | number | null } | null,
  stdout: string,
  stderr: string,
): Result<Route, RouteError> {
  if (error !== null) {
    const said = stderr.trim().split("\n")[0] ?? "";
    if (error.code === "ENOENT")
      return err({ kind: "unknown", text: 'there is no program "ip" (package iproute2)' });
    const refused = /RTNETLINK answers: (.*)/.exec(said);
    if (refused !== null) return err({ kind: "none", text: refused[1] as string });
    return err({ kind: "unknown", text: said === "" ? "ip route get did not answer" : said });
  }
  try {
    const [row] = JSON.parse(stdout) as { dev?: unknown; prefsrc?: unknown; type?: unknown }[];
    if (row === undefined) return err({ kind: "none", text: "ip route get shows none" });
    const type = typeof row.type === "string" ? row.type : "unicast";
    if (type === "unreachable" || type === "prohibit" || type === "blackhole")
      return err({ kind: "none", text: type });
    const source = typeof row.prefsrc === "string" ? (canonicalIp(row.prefsrc) ?? row.prefsrc) : null;
    return ok({ device: typeof row.dev === "string" ? row.dev : "", source, type });
  } catch {
    return err({ kind: "unknown", text: "ip route get answers in a form that is not understood" });
  }
}
