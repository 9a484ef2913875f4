/** The manual pages: the hand-written parts of docs/man, and in them what the program itself says. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command, Option as CommandOption } from "commander";
import { HELP } from "../../src/cli/hipd.ts";
import { below, hipctlCommands } from "../reference/commands.ts";
import { configOptions, type Option } from "../reference/options.ts";
import { bold, escaped, example, head, italic, item, prose, subsection } from "./roff.ts";

const ROOT = join(import.meta.dirname, "../..");

export interface Page {
  readonly name: string;
  readonly section: number;
  readonly text: string;
}

/** `date` is shown at the foot: YYYY-MM-DD. */
export function manualPages(version: string, date: string): readonly Page[] {
  const page = (
    name: string,
    number: number,
    manual: string,
    parts: Readonly<Record<string, () => string>>,
  ): Page => ({
    name,
    section: number,
    text: head(name, number, date, version, manual) + filled(`${name}.${number}`, parts),
  });
  return [
    page("hipd", 8, "System administration", {
      options: daemonOptions,
      "exit-status hipd": () => exitStatus(1),
    }),
    page("hipctl", 1, "User commands", {
      options: () => hipctlCommands().options.map(optionItem).join(""),
      commands: () =>
        hipctlCommands()
          .commands.flatMap((each) => commandText(each, "hipctl"))
          .join(""),
      "exit-status hipctl": () => exitStatus(2),
    }),
    page("hipd.toml", 5, "File formats", { settings: settingsText }),
  ];
}

/** The hand-written page with every `@name@` replaced, and `@example` ... `@end` as lines that stay as they are. */
function filled(file: string, parts: Readonly<Record<string, () => string>>): string {
  const text = readFileSync(join(ROOT, "docs/man", file), "utf8");
  const used = new Set<string>();
  const full = text
    .replace(/^@example\n([\s\S]*?)^@end\n/gm, (_all, lines: string) => example(lines))
    .replace(/^@(.+)@\n/gm, (_all, name: string) => {
      used.add(name);
      const part = parts[name];
      if (part === undefined) throw new Error(`docs/man/${file}: nothing is known of @${name}@`);
      return part();
    });
  for (const name of Object.keys(parts)) {
    if (!used.has(name)) throw new Error(`docs/man/${file} has no @${name}@`);
  }
  return full;
}

/** `--locator <address>` with what stands for a value in italics. */
function flags(text: string): string {
  return text
    .split(/(<[^>]+>|\[[^\]]+\])/)
    .map((part, i) => (i % 2 === 0 ? bold(part) : argument(part)))
    .join("");
}

/** `<peer>` as PEER, `[peer]` as [PEER]. */
function argument(text: string): string {
  const name = italic(text.slice(1, -1).toUpperCase());
  return text.startsWith("[") ? `[${name}]` : name;
}

function optionItem(option: CommandOption): string {
  const choices = option.argChoices === undefined ? "" : `: ${option.argChoices.join(", ")}`;
  return item(flags(option.flags), [`${sentence(option.description + choices)}`]);
}

/** A group of commands is a part of its own; a command is an item with its options below it. */
function commandText(command: Command, path: string): readonly string[] {
  const name = `${path} ${command.name()}`;
  const visible = below(command);
  if (visible.length > 0) {
    return [
      path === "hipctl" ? subsection(name) : "",
      `.PP\n${prose(sentence(command.description()))}\n`,
      ...visible.flatMap((each) => commandText(each, name)),
    ];
  }
  const synopsis = [
    bold(name),
    ...command.registeredArguments.map((each) =>
      argument(
        `${each.required ? "<" : "["}${each.name()}${each.variadic ? "..." : ""}${each.required ? ">" : "]"}`,
      ),
    ),
    ...(command.options.length > 0 ? [`[${italic("OPTION")} ...]`] : []),
  ].join(" ");
  const options = command.options.filter((option) => !option.hidden).map(optionItem);
  return [
    path === "hipctl" ? subsection(name) : "",
    item(synopsis, [sentence(command.description())]),
    ...(options.length > 0 ? [".RS\n", ...options, ".RE\n"] : []),
  ];
}

/** The options of hipd's own help. */
function daemonOptions(): string {
  const items: { flag: string; text: string }[] = [];
  for (const line of HELP.split("\n")) {
    const option = /^ {2}(--\S+(?: [A-Z]+)?)\s{2,}(\S.*)$/.exec(line);
    const more = /^ {10,}(\S.*)$/.exec(line);
    const last = items.at(-1);
    if (option !== null) items.push({ flag: option[1] as string, text: option[2] as string });
    else if (more !== null && last !== undefined) last.text += ` ${more[1]}`;
    else if (items.length > 0) break;
  }
  return items
    .map(({ flag, text }) => {
      const [name = "", value] = flag.split(" ");
      return item(bold(name) + (value === undefined ? "" : ` ${italic(value)}`), [sentence(text)]);
    })
    .join("");
}

/** One column of the table in docs/EXIT-STATUS.md. */
function exitStatus(column: number): string {
  const rows = readFileSync(join(ROOT, "docs/EXIT-STATUS.md"), "utf8")
    .split("\n")
    .map((row) =>
      row
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
    .filter(([status]) => status !== undefined && /^[0-9]+$/.test(status));
  return rows
    .filter((row) => row[column] !== "")
    .map((row) => {
      const same = row[column]?.replace(/^the same(?=[,;])/, row[column - 1] ?? "");
      return item(bold(row[0] as string), [sentence(same ?? "")]);
    })
    .join("");
}

function settingsText(): string {
  const { options } = configOptions();
  const tables = [...new Set(options.map((option) => option.table))];
  return tables
    .map((table) => {
      const title = table === "" ? "At the top" : table === "peer" ? "[[peer]]" : `[${table}]`;
      const own = options.filter((option) => option.table === table);
      return subsection(title) + own.map(settingItem).join("");
    })
    .join("");
}

function settingItem({ table, key, type, value, text }: Option): string {
  const shown = `${table === "peer" || NO_DEFAULT.has(`${table}.${key}`) ? "for example" : "default"} `;
  return item(`${bold(key)} (${escaped(type)}; ${shown}${bold(value)})`, [text]);
}

/** Where the example configuration shows a value that is not the default. */
const NO_DEFAULT = new Set(["identity.default", "control.group", "metrics.listen"]);

function sentence(text: string): string {
  const trimmed = text.trim();
  const whole = /[.!?:]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return /^hip(d|ctl)\b/.test(whole) ? whole : whole.charAt(0).toUpperCase() + whole.slice(1);
}
