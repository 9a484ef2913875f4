/** The unit files: understood by systemd, as closed as hipd can stand, and in step with the program. */
import { execFileSync, spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXIT } from "../../src/cli/exit.ts";
import { HELP } from "../../src/cli/hipd.ts";

const ROOT = join(import.meta.dirname, "../..");
const UNITS = join(ROOT, "deploy/systemd");
/** systemd's own scale: 0 is closed, 10 is open. */
const MOST_EXPOSED = 2.5;

const missing =
  spawnSync("systemd-analyze", ["--version"]).status === 0 ? undefined : "needs systemd-analyze";
const units = readdirSync(UNITS).filter((name) => name.endsWith(".service"));

function unit(name: string): string {
  return readFileSync(join(UNITS, name), "utf8");
}

/** Every value of a setting, in order. */
function settings(name: string, key: string): readonly string[] {
  return [...unit(name).matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map((match) => match[1] as string);
}

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hipd-units-"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(missing !== undefined)(`systemd${missing === undefined ? "" : ` (${missing})`}`, () => {
  /** A template as an instance, with programs that exist here. */
  const installed = (name: string): string => {
    const file = join(folder, name.replace("@.", "@blue."));
    writeFileSync(file, unit(name).replaceAll("/usr/bin/hip", join(ROOT, "bin/hip")));
    return file;
  };

  test("understands every unit without a word", () => {
    const files = units.map(installed);
    const done = spawnSync("systemd-analyze", ["verify", "--man=no", ...files], { encoding: "utf8" });
    expect([done.stderr, done.status]).toEqual(["", 0]);
  }, 20_000);

  test("understands the drop-in for plain carriers", () => {
    const file = installed("hipd.service");
    const dropIns = `${file}.d`;
    mkdirSync(dropIns, { recursive: true });
    copyFileSync(join(UNITS, "plain-carriers.conf"), join(dropIns, "plain-carriers.conf"));
    const done = spawnSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8" });
    rmSync(dropIns, { recursive: true });
    expect([done.stderr, done.status]).toEqual(["", 0]);
  }, 20_000);

  test.each(units)("finds %s closed enough", (name) => {
    const said = execFileSync("systemd-analyze", ["security", "--offline=true", join(UNITS, name)], {
      encoding: "utf8",
    });
    const level = /exposure level for \S+ ([0-9.]+)/.exec(said)?.[1];
    expect(Number(level), said).toBeLessThanOrEqual(MOST_EXPOSED);
  });
});

describe("unit files", () => {
  const daemons = ["hipd.service", "hipd@.service"];

  test("there is one for the daemon and one for its guard, alone and for instances", () => {
    expect(units.sort()).toEqual(["hipd-guard.service", "hipd-guard@.service", ...daemons].sort());
  });

  test.each(daemons)("%s has one right and one device", (name) => {
    expect(settings(name, "User")).toEqual(["hipd"]);
    expect(settings(name, "AmbientCapabilities")).toEqual(["CAP_NET_ADMIN"]);
    expect(settings(name, "CapabilityBoundingSet")).toEqual(["CAP_NET_ADMIN"]);
    expect(settings(name, "DeviceAllow")).toEqual(["/dev/net/tun rw"]);
    expect(settings(name, "LimitCORE")).toEqual(["0"]);
    expect(settings(name, "MemoryDenyWriteExecute")).toEqual([]);
  });

  test.each(daemons)("%s does not start again what cannot succeed", (name) => {
    expect(settings(name, "RestartPreventExitStatus")).toEqual([
      [EXIT.usage, EXIT.config, EXIT.permission].join(" "),
    ]);
    expect(settings(name, "Restart")).toEqual(["on-failure"]);
  });

  test.each(daemons)(
    "%s gives way to a take-over: nothing slow before the start, room for what is stored",
    (name) => {
      expect(unit(name)).not.toContain("ExecStartPre=");
      expect(settings(name, "ExecStop")).toEqual([
        expect.stringMatching(/^-\+\/usr\/bin\/hipctl .*takeover announce --unit %n$/),
      ]);
      // State, ticket, raw sockets, and for each of 16 workers a queue, two sockets, and two of its favourite peer.
      expect(Number(settings(name, "FileDescriptorStoreMax")[0])).toBeGreaterThanOrEqual(3 + 4 + 16 * 5);
      expect(settings(name, "NotifyAccess")).toEqual(["main"]);
      expect(Number(settings(name, "WatchdogSec")[0])).toBeGreaterThan(0);
    },
  );

  test("a template is the plain unit, but for what an instance has of its own", () => {
    const lines = (name: string) =>
      unit(name)
        .split("\n")
        .filter((line) => /^[A-Z]\w+=/.test(line));
    const keys = (name: string) => new Set(lines(name).map((line) => line.split("=")[0]));
    for (const name of ["hipd", "hipd-guard"]) {
      const own = lines(`${name}@.service`).filter((line) => !lines(`${name}.service`).includes(line));
      for (const line of own) expect(line).toMatch(/%i/);
      // The folder of an instance's peers is in its state.
      const wanted = [...keys(`${name}.service`)].filter((key) => key !== "ReadWritePaths");
      expect([...keys(`${name}@.service`)]).toEqual(expect.arrayContaining(wanted));
    }
  });

  test("programs are called with options that they have", () => {
    for (const name of units) {
      for (const [option] of settings(name, "ExecStart")
        .join(" ")
        .matchAll(/--[a-z]+/g)) {
        expect(HELP).toContain(option);
      }
    }
  });
});
