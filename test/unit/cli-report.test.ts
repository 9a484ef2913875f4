/** hipctl report: what its pieces draw, and that nobody else's text is ever markup. */
import { chmodSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describe as describePeer, MAX_DRAWN, peerGraph, shorten } from "../../src/cli/report/graph.ts";
import { escaped, html } from "../../src/cli/report/html.ts";
import { healthOf, observe } from "../../src/cli/report/model.ts";
import { reportPage } from "../../src/cli/report/page.ts";
import { niceTop, plot, runs } from "../../src/cli/report/plot.ts";
import { STYLE } from "../../src/cli/report/style.ts";
import { dropTable, eventTable, MAX_ROWS } from "../../src/cli/report/tables.ts";
import { MAX_LANES, timeLine } from "../../src/cli/report/timeline.ts";
import type { OverlayEvent } from "../../src/overlay/control.ts";
import { connectedMachines } from "../support/machine.ts";
import { HOSTILE, sampleReport } from "../support/report.ts";
import { Medium, temporaryFolder } from "../support/runtime.ts";
import { PATH, PEER, SILENT, sample } from "../support/views.ts";

const FAR = { ...PATH, remote: "[2001:db8:1111:2222:3333:4444:5555:6666]:10500" };
const tags = (text: string, name: string): number => text.split(`<${name}`).length - 1;

describe("markup", () => {
  test("escapes every value but markup, in texts and attributes", () => {
    const evil = `<b a="1">&'`;
    expect(html`<p title="${evil}">${evil}${html`<i>${evil}</i>`}</p>`.text).toBe(
      '<p title="&lt;b a=&quot;1&quot;&gt;&amp;&#39;">&lt;b a=&quot;1&quot;&gt;&amp;&#39;<i>&lt;b a=&quot;1&quot;&gt;&amp;&#39;</i></p>',
    );
    expect(html`${[1.23456, null, undefined, false, "x", Number.NaN]}`.text).toBe("1.23x0");
  });

  test("of any text has no character that could end a text or an attribute", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(escaped(text)).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
      }),
      { numRuns: 50 },
    );
  });

  test("shows neither control characters nor what turns writing around", () => {
    expect(escaped("a\u0000b\u001b[31mc\u202ed\u009f\ud800\n\te")).toBe(
      "a\ufffdb\ufffd[31mc\ufffdd\ufffd\ufffd\n\te",
    );
  });

  test("a page about hostile peers has the tags of one about friendly ones", () => {
    const [good, bad] = [reportPage(sampleReport()), reportPage(sampleReport(true))];
    expect(bad).not.toContain(HOSTILE);
    for (const name of ["script", "img", "iframe", "object", "style", "link", "a "]) {
      expect(tags(bad, name), name).toBe(tags(good, name));
    }
    expect(tags(good, "script")).toBe(0);
    expect(good).not.toMatch(/(src|href)="(?!#|data:,")/);
    expect(good).not.toMatch(/url\(|@import/);
  });
});

describe("what was observed", () => {
  test("is a rate for each pair of neighbours, the busiest peers first", () => {
    const at = (second: number, tx: number, rtt: number | null) =>
      sample(1_000 * second, [SILENT, { ...PEER, txBytes: tx, rttMillis: rtt }], {
        drop_esp_auth_total: second,
      });
    const seen = observe([at(0, 0, null), at(1, 1_000, 1), at(2, 5_000, null)]);
    expect(seen).toMatchObject({ seconds: 2, at: [1, 2] });
    expect(seen.peers.map(({ name }) => name)).toEqual(["db1", SILENT.name]);
    expect(seen.peers[0]).toMatchObject({ tx: [1_000, 4_000], rtt: [1, null], meanTx: 2_500, meanRx: 0 });
    expect(seen.drops).toMatchObject([{ reason: "esp_auth", perSecond: 1, total: 2 }]);
  });

  test("is nothing without two looks", () => {
    expect(observe([])).toEqual({ seconds: 0, at: [], peers: [], drops: [] });
    expect(observe([sample(0, [PEER])])).toMatchObject({ seconds: 0, peers: [] });
  });

  test("tells how a peer does", () => {
    expect(healthOf({ ...PEER, loss: 0 })).toBe("good");
    expect(healthOf({ ...PEER, loss: 0.2 })).toBe("doubtful");
    expect(healthOf({ ...PEER, pathState: "unverified" })).toBe("doubtful");
    expect(healthOf({ ...PEER, state: "I1-SENT" })).toBe("doubtful");
    expect(healthOf(SILENT)).toBe("bad");
    expect(healthOf({ ...SILENT, state: "UNASSOCIATED" })).toBe("bad");
    expect(healthOf({ ...SILENT, state: "UNASSOCIATED", lastError: null })).toBe("idle");
  });
});

describe("drawings", () => {
  test.each([...Array.from({ length: MAX_DRAWN }, (_, i) => i + 1), MAX_DRAWN + 30])(
    "the graph of %i peers stays inside its frame",
    (count) => {
      const peers = Array.from({ length: count }, (_, i) => ({
        ...PEER,
        name: `peer${i}.${"long-".repeat(9)}`,
        path: FAR,
      }));
      const text = peerGraph("host", peers, []).text;
      const [width = 0, height = 0] = (/viewBox="0 0 (\d+) (\d+)"/.exec(text) ?? []).slice(1).map(Number);
      const drawn = Math.min(count, MAX_DRAWN);
      expect(tags(text, "line class")).toBe(drawn);
      const boxes = [
        ...text.matchAll(
          /<rect class="node[^"]*" x="([\d.-]+)" y="([\d.-]+)" width="([\d.]+)" height="([\d.]+)"/g,
        ),
      ];
      expect(boxes).toHaveLength(drawn);
      const places = boxes.map((box) => box.slice(1).map(Number) as [number, number, number, number]);
      for (const [x, y, w, h] of places) {
        expect(x).toBeGreaterThanOrEqual(0);
        expect(y).toBeGreaterThanOrEqual(0);
        expect(x + w).toBeLessThanOrEqual(width);
        expect(y + h).toBeLessThanOrEqual(height);
      }
      for (const [i, a] of places.entries()) {
        for (const b of places.slice(i + 1)) {
          const apart =
            a[0] + a[2] <= b[0] || b[0] + b[2] <= a[0] || a[1] + a[3] <= b[1] || b[1] + b[3] <= a[1];
          expect(apart, `boxes of ${count} peers do not overlap`).toBe(true);
        }
      }
    },
  );

  test("of more peers than can be drawn, the busy and the troubled are", () => {
    const quiet = Array.from({ length: 60 }, (_, i) => ({ ...PEER, name: `quiet${i}`, loss: 0 }));
    const series = { name: "busy", tx: [], rx: [], rtt: [], loss: [], meanTx: 10, meanRx: 0 };
    const text = peerGraph("host", [...quiet, { ...PEER, name: "busy" }, SILENT], [series]).text;
    expect(text).toContain("> busy<");
    expect(text).toContain(shorten(SILENT.name));
  });

  test("an edge says what it stands for", () => {
    expect(describePeer(PEER)).toBe(
      "db1: ESTABLISHED, udp 192.0.2.1:10500 > 192.0.2.10:10500, round trip 0.412 ms, loss 2.0 %",
    );
  });

  test("a scale ends at a round number above all values", () => {
    expect([0, 0.3, 1, 3, 47, 999, 1_000].map((value) => niceTop(value, 1000))).toEqual([
      1, 0.5, 1, 5, 50, 1_000, 1_000,
    ]);
    expect(niceTop(3 * 1024 * 1024, 1024)).toBe(5 * 1024 * 1024);
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e15, noNaN: true }), (value) => {
        for (const base of [1000, 1024]) {
          const top = niceTop(value, base);
          expect(top).toBeGreaterThanOrEqual(value * (1 - 1e-6));
          expect(top).toBeLessThanOrEqual(value * 10.24);
        }
      }),
    );
  });

  test("a line has gaps where nothing is known", () => {
    expect(runs([1, 2, null, 3, null, null, 4])).toEqual([[0, 1], [3], [6]]);
    const frame = { title: "t", at: [1, 2, 3], unit: String, width: 300, height: 100 };
    const text = plot({ ...frame, lines: [{ name: "rtt", kind: "rtt", values: [1, null, 2] }] }).text;
    expect(tags(text, 'path class="line')).toBe(2);
    expect(plot({ ...frame, lines: [{ name: "rtt", kind: "rtt", values: [null] }] }).text).toContain(
      "nothing was measured",
    );
  });

  const event = (number: number, peer: string, name: OverlayEvent["name"] = "handover"): OverlayEvent => ({
    number,
    time: new Date(Date.parse("2025-01-02T03:00:00.000Z") + 1_000 * number).toISOString(),
    name,
    peer,
    hit: "2001:22::7",
    detail: { reason: "path-dead" },
  });

  test("the time line has a lane for each peer, up to a limit, and none for other events", () => {
    expect(timeLine([event(1, "a", "config-applied")], "2025-01-02T04:00:00.000Z")).toBeUndefined();
    const many = Array.from({ length: 100 }, (_, i) => event(i, `peer${i}`));
    expect(tags(timeLine(many, "2025-01-02T04:00:00.000Z")?.text ?? "", 'line class="axis"')).toBe(MAX_LANES);
    // A clock that went back, or one event alone.
    const text = timeLine([event(1, "a")], "2025-01-02T02:00:00.000Z")?.text ?? "";
    expect(text).not.toContain("NaN");
  });

  test("tables are bounded, and tell what they leave out", () => {
    const rows = Array.from({ length: MAX_ROWS + 7 }, (_, i) => event(i, "a"));
    expect(eventTable(rows).text).toContain("and 7 more");
  });

  test("drops that somebody should look at come first, with a remedy", () => {
    const rates = { perSecond: 0, total: 1 };
    const text = dropTable(
      [
        { layer: "data", reason: "hold_full", concern: "normal", ...rates },
        { layer: "data", reason: "esp_auth", concern: "look", ...rates },
      ],
      10,
    ).text;
    expect(text.indexOf("esp_auth")).toBeLessThan(text.indexOf("hold_full"));
    expect(text).toContain("the integrity check failed");
  });
});

describe("the look", () => {
  /** Relative luminance and contrast of WCAG 2. */
  const luminance = (color: string): number =>
    [1, 3, 5]
      .map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
      .reduce((sum, part, i) => sum + part * ([0.2126, 0.7152, 0.0722][i] as number), 0);
  const contrast = (a: string, b: string): number => {
    const [low = 0, high = 0] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const [light = {}, dark = {}] = STYLE.text
    .split("prefers-color-scheme: dark")
    .map((part) =>
      Object.fromEntries([...part.matchAll(/--([a-z-]+): (#[0-9a-f]{6})/g)].map((m) => [m[1], m[2]])),
    );

  test.each([
    ["light", light],
    ["dark", dark],
  ] as const)("can be read by weak eyes, %s", (_name, colors: Readonly<Record<string, string>>) => {
    const pairs = [
      ...["text", "soft", "tx"].flatMap((ink) => ["page", "card"].map((paper) => [ink, paper])),
      ...["good", "doubtful", "bad", "idle"].flatMap((health) => [
        [health, `${health}-soft`],
        [health, "card"],
      ]),
    ];
    for (const [ink = "", paper = ""] of pairs) {
      expect(contrast(colors[ink] ?? "", colors[paper] ?? ""), `${ink} on ${paper}`).toBeGreaterThanOrEqual(
        4.5,
      );
    }
  });
});

describe("against a daemon", () => {
  const [a] = connectedMachines(new Medium());

  test("writes a file that only its owner reads, and says what it did", async () => {
    const file = join(temporaryFolder(), "report.html");
    const done = await a.ctl(["report", "--seconds", "1", "-o", file]);
    expect(done).toMatchObject({ status: 0, error: "", out: `wrote ${file}: 1 peer, watched for 1 s\n` });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const page = readFileSync(file, "utf8");
    expect(page).toContain("ESTABLISHED");
    expect(page).toContain("association made");
    expect(page).not.toMatch(/PRIVATE|[0-9a-f]{64}/);
    const json = await a.json<object>("report", "--seconds", "1", "-o", file);
    expect(json).toEqual({ file, bytes: expect.any(Number), seconds: 1, peers: 1 });
    chmodSync(file, 0o644);
    expect((await a.ctl(["report", "--seconds", "1", "-o", file])).status).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await a.ctl(["report", "--seconds", "1", "-o", "/dev/null"])).status).toBe(0);
    expect(statSync("/dev/null").isCharacterDevice()).toBe(true);
  });

  test("writes to standard output, and refuses what cannot be", async () => {
    expect((await a.ctl(["report", "--seconds", "1", "-o", "-"])).out).toMatch(/^<!doctype html>/);
    expect(await a.ctl(["report", "--seconds", "0"])).toMatchObject({ status: 2 });
    expect(await a.ctl(["report", "--seconds", "1", "-o", "/nowhere/x"])).toMatchObject({
      status: 1,
      error: "hipctl: /nowhere/x: cannot be written: no such file or directory\n",
    });
  });
});
