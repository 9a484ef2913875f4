/** A healthy host as the doctor sees it; tests spoil one thing at a time. */
import type { Answers, Facts, MachineFacts, NameFacts } from "../../src/cli/doctor/facts.ts";
import type { AssociationDetails, PeerView } from "../../src/cli/views.ts";
import { HIT_PREFIX, type Prefix, parseIp, parsePrefix } from "../../src/core/ip.ts";
import { err, ok } from "../../src/core/types.ts";
import type { PairView } from "../../src/overlay/locator-views.ts";
import type { NamesStatus } from "../../src/runtime/dns/names.ts";
import type { RouteRow } from "../../src/runtime/network.ts";
import { NOW } from "./cli.ts";
import { IDENTITY, PEER as LIVELY, STATUS } from "./views.ts";

export const HIT = "2001:22:1111:2222:3333:4444:5555:6666";
export const PEER_HIT = "2001:22:aaaa:bbbb:cccc:dddd:eeee:ffff";
export const LSI = "198.18.0.7";

export const MACHINE: MachineFacts = {
  now: NOW,
  builtAt: NOW - 30 * 86_400_000,
  uid: 0,
  capabilities: ["net_admin", "net_raw"],
  kernel: "6.12.9-cloud",
  machine: "x86_64",
  os: "Debian GNU/Linux 13",
  tun: { exists: true, openable: ok(undefined) },
  clock: { by: "chrony", synchronised: true, detail: "Normal" },
};

export const PEER: PeerView = {
  ...LIVELY,
  hit: PEER_HIT,
  lsi: "198.18.0.9",
  identity: HIT,
  ...{ txBytes: 1, rxBytes: 1, txPackets: 1, rxPackets: 1 },
  ...{ rttMillis: 1, otherPaths: 0, loss: 0, handovers: 0 },
};

export const ASSOCIATION: AssociationDetails = {
  name: "db1",
  hit: PEER_HIT,
  identity: HIT,
  lsi: "198.18.0.9",
  state: "ESTABLISHED",
  role: "responder",
  path: PEER.path,
  suite: "AES-GCM-16",
  hipCipher: "AES-128-CBC",
  dhGroup: "P-256",
  inSpi: "0x00000001",
  outSpi: "0x00000002",
  exchangeMillis: null,
  pathState: "verified",
  rttMillis: 1,
  loss: 0,
  otherPaths: 0,
  since: "2025-01-02T03:00:00.000Z",
  establishedAt: "2025-01-02T03:00:00.000Z",
  peerDomain: null,
  pathMtu: 1500,
  txBytes: 1,
  rxBytes: 1,
  txPackets: 1,
  rxPackets: 1,
};

export const PAIR: PairView = {
  path: { carrier: "udp", local: "192.0.2.1:10500", remote: "192.0.2.10:10500" },
  inUse: true,
  state: "verified",
  heardAt: "2025-01-02T03:04:00.000Z",
  rttMillis: 1,
  loss: 0,
  mtu: 1500,
};

export const COUNTERS = {
  offload_tso: 1,
  offload_uso: 1,
  offload_gso: 1,
  offload_gro: 1,
  drop_esp_replay_total: 3,
  hip_drop_mac_total: 0,
};

export const NAMES: NamesStatus = {
  listen: "198.18.0.7:53",
  listenReason: "by itself",
  interface: "hip0",
  host: "198.18.0.7",
  port: 53,
  domain: "hip",
  name: "vm.hip",
  zones: ["hip"],
  resolved: "told",
  hosts: "off",
  dnsPeers: false,
  peers: [],
  counters: {},
};

export const NAMED: NameFacts = {
  status: NAMES,
  wiring: { way: "resolved", reason: "systemd-resolved asks 198.18.0.7:53 for ~hip" },
  lookup: { name: "db1.hip", expected: [PEER_HIT, "198.18.0.9"], found: ok(["198.18.0.9"]) },
};

export const ANSWERS: Answers = {
  status: {
    self: { ...STATUS.self, hit: HIT, lsi: LSI, identities: [{ ...IDENTITY, hit: HIT }] },
    version: "1.2.3",
    startedAt: "2025-01-02T02:04:05.000Z",
    uptimeSeconds: 3600,
    peers: [PEER],
  },
  associations: [ASSOCIATION],
  own: [
    {
      address: "192.0.2.1:10500",
      source: "host",
      interface: "eth0",
      state: "offered",
      reason: null,
      preferred: true,
      preference: 30000,
      since: "2025-01-02T03:00:00.000Z",
      lifetimeSeconds: null,
      rttMillis: 1,
      loss: 0,
      mtu: 1500,
    },
  ],
  peers: [{ name: "db1", hit: PEER_HIT, locators: [], paths: [PAIR] }],
  whereabouts: {
    seen: [],
    cloud: null,
    metadata: { cloud: null, requests: 0, failures: 0, changes: 0 },
  },
  names: NAMES,
  before: COUNTERS,
  after: COUNTERS,
  seconds: 1,
};

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed.ok) return parsed.value;
  const [address = "", length = ""] = text.split("/");
  return { bytes: parseIp(address) as Uint8Array, length: Number(length) };
}

export const UNICAST: RouteRow = {
  destination: HIT_PREFIX,
  type: 1,
  table: 254,
  link: 3,
  metric: 1024,
  mtu: 0,
};
const GUARD: RouteRow = { ...UNICAST, type: 7, link: 1, metric: 0xffff_ffff };

export const NETWORK = {
  links: [
    { index: 1, name: "lo", flags: 0x9, mtu: 65536 },
    { index: 2, name: "eth0", flags: 0x1, mtu: 1500 },
    { index: 3, name: "hip0", flags: 0x1, mtu: 1478 },
  ],
  addresses: [
    { link: 3, prefix: prefix(`${HIT}/128`) },
    { link: 3, prefix: prefix(`${LSI}/32`) },
    { link: 2, prefix: prefix("192.0.2.1/24") },
  ],
  routes: [
    UNICAST,
    { ...UNICAST, destination: prefix("198.18.0.0/15") },
    GUARD,
    { ...GUARD, destination: prefix("198.18.0.0/15") },
    { ...UNICAST, link: 2, destination: prefix("0.0.0.0/0") },
  ],
};

export const HIPD = { pid: 77, name: "hipd", uid: 990, capabilities: ["net_admin"], here: true };

export const HEALTHY: Facts = {
  machine: MACHINE,
  config: {
    plan: {
      file: "/etc/hipd/hipd.toml",
      socket: "/run/hipd/hipd.sock",
      port: 10500,
      interface: "hip0",
      lsiPrefix: "198.18.0.0/15",
      stateDirectory: "/var/lib/hipd",
      peersDirectory: "/etc/hipd/peers.d",
      offloads: ["tso", "uso", "gso", "gro"],
      metadata: "auto",
      peers: 1,
      metrics: undefined,
      hitRoutes: "prefix",
    },
    problems: [],
    peerNames: ["db1"],
    unreadable: undefined,
  },
  files: [
    { path: "/var/lib/hipd/identity.pem", role: "key", found: ok({ mode: 0o100600, uid: 990 }) },
    { path: "/var/lib/hipd/identities", role: "keys", found: ok(undefined) },
    { path: "/var/lib/hipd", role: "state", found: ok({ mode: 0o40700, uid: 990 }) },
    { path: "/etc/hipd/peers.d", role: "peers", found: ok({ mode: 0o40755, uid: 0 }) },
  ],
  disk: ok({
    path: "/var/lib/hipd",
    writable: ok(undefined),
    freeBytes: 5e9,
    totalBytes: 1e10,
    freeFiles: 1e6,
  }),
  daemon: { answers: ok(ANSWERS), processes: [HIPD] },
  hipctl: "1.2.3",
  unit: ok({
    name: "hipd.service",
    loaded: true,
    active: "active",
    sub: "running",
    result: "success",
    enabled: "enabled",
    restarts: 0,
    status: 0,
    needsReload: false,
    errors: [],
  }),
  network: ok(NETWORK),
  sockets: [{ address: "0.0.0.0", owner: { pid: 77, name: "hipd" } }],
  filters: {
    nft: ok({
      nftables: [
        { metainfo: {} },
        { set: { family: "inet", table: "hipd", name: "interfaces", elem: ["lo", "hip0"] } },
      ],
    }),
    iptables: err("iptables-save is not installed"),
    ip6tables: err("ip6tables-save is not installed"),
  },
  cloud: undefined,
  names: NAMED,
};

/** The same host with other answers of hipd. */
export function answering(change: Partial<Answers>): Facts {
  return { ...HEALTHY, daemon: { ...HEALTHY.daemon, answers: ok({ ...ANSWERS, ...change }) } };
}

/** The same host without hipd. */
export function silent(
  message = "hipd does not answer on /run/hipd/hipd.sock: no such file (is it running? systemctl status hipd)",
): Facts {
  return {
    ...HEALTHY,
    daemon: { answers: err({ code: "unreachable", message }), processes: [] },
    names: undefined,
    sockets: [],
  };
}
