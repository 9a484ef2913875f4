/** Several overlays on one host: names, and what each has of its own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadConfig } from "../../src/runtime/config-file.ts";
import { instanceOfFile, parseInstanceName } from "../../src/runtime/overlay-instance.ts";
import { hipctl } from "../support/cli.ts";

test("names are such that units, files and sockets can be called so", () => {
  for (const name of ["blue", "a", "tenant-7_x", "7"])
    expect(parseInstanceName(name)).toMatchObject({ ok: true });
  for (const name of ["", "hipd", "../x", "Blue", "-x", "a.b", "x".repeat(33)]) {
    expect(parseInstanceName(name)).toMatchObject({ ok: false });
  }
});

test("a file of /etc/hipd is an instance's, but for hipd.toml", () => {
  expect(
    ["/etc/hipd/blue.toml", "/etc/hipd/hipd.toml", "/etc/hipd/x/blue.toml", "blue.toml"].map(instanceOfFile),
  ).toEqual(["blue", undefined, undefined, undefined]);
});

test("an instance has its own interface, socket, state and peers, unless its file says otherwise", () => {
  const folder = mkdtempSync(join(tmpdir(), "hipd-instance-"));
  try {
    const file = join(folder, "blue.toml");
    const load = (text: string, name: string | undefined) => {
      writeFileSync(file, text);
      const loaded = loadConfig(file, name);
      if (!loaded.ok) return loaded.error.map(({ message }) => message);
      const { instance, network, control, stateDirectory, identity, peersDirectory } = loaded.value;
      const { interface: device, hitRoutes } = network;
      return {
        instance,
        device,
        hitRoutes,
        socket: control.socket,
        stateDirectory,
        key: identity.key,
        peersDirectory,
      };
    };
    expect(load("", "blue")).toEqual({
      instance: "blue",
      device: "hip-blue",
      hitRoutes: "peers",
      socket: "/run/hipd-blue/hipd.sock",
      stateDirectory: "/var/lib/hipd-blue",
      key: "/var/lib/hipd-blue/identity.pem",
      peersDirectory: "/var/lib/hipd-blue/peers.d",
    });
    const own =
      '[network]\ninterface = "hip7"\nhit_routes = "prefix"\n[control]\nsocket = "/x"\n[state]\ndirectory = "/y"\n';
    expect(load(`peers_dir = "/z"\n${own}`, "blue")).toMatchObject({
      device: "hip7",
      hitRoutes: "prefix",
      socket: "/x",
      stateDirectory: "/y",
      peersDirectory: "/z",
    });
    expect(load('[state]\ndirectory = "own"\n', "blue")).toMatchObject({
      stateDirectory: join(folder, "own"),
      peersDirectory: join(folder, "own/peers.d"),
    });
    expect(load("", undefined)).toMatchObject({
      device: "hip0",
      hitRoutes: "prefix",
      socket: "/run/hipd/hipd.sock",
    });
    expect(load("network = 7\n", "blue")).toEqual([expect.stringContaining("network")]);
    expect(load("", "much-too-long-for-a-device")).toMatchObject({ device: "hip0" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("hipctl finds the socket: an option before a variable, a socket before an instance", async () => {
  const where = async (argv: readonly string[], environment: Readonly<Record<string, string>>) => {
    const { error } = await hipctl([...argv, "status"], { environment });
    return /does not answer on (\S+):/.exec(error)?.[1] ?? error;
  };
  const both = { HIPD_SOCKET: "/tmp/none.sock", HIPD_INSTANCE: "env" };
  expect(await where(["--instance", "blue"], both)).toBe("/run/hipd-blue/hipd.sock");
  expect(await where(["--instance", "blue", "--socket", "/tmp/other.sock"], both)).toBe("/tmp/other.sock");
  expect(await where([], both)).toBe("/tmp/none.sock");
  expect(await where([], { HIPD_INSTANCE: "env" })).toBe("/run/hipd-env/hipd.sock");
  expect(await where(["--instance", "../x"], {})).toContain("cannot be the name of an instance");
});
