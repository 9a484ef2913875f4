/** What a good configuration means, by itself and with the identities that exist. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { formatPrefix } from "../../src/core/ip.ts";
import type { Hit } from "../../src/core/types.ts";
import { DEFAULT_CONFIG } from "../../src/hip/config.ts";
import { DEFAULT_LOCATORS } from "../../src/overlay/config.ts";
import { loadConfig, problemText } from "../../src/runtime/config-file.ts";
import { type NamedIdentity, overlayConfig } from "../../src/runtime/config-overlay.ts";
import { temporaryFolder, write } from "../support/runtime.ts";

test("an empty file means all defaults", () => {
  const folder = temporaryFolder();
  const loaded = loadConfig(write(folder, "hipd.toml", ""));
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.error));
  const { network, identity, control, host, peersDirectory } = loaded.value;
  expect(network).toMatchObject({ interface: "hip0", port: 10500, mtu: 0, carrier: "udp", workers: 0 });
  expect(network).toMatchObject({
    offloads: ["tso", "uso", "gso", "gro"],
    ecn: true,
    busyPollMicros: 0,
    nice: -12,
  });
  expect(formatPrefix(network.lsiPrefix)).toBe("198.18.0.0/15");
  expect(identity).toMatchObject({
    key: "/var/lib/hipd/identity.pem",
    directory: "/var/lib/hipd/identities",
    extra: [],
  });
  expect(control).toEqual({ socket: "/run/hipd/hipd.sock", group: undefined });
  expect(peersDirectory).toBe(join(folder, "peers.d"));
  expect(host).toEqual(DEFAULT_CONFIG);
});

test("a full file means what it says", () => {
  const folder = temporaryFolder();
  const text = `
peers_dir = "others"
[identity]
key = "keys/main.pem"
extra = ["/etc/hipd/old.pem"]
default = "main"
[network]
interface = "hip7"
port = 10501
encapsulation = "none"
offloads = ["gso", "gro"]
busy_poll = "0.05ms"
nice = -3
ecn = false
[state]
directory = "/srv/state"
[metrics]
listen = "[::1]:9510"
[protocol]
dh_groups = ["p-384", 7]
esp_suites = ["AES-256-CBC/HMAC-SHA-256"]
hip_ciphers = [4]
domain = "admin@example.org"
opportunistic = true
r1_per_address = 5000
[protocol.timers]
retransmit = "0.25s"
rekey_after = "2h"
[[peer]]
name = "db1"
hit = "2001:0022:0001:0002:0003:0004:0005:0006"
locators = ["192.0.2.10", "2001:DB8::10"]
[[peer]]
name = "web.prod"
hit = "2001:22::2"
encapsulation = "udp"
locators = ["192.0.2.11", "[2001:db8::11]:10999"]
identity = "old"
inbound_family = "lsi"
[[peer]]
name = "guest"
locators = ["192.0.2.12"]
`;
  const loaded = loadConfig(write(folder, "hipd.toml", text));
  if (!loaded.ok) throw new Error(loaded.error.map(problemText).join("\n"));
  const { value } = loaded;
  expect(value.network).toMatchObject({ offloads: ["gso", "gro"], ecn: false, busyPollMicros: 50, nice: -3 });
  expect(value.identity).toMatchObject({
    key: join(folder, "keys/main.pem"),
    extra: ["/etc/hipd/old.pem"],
    directory: "/srv/state/identities",
  });
  expect(value.metrics.listen).toEqual({ host: "::1", port: 9510 });
  expect(value.host).toMatchObject({
    dhGroups: [8, 7],
    espSuites: [9],
    hipCiphers: [4],
    opportunistic: true,
    r1PerAddress: 5000,
    udpPort: 10501,
  });
  expect(value.host.domainIdentifier.type).toBe(2);
  expect(value.host.timers).toMatchObject({ retransmit: 250, rekeyAfter: 7_200_000 });
  expect(
    value.peers.map(({ name, hit, carrier, locators, inboundFamily }) => ({
      name,
      hit,
      carrier,
      locators,
      inboundFamily,
    })),
  ).toEqual([
    {
      name: "db1",
      hit: "20010022000100020003000400050006",
      carrier: "none",
      locators: [
        { address: "192.0.2.10", port: 0 },
        { address: "2001:db8::10", port: 0 },
      ],
      inboundFamily: "hit",
    },
    {
      name: "web.prod",
      hit: "20010022000000000000000000000002",
      carrier: "udp",
      locators: [
        { address: "192.0.2.11", port: 10500 },
        { address: "2001:db8::11", port: 10999 },
      ],
      inboundFamily: "lsi",
    },
    {
      name: "guest",
      hit: undefined,
      carrier: "none",
      locators: [{ address: "192.0.2.12", port: 0 }],
      inboundFamily: "hit",
    },
  ]);
});

test("locators, and how paths are watched", () => {
  const folder = temporaryFolder();
  const load = (text: string) => {
    const loaded = loadConfig(write(folder, "hipd.toml", text));
    if (!loaded.ok) throw new Error(loaded.error.map(problemText).join("\n"));
    return loaded.value;
  };
  const standard = load("");
  expect(standard.locators).toEqual(DEFAULT_LOCATORS);
  expect(standard.metadata).toEqual({ source: "auto", intervalMillis: 60_000 });
  expect(standard.host.mobility).toEqual(DEFAULT_CONFIG.mobility);
  const set = load(`
[network]
port = 10501
[locators]
advertise = ["203.0.113.5", "[2001:DB8::5]:999"]
interfaces = ["eth*", "en?"]
exclude_interfaces = ["eth9"]
addresses = ["fe80::/10"]
exclude_addresses = ["10.8.0.0/16"]
metadata = "openstack"
metadata_interval = "30s"
path_policy = "lowest-rtt"
dead_path_after = "1s"
probe_interval = "2s"
mtu_discovery = false
mtu_raise_after = "30s"
`);
  expect(set.locators).toMatchObject({
    advertise: [
      { address: "203.0.113.5", port: 10501 },
      { address: "2001:db8::5", port: 999 },
    ],
    interfaces: ["eth*", "en?"],
    excludeInterfaces: ["eth9"],
    deadPathAfter: 1000,
    probeInterval: 2000,
    discoverMtu: false,
    pmtu: { raise: 30_000, confirm: 15_000 },
  });
  expect(set.locators.addresses.map(formatPrefix)).toEqual(["fe80::/10"]);
  expect(set.locators.excludeAddresses.map(formatPrefix)).toEqual(["10.8.0.0/16"]);
  expect(set.metadata).toEqual({ source: "openstack", intervalMillis: 30_000 });
  expect(set.host.mobility.pathPolicy).toBe("lowest-rtt");
});

describe("joined with the identities that exist", () => {
  const own: readonly NamedIdentity[] = [
    {
      name: "identity",
      hit: "20010022000000000000000000000001" as Hit,
      suite: 2,
      algorithm: "",
      file: "/k/identity.pem",
    },
    {
      name: "second",
      hit: "20010022000000000000000000000002" as Hit,
      suite: 2,
      algorithm: "",
      file: "/k/second.pem",
    },
  ];
  const join_ = (text: string, chosen?: Hit) => {
    const folder = temporaryFolder();
    const loaded = loadConfig(write(folder, "hipd.toml", text));
    if (!loaded.ok) throw new Error(loaded.error.map(problemText).join("\n"));
    const joined = overlayConfig(loaded.value, own, chosen);
    return joined.ok
      ? { default: joined.value.defaultIdentity, peers: joined.value.peers, problems: [] }
      : { problems: joined.error.map((problem) => problemText(problem).replaceAll(`${folder}/`, "")) };
  };

  test("the default is the file's, else the chosen one, else the first", () => {
    expect(join_("").default).toBe(own[0]?.hit);
    expect(join_("", own[1]?.hit).default).toBe(own[1]?.hit);
    expect(join_('[identity]\ndefault = "identity"', own[1]?.hit).default).toBe(own[0]?.hit);
    expect(join_('[identity]\ndefault = "2001:22::2"').default).toBe(own[1]?.hit);
  });

  test("references to identities that do not exist are told with their place", () => {
    expect(join_('[identity]\ndefault = "secund"').problems).toEqual([
      'hipd.toml:2:11: [identity] default: there is no identity "secund"; did you mean "second"?',
    ]);
    expect(join_('[[peer]]\nname = "a"\nhit = "2001:22::9"\nidentity = "third"\n').problems).toEqual([
      'hipd.toml:4:12: [[peer]] "a" identity: there is no identity "third"; known: identity, second',
    ]);
  });

  test("a peer that is ourselves is refused", () => {
    expect(join_('[[peer]]\nname = "me"\nhit = "2001:22::2"\n').problems).toEqual([
      'hipd.toml:1:3: [[peer]] "me": this HIT is our own identity "second"',
    ]);
  });
});
