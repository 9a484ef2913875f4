/** How the doctor reads what the system writes. */

import { createSocket } from "node:dgram";
import { once } from "node:events";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { gatherConfig } from "../../src/cli/doctor/gather-config.ts";
import { parseUnit } from "../../src/cli/doctor/gather-system.ts";
import { isHipd, parseStatus, parseUdp, socketsOn } from "../../src/cli/doctor/proc.ts";
import { unitName } from "../../src/cli/doctor/say.ts";
import { runTool } from "../../src/cli/tools.ts";
import { temporaryFolder, write } from "../support/runtime.ts";

describe("/proc", () => {
  test("rights of a process", () => {
    const text = "Name:\tnode\nUid:\t1000\t990\t990\t990\nCapEff:\t0000000000003000\n";
    expect(parseStatus(text)).toEqual({ uid: 990, capabilities: ["net_admin", "net_raw"] });
    expect(parseStatus("")).toEqual({ uid: 0, capabilities: [] });
  });

  test.each([
    [
      [
        "/usr/lib/hipd/node",
        "--max-semi-space-size=1",
        "/usr/lib/hipd/dist/src/cli/hipd-main.js",
        "--config",
        "x",
      ],
      true,
    ],
    [["/usr/bin/hipd", "--config", "x"], true],
    [["hipd"], true],
    [["/bin/sh", "/usr/bin/hipd"], true],
    [["node", "dist/src/cli/hipd-main.js", "--check"], false],
    [["node", "dist/src/cli/hipctl-main.js", "doctor"], false],
    [["less", "/usr/share/doc/hipd"], false],
    [["vi", "hipd-main.js"], false],
    [["tail", "-f", "hipd"], false],
    [[], false],
  ])("%j is hipd: %s", (words, yes) => {
    expect(isHipd(words)).toBe(yes);
  });

  test("UDP sockets of both families", () => {
    const head =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
    const row = (address: string, inode: number) =>
      `  12: ${address} 00000000:0000 07 00000000:00000000 00:00000000 00000000   990        0 ${inode} 2 0 0\n`;
    const text = `${head}${row("0100007F:2904", 111)}${row("00000000:0035", 222)}${row("B80D0120000000000000000001000000:2904", 333)}`;
    expect(parseUdp(text, 10500)).toEqual([
      { address: "127.0.0.1", inode: "111" },
      { address: "2001:db8::1", inode: "333" },
    ]);
    expect(parseUdp("nonsense\n1: 2", 10500)).toEqual([]);
  });

  test("a socket of ours is found with its owner", async () => {
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    const [found] = socketsOn(socket.address().port);
    socket.close();
    expect(found).toMatchObject({ address: "127.0.0.1", owner: { pid: process.pid } });
  });
});

describe("systemd", () => {
  const SHOWN =
    "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nUnitFileState=enabled\nNRestarts=3\nExecMainStatus=4\nNeedDaemonReload=no\n";
  const LOG = [
    "Started hipd.service",
    '{"level":"info","event":"ready","msg":"ready"}',
    '{"level":"error","event":"start-failed","msg":"key.pem: other users have access"}',
    "hipd: /etc/hipd/hipd.toml:3:1: unknown key",
    "{broken",
  ].join("\n");

  test("a unit and the end of its log", () => {
    expect(parseUnit("hipd.service", SHOWN, LOG)).toEqual({
      name: "hipd.service",
      loaded: true,
      active: "failed",
      sub: "failed",
      result: "exit-code",
      enabled: "enabled",
      restarts: 3,
      status: 4,
      needsReload: false,
      errors: ["key.pem: other users have access", "/etc/hipd/hipd.toml:3:1: unknown key"],
    });
    expect(parseUnit("x", "LoadState=not-found\n", "")).toMatchObject({ loaded: false, restarts: 0 });
  });

  test.each([
    ["/etc/hipd/hipd.toml", "hipd.service"],
    ["/etc/hipd/blue.toml", "hipd@blue.service"],
    ["/tmp/blue.toml", "hipd.service"],
  ])("%s is run by %s", (file, unit) => {
    expect(unitName(file)).toBe(unit);
  });
});

describe("a configuration", () => {
  test("that is wrong still tells where socket and state are", () => {
    const folder = temporaryFolder();
    const file = write(
      folder,
      "hipd.toml",
      '[network]\nport = 7000\nlsi_prefix = "100.64.0.0/16"\nprot = 1\n[control]\nsocket = "x.sock"\n[state]\ndirectory = "s"\n',
    );
    const { facts } = gatherConfig(file, []);
    expect(facts.problems).toEqual([expect.stringContaining('unknown key "prot"')]);
    expect(facts.plan).toMatchObject({
      port: 7000,
      socket: join(folder, "x.sock"),
      lsiPrefix: "100.64.0.0/16",
      stateDirectory: join(folder, "s"),
      interface: "hip0",
    });
  });

  test("that is no TOML at all leaves the defaults", () => {
    const { facts } = gatherConfig(write(temporaryFolder(), "hipd.toml", "= ="), []);
    expect(facts.problems).toHaveLength(1);
    expect(facts.plan).toMatchObject({ port: 10500, socket: "/run/hipd/hipd.sock" });
  });

  test("modes of what it names", () => {
    const folder = temporaryFolder();
    const file = write(folder, "hipd.toml", '[state]\ndirectory = "s"\n');
    mkdirSync(join(folder, "s/identities"), { recursive: true, mode: 0o700 });
    write(folder, "s/identities/other.pem", "x");
    chmodSync(join(folder, "s/identities/other.pem"), 0o640);
    const { files, disk } = gatherConfig(file, []);
    expect(
      files.map(({ path, role, found }) => [
        path.slice(folder.length + 1),
        role,
        found.ok && found.value && (found.value.mode & 0o777).toString(8),
      ]),
    ).toEqual([
      ["s/identity.pem", "key", undefined],
      ["s/identities/other.pem", "key", "640"],
      ["s/identities", "keys", "700"],
      ["s", "state", "700"],
      ["peers.d", "peers", undefined],
    ]);
    expect(disk).toMatchObject({ ok: true, value: { path: join(folder, "s"), writable: { ok: true } } });
  });
});

describe("programs", () => {
  test("that are not there, fail, or end well", async () => {
    expect(await runTool("no-such-program-of-anybody")).toEqual({
      ok: false,
      error: "no-such-program-of-anybody is not installed",
    });
    expect(await runTool("sh", "-c", "echo bad >&2; exit 3")).toEqual({ ok: false, error: "sh: bad" });
    expect(await runTool("sh", "-c", "echo $LC_ALL")).toEqual({ ok: true, value: "C\n" });
  });
});
