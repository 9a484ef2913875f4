/** Every metric of the page for Prometheus: its kind, what it says, its labels. The page is typed by this table. */

export interface MetricMeaning {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Labels with their values. Every set of values is bounded: by a list in the source, or by a limit that is named. */
  readonly labels: Readonly<Record<string, string>>;
}

const DIRECTION = { direction: "tx, rx" } as const;
const RESULT = "completed, failed";
const PEER = { peer: "its name; at most [metrics] peer_series of them" } as const;

export const METRICS = {
  hipd_build_info: {
    kind: "gauge",
    help: "Always 1; the versions are labels.",
    labels: { version: "of hipd", node: "of Node.js" },
  },

  // Associations and exchanges.
  hipd_associations: {
    kind: "gauge",
    help: "HIP associations by state (RFC 7401 4.4.2).",
    labels: { state: "UNASSOCIATED, I1-SENT, I2-SENT, R2-SENT, ESTABLISHED, CLOSING, CLOSED, E-FAILED" },
  },
  hipd_exchanges_total: {
    kind: "counter",
    help: "Base exchanges that ended.",
    labels: { role: "initiator, responder", result: RESULT },
  },
  hipd_exchange_seconds: {
    kind: "histogram",
    help: "Time that base exchanges took, from our first packet to the end.",
    labels: {},
  },
  hipd_rekeys_total: {
    kind: "counter",
    help: "Agreements on new keys that ended.",
    labels: { result: RESULT },
  },
  hipd_clones_detected_total: {
    kind: "counter",
    help: "Times that another host was found with a peer's identity, or with ours.",
    labels: {},
  },
  hipd_puzzle_difficulty: {
    kind: "gauge",
    help: "Difficulty K of the puzzle that is set (RFC 7401 5.2.4).",
    labels: {},
  },
  hipd_r1_generations: { kind: "gauge", help: "R1 packets held ready.", labels: {} },
  hipd_lsis: { kind: "gauge", help: "LSIs given out.", labels: {} },

  // Peers.
  hipd_peers: { kind: "gauge", help: "Configured peers.", labels: {} },
  hipd_peers_up: { kind: "gauge", help: "Peers that packets flow to: there is an association.", labels: {} },
  hipd_peers_unreachable: {
    kind: "gauge",
    help: "Peers that did not answer when they were called last, or to which no path answers any more.",
    labels: {},
  },
  hipd_peers_without_series: {
    kind: "gauge",
    help: "Peers beyond [metrics] peer_series, which have no series of their own.",
    labels: {},
  },
  hipd_peer_up: {
    kind: "gauge",
    help: "1: packets flow to the peer. 0: there is no association, because nobody needs one or because it failed.",
    labels: PEER,
  },
  hipd_peer_unreachable: {
    kind: "gauge",
    help: "1: the peer did not answer when it was called last, or no path to it answers any more. 0: it did, or was never called.",
    labels: PEER,
  },
  hipd_peer_rtt_seconds: {
    kind: "gauge",
    help: "Smoothed round trip along the path in use; only where it was measured.",
    labels: PEER,
  },
  hipd_peer_loss_ratio: {
    kind: "gauge",
    help: "Smoothed share of probes along the path in use that were not answered; only where they are sent.",
    labels: PEER,
  },
  hipd_peer_path_mtu_bytes: {
    kind: "gauge",
    help: "Largest outer packet that the path in use carries.",
    labels: PEER,
  },
  hipd_peer_esp_bytes_total: {
    kind: "counter",
    help: "ESP bytes of the present association; a new one begins at 0.",
    labels: { ...PEER, ...DIRECTION },
  },

  // Mobility (RFC 8046).
  hipd_handovers_total: {
    kind: "counter",
    help: "Changes of path that ended.",
    labels: {
      reason:
        "address-gone, address-preferred, peer-moved, peer-preferred, source-moved, path-dead, lowest-rtt, asked, no_such_path",
      result: RESULT,
    },
  },
  hipd_handover_seconds: {
    kind: "histogram",
    help: "Time from noticing a change to traffic along another path.",
    labels: {},
  },
  hipd_locators: {
    kind: "gauge",
    help: "Locators: our own by source, the peers' by state (RFC 8046 5.1).",
    labels: {
      side: "own, peer",
      state: "static, host, reflexive, cloud; UNVERIFIED, ACTIVE, DEPRECATED",
    },
  },
  hipd_verification_failures_total: {
    kind: "counter",
    help: "Addresses of peers that did not answer when they were verified.",
    labels: {},
  },
  hipd_credit_bytes_total: {
    kind: "counter",
    help: "Bytes sent to addresses that had not answered yet, on credit (RFC 8046 5.6).",
    labels: {},
  },
  hipd_probes_sent_total: {
    kind: "counter",
    help: "Probes sent along paths, refused ones included.",
    labels: {},
  },
  hipd_probes_refused_total: {
    kind: "counter",
    help: "Probes that the kernel refused: larger than the link, or without a route.",
    labels: {},
  },
  hipd_probes_answered_total: { kind: "counter", help: "Probes of peers that were answered.", labels: {} },
  hipd_probe_replies_total: { kind: "counter", help: "Answers to our probes.", labels: {} },
  hipd_metadata_requests_total: {
    kind: "counter",
    help: "Requests to the cloud's metadata service.",
    labels: {},
  },
  hipd_metadata_failures_total: {
    kind: "counter",
    help: "Times that the cloud's metadata service did not answer.",
    labels: {},
  },
  hipd_metadata_changes_total: {
    kind: "counter",
    help: "Times that the cloud's metadata service told something new.",
    labels: {},
  },

  // Names.
  hipd_dns_queries_total: {
    kind: "counter",
    help: "Questions for names of peers that were answered.",
    labels: { result: "noerror, nodata, nxdomain, refused, formerr, notimp, badvers, servfail" },
  },
  hipd_dns_drops_total: {
    kind: "counter",
    help: "Questions for names of peers that got no answer.",
    labels: { reason: "foreign (not from this host), limited, malformed, too_long" },
  },
  hipd_dns_truncated_total: {
    kind: "counter",
    help: "Answers that were too long for UDP.",
    labels: {},
  },
  hipd_dns_lookups_total: {
    kind: "counter",
    help: "Lookups of peers in DNS (RFC 8005).",
    labels: { result: "found, failed, expired (no lookup: what was known has aged, and nothing new came)" },
  },
  hipd_dns_client_total: {
    kind: "counter",
    help: "Questions to the resolvers of this host, and what came of them.",
    labels: { result: "asked, answered, timeouts, mismatched, tcp, failed" },
  },
  hipd_dns_bad_records_total: {
    kind: "counter",
    help: "HIP records that are malformed, or whose HIT is not that of their key.",
    labels: {},
  },

  // What happens, and what is lost.
  hipd_events_total: {
    kind: "counter",
    help: "Events by name.",
    labels: { name: "see Events" },
  },
  hipd_drops_total: {
    kind: "counter",
    help: "Discarded packets by layer and reason.",
    labels: { layer: "hip, driver, data", reason: "see Drop reasons" },
  },
  hipd_overflows_total: {
    kind: "counter",
    help: "Things refused because a bounded table or queue was full.",
    labels: {
      table:
        "associations, crypto_jobs, events, held_packets, jobs, requests, and the tables of control requests and locators",
    },
  },
  hipd_state_write_failures_total: { kind: "counter", help: "Failed writes of the state file.", labels: {} },

  // Traffic.
  hipd_esp_packets_total: { kind: "counter", help: "ESP packets.", labels: DIRECTION },
  hipd_esp_bytes_total: { kind: "counter", help: "ESP bytes.", labels: DIRECTION },
  hipd_packets_total: {
    kind: "counter",
    help: "Packets that were neither delivered nor lost, by what became of them.",
    labels: { fate: "held, control, keepalive, dummy, answered, pending" },
  },
  hipd_control_packets_total: { kind: "counter", help: "HIP packets.", labels: DIRECTION },
  hipd_socket_calls_total: {
    kind: "counter",
    help: "System calls that send or receive; each may carry many packets.",
    labels: DIRECTION,
  },
  hipd_udp_messages_total: {
    kind: "counter",
    help: "Messages to and from sockets; each may be several datagrams (GSO, GRO).",
    labels: DIRECTION,
  },
  hipd_udp_messages_divided_total: {
    kind: "counter",
    help: "Messages that the kernel refused as one and took in parts.",
    labels: {},
  },
  hipd_tun_calls_total: {
    kind: "counter",
    help: "Reads (tx) and writes (rx) of the TUN device; each may carry a super-packet.",
    labels: DIRECTION,
  },
  hipd_tun_super_packets_total: {
    kind: "counter",
    help: "Packets of many segments read from (tx) and written to (rx) the TUN device.",
    labels: DIRECTION,
  },
  hipd_tun_segments_joined_total: {
    kind: "counter",
    help: "Segments that were written to the TUN device as part of super-packets.",
    labels: {},
  },
  hipd_ecn_marked_total: {
    kind: "counter",
    help: "Packets marked CE because they waited behind a long backlog.",
    labels: {},
  },
  hipd_peer_sockets_total: {
    kind: "counter",
    help: "Sockets that were connected to the peer with most traffic.",
    labels: {},
  },
  hipd_processors_left_total: {
    kind: "counter",
    help: "Times a data worker left a processor on which it had to wait.",
    labels: {},
  },
  hipd_lingered_total: {
    kind: "counter",
    help: "Times a data worker found more packets without having slept, as it looked for them for a moment.",
    labels: {},
  },
  hipd_flow_log_missed_total: {
    kind: "counter",
    help: "Packets that the flow log did not count, because its table was full.",
    labels: {},
  },
  hipd_sas_refused_total: { kind: "counter", help: "SAs that the data plane refused.", labels: {} },

  // Sizes of tables and queues.
  hipd_plane_peers: { kind: "gauge", help: "Peers that the data plane knows.", labels: {} },
  hipd_inbound_spis: { kind: "gauge", help: "Inbound SPIs.", labels: {} },
  hipd_held_bytes: { kind: "gauge", help: "Bytes of packets that wait for base exchanges.", labels: {} },
  hipd_offload_enabled: {
    kind: "gauge",
    help: "Whether an offload of the kernel is in use.",
    labels: { offload: "tso, uso, gso, gro" },
  },
  hipd_queue_depth: {
    kind: "gauge",
    help: "Things that wait, by queue.",
    labels: { queue: "events, jobs, requests" },
  },
  hipd_jobs_in_flight: { kind: "gauge", help: "Crypto jobs that are not answered yet.", labels: {} },
  hipd_jobs_total: { kind: "counter", help: "Crypto jobs done.", labels: {} },
  hipd_jobs_short_total: {
    kind: "counter",
    help: "Crypto jobs done by the main thread, since they are short and there was little to do.",
    labels: {},
  },
  hipd_jobs_refused_total: {
    kind: "counter",
    help: "Crypto jobs refused: queue full, or their thread died.",
    labels: {},
  },
  hipd_job_threads: { kind: "gauge", help: "Crypto threads.", labels: {} },
  hipd_job_threads_crashed_total: { kind: "counter", help: "Crypto threads that died.", labels: {} },
  hipd_loop_turns_total: {
    kind: "counter",
    help: "Times that the main thread took events of the data plane.",
    labels: {},
  },
  hipd_event_subscribers: { kind: "gauge", help: "Programs that read events.", labels: {} },
} as const satisfies Readonly<Record<string, MetricMeaning>>;

/** The names of all metrics of hipd itself: others do not compile. */
export type MetricName = keyof typeof METRICS;
