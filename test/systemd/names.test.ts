/** Names of peers by systemd-resolved, on a booted machine with the package and Debian's systemd-resolved. */
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "../../tools/lab/lab.ts";
import { Machine } from "../../tools/lab/machine.ts";
import { attempt } from "../../tools/lab/shell.ts";
import { debOf, FOLDER, OLDER } from "./packages.ts";
import { suite } from "./support.ts";

const PEER = "2001:22::7";
const APT = "apt-get -y -q --no-install-recommends install";

suite("names by systemd-resolved", () => {
  const folder = mkdtempSync(join(tmpdir(), "hipd-names-"));
  let lab: Lab | undefined;
  let machine: Machine | undefined;
  /** Why there is no systemd-resolved to try. */
  let why: string | undefined;

  beforeAll(async () => {
    // apt reads packages as a user of its own.
    chmodSync(folder, 0o755);
    // The machine reaches no archive: what it installs is fetched here.
    const fetched = await attempt([
      ...["sh", "-c", `cd ${folder} && exec apt-get download -qq systemd-resolved libnss-resolve`],
    ]);
    if (fetched.status !== 0) {
      why = `systemd-resolved cannot be downloaded: ${fetched.stderr.trim().split("\n")[0]}`;
      return;
    }
    copyFileSync(join(FOLDER, debOf(OLDER)), join(folder, debOf(OLDER)));
    lab = Lab.create();
    machine = await Machine.boot(await lab.namespace("east"), folder);
    const packages = readdirSync(folder).filter((name) => !name.startsWith("hipd_"));
    const done = await machine.attempt([
      "sh",
      "-c",
      `cd /srv && ${APT} ${packages.map((one) => `./${one}`).join(" ")}`,
    ]);
    // Of another release than the machine's systemd.
    if (done.status !== 0)
      why = `systemd-resolved cannot be installed: ${done.stderr.trim().split("\n").at(-1)}`;
    else {
      // The bus, which came up without it, does not know it before it begins anew.
      await machine.run(["systemctl", "restart", "systemd-resolved"]);
      await machine.sh(`${APT} /srv/${debOf(OLDER)}`, { timeoutMillis: 60_000 });
      await machine.run([
        "hipctl",
        "peer",
        "add",
        "bob",
        "--hit",
        PEER,
        "--locator",
        "203.0.113.2",
        "--keep",
      ]);
    }
  });
  afterAll(async () => {
    await machine?.end();
    await lab?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const wiring = async (on: Machine): Promise<string> =>
    (JSON.parse(await on.run(["hipctl", "--json", "dns", "status"])) as { wiring: string }).wiring;

  test("the unit wires them: getent finds a peer by name and its name by address", async (context) => {
    if (machine === undefined || why !== undefined) return context.skip(why);
    expect(await wiring(machine)).toBe("resolved");
    const { lsi } = JSON.parse(await machine.run(["hipctl", "--json", "peer", "show", "bob"])) as {
      lsi: string;
    };
    const found = await machine.run(["getent", "ahosts", "bob.hip"]);
    expect(found).toContain(lsi);
    expect(found).toContain(PEER);
    for (const address of [lsi, PEER]) {
      expect(await machine.run(["resolvectl", "--no-pager", "query", address])).toContain("bob.hip");
    }
    expect((await machine.attempt(["getent", "ahosts", "nobody.hip"])).status).toBe(2);
    // The daemon's user has no capability but CAP_NET_ADMIN, which is enough for neither port 53 nor systemd-resolved.
    const status = await machine.run(["hipctl", "dns", "status"]);
    expect(status).toContain(":10553");
    expect(await machine.run(["resolvectl", "--no-pager", "default-route", "hip0"])).toContain("no");
  });

  test("restarts of either change nothing, and dns off and on do", async (context) => {
    if (machine === undefined || why !== undefined) return context.skip(why);
    for (const unit of ["systemd-resolved", "hipd"]) {
      await machine.run(["systemctl", "restart", unit]);
      expect(await wiring(machine), unit).toBe("resolved");
      expect(await machine.run(["getent", "ahosts", "bob.hip"]), unit).toContain(PEER);
    }
    await machine.run(["hipctl", "dns", "off"]);
    expect(await wiring(machine)).toBe("none");
    expect((await machine.attempt(["getent", "ahosts", "bob.hip"])).status).toBe(2);
    await machine.run(["hipctl", "dns", "on"]);
    expect(await machine.run(["getent", "ahosts", "bob.hip"])).toContain(PEER);
  });

  test("only root may wire them, whatever other capabilities somebody has", async (context) => {
    if (machine === undefined || why !== undefined) return context.skip(why);
    const asUser = ["setpriv", "--reuid=hipd", "--regid=hipd", "--clear-groups"];
    const capable = ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"];
    const done = await machine.attempt([...asUser, ...capable, "resolvectl", "dns", "hip0", "192.0.2.53"]);
    expect(done.status).not.toBe(0);
    expect(await wiring(machine)).toBe("resolved");
  });
});
