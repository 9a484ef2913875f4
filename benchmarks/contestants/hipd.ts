/** hipd with its default options: a daemon at each end, peers of each other. */
import { join } from "node:path";
import { CONFIG_SCHEMA } from "../../src/runtime/config-schema.ts";
import { Daemon } from "../../tools/lab/daemon.ts";
import type { End, Site } from "../site.ts";
import { type Contestant, firstVersion, plainStream, type Running, type Target } from "./contestant.ts";

/** What `busy_poll` is set to where it is measured: longer than the pause between packets, else it does not help. */
const BUSY_POLL = "10ms";

const DEVICE = "hip0";

type Config = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** The two daemons of a running hipd contestant, for suites that look closer. */
export interface Daemons {
  readonly client: Daemon;
  readonly server: Daemon;
  /** From the start of one to its word that it is ready; the mean of the two. */
  readonly readyMillis: number;
}

const daemonsOf = new WeakMap<Running, Daemons>();

export function daemons(running: Running): Daemons | undefined {
  return daemonsOf.get(running);
}

async function start(
  site: Site,
  names: readonly [hit: string, lsi: string],
  config: Config,
): Promise<Running> {
  const daemon = (end: End): Daemon =>
    new Daemon(site.lab, end.namespace, { config: { ...config, log: { level: "info" } } });
  const [client, server] = [daemon(site.client), daemon(site.server)];
  client.peers.push({ name: "server", hit: server.hit, locators: [site.server.address] });
  server.peers.push({ name: "client", hit: client.hit, locators: [site.client.address] });
  // One after the other: two that start at once would wait for each other's processor time.
  const begun = performance.now();
  await server.start();
  await client.start();
  const readyMillis = (performance.now() - begun) / 2;
  const targets: Target[] = [
    { name: names[0], what: "an unchanged application through hipd, by HIT (IPv6)", address: server.hit },
    {
      name: names[1],
      what: "an unchanged application through hipd, by LSI (IPv4)",
      address: await client.lsi("server"),
    },
  ];
  const running: Running = {
    targets,
    pids: [client.pid, server.pid],
    device: DEVICE,
    stream: plainStream,
    // The kernel tells it which addresses there are.
    move: async () => {},
    stop: async () => {
      await Promise.all([client.stop(), server.stop()]);
    },
  };
  daemonsOf.set(running, { client, server, readyMillis });
  return running;
}

export const hipd: Contestant = {
  name: "hipd",
  what: "hipd with default options",
  carries: "packets",
  packages: [],
  missing: () => undefined,
  version: () => firstVersion(join(import.meta.dirname, "../../bin/hipd"), "--version"),
  start: (site) => start(site, ["hipd HIT", "hipd LSI"], {}),
};

/** Takes part in latency only: it buys delay with processor time. */
export const hipdPolling: Contestant = {
  ...hipd,
  name: "hipd-poll",
  what: `hipd with busy_poll = "${BUSY_POLL}"`,
  missing: () =>
    CONFIG_SCHEMA.safeParse({ network: { busy_poll: BUSY_POLL } }).success
      ? undefined
      : "this hipd has no option busy_poll",
  start: (site) => start(site, ["hipd-poll HIT", "hipd-poll LSI"], { network: { busy_poll: BUSY_POLL } }),
};
