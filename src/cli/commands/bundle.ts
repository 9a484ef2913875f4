/** hipctl bundle: an archive for whoever is asked for help. */

import { accessSync, constants } from "node:fs";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { exists, whyNot, writeAtomically } from "../../runtime/files.ts";
import { CommandFailure, contextOf, usage, wholeNumber } from "../context.ts";
import { CONFIG_OPTION, whereOf } from "../doctor/where.ts";
import { EXIT } from "../exit.ts";
import { bytes, type Io } from "../output.ts";

interface Options {
  readonly output?: string;
  /** commander's name for --no-addresses. */
  readonly addresses: boolean;
  readonly events: string;
}

export function addBundle(program: Command, io: Io): void {
  program
    .command("bundle")
    .description("write an archive for support: state, events, configuration, checks; never a key")
    .option("-o, --output <file>", "where to (default: hipd-bundle-HOST-TIME.tar.gz here)")
    .option("--no-addresses", "pseudonyms instead of addresses, HITs and names of hosts")
    .option("--events <number>", "how many of the last events", "500")
    .option(...CONFIG_OPTION)
    .action(async (options: Options, command: Command) => {
      const context = contextOf(command, io);
      const events = wholeNumber("--events", 0, 1_000_000)(options.events);
      const time = new Date(io.now()).toISOString().replace(/[-:]|\.\d+/g, "");
      const host = options.addresses ? `-${hostname().replace(/[^A-Za-z0-9.-]/g, "_")}` : "";
      const root = `hipd-bundle${host}-${time}`;
      const file = resolve(options.output ?? `${root}.tar.gz`);
      if (options.output === "-")
        throw usage("--output: an archive is no text for the terminal; name a file");
      if (exists(file)) throw new CommandFailure(EXIT.name, `${file}: exists already and is not replaced`);
      mustBeWritable(file);
      const { makeBundle } = await import("../bundle/bundle.ts");
      const bundle = await makeBundle(
        {
          ...whereOf(command, io),
          addresses: options.addresses,
          events,
          root,
        },
        io,
      );
      try {
        writeAtomically(file, bundle.bytes, 0o600);
      } catch (error) {
        throw new CommandFailure(EXIT.failed, `${file}: cannot be written: ${whyNot(error)}`);
      }
      const { files, missing } = bundle;
      const answer = { file, bytes: bundle.bytes.length, addresses: options.addresses, files, missing };
      context.print(answer, () => {
        const left = missing.map(({ name, why }) => `  without ${name}: ${why}\n`).join("");
        const size = `${bytes(bundle.bytes.length)}, ${files.length} files`;
        return `${left}wrote ${file} (${size}); look through it before you give it away: tar -tzf ${file}\n`;
      });
    });
}

/** Before the work, not after it. */
function mustBeWritable(file: string): void {
  try {
    accessSync(dirname(file), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new CommandFailure(EXIT.failed, `${file}: cannot be written: ${whyNot(error)}`);
  }
}
