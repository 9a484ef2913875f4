/** What npm runs after `npm install -g`: the addon that came along, one that is built, or what is missing in words. */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const ADDON = "native/build/hipd_native.node";

describe("tools/install.mjs", () => {
  let home = "";

  /** An unpacked tarball. */
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "hipd-install-"));
    for (const folder of ["tools", "native/build", "tool-path"])
      mkdirSync(join(home, folder), { recursive: true });
    copyFileSync(join(ROOT, "tools/install.mjs"), join(home, "tools/install.mjs"));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  /** With no other programs than those of `tool-path`. */
  function install(): { readonly status: number | null; readonly said: string } {
    const done = spawnSync(process.execPath, [join(home, "tools/install.mjs")], {
      encoding: "utf8",
      env: { PATH: join(home, "tool-path"), HIPD_NODE_HEADERS: join(home, "headers") },
    });
    return { status: done.status, said: done.stdout + done.stderr };
  }

  function tool(name: string, script: string): void {
    const file = join(home, "tool-path", name);
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
  }

  const built = existsSync(join(ROOT, ADDON));
  test.skipIf(!built)(`takes an addon that loads${built ? "" : " (needs the addon: make native)"}`, () => {
    copyFileSync(join(ROOT, ADDON), join(home, ADDON));
    expect(install()).toEqual({ status: 0, said: "" });
  });

  test("says which tools are missing when none loads", () => {
    writeFileSync(join(home, ADDON), "of another machine");
    const { status, said } = install();
    expect(status).toBe(1);
    expect(said).toMatch(/does not load here \(.*\), and cannot be built/);
    expect(said).toContain("make and g++ missing: apt-get install make g++");
  });

  test("builds one, and says what the compiler said when that fails", () => {
    tool("g++", "exit 0");
    tool("make", '[ "$1" = --version ] && exit 0; echo "esp.cc: no such luck" >&2; exit 2');
    expect(install().said).toContain("the headers of Node.js v");
    mkdirSync(join(home, "headers/openssl"), { recursive: true });
    for (const header of ["node_api.h", "openssl/evp.h"]) writeFileSync(join(home, "headers", header), "");
    const { status, said } = install();
    expect(status).toBe(1);
    expect(said).toContain("building the data plane's addon");
    expect(said).toContain("could not be built: make failed\nhipd: esp.cc: no such luck");
  });

  test("does nothing in a clone", () => {
    mkdirSync(join(home, "src"));
    expect(install()).toEqual({ status: 0, said: "" });
  });
});
