/** Every `hipctl ...` that a document tells people to type is a command that exists, with options that it has. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { hipctlCommands } from "../../tools/reference/commands.ts";

const ROOT = join(import.meta.dirname, "../..");
const FILES = globSync(
  ["*.md", "docs/**/*.md", "deploy/**/*.{md,sh,toml,service}", "deploy/ansible/**/*.yml"],
  { cwd: ROOT },
)
  // Made from the commands themselves.
  .filter((file) => file !== "docs/REFERENCE.md");

const PROGRAM = hipctlCommands();

/** What stands between back-quotes or in fenced blocks; in a comment between quotes; the lines of what is neither. */
function code(file: string, text: string): readonly string[] {
  if (file.endsWith(".toml")) return [...text.matchAll(/"([^"\n]+)"/g)].map(([, quoted = ""]) => quoted);
  if (!file.endsWith(".md")) return text.replace(/\$\{[^}]*\}/g, "").split("\n");
  const found: string[] = [];
  const prose = text.replace(/^```[^\n]*\n([\s\S]*?)^```/gm, (_, block: string) => {
    found.push(...block.replaceAll("\\\n", " ").split("\n"));
    return "";
  });
  for (const [, span = ""] of prose.matchAll(/`([^`\n]+)`/g)) found.push(span);
  return found;
}

/** The words of each call, up to what belongs to the shell or to the sentence. */
function calls(line: string): readonly (readonly string[])[] {
  return [...line.matchAll(/(?:^|[\s/"'`(!=+])hipctl((?: +[^\s;&<>()`]+)*)/g)].map(([, rest = ""]) => {
    const words = rest.trim().split(/ +/);
    const end = words.findIndex((word) => /^(\||#|\\|\.\.\.$)/.test(word));
    return (end < 0 ? words : words.slice(0, end))
      .map((word) => word.replace(/["',.:]+$/, ""))
      .filter((word) => word !== "");
  });
}

/** What is wrong with a call, or undefined. */
function problem(words: readonly string[]): string | undefined {
  let at: Command = PROGRAM;
  let given = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (/^--?[a-z]/i.test(word)) {
      const flags = word.replace(/=.*/, "").split("|");
      const known = [...at.options, ...PROGRAM.options];
      const options = flags.map((flag) => known.find(({ long, short }) => flag === long || flag === short));
      const none = options.findIndex((option, j) => option === undefined && flags[j] !== "--help");
      if (none >= 0) return `"hipctl ${at.name()}" has no option ${flags[none]}`;
      if (options[0]?.required === true && !word.includes("=")) i++;
      continue;
    }
    const children = word.split("|").map((name) => at.commands.find((each) => each.name() === name));
    if (at.commands.length > 0) {
      if (/^[A-Z<[]/.test(word)) return undefined;
      if (children.includes(undefined)) return `"${at.name()}" has no command "${word}"`;
      at = children[0] as Command;
    } else {
      const { registeredArguments } = at;
      given++;
      if (given > registeredArguments.length && registeredArguments.at(-1)?.variadic !== true)
        return `"hipctl ${at.name()}" takes no argument "${word}"`;
    }
  }
  return undefined;
}

test("there are documents with commands", () => {
  const all = FILES.flatMap((file) => code(file, readFileSync(join(ROOT, file), "utf8")).flatMap(calls));
  expect(all.length).toBeGreaterThan(100);
});

test.each(FILES)("%s", (file) => {
  const wrong = code(file, readFileSync(join(ROOT, file), "utf8"))
    .flatMap(calls)
    .flatMap((words) => {
      const why = problem(words);
      return why === undefined ? [] : [`hipctl ${words.join(" ")}: ${why}`];
    });
  expect(wrong).toEqual([]);
});

describe("what is wrong is found", () => {
  test.each([
    ["hipctl foo", '"hipctl" has no command "foo"'],
    ["sudo hipctl peer ad x", '"peer" has no command "ad"'],
    ["bin/hipctl status --colour", '"hipctl status" has no option --colour'],
    ["hipctl status now", '"hipctl status" takes no argument "now"'],
    ["hipctl inventory export|throw", '"inventory" has no command "export|throw"'],
  ])("%s", (line, why) => {
    expect(calls(line).map(problem)).toEqual([why]);
  });

  test.each([
    "hipctl ping -c 3 db1 | grep x",
    'x="$(hipctl identity export)"',
    "hipctl inventory sign --key k a b -o c # all of them",
    "hipctl peer add NAME --hit HIT --locator ADDRESS",
    "hipctl --instance blue status; echo",
  ])("%s is right", (line) => {
    expect(calls(line).map(problem)).toEqual([undefined]);
  });
});
