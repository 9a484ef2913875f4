/** hipctl's help reads as one piece: whoever adds a command keeps to what the others do. */
import type { Command, Option } from "commander";
import { describe, expect, test } from "vitest";
import { below, hipctlCommands } from "../../tools/reference/commands.ts";
import { hipctl } from "../support/cli.ts";

const root = hipctlCommands();

function walk(command: Command, path = ""): readonly (readonly [path: string, command: Command])[] {
  return below(command).flatMap((each) => {
    const name = `${path}${each.name()}`;
    return [[name, each] as const, ...walk(each, `${name} `)];
  });
}

const ALL = walk(root);

test("the list of commands stands under headings, fits 80 columns, and forgets none", async () => {
  const { out, status } = await hipctl(["--help"]);
  expect(status).toBe(0);
  expect(out.match(/^\S.*:$/gm)).toEqual([
    "Options:",
    "Look at it:",
    "Peers and the ways to them:",
    "When something is wrong:",
    "This host:",
    "Others:",
  ]);
  for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  const others = out.slice(out.indexOf("Others:")).match(/^ {2}[a-z]\S*/gm);
  expect(others?.map((name) => name.trim())).toEqual(["completion", "help"]);
  for (const command of root.commands) expect(out).toMatch(new RegExp(`^ {2}${command.name()}( |$)`, "m"));
});

describe.each(ALL)("%s", (_path, command) => {
  const options: readonly Option[] = command.options.filter((option) => !option.hidden);
  test("says in a line what it does", () => {
    expect(command.description()).toMatch(/^[a-z].*[^.\s]$/);
    expect(command.description().length).toBeLessThanOrEqual(110);
  });
  test("calls things as the others do", () => {
    for (const { flags, long, description } of options) {
      expect(description, flags).toMatch(/^\S.*[^.\s]$/);
      expect(description[0], flags).toBe(description[0]?.toLowerCase());
      if (["--timeout", "--interval", "--for"].includes(String(long))) expect(flags).toMatch(/ <time>$/);
      if (["--count", "--since", "--events"].includes(String(long))) expect(flags).toMatch(/ <number>$/);
      if (long === "--output") expect(flags).toBe("-o, --output <file>");
      expect(long, `${flags}: it is called --output`).not.toBe("--out");
    }
  });
});

test("every command that shows something takes --watch, or is a stream itself", () => {
  const watching = ALL.filter(([, command]) => command.options.some(({ long }) => long === "--watch"));
  expect(watching.map(([path]) => path)).toEqual([
    "status",
    "peer list",
    "peer show",
    "association list",
    "association show",
    "locator list",
  ]);
});
