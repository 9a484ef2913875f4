import { describe, expect, it } from "vitest";
import { choose } from "../../benchmarks/contestants/all.ts";
import type { Contestant } from "../../benchmarks/contestants/contestant.ts";
import { order, stealShare } from "../../benchmarks/field.ts";
import { type Check, type Floor, missed, runChecks } from "../../benchmarks/floors.ts";
import { longestGap } from "../../benchmarks/handover.ts";
import { pingTimes } from "../../benchmarks/latency.ts";
import { page } from "../../benchmarks/page.ts";
import { bars, distributions, overTime } from "../../benchmarks/plot.ts";
import { columns, digits, type Report, tableText, thinned } from "../../benchmarks/report.ts";
import { summarize } from "../../benchmarks/stats.ts";
import type { Row, Table } from "../../benchmarks/suite.ts";

function row(contestant: string, samples: readonly number[], more: Partial<Row> = {}): Row {
  return { contestant, what: `<${contestant}>`, summary: summarize(samples), ratios: {}, extra: {}, ...more };
}

const TABLE: Table = {
  suite: "throughput",
  title: "TCP & more",
  unit: "Gbit/s",
  rows: [
    row("bare", [20, 30, 25], { ratios: { bare: 1, "hipd HIT": 5 } }),
    row("hipd HIT", [5, 5, 5], {
      ratios: { bare: 0.2, "hipd HIT": 1 },
      extra: { "CPU s/GB": 1.234 },
      series: [
        [0, 4],
        [0.1, 6],
      ],
      distribution: [0.1, 1, 10],
    }),
  ],
  notes: ["noisy: somebody else was here"],
};

const REPORT: Report = {
  when: "2026-01-01T00:00:00Z",
  machine: { cpu: "a <cpu>", cores: 2, memoryGiB: 4, kernel: "6", arch: "x64", node: "v24", openssl: "3" },
  options: { rounds: 3, seconds: 1, thorough: false },
  versions: { bare: "Linux 6" },
  skipped: ["skipped nebula: not installed"],
  load: { before: 0.1, after: 2 },
  tables: [TABLE],
};

describe("tables", () => {
  it("compare with the bare path and TLS where these take part", () => {
    const { head, lines } = columns(TABLE);
    expect(head).toEqual(["Gbit/s", "spread", "/ bare", "CPU s/GB"]);
    expect(lines).toEqual([
      ["25.0", "40 %", "1.00", ""],
      ["5.00", "0 %", "0.20", "1.23"],
    ]);
  });

  it("are aligned and end with their notes", () => {
    const lines = tableText(TABLE).split("\n");
    expect(lines[0]).toBe("TCP & more");
    expect(new Set(lines.slice(1, 4).map((line) => line.length)).size).toBe(1);
    expect(lines.at(-1)).toBe("note: noisy: somebody else was here");
  });

  it("show as many digits as tell values apart", () => {
    expect([1234.5, 12.34, 1.234, 0.01234, 0].map(digits)).toEqual(["1235", "12.3", "1.23", "0.012", "0.00"]);
    expect(digits(Number.NaN)).toBe("-");
  });
});

describe("thinned", () => {
  it("keeps both ends and the order of long distributions", () => {
    const many = Array.from({ length: 5000 }, (_, i) => 5000 - i);
    const few = thinned(many, 100);
    expect(few).toHaveLength(100);
    expect([few[0], few.at(-1)]).toEqual([1, 5000]);
    expect([...few].sort((a, b) => a - b)).toEqual(few);
  });
});

describe("plots and page", () => {
  it("draw one bar with a spread for each row", () => {
    const svg = bars(TABLE);
    expect(svg.match(/<rect /g)).toHaveLength(2);
    expect(svg).toContain("&lt;hipd HIT&gt;");
    expect(svg).not.toContain("NaN");
  });

  it("draw lines only for rows that have values", () => {
    expect(overTime(TABLE)?.match(/<polyline /g)).toHaveLength(1);
    expect(distributions(TABLE)?.match(/<polyline /g)).toHaveLength(1);
    const bare = { ...TABLE, rows: [row("bare", [1])] };
    expect([overTime(bare), distributions(bare)]).toEqual([undefined, undefined]);
  });

  it("make one page that fetches nothing, and escapes what it shows", () => {
    const html = page(REPORT);
    expect(html).not.toMatch(/<script|<link|src=|@import|url\(/);
    expect(html.replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:/);
    expect(html).toContain("a &lt;cpu&gt;");
    expect(html).toContain("Some of what follows is noisy");
    expect(html).toContain("skipped nebula: not installed");
  });
});

describe("turns", () => {
  it("go forth and back, so that none always follows the same", () => {
    expect(order(3, 1)).toEqual([0, 1, 2]);
    expect(order(3, 2)).toEqual([2, 1, 0]);
  });

  it("tell the share of time that was stolen", () => {
    const before = { busy: 1, steal: 0.5, total: 10 };
    expect(stealShare(before, { busy: 2, steal: 1, total: 20 })).toBe(0.05);
    expect(stealShare(before, before)).toBe(0);
  });
});

describe("contestants", () => {
  const contestant = (name: string, reason?: string) => ({ name, missing: () => reason }) as Contestant;
  const all = [contestant("bare"), contestant("hipd"), contestant("nebula", "not installed")];

  it("that are asked for and absent are skipped with the reason", () => {
    const { chosen, skipped } = choose("nebula,bare", all);
    expect(chosen.map(({ name }) => name)).toEqual(["bare"]);
    expect(skipped).toEqual(["skipped nebula: not installed"]);
    expect(choose("all", all).chosen).toHaveLength(2);
  });

  it("that do not exist are refused", () => {
    expect(() => choose("bare,nebulla", all)).toThrow(/no contestant "nebulla"; there are bare, hipd/);
  });
});

describe("ping", () => {
  it("is read time by time", () => {
    const text = "64 bytes from 1: icmp_seq=1 ttl=64 time=0.043 ms\n64 bytes: icmp_seq=2 time=12 ms\n";
    expect(pingTimes(text)).toEqual([0.043, 12]);
  });
});

describe("handovers", () => {
  const run = (longestGapMicros: number, ...numbers: number[]) => {
    const packets = numbers.map((number) => [number, number * 1000, 50] as const);
    return { count: 100, received: packets.length, duplicates: 0, reordered: 0, longestGapMicros, packets };
  };

  it("count the time until the end when nothing came any more", () => {
    expect(longestGap(run(2500, 0, 1, 2, 99))).toBe(2.5);
    expect(longestGap(run(2500, 0, 2, 1, 19))).toBe(80);
    expect(longestGap(run(0))).toBe(100);
  });
});

describe("floors", () => {
  const floors: readonly Floor[] = [
    { name: "ratio", kind: "at least", limit: 0.5 },
    { name: "delay", kind: "at most", limit: 2 },
  ];
  const check = (name: string, ...values: number[]): Check => ({
    name,
    measure: async () => ({ [name]: values.shift() ?? Number.NaN }),
  });

  it("are met by the limit itself, and missed by what could not be measured", () => {
    expect(missed({ ratio: 0.5, delay: 2, other: 0 }, floors)).toEqual([]);
    expect(missed({ ratio: 0.49, delay: 2.01 }, floors)).toHaveLength(2);
    expect(missed({ ratio: Number.NaN }, floors)).toHaveLength(1);
    expect(missed({}, floors)).toEqual([]);
  });

  it("give what misses one more chance, and say so", async () => {
    const said: string[] = [];
    const checks = [check("ratio", 0.4, 0.6), check("delay", 1, 9)];
    const outcome = await runChecks(
      checks,
      () => true,
      (line) => said.push(line),
      floors,
    );
    expect(outcome).toEqual({ values: { ratio: 0.6, delay: 1 }, retried: ["ratio"], missed: [] });
    expect(said).toEqual(["measuring ratio again: ratio is 0.400 and must be at least 0.5"]);
  });

  it("count when the second time misses as well, or there is no time for it", async () => {
    const twice = await runChecks(
      [check("ratio", 0.4, 0.3, 0.9)],
      () => true,
      () => {},
      floors,
    );
    expect(twice.missed).toEqual([floors[0]]);
    expect(twice.values).toEqual({ ratio: 0.3 });
    const late = await runChecks(
      [check("ratio", 0.4, 0.9)],
      () => false,
      () => {},
      floors,
    );
    expect([late.retried, late.missed]).toEqual([[], [floors[0]]]);
  });
});
