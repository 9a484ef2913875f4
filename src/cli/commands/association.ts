/** hipctl association list, show, close; hipctl connect. */
import type { Command } from "commander";
import { contextOf, seconds } from "../context.ts";
import { ago, bytes, type Io, millis, stateStyle, table } from "../output.ts";
import { type AssociationDetails, associationText, pathStateText, pathStyle, pathText } from "../views.ts";

const CONNECT_SECONDS = "20";

export function addAssociation(program: Command, io: Io): void {
  const association = program.command("association").description("list, show and close associations");

  association
    .command("list")
    .description("show all associations")
    .action(async (_options, command: Command) => {
      const context = contextOf(command, io);
      const list = await context.call<{ associations: readonly AssociationDetails[] }>("ListAssociations");
      context.print(list, () => listText(list.associations, io));
    });

  association
    .command("show <peer>")
    .description("show the association with a peer, given by name, HIT or LSI")
    .action(async (peer: string, _options, command: Command) => {
      const context = contextOf(command, io);
      const view = await context.call<AssociationDetails>("GetAssociation", { peer });
      context.print(view, () => associationText(view, io.now(), io.color));
    });

  association
    .command("close <peer>")
    .description("close the association with a peer; the next packet makes a new one")
    .action(async (peer: string, _options, command: Command) => {
      const context = contextOf(command, io);
      const closing = await context.call<{ name: string; was: string }>("CloseAssociation", { peer });
      context.print(closing, () => `closing the association with ${closing.name} (it was ${closing.was})\n`);
    });

  program
    .command("connect <peer>")
    .description("make the association with a peer now, and wait for it")
    .option("--timeout <seconds>", "how long to wait", CONNECT_SECONDS)
    .action(async (peer: string, options: { timeout: string }, command: Command) => {
      const context = contextOf(command, io);
      const timeoutMillis = seconds("--timeout", 100, 3_600_000)(options.timeout);
      const made = await context.call<{ association: AssociationDetails; millis: number }>(
        "Connect",
        { peer, timeoutMillis },
        timeoutMillis + 5_000,
      );
      context.print(made, () => {
        const { name, hit, suite, path } = made.association;
        return `${name} (${hit}) is reachable: ${pathText(path)}, ${suite ?? "no suite"}, after ${millis(made.millis)}\n`;
      });
    });
}

export function listText(associations: readonly AssociationDetails[], io: Io): string {
  const now = io.now();
  return table(
    associations,
    [
      { title: "PEER", value: (each) => each.name },
      { title: "STATE", value: (each) => each.state, style: (each) => stateStyle(each.state) },
      { title: "ROLE", value: (each) => (each.role === "none" ? "" : each.role) },
      { title: "PATH", value: (each) => pathText(each.path) },
      { title: "PATH STATE", value: pathStateText, style: (each) => pathStyle(each.pathState) },
      { title: "SUITE", value: (each) => each.suite ?? "" },
      { title: "DH", value: (each) => each.dhGroup ?? "" },
      { title: "SPI IN", value: (each) => each.inSpi ?? "" },
      { title: "SPI OUT", value: (each) => each.outSpi ?? "" },
      { title: "SENT", value: (each) => bytes(each.txBytes), align: "right" },
      { title: "RECEIVED", value: (each) => bytes(each.rxBytes), align: "right" },
      { title: "FOR", value: (each) => ago(each.since, now), align: "right" },
    ],
    io.color,
  );
}
