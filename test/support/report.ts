/** A report about a host that has seen everything: busy, idle, failing and hostile peers. */
import { observe, type Report } from "../../src/cli/report/model.ts";
import type { Sample } from "../../src/cli/sampling.ts";
import type { PeerView } from "../../src/cli/views.ts";
import type { OverlayEvent } from "../../src/overlay/control.ts";
import { NOW } from "./cli.ts";
import { ASSOCIATION, PEER, SILENT, sample, UNUSED } from "./views.ts";

/** What somebody would write who wants the reader's browser to do something. */
export const HOSTILE = `"><script>document.title='owned'</script><img src=x onerror="document.title='owned'">&lt;'`;

const SECONDS = 30;

interface Shape {
  readonly tx: (second: number) => number;
  readonly rx: (second: number) => number;
  readonly rtt: (second: number) => number | null;
}

const PEERS: readonly (readonly [PeerView, Shape])[] = [
  [
    { ...PEER, name: "db1.prod", loss: 0, handovers: 3 },
    {
      tx: (s) => 4e7 + 2e7 * Math.sin(s / 3),
      rx: (s) => 1.2e7 + 4e6 * Math.cos(s / 4),
      rtt: (s) => 0.42 + 0.08 * Math.sin(s),
    },
  ],
  [
    {
      ...PEER,
      name: "cache2",
      path: { carrier: "udp", local: "[2001:db8::1]:10500", remote: "[2001:db8::22]:10500" },
      loss: 0,
    },
    {
      tx: (s) => (s > 12 && s < 20 ? 9e6 : 2e5),
      rx: (s) => (s > 12 && s < 20 ? 5e6 : 1e5),
      rtt: (s) => 1.9 + (s > 12 && s < 20 ? 1.5 : 0),
    },
  ],
  [
    {
      ...PEER,
      name: "laptop",
      loss: 0.08,
      handovers: 11,
      rttMillis: 48.2,
      path: { carrier: "udp", local: "192.0.2.1:10500", remote: "203.0.113.77:41782" },
    },
    {
      tx: () => 3_000,
      rx: () => 11_000,
      rtt: (s) => (s > 20 && s < 24 ? null : 45 + 20 * Math.abs(Math.sin(s))),
    },
  ],
  [
    { ...PEER, name: "backup", pathState: "unverified", rttMillis: null, loss: null, handovers: 0 },
    { tx: () => 0, rx: () => 0, rtt: () => null },
  ],
  [
    { ...SILENT, name: "web.stage", lastError: "no_answer_to_i1" },
    { tx: () => 0, rx: () => 0, rtt: () => null },
  ],
  [
    { ...SILENT, name: "spare", state: "UNASSOCIATED", lastError: null, lastErrorAt: null },
    { tx: () => 0, rx: () => 0, rtt: () => null },
  ],
];

const EVENTS: readonly (readonly [
  seconds: number,
  name: OverlayEvent["name"],
  peer: string,
  detail: OverlayEvent["detail"],
])[] = [
  [-5400, "association-established", "db1.prod", { role: "initiator", millis: 12.3, espSuite: 13 }],
  [-5200, "association-established", "cache2", { role: "responder", millis: 9.1 }],
  [-4800, "association-established", "laptop", { role: "responder", millis: 103 }],
  [-4100, "handover", "laptop", { reason: "peer-moved", from: "udp a > b", to: "udp a > c", millis: 41 }],
  [-3600, "association-rekeyed", "db1.prod", { dh: "new" }],
  [-3300, "handover-failed", "laptop", { reason: "path-dead", detail: "no other path works" }],
  [-3250, "handover", "laptop", { reason: "peer-moved", millis: 87 }],
  [-2000, "path-dead", "db1.prod", { path: "udp a > b", millis: 702 }],
  [-1999, "handover", "db1.prod", { reason: "path-dead", millis: 3 }],
  [-1500, "association-failed", "web.stage", { reason: "no_answer_to_i1" }],
  [-900, "association-closed", "spare", { by: "peer", reason: "unused" }],
  [-600, "association-failed", "web.stage", { reason: "no_answer_to_i1" }],
  [-300, "clone-detected", "backup", { kept: "192.0.2.4:10500", refused: "192.0.2.5:10500" }],
  [-20, "handover", "laptop", { reason: "lowest-rtt", millis: 1 }],
];

/** `hostile`: text of others stands wherever text of others can stand. */
export function sampleReport(hostile = false): Report {
  const bad = (text: string): string => (hostile ? HOSTILE : text);
  const peersAt = (second: number): readonly PeerView[] =>
    PEERS.map(([peer, shape]) => {
      const total = (rate: (s: number) => number): number => {
        let sum = 0;
        for (let s = 0; s < second; s++) sum += rate(s);
        return Math.round(sum);
      };
      return {
        ...peer,
        ...(hostile && peer.name === "backup" ? { name: HOSTILE, suite: HOSTILE } : {}),
        lastError: peer.lastError === null ? null : bad(peer.lastError),
        txBytes: total(shape.tx),
        rxBytes: total(shape.rx),
        txPackets: Math.round(total(shape.tx) / 1_200),
        rxPackets: Math.round(total(shape.rx) / 1_200),
        rttMillis: shape.rtt(second),
      };
    });
  const counters = (second: number) => ({
    drop_esp_replay_total: 3 * second,
    drop_no_peer_total: 12,
    drop_esp_auth_total: 2,
    hip_drop_unknown_association_total: second > 10 ? 4 : 1,
  });
  const samples: Sample[] = Array.from({ length: SECONDS + 1 }, (_, s) =>
    sample(1_000 * s, peersAt(s), counters(s)),
  );
  const last = samples.at(-1) as Sample;
  const age = "2025-01-02T02:00:00.000Z";
  const quality = { rttMillis: 0.42, loss: 0, mtu: 1500 };
  const own = { interface: "eth0", preference: 25_000, since: age, lifetimeSeconds: null };
  return {
    madeAt: last.time,
    hipctl: "0.1.0",
    machine: {
      host: bad("app7.example"),
      kernel: "6.1.0-18-amd64",
      os: "Debian GNU/Linux 12 (bookworm)",
      processors: 8,
      memoryBytes: 16 * 1024 ** 3,
    },
    status: last.status,
    associations: PEERS.slice(0, 4).map(([peer]) => ({
      ...ASSOCIATION,
      name: peer.name,
      peerDomain: bad("example"),
    })),
    locators: {
      own: [
        {
          ...own,
          ...quality,
          address: "192.0.2.1:10500",
          source: "host",
          state: "offered",
          reason: null,
          preferred: true,
        },
        {
          ...own,
          ...quality,
          address: "[2001:db8::1]:10500",
          source: "host",
          state: "offered",
          reason: null,
          preferred: false,
        },
        {
          ...own,
          address: "172.17.0.1:10500",
          interface: "docker0",
          source: "host",
          state: "left-out",
          reason: "interface of containers or a tunnel",
          preferred: false,
          rttMillis: null,
          loss: null,
          mtu: null,
        },
      ],
      peers: PEERS.slice(0, 3).map(([peer]) => ({
        name: peer.name,
        hit: peer.hit,
        locators: [
          {
            ...quality,
            address: peer.path?.remote ?? "",
            source: "announced",
            state: "ACTIVE",
            preferred: true,
            inUse: true,
            since: age,
            until: null,
          },
          { ...UNUSED, address: "198.51.100.9:10500" },
        ],
        paths: [],
      })),
    },
    observed: observe(samples),
    events: EVENTS.map(([seconds, name, peer, detail], i) => ({
      number: i + 1,
      time: new Date(NOW + 1_000 * (SECONDS + seconds)).toISOString(),
      name,
      peer: peer === "backup" ? bad(peer) : peer,
      hit: "2001:22::7",
      detail: hostile ? { ...detail, data: HOSTILE } : detail,
    })),
  };
}
