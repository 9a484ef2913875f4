/** Debian's Chromium without a window: what it shows, says and asks for when it opens a page. */
import { execFile, execFileSync } from "node:child_process";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { temporaryFolder } from "./runtime.ts";

/** Where it is; undefined: nowhere. */
export function chromium(): string | undefined {
  try {
    return execFileSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).trim() || undefined;
  } catch {
    return undefined;
  }
}

export interface Visit {
  /** The document after its scripts ran, if it has any. */
  readonly dom: string;
  /** What it wrote to its console: errors of scripts, of the policy, of what could not be fetched. */
  readonly console: readonly string[];
  /** Every address that it asked for, through a proxy that sees all of them. */
  readonly requested: readonly string[];
}

export interface VisitOptions {
  /** Pages by their path. */
  readonly pages: Readonly<Record<string, string>>;
  /** A picture of what is seen, as a file. */
  readonly screenshot?: string;
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
}

const HOST = "report.test";
const SECONDS = 40;
/** What the browser asks for on its own account, whatever the page is. */
const OWN = /(^|\.)(google|googleapis|gstatic|googleusercontent|gvt1)\.com(:\d+)?$/;

/** Opens `/` of these pages. */
export async function visit(program: string, options: VisitOptions): Promise<Visit> {
  const requested: string[] = [];
  const proxy = createServer((request, response) => {
    const url = new URL(request.url ?? "/", `http://${HOST}`);
    if (!OWN.test(url.host)) requested.push(url.href);
    const page = url.host === HOST ? options.pages[url.pathname] : undefined;
    response.writeHead(page === undefined ? 404 : 200, { "content-type": "text/html; charset=utf-8" });
    response.end(page ?? "");
  });
  proxy.on("connect", (request: IncomingMessage, socket) => {
    if (!OWN.test(request.url ?? "")) requested.push(`connect ${request.url}`);
    socket.end("HTTP/1.1 502 no\r\n\r\n");
  });
  const port = await listen(proxy);
  try {
    const { stdout, stderr } = await run(program, port, options);
    return {
      dom: stdout,
      console: stderr.split("\n").filter((line) => line.includes(":CONSOLE")),
      requested,
    };
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
}

function run(
  program: string,
  port: number,
  options: VisitOptions,
): Promise<{ stdout: string; stderr: string }> {
  const { width = 1240, height = 1000, screenshot, dark = false } = options;
  const args = [
    "--headless=new",
    // Tests run as root in containers, where its own sandbox cannot be made.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    `--user-data-dir=${join(temporaryFolder(), "profile")}`,
    `--proxy-server=http://127.0.0.1:${port}`,
    "--proxy-bypass-list=<-loopback>",
    `--window-size=${width},${height}`,
    `--blink-settings=preferredColorScheme=${dark ? 0 : 1}`,
    "--virtual-time-budget=5000",
    screenshot === undefined ? "--dump-dom" : `--screenshot=${screenshot}`,
    `http://${HOST}/`,
  ];
  return new Promise((resolve, reject) => {
    const limits = { timeout: SECONDS * 1000, maxBuffer: 64 * 1024 * 1024 };
    execFile(program, args, limits, (error, stdout, stderr) => {
      if (error === null) resolve({ stdout, stderr });
      else reject(new Error(`${error.message}\n${stderr.slice(-2_000)}`));
    });
  });
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}
