/** hipctl migrate prepare, cancel: tells peers beforehand that this host will be gone for a while. */
import type { Command } from "commander";
import { contextOf, timeSpan } from "../context.ts";
import type { Io } from "../output.ts";

interface Told {
  readonly peers: readonly string[];
  readonly seconds: number;
}

const DEFAULT_FOR = "10m";
const DAY = 24 * 60 * 60 * 1_000;

export function addMigrate(program: Command, io: Io): void {
  const migrate = program
    .command("migrate")
    .description("announce to peers that this host will be away, and perhaps come back elsewhere");

  migrate
    .command("prepare")
    .description("ask peers to wait for this host, and to keep their associations until it is back")
    .option("--for <time>", "how long at most: 90s, 10m, 2h", DEFAULT_FOR)
    .action(async (options: { for: string }, command: Command) => {
      const context = contextOf(command, io);
      const millis = timeSpan("--for", 1_000, DAY)(options.for);
      const told = await context.call<Told>("Away", { seconds: Math.ceil(millis / 1_000) });
      context.print(told, () => {
        const which =
          told.peers.length === 0
            ? "nobody was told: no peer has an association."
            : `told: ${told.peers.join(", ")}; they wait up to ${told.seconds} s.`;
        return `${which} Stop hipd before the machine is copied.\n`;
      });
    });

  migrate
    .command("cancel")
    .description("tell peers that this host stays after all")
    .action(async (_options, command: Command) => {
      const context = contextOf(command, io);
      const told = await context.call<Told>("Away", { seconds: 0 });
      context.print(told, () =>
        told.peers.length === 0
          ? "nobody was told: no peer has an association\n"
          : `told: ${told.peers.join(", ")}; they expect this host to stay\n`,
      );
    });
}
