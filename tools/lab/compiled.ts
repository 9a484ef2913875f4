/** Small programs of the laboratory, compiled when they are first needed. */
import { existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { run } from "./shell.ts";

const FOLDER = join(import.meta.dirname, "../../build/lab");

/** The path of the program whose source is NAME.cc beside this file. */
export async function compiled(name: string): Promise<string> {
  const source = join(import.meta.dirname, `${name}.cc`);
  const program = join(FOLDER, name);
  if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(FOLDER, { recursive: true });
    // Several test files may come here at once: each makes its own and puts it in place whole.
    const own = `${program}.${process.pid}`;
    await run(["g++", "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-o", own, source]);
    renameSync(own, program);
  }
  return program;
}
