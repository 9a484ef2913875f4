/**
 * `make bench [SUITE=throughput|handshakes|all] [ROUNDS=5] [SECONDS=3]`: measures all contestants in one run on the same
 * machine, round by round, so that its moods hit all of them. Writes benchmarks/results/*.json and *.svg.
 */
import { join, relative } from "node:path";
import { unavailable } from "../tools/lab/lab.ts";
import { handshakes } from "./handshakes.ts";
import { machine } from "./machine.ts";
import { makeNetwork } from "./network.ts";
import { tableText, writeReport } from "./report.ts";
import type { Options, Suite, Table } from "./suite.ts";
import { throughput } from "./throughput.ts";

const SUITES: readonly Suite[] = [throughput, handshakes];
const RESULTS = join(import.meta.dirname, "results");

function setting(name: string, fallback: number): number {
  const text = process.env[name];
  const value = text === undefined || text === "" ? fallback : Number(text);
  if (!(value > 0)) throw new Error(`${name}=${text} is not a positive number`);
  return value;
}

const wanted = process.env["SUITE"] || "all";
const chosen = SUITES.filter((suite) => wanted === "all" || suite.name === wanted);
const reason = unavailable();
if (chosen.length === 0) {
  console.error(
    `There is no suite "${wanted}"; there are ${SUITES.map((suite) => suite.name).join(", ")} and all.`,
  );
  process.exit(2);
}
if (reason !== undefined) {
  console.error(`The benchmarks make network namespaces and a TUN device: this ${reason}.`);
  process.exit(1);
}

const options: Options = { rounds: setting("ROUNDS", 5), seconds: setting("SECONDS", 3) };
const network = await makeNetwork();
try {
  const { client, server } = network.daemons;
  await Promise.all([client.start(), server.start()]);
  const connected = await client.ctl("connect", "server");
  if (connected.status !== 0) throw new Error(`the daemons do not talk: ${connected.stderr}`);
  const tables: Table[] = [];
  for (const suite of chosen) {
    console.log(`${suite.name}: ${suite.what}`);
    tables.push(await suite.run(network, options, (line) => console.log(`  ${line}`)));
  }
  for (const table of tables) console.log(`\n${tableText(table)}`);
  const report = { when: new Date().toISOString(), machine: machine(), options, tables };
  const files = writeReport(RESULTS, report).map((file) => relative(process.cwd(), file));
  console.log(`\n${report.machine.cpu}, ${report.machine.cores} cores; written: ${files.join(" ")}`);
} finally {
  await network.lab.close();
}
