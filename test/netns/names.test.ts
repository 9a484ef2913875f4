/** Names of peers, as the programs of this machine find them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Ended } from "../../tools/lab/shell.ts";
import { attempt } from "../../tools/lab/shell.ts";
import { addressesOf, type Pair, ping, sharedPair, suite, withPair } from "./support.ts";

const noDig = (await attempt(["dig", "-v"])).status !== 0;

/** Runs programs with other files in /etc than the machine's: `mounts` maps a name there to a file. */
function withEtc(mounts: Readonly<Record<string, string>>): string[] {
  const binds = Object.entries(mounts).map(([name, file]) => `mount --bind ${file} /etc/${name}`);
  return ["unshare", "--mount", "sh", "-ec", `${binds.join("\n")}\nexec "$@"`, "sh"];
}

interface NamesJson {
  readonly listen: string;
  readonly name: string;
  readonly wiring: string;
  readonly counters: Readonly<Record<string, number>>;
}

suite("names", () => {
  const pair = sharedPair({ daemonA: { config: { dns: { name: "me" } } } });

  async function facts(): Promise<Pair & { own: string; lsi: string; hit: string }> {
    const { a, b, ...rest } = pair();
    const { lsi, hit } = await addressesOf(a, b);
    return { ...rest, a, b, lsi, hit, own: (await a.daemon.status()).self.lsi };
  }

  describe.skipIf(noDig)(`of a peer${noDig ? " (needs bind9-dnsutils)" : ""}`, () => {
    it("are its LSI and HIT by UDP and TCP, and lead back from both", async () => {
      const { a, own, lsi, hit } = await facts();
      const dig = async (...args: readonly string[]) =>
        (await a.daemon.namespace.run(["dig", `@${own}`, "+short", "+tries=1", "+time=2", ...args])).trim();
      for (const how of ["+notcp", "+tcp"]) {
        expect(await dig(how, "b.hip", "A")).toBe(lsi);
        expect(await dig(how, "B.HIP", "AAAA")).toBe(hit);
      }
      expect(await dig("-x", lsi)).toBe("b.hip.");
      expect(await dig("-x", hit)).toBe("b.hip.");
      expect(await dig("me.hip", "A")).toBe(own);
      expect(await dig("-x", a.daemon.hit)).toBe("me.hip.");
      expect(await dig("hip.", "NS")).toBe("me.hip.");
    });

    it("have the key that it has shown, as a HIP record (RFC 8005)", async () => {
      const { a, b, own, hit } = await facts();
      await ping(a.daemon.namespace, hit);
      const shown = await a.daemon.namespace.run(["dig", `@${own}`, "+short", "b.hip", "HIP"]);
      const exported = (await b.daemon.ctl("identity", "export", "--dns", "b.example.org")).stdout;
      const [, algorithm = "", tag = "", key = ""] = /HIP \( (\S+) (\S+) (\S+) \)/.exec(exported) ?? [];
      expect(shown.trim().split(/\s+/).slice(0, 2)).toEqual([algorithm, tag]);
      expect(shown.trim().split(/\s+/).slice(2).join("")).toBe(key);
    });

    it("and nothing else: other names are refused, unknown ones do not exist", async () => {
      const { a, own } = await facts();
      const dig = (...args: readonly string[]) => a.daemon.namespace.run(["dig", `@${own}`, ...args]);
      expect(await dig("example.org", "A")).toContain("status: REFUSED");
      const none = await dig("nobody.hip", "A");
      expect(none).toContain("status: NXDOMAIN");
      expect(none).toMatch(/hip\.\s+5\s+IN\s+SOA\s+me\.hip\. hostmaster\.hip\./);
      expect(await dig("+edns=1", "+noednsneg", "b.hip", "A")).toContain("status: BADVERS");
    });

    it("are told to nobody else: a peer that asks through the overlay is counted and gets nothing", async () => {
      const { a, b } = await facts();
      const target = await b.daemon.lsi("a");
      await ping(b.daemon.namespace, target);
      const before = (await a.daemon.json<NamesJson>("dns", "status")).counters["drops_foreign"] ?? 0;
      for (const how of ["+notcp", "+tcp"]) {
        const done = await b.daemon.namespace.attempt([
          "dig",
          `@${target}`,
          how,
          "+tries=1",
          "+time=1",
          "b.hip",
        ]);
        expect(done.stdout).not.toContain("status: NOERROR");
      }
      const after = (await a.daemon.json<NamesJson>("dns", "status")).counters["drops_foreign"] ?? 0;
      expect(after - before).toBeGreaterThanOrEqual(2);
    });
  });

  it("reach applications by the resolver of the C library: ping b.hip", async () => {
    const { a, own, lsi } = await facts();
    const resolv = join(a.daemon.folder, "resolv.conf");
    writeFileSync(resolv, `nameserver ${own}\noptions timeout:2 attempts:1\n`);
    const run = (...command: readonly string[]) =>
      a.daemon.namespace.run([...withEtc({ "resolv.conf": resolv }), ...command]);
    expect(await run("getent", "ahostsv4", "b.hip")).toContain(lsi);
    expect(await run("getent", "hosts", lsi)).toContain("b.hip");
    expect(await run("ping", "-c", "1", "-W", "5", "b.hip")).toContain("1 received");
    expect(await run("ping", "-6", "-c", "1", "-W", "5", "b.hip")).toContain("1 received");
  });

  it("hipctl dns status says who answers, and that nobody asks", async () => {
    const { a, own } = await facts();
    const status = await a.daemon.json<NamesJson>("dns", "status");
    expect(status).toMatchObject({ listen: `${own}:53`, name: "me.hip", wiring: "none" });
    const shown = await a.daemon.ctl("dns", "status");
    expect(shown.stdout).toContain("systemd-resolved");
    const on = await a.daemon.ctl("dns", "on");
    expect(on.status).toBe(1);
    expect(on.stderr).toContain("hosts_file");
    expect((await a.daemon.ctl("dns", "on", "--quiet")).status).toBe(0);
  });
});

suite("names without a resolver", () => {
  it("stand in /etc/hosts while hipd runs, follow its peers, and are gone with it", async () => {
    await withPair({ idle: true, daemonB: { config: { dns: { name: "other" } } } }, async ({ lab, a, b }) => {
      const hosts = join(lab.folder, "hosts");
      const before = "127.0.0.1\tlocalhost\n# mine\n10.9.8.7 b.hip.example\n";
      writeFileSync(hosts, before);
      a.daemon.config["dns"] = { hosts_file: true, name: "me", listen: "off" };
      await b.daemon.start();
      a.daemon.writeConfig();
      // No resolver: who is not in the file is not found.
      const resolv = join(lab.folder, "resolv.conf");
      writeFileSync(resolv, "nameserver 127.0.0.1\n");
      const etc = withEtc({ hosts, "resolv.conf": resolv });
      const process = a.daemon.namespace.spawn([...etc, ...a.daemon.command()]);
      await process.line((line) => line.includes('"event":"ready"'));
      const inside = (...command: readonly string[]): Promise<Ended> =>
        attempt(["nsenter", "--target", String(process.child.pid), "--mount", "--net", ...command]);
      const named = async (name: string): Promise<string> => {
        for (let tries = 0; ; tries++) {
          const done = await inside("getent", "ahosts", name);
          if (done.status === 0 || tries === 50) return done.stdout;
          await inside("sleep", "0.1");
        }
      };
      const { lsi } = await addressesOf(a, b);
      const found = await named("b.hip");
      expect(found).toContain(lsi);
      expect(found).toContain(b.daemon.hit);
      expect((await inside("ping", "-c", "1", "-W", "5", "b.hip")).stdout).toContain("1 received");
      expect((await inside("getent", "hosts", "me.hip")).status).toBe(0);

      const added = await a.daemon.ctl("peer", "add", "late", "--hit", "2001:22::7");
      expect(added.status, added.stderr).toBe(0);
      expect(await named("late.hip")).toContain("2001:22::7");
      expect(readFileSync(hosts, "utf8").startsWith(before)).toBe(true);

      await process.stop("SIGTERM");
      expect(readFileSync(hosts, "utf8")).toBe(before);
    });
  });

  it("are taken out by hipctl dns off after hipd was killed", async () => {
    await withPair({ idle: true }, async ({ lab, a }) => {
      const hosts = join(lab.folder, "hosts");
      writeFileSync(hosts, "127.0.0.1\tlocalhost\n");
      a.daemon.config["dns"] = { hosts_file: true, name: "me" };
      a.daemon.writeConfig();
      const process = a.daemon.namespace.spawn([...withEtc({ hosts }), ...a.daemon.command()]);
      await process.line((line) => line.includes('"event":"ready"'));
      const status = async () => (await a.daemon.json<NamesJson>("dns", "status")).wiring;
      while ((await status()) !== "hosts") await attempt(["sleep", "0.1"]);
      await process.stop("SIGKILL");
      expect(readFileSync(hosts, "utf8")).toContain("me.hip");
      const off = await a.daemon.namespace.attempt([
        ...withEtc({ hosts }),
        ...a.daemon.ctlCommand("dns", "off"),
      ]);
      expect(off.stdout).toContain("removed the names");
      expect(readFileSync(hosts, "utf8")).toBe("127.0.0.1\tlocalhost\n");
    });
  });
});
