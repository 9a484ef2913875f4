/** hipctl association list, show, close; hipctl connect. */
import type { Command } from "commander";
import { contextOf, LONGEST_WAIT, timeSpan } from "../context.ts";
import { ago, bytes, type Io, millis, stateStyle, table } from "../output.ts";
import { type AssociationDetails, associationText, pathStateText, pathStyle, pathText } from "../views.ts";
import { show, WATCH_FLAG, WATCH_HELP } from "../watch.ts";

const CONNECT_TIMEOUT = "20s";

export function addAssociation(program: Command, io: Io): void {
  const association = program.command("association").description("list, show and close associations");

  association
    .command("list")
    .description("show all associations")
    .option(WATCH_FLAG, WATCH_HELP)
    .action(async (options: { watch?: boolean }, command: Command) => {
      const text = ({ associations }: { associations: readonly AssociationDetails[] }): string =>
        listText(associations, io);
      await show(contextOf(command, io), { method: "ListAssociations", text }, options.watch === true);
    });

  association
    .command("show <peer>")
    .description("show the association with a peer, given by name, HIT or LSI")
    .option(WATCH_FLAG, WATCH_HELP)
    .action(async (peer: string, options: { watch?: boolean }, command: Command) => {
      const text = (view: AssociationDetails): string => associationText(view, io.now(), io.color);
      await show(
        contextOf(command, io),
        { method: "GetAssociation", request: { peer }, text },
        options.watch === true,
      );
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
    .option("--timeout <time>", "how long to wait: 20s, 500ms, 2m", CONNECT_TIMEOUT)
    .action(async (peer: string, options: { timeout: string }, command: Command) => {
      const context = contextOf(command, io);
      const timeoutMillis = timeSpan("--timeout", 100, LONGEST_WAIT)(options.timeout);
      const made = await context.call<Connected>(
        "Connect",
        { peer, timeoutMillis },
        timeoutMillis + 5_000,
        `waiting for an association with ${peer}`,
      );
      context.print(made, () => connectedText(made));
    });
}

/** The answer to Connect. */
export interface Connected {
  readonly association: AssociationDetails;
  readonly millis: number;
}

export function connectedText({ association, millis: took }: Connected): string {
  const { name, hit, suite, path } = association;
  return `${name} (${hit}) is reachable: ${pathText(path)}, ${suite ?? "no suite"}, after ${millis(took)}\n`;
}

export function listText(associations: readonly AssociationDetails[], io: Io): string {
  const now = io.now();
  return table(
    associations,
    [
      { title: "PEER", value: (each) => each.name },
      { title: "STATE", value: (each) => each.state, style: (each) => stateStyle(each.state) },
      { title: "ROLE", value: (each) => (each.role === "none" ? "" : each.role), spare: 2 },
      { title: "PATH", value: (each) => pathText(each.path), spare: 1 },
      { title: "PATH STATE", value: pathStateText, style: (each) => pathStyle(each.pathState) },
      { title: "SUITE", value: (each) => each.suite ?? "", spare: 4 },
      { title: "DH", value: (each) => each.dhGroup ?? "", spare: 5 },
      { title: "SPI IN", value: (each) => each.inSpi ?? "", spare: 3 },
      { title: "SPI OUT", value: (each) => each.outSpi ?? "", spare: 3 },
      { title: "SENT", value: (each) => bytes(each.txBytes), align: "right" },
      { title: "RECEIVED", value: (each) => bytes(each.rxBytes), align: "right" },
      { title: "FOR", value: (each) => ago(each.since, now), align: "right" },
    ],
    io.color,
    io.terminal?.columns(),
  );
}
