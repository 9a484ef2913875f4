/** hipctl wait: what scripts may rely on. */
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { hipctl } from "../support/cli.ts";
import { acquaint, Machine } from "../support/machine.ts";
import { Medium, temporaryFolder } from "../support/runtime.ts";

const machines: Machine[] = [];
afterEach(async () => {
  await Promise.all(machines.splice(0).map((each) => each.stop()));
});

function machine(address: string, medium = new Medium()): Machine {
  const made = new Machine(address, medium);
  machines.push(made);
  return made;
}

test("--ready waits for a hipd that is started later, and says how long it took", async () => {
  const a = machine("192.0.2.1");
  const waiting = a.ctl(["wait", "--ready", "--timeout", "20s", "--json"]);
  await a.start();
  const done = await waiting;
  expect(done).toMatchObject({ status: 0, error: "" });
  expect(JSON.parse(done.out)).toEqual({ ready: true, version: "1.2.3", millis: expect.any(Number) });
  expect((await a.ctl(["wait", "--ready"])).out).toMatch(/^hipd 1\.2\.3 is ready, after .* ms\n$/);
});

test("--ready is seen within a moment of the socket's appearance, not at the end of a pause", async () => {
  const a = machine("192.0.2.1");
  const waiting = a.ctl(["wait", "--ready", "--timeout", "20s"]);
  // Long enough for pauses to have grown to a second.
  await new Promise((resolve) => setTimeout(resolve, 1_700));
  await a.start();
  const started = performance.now();
  expect((await waiting).status).toBe(0);
  expect(performance.now() - started).toBeLessThan(300);
});

test("--ready ends with 7 when the time is up, and says what is missing", async () => {
  const a = machine("192.0.2.1");
  expect(await a.ctl(["wait", "--ready", "--timeout", "200ms"])).toMatchObject({
    status: 7,
    out: "",
    error: expect.stringMatching(/^hipctl: hipd is not ready after 200 ms: .*no such file/),
  });
});

test("--ready does not take a socket that nobody answers on for a daemon", async () => {
  const folder = temporaryFolder();
  const socket = join(folder, "hipd.sock");
  const mute = createServer(() => {});
  await new Promise<void>((resolve) => mute.listen(socket, resolve));
  const done = await hipctl(["--socket", socket, "wait", "--ready", "--timeout", "300ms"]);
  mute.close();
  rmSync(socket, { force: true });
  expect(done.status).toBe(7);
});

test("--peer begins an exchange and waits for it", async () => {
  const medium = new Medium();
  const [a, b] = [machine("192.0.2.1", medium), machine("192.0.2.2", medium)];
  await Promise.all([a.start(), b.start()]);
  await acquaint(a, b);
  const done = await a.ctl(["wait", "--peer", "b", "--timeout", "10s"]);
  expect(done).toMatchObject({ status: 0, error: "" });
  expect(done.out).toMatch(
    /^b \(2001:2.*\) is reachable: udp 192\.0\.2\.1:10500 > 192\.0\.2\.2:10500, .* after /,
  );
  const { association } = await a.json<{ association: { state: string } }>("wait", "--peer", "b");
  expect(association.state).toBe("ESTABLISHED");
});

test("--peer waits for a peer that must call first", async () => {
  const medium = new Medium();
  const [a, b] = [machine("192.0.2.1", medium), machine("192.0.2.2", medium)];
  await Promise.all([a.start(), b.start()]);
  await a.ctl(["peer", "add", "b", "--hit", await b.hit()]);
  await b.ctl(["peer", "add", "a", "--hit", await a.hit(), "--locator", "192.0.2.1"]);
  const waiting = a.ctl(["wait", "--peer", "b", "--timeout", "10s"]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await b.ctl(["connect", "a"]);
  expect(await waiting).toMatchObject({ status: 0, out: expect.stringContaining("is reachable") });
});

test("--peer: 6 for a stranger, at once; 7 for one that stays silent", async () => {
  const a = machine("192.0.2.1");
  await a.start();
  expect(await a.ctl(["wait", "--peer", "nobody"])).toMatchObject({ status: 6 });
  await a.ctl(["peer", "add", "silent", "--hit", "2001:22::99", "--locator", "192.0.2.99"]);
  expect(await a.ctl(["wait", "--peer", "silent", "--timeout", "500ms"])).toMatchObject({
    status: 7,
    error: expect.stringMatching(/^hipctl: "silent" cannot be reached after 500 ms: /),
  });
});

test("one of the two must be asked for", async () => {
  expect(await hipctl(["wait"])).toMatchObject({ status: 2 });
  expect(await hipctl(["wait", "--ready", "--peer", "b"])).toMatchObject({ status: 2 });
  expect(await hipctl(["wait", "--ready", "--timeout", "later"])).toMatchObject({ status: 2 });
});
