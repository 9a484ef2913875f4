/** hipctl status, counters, version, reload. */
import type { Command } from "commander";
import type { ReloadReport } from "../../runtime/control-convert.ts";
import { packageVersion } from "../../runtime/version.ts";
import { contextOf } from "../context.ts";
import { duration, type Io, pairs, table } from "../output.ts";
import { peerColumns, type StatusView } from "../views.ts";
import { show, WATCH_FLAG, WATCH_HELP } from "../watch.ts";

export function addStatus(program: Command, io: Io): void {
  program
    .command("status")
    .description("show this host and all its peers")
    .option(WATCH_FLAG, WATCH_HELP)
    .action(async (options: { watch?: boolean }, command: Command) => {
      const text = (status: StatusView): string => statusText(status, io);
      await show(contextOf(command, io), { method: "GetStatus", text }, options.watch === true);
    });

  program
    .command("counters")
    .description("show every counter of hipd and its data plane")
    .option("--all", "also those that are zero")
    .action(async (options: { all?: boolean }, command: Command) => {
      const context = contextOf(command, io);
      const { counters } = await context.call<{ counters: Record<string, number> }>("GetCounters");
      const sorted = Object.entries(counters).sort(([a], [b]) => (a < b ? -1 : 1));
      const shown = sorted.filter(([, value]) => options.all === true || context.json || value !== 0);
      context.print(Object.fromEntries(sorted), () => countersText(shown, sorted.length, io.color));
    });

  program
    .command("reload")
    .description("make hipd read its configuration again and apply the differences")
    .action(async (_options, command: Command) => {
      const context = contextOf(command, io);
      const report = await context.call<ReloadReport>("Reload");
      context.print(report, () => reloadText(report));
    });

  program
    .command("version")
    .description("show the versions of hipctl and of the running hipd")
    .action(async (_options, command: Command) => {
      const context = contextOf(command, io);
      const hipd = await context.call<{ version: string }>("GetVersion").then(
        ({ version }) => version,
        () => null,
      );
      const versions = { hipctl: packageVersion(), hipd };
      context.print(versions, () => `hipctl ${versions.hipctl}\nhipd   ${hipd ?? "does not answer"}\n`);
    });
}

export function statusText(status: StatusView, io: Io): string {
  const { self, peers } = status;
  const own = self.identities.find((identity) => identity.default);
  const others = self.identities.length - 1;
  const head = pairs(
    [
      ["hipd", `${status.version}, up ${duration(status.uptimeSeconds)}`],
      ["HIT", `${self.hit}${own === undefined ? "" : `  (${own.name}, ${own.algorithm})`}`],
      ["LSI", `${self.lsi}  (prefix ${self.lsiPrefix})`],
      ["identities", others > 0 ? `${self.identities.length}, see: hipctl identity list` : ""],
      ["interface", self.interface],
      [
        "listening",
        `UDP port ${self.port}${self.addresses.length === 0 ? "" : ` on ${self.addresses.join(", ")}`}`,
      ],
    ],
    io.color,
  );
  if (peers.length === 0)
    return `${head}\nNo peers. Add one: hipctl peer add NAME --hit HIT --locator ADDRESS\n`;
  return `${head}\n${table(peers, peerColumns(io.now()), io.color, io.terminal?.columns())}`;
}

function countersText(shown: readonly (readonly [string, number])[], all: number, color: boolean): string {
  const hidden = all - shown.length;
  const rows = table(
    shown,
    [
      { title: "COUNTER", value: ([name]) => name },
      { title: "VALUE", value: ([, value]) => String(value), align: "right" },
    ],
    color,
  );
  return hidden === 0 ? rows : `${rows}(${hidden} more are zero: --all)\n`;
}

export function reloadText(report: ReloadReport): string {
  const lines: string[] = [];
  const say = (what: string, names: readonly string[]): void => {
    if (names.length > 0) lines.push(`${what}: ${names.join(", ")}`);
  };
  say("peers added", report.added);
  say("peers removed", report.removed);
  say("peers changed", report.changed);
  if (report.identities) lines.push("identities changed");
  if (report.locators) lines.push("locators and paths changed");
  if (report.host) lines.push("protocol settings changed");
  if (lines.length === 0) lines.push("nothing changed");
  say("takes effect after a restart", report.needsRestart);
  return `${lines.join("\n")}\n`;
}
