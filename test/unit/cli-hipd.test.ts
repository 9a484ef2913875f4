/** hipd's command line, and the wrappers that find Node. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { loadConfig, problemText } from "../../src/runtime/config-file.ts";
import { temporaryFolder, write } from "../support/runtime.ts";

const ROOT = join(import.meta.dirname, "../..");

function hipd(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(ROOT, "src/cli/hipd-main.ts"), ...argv],
    {
      encoding: "utf8",
      env: { PATH: process.env["PATH"] },
    },
  );
  return { status, stdout, stderr };
}

describe("hipd", () => {
  test("says its version and its usage", () => {
    expect(hipd("--version")).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^hipd \d+\.\d+\.\d+\n$/),
      stderr: "",
    });
    expect(hipd("--help").stdout).toMatch(/^Usage: hipd /);
  });

  test("wrong usage: 2", () => {
    expect(hipd("--chekc")).toEqual({
      status: 2,
      stdout: "",
      stderr: "hipd: Unknown option '--chekc'; try: hipd --help\n",
    });
    expect(hipd("--check", "--guard")).toMatchObject({
      status: 2,
      stderr: "hipd: --check and --guard exclude each other; try: hipd --help\n",
    });
    expect(hipd("extra").status).toBe(2);
  });

  test("--check: 0 and a word of what it found, making nothing", () => {
    const folder = temporaryFolder();
    const file = write(
      folder,
      "hipd.toml",
      '[state]\ndirectory = "state"\n[[peer]]\nname = "a"\nhit = "2001:22::1"\nidentity = "identity"\n',
    );
    expect(hipd("--check", "--config", file)).toEqual({
      status: 0,
      stdout: `${file}: ok, 1 peers\n`,
      stderr: "",
    });
    expect(() => readFileSync(join(folder, "state"))).toThrow(/ENOENT/);
  });

  test("--check and start: 3 with every problem, each on a line", () => {
    const file = write(temporaryFolder(), "hipd.toml", "[network]\nprot = 1\nmtu = 5\n");
    for (const argv of [
      ["--check", "--config", file],
      ["--config", file],
    ]) {
      expect(hipd(...argv)).toEqual({
        status: 3,
        stdout: "",
        stderr: `hipd: ${file}:2:1: unknown key "prot" in [network]; did you mean "port"?\nhipd: ${file}:3:7: [network] mtu: must be 1280 to 65535, or 0 for automatic\n`,
      });
    }
    expect(hipd("--check", "--config", "/nowhere.toml")).toMatchObject({
      status: 3,
      stderr: "hipd: /nowhere.toml: cannot be read: no such file or directory\n",
    });
  });

  test("--check and start: 4 for a key that is not private", () => {
    const folder = temporaryFolder();
    const file = write(folder, "hipd.toml", '[state]\ndirectory = "."\n');
    write(folder, "identity.pem", "", 0o644);
    for (const argv of [
      ["--check", "--config", file],
      ["--config", file],
    ]) {
      expect(hipd(...argv)).toMatchObject({
        status: 4,
        stderr: `hipd: ${folder}/identity.pem: other users have access to this private key (mode 0644); run: chmod 600 ${folder}/identity.pem\n`,
      });
    }
  });
});

describe("the example configuration", () => {
  const text = readFileSync(join(ROOT, "deploy/hipd.toml"), "utf8");

  test("is valid as it stands", () => {
    const loaded = loadConfig(join(ROOT, "deploy/hipd.toml"));
    expect(loaded.ok ? [] : loaded.error.map(problemText)).toEqual([]);
  });

  test("shows the defaults in its comments", () => {
    const shown = text
      .replace(/^# (\[+[a-z.]+\]+)$/gm, "$1")
      .replace(/^# ([a-z0-9_]+ = .*)$/gm, "$1")
      .replace(/^\[\[peer\]\]$[\s\S]*/m, "")
      .replace(/^(group|default|listen) = .*$/gm, "");
    const loaded = loadConfig(write(temporaryFolder(), "hipd.toml", shown));
    const empty = loadConfig(write(temporaryFolder(), "hipd.toml", ""));
    if (!loaded.ok) throw new Error(loaded.error.map(problemText).join("\n"));
    if (!empty.ok) throw new Error("an empty file is not valid");
    expect(loaded.value.host).toEqual(DEFAULT_CONFIG);
    expect(loaded.value.network).toEqual(empty.value.network);
    expect(loaded.value.locators).toEqual(empty.value.locators);
    expect(loaded.value.metadata).toEqual(empty.value.metadata);
    expect(loaded.value.log).toEqual(empty.value.log);
    expect(loaded.value.control).toEqual(empty.value.control);
    expect(loaded.value.identity).toMatchObject({
      key: empty.value.identity.key,
      directory: empty.value.identity.directory,
    });
    for (const key of [
      "max_jobs",
      "r1_per_address",
      "rekey_after",
      "lifetime",
      "update",
      "workers",
      "offloads",
      "busy_poll",
      "nice",
      "dead_path_after",
    ])
      expect(shown).toMatch(new RegExp(`^${key} = `, "m"));
  });
});

describe.each(["hipd", "hipctl"])("bin/%s", (name) => {
  /** An installation whose program only says how it was called. */
  function install(node: string | undefined): string {
    const root = temporaryFolder();
    mkdirSync(join(root, "bin"));
    mkdirSync(join(root, "dist/bundle/cli"), { recursive: true });
    copyFileSync(join(ROOT, "bin", name), join(root, "bin", name));
    writeFileSync(
      join(root, `dist/bundle/cli/${name}-main.js`),
      "console.log(JSON.stringify([process.argv.slice(2), process.ppid]));\n",
    );
    if (node !== undefined) {
      mkdirSync(join(root, "node_modules/node/bin"), { recursive: true });
      symlinkSync(node, join(root, "node_modules/node/bin/node"));
    }
    return root;
  }
  const run = (file: string, path: string, cwd = "/") =>
    spawnSync(file, ["a b", "--c"], { encoding: "utf8", cwd, env: { PATH: path } });

  test("finds its folder through symbolic links and the pinned Node, and leaves no process between", () => {
    const root = install(process.execPath);
    const other = temporaryFolder();
    symlinkSync(join(root, "bin", name), join(other, "absolute"));
    symlinkSync("absolute", join(other, "relative"));
    const ran = run(join(other, "relative"), "/usr/bin:/bin");
    expect(ran.stderr).toBe("");
    expect(JSON.parse(ran.stdout)).toEqual([["a b", "--c"], process.pid]);
    expect(run(`bin/${name}`, "/usr/bin:/bin", root).status).toBe(0);
  });

  test("takes a Node of PATH that is new enough, and refuses an older one in one line", () => {
    const root = install(undefined);
    const path = temporaryFolder();
    symlinkSync(process.execPath, join(path, "node"));
    expect(run(join(root, "bin", name), `${path}:/usr/bin:/bin`).status).toBe(0);
    const old = temporaryFolder();
    writeFileSync(join(old, "node"), "#!/bin/sh\necho v18.19.0\n");
    chmodSync(join(old, "node"), 0o755);
    expect(run(join(root, "bin", name), `${old}:/usr/bin:/bin`)).toMatchObject({
      status: 1,
      stderr: `${name}: needs Node.js 22 or newer and found v18.19.0; run: make build (in ${root}), or install Node.js\n`,
    });
  });

  test("runs what was compiled after the bundle was made, or without it", () => {
    const root = install(process.execPath);
    for (const folder of ["dist/src/cli", "dist/.tsbuildinfo"])
      mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, `dist/src/cli/${name}-main.js`), 'console.log("compiled");\n');
    const compiled = join(root, "dist/.tsbuildinfo/hip.tsbuildinfo");
    writeFileSync(compiled, "");
    const { mtimeMs } = statSync(join(root, `dist/bundle/cli/${name}-main.js`));
    const says = (seconds: number): string => {
      utimesSync(compiled, mtimeMs / 1000 + seconds, mtimeMs / 1000 + seconds);
      return run(join(root, "bin", name), "/usr/bin:/bin").stdout;
    };
    expect(says(1)).toBe("compiled\n");
    expect(says(-1)).toContain('["a b","--c"]');
    rmSync(join(root, "dist/bundle"), { recursive: true });
    expect(run(join(root, "bin", name), "/usr/bin:/bin").stdout).toBe("compiled\n");
  });

  test("says in one line that it is not built", () => {
    const root = temporaryFolder();
    mkdirSync(join(root, "bin"));
    copyFileSync(join(ROOT, "bin", name), join(root, "bin", name));
    expect(run(join(root, "bin", name), "/usr/bin:/bin").stderr).toBe(
      `${name}: ${root}/dist/bundle/cli/${name}-main.js is missing; build it first: make build (in ${root})\n`,
    );
  });
});
