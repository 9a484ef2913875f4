/** Nebula with static hosts, no lighthouse. */
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

const PORT = 4242;
const DEVICE = "nebula0";
/** Header (16) and tag (16). */
const OVERHEAD = 32;

export const nebula: Contestant = {
  name: "nebula",
  what: "Nebula, AES-256-GCM",
  carries: "packets",
  packages: ["nebula"],
  missing: () => lacks("nebula", "nebula-cert"),
  version: () => firstVersion("nebula", "-version"),
  start,
};

async function start(site: Site): Promise<Running> {
  const authority = join(site.server.folder, "ca");
  const ca = ["-out-crt", `${authority}.crt`, "-out-key", `${authority}.key`];
  await run(["nebula-cert", "ca", "-name", "bench", ...ca]);
  const launch = async (end: End, other: End) => {
    const own = join(end.folder, "nebula");
    const name = ["-name", end.side, "-ip", `${INSIDE}.${end.number}/24`];
    const signer = ["-ca-crt", `${authority}.crt`, "-ca-key", `${authority}.key`];
    await run([
      "nebula-cert",
      "sign",
      ...name,
      ...signer,
      "-out-crt",
      `${own}.crt`,
      "-out-key",
      `${own}.key`,
    ]);
    const outer = other.address.includes(":") ? `[${other.address}]:${PORT}` : `${other.address}:${PORT}`;
    const any = [{ port: "any", proto: "any", host: "any" }];
    // JSON is YAML.
    const config = {
      pki: { ca: `${authority}.crt`, cert: `${own}.crt`, key: `${own}.key` },
      static_host_map: { [`${INSIDE}.${other.number}`]: [outer] },
      lighthouse: { am_lighthouse: false, hosts: [] },
      listen: { host: "::", port: PORT, batch: 64, read_buffer: 10485760, write_buffer: 10485760 },
      punchy: { punch: false },
      tun: { dev: DEVICE, mtu: tunnelMtu(site, OVERHEAD), tx_queue: 1000 },
      firewall: { outbound: any, inbound: any },
    };
    writeFileSync(`${own}.yml`, JSON.stringify(config));
    const process = end.namespace.spawn([findProgram("nebula") ?? "nebula", "-config", `${own}.yml`]);
    await process.line((line) => line.includes("Nebula interface is active"));
    return process;
  };
  const processes = [await launch(site.server, site.client), await launch(site.client, site.server)];
  return tunnelOf(nebula, DEVICE, processes);
}
