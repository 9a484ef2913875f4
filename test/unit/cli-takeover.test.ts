/** hipctl takeover announce: only for a restart, and never in the way of a stop. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { jobOf } from "../../src/cli/commands/takeover.ts";
import { hipctl } from "../support/cli.ts";

test("the unit's job is found in the listing", () => {
  const listing = "  77 other.service    stop    waiting\n1234 hipd.service restart running\n";
  expect(jobOf(listing, "hipd.service")).toBe("restart");
  expect(jobOf(listing, "hipd@blue.service")).toBeUndefined();
  expect(jobOf("No jobs running.\n", "hipd.service")).toBeUndefined();
});

describe("with a systemctl that says what we want", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hipd-takeover-"));
    vi.stubEnv("PATH", `${folder}:${process.env["PATH"]}`);
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });

  const systemctl = (script: string) => {
    writeFileSync(join(folder, "systemctl"), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, "systemctl"), 0o755);
  };

  const announce = async (...more: readonly string[]) => {
    const argv = ["--socket", join(folder, "none.sock"), "takeover", "announce", ...more];
    const { status, error: said } = await hipctl(argv);
    return { status, said };
  };

  const UNIT = ["--unit", "hipd.service"];

  test.each([
    ["a stop", "echo '7 hipd.service stop running'", 'its job is "stop"'],
    ["no job", "echo 'No jobs running.'", "there is no job for it"],
    ["systemctl that fails", "echo no bus >&2; exit 1", "systemctl: no bus"],
    ["hipd that is gone", "echo '7 hipd.service restart running'", "hipd does not answer"],
  ])("%s: status 0, and one line that says why not", async (_what, script, words) => {
    systemctl(script);
    const { status, said } = await announce(...UNIT);
    expect([status, said]).toEqual([0, expect.stringContaining(words)]);
    expect(said.trimEnd().split("\n")).toHaveLength(1);
  });

  test("a restart starts the carrier first, and goes on without one that does not come", async () => {
    const calls = join(folder, "calls");
    const script = (restart: string) =>
      `echo "$@" >> ${calls}; case $1 in list-jobs) echo '7 hipd@blue.service restart running';; *) ${restart};; esac`;
    systemctl(script("exit 0"));
    const good = await announce("--unit", "hipd@blue.service");
    expect(good.said).not.toContain("carrier");
    expect(readFileSync(calls, "utf8").split("\n")[1]).toBe("restart -- hipd-carry@blue.service");
    systemctl(script("echo Unit not found. >&2; exit 5"));
    const bad = await announce("--unit", "hipd@blue.service");
    expect([bad.status, bad.said]).toEqual([
      0,
      expect.stringContaining("no carrier: systemctl: Unit not found."),
    ]);
    // hipd is asked nevertheless.
    expect(bad.said).toContain("hipd does not answer");
    systemctl(script("exec sleep 30"));
    expect((await announce("--unit", "hipd@blue.service")).said).toContain("no answer in 2 s");
  });

  test("without a unit a failure is a failure", async () => {
    expect(await announce()).toEqual({ status: 5, said: expect.stringContaining("hipd does not answer") });
  });
});
