/** hipctl top: rates out of counters, frames that fit, and a terminal that is left as it was. */
import { describe, expect, test } from "vitest";
import type { Terminal } from "../../src/cli/output.ts";
import { frameBetween } from "../../src/cli/sampling.ts";
import { progressLine, Screen } from "../../src/cli/terminal.ts";
import { count, frameLines, type Look } from "../../src/cli/top/frame.ts";
import { recorder } from "../support/cli.ts";
import { connectedMachines, Machine } from "../support/machine.ts";
import { Medium } from "../support/runtime.ts";
import { PEER, SILENT, sample } from "../support/views.ts";

describe("rates", () => {
  test("are what was counted, divided by the time", () => {
    const after = { ...PEER, txBytes: 5_001_000, rxBytes: 500, txPackets: 5_010, rxPackets: 5 };
    const frame = frameBetween(
      sample(0, [PEER], { drop_esp_replay_total: 1, hip_drop_mac_total: 4 }),
      sample(2_000, [after], { drop_esp_replay_total: 11, hip_drop_mac_total: 4 }),
    );
    expect(frame.peers[0]).toMatchObject({ txBytesPerSecond: 2_500_000, txPacketsPerSecond: 2_500 });
    expect(frame.peers[0]).toMatchObject({ rxBytesPerSecond: 0, loss: 0.02, handovers: 2 });
    expect(frame.total).toMatchObject({ txBytesPerSecond: 2_500_000, dropsPerSecond: 5 });
    expect(frame.drops).toMatchObject([
      { reason: "esp_replay", perSecond: 5, total: 11 },
      { reason: "mac", perSecond: 0, total: 4 },
    ]);
  });

  test("begin anew with a new association, a new peer and a new hipd", () => {
    const fewer = { ...PEER, txBytes: 300, txPackets: 3 };
    const [again] = frameBetween(sample(0, [PEER]), sample(1_000, [fewer])).peers;
    expect(again).toMatchObject({ txBytesPerSecond: 300, txPacketsPerSecond: 3 });
    const [fresh] = frameBetween(sample(0, []), sample(1_000, [PEER])).peers;
    expect(fresh).toMatchObject({ txBytesPerSecond: 0 });
    const restarted = sample(1_000, [PEER], { drop_esp_auth_total: 7 }, 1);
    const frame = frameBetween(sample(0, [PEER], { drop_esp_auth_total: 99 }), restarted);
    expect(frame.peers[0]).toMatchObject({ txBytesPerSecond: 0 });
    expect(frame.drops).toMatchObject([{ reason: "esp_auth", perSecond: 7 }]);
    // The time of the start may be told a millisecond earlier or later: that is no new start.
    const before = sample(0, [PEER]);
    const moved = { ...before, status: { ...before.status, startedAt: "2025-01-02T00:00:00.001Z" } };
    const more = sample(1_000, [{ ...PEER, txBytes: 2_000 }]);
    expect(frameBetween(moved, more).peers[0]).toMatchObject({ txBytesPerSecond: 1_000 });
  });

  test("two looks in the same moment divide by nothing", () => {
    const frame = frameBetween(sample(0, [PEER]), sample(0, [PEER]));
    expect(frame.peers[0]).toMatchObject({ txBytesPerSecond: 0, rxPacketsPerSecond: 0 });
  });
});

describe("a frame", () => {
  const before = sample(0, [PEER, SILENT], { drop_esp_replay_total: 1 });
  const busy = { ...PEER, txBytes: 3_000_000, rxBytes: 900_000, txPackets: 24_690, rxPackets: 700 };
  const frame = frameBetween(before, sample(2_000, [busy, SILENT], { drop_esp_replay_total: 12 }));
  const look: Look = { sort: "t", interval: 2, paused: false, color: false, size: undefined };

  test("for a file shows everything", () => {
    expect(`\n${frameLines(frame, look).join("\n")}\n`).toMatchInlineSnapshot(`
      "
      hipd 0.1.0, up 3 h 4 min   1 of 2 peers connected   03:04:07 UTC, every 2 s
      sent 1.4 MiB/s in 12.3k packets/s   received 439 KiB/s in 348 packets/s
      drops 5.5/s: esp_replay 5.5

      PEER                                              STATE         SENT/S   RECV/S  PKT/S OUT  PKT/S IN       RTT   LOSS  MOVES  PATH
      db1                                               ESTABLISHED  1.4 MiB  439 KiB      12.3k       348  0.412 ms  2.0 %      2  udp 192.0.2.1:10500 > 192.0.2.10:10500
      a-name-that-is-longer-than-narrow-terminals-like  E-FAILED         0 B      0 B          0         0         -      -      2  no_answer_to_i1
      "
    `);
  });

  test("fits 80 columns and 24 rows, and says which keys there are", () => {
    const lines = frameLines(frame, { ...look, size: { columns: 80, rows: 24 } });
    expect(lines).toHaveLength(24);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    expect(`\n${lines.join("\n")}\n`).toMatchInlineSnapshot(`
      "
      hipd 0.1.0, up 3 h 4 min   1 of 2 peers connected   03:04:07 UTC, every 2 s
      sent 1.4 MiB/s in 12.3k packets/s   received 439 KiB/s in 348 packets/s
      drops 5.5/s: esp_replay 5.5

      PEER                  STATE         SENT/S   RECV/S       RTT   LOSS  MOVES
      db1                   ESTABLISHED  1.4 MiB  439 KiB  0.412 ms  2.0 %      2
      a-name-that-is-long…  E-FAILED         0 B      0 B         -      -      2
















      q quit  space pause  sort: t traffic  n name  r RTT  l loss  m moves  s state
      "
    `);
  });

  test("with more peers than rows says how many are left out", () => {
    const peers = Array.from({ length: 50 }, (_, i) => ({ ...PEER, name: `peer${i}` }));
    const many = frameBetween(sample(0, peers), sample(1_000, peers));
    const lines = frameLines(many, { ...look, size: { columns: 120, rows: 20 } });
    expect(lines).toHaveLength(20);
    expect(lines.at(-2)).toMatch(/^\.\.\. and 3[67] more$/);
    const shown = lines.filter((line) => line.startsWith("peer")).length;
    expect(lines.at(-2)).toContain(String(50 - shown));
  });

  test("is sorted as asked for", () => {
    const order = (sort: Look["sort"]): string[] =>
      frameLines(frame, { ...look, sort })
        .slice(5)
        .map((line) => line.slice(0, 3));
    expect(order("t")).toEqual(["db1", "a-n"]);
    expect(order("n")).toEqual(["a-n", "db1"]);
    expect(order("s")).toEqual(["a-n", "db1"]);
    expect(order("r")).toEqual(["db1", "a-n"]);
  });

  test("numbers of things take few characters", () => {
    expect([0, 0.25, 9.5, 950, 12_345, 123_456, 3_400_000, 123e6].map(count)).toEqual([
      "0",
      "0.3",
      "9.5",
      "950",
      "12.3k",
      "123k",
      "3.4M",
      "123M",
    ]);
  });
});

describe("the terminal", () => {
  class FakeTerminal implements Terminal {
    press: (key: string) => void = () => {};
    raw = false;
    columns = (): number => 80;
    rows = (): number => 24;
    onResize = (): (() => void) => () => {};
    keys = (each: (key: string) => void): (() => void) => {
      this.press = each;
      this.raw = true;
      return () => {
        this.raw = false;
      };
    };
  }
  const medium = new Medium();
  const [a] = connectedMachines(medium);

  async function live(act: (terminal: FakeTerminal, shown: () => string) => Promise<void>): Promise<string> {
    const { run } = await import("../../src/cli/hipctl.ts");
    const terminal = new FakeTerminal();
    const { io, written } = recorder({ color: true, terminal });
    const ended = run(["--socket", a.socket, "top", "-i", "100ms"], io);
    await expect.poll(() => written.both).toContain("b ");
    await act(terminal, () => written.both);
    await ended;
    expect(terminal.raw).toBe(false);
    return written.both;
  }
  const LEFT = "\x1b[?7h\x1b[?25h\x1b[?1049l";

  test.each(["q", "\x03"])("is as before after %j", async (key) => {
    const out = await live(async (terminal) => terminal.press(key));
    expect(out.startsWith("\x1b[?1049h\x1b[?25l\x1b[?7l")).toBe(true);
    expect(out.endsWith(LEFT)).toBe(true);
  });

  test("is as before when hipd goes away, and the error stands below", async () => {
    const c = new Machine("192.0.2.3", medium);
    await c.start();
    const { run } = await import("../../src/cli/hipctl.ts");
    const { io, written } = recorder({ terminal: new FakeTerminal() });
    const ended = run(["--socket", c.socket, "top", "-i", "100ms"], io);
    await expect.poll(() => written.both).toContain("hipd 1.2.3");
    await c.stop();
    expect(await ended).toBe(5);
    expect(written.both).toMatch(/\[\?1049lhipctl: hipd does not answer on [^\n]*\n$/);
  });

  test("keys sort, and space pauses", async () => {
    await live(async (terminal, shown) => {
      terminal.press(" ");
      expect(shown()).toContain("paused");
      terminal.press("n");
      terminal.press("x");
      terminal.press("q");
    });
  });

  test("a file gets one frame after the other, a program one value a line", async () => {
    const once = await a.ctl(["top", "--once", "-i", "100ms"]);
    expect(once).toMatchObject({ status: 0, error: "" });
    expect(once.out).toMatch(/^hipd 1\.2\.3, .*1 of 1 peer connected.*\nsent .*\nno drops\n|drops .*\n/);
    expect(once.out).not.toContain("\x1b");
    const frame = await a.json<Record<string, unknown>>("top", "--once", "-i", "100ms");
    expect(Object.keys(frame)).toEqual([
      "time",
      "seconds",
      "version",
      "uptimeSeconds",
      "total",
      "peers",
      "drops",
    ]);
    let fire = (): void => {};
    const { run } = await import("../../src/cli/hipctl.ts");
    const { io, written } = recorder({
      onInterrupt: (end) => {
        fire = end;
        return () => {};
      },
    });
    const ended = run(["--socket", a.socket, "top", "--json", "-i", "100ms"], io);
    await expect.poll(() => written.out).toMatch(/\n.*\n/);
    fire();
    await ended;
    const lines = written.out.trim().split("\n");
    expect(lines.length).toBeGreaterThanOrEqual(2);
    for (const line of lines) expect(JSON.parse(line)).toHaveProperty("peers");
  });
});

test("a line of progress replaces itself and can be removed", () => {
  let out = "";
  const show = progressLine((text) => {
    out += text;
  });
  show("");
  expect(out).toBe("");
  show("1 of 2");
  show("2 of 2");
  show("");
  expect(out).toBe("\r\x1b[K1 of 2\r\x1b[K2 of 2\r\x1b[K");
});

test("a closed screen writes nothing any more", () => {
  let out = "";
  const screen = new Screen((text) => {
    out += text;
  });
  screen.close();
  const { length } = out;
  screen.close();
  screen.draw(["late"]);
  expect(out).toHaveLength(length);
});
