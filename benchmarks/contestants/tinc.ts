/** tinc 1.0. */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../tools/lab/shell.ts";
import type { End, Site } from "../site.ts";
import { INSIDE, installed, tunnel } from "./tunnel.ts";

const DEVICE = "tinc0";

export const tinc = tunnel({
  name: "tinc",
  what: "tinc 1.0, AES-128-CBC, SHA-256",
  packages: ["tinc"],
  programs: ["tincd"],
  versionOption: "--version",
  device: DEVICE,
  // Sequence number (4), cut digest (4), and up to a block of padding.
  overhead: 24,
  async prepare(site, mtu) {
    const { client, server } = site;
    for (const end of [client, server]) await configure(site, end, mtu);
    copyFileSync(hostFile(server, server), hostFile(client, server));
    copyFileSync(hostFile(client, client), hostFile(server, client));
    return async (end) => {
      const pidFile = join(end.folder, "tinc.pid");
      const options = ["-c", end.folder, "-D", "-d2", `--pidfile=${pidFile}`];
      const process = end.namespace.spawn([installed("tincd"), ...options]);
      await process.line((line) => line.startsWith("Ready"));
      return process;
    };
  },
});

/** What `end` knows about `host`. */
function hostFile(end: End, host: End): string {
  return join(end.folder, "hosts", host.side);
}

async function configure(site: Site, end: End, mtu: number): Promise<void> {
  mkdirSync(join(end.folder, "hosts"), { recursive: true });
  const lines = [`Name = ${end.side}`, `Interface = ${DEVICE}`, "DeviceType = tun"];
  lines.push(`AddressFamily = ${site.path.family}`);
  if (end.side === "client") lines.push(`ConnectTo = ${site.server.side}`);
  writeFileSync(join(end.folder, "tinc.conf"), `${lines.join("\n")}\n`);
  const host = [`Address = ${end.address}`, `Subnet = ${INSIDE}.${end.number}/32`];
  host.push("Cipher = aes-128-cbc", "Digest = sha256", "Compression = 0");
  writeFileSync(hostFile(end, end), `${host.join("\n")}\n`);
  const up = join(end.folder, "tinc-up");
  const device = `ip link set dev $INTERFACE mtu ${mtu} txqueuelen 1000 up`;
  writeFileSync(up, `#!/bin/sh\n${device}\nip addr add ${INSIDE}.${end.number}/24 dev $INTERFACE\n`);
  chmodSync(up, 0o755);
  await run([installed("tincd"), "-c", end.folder, "-K2048"], { input: "" });
}
