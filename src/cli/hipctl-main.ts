/** What bin/hipctl runs. */
import { writeSync } from "node:fs";
import { useCompileCache } from "./compile-cache.ts";
import { EXIT } from "./exit.ts";
import type { Io } from "./output.ts";
import { harmless, progressLine, terminal } from "./terminal.ts";

/** A pipe whose reader has gone (`hipctl events | head`) ends the command quietly. */
function writer(descriptor: number): (text: string) => void {
  return (text) => {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(descriptor, bytes, at);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") process.exit(EXIT.failed);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      }
    }
  };
}

/** Files and pipes get everything as it is. */
function careful(isTerminal: boolean, write: (text: string) => void): (text: string) => void {
  return isTerminal ? (text) => write(harmless(text)) : write;
}

const io: Io = {
  out: careful(process.stdout.isTTY === true, writer(1)),
  error: careful(process.stderr.isTTY === true, writer(2)),
  terminal: process.stdout.isTTY === true && process.env["TERM"] !== "dumb" ? terminal(writer(1)) : undefined,
  progress: process.stderr.isTTY === true ? progressLine(writer(2)) : undefined,
  color: process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb",
  environment: process.env,
  now: () => Date.now(),
  input: async () => {
    const parts: Buffer[] = [];
    for await (const part of process.stdin) parts.push(part as Buffer);
    return new Uint8Array(Buffer.concat(parts));
  },
  onInterrupt: (action) => {
    process.on("SIGINT", action);
    process.on("SIGTERM", action);
    return () => {
      process.off("SIGINT", action);
      process.off("SIGTERM", action);
    };
  },
};

useCompileCache();
const { run } = await import("./hipctl.ts");
process.exit(await run(process.argv.slice(2), io));
