/** A host that is broken for real, one thing after the other, and what hipctl doctor, netcheck and bundle say of it. */
import { chmodSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Daemon, introduce, type Side } from "../../tools/lab/daemon.ts";
import { addressesIn, unpack } from "../support/archive.ts";
import { type Pair, ping, suite, withPair } from "./support.ts";

interface Finding {
  readonly check: string;
  readonly verdict: string;
  readonly text: string;
  readonly remedy: string | null;
}

/** The findings of `hipctl doctor`, whose exit status must fit them. */
async function doctor({ a }: Pick<Pair, "a">): Promise<readonly Finding[]> {
  const done = await a.daemon.ctl("doctor", "--config", a.daemon.configFile, "--json");
  expect(done.stderr).toBe("");
  const { findings, problems } = JSON.parse(done.stdout) as {
    findings: readonly Finding[];
    problems: number;
  };
  expect(done.status).toBe(problems > 0 ? 1 : 0);
  return findings;
}

function bad(findings: readonly Finding[]): readonly string[] {
  return findings
    .filter(({ verdict }) => verdict === "problem" || verdict === "warning")
    .map(({ check, text, remedy }) => `${check}: ${text} -> ${remedy}`);
}

/** A second peer of `a`, at another address. */
async function thirdHost({ lab, a, router }: Pair): Promise<Side> {
  const namespace = await lab.namespace("c");
  await lab.link(
    { namespace, device: "eth0", addresses: ["198.51.100.2/30", "2001:db8:c::2/64"] },
    { namespace: router, device: "to-c", addresses: ["198.51.100.1/30", "2001:db8:c::1/64"] },
  );
  await namespace.ip(["route add default via 198.51.100.1", "route add ::/0 via 2001:db8:c::1"]);
  const side = { daemon: new Daemon(lab, namespace), ipv4: "198.51.100.2", ipv6: "2001:db8:c::2" };
  introduce(a, side);
  return side;
}

const CLOSED = `table inet guarded {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "lo" accept
    tcp dport 22 accept
  }
}`;

suite("hipctl doctor, netcheck and bundle", () => {
  it.concurrent("name what is wrong, with the remedy that mends it", async () => {
    await withPair({ daemonA: { config: { metrics: { listen: "127.0.0.1:9510" } } } }, async (pair) => {
      const { a, b, lab } = pair;
      const here = a.daemon.namespace;
      await ping(here, b.daemon.hit);

      expect(bad(await doctor(pair))).toEqual([]);

      // Two things at once.
      await here.nft(CLOSED);
      await here.ip(["route add 198.18.5.0/24 dev eth0"]);
      const closed = bad(await doctor(pair));
      expect(closed).toEqual([
        expect.stringMatching(/^overlaps: .*198\.18\.5\.0\/24 of eth0.* -> .*lsi_prefix/),
        expect.stringMatching(
          /^firewall: new packets to UDP port 10500 are dropped by table inet guarded, chain input, policy drop -> nft insert/,
        ),
      ]);
      // The remedy is a command that helps.
      const remedy = closed[1]?.split(" -> ")[1] ?? "";
      await here.run(remedy.split(" "));
      await here.ip(["route del 198.18.5.0/24 dev eth0"]);
      expect(bad(await doctor(pair))).toEqual([]);

      // Somebody tidied up too much.
      chmodSync(a.daemon.keyFile, 0o644);
      await here.ip([
        "route del unreachable 198.18.0.0/15 metric 4294967295",
        `addr del ${a.daemon.hit}/128 dev hip0`,
      ]);
      expect(bad(await doctor(pair))).toEqual([
        expect.stringMatching(/^configuration: .*identity\.pem: other users have access to this private key/),
        expect.stringMatching(/^files: .*identity\.pem has mode 0644.* -> chmod 600 /),
        expect.stringMatching(/^interface: hip0 lacks 2001:2/),
        expect.stringMatching(/^guard: no unreachable route behind 198\.18\.0\.0\/15/),
      ]);
      chmodSync(a.daemon.keyFile, 0o600);

      // No hipd, and another program in its place.
      await a.daemon.stop();
      await here.agent().then((agent) => agent.serveUdp(10500));
      const stopped = bad(await doctor(pair));
      expect(stopped).toEqual(
        expect.arrayContaining([
          expect.stringMatching(/^daemon: hipd does not run: .*no such file.* -> hipd --config/),
          expect.stringMatching(/^port: UDP port 10500 is taken by .*agent.* \(process \d+\)/),
        ]),
      );
      const text = await a.daemon.ctl("doctor", "--config", a.daemon.configFile);
      expect(text.stdout).toMatch(/\nproblem +daemon +hipd does not run.*\n +-> hipd --config/);
      expect(text.stdout).toMatch(/\n\n\d problems?,.* ok, \d+ not checked\n$/);

      // Without hipd there is an archive all the same.
      const output = join(lab.folder, "dead.tar.gz");
      const made = await a.daemon.ctl("bundle", "--config", a.daemon.configFile, "--output", output);
      expect(made.status, made.stderr).toBe(0);
      expect((await unpack(readFileSync(output))).files.get("doctor.txt")).toContain("hipd does not run");
    });
  });

  it.concurrent("see the NAT, each peer's paths, and archive it all without a key or an address", async () => {
    await withPair(
      { idle: true, daemonA: { config: { metrics: { listen: "127.0.0.1:9510" } } } },
      async (pair) => {
        const { a, b, router, lab } = pair;
        await router.nft(`table ip nat {
        chain translate {
          type nat hook postrouting priority 100;
          ip saddr ${a.ipv4} udp sport 10500 snat to 203.0.113.1:40001
        }
        chain answers {
          type filter hook forward priority 0;
          iifname { "to-b", "to-c" } ct state new drop
        }
      }`);
        const c = await thirdHost(pair);
        await Promise.all([a.daemon.start(), b.daemon.start(), c.daemon.start()]);
        for (const peer of ["b", "c"]) expect((await a.daemon.ctl("connect", peer)).status).toBe(0);
        const report = await a.daemon.json<{
          seen: { peer: string; seen: string }[];
          nat: { family: string; kind: string; portPreserved: boolean; mapped: string[] }[];
          peers: { ipv4: { state: string }; probe: { sent: number; received: number } }[];
        }>("netcheck");
        expect(report.seen).toContainEqual(expect.objectContaining({ peer: "b", seen: "203.0.113.1:40001" }));
        expect(report.nat[0]).toMatchObject({
          family: "ipv4",
          kind: "endpoint-independent",
          portPreserved: false,
          mapped: ["203.0.113.1:40001"],
        });
        expect(report.peers[0]).toMatchObject({
          ipv4: { state: "verified" },
          probe: { sent: 3, received: 3 },
        });
        const text = await a.daemon.ctl("netcheck", "--passive", "b");
        expect(text.stdout).toMatch(/IPv4 +endpoint-independent mapping, port not preserved: 2 peers/);

        for (const options of [[], ["--no-addresses"]]) {
          const output = join(lab.folder, `${options.length}.tar.gz`);
          const made = await a.daemon.ctl(
            "bundle",
            "--config",
            a.daemon.configFile,
            "-o",
            output,
            ...options,
          );
          expect(made.status, made.stderr).toBe(0);
          expect(statSync(output).mode & 0o777).toBe(0o600);
          const { files } = await unpack(readFileSync(output));
          expect(files.get("metrics.prom")).toContain("hipd_associations");
          expect(files.get("events.jsonl")).toContain("association-established");
          expect(files.get("system/ip6-route.txt")).toContain("unreachable");
          const key = readFileSync(a.daemon.keyFile, "utf8")
            .split("\n")
            .filter((line) => /^[A-Za-z0-9+/=]{20,}$/.test(line));
          expect(key.length).toBeGreaterThan(1);
          for (const [name, content] of files) {
            for (const line of key) expect(content).not.toContain(line);
            if (options.length > 0) expect(addressesIn(content), name).toEqual([]);
          }
        }
      },
    );
  });
});
