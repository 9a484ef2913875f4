/** TLS 1.3 inside the application: what a changed application uses. In C on OpenSSL, and in Node.js. */
import { makeCertificate, nodeProgram, program } from "../programs.ts";
import { type Site, UNDERLAY } from "../site.ts";
import { type Contestant, firstVersion, type Running } from "./contestant.ts";

function contestant(name: string, what: string, command: () => Promise<readonly string[]>): Contestant {
  return {
    name,
    what,
    carries: "streams",
    packages: [],
    missing: () => undefined,
    version: async () =>
      name === "tls-c"
        ? firstVersion("openssl", "version")
        : `Node.js ${process.version}, OpenSSL ${process.versions.openssl}`,
    async start(site: Site): Promise<Running> {
      const { certificate, key } = await makeCertificate(site.server.folder, "server");
      const parts = await command();
      return {
        targets: [{ name, what, address: site.server.address }],
        pids: [],
        device: UNDERLAY,
        stream: async (target, port) => ({
          sink: [...parts, "serve", `${port}`, certificate, key],
          source: [...parts, "send", target.address, `${port}`],
        }),
        stop: async () => {},
      };
    },
  };
}

export const tlsC = contestant(
  "tls-c",
  "TLS 1.3 AES-128-GCM inside the application, C on OpenSSL, 128 KiB writes",
  async () => [await program("tls-bulk")],
);

export const tlsNode = contestant(
  "tls-node",
  "TLS 1.3 AES-128-GCM inside the application, Node's tls, 128 KiB writes",
  async () => nodeProgram("tls-node"),
);
