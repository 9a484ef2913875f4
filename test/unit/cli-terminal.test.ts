/** What others have named, on the terminal of whoever looks at it. */
import { expect, test } from "vitest";
import { styled } from "../../src/cli/output.ts";
import { harmless, progressLine, Screen } from "../../src/cli/terminal.ts";

/** Sets the title, clears the screen, returns, rings, and goes backwards; in C0 and C1. */
const HOSTILE = "\u001b]0;owned\u0007\u001b[2J\r\b\u009b2J\u202e\u007f\u001bc";

test("a terminal gets lines, tabs and colours, and no other control character", () => {
  const text = `${styled("PEER", "bold", true)}\tdb1\n`;
  expect(harmless(text)).toBe(text);
  const shown = harmless(`a${HOSTILE}b`);
  expect(shown).toBe("a\ufffd]0;owned\ufffd\ufffd[2J\ufffd\ufffd\ufffd2J\ufffd\ufffd\ufffdcb");
  for (let code = 0; code < 0xa0; code++) {
    const char = String.fromCharCode(code);
    const plain = char === "\n" || char === "\t" || (code >= 0x20 && code < 0x7f);
    expect(harmless(char) === char, `U+${code.toString(16)}`).toBe(plain);
  }
});

test("neither do the live screen and the line of progress", () => {
  const written: string[] = [];
  const screen = new Screen((text) => written.push(text));
  screen.draw([HOSTILE]);
  progressLine((text) => written.push(text))(HOSTILE);
  for (const part of ["]0;owned\u0007", "\u001b[2J", "\u009b", "\u001bc"])
    expect(written.slice(1).join("")).not.toContain(part);
  expect(written).toHaveLength(3);
});
