/** hipctl drops: what was discarded since the start, what it means and what to do. */
import type { Command } from "commander";
import { type CountedDrop, DROPS, dropsIn } from "../../runtime/catalogue/drops.ts";
import { CommandFailure, contextOf } from "../context.ts";
import { EXIT } from "../exit.ts";
import { duration, type Io, styled, table } from "../output.ts";
import type { StatusView } from "../views.ts";

export interface DropsView {
  /** Time of the daemon's start. */
  readonly since: string;
  readonly drops: readonly CountedDrop[];
}

export function addDrops(program: Command, io: Io): void {
  program
    .command("drops [reason]")
    .description("show what was discarded since the start, what it means and what to do")
    .option("--all", "also what never happened")
    .action(async (reason: string | undefined, options: { all?: boolean }, command: Command) => {
      const context = contextOf(command, io);
      const { startedAt } = await context.call<StatusView>("GetStatus");
      const { counters } = await context.call<{ counters: Record<string, number> }>("GetCounters");
      const view = dropsView(counters, startedAt, reason, options.all === true);
      context.print(view, () => dropsText(view, reason !== undefined, io));
    });
}

export function dropsView(
  counters: Readonly<Record<string, number>>,
  since: string,
  reason: string | undefined,
  all: boolean,
): DropsView {
  const counted = dropsIn(counters);
  const never = DROPS.filter(
    (row) => !counted.some((one) => one.reason === row.reason && one.layer === row.layer),
  ).map((row): CountedDrop => ({ ...row, count: 0 }));
  if (reason === undefined) {
    const happened = counted.filter(({ count }) => count > 0);
    const rest = [...counted.filter(({ count }) => count === 0), ...never];
    return { since, drops: all ? [...happened, ...rest] : happened };
  }
  const drops = [...counted, ...never].filter((row) => row.reason === reason);
  if (drops.length === 0)
    throw new CommandFailure(EXIT.name, `there is no drop reason "${reason}"; hipctl drops --all lists them`);
  return { since, drops };
}

export function dropsText({ since, drops }: DropsView, remedies: boolean, io: Io): string {
  const span = duration((io.now() - Date.parse(since)) / 1000);
  if (drops.length === 0) return `Nothing was discarded since the start ${span} ago.\n`;
  const rows = table(
    drops,
    [
      { title: "REASON", value: ({ reason }) => reason },
      { title: "LAYER", value: ({ layer }) => layer, spare: 2 },
      {
        title: "COUNT",
        value: ({ count }) => String(count),
        align: "right",
        style: ({ concern, count }) => (concern === "look" && count > 0 ? "yellow" : undefined),
      },
      { title: "MEANING", value: ({ meaning }) => meaning },
    ],
    io.color,
    io.terminal?.columns(),
  );
  const told = remedies ? drops : drops.filter(({ concern, count }) => concern === "look" && count > 0);
  const advice = told.map(({ reason, remedy }) => `${styled(reason, "bold", io.color)}: ${remedy}\n`);
  const head = `Discarded since the start ${span} ago:\n\n${rows}`;
  return advice.length === 0 ? head : `${head}\nWhat to do:\n${advice.join("")}`;
}
