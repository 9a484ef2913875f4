/** --watch: the same answer again when something changed, until somebody has seen enough. */
import { afterEach, expect, test } from "vitest";
import { run } from "../../src/cli/hipctl.ts";
import { QUIET, recorder } from "../support/cli.ts";
import { Machine } from "../support/machine.ts";

const machines: Machine[] = [];
afterEach(async () => {
  await Promise.all(machines.splice(0).map((each) => each.stop()));
});

async function machine(): Promise<Machine> {
  const made = new Machine("192.0.2.1");
  machines.push(made);
  await made.start();
  return made;
}

/** A command that goes on: what it wrote so far, and how it ended. */
function begin(a: Machine, ...argv: readonly string[]) {
  let interrupt = (): void => {};
  const { io, written } = recorder({
    onInterrupt: (action) => {
      interrupt = action;
      return () => {};
    },
  });
  const ended = run(["--socket", a.socket, ...argv], io);
  return { out: () => written.out, error: () => written.error, interrupt: () => interrupt(), ended };
}

const add = (a: Machine, name: string, last: number) =>
  a.ctl(["peer", "add", name, "--hit", `2001:22::${last}`, "--locator", "192.0.2.9"]);

test("a program gets one value a line, a first one at once", async () => {
  const a = await machine();
  const watching = begin(a, "peer", "list", "--watch", "--json");
  await expect.poll(watching.out).toBe('{"peers":[]}\n');
  await add(a, "b", 2);
  await expect.poll(() => watching.out().trim().split("\n").length).toBeGreaterThan(1);
  watching.interrupt();
  expect(await watching.ended).toBe(0);
  const last = JSON.parse(watching.out().trim().split("\n").at(-1) ?? "") as { peers: { name: string }[] };
  expect(last.peers.map(({ name }) => name)).toEqual(["b"]);
});

test("people see when it was", async () => {
  const a = await machine();
  await add(a, "b", 2);
  for (const argv of [["status"], ["peer", "show", "b"], ["association", "list"], ["locator", "list"]]) {
    const watching = begin(a, ...argv, "--watch");
    await expect.poll(watching.out).toMatch(/^2025-01-02T03:04:05\.000Z\n\S/);
    watching.interrupt();
    expect(await watching.ended, argv.join(" ")).toBe(0);
  }
});

test("many changes at once do not make as many questions", async () => {
  const a = await machine();
  const watching = begin(a, "peer", "list", "--watch", "--json");
  await expect.poll(watching.out).toContain("\n");
  await Promise.all(Array.from({ length: 40 }, (_, i) => add(a, `p${i}`, i + 2)));
  await expect.poll(watching.out).toContain('"p39"');
  watching.interrupt();
  await watching.ended;
  expect(watching.out().trim().split("\n").length).toBeLessThan(40);
});

test("what cannot be shown ends it, as without --watch; so does the end of hipd", async () => {
  const a = await machine();
  const nobody = begin(a, "peer", "show", "nobody", "--watch");
  expect(await nobody.ended).toBe(6);
  expect(nobody.error()).toMatch(/^hipctl: no peer is named "nobody"/);
  await add(a, "b", 2);
  const gone = begin(a, "peer", "show", "b", "--watch", "--json");
  await expect.poll(gone.out).toContain("\n");
  await a.ctl(["peer", "remove", "b"]);
  expect(await gone.ended).toBe(6);
  const watching = begin(a, "status", "--watch");
  await expect.poll(watching.out).toContain("\n");
  await a.stop();
  expect(await watching.ended).toBe(5);
  expect(watching.error()).toMatch(/^hipctl: hipd does not answer/);
});

test("an answer that takes its time is waited for in words, which then go away", async () => {
  const a = await machine();
  await a.ctl(["peer", "add", "silent", "--hit", "2001:22::99", "--locator", "192.0.2.99"]);
  const shown: string[] = [];
  const status = await run(["--socket", a.socket, "connect", "silent", "--timeout", "800ms"], {
    ...QUIET,
    progress: (text) => shown.push(text),
  });
  expect(status).toBe(7);
  expect(shown).toEqual(["waiting for an association with silent", ""]);
});
