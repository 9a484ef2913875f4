/** hipctl report: one page about this host, for people who have only a browser. */
import { closeSync, fchmodSync, fstatSync, openSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { whyNot } from "../../runtime/files.ts";
import { CommandFailure, contextOf, timeSpan } from "../context.ts";
import { EXIT } from "../exit.ts";
import type { Io } from "../output.ts";

interface ReportOptions {
  readonly output: string;
  readonly seconds: string;
}

const FILE = "hipd-report.html";
const SECONDS = "10";

export function addReport(program: Command, io: Io): void {
  program
    .command("report")
    .description("write a web page about this host: peers, throughput, round trips, handovers, drops")
    .option("-o, --output <file>", "where to; - for standard output", FILE)
    .option("--seconds <number>", "how long to watch", SECONDS)
    .action(async (options: ReportOptions, command: Command) => {
      const context = contextOf(command, io);
      const seconds = timeSpan("--seconds", 1_000, 3_600_000)(options.seconds) / 1000;
      const [{ collectReport }, { reportPage }] = await Promise.all([
        import("../report/collect.ts"),
        import("../report/page.ts"),
      ]);
      const report = await context.withClient((client) => collectReport(client, io, seconds));
      const page = reportPage(report);
      if (options.output === "-") {
        io.out(page);
        return;
      }
      // It tells who talks to whom: not for everybody's eyes, whatever was there before.
      try {
        writePrivately(options.output, page);
      } catch (error) {
        throw new CommandFailure(EXIT.failed, `${options.output}: cannot be written: ${whyNot(error)}`);
      }
      const written = {
        file: options.output,
        bytes: Buffer.byteLength(page),
        seconds,
        peers: report.status.peers.length,
      };
      context.print(
        written,
        () =>
          `wrote ${written.file}: ${written.peers} peer${written.peers === 1 ? "" : "s"}, watched for ${seconds} s\n`,
      );
    });
}

/** What is no file (/dev/null, a pipe) is written to as it is. */
function writePrivately(path: string, text: string): void {
  const descriptor = openSync(path, "w", 0o600);
  try {
    if (fstatSync(descriptor).isFile()) fchmodSync(descriptor, 0o600);
    writeFileSync(descriptor, text);
  } finally {
    closeSync(descriptor);
  }
}
