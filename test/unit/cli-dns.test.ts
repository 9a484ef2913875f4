/** hipctl dns: which way names take, in words and in JSON; hipctl identity export --dns: a line of a zone file. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostLines, statusText, wiringOf } from "../../src/cli/commands/dns.ts";
import { err, ok } from "../../src/core/types.ts";
import { readHipRecord } from "../../src/crypto/keyfile.ts";
import type { NamesStatus } from "../../src/runtime/dns/names.ts";
import type { Run } from "../../src/runtime/dns/resolved.ts";
import { hipctl } from "../support/cli.ts";

const STATUS: NamesStatus = {
  listen: "198.18.0.9:10553",
  listenReason: "auto: port 53 is taken, or may not be bound without a capability",
  interface: "hip0",
  host: "198.18.0.9",
  port: 10553,
  domain: "hip",
  name: "me.hip",
  zones: ["hip", "18.198.in-addr.arpa", "2.0.0.1.0.0.2.ip6.arpa"],
  resolved: "told",
  hosts: "off: [dns] hosts_file = false",
  dnsPeers: false,
  peers: [],
  counters: {},
};

/** systemd-resolved that is there or not, and asks this server. */
const machine =
  (active: boolean, server = "", domain = ""): Run =>
  async (program, what) => {
    if (program === "systemctl") return active ? ok("") : err("inactive");
    return ok(`Link 3 (hip0): ${what === "dns" ? server : domain}\n`);
  };

describe("the way that names take", () => {
  it("by systemd-resolved, as it says itself", async () => {
    const wiring = await wiringOf(STATUS, machine(true, "198.18.0.9:10553", "~hip ~18.198.in-addr.arpa"));
    expect(wiring).toEqual({ way: "resolved", reason: "for ~hip and the reverse zones" });
    expect(statusText(STATUS, wiring, false)).toMatch(/^asked by +systemd-resolved, for ~hip/m);
  });

  it("by nobody, with the reason and what to do", async () => {
    const untold = await wiringOf(STATUS, machine(true, "192.0.2.53", "~."));
    expect(untold.way).toBe("none");
    expect(untold.reason).toContain("hipctl dns on");
    expect((await wiringOf(STATUS, machine(false))).reason).toBe("systemd-resolved is not running");
    const silent = { ...STATUS, listen: null, listenReason: "off" };
    const nobody = await wiringOf(silent, machine(true));
    expect(nobody).toEqual({ way: "none", reason: "nobody answers: off" });
    expect(statusText(silent, nobody, false)).toContain("responder   none (off)");
  });

  it("by the file of hosts", async () => {
    const wiring = await wiringOf({ ...STATUS, hosts: "3 names in /etc/hosts" }, machine(false));
    expect(wiring).toEqual({
      way: "hosts",
      reason: "3 names in /etc/hosts; systemd-resolved is not running",
    });
  });
});

it("peers in DNS are listed with what was found", () => {
  const peer = {
    peer: "vm",
    name: "vm.example.org",
    hits: ["2001:22::7"],
    addresses: ["192.0.2.1"],
    nextSeconds: 42,
  };
  const text = statusText(
    {
      ...STATUS,
      dnsPeers: true,
      peers: [
        { ...peer, state: "known", validated: true, error: null },
        { ...peer, peer: "w", state: "failed", validated: false, error: "127.0.0.1: no answer" },
      ],
    },
    { way: "none", reason: "x" },
    false,
  );
  expect(text).toMatch(/^vm +vm\.example\.org +validated +1 +192\.0\.2\.1 +42 s/m);
  expect(text).toMatch(/^w .*failed.*no answer$/m);
});

it("a peer that has no address yet has no line", () => {
  expect(
    hostLines(
      [
        { name: "a", lsi: null, hit: null },
        { name: "b", lsi: "198.18.0.1", hit: "2001:22::7" },
      ],
      "lab",
    ),
  ).toEqual([
    { address: "198.18.0.1", name: "b.lab" },
    { address: "2001:22::7", name: "b.lab" },
  ]);
});

describe("identity export --dns", () => {
  let dir: string;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "hipctl-dns-"));
    expect((await hipctl(["identity", "new", "--dir", dir])).status).toBe(0);
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  const run = (...args: readonly string[]) => hipctl(["identity", "export", "--dir", dir, ...args]);

  it("is a line of a zone file, with rendezvous servers in their order", async () => {
    const plain = await run("--dns", "VM1.example.org.");
    expect(plain.out).toMatch(
      /^vm1\.example\.org\. 3600 IN HIP \( 3 20010022[0-9A-F]{24} [A-Za-z0-9+/=]+ \)\n$/,
    );
    const record = readHipRecord(plain.out);
    expect(record.ok).toBe(true);
    const more = await run(
      "--dns",
      "vm1.example.org",
      "--ttl",
      "60",
      "--rvs",
      "b.example.org",
      "a.example.org",
    );
    expect(more.out).toMatch(
      /^vm1\.example\.org\. 60 IN HIP \( .* b\.example\.org\. a\.example\.org\. \)\n$/,
    );
  });

  it.each([
    [["--dns", "vm1"], "is not the name of a host in DNS"],
    [["--dns", "vm1.example.org", "--private"], "leave --private out"],
    [["--rvs", "a.example.org"], "--rvs needs --dns"],
    [["--dns", "vm1.example.org", "--ttl", "x"], "--ttl"],
  ])("%s is refused", async (args, message) => {
    const refused = await run(...args);
    expect(refused.status).toBe(2);
    expect(refused.error).toContain(message);
  });
});
