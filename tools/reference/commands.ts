/** hipctl's commands as they are described, without one that runs: for manual pages, docs/REFERENCE.md and what checks them. */
import type { Command } from "commander";
import { hipctl } from "../../src/cli/hipctl.ts";

export function hipctlCommands(): Command {
  return hipctl({
    out: () => {},
    error: () => {},
    color: false,
    environment: {},
    now: () => 0,
    input: async () => new Uint8Array(0),
    onInterrupt: () => () => {},
  });
}

/** The commands below this one that are its own: all but `help`. */
export function below(command: Command): readonly Command[] {
  return command.commands.filter((each) => each.name() !== "help");
}
