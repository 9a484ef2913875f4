/** The network that everything is measured on, and the programs that measure. */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Daemon } from "../tools/lab/daemon.ts";
import { Lab } from "../tools/lab/lab.ts";
import { run } from "../tools/lab/shell.ts";
import type { Network } from "./suite.ts";

const SOURCES = join(import.meta.dirname, "programs");
const FOLDER = join(import.meta.dirname, "../build/benchmarks");
const [CLIENT, SERVER] = ["192.0.2.1", "192.0.2.2"];

/** Compiles one of benchmarks/programs/*.c if it changed; gives the path of the program. */
export async function program(name: string): Promise<string> {
  const source = join(SOURCES, `${name}.c`);
  const target = join(FOLDER, name);
  const newest = Math.max(statSync(source).mtimeMs, statSync(join(SOURCES, "common.h")).mtimeMs);
  if (!existsSync(target) || statSync(target).mtimeMs < newest) {
    mkdirSync(FOLDER, { recursive: true });
    await run(["cc", "-O2", "-Wall", "-Wextra", "-o", target, source, "-lssl", "-lcrypto"]);
  }
  return target;
}

/** The two daemons run and have an association. */
export async function makeNetwork(): Promise<Network> {
  const lab = Lab.create();
  try {
    const [client, server] = [await lab.namespace("client"), await lab.namespace("server")];
    await lab.link(
      { namespace: client, device: "eth0", addresses: [`${CLIENT}/30`] },
      { namespace: server, device: "eth0", addresses: [`${SERVER}/30`] },
    );
    // CUBIC for programs that cannot ask for it themselves, whatever the machine's default is.
    for (const [host, own] of [
      [client, CLIENT],
      [server, SERVER],
    ] as const) {
      await host.ip([`route replace 192.0.2.0/30 dev eth0 src ${own} congctl cubic`]);
    }
    const config = { log: { level: "info" } };
    const daemons = {
      client: new Daemon(lab, client, { config }),
      server: new Daemon(lab, server, { config }),
    };
    daemons.client.peers.push({ name: "server", hit: daemons.server.hit, locators: [SERVER] });
    daemons.server.peers.push({ name: "client", hit: daemons.client.hit, locators: [CLIENT] });
    return { lab, client, server, serverAddress: SERVER, daemons };
  } catch (error) {
    await lab.close();
    throw error;
  }
}

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A self-signed ECDSA P-256 certificate for the TLS contestants. */
export async function makeCertificate(folder: string): Promise<Certificate> {
  const [certificate, key] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  await run([
    ...[
      "openssl",
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "2",
    ],
    ...["-subj", "/CN=server", "-keyout", key, "-out", certificate],
  ]);
  return { certificate, key };
}
