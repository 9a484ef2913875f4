/** The place where scale is measured: a client, a server with few associations, and one that a whole crowd has associations with. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseHit } from "../src/core/ip.ts";
import { Daemon } from "../tools/lab/daemon.ts";
import type { Namespace } from "../tools/lab/lab.ts";
import type { Background } from "../tools/lab/shell.ts";
import type { CrowdOptions } from "./crowd.ts";
import { nodeProgram, program } from "./programs.ts";
import type { Bench } from "./suite.ts";

const ADDRESSES = Array.from({ length: 16 }, (_, i) => `198.18.255.${i + 2}`);
/** Of the daemon with many associations. */
const MANY = "198.18.255.1";
const SOCKETS_PER_ADDRESS = 8;
const PORT = 7001;
/** What comes there a packet filter drops before anybody looks at it. */
const CLOSED_PORT = 10_501;
const FILTER = `table inet knocks {}
flush table inet knocks
table inet knocks {
  chain early { type filter hook prerouting priority raw; udp dport ${CLOSED_PORT} drop; }
}
`;
/** The LSIs stay out of the way of the crowd's addresses. */
const CONFIG = {
  log: { level: "info" },
  network: { lsi_prefix: "10.80.0.0/16" },
  protocol: { max_jobs: 256 },
};

export const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis));

/** A client and two servers like each other, of which one gets the crowd. */
export class Scene {
  readonly client: Daemon;
  readonly few: Daemon;
  readonly many: Daemon;
  readonly #crowdHome: Namespace;
  /** Those that were opened. */
  readonly lanes = new Map<Daemon, Lane>();
  #crowd: Background | undefined;

  private constructor(client: Daemon, few: Daemon, many: Daemon, crowdHome: Namespace) {
    this.client = client;
    this.few = few;
    this.many = many;
    this.#crowdHome = crowdHome;
  }

  static async create({ lab }: Bench): Promise<Scene> {
    // One address each: what is measured is not how paths are chosen. The crowd lives on the router between them.
    const router = await lab.router("scale-crowd");
    const daemons: Daemon[] = [];
    for (const [i, label] of ["client", "few", "many"].entries()) {
      const home = await lab.namespace(`scale-${label}`);
      const daemon = new Daemon(lab, home, { config: CONFIG });
      const [here, there] =
        label === "many" ? [MANY, ADDRESSES[0]] : [`192.0.2.${4 * i + 2}`, `192.0.2.${4 * i + 1}`];
      const length = label === "many" ? 24 : 30;
      const others = label === "many" ? ADDRESSES : [there];
      await lab.link(
        { namespace: home, device: "eth0", addresses: [`${here}/${length}`] },
        { namespace: router, device: `to-${label}`, addresses: others.map((one) => `${one}/${length}`) },
      );
      await home.ip([`route add default via ${there}`]);
      const [client] = daemons;
      client?.peers.push({ name: label, hit: daemon.hit, locators: [here as string] });
      if (client !== undefined)
        daemon.peers.push({ name: "client", hit: client.hit, locators: ["192.0.2.2"] });
      daemons.push(daemon);
    }
    const [first, second, third] = daemons as [Daemon, Daemon, Daemon];
    return new Scene(first, second, third, router);
  }

  /** Starts the crowd, which writes the peers that the server is to know. */
  async gather(count: number): Promise<void> {
    const hit = parseHit(this.many.hit);
    if (!hit.ok) throw new Error(hit.error);
    const peers = join(this.many.folder, "peers.d");
    mkdirSync(peers, { recursive: true });
    const options: CrowdOptions = {
      count,
      addresses: ADDRESSES,
      socketsPerAddress: SOCKETS_PER_ADDRESS,
      target: { address: MANY, port: 10500, hit: hit.value },
    };
    const command = [...nodeProgram("crowd"), JSON.stringify(options), join(peers, "crowd.toml")];
    this.#crowd = this.#crowdHome.spawn(command);
    await this.#crowd.line((line) => line.startsWith("{"), 120_000);
  }

  /**
   * Strangers knock at the daemon with many associations, `rate` times a second: each as a member that completed an exchange once.
   * With `blind` as many packets, made with as much work, come to the same host, where its packet filter drops them.
   */
  async knock(rate: number, seconds: number, blind: boolean): Promise<Background> {
    const patterns = join(this.many.folder, "patterns");
    if (!existsSync(patterns)) await this.tell(`patterns ${patterns}`, 20_000);
    if (blind) await this.many.namespace.nft(FILTER);
    const port = blind ? CLOSED_PORT : 10_500;
    const command = [await program("knock"), patterns, MANY, `${port}`, `${rate}`, `${seconds}`];
    return this.#crowdHome.spawn(blind ? [...command, "blind"] : command);
  }

  /** Gives the crowd a command and waits for its answer. */
  async tell<T>(command: string, limitMillis: number): Promise<T> {
    const crowd = this.#crowd as Background;
    const seen = crowd.out.length;
    crowd.child.stdin.write(`${command}\n`);
    const line = await crowd.until(
      () => crowd.out[seen],
      limitMillis,
      () => `waiting for the crowd to ${command}`,
    );
    return JSON.parse(line) as T;
  }

  async start(): Promise<void> {
    await Promise.all([this.client, this.few, this.many].map((daemon) => daemon.start()));
    for (const name of ["few", "many"]) {
      const connected = await this.client.ctl("connect", name);
      if (connected.status !== 0) throw new Error(`the daemons do not talk: ${connected.stderr}`);
    }
  }
}

interface Stream {
  readonly bytes: number;
  readonly seconds: number;
}

/** TCP through the overlay to one of the servers. */
export class Lane {
  readonly #scene: Scene;
  readonly #server: Daemon;
  readonly #tcp: string;
  readonly #sink: Background;

  private constructor(scene: Scene, server: Daemon, tcp: string, sink: Background) {
    this.#scene = scene;
    this.#server = server;
    this.#tcp = tcp;
    this.#sink = sink;
  }

  static async open(scene: Scene, server: Daemon): Promise<Lane> {
    const tcp = await program("tcp-bulk");
    const sink = server.namespace.spawn([tcp, "serve", `${PORT}`]);
    await sink.line((line) => line === "listening");
    const lane = new Lane(scene, server, tcp, sink);
    scene.lanes.set(server, lane);
    return lane;
  }

  /** One whose sink runs already. */
  static async again(scene: Scene, server: Daemon): Promise<Lane> {
    return scene.lanes.get(server) ?? (await Lane.open(scene, server));
  }

  /** Gbit/s. */
  async measure(seconds: number): Promise<number> {
    const seen = this.#sink.out.length;
    const command = [this.#tcp, "send", this.#server.hit, `${PORT}`, `${seconds}`, "1"];
    await this.#scene.client.namespace.run(command, { timeoutMillis: (seconds + 20) * 1000 });
    const line = await this.#sink.until(
      () => this.#sink.out[seen],
      20_000,
      () => "waiting for the count of a stream",
    );
    const count = JSON.parse(line) as Stream;
    return (count.bytes * 8) / 1e9 / count.seconds;
  }
}

/** Losses of 64-byte echoes through the association: 500 a second, sent and answered by the kernels. */
export async function echoes(scene: Scene, seconds: number): Promise<{ lost: number; rtt: number }> {
  const { stdout } = await scene.client.namespace.attempt(
    ["ping", "-6", "-n", "-q", "-i", "0.002", "-w", `${seconds}`, scene.many.hit],
    { timeoutMillis: (seconds + 20) * 1000 },
  );
  const [, sent, came] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  const rtt = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1];
  return { lost: 1 - Number(came ?? 0) / Math.max(1, Number(sent ?? 0)), rtt: Number(rtt ?? Number.NaN) };
}
