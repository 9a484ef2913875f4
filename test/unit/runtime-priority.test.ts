/** The nice values of a process and its threads, in processes of their own. */
import { existsSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { attempt } from "../../tools/lab/shell.ts";

const MODULE = join(import.meta.dirname, "../../src/runtime/priority.ts");
const BASE = getPriority();

/** Gives itself a nice value, with a thread that has 5 more than the process. What it says of both, before and after. */
const PROGRAM = `
  import { readFileSync } from "node:fs";
  import { getPriority } from "node:os";
  import { Worker } from "node:worker_threads";
  import { keepSession, setNice } from ${JSON.stringify(MODULE)};
  const thread = new Worker(\`
    const { getPriority, setPriority } = require("node:os");
    const { parentPort } = require("node:worker_threads");
    setPriority(getPriority() + 5);
    parentPort.on("message", () => parentPort.postMessage(getPriority()));
  \`, { eval: true, execArgv: [] });
  const look = () => new Promise((resolve) => {
    thread.once("message", (nice) => resolve([getPriority(), nice]));
    thread.postMessage("");
  });
  const group = () => { try { return readFileSync("/proc/self/autogroup", "utf8").trim(); } catch { return ""; } };
  keepSession();
  const before = await look();
  const refused = process.argv.slice(1).map((nice) => setNice(Number(nice)) ?? "").join("");
  const after = await look();
  const later = new Worker('require("node:worker_threads").parentPort.postMessage(require("node:os").getPriority())', { eval: true, execArgv: [] });
  const inherited = await new Promise((resolve) => later.once("message", resolve));
  console.log(JSON.stringify({ before, refused, after, inherited, group: group() }));
  process.exit(0);
`;

interface Said {
  readonly before: readonly number[];
  readonly refused: string;
  readonly after: readonly number[];
  /** Of a thread that began afterwards. */
  readonly inherited: number;
  /** What the kernel says of its session. */
  readonly group: string;
}

async function said(nice: readonly number[], ...through: readonly string[]): Promise<Said> {
  const program = [process.execPath, "--input-type=module", "-e", PROGRAM, "--", ...nice.map(String)];
  const done = await attempt([...through, ...program]);
  expect(done.status, done.stderr).toBe(0);
  return JSON.parse(done.stdout) as Said;
}

describe("a nice value", () => {
  test("moves every thread by as much as the first", async () => {
    const nice = BASE + 3;
    const { before, refused, after, inherited } = await said([nice]);
    expect(before).toEqual([BASE, BASE + 5]);
    expect(refused).toBe("");
    expect(after).toEqual([nice, nice + 5]);
    expect(inherited).toBe(nice);
  });

  test("that is what it has already moves nothing", async () => {
    expect(await said([BASE])).toMatchObject({ refused: "", after: [BASE, BASE + 5] });
  });

  test("leaves no thread behind the last one that there is", async () => {
    expect(await said([19])).toMatchObject({ refused: "", after: [19, 19] });
  });

  test("leaves each thread in its place when it comes back", async () => {
    expect(await said([19, 17])).toMatchObject({ refused: "", after: [17, 19] });
  });

  test("that is refused changes nothing", async () => {
    const bounded = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-sys_nice"] : [];
    const { refused, after } = await said([BASE - 1], ...bounded, "prlimit", "--nice=0");
    expect(refused).toBe("EACCES");
    expect(after).toEqual([BASE, BASE + 5]);
  });

  test.skipIf(!existsSync("/proc/self/autogroup"))(
    "counts among sessions when it has one of its own (needs autogroups)",
    async () => {
      const nice = BASE + 3;
      expect((await said([nice], "setsid", "--wait")).group).toMatch(new RegExp(`nice ${nice}$`));
      // As a unit with Nice= starts it: then only the session has to be moved.
      expect((await said([nice], "nice", "-n", "3", "setsid", "--wait")).group).toMatch(
        new RegExp(`nice ${nice}$`),
      );
      expect((await said([nice])).group).not.toMatch(new RegExp(`nice ${nice}$`));
    },
  );
});
