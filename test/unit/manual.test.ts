/** The manual pages: complete, and clean for those who format them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { HELP } from "../../src/cli/hipd.ts";
import { manualPages } from "../../tools/man/pages.ts";
import { example, item, prose } from "../../tools/man/roff.ts";
import { below, hipctlCommands } from "../../tools/reference/commands.ts";
import { configOptions, EXAMPLE } from "../../tools/reference/options.ts";

const pages = manualPages("1.2.3", "2026-01-02");
const groff = spawnSync("groff", ["--version"]).status === 0;

/** As a reader sees it, without bold and spaces at the ends of lines. */
function formatted(roff: string): { readonly text: string; readonly warnings: string } {
  const done = spawnSync("groff", ["-man", "-Tutf8", "-Kutf8", "-ww", "-P-c"], {
    input: roff,
    encoding: "utf8",
  });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: overstriking is how terminals were told of bold letters
  return { text: done.stdout.replace(/.\x08/g, ""), warnings: done.stderr };
}

function leaves(command: Command, path: string): readonly string[] {
  const visible = below(command);
  if (visible.length === 0) return [path];
  return visible.flatMap((each) => leaves(each, `${path} ${each.name()}`));
}

describe("manual pages", () => {
  test.skipIf(!groff).each(pages)(
    `$name($section) is formatted without a warning${groff ? "" : " (needs groff)"}`,
    ({ text }) => {
      expect(formatted(text).warnings).toBe("");
    },
  );

  test("hipctl(1) has every command and every option", () => {
    const text = pages.find(({ name }) => name === "hipctl")?.text.replaceAll("\\-", "-") ?? "";
    const program = hipctlCommands();
    for (const path of leaves(program, "hipctl")) expect(text).toContain(`\\fB${path}\\fR`);
    const walk = (command: Command): void => {
      for (const option of command.options) {
        if (!option.hidden) expect(text, command.name()).toContain(option.long ?? option.flags);
      }
      command.commands.forEach(walk);
    };
    walk(program);
  });

  test("hipd(8) has every option of hipd's help", () => {
    const text = pages.find(({ name }) => name === "hipd")?.text.replaceAll("\\-", "-") ?? "";
    const options = [...HELP.matchAll(/^ {2}(--[a-z-]+)/gm)].map((match) => match[1] as string);
    expect(options.length).toBeGreaterThan(4);
    for (const option of options) expect(text).toContain(`\\fB${option}\\fR`);
  });

  test("hipd.toml(5) has every setting with its default", () => {
    const text = pages.find(({ name }) => name === "hipd.toml")?.text ?? "";
    for (const { key } of configOptions().options) expect(text).toContain(`\\fB${key}\\fR (`);
    expect(text).toContain("integer from 1 to 65535; default \\fB10500\\fR");
  });

  test("text is never taken for markup", () => {
    expect(prose(".SH is `a-b` \\ and 'c")).toBe("\\&.SH is \\fBa\\-b\\fR \\e and \\(aqc");
    expect(example("'x\n.y")).toContain("\\(aqx\n\\&.y");
    expect(item("t", [".first", "second"])).toBe(".TP\nt\n\\&.first\n.IP\nsecond\n");
  });
});

describe("the example configuration as the source of texts", () => {
  test("explains every setting of the schema, each by a comment of its own", () => {
    expect(configOptions().problems).toEqual([]);
  });

  test("a setting without a comment, and one that is not there, are told", () => {
    const text = readFileSync(EXAMPLE, "utf8");
    const without = text.replace(/^.*\nport = 10500$/m, "\nport = 10500").replace(/^# mtu = 0\n/m, "");
    expect(configOptions(without).problems).toEqual([
      "[network] port has no comment of its own above it",
      "network mtu is not in the example",
    ]);
  });
});

describe("man", () => {
  const man = spawnSync("man", ["--version"]).status === 0 && groff;
  test.skipIf(!man)(`-l shows the pages${man ? "" : " (needs man-db)"}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "hipd-man-"));
    try {
      for (const { name, section, text } of pages) {
        const file = join(folder, `${name}.${section}`);
        writeFileSync(file, text);
        const done = spawnSync("man", ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", file], {
          encoding: "utf8",
          env: { ...process.env, LC_ALL: "C.UTF-8", MANWIDTH: "80", MANROFFSEQ: "" },
        });
        expect(done.stderr).toBe("");
        expect(done.stdout.length).toBeGreaterThan(1000);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
