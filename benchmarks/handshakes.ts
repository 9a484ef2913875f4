/**
 * Base exchanges against TLS 1.3 handshakes with certificates of both sides, ECDSA P-256 and ECDH P-256 in both. Each
 * runs in memory on one thread, and the CPU time of the two ends is told apart: what counts is how many a server answers.
 */
import type { Instant } from "../src/core/types.ts";
import { run as runProgram } from "../tools/lab/shell.ts";
import { exchanges, strangers } from "./exchange.ts";
import { stealShare } from "./field.ts";
import { cpuTimes } from "./machine.ts";
import { makeCertificate, program } from "./programs.ts";
import { noise, pairedRatio, summarize } from "./stats.ts";
import type { Bench, Row, Suite, Table } from "./suite.ts";

interface Sample {
  /** Handshakes for each CPU second of the responding end, and of both ends together. */
  readonly server: number;
  readonly both: number;
}

async function run(bench: Bench): Promise<readonly Table[]> {
  const tls = await program("tls-handshakes");
  const { certificate, key } = await makeCertificate(bench.lab.folder);
  const { initiator, responder } = strangers();
  let now = exchanges(initiator, responder, 1_000 as Instant, 1).now; // the compiler warms up
  const hip: Sample[] = [];
  const openssl: Sample[] = [];
  const steals: number[] = [];
  for (let round = 1; round <= bench.options.rounds; round++) {
    const before = cpuTimes();
    initiator.reset();
    responder.reset();
    const done = exchanges(initiator, responder, now, bench.options.seconds);
    now = done.now;
    hip.push(sample(done.count, responder.cpuMicros / 1e6, initiator.cpuMicros / 1e6));
    bench.tell(`round ${round}  hipd           ${hip.at(-1)?.server.toFixed(0)}/s`);
    const output = await runProgram([tls, certificate, key, `${bench.options.seconds}`]);
    const [count = 0, server = 1, client = 1] = output.split(" ").map(Number);
    openssl.push(sample(count, server, client));
    bench.tell(`round ${round}  tls-c          ${openssl.at(-1)?.server.toFixed(0)}/s`);
    steals.push(stealShare(before, cpuTimes()));
  }
  const all = { hipd: hip, "tls-c": openssl };
  const rows = [
    row("hipd", "HIP base exchange, the protocol engine with its crypto", all),
    row("tls-c", "TLS 1.3 with client certificate, OpenSSL in C", all),
  ];
  return [
    {
      suite: "handshakes",
      title: "Handshakes that one core answers, ECDSA P-256 on both sides",
      unit: "handshakes/s",
      rows,
      notes: [
        'CPU time of the responding end only; "both ends" adds the initiator with its puzzle',
        ...noise(rows, steals),
      ],
    },
  ];
}

function sample(count: number, server: number, client: number): Sample {
  return { server: count / server, both: count / (server + client) };
}

function row(name: "hipd" | "tls-c", what: string, all: Readonly<Record<string, readonly Sample[]>>): Row {
  const own = all[name] ?? [];
  const ratios: Record<string, number> = {};
  for (const [other, theirs] of Object.entries(all)) {
    ratios[other] = pairedRatio(
      own.map((one) => one.server),
      theirs.map((one) => one.server),
    );
  }
  return {
    contestant: name,
    what,
    summary: summarize(own.map((one) => one.server)),
    ratios,
    extra: { "both ends, 1/s": summarize(own.map((one) => one.both)).median },
  };
}

export const handshakes: Suite = {
  name: "handshakes",
  what: "base exchanges and TLS 1.3 handshakes a second",
  run,
};
