/** hipctl netcheck: where this host is, what a NAT makes of it, and how each peer is reached. */
import type { Command } from "commander";
import { contextOf, usage } from "../context.ts";
import type { Io } from "../output.ts";

interface Options {
  readonly passive?: boolean;
  readonly connect?: boolean;
}

export function addNetcheck(program: Command, io: Io): void {
  program
    .command("netcheck [peer...]")
    .description("show locators, NAT, and how each peer is reached: round trip, loss, MTU")
    .option("--passive", "send nothing: only what hipd knows already")
    .option("--connect", "also make associations with peers that have none")
    .action(async (peers: readonly string[], options: Options, command: Command) => {
      if (options.passive === true && options.connect === true)
        throw usage("--passive and --connect exclude each other");
      const context = contextOf(command, io);
      const [{ netcheck }, { reportText }] = await Promise.all([
        import("../netcheck/netcheck.ts"),
        import("../netcheck/text.ts"),
      ]);
      const probe = options.passive === true ? "none" : options.connect === true ? "all" : "associated";
      const report = await context.withClient(async (client) => {
        let cancel = (): void => {};
        const restore = io.onInterrupt(() => cancel());
        try {
          return await netcheck(client, {
            peers,
            probe,
            progress: (text) => io.progress?.(text),
            onCancel: (action) => {
              cancel = action;
            },
          });
        } finally {
          restore();
        }
      });
      context.print(report, () => reportText(report, io));
    });
}
