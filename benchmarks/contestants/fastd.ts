/** fastd with the method that its documentation recommends. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../tools/lab/shell.ts";
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

const PORT = 10000;
const DEVICE = "fastd0";
/** Packet type, flags and nonce (8), tag (16). */
const OVERHEAD = 24;

export const fastd: Contestant = {
  name: "fastd",
  what: "fastd, salsa2012+umac",
  carries: "packets",
  packages: ["fastd"],
  missing: () => lacks("fastd"),
  version: () => firstVersion("fastd", "--version"),
  start,
};

async function start(site: Site): Promise<Running> {
  const program = findProgram("fastd") ?? "fastd";
  const keys = { client: await makeKeys(program), server: await makeKeys(program) };
  const launch = async (end: End, other: End) => {
    const outer = other.address.includes(":") ? `ipv6 "${other.address}"` : `ipv4 ${other.address}`;
    const own = end.address.includes(":") ? `[${end.address}]:${PORT}` : `${end.address}:${PORT}`;
    const up = [`ip addr add ${INSIDE}.${end.number}/24 dev $INTERFACE`, "ip link set dev $INTERFACE up"];
    const lines = [
      ...["log level verbose;", "mode tun;", `interface "${DEVICE}";`, 'method "salsa2012+umac";'],
      ...[`mtu ${tunnelMtu(site, OVERHEAD)};`, `bind ${own};`, `secret "${keys[end.side].secret}";`],
      `on up "${up.join(" && ")}";`,
      `peer "${other.side}" { key "${keys[other.side].open}"; remote ${outer} port ${PORT}; }`,
    ];
    const file = join(end.folder, "fastd.conf");
    writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600 });
    const process = end.namespace.spawn([program, "--config", file]);
    await process.line((line) => line.includes("bound to"));
    return process;
  };
  const processes = [await launch(site.server, site.client), await launch(site.client, site.server)];
  return tunnelOf(fastd, DEVICE, processes);
}

async function makeKeys(program: string): Promise<{ secret: string; open: string }> {
  const text = await run([program, "--generate-key"]);
  const [secret = "", open = ""] = [...text.matchAll(/[0-9a-f]{64}/g)].map((match) => match[0]);
  return { secret, open };
}
