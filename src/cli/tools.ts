/** Programs of the system that are asked for facts: never for long, never for much, and it is no error when one is not there. */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "../core/types.ts";

const TIMEOUT_MILLIS = 5_000;
const MAX_BYTES = 16 * 1024 * 1024;
/** Where administrators' programs are, which a user's PATH may lack. */
const FOLDERS = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

function findProgram(name: string): string | undefined {
  const path = (process.env["PATH"] ?? "").split(":").filter((folder) => folder.startsWith("/"));
  for (const folder of [...path, ...FOLDERS]) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {}
  }
  return undefined;
}

/** Standard output of a program that ended well; else why not, in one line. */
export function runTool(name: string, ...args: readonly string[]): Promise<Result<string, string>> {
  const program = findProgram(name);
  if (program === undefined) return Promise.resolve(err(`${name} is not installed`));
  return new Promise((resolve) => {
    const options = {
      timeout: TIMEOUT_MILLIS,
      maxBuffer: MAX_BYTES,
      killSignal: "SIGKILL" as const,
      env: { PATH: FOLDERS.join(":"), LC_ALL: "C" },
    };
    execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error === null) return resolve(ok(stdout));
      if (error.killed) return resolve(err(`${name} took longer than ${TIMEOUT_MILLIS / 1000} s`));
      const said = stderr.trim().split("\n")[0] || stdout.trim().split("\n")[0] || error.message;
      resolve(err(`${name}: ${said}`));
    });
  });
}
