/**
 * Many associations on one daemon: made by real exchanges over UDP from many addresses and ports, then what they cost in
 * memory and processor time, what they cost one association's throughput, and what strangers who knock cost it.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseHit } from "../src/core/ip.ts";
import { Daemon } from "../tools/lab/daemon.ts";
import type { Namespace } from "../tools/lab/lab.ts";
import type { Background } from "../tools/lab/shell.ts";
import type { CrowdOptions, Progress } from "./crowd.ts";
import type { Flood } from "./flood.ts";
import { processSeconds, residentMegabytes } from "./machine.ts";
import { nodeProgram, program } from "./programs.ts";
import { pairedRatio, summarize } from "./stats.ts";
import type { Bench, Row, Suite, Table } from "./suite.ts";

const ADDRESSES = Array.from({ length: 16 }, (_, i) => `198.18.255.${i + 2}`);
/** Of the daemon with many associations. */
const MANY = "198.18.255.1";
const SOCKETS_PER_ADDRESS = 8;
/** Exchanges that are under way at once. */
const PARALLEL = 32;
/** Twice the daemon's own interval of looking whether memory can be given back. */
const SETTLE_MILLIS = 21_000;
const IDLE_MILLIS = 10_000;
/** Exchanges that are attempted in a second. */
const KNOCKS = 2_000;
const PORT = 7001;
/** The LSIs stay out of the way of the crowd's addresses. */
const CONFIG = {
  log: { level: "info" },
  network: { lsi_prefix: "10.80.0.0/16" },
  protocol: { max_jobs: 256 },
};

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis));

/** A client and two servers like each other, of which one gets the crowd. */
class Scene {
  readonly client: Daemon;
  readonly few: Daemon;
  readonly many: Daemon;
  readonly #crowdHome: Namespace;
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
class Lane {
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
    return new Lane(scene, server, tcp, sink);
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

function single(contestant: string, what: string, value: number, extra: Row["extra"] = {}): Row {
  return { contestant, what, summary: summarize([value]), ratios: {}, extra };
}

/** Losses of 64-byte echoes through the association: 500 a second, sent and answered by the kernels. */
async function echoes(scene: Scene, seconds: number): Promise<{ lost: number; rtt: number }> {
  const { stdout } = await scene.client.namespace.attempt(
    ["ping", "-6", "-n", "-q", "-i", "0.002", "-w", `${seconds}`, scene.many.hit],
    { timeoutMillis: (seconds + 20) * 1000 },
  );
  const [, sent, came] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  const rtt = /= [\d.]+\/([\d.]+)\//.exec(stdout)?.[1];
  return { lost: 1 - Number(came ?? 0) / Math.max(1, Number(sent ?? 0)), rtt: Number(rtt ?? Number.NaN) };
}

async function costs(bench: Bench, scene: Scene, count: number): Promise<Table> {
  const { pid } = scene.many;
  const connect = async (some: number): Promise<Progress> => {
    const made = await scene.tell<Progress>(`connect ${some} ${PARALLEL} 300`, 320_000);
    if (made.established < some)
      throw new Error(`only ${made.established} of ${some} associations came about`);
    await pause(SETTLE_MILLIS);
    return made;
  };
  await pause(SETTLE_MILLIS);
  const configured = residentMegabytes(pid);
  // Compiled code and worker threads come with the first exchanges, however many follow.
  await connect(count / 10);
  const before = residentMegabytes(pid);
  const made = await connect(count - count / 10);
  bench.tell(`${made.established} associations in ${made.seconds.toFixed(1)} s`);
  const after = residentMegabytes(pid);
  const spent = processSeconds(pid);
  await pause(IDLE_MILLIS);
  const idle = ((processSeconds(pid) - spent) / IDLE_MILLIS) * 1000 * 100;
  const each = ((after - before) * 1e6) / made.established;
  bench.tell(`${each.toFixed(0)} bytes each, ${idle.toFixed(2)} % of a core when idle`);
  return {
    suite: "scale",
    id: "costs",
    title: `${count} associations on one daemon`,
    unit: "MB",
    better: "lower",
    rows: [
      single("peers", `resident, ${count} peers configured`, configured),
      single("first", `resident, ${count / 10} associations, settled`, before),
      single("all", `resident, ${count} associations, settled`, after, {
        "bytes for each": Math.round(each),
        "exchanges/s": Math.round(made.established / made.seconds),
        "idle, % of a core": Number(idle.toFixed(2)),
      }),
    ],
    notes: [],
  };
}

/** The rounds alternate, so that the moods of the machine hit all. */
async function streams(bench: Bench, scene: Scene, count: number): Promise<Table> {
  const { rounds, seconds } = bench.options;
  const lanes = { few: await Lane.open(scene, scene.few), many: await Lane.open(scene, scene.many) };
  const names = { few: "2 associations", many: `${count} associations`, flood: "strangers knock" };
  const samples: Record<keyof typeof names, number[]> = { few: [], many: [], flood: [] };
  const lost: Record<"quiet" | "flood", number[]> = { quiet: [], flood: [] };
  const attempts: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    samples.few.push(await lanes.few.measure(seconds));
    samples.many.push(await lanes.many.measure(seconds));
    lost.quiet.push((await echoes(scene, seconds)).lost);
    const from = round % 2 === 0 ? "one" : "many";
    const flooding = scene.tell<Flood>(`flood ${KNOCKS} ${2 * seconds + 2} ${from}`, 60_000);
    await pause(500);
    samples.flood.push(await lanes.many.measure(seconds));
    lost.flood.push((await echoes(scene, seconds)).lost);
    const knocked = await flooding;
    attempts.push(knocked.i1 / knocked.seconds);
    bench.tell(
      `round ${round}  ${[samples.few, samples.many, samples.flood].map((list) => list.at(-1)?.toFixed(2)).join(" / ")} Gbit/s` +
        `  (few, many, ${attempts.at(-1)?.toFixed(0)} exchanges/s attempted from ${from}), k ${knocked.k}`,
    );
  }
  const row = (key: keyof typeof names, what: string, extra: Row["extra"]): Row => ({
    contestant: names[key],
    what,
    summary: summarize(samples[key]),
    ratios: {
      [names.few]: pairedRatio(samples[key], samples.few),
      [names.many]: pairedRatio(samples[key], samples.many),
    },
    extra,
  });
  const percent = (list: readonly number[]): number => Number((summarize(list).median * 100).toFixed(2));
  return {
    suite: "scale",
    id: "streams",
    title: "One TCP stream through one association of a daemon with many",
    unit: "Gbit/s",
    rows: [
      row("few", "a daemon with this association and one more", {}),
      row("many", "the same beside all others", { "echoes lost, %": percent(lost.quiet) }),
      row("flood", `the same while ${KNOCKS} exchanges a second are attempted`, {
        "echoes lost, %": percent(lost.flood),
        "attempted, 1/s": Math.round(summarize(attempts).median),
      }),
    ],
    notes: ["the program that knocks runs on the same processors"],
  };
}

async function run(bench: Bench): Promise<readonly Table[]> {
  const count = bench.options.thorough ? 10_000 : 1_000;
  const scene = await Scene.create(bench);
  await scene.gather(count);
  await scene.start();
  const first = await costs(bench, scene, count);
  return [first, await streams(bench, scene, count)];
}

export const scale: Suite = {
  name: "scale",
  what: "thousands of associations on one daemon, and strangers who knock",
  run,
};
