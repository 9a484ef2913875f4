/** OpenVPN in user space: a server and a client, UDP, data channel AES-128-GCM. */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Certificate, makeCertificate } from "../programs.ts";
import type { End } from "../site.ts";
import { INSIDE, installed, tunnel } from "./tunnel.ts";

const DEVICE = "ovpn0";
const MASK = "255.255.255.0";

export const openvpn = tunnel({
  name: "openvpn",
  what: "OpenVPN, UDP, AES-128-GCM, --fast-io, in user space",
  packages: ["openvpn"],
  programs: ["openvpn"],
  versionOption: "--version",
  device: DEVICE,
  // Opcode and peer (4), packet number (4), tag (16).
  overhead: 24,
  roams: true,
  async prepare(site, mtu) {
    const certificates = {
      client: await makeCertificate(site.client.folder, "client"),
      server: await makeCertificate(site.server.folder, "server"),
    };
    return async (end, other) => {
      const own = certificates[end.side];
      const process = end.namespace.spawn([
        ...[installed("openvpn"), "--dev", DEVICE, "--dev-type", "tun", "--disable-dco"],
        ...["--proto", site.path.family === "ipv4" ? "udp4" : "udp6", "--float", ...role(end, other)],
        ...["--cert", own.certificate, "--key", own.key],
        ...["--peer-fingerprint", fingerprint(certificates[other.side])],
        ...["--data-ciphers", "AES-128-GCM", "--auth-nocache", "--verb", "3"],
        ...["--tun-mtu", `${mtu}`, "--mssfix", "0", "--fast-io"],
        ...["--sndbuf", "1048576", "--rcvbuf", "1048576", "--txqueuelen", "1000"],
      ]);
      await process.line((line) => /link remote:/.test(line));
      return process;
    };
  },
});

function role(end: End, other: End): readonly string[] {
  if (end.side === "client") return ["--client", "--remote", other.address];
  return [
    ...["--mode", "server", "--tls-server", "--dh", "none", "--topology", "subnet"],
    ...["--ifconfig", `${INSIDE}.${end.number}`, MASK],
    ...["--ifconfig-pool", `${INSIDE}.4`, `${INSIDE}.5`, MASK],
    ...["--push", "topology subnet", "--keepalive", "10", "60"],
  ];
}

function fingerprint({ certificate }: Certificate): string {
  const der = new X509Certificate(readFileSync(certificate)).raw;
  const hex = createHash("sha256").update(der).digest("hex").toUpperCase();
  return (hex.match(/../g) ?? []).join(":");
}
