/** OpenVPN in user space: a server and a client, UDP, data channel AES-128-GCM. */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Certificate, makeCertificate } from "../programs.ts";
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

const DEVICE = "ovpn0";
const MASK = "255.255.255.0";
/** Opcode and peer (4), packet number (4), tag (16). */
const OVERHEAD = 24;

export const openvpn: Contestant = {
  name: "openvpn",
  what: "OpenVPN, UDP, AES-128-GCM, --fast-io, in user space",
  carries: "packets",
  packages: ["openvpn"],
  missing: () => lacks("openvpn"),
  version: () => firstVersion("openvpn", "--version"),
  start,
};

async function start(site: Site): Promise<Running> {
  const certificates = {
    client: await makeCertificate(site.client.folder, "client"),
    server: await makeCertificate(site.server.folder, "server"),
  };
  const launch = async (end: End, other: End) => {
    const own = certificates[end.side];
    const role =
      end.side === "server"
        ? [
            ...["--mode", "server", "--tls-server", "--dh", "none", "--topology", "subnet"],
            ...["--ifconfig", `${INSIDE}.${end.number}`, MASK],
            ...["--ifconfig-pool", `${INSIDE}.4`, `${INSIDE}.5`, MASK],
            ...["--push", "topology subnet", "--keepalive", "10", "60"],
          ]
        : ["--client", "--remote", other.address];
    const process = end.namespace.spawn([
      ...[findProgram("openvpn") ?? "openvpn", "--dev", DEVICE, "--dev-type", "tun", "--disable-dco"],
      ...["--proto", site.path.family === "ipv4" ? "udp4" : "udp6", "--float", ...role],
      ...["--cert", own.certificate, "--key", own.key],
      ...["--peer-fingerprint", fingerprint(certificates[other.side])],
      ...["--data-ciphers", "AES-128-GCM", "--auth-nocache", "--verb", "3"],
      ...["--tun-mtu", `${tunnelMtu(site, OVERHEAD)}`, "--mssfix", "0", "--fast-io"],
      ...["--sndbuf", "1048576", "--rcvbuf", "1048576", "--txqueuelen", "1000"],
    ]);
    await process.line((line) => /link remote:/.test(line));
    return process;
  };
  const processes = [await launch(site.server, site.client), await launch(site.client, site.server)];
  return {
    ...tunnelOf(openvpn, DEVICE, processes),
    // The server follows authenticated packets to their new address.
    move: async () => {},
  };
}

function fingerprint({ certificate }: Certificate): string {
  const der = new X509Certificate(readFileSync(certificate)).raw;
  const hex = createHash("sha256").update(der).digest("hex").toUpperCase();
  return (hex.match(/../g) ?? []).join(":");
}
