/** hipd as a service: as a user without rights but one, under a service manager, several on one host. */
import { chmodSync, chownSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { compiled } from "../../tools/lab/compiled.ts";
import { Daemon, type Locators, type Side } from "../../tools/lab/daemon.ts";
import type { Lab } from "../../tools/lab/lab.ts";
import { ping, suite, withPair } from "./support.ts";

/** Any user and group that own nothing on this machine. */
const USER = 64_990;
const NET_ADMIN = 1n << 12n;
const NET_RAW = 1n << 13n;

/** As systemd starts it: User=, AmbientCapabilities=, CapabilityBoundingSet=. */
function asUser(...capabilities: readonly string[]): readonly string[] {
  const set = (prefix: string) => capabilities.map((name) => `${prefix}${name}`).join(",");
  return [
    ...["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--no-new-privs"],
    ...[`--inh-caps=${set("+")}`, `--ambient-caps=${set("+")}`, `--bounding-set=-all,${set("+")}`],
    "--",
  ];
}

/** Gives the daemon's folder with all that is in it to that user; the way there is open to everybody. */
function handOver(daemon: Daemon): void {
  chmodSync(join(daemon.folder, ".."), 0o711);
  daemon.writeConfig();
  for (const name of readdirSync(daemon.folder)) chownSync(join(daemon.folder, name), USER, USER);
  chownSync(daemon.folder, USER, USER);
}

/** The fields of /proc/PID/task/TID/status, for each thread. */
function threads(pid: number): readonly ReadonlyMap<string, string>[] {
  return readdirSync(`/proc/${pid}/task`).map((task) => {
    const lines = readFileSync(`/proc/${pid}/task/${task}/status`, "utf8").split("\n");
    return new Map(lines.map((line) => line.split(":\t") as [string, string]));
  });
}

function capabilities(
  pid: number,
  set: "CapEff" | "CapPrm" | "CapBnd" | "CapInh" | "CapAmb",
): readonly bigint[] {
  return [...new Set(threads(pid).map((fields) => fields.get(set) ?? ""))].map((text) => BigInt(`0x${text}`));
}

function expectNothingBut(pid: number, kept: bigint): void {
  for (const set of ["CapEff", "CapPrm"] as const)
    expect([set, capabilities(pid, set)]).toEqual([set, [kept]]);
  for (const set of ["CapInh", "CapAmb"] as const) expect([set, capabilities(pid, set)]).toEqual([set, [0n]]);
  expect(new Set(threads(pid).map((fields) => fields.get("NoNewPrivs")))).toEqual(new Set(["1"]));
  const core = readFileSync(`/proc/${pid}/limits`, "utf8")
    .split("\n")
    .find((line) => line.startsWith("Max core"));
  expect(core).toMatch(/^Max core file size +0 +0 /);
  // A process that cannot be dumped belongs to root in /proc.
  expect(threads(pid).length).toBeGreaterThan(3);
}

suite("an unprivileged user", () => {
  it("with CAP_NET_ADMIN alone runs hipd, and keeps an interface that root has left", async () => {
    const runner = asUser("net_admin");
    await withPair({ idle: true, daemonA: { runner }, daemonB: { runner } }, async ({ a, b }) => {
      for (const { daemon } of [a, b]) handOver(daemon);
      await a.daemon.namespace.run(["ip", "tuntap", "add", "hip0", "mode", "tun", "vnet_hdr", "user", "0"]);
      await Promise.all([a.daemon.start(), b.daemon.start()]);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      expect((await ping(b.daemon.namespace, await b.daemon.lsi("a"))).received).toBe(3);
      for (const { daemon } of [a, b]) {
        expectNothingBut(daemon.pid, NET_ADMIN);
        expect(capabilities(daemon.pid, "CapBnd")).toEqual([NET_ADMIN]);
        expect(new Set(threads(daemon.pid).map((fields) => fields.get("Uid")))).toEqual(
          new Set([Array(4).fill(USER).join("\t")]),
        );
      }
      await a.daemon.ctl("identity", "new", "second");
      expect((await a.daemon.ctl("reload")).status).toBe(0);
      await a.daemon.stop();
      await a.daemon.start();
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      // Root looks at what belongs to that user.
      const checked = await a.daemon.namespace.attempt(a.daemon.command("--check"));
      expect([checked.status, checked.stderr]).toEqual([0, ""]);
    });
  });

  it("without any capability is told what hipd needs", async () => {
    await withPair({ idle: true }, async ({ a }) => {
      handOver(a.daemon);
      const user = [`--reuid=${USER}`, `--regid=${USER}`, "--clear-groups"];
      const bare = ["setpriv", ...user, "--inh-caps=-all", "--bounding-set=-all", "--"];
      const ended = await a.daemon.namespace.attempt([...bare, ...a.daemon.command()]);
      expect([ended.status, ended.stderr]).toEqual([4, expect.stringContaining("hipd needs CAP_NET_ADMIN")]);
    });
  });
});

suite("root", () => {
  it("gives everything up but CAP_NET_ADMIN, in every thread, and still reloads", async () => {
    await withPair({}, async ({ a, b }) => {
      expectNothingBut(a.daemon.pid, NET_ADMIN);
      expect(capabilities(a.daemon.pid, "CapBnd")).toEqual([NET_ADMIN]);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      // Node's answer to this signal would be a debugger that every user of the host can reach.
      process.kill(a.daemon.pid, "SIGUSR1");
      expect((await a.daemon.ctl("identity", "new", "second")).status).toBe(0);
      expect(await a.daemon.namespace.run(["ss", "-Hltn", "sport = 9229"])).toBe("");
      expect(readFileSync(`/proc/${a.daemon.pid}/comm`, "utf8")).toBe("hipd\n");
      expect((await a.daemon.ctl("reload")).status).toBe(0);
    });
  });

  it("leaves an interface that no other user can read from", async () => {
    await withPair({}, async ({ a }) => {
      await a.daemon.kill();
      const nobody = [
        "setpriv",
        `--reuid=${USER}`,
        `--regid=${USER}`,
        "--clear-groups",
        "--bounding-set=-all",
      ];
      const attach = ["ip", "tuntap", "del", "dev", "hip0", "mode", "tun", "vnet_hdr"];
      const attached = await a.daemon.namespace.attempt([...nobody, "--inh-caps=-all", "--", ...attach]);
      expect(attached.stderr).toContain("Operation not permitted");
    });
  });

  it("keeps CAP_NET_RAW where plain carriers are configured", async () => {
    await withPair({ carrier: "none" }, async ({ a }) => {
      expectNothingBut(a.daemon.pid, NET_ADMIN | NET_RAW);
    });
  });
});

/** The first line from `from` on that the service manager tells about `what`, and fits. */
function told(
  daemon: Daemon,
  what: string,
  from = 0,
  fits = (_text: string): boolean => true,
): Promise<Told> {
  const { process } = daemon;
  const word = `"manager":"${what}"`;
  const look = () => process.out.slice(from).find((line) => line.includes(word) && fits(line));
  return process
    .until(look, 15_000, () => `waiting for "${what}"; it said:\n${process.out.slice(-30).join("\n")}`)
    .then((line) => JSON.parse(line) as Told);
}

interface Told {
  readonly run: number;
  readonly pid: number;
  readonly status: number;
  readonly descriptors: readonly string[];
  readonly stored: readonly string[];
}

suite("under a service manager", () => {
  it("hipd tells how it is, feeds the watchdog, and has no more rights after a take-over", async () => {
    const runner = [await compiled("service-manager"), "--watchdog", "3000", "--", ...asUser("net_admin")];
    await withPair({ idle: true, daemonA: { runner } }, async ({ a, b }) => {
      const { daemon } = a;
      handOver(daemon);
      await Promise.all([daemon.start(), b.daemon.start()]);
      const say = (word: string) => {
        daemon.process.child.stdin.write(`${word}\n`);
        return daemon.process.out.length;
      };
      const first = await told(daemon, "started");
      await told(daemon, "ready");
      await told(daemon, "status", 0, (line) => line.includes(`${daemon.hit}, 0 of 1 peers up`));
      expect((await ping(daemon.namespace, b.daemon.hit)).received).toBe(3);
      await told(daemon, "status", 0, (line) => line.includes("1 of 1 peers up"));
      await told(daemon, "watchdog");
      expectNothingBut(first.pid, NET_ADMIN);

      const reload = say("reload");
      await told(daemon, "reloading", reload);
      await told(daemon, "ready", reload);

      expect((await daemon.ctl("takeover", "announce")).status).toBe(0);
      const restart = say("restart");
      const next = await told(daemon, "started", restart);
      await told(daemon, "ready", restart);
      expect(next.descriptors).toEqual(expect.arrayContaining(["hipd-plane", "hipd-control", "hipd-ticket"]));
      await told(daemon, "watchdog", daemon.process.out.length);
      expect((await daemon.peer("b")).state).toBe("ESTABLISHED");
      expect(next.pid).not.toBe(first.pid);
      expectNothingBut(next.pid, NET_ADMIN);

      const stop = say("stop");
      await told(daemon, "stopping", stop);
      expect(await told(daemon, "ended", stop)).toMatchObject({ status: 0, stored: [] });
      expect(daemon.process.out.filter((line) => line.includes("watchdog-missed"))).toEqual([]);
    });
  });
});

suite("two overlays on one host", () => {
  it("run side by side, each with its peers", async () => {
    await withPair({}, async ({ lab, a, b }) => {
      const blue = [a, b].map((side) => second(lab, side));
      const [blueA, blueB] = blue as [Daemon, Daemon];
      for (const [here, there, side] of [
        [blueA, blueB, b],
        [blueB, blueA, a],
      ] as const) {
        here.peers.push({ name: "other", hit: there.hit, locators: [`${side.ipv4}:10600`] });
      }
      await Promise.all(blue.map((daemon) => daemon.start()));
      expect((await ping(blueA.namespace, blueB.hit)).received).toBe(3);
      expect((await ping(blueA.namespace, await blueA.lsi("other"))).received).toBe(3);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      expect((await ping(b.daemon.namespace, await b.daemon.lsi("a"))).received).toBe(3);
      expect((await blueA.peer("other")).txBytes).toBeGreaterThan(0);
      // What is nobody's peer stays inside, and the second overlay's end leaves the first one as it was.
      await blueA.stop();
      expect((await blueA.namespace.attempt(blueA.command("--teardown"))).status).toBe(0);
      const routes = await a.daemon.namespace.run(["ip", "-6", "route", "show", "2001:20::/28"]);
      expect(routes).toMatch(/^2001:20::\/28 dev hip0/m);
      expect(routes).toMatch(/^unreachable 2001:20::\/28/m);
      expect((await ping(a.daemon.namespace, b.daemon.hit)).received).toBe(3);
      // The first one starts beside the second one, too.
      await b.daemon.stop();
      await b.daemon.start();
      expect((await ping(b.daemon.namespace, a.daemon.hit)).received).toBe(3);
      const { own } = await b.daemon.json<Locators>("locator", "list");
      const offered = own.filter(({ state }) => state === "offered").map(({ address }) => address);
      expect(offered.map((address) => address.split(":10500")[0]).sort()).toEqual([b.ipv4, `[${b.ipv6}]`]);
    });
  });

  it("do not take a peer from each other", async () => {
    await withPair({ idle: true }, async ({ lab, a, b }) => {
      const x = { name: "x", hit: b.daemon.hit, locators: [b.ipv4] };
      const blue = second(lab, a);
      const green = second(lab, a, { interface: "hip-green", port: 10_700, lsi_prefix: "100.65.0.0/16" });
      for (const daemon of [blue, green]) daemon.peers.push(x);
      await blue.start();
      await green.start();
      expect(await green.event("routes-not-set")).toMatchObject({ reason: expect.stringContaining(x.hit) });
      const route = () => a.daemon.namespace.run(["ip", "-6", "route", "show", x.hit]);
      expect(await route()).toContain("dev hip-blue");
      await blue.ctl("peer", "remove", "x");
      await green.stop();
      await green.start();
      expect(await route()).toContain("dev hip-green");
    });
  });

  it("refuse to share what only one can have, in words", async () => {
    await withPair({ idle: true }, async ({ lab, a }) => {
      await a.daemon.start();
      for (const [network, words] of [
        [{ interface: "hip0" }, "is another hipd using hip0?"],
        [{ port: 10_500 }, "UDP port 10500"],
        [{ lsi_prefix: "198.18.0.0/16" }, "of hip0; choose another lsi_prefix"],
        [{ hit_routes: "prefix" }, '[network] hit_routes = "peers" is needed'],
      ] as const) {
        const blue = second(lab, a, network);
        blue.writeConfig();
        const ended = await a.daemon.namespace.attempt(blue.command());
        expect([ended.status, ended.stderr]).toEqual([1, expect.stringContaining(words)]);
      }
      expect((await ping(a.daemon.namespace, a.daemon.hit)).received).toBe(3);
    });
  });
});

/** A second daemon on the host of the first one, as an instance would be. */
function second(lab: Lab, side: Side, network: Readonly<Record<string, unknown>> = {}): Daemon {
  const own = { interface: "hip-blue", port: 10_600, lsi_prefix: "100.64.0.0/16", hit_routes: "peers" };
  const options = {
    config: { network: { ...own, ...network } },
    folder: `${side.daemon.namespace.label}-${network["port"] ?? own.port}`,
  };
  return new Daemon(lab, side.daemon.namespace, options);
}
