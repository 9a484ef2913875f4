/** tinc 1.0. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Background, run } from "../../tools/lab/shell.ts";
import type { End, Site } from "../site.ts";
import {
  type Contestant,
  findProgram,
  firstVersion,
  INSIDE,
  lacks,
  type Running,
  tunnelMtu,
  tunnelOf,
} from "./contestant.ts";

const DEVICE = "tinc0";
/** Sequence number (4), cut digest (4), and up to a block of padding. */
const OVERHEAD = 24;

export const tinc: Contestant = {
  name: "tinc",
  what: "tinc 1.0, AES-128-CBC, SHA-256",
  carries: "packets",
  packages: ["tinc"],
  missing: () => lacks("tincd"),
  version: () => firstVersion("tincd", "--version"),
  start,
};

async function start(site: Site): Promise<Running> {
  const ends = [site.client, site.server];
  for (const end of ends) {
    const hosts = join(end.folder, "hosts");
    mkdirSync(hosts, { recursive: true });
    const other = end.side === "client" ? "server" : "client";
    const family = site.path.family;
    const lines = [
      `Name = ${end.side}`,
      `Interface = ${DEVICE}`,
      "DeviceType = tun",
      `AddressFamily = ${family}`,
    ];
    if (end.side === "client") lines.push(`ConnectTo = ${other}`);
    writeFileSync(join(end.folder, "tinc.conf"), `${lines.join("\n")}\n`);
    const host = [`Address = ${end.address}`, `Subnet = ${INSIDE}.${end.number}/32`];
    host.push("Cipher = aes-128-cbc", "Digest = sha256", "Compression = 0");
    writeFileSync(join(hosts, end.side), `${host.join("\n")}\n`);
    const up = join(end.folder, "tinc-up");
    const device = `ip link set dev $INTERFACE mtu ${tunnelMtu(site, OVERHEAD)} txqueuelen 1000 up`;
    writeFileSync(up, `#!/bin/sh\n${device}\nip addr add ${INSIDE}.${end.number}/24 dev $INTERFACE\n`);
    chmodSync(up, 0o755);
    await run([findProgram("tincd") ?? "tincd", "-c", end.folder, "-K2048"], { input: "" });
  }
  for (const [end, other] of [
    [site.client, site.server],
    [site.server, site.client],
  ] as [End, End][]) {
    writeFileSync(
      join(end.folder, "hosts", other.side),
      readFileSync(join(other.folder, "hosts", other.side)),
    );
  }
  const processes: Background[] = [];
  for (const end of [site.server, site.client]) {
    const pidFile = join(end.folder, "tinc.pid");
    const process = end.namespace.spawn([
      ...[findProgram("tincd") ?? "tincd", "-c", end.folder, "-D", "-d2", `--pidfile=${pidFile}`],
    ]);
    await process.line((line) => line.startsWith("Ready"));
    processes.push(process);
  }
  return tunnelOf(tinc, DEVICE, processes);
}
