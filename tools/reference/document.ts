/** docs/REFERENCE.md: every setting, command, exit status, metric, event, log line and drop reason, from where the program has them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command, Option as CommandOption } from "commander";
import { HELP } from "../../src/cli/hipd.ts";
import { EVENTS } from "../../src/overlay/event-catalogue.ts";
import { FATES } from "../../src/runtime/catalogue/data-drops.ts";
import { DROPS, type DropLayer } from "../../src/runtime/catalogue/drops.ts";
import { LOG_LINES, type LogLine } from "../../src/runtime/catalogue/log-lines.ts";
import { METRICS, type MetricMeaning } from "../../src/runtime/catalogue/metrics.ts";
import { below, hipctlCommands } from "./commands.ts";
import { configOptions } from "./options.ts";

const ROOT = join(import.meta.dirname, "../..");
export const REFERENCE = join(ROOT, "docs/REFERENCE.md");

export function referenceText(): string {
  return [
    "# Reference",
    "Made by `make reference` from the program itself; do not edit it. A test fails when it is out of date.",
    `- ${["Configuration", "hipd", "hipctl", "Exit statuses", "Metrics", "Events", "Log", "Drop reasons"].map((title) => `[${title}](#${title.toLowerCase().replaceAll(" ", "-")})`).join("\n- ")}`,
    configuration(),
    "## hipd",
    `\`\`\`\n${HELP.trimEnd()}\n\`\`\``,
    commands(),
    exitStatuses(),
    metrics(),
    events(),
    log(),
    drops(),
  ]
    .join("\n\n")
    .concat("\n");
}

/** A table in Markdown. */
function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
  return [line(titles), `|${"---|".repeat(titles.length)}`, ...rows.map(line)]
    .join("\n")
    .replaceAll("|  |", "| |");
}

function code(text: string): string {
  return `\`${text}\``;
}

function configuration(): string {
  const { options } = configOptions();
  const tables = [...new Set(options.map(({ table: name }) => name))];
  const heading = (name: string): string =>
    name === "" ? "### The top of the file" : `### ${name === "peer" ? "[[peer]]" : `[${name}]`}`;
  const parts = tables.map((name) => {
    const rows = options
      .filter((option) => option.table === name)
      .map(({ key, type, value, text }) => [code(key), type, code(value), text]);
    const third = name === "peer" ? "example" : "default or example";
    return `${heading(name)}\n\n${table(["key", "type", third, "meaning"], rows)}`;
  });
  const intro =
    "`/etc/hipd/hipd.toml` (TOML), read at the start and on `hipctl reload`. `hipd --check --config FILE` checks it. Durations are a number with\n`ms`, `s`, `m` or `h`. `deploy/hipd.toml` is the same as a file to begin with.";
  return ["## Configuration", intro, ...parts].join("\n\n");
}

function commands(): string {
  const program = hipctlCommands();
  const rows = program.commands.flatMap((each) => commandRows(each, ""));
  const general = program.options.map(optionText).join("<br>");
  const intro = "A peer is named by its name, HIT or LSI. For every command:";
  return ["## hipctl", intro, general, table(["command", "what it does", "options"], rows)].join("\n\n");
}

function commandRows(command: Command, path: string): readonly (readonly string[])[] {
  const name = `${path}${command.name()}`;
  const visible = below(command);
  if (visible.length > 0) return visible.flatMap((each) => commandRows(each, `${name} `));
  const words = command.registeredArguments.map((each) => {
    const more = each.variadic ? "..." : "";
    return each.required ? `<${each.name()}${more}>` : `[${each.name()}${more}]`;
  });
  const options = command.options.filter((option) => !option.hidden).map(optionText);
  return [[code([name, ...words].join(" ")), command.description(), options.join("<br>")]];
}

function optionText({ flags, description, argChoices, defaultValue }: CommandOption): string {
  const choices = argChoices === undefined ? "" : `: ${argChoices.join(", ")}`;
  const standard = typeof defaultValue === "string" ? ` (default: ${defaultValue})` : "";
  return `${code(flags)}: ${description}${choices}${standard}`;
}

function exitStatuses(): string {
  const text = readFileSync(join(ROOT, "docs/EXIT-STATUS.md"), "utf8");
  return `## Exit statuses\n\n${text.replace(/^# .*\n+/, "").trimEnd()}`;
}

function metrics(): string {
  const rows = (Object.entries(METRICS) as [string, MetricMeaning][]).map(
    ([name, { kind, help, labels }]) => [
      code(name),
      kind,
      help,
      Object.entries(labels)
        .map(([label, values]) => `${code(label)}: ${values}`)
        .join("<br>"),
    ],
  );
  const fates = Object.entries(FATES).map(([fate, meaning]) => [code(fate), meaning]);
  const intro =
    "On `[metrics] listen`, path `/metrics`; `/healthz` answers 200 while hipd works. Beside these there are the usual ones of Node.js programs:\n`process_start_time_seconds`, `process_cpu_seconds_total`, `process_resident_memory_bytes` (of C++ and JavaScript together),\n`nodejs_eventloop_lag_seconds` and its quantiles, `nodejs_heap_size_used_bytes`, `nodejs_gc_duration_seconds`. What never happened is 0 and\nnot absent. Dashboards are in `deploy/grafana/`, alert rules in `deploy/prometheus/`.";
  return [
    "## Metrics",
    intro,
    table(["metric", "type", "meaning", "labels"], rows),
    "`fate` of `hipd_packets_total`:",
    table(["fate", "meaning"], fates),
  ].join("\n\n");
}

function fieldText(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([field, meaning]) => `${code(field)}: ${meaning}`)
    .join("<br>");
}

function lineRows(lines: Readonly<Record<string, LogLine>>): readonly (readonly string[])[] {
  return Object.entries(lines).map(([name, { level, meaning, fields }]) => [
    code(name),
    level,
    meaning,
    fieldText(fields),
  ]);
}

const LINE_TITLES = ["event", "level", "meaning", "fields"];

function events(): string {
  const intro =
    "What `hipctl events` shows, `hipd_events_total` counts and the log tells. Each has a `number` that counts up from 1 without gaps, a time, and\nwhere a peer is concerned its name (`peer`) and its HIT (`hit`). Times in fields are milliseconds.";
  return ["## Events", intro, table(LINE_TITLES, lineRows(EVENTS))].join("\n\n");
}

function log(): string {
  const intro =
    'Standard output, one JSON object a line (`[log] format`), as the journal takes it: `journalctl -u hipd -o cat | jq`. In\nthe journal each line has the priority of its level: `journalctl -u hipd -p warning`. Every line has `level`\n(`debug`, `info`, `warn`, `error`), `time` (ISO 8601 in UTC), `event` (a stable word), `msg` (a sentence for people, which may change) and the\nfields of its event. Keys and other secrets cannot get in, whatever their field is called. Beside a line for each event above (debug lines\nonly with `level = "debug"`) there are:';
  return ["## Log", intro, table(LINE_TITLES, lineRows(LOG_LINES))].join("\n\n");
}

const LAYERS: Readonly<Record<DropLayer, string>> = {
  hip: "HIP packets, and what was made of them (`hip_drop_<reason>_total` of `hipctl counters`)",
  driver: "Between the protocol and the sockets (`drop_<reason>_total`)",
  data: "Packets of applications, and ESP (`drop_<reason>_total`)",
};

function drops(): string {
  const parts = (Object.keys(LAYERS) as DropLayer[]).map((layer) => {
    const rows = DROPS.filter((row) => row.layer === layer).map(({ reason, concern, meaning, remedy }) => [
      code(reason),
      concern === "look" ? "yes" : "",
      meaning,
      remedy,
    ]);
    return `### Layer ${code(layer)}\n\n${LAYERS[layer]}.\n\n${table(["reason", "look", "meaning", "what to do"], rows)}`;
  });
  const intro =
    "Every packet that is discarded is counted under one of these: `hipctl drops`, `hipd_drops_total`. Those with a `yes` should be looked at when\nthey grow; the others happen in any network now and then.";
  return ["## Drop reasons", intro, ...parts].join("\n\n");
}
