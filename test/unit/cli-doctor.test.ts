/** What the doctor says to made-up hosts: each verdict, with its remedy. */
import { describe, expect, test } from "vitest";
import { diagnosisText, summaryText, summed } from "../../src/cli/commands/doctor.ts";
import { diagnose } from "../../src/cli/doctor/doctor.ts";
import type { Facts, MachineFacts, NameFacts, Plan, UnitFacts } from "../../src/cli/doctor/facts.ts";
import type { Finding } from "../../src/cli/verdict.ts";
import { err, ok } from "../../src/core/types.ts";
import { NOW } from "../support/cli.ts";
import {
  ANSWERS,
  ASSOCIATION,
  answering,
  COUNTERS,
  HEALTHY,
  HIPD,
  MACHINE,
  NAMED,
  NAMES,
  NETWORK,
  PAIR,
  PEER,
  prefix,
  silent,
  UNICAST,
} from "../support/doctor.ts";

const machine = (change: Partial<MachineFacts>): Facts => ({
  ...HEALTHY,
  machine: { ...MACHINE, ...change },
});
const plan = (change: Partial<Plan>): Facts => ({
  ...HEALTHY,
  config: { ...HEALTHY.config, plan: { ...HEALTHY.config.plan, ...change } },
});
const unit = (change: Partial<UnitFacts>, base: Facts = HEALTHY): Facts => ({
  ...base,
  unit: HEALTHY.unit.ok ? ok({ ...HEALTHY.unit.value, ...change }) : HEALTHY.unit,
});
const file = (role: "key" | "keys" | "state" | "peers", mode: number, uid = 990): Facts => ({
  ...HEALTHY,
  files: [{ path: `/x/${role}`, role, found: ok({ mode, uid }) }],
});
const disk = (change: object): Facts => ({
  ...HEALTHY,
  disk: HEALTHY.disk.ok ? ok({ ...HEALTHY.disk.value, ...change }) : HEALTHY.disk,
});
const peers = (change: Partial<typeof PEER>, associations = [ASSOCIATION]): Facts =>
  answering({
    status: { ...ANSWERS.status, peers: [{ ...PEER, ...change }] },
    associations,
    peers: associations.length === 0 ? [] : ANSWERS.peers,
  });
const FAILED = {
  state: "E-FAILED",
  lastErrorAt: "2025-01-02T03:00:00.000Z",
  path: null,
  pathState: null,
} as const;
const path = (change: Partial<typeof PAIR>): Facts =>
  answering({ peers: [{ name: "db1", hit: PEER.hit, locators: [], paths: [{ ...PAIR, ...change }] }] });
const names = (change: Partial<NameFacts>): Facts => ({ ...HEALTHY, names: { ...NAMED, ...change } });
const metadata = (change: Partial<NonNullable<typeof ANSWERS.whereabouts>>): Facts =>
  answering({ whereabouts: { seen: [], cloud: null, metadata: null, ...change } });

test("a healthy host has no problem and no warning", () => {
  const findings = diagnose(HEALTHY);
  expect(findings.filter(({ verdict }) => verdict !== "ok" && verdict !== "not-checked")).toEqual([]);
  expect(summed(findings)).toMatchObject({ problems: 0, warnings: 0 });
});

test("every problem and warning has a remedy, and every check says something", () => {
  const names = new Set(diagnose(HEALTHY).map(({ check }) => check));
  for (const [, facts] of CASES) {
    const findings = diagnose(facts);
    expect(new Set(findings.map(({ check }) => check))).toEqual(names);
    for (const { verdict, text } of findings) {
      expect(text).not.toMatch(/undefined|\[object|NaN/);
      expect(["ok", "info", "warning", "problem", "not-checked"]).toContain(verdict);
    }
    for (const check of names) {
      const bad = findings.filter(
        (one) => one.check === check && ["problem", "warning"].includes(one.verdict),
      );
      if (bad.length > 0)
        expect(
          bad.some(({ remedy }) => remedy !== null),
          `${check}: ${bad[0]?.text}`,
        ).toBe(true);
    }
  }
});

/** What is wrong, the check that finds it, its verdict, its text, its remedy. */
const CASES: readonly (readonly [
  what: string,
  facts: Facts,
  check: string,
  Finding["verdict"],
  RegExp,
  RegExp?,
])[] = [
  ["an old kernel", machine({ kernel: "4.19.0" }), "kernel", "problem", /too old/, /5\.4 or newer/],
  [
    "a middle-aged kernel",
    machine({ kernel: "5.10.0" }),
    "kernel",
    "ok",
    /6\.2 or newer UDP would be faster/,
  ],
  [
    "a kernel of no known kind",
    machine({ kernel: "weird" }),
    "kernel",
    "warning",
    /unknown version/,
    /Linux 5\.4/,
  ],
  [
    "no TUN device",
    machine({ tun: { exists: false, openable: err("no such file or directory") } }),
    "tun",
    "problem",
    /\/dev\/net\/tun is not there/,
    /modprobe tun/,
  ],
  [
    "a TUN device that may not be opened",
    machine({ tun: { exists: true, openable: err("operation not permitted") } }),
    "tun",
    "problem",
    /cannot be opened: operation not permitted/,
    /--device/,
  ],
  [
    "a user who may not open TUN",
    machine({ uid: 1000, tun: { exists: true, openable: err("permission denied") } }),
    "tun",
    "not-checked",
    /permission denied/,
    /sudo/,
  ],
  [
    "root of a container",
    machine({ capabilities: [] }),
    "permissions",
    "warning",
    /without CAP_NET_ADMIN/,
    /--cap-add/,
  ],
  [
    "a daemon without its right",
    { ...HEALTHY, daemon: { ...HEALTHY.daemon, processes: [{ ...HIPD, capabilities: [] }] } },
    "permissions",
    "problem",
    /process 77\) runs as user 990 without CAP_NET_ADMIN/,
    /AmbientCapabilities=CAP_NET_ADMIN/,
  ],
  [
    "a clock of 1970",
    machine({ now: 1000 }),
    "clock",
    "problem",
    /1970-01-01, which is earlier/,
    /timedatectl set-ntp true/,
  ],
  [
    "a clock far ahead",
    machine({ now: Date.UTC(2150, 1) }),
    "clock",
    "problem",
    /2150-02-01, which is far ahead/,
    /timedatectl/,
  ],
  [
    "a clock that runs by itself",
    machine({ clock: { by: "timedatectl", synchronised: false, detail: "NTP is off" } }),
    "clock",
    "warning",
    /not synchronised \(timedatectl: NTP is off\)/,
    /set-ntp true/,
  ],
  [
    "a clock that nobody knows about",
    machine({ clock: undefined }),
    "clock",
    "not-checked",
    /neither timedatectl nor chronyc/,
  ],
  [
    "a wrong configuration",
    {
      ...HEALTHY,
      config: { ...HEALTHY.config, problems: ['/etc/hipd/hipd.toml:3:1: unknown key "prot" in [network]'] },
    },
    "configuration",
    "problem",
    /hipd\.toml:3:1: unknown key "prot"/,
    /hipd --check --config \/etc\/hipd\/hipd\.toml/,
  ],
  [
    "no configuration",
    {
      ...HEALTHY,
      config: {
        ...HEALTHY.config,
        problems: ["/etc/hipd/hipd.toml: cannot be read: no such file or directory"],
      },
    },
    "configuration",
    "problem",
    /no such file/,
    /hipd\.toml\(5\).*--config FILE/,
  ],
  [
    "a configuration that may not be read",
    { ...HEALTHY, config: { ...HEALTHY.config, unreadable: "/etc/hipd/hipd.toml: permission denied" } },
    "configuration",
    "not-checked",
    /permission denied/,
    /sudo/,
  ],
  [
    "a key that all may read",
    file("key", 0o100644),
    "files",
    "problem",
    /\/x\/key has mode 0644/,
    /chmod 600 \/x\/key/,
  ],
  [
    "a folder where all may put keys",
    file("keys", 0o40777),
    "files",
    "problem",
    /add keys/,
    /chmod 700 \/x\/keys/,
  ],
  [
    "a folder of keys that all may look into",
    file("keys", 0o40755),
    "files",
    "warning",
    /look into/,
    /chmod 700/,
  ],
  [
    "a state folder that all may look into",
    file("state", 0o40755),
    "files",
    "warning",
    /look into/,
    /chmod 700/,
  ],
  ["peers that all may add", file("peers", 0o40775), "files", "problem", /add peers/, /chmod go-w/],
  [
    "a key of somebody else",
    file("key", 0o100600, 1234),
    "files",
    "problem",
    /belongs to user 1234, but hipd runs as user 990/,
    /chown 990/,
  ],
  [
    "a key that only root may read",
    file("key", 0o100600, 0),
    "files",
    "problem",
    /belongs to user 0, but hipd runs as user 990/,
    /chown 990/,
  ],
  [
    "a stopped hipd with a key of somebody else",
    {
      ...silent(),
      files: [
        { path: "/x/key", role: "key", found: ok({ mode: 0o100600, uid: 0 }) },
        { path: "/x/state", role: "state", found: ok({ mode: 0o40700, uid: 990 }) },
      ],
    },
    "files",
    "problem",
    /belongs to user 0, but hipd runs as user 990/,
    /chown 990/,
  ],
  [
    "a key that may not be looked at",
    { ...machine({ uid: 1000 }), files: [{ path: "/x/key", role: "key", found: err("permission denied") }] },
    "files",
    "not-checked",
    /\/x\/key: permission denied/,
    /sudo/,
  ],
  [
    "a read-only disk",
    disk({ writable: err("the file system is read-only") }),
    "state",
    "problem",
    /cannot be written: the file system is read-only/,
    /mount it for writing/,
  ],
  ["a full disk", disk({ freeBytes: 0 }), "state", "problem", /no space is left/, /df -h/],
  ["a disk without inodes", disk({ freeFiles: 0 }), "state", "problem", /no room for another file/, /df -i/],
  ["a nearly full disk", disk({ freeBytes: 1e6 }), "state", "warning", /nearly full: 977 KiB/, /df -h/],
  [
    "a unit that failed",
    unit(
      {
        active: "failed",
        sub: "failed",
        result: "exit-code",
        status: 4,
        errors: ["x.pem: other users have access"],
      },
      silent(),
    ),
    "unit",
    "problem",
    /has failed: exit-code, status 4 \(a right is lacking.*its log ends: x\.pem: other users/,
    /journalctl -u hipd\.service/,
  ],
  [
    "a unit that restarts again and again",
    unit({ restarts: 12 }),
    "unit",
    "warning",
    /restarted 12 times/,
    /journalctl/,
  ],
  [
    "a unit that is not enabled",
    unit({ enabled: "disabled" }),
    "unit",
    "warning",
    /does not start with the machine/,
    /systemctl enable/,
  ],
  [
    "a unit that systemd has not read",
    unit({ needsReload: true }),
    "unit",
    "warning",
    /changed on disk/,
    /daemon-reload/,
  ],
  [
    "a unit that is stopped",
    unit({ active: "inactive", sub: "dead" }, silent()),
    "unit",
    "problem",
    /inactive \(dead\)/,
    /systemctl start/,
  ],
  [
    "a hipd beside its unit",
    unit({ active: "inactive", sub: "dead" }),
    "unit",
    "warning",
    /not as hipd\.service/,
    /systemctl start/,
  ],
  [
    "no systemd",
    { ...HEALTHY, unit: err("systemd does not run here") },
    "unit",
    "not-checked",
    /does not run here/,
  ],
  [
    "no hipd",
    silent(),
    "daemon",
    "problem",
    /hipd does not run: .*no such file$/,
    /systemctl start hipd\.service/,
  ],
  [
    "no hipd and no unit",
    unit({ loaded: false }, silent()),
    "daemon",
    "problem",
    /does not run/,
    /hipd --config \/etc/,
  ],
  [
    "a hipd that hangs",
    {
      ...HEALTHY,
      daemon: { answers: err({ code: "timeout", message: "Deadline exceeded" }), processes: [HIPD] },
    },
    "daemon",
    "problem",
    /\(process 77\) does not answer in time/,
    /hipctl bundle, then: systemctl restart/,
  ],
  [
    "a hipd on another socket",
    { ...silent(), daemon: { ...silent().daemon, processes: [HIPD] } },
    "daemon",
    "problem",
    /runs \(process 77\), but not on this socket/,
    /--socket PATH/,
  ],
  [
    "a hipd in another namespace",
    { ...silent(), daemon: { ...silent().daemon, processes: [{ ...HIPD, here: false }] } },
    "daemon",
    "problem",
    /one runs in another network namespace \(process 77\)/,
    /nsenter --net --target 77/,
  ],
  [
    "a socket that is not for us",
    {
      ...HEALTHY,
      daemon: { answers: err({ code: "denied", message: "permission denied" }), processes: [HIPD] },
    },
    "daemon",
    "not-checked",
    /permission denied/,
    /sudo/,
  ],
  [
    "an upgrade without a restart",
    { ...HEALTHY, hipctl: "1.3.0" },
    "versions",
    "warning",
    /hipd 1\.2\.3 runs, and hipctl is 1\.3\.0/,
    /restart/,
  ],
  [
    "a route into the LSI prefix",
    {
      ...HEALTHY,
      network: ok({
        ...NETWORK,
        routes: [...NETWORK.routes, { ...UNICAST, link: 2, destination: prefix("198.18.5.0/24") }],
      }),
    },
    "overlaps",
    "problem",
    /LSI prefix 198\.18\.0\.0\/15 overlaps the route 198\.18\.5\.0\/24 of eth0/,
    /another \[network\] lsi_prefix/,
  ],
  [
    "a HIT on another interface",
    {
      ...HEALTHY,
      network: ok({
        ...NETWORK,
        addresses: [...NETWORK.addresses, { link: 2, prefix: prefix("2001:22::1/128") }],
      }),
    },
    "overlaps",
    "problem",
    /HIT prefix .* overlaps the address 2001:22::1\/128 of eth0/,
    /RFC 7343/,
  ],
  [
    "no interface",
    { ...HEALTHY, network: ok({ ...NETWORK, links: NETWORK.links.slice(0, 2) }) },
    "interface",
    "problem",
    /no interface hip0/,
    /systemctl restart hipd/,
  ],
  [
    "an interface that is down",
    { ...HEALTHY, network: ok({ ...NETWORK, links: NETWORK.links.map((link) => ({ ...link, flags: 0 })) }) },
    "interface",
    "problem",
    /hip0 is down/,
    /ip link set hip0 up/,
  ],
  [
    "an address that somebody removed",
    { ...HEALTHY, network: ok({ ...NETWORK, addresses: NETWORK.addresses.slice(1) }) },
    "interface",
    "problem",
    /hip0 lacks 2001:22:1111/,
    /restart/,
  ],
  [
    "a route that somebody removed",
    { ...HEALTHY, network: ok({ ...NETWORK, routes: NETWORK.routes.slice(1) }) },
    "interface",
    "problem",
    /no route to 2001:20::\/28 through hip0/,
    /restart/,
  ],
  [
    "no guard",
    { ...HEALTHY, network: ok({ ...NETWORK, routes: NETWORK.routes.slice(0, 2) }) },
    "guard",
    "problem",
    /would leave in the clear/,
    /hipd --guard/,
  ],
  [
    "no rules for what comes beside the overlay",
    { ...HEALTHY, filters: { ...HEALTHY.filters, nft: ok({ nftables: [] }) } },
    "door",
    "problem",
    /from any interface reach overlay addresses/,
    /install nftables; hipd --guard/,
  ],
  [
    "no guard and no hipd",
    { ...silent(), network: ok({ ...NETWORK, routes: [] }) },
    "guard",
    "warning",
    /until hipd runs/,
    /hipd-guard/,
  ],
  [
    "another program on our port",
    { ...silent(), sockets: [{ address: "0.0.0.0", owner: { pid: 9, name: "/usr/sbin/named" } }] },
    "port",
    "problem",
    /10500 is taken by \/usr\/sbin\/named \(process 9\) on 0\.0\.0\.0/,
    /\[network\] port/,
  ],
  [
    "a port that nobody listens on",
    { ...HEALTHY, sockets: [] },
    "port",
    "problem",
    /nobody listens/,
    /restart/,
  ],
  [
    "a port whose owner is hidden",
    { ...silent(), sockets: [{ address: "::", owner: undefined }] },
    "port",
    "not-checked",
    /only root may see/,
    /sudo/,
  ],
  [
    "nobody who answers",
    peers({ ...FAILED, lastError: "no answer to I1" }, []),
    "reachability",
    "warning",
    /no peer has answered.*db1/,
    /let UDP 10500/,
  ],
  [
    "no association yet",
    peers({ state: "UNASSOCIATED", path: null, pathState: null }, []),
    "reachability",
    "not-checked",
    /no association yet/,
    /hipctl connect db1/,
  ],
  [
    "a peer that only answers",
    answering({ associations: [{ ...ASSOCIATION, role: "initiator" }] }),
    "reachability",
    "ok",
    /db1 answered at 192\.0\.2\.1:10500 5 s ago; whether this host can be called/,
  ],
  [
    "a failed peer",
    peers({ ...FAILED, lastError: "no answer to I1" }, []),
    "peers",
    "problem",
    /db1 \(E-FAILED\) failed 4 min ago: no answer to I1/,
    /hipctl why db1/,
  ],
  [
    "a clone",
    peers({ ...FAILED, lastError: "another host with our identity is at 192.0.2.77" }, []),
    "peers",
    "problem",
    /192\.0\.2\.77/,
    /identity new/,
  ],
  [
    "a peer that failed yesterday",
    peers({ ...FAILED, lastError: "x", lastErrorAt: "2025-01-01T03:00:00.000Z" }, []),
    "peers",
    "ok",
    /none failed within the last hour/,
  ],
  [
    "a path without an answer",
    peers({ pathState: "unverified" }),
    "peers",
    "warning",
    /has not answered along 192/,
    /hipctl ping db1/,
  ],
  [
    "no peers",
    answering({ status: { ...ANSWERS.status, peers: [] } }),
    "peers",
    "not-checked",
    /no peer is configured/,
    /hipctl peer add/,
  ],
  [
    "a narrow path",
    path({ mtu: 1280 }),
    "mtu",
    "warning",
    /carries 1280 bytes: 1258 inside, less than the 1280/,
    /tracepath/,
  ],
  [
    "a path narrower than the interface",
    path({ mtu: 1400 }),
    "mtu",
    "ok",
    /MTU 1478; the narrowest path, to db1, carries 1378 bytes .*too big/,
  ],
  ["no path", path({ inUse: false }), "mtu", "not-checked", /no path is in use/],
  [
    "a name that is not found",
    names({ lookup: { name: "db1.hip", expected: ["198.18.0.9"], found: err("no such name") } }),
    "names",
    "problem",
    /db1\.hip is not found \(systemd-resolved asks .*\): no such name/,
    /hipctl dns status/,
  ],
  [
    "a name that leads elsewhere",
    names({ lookup: { name: "db1.hip", expected: ["198.18.0.9"], found: ok(["203.0.113.9"]) } }),
    "names",
    "problem",
    /leads to 203\.0\.113\.9 instead of 198\.18\.0\.9/,
    /getent ahosts db1\.hip/,
  ],
  [
    "names that nobody asks for",
    names({ wiring: { way: "none", reason: "systemd-resolved does not run" } }),
    "names",
    "info",
    /at 198\.18\.0\.7:53, but nobody here asks it: systemd-resolved does not run/,
  ],
  [
    "a responder that is off",
    names({ status: { ...NAMES, listen: null, listenReason: 'off: [dns] listen = "off"' } }),
    "names",
    "info",
    /nobody answers for names below hip: off/,
  ],
  [
    "a responder that could not be opened",
    names({ status: { ...NAMES, listen: null, listenReason: "port 53 is taken" } }),
    "names",
    "warning",
    /port 53 is taken/,
    /hipctl dns status/,
  ],
  [
    "a metadata service that is silent",
    metadata({ metadata: { cloud: "aws", requests: 5, failures: 5, changes: 0 } }),
    "metadata",
    "warning",
    /aws does not answer \(5 questions, 5 without an answer\)/,
    /metadata = "off"/,
  ],
  [
    "a metadata service that answers",
    metadata({
      metadata: { cloud: "aws", requests: 5, failures: 0, changes: 1 },
      cloud: { provider: "aws", instance: "i-1", addresses: ["203.0.113.5"] },
    }),
    "metadata",
    "ok",
    /aws i-1: 203\.0\.113\.5/,
  ],
  [
    "metadata turned off in a cloud",
    { ...plan({ metadata: "off" }), cloud: "gcp" },
    "metadata",
    "ok",
    /off, in gcp/,
  ],
  [
    "an old kernel's offload",
    { ...answering({ after: { ...COUNTERS, offload_uso: 0 } }), machine: { ...MACHINE, kernel: "6.1.0" } },
    "offloads",
    "warning",
    /uso .* is not used: it came with Linux 6\.2, this is 6\.1\.0/,
    /slower/,
  ],
  [
    "an offload that was refused",
    answering({ after: { ...COUNTERS, offload_gro: 0 } }),
    "offloads",
    "warning",
    /gro .*the kernel refused it/,
    /journalctl/,
  ],
  [
    "an offload that is not wanted",
    {
      ...plan({ offloads: ["tso"] }),
      daemon: answering({ after: { ...COUNTERS, offload_gso: 0, offload_gro: 0, offload_uso: 0 } }).daemon,
    },
    "offloads",
    "ok",
    /in use: tso; turned off by \[network\] offloads: uso, gso, gro/,
  ],
  [
    "drops that grow",
    answering({ after: { ...COUNTERS, hip_drop_mac_total: 40 }, seconds: 2 }),
    "drops",
    "warning",
    /^mac \(.*\): 20 a second now, 40 since the start/,
    /./,
  ],
  ["drops that grew once", HEALTHY, "drops", "ok", /none now; since the start: esp_replay 3/],
];

test("remedies name the unit of the instance that is meant", () => {
  const findings = diagnose({
    ...plan({ file: "/etc/hipd/blue.toml" }),
    hipctl: "1.3.0",
    network: ok({ ...NETWORK, links: [], routes: [] }),
  });
  const remedies = findings.map(({ remedy }) => remedy);
  expect(remedies).toContain("systemctl restart hipd@blue.service");
  expect(remedies).toContain(
    "hipd --guard --config /etc/hipd/blue.toml; at every start: systemctl enable hipd-guard@blue.service",
  );
});

describe("the doctor finds", () => {
  test.each(CASES.map((row) => ({ what: row[0], row })))("$what", ({ row }) => {
    const [, facts, check, verdict, text, remedy] = row;
    const found = diagnose(facts).filter((one) => one.check === check && text.test(one.text));
    expect(
      found.map((one) => one.verdict),
      JSON.stringify(diagnose(facts).filter((one) => one.check === check)),
    ).toEqual([verdict]);
    if (remedy === undefined) expect(found[0]?.remedy).toBeNull();
    else expect(found[0]?.remedy).toMatch(remedy);
  });
});

test("what people read: verdicts under each other, remedies below, a sum at the end", () => {
  const text = diagnosisText(summed(diagnose({ ...file("key", 0o100644), hipctl: "1.3.0" })), false);
  expect(text).toMatch(/^problem {2}files {10}\/x\/key has mode 0644.*\n {24}-> chmod 600 \/x\/key\n/m);
  expect(text).toMatch(/\n\n1 problem, 1 warning, \d+ ok\n$/);
  expect(summaryText([])).toBe("0 problems");
  expect(NOW).toBe(MACHINE.now);
});

test("on a narrow terminal lines end at words, and remedies stay whole", () => {
  const text = diagnosisText(summed(diagnose(file("key", 0o100644))), false, 70);
  const lines = text.split("\n");
  for (const line of lines.filter((one) => !one.includes("->"))) expect(line.length).toBeLessThanOrEqual(70);
  expect(text.replace(/\n +(?!->)/g, " ")).toContain(
    "other users have access to this private key, so hipd refuses it",
  );
});
