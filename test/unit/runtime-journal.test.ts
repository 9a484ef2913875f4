/** Log lines in the journal: with a priority, and only there. */
import { describe, expect, test } from "vitest";
import { createLog, JournalSink, toJournal } from "../../src/runtime/log.ts";

function logged(format: "json" | "text"): readonly string[] {
  const lines: string[] = [];
  const sink = new JournalSink({ write: (line) => void lines.push(line) });
  const log = createLog({ level: "debug", format, color: false }, sink);
  log.debug("rehearsed", "1");
  log.info("ready", 'a message with "level":"error" in it');
  log.warn("restart-needed", "3");
  log.error("crashed", "4");
  return lines;
}

describe("the journal", () => {
  test.each(["json", "text"] as const)("gets the priority of each line (%s)", (format) => {
    expect(logged(format).map((line) => line.slice(0, 3))).toEqual(["<7>", "<6>", "<4>", "<3>"]);
  });

  test("gets whole JSON behind it, with level, time, event and message", () => {
    for (const line of logged("json")) {
      const fields = JSON.parse(line.slice(3)) as Record<string, unknown>;
      expect(Object.keys(fields)).toEqual(["level", "time", "event", "msg"]);
    }
  });

  test("is recognised by device and inode", () => {
    expect(toJournal("9:12345", { dev: 9, ino: 12345 })).toBe(true);
    expect(toJournal("9:12345", { dev: 9, ino: 99 })).toBe(false);
    expect(toJournal(undefined, { dev: 9, ino: 12345 })).toBe(false);
  });
});
