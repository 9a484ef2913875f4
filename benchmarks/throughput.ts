/** TCP, one stream: the bare path, the overlay, and TLS inside the application, round by round. */
import { join } from "node:path";
import type { Background } from "../tools/lab/shell.ts";
import { cpuTimes, processSeconds } from "./machine.ts";
import { makeCertificate, program } from "./network.ts";
import { pairedRatio, summarize } from "./stats.ts";
import type { Network, Options, Row, Suite, Table } from "./suite.ts";

const MAX_STEAL = 0.02;
const MAX_SPREAD = 0.5;

interface Contestant {
  readonly name: string;
  readonly what: string;
  /** The command of the sink, which prints "listening" and then a line for each stream. */
  readonly sink: readonly string[];
  /** The command of the source, without the number of seconds at its end. */
  readonly source: readonly string[];
  /** Whether the daemons' CPU belongs to this contestant. */
  readonly overlay: boolean;
}

interface Sample {
  readonly gigabitsPerSecond: number;
  /** CPU seconds of the whole machine for each gigabyte. */
  readonly machineCpu: number;
  readonly daemonCpu: number;
  /** Share of the time that the hypervisor took away. */
  readonly steal: number;
}

async function contestants(network: Network): Promise<readonly Contestant[]> {
  const { certificate, key } = await makeCertificate(network.lab.folder);
  const [tcp, tls] = [await program("tcp-bulk"), await program("tls-bulk")];
  const node = [process.execPath, join(import.meta.dirname, "programs/tls-node.ts")];
  const { server, client } = network.daemons;
  const lsi = await client.lsi("server");
  const plain = (name: string, what: string, port: string, host: string, overlay: boolean): Contestant => {
    return { name, what, sink: [tcp, "serve", port], source: [tcp, "send", host, port], overlay };
  };
  return [
    plain("bare", "TCP on the bare path, not encrypted", "7001", network.serverAddress, false),
    plain("hipd HIT", "the same program through the overlay, by HIT", "7002", server.hit, true),
    plain("hipd LSI", "the same program through the overlay, by LSI", "7003", lsi, true),
    {
      name: "TLS OpenSSL",
      what: "TLS 1.3 AES-128-GCM, a C program on OpenSSL, 128 KiB writes",
      sink: [tls, "serve", "7004", certificate, key],
      source: [tls, "send", network.serverAddress, "7004"],
      overlay: false,
    },
    {
      name: "TLS Node",
      what: "TLS 1.3 AES-128-GCM, Node's tls, 128 KiB writes",
      sink: [...node, "serve", "7005", certificate, key],
      source: [...node, "send", network.serverAddress, "7005"],
      overlay: false,
    },
  ];
}

async function measure(
  network: Network,
  contestant: Contestant,
  sink: Background,
  seconds: number,
): Promise<Sample> {
  const pids = contestant.overlay ? [network.daemons.client.pid, network.daemons.server.pid] : [];
  const daemons = (): number => pids.reduce((sum, pid) => sum + processSeconds(pid), 0);
  const before = { cpu: cpuTimes(), daemons: daemons() };
  const seen = sink.out.length;
  await network.client.run([...contestant.source, `${seconds}`], { timeoutMillis: (seconds + 20) * 1000 });
  const line = await sink.until(
    () => sink.out[seen],
    20_000,
    () => `waiting for the count of ${contestant.name}`,
  );
  const after = { cpu: cpuTimes(), daemons: daemons() };
  const [bytes = 0, elapsed = 1] = line.split(" ").map(Number);
  const gigabytes = bytes / 1e9;
  return {
    gigabitsPerSecond: (gigabytes * 8) / elapsed,
    machineCpu: (after.cpu.busy - before.cpu.busy) / gigabytes,
    daemonCpu: (after.daemons - before.daemons) / gigabytes,
    steal: (after.cpu.steal - before.cpu.steal) / (after.cpu.total - before.cpu.total),
  };
}

async function run(network: Network, options: Options, tell: (line: string) => void): Promise<Table> {
  const all = await contestants(network);
  const sinks = new Map<Contestant, Background>();
  for (const contestant of all) {
    const sink = network.server.spawn(contestant.sink);
    await sink.line((line) => line === "listening");
    sink.out.length = 0;
    sinks.set(contestant, sink);
  }
  const samples = new Map<Contestant, Sample[]>(all.map((contestant) => [contestant, []]));
  for (let round = 1; round <= options.rounds; round++) {
    for (const contestant of all) {
      const sample = await measure(network, contestant, sinks.get(contestant) as Background, options.seconds);
      (samples.get(contestant) as Sample[]).push(sample);
      tell(`round ${round}  ${contestant.name.padEnd(12)} ${sample.gigabitsPerSecond.toFixed(2)} Gbit/s`);
    }
  }
  for (const sink of sinks.values()) await sink.stop();
  const steal = summarize([...samples.values()].flat().map((sample) => sample.steal)).high;
  const rows = all.map((contestant) => row(contestant, samples));
  return {
    suite: "throughput",
    title: "TCP throughput, one stream, 1500-byte path",
    unit: "Gbit/s",
    rows,
    notes: noise(rows, steal),
  };
}

/** Why this run should be repeated on a quieter machine. */
function noise(rows: readonly Row[], steal: number): string[] {
  const restless = rows.filter((one) => one.summary.spread > MAX_SPREAD).map((one) => one.contestant);
  return [
    ...(steal > MAX_STEAL
      ? [`noisy: the hypervisor took up to ${(steal * 100).toFixed(1)} % of the time away`]
      : []),
    ...(restless.length > 0 ? [`noisy: the rounds of ${restless.join(", ")} differ by more than half`] : []),
  ];
}

function row(contestant: Contestant, samples: ReadonlyMap<Contestant, readonly Sample[]>): Row {
  const own = samples.get(contestant) as readonly Sample[];
  const rates = (of: readonly Sample[]): number[] => of.map((sample) => sample.gigabitsPerSecond);
  const ratios: Record<string, number> = {};
  for (const [other, theirs] of samples) ratios[other.name] = pairedRatio(rates(own), rates(theirs));
  const machine = summarize(own.map((sample) => sample.machineCpu)).median;
  const daemons = summarize(own.map((sample) => sample.daemonCpu)).median;
  return {
    contestant: contestant.name,
    what: contestant.what,
    summary: summarize(rates(own)),
    ratios,
    extra: {
      "CPU s/GB, machine": machine,
      ...(contestant.overlay ? { "CPU s/GB, both daemons": daemons } : {}),
    },
  };
}

export const throughput: Suite = { name: "throughput", what: "TCP, one stream, in Gbit/s", run };
