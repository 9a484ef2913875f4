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
import { carrierOf, LIMITS } from "../../src/cli/commands/takeover.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { HELP } from "../../src/cli/hipd.ts";
import { AWAIT_MILLIS, CARRY_MILLIS } from "../../src/runtime/carry.ts";
import { CONFIG_SCHEMA } from "../../src/runtime/config-schema.ts";
import { parseInstanceName } from "../../src/runtime/overlay-instance.ts";

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

  const carriers = ["hipd-carry.service", "hipd-carry@.service"];

  test("there is one for the daemon, one for its guard and one for its carrier, alone and for instances", () => {
    const guards = ["hipd-guard.service", "hipd-guard@.service"];
    expect(units.sort()).toEqual([...guards, ...carriers, ...daemons].sort());
  });

  test.each(carriers)("%s has no right, no device and no order with hipd, and ends by itself", (name) => {
    expect(settings(name, "User")).toEqual(settings("hipd.service", "User"));
    expect(settings(name, "CapabilityBoundingSet")).toEqual([""]);
    expect(settings(name, "AmbientCapabilities")).toEqual([]);
    expect(settings(name, "DeviceAllow")).toEqual([]);
    // It is started while hipd.service stops: it would wait for the end of what waits for it.
    for (const key of ["After", "Before", "PartOf", "BindsTo", "Requires", "WantedBy"])
      expect(settings(name, key), key).toEqual([]);
    const seconds = Number(settings(name, "RuntimeMaxSec")[0]);
    expect(seconds * 1000).toBeGreaterThan(AWAIT_MILLIS + CARRY_MILLIS);
  });

  test.each([
    ["hipd.service", "hipd-carry.service", "socket"],
    ["hipd@blue-1.service", "hipd-carry@.service", "socket"],
  ])("hipctl knows the carrier of %s, and where it listens", (name, file, socket) => {
    const carrier = carrierOf(name);
    const instance = /@(.*)\.service$/.exec(name)?.[1] ?? "";
    expect(carrier?.unit).toBe(file.replace("@.", `@${instance}.`));
    const [directory = ""] = settings(file, "RuntimeDirectory");
    const path = `/run/${directory}/${socket}`;
    expect(settings(file, "ExecStart")).toEqual([`/usr/bin/hipd --carry ${path}`]);
    expect(carrier?.socket).toBe(path.replace("%i", instance));
    // An instance may have any name of its own.
    expect(parseInstanceName(directory.replace(/^hipd-?/, "").replace("%i", instance)).ok).toBe(false);
    expect(settings(file, "RuntimeDirectoryMode")).toEqual(["0700"]);
  });

  test.each(daemons)("what hipctl may take before a stop of %s fits into the time of the stop", (name) => {
    const sum = Object.values(LIMITS).reduce((all, one) => all + one, 0);
    expect(sum).toBeLessThanOrEqual((Number(settings(name, "TimeoutStopSec")[0]) - 2) * 1000);
  });

  test("no other unit has a carrier", () => {
    for (const name of ["hipd", "other.service", "hipd-guard.service", "hipd@.service", "hipd@../x.service"])
      expect(carrierOf(name), name).toBeUndefined();
  });

  test.each(daemons)("%s has one right and one device", (name) => {
    expect(settings(name, "User")).toEqual(["hipd"]);
    expect(settings(name, "AmbientCapabilities")).toEqual(["CAP_NET_ADMIN"]);
    expect(settings(name, "CapabilityBoundingSet")).toEqual(["CAP_NET_ADMIN"]);
    expect(settings(name, "DeviceAllow")).toEqual(["/dev/net/tun rw"]);
    expect(settings(name, "LimitCORE")).toEqual(["0"]);
    expect(settings(name, "MemoryDenyWriteExecute")).toEqual([]);
  });

  test.each([...daemons, ...carriers])("%s has the priority that is the configuration's default", (name) => {
    const { nice } = CONFIG_SCHEMA.parse({}).network;
    expect(settings(name, "Nice")).toEqual([`${nice}`]);
  });

  test.each([...daemons, ...carriers])("%s may give itself any priority", (name) => {
    expect(settings(name, "LimitNICE")).toEqual(["-20"]);
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
      // State, ticket, connection with the carrier, raw sockets, and for each of 16 workers a queue, two sockets, and two of its favourite peer.
      expect(Number(settings(name, "FileDescriptorStoreMax")[0])).toBeGreaterThanOrEqual(4 + 4 + 16 * 5);
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
    for (const name of ["hipd", "hipd-guard", "hipd-carry"]) {
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
