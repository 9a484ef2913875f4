/** hipctl why: every step from a name to a path, each with its verdict. */
import type { Command } from "commander";
import { CommandFailure, contextOf, usage } from "../context.ts";
import { EXIT } from "../exit.ts";
import { type Io, styled } from "../output.ts";
import { findingsText } from "../verdict.ts";
import type { Explanation } from "../why/explain.ts";
import { parseService } from "../why/sockets.ts";

export function addWhy(program: Command, io: Io): void {
  program
    .command("why <peer> [service]")
    .description("explain whether traffic can flow to a name, HIT, LSI or address; service: tcp/22, udp/53")
    .action(async (argument: string, wanted: string | undefined, _options, command: Command) => {
      const context = contextOf(command, io);
      const service = wanted === undefined ? null : parseService(wanted);
      if (service === undefined) throw usage(`"${wanted}" is not a service like tcp/22 or udp/53`);
      const [{ explain }, { gatherFacts }] = await Promise.all([
        import("../why/explain.ts"),
        import("../why/facts.ts"),
      ]);
      const explanation = await context.withClient(async (client) =>
        explain(await gatherFacts(client, argument, service, io.now())),
      );
      context.print(explanation, () => whyText(explanation, io.color, io.terminal?.columns()));
      if (!explanation.flows) throw new CommandFailure(EXIT.failed, "");
    });
}

export function whyText(
  { steps, conclusion, next, flows }: Explanation,
  color: boolean,
  width?: number,
): string {
  const end = styled(conclusion, flows ? "green" : "yellow", color);
  return `${findingsText(steps, color, width)}\n${end}\n${next === null ? "" : `Next: ${next}\n`}`;
}
