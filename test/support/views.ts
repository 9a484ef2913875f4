/** What a daemon might say: a peer, its association, a host, and two looks at it. For tests of what hipctl makes of it. */
import type { Sample } from "../../src/cli/sampling.ts";
import type { AssociationDetails, PeerView, StatusView } from "../../src/cli/views.ts";
import type { PeerLocatorView } from "../../src/overlay/locator-views.ts";
import { NOW } from "./cli.ts";

export const PATH = { carrier: "udp", local: "192.0.2.1:10500", remote: "192.0.2.10:10500" } as const;

export const PEER: PeerView = {
  name: "db1",
  hit: "2001:22::7",
  lsi: "198.18.0.7",
  state: "ESTABLISHED",
  suite: "AES-GCM-16",
  path: PATH,
  txBytes: 1_000,
  rxBytes: 500,
  txPackets: 10,
  rxPackets: 5,
  establishedAt: "2025-01-02T03:00:00.000Z",
  lastError: null,
  lastErrorAt: null,
  locators: ["192.0.2.10:10500"],
  carrier: "udp",
  inboundFamily: "hit",
  identity: "2001:22::1",
  source: "config",
  file: "/etc/hipd/hipd.toml",
  opportunistic: false,
  pathState: "verified",
  rttMillis: 0.412,
  otherPaths: 1,
  loss: 0.02,
  handovers: 2,
};

/** A peer that nothing comes back from. */
export const SILENT: PeerView = {
  ...PEER,
  name: "a-name-that-is-longer-than-narrow-terminals-like",
  state: "E-FAILED",
  path: null,
  pathState: null,
  rttMillis: null,
  loss: null,
  suite: null,
  establishedAt: null,
  lastError: "no_answer_to_i1",
  lastErrorAt: "2025-01-02T03:04:00.000Z",
};

export const ASSOCIATION: AssociationDetails = {
  name: "db1",
  hit: "2001:22::7",
  identity: "2001:22::1",
  lsi: "198.18.0.7",
  state: "ESTABLISHED",
  role: "initiator",
  path: PATH,
  suite: "AES-GCM-16",
  hipCipher: "AES-128-CBC",
  dhGroup: "P-256",
  inSpi: "0x0a0b0c0d",
  outSpi: "0x01020304",
  exchangeMillis: 12.3,
  since: "2025-01-02T03:00:00.000Z",
  establishedAt: "2025-01-02T03:00:00.000Z",
  peerDomain: null,
  pathMtu: 1500,
  txBytes: 1_000,
  rxBytes: 500,
  txPackets: 10,
  rxPackets: 5,
  pathState: "verified",
  rttMillis: 0.412,
  loss: 0,
  otherPaths: 1,
};

export const IDENTITY = {
  name: "identity",
  hit: "2001:22::1",
  suite: 2,
  algorithm: "ECDSA P-256",
  file: "/var/lib/hipd/identity.pem",
  default: true,
  peers: ["db1"],
};

export const STATUS: StatusView = {
  self: {
    hit: "2001:22::1",
    lsi: "198.18.0.1",
    identities: [IDENTITY],
    interface: "hip0",
    port: 10500,
    lsiPrefix: "198.18.0.0/15",
    addresses: ["192.0.2.1"],
  },
  version: "0.1.0",
  startedAt: "2025-01-02T00:00:00.000Z",
  uptimeSeconds: 11_045,
  peers: [PEER],
};

/** Where the peer is, as it has told us itself. */
export const IN_USE: PeerLocatorView = {
  address: "192.0.2.10:10500",
  source: "announced",
  state: "ACTIVE",
  preferred: true,
  inUse: true,
  since: "2025-01-02T03:00:00.000Z",
  until: null,
  rttMillis: 0.412,
  loss: 0,
  mtu: 1500,
};

/** Where it may be, as the configuration says. */
export const UNUSED: PeerLocatorView = {
  address: "[2001:db8::10]:10500",
  source: "configured",
  state: "UNUSED",
  preferred: false,
  inUse: false,
  since: null,
  until: null,
  rttMillis: null,
  loss: null,
  mtu: null,
};

/** One look, `at` milliseconds after `NOW`. */
export function sample(
  at: number,
  peers: readonly PeerView[],
  counters: Readonly<Record<string, number>> = {},
  uptimeSeconds = STATUS.uptimeSeconds,
): Sample {
  const time = new Date(NOW + at).toISOString();
  return { at, time, status: { ...STATUS, uptimeSeconds, peers }, counters };
}
