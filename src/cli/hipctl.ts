/** The client's main program: reads the command line, runs one command, gives the exit status. */
import { Command, CommanderError } from "commander";
import { packageVersion } from "../runtime/version.ts";
import { arrange } from "./command-groups.ts";
import { addAssociation } from "./commands/association.ts";
import { addBundle } from "./commands/bundle.ts";
import { addCompletion } from "./commands/completion.ts";
import { addDns } from "./commands/dns.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addDrops } from "./commands/drops.ts";
import { addEvents } from "./commands/events.ts";
import { addIdentity } from "./commands/identity.ts";
import { addImage } from "./commands/image.ts";
import { addInventory } from "./commands/inventory.ts";
import { addLocator } from "./commands/locator.ts";
import { addMigrate } from "./commands/migrate.ts";
import { addNetcheck } from "./commands/netcheck.ts";
import { addPeer } from "./commands/peer.ts";
import { addPing } from "./commands/ping.ts";
import { addReport } from "./commands/report.ts";
import { addStatus } from "./commands/status.ts";
import { addTakeover } from "./commands/takeover.ts";
import { addTop } from "./commands/top.ts";
import { addWait } from "./commands/wait.ts";
import { addWhy } from "./commands/why.ts";
import { CommandFailure, DEFAULT_SOCKET } from "./context.ts";
import { EXIT, type ExitStatus } from "./exit.ts";
import type { Io } from "./output.ts";

const EPILOGUE = `
A peer is named by its name, HIT or LSI.

Exit status: 0 ok, 1 it did not work, 2 wrong usage, 3 wrong configuration,
             4 lacking permission, 5 hipd does not answer, 6 no such name (or
             there is one already), 7 timeout.
Environment: HIPD_SOCKET like --socket; HIPD_INSTANCE like --instance;
             NO_COLOR for no colours.
`;

/** All commands with their options and help: to run, and to describe elsewhere. */
export function hipctl(io: Io): Command {
  const program = new Command("hipctl")
    .description("Look at and control hipd, the host identity overlay daemon.")
    .option("--json", "answer in JSON, for programs (docs/JSON.md)")
    .option("--socket <path>", `hipd's control socket (default: ${DEFAULT_SOCKET})`)
    .option("--instance <name>", "ask the hipd of this overlay, where the host has several")
    .version(packageVersion(), "-V, --version", "print the version of hipctl")
    .addHelpText("after", EPILOGUE)
    .showSuggestionAfterError()
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: io.out,
      writeErr: io.error,
      outputError: (text, write) => write(`hipctl: ${text.replace(/^error: /, "")}`),
    });
  addStatus(program, io);
  addIdentity(program, io);
  addPeer(program, io);
  addAssociation(program, io);
  addLocator(program, io);
  addInventory(program, io);
  addImage(program, io);
  addMigrate(program, io);
  addPing(program, io);
  addEvents(program, io);
  addDrops(program, io);
  addTakeover(program, io);
  addTop(program, io);
  addWait(program, io);
  addWhy(program, io);
  addReport(program, io);
  addDns(program, io);
  addDoctor(program, io);
  addNetcheck(program, io);
  addBundle(program, io);
  addCompletion(program, io);
  arrange(program);
  inherit(program);
  return program;
}

/** Runs one command line, without the program's name. */
export async function run(argv: readonly string[], io: Io): Promise<ExitStatus> {
  try {
    await hipctl(io).parseAsync([...argv], { from: "user" });
    return EXIT.ok;
  } catch (error) {
    if (error instanceof CommandFailure) {
      // Without a message, what was printed says it.
      const lines = error.message === "" ? [] : error.message.split("\n");
      for (const line of lines) io.error(`hipctl: ${line}\n`);
      return error.status;
    }
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    throw error;
  }
}

/** Settings that commander does not hand down to commands of commands by itself. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command);
    inherit(child);
  }
}
