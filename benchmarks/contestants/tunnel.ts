/** Tunnels with a device and one process at each end: what is the same for all of them. */
import { type Background, findProgram } from "../../tools/lab/shell.ts";
import type { End, Site } from "../site.ts";
import { type Contestant, firstVersion, lacks, plainStream, type Running } from "./contestant.ts";

/** The addresses inside of those tunnels that let us choose. */
export const INSIDE = "10.111.0";

/** Starts the program of one end, and returns when it is ready. */
export type Launch = (end: End, other: End) => Promise<Background>;

/** What only this tunnel has. */
export interface Tunnel extends Pick<Contestant, "name" | "what" | "packages"> {
  /** What must be installed; the first one is asked for its version. */
  readonly programs: readonly string[];
  readonly versionOption: string;
  /** Why it cannot run here though its programs are installed. */
  readonly alsoMissing?: () => string | undefined;
  /** The tunnel's device at both ends. */
  readonly device: string;
  /** Bytes that it adds behind the outer IP and UDP headers. */
  readonly overhead: number;
  /** Both ends follow authenticated packets to another address by themselves. */
  readonly roams?: boolean;
  /** Makes keys and configurations; what it gives is called for the server, then for the client. */
  prepare(site: Site, mtu: number): Promise<Launch>;
}

export function tunnel(spec: Tunnel): Contestant {
  const { name, what, packages, programs, versionOption } = spec;
  return {
    ...{ name, what, carries: "packets", packages },
    missing: () => lacks(...programs) ?? spec.alsoMissing?.(),
    version: () => firstVersion(programs[0] as string, versionOption),
    async start(site) {
      const launch = await spec.prepare(site, tunnelMtu(site, spec.overhead));
      const server = await launch(site.server, site.client);
      const client = await launch(site.client, site.server);
      const running = tunnelOf(spec, spec.device, [server, client]);
      return spec.roams === true ? { ...running, move: async () => {} } : running;
    },
  };
}

/** The path of an installed program. */
export function installed(name: string): string {
  return findProgram(name) ?? name;
}

/** An end's address outside with a port. */
export function outside({ address }: End, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The largest inner packet when a tunnel adds `overhead` bytes behind the outer IP and UDP headers. */
export function tunnelMtu(site: Site, overhead: number): number {
  return site.path.mtu - (site.path.family === "ipv4" ? 20 : 40) - 8 - overhead;
}

/** What runs of such a tunnel. Its one target is the server's address inside. */
export function tunnelOf(
  { name, what }: Pick<Contestant, "name" | "what">,
  device: string,
  processes: readonly Background[],
): Running {
  return {
    targets: [{ name, what, address: `${INSIDE}.2` }],
    pids: processes.map((process) => process.child.pid as number),
    device,
    stream: plainStream,
    async stop() {
      await Promise.all(processes.map((process) => process.stop()));
    },
  };
}
