/** hipctl drops: what it shows, and what it keeps quiet about. */
import { describe, expect, test } from "vitest";
import { dropsText, dropsView } from "../../src/cli/commands/drops.ts";
import type { Io } from "../../src/cli/output.ts";

const SINCE = "2030-01-01T00:00:00.000Z";
const io = { color: false, now: () => Date.parse(SINCE) + 7_200_000 } as Io;
const COUNTERS = {
  hip_drop_overtaken_total: 2,
  hip_drop_mac_total: 5,
  drop_esp_auth_total: 0,
  drop_no_source_total: 1,
  esp_tx_packets_total: 9,
};

describe("hipctl drops", () => {
  test("shows what happened, and what to do about what should be looked at", () => {
    const view = dropsView(COUNTERS, SINCE, undefined, false);
    const text = dropsText(view, false, io);
    expect(text).toMatch(
      /^Discarded since the start 2 h 0 min ago:\n\nREASON +LAYER +COUNT +MEANING\nmac +hip +5 /,
    );
    expect(text).toMatch(
      /\novertaken +hip +2 .*\nno_source +driver +1 .*\n\nWhat to do:\nmac: .*\nno_source: .*\n$/,
    );
    expect(text).not.toContain("esp_auth");
    expect(text).not.toContain("overtaken:");
  });

  test("--all has what never happened, too, once each", () => {
    const { drops } = dropsView(COUNTERS, SINCE, undefined, true);
    const names = drops.map(({ layer, reason }) => `${layer} ${reason}`);
    expect(names.slice(0, 3)).toEqual(["hip mac", "hip overtaken", "driver no_source"]);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain("data esp_auth");
    expect(names).toContain("data ring_full");
  });

  test("one reason is explained whether it happened or not", () => {
    expect(dropsText(dropsView(COUNTERS, SINCE, "overtaken", false), true, io)).toContain(
      "\novertaken: Nothing",
    );
    expect(dropsView(COUNTERS, SINCE, "ring_full", false).drops).toMatchObject([{ count: 0, layer: "data" }]);
    expect(() => dropsView(COUNTERS, SINCE, "nonsense", false)).toThrow('no drop reason "nonsense"');
  });

  test("nothing is said in a sentence", () => {
    expect(dropsText(dropsView({}, SINCE, undefined, false), false, io)).toBe(
      "Nothing was discarded since the start 2 h 0 min ago.\n",
    );
  });
});
