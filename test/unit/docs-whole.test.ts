/** Documents are whole: links lead somewhere, what is there is linked, and lists of commands and methods forget none. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { below, hipctlCommands } from "../../tools/reference/commands.ts";

const ROOT = join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const FILES = globSync(["*.md", "docs/**/*.md", "deploy/**/*.md"], { cwd: ROOT });

const prose = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, "");

/** As the pages of repositories name headings. */
function anchors(file: string): readonly string[] {
  return [...prose(read(file)).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** The local links of a file: the file that is meant, and the heading in it. */
function links(file: string): readonly { readonly target: string; readonly anchor: string }[] {
  return [...prose(read(file)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = ""]) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [path = "", anchor = ""] = link.split("#");
      return { target: path === "" ? file : normalize(join(dirname(file), path)), anchor };
    });
}

test.each(FILES)("the links of %s lead somewhere", (file) => {
  const broken = links(file).filter(
    ({ target, anchor }) =>
      !existsSync(join(ROOT, target)) || (anchor !== "" && !anchors(target).includes(anchor)),
  );
  expect(broken).toEqual([]);
});

test("every document is found from the README", () => {
  const found = new Set(["README.md"]);
  for (const file of found) {
    for (const { target } of links(file)) {
      const folder = target.endsWith("/") ? FILES.filter((each) => each.startsWith(target)) : [target];
      for (const each of folder) if (FILES.includes(each)) found.add(each);
    }
  }
  expect(FILES.filter((file) => !found.has(file))).toEqual([]);
});

test("docs/JSON.md has the answer of every command", () => {
  const names = (command: Command, path = ""): readonly string[] =>
    below(command).flatMap((each) => {
      const name = `${path}${each.name()}`;
      return below(each).length > 0 ? names(each, `${name} `) : [name];
    });
  const text = read("docs/JSON.md");
  // It prints a script, for shells.
  const missing = names(hipctlCommands()).filter(
    (name) => name !== "completion" && !text.includes(`\`${name}`),
  );
  expect(missing).toEqual([]);
});

test("docs/CONTROL-API.md has every method", () => {
  const methods = [...read("proto/hipd/v1/control.proto").matchAll(/^ {2}rpc (\w+)\(/gm)];
  expect(methods.length).toBeGreaterThan(20);
  const text = read("docs/CONTROL-API.md");
  expect(methods.map(([, name]) => name).filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});
