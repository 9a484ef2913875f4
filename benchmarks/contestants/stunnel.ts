/** TLS 1.3 through stunnel at both ends: what an unchanged application uses today. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Background } from "../../tools/lab/shell.ts";
import { makeCertificate } from "../programs.ts";
import type { End, Site } from "../site.ts";
import { type Contestant, firstVersion, lacks, plainStream, type Running } from "./contestant.ts";
import { installed } from "./tunnel.ts";

const CONNECT = 7900;

export const stunnel: Contestant = {
  name: "stunnel",
  what: "an unchanged application through stunnel at both ends, TLS 1.3 AES-128-GCM, certificates of both sides",
  carries: "streams",
  packages: ["stunnel4"],
  missing: () => lacks("stunnel"),
  version: () => firstVersion("stunnel", "-version"),
  start,
};

async function start(site: Site): Promise<Running> {
  const certificates = {
    client: await makeCertificate(site.client.folder, "client"),
    server: await makeCertificate(site.server.folder, "server"),
  };
  const open: Background[] = [];
  const launch = async (end: End, accept: string, connect: string): Promise<Background> => {
    const [own, other] = [certificates[end.side], certificates[end.side === "client" ? "server" : "client"]];
    const file = join(end.folder, `stunnel-${accept.replace(/\W/g, "-")}.conf`);
    const lines = [
      ...["foreground = yes", "pid =", "debug = 5", "syslog = no", "[bench]"],
      `client = ${end.side === "client" ? "yes" : "no"}`,
      ...[`accept = ${accept}`, `connect = ${connect}`, `cert = ${own.certificate}`, `key = ${own.key}`],
      ...[`CAfile = ${other.certificate}`, "verifyPeer = yes", "sslVersionMin = TLSv1.3"],
      ...["ciphersuites = TLS_AES_128_GCM_SHA256", "socket = l:TCP_NODELAY=1", "socket = r:TCP_NODELAY=1"],
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    const process = end.namespace.spawn([installed("stunnel"), file]);
    await process.line((line) => line.includes("Configuration successful"));
    open.push(process);
    return process;
  };
  const pids: number[] = [];
  // Each port of the server is a pair of services of its own, made when it is asked for.
  const made = new Map<number, Promise<void>>();
  const service = async (port: number): Promise<void> => {
    const between = port + CONNECT;
    const outer = site.server.address.includes(":") ? `:::${between}` : `0.0.0.0:${between}`;
    const server = await launch(site.server, outer, `127.0.0.1:${port}`);
    const client = await launch(site.client, `127.0.0.1:${port}`, `${site.server.address}:${between}`);
    pids.push(...[server, client].map((process) => process.child.pid as number));
  };
  return {
    targets: [{ name: "stunnel", what: stunnel.what, address: "127.0.0.1" }],
    pids,
    device: "lo",
    async stream(target, port) {
      const begun = made.get(port) ?? service(port);
      made.set(port, begun);
      await begun;
      return plainStream(target, port);
    },
    async stop() {
      await Promise.all(open.map((process) => process.stop()));
    },
  };
}
