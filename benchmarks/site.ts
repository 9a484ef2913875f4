/** A path to measure on: two hosts and one virtual cable. Every contestant gets a site of its own, so that none meets another's routes. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Lab, Namespace } from "../tools/lab/lab.ts";
import { ping } from "../tools/lab/ping.ts";
import { run } from "../tools/lab/shell.ts";

export interface PathSpec {
  readonly mtu: number;
  readonly family: "ipv4" | "ipv6";
  /** False: the cable cuts and joins nothing (TSO, GSO, GRO, USO off), which is nearer to a real wire. */
  readonly offloads: boolean;
}

export const ETHERNET: PathSpec = { mtu: 1500, family: "ipv4", offloads: true };

export function pathName(path: PathSpec): string {
  return `${path.mtu}-${path.family}${path.offloads ? "" : "-plain"}`;
}

export function pathText(path: PathSpec): string {
  const family = path.family === "ipv4" ? "IPv4" : "IPv6";
  return `${path.mtu}-byte path, ${family} below${path.offloads ? "" : ", offloads of the cable off"}`;
}

/** One host of a site. */
export interface End {
  readonly side: "client" | "server";
  /** 1 and 2: the last digit of its addresses, below and inside tunnels. */
  readonly number: 1 | 2;
  readonly namespace: Namespace;
  /** Of the family of the path. */
  readonly address: string;
  /** For keys and configurations. */
  readonly folder: string;
}

export interface Site {
  readonly lab: Lab;
  readonly path: PathSpec;
  readonly client: End;
  readonly server: End;
}

/** The underlay device of each end. */
export const UNDERLAY = "eth0";
/** What ethtool calls the offloads of a cable. */
const OFFLOADS = ["tso", "gso", "gro", "tx-udp-segmentation"];

/**
 * The same congestion control for every contestant, also for programs that cannot ask for it, whatever the machine's
 * default is. By routes, since not every namespace may change its default.
 */
const cubic = (number: End["number"]): readonly string[] => [
  `route replace 192.0.2.0/24 dev ${UNDERLAY} src 192.0.2.${number} congctl cubic`,
  `route replace 2001:db8::/64 dev ${UNDERLAY} congctl cubic`,
  "route replace table local local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1 congctl cubic",
];

let made = 0;

export async function makeSite(lab: Lab, name: string, path: PathSpec): Promise<Site> {
  const label = `${name}-${made++}`;
  const end = async (side: End["side"], number: End["number"]): Promise<End> => {
    const namespace = await lab.namespace(`${label}-${side}`);
    const folder = join(lab.folder, `${label}-${side}-files`);
    mkdirSync(folder, { mode: 0o700 });
    const address = path.family === "ipv4" ? `192.0.2.${number}` : `2001:db8::${number}`;
    return { side, number, namespace, address, folder };
  };
  const [client, server] = [await end("client", 1), await end("server", 2)];
  const cable = ({ namespace, number }: End) => ({
    namespace,
    device: UNDERLAY,
    addresses: [`192.0.2.${number}/24`, `2001:db8::${number}/64`],
  });
  await lab.link(cable(client), cable(server), path.mtu);
  for (const { namespace, number } of [client, server]) {
    await namespace.ip(cubic(number));
    if (!path.offloads) {
      const off = OFFLOADS.flatMap((offload) => [offload, "off"]);
      await namespace.run(["ethtool", "-K", UNDERLAY, ...off]);
    }
  }
  return { lab, path, client, server };
}

/** Bytes that a device of this end has sent. */
export async function sentBytes(end: End, device: string): Promise<number> {
  const text = await run(["ip", "-n", end.namespace.name, "-s", "-j", "link", "show", "dev", device]);
  const [link] = JSON.parse(text) as { stats64: { tx: { bytes: number } } }[];
  return link?.stats64.tx.bytes ?? 0;
}

/** Waits until the client gets an echo from this address; fails after `seconds`. */
export async function untilReached(site: Site, address: string, seconds = 40): Promise<void> {
  const end = performance.now() + seconds * 1000;
  let said = "";
  while (performance.now() < end) {
    const answer = await ping(site.client.namespace, address, 1, ["-W", "1"]);
    if (answer.received > 0) return;
    said = answer.output;
  }
  throw new Error(`${address} does not answer within ${seconds} s: ${said}`);
}
