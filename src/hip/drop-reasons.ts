/** Every reason for which a HIP packet, or what was made of it, is discarded: what it means and what to do about it. */

export interface DropReason {
  /** "normal": happens in any network now and then. "look": somebody should look when it grows. */
  readonly concern: "normal" | "look";
  readonly meaning: string;
  readonly remedy: string;
}

const LATE = "Nothing: it is a repetition, or came after something newer.";

export function normal(meaning: string, remedy: string = LATE): DropReason {
  return { concern: "normal", meaning, remedy };
}

export function look(meaning: string, remedy: string): DropReason {
  return { concern: "look", meaning, remedy };
}

const MALFORMED =
  "Find the sender: tcpdump -n udp port 10500. A peer that sends it is broken or changed on its way; from elsewhere it is a scan, which a packet filter can stop.";
const FORGED =
  "Few: a stale association of a restarted peer. Many: somebody forges packets; look at the sources with tcpdump -n udp port 10500.";
const LOAD =
  "Others knock faster than this host answers. Give it more processors, or raise [protocol] max_jobs; the puzzle gets harder by itself.";
const PEER_BUG =
  "The peer does not follow RFC 7401. Compare the versions on both sides: hipctl version, and bring the older one up to date.";
const PROPOSAL =
  "Both sides must have one in common: compare [protocol] dh_groups, hip_ciphers and esp_suites of this host and of the peer.";
const POLICY =
  "If it should be allowed, add the peer with its HIT: hipctl peer add NAME --hit HIT. Otherwise nothing: whoever is not configured gets nothing.";
const ROOM = "Raise [protocol] max_associations, or remove peers that are not needed.";
const JOBS =
  "The crypto threads are behind. If it goes on, give the host more processors, or raise [protocol] max_jobs.";
const PUZZLE = "Few: an I2 that was late. Many: somebody floods this host; the puzzle gets harder by itself.";

/** By reason, as `hip_drop_<reason>_total` counts it. The type of reasons is made of this table: others do not compile. */
export const HIP_DROPS = {
  // Not a HIP packet (RFC 7401 5.1, 5.2).
  malformed_short: look("shorter than a HIP header", MALFORMED),
  malformed_version: look("neither HIPv2 nor a version that can be read", MALFORMED),
  malformed_header_length: look("the header's length contradicts the packet", MALFORMED),
  malformed_packet_type: look("a packet type that RFC 7401 does not have", MALFORMED),
  malformed_parameter_length: look("a parameter is longer than the packet", MALFORMED),
  malformed_parameter_order: look("parameters are not in ascending order", MALFORMED),
  malformed_parameter_repeated: look("a parameter stands twice that may stand once", MALFORMED),
  malformed_parameter_count: look("more parameters than the limit", MALFORMED),
  malformed_parameter_value: look("a parameter whose contents contradict each other", MALFORMED),
  unknown_critical_parameter: look(
    "a critical parameter that is not known (RFC 7401 5.2.1)",
    "The peer uses an extension that hipd lacks: turn it off there.",
  ),

  // Who may talk.
  policy: normal("from or for a HIT that is not configured", POLICY),
  not_our_hit: normal(
    "for a HIT that is not ours",
    "If it grows, a peer has a wrong or former HIT of this host: compare with hipctl identity list.",
  ),
  no_identity: normal(
    "an opportunistic I1, and no identity of ours suits its sender's suite",
    "Make an identity of that algorithm: hipctl identity new.",
  ),
  peer_unknown: normal("a local packet for a HIT that is not configured", POLICY),
  peer_without_locator: look(
    "a local packet for a peer without any locator",
    "Give the peer one (hipctl peer add ... --locator ADDRESS), or let it call this host first.",
  ),
  host_id_mismatch: look("an UPDATE signed by another host than the association's", FORGED),
  hit_mismatch: look("the HOST_ID does not hash to the sender's HIT", FORGED),
  duplicate_identity: look(
    "another host with the peer's identity: the first one keeps the association",
    "Two machines have one key. Give one of them its own: docs/MOBILITY.md, Restart, clones, absence.",
  ),
  challenge_pending: normal("an I2 while the holder of the identity is asked for a sign of life"),

  // Integrity.
  mac: look("HIP_MAC or HIP_MAC_2 does not match", FORGED),
  signature: look("the signature does not verify", FORGED),
  decryption: look("ENCRYPTED does not decrypt", FORGED),
  host_id: look("a HOST_ID that is no public key of its algorithm", PEER_BUG),
  host_id_missing: look("an I2 without HOST_ID", PEER_BUG),
  identity_gone: normal("our identity was removed while the packet was worked on"),

  // Packets that do not fit the state (RFC 7401 4.4).
  i1_unexpected: normal("an I1 that the state does not answer"),
  r1_unexpected: normal("an R1 that nothing waits for"),
  i2_unexpected: normal("an I2 that the state does not take"),
  r2_unexpected: normal("an R2 that nothing waits for"),
  update_unexpected: normal(
    "an UPDATE without an association",
    "A peer goes on in an association that this host lost, by a restart; it is called. If it grows, look at hipctl events.",
  ),
  notify_unexpected: normal("a NOTIFY that the state does not take"),
  close_unexpected: normal("a CLOSE without an association"),
  close_ack_unexpected: normal("a CLOSE_ACK that nothing waits for"),
  overtaken: normal("something newer happened while it was worked on"),
  busy: normal("another packet of this association is being worked on"),
  i1_crossing: normal("both hosts call each other: the one with the greater HIT answers"),
  i2_crossing: normal("both hosts call each other: the one with the greater HIT answers"),

  // I1 and R1.
  i1_without_dh_group_list: look("an I1 without DH_GROUP_LIST", PEER_BUG),
  i1_duplicate: normal("an I1 that came twice within moments"),
  r1_rate_limit: look(
    "more I1s of one address than it may have answered",
    "Many peers behind one address: raise [protocol] r1_per_address. Otherwise somebody floods this host.",
  ),
  no_r1_for_carrier: look(
    "no R1 for the carrier or the Diffie-Hellman group",
    "Compare encapsulation and [protocol] dh_groups of both hosts.",
  ),
  r1_not_ready: normal("the R1 is still being made", "Only after a start. If it goes on, see jobs_full."),
  r1_not_newer: normal("an R1 that is not newer than the one that is answered"),
  r1_relayed: look(
    "an R1 that came through a relay and does not say where the peer itself is: an I2 must not go there (RFC 9028 4.7.2)",
    "Give the peer a locator at which it answers itself: hipctl peer change NAME --locator ADDRESS.",
  ),
  r1_incomplete: look("an R1 without a mandatory parameter", PEER_BUG),
  puzzle_length: look("#I of the puzzle has the wrong length", PEER_BUG),
  puzzle_too_hard: look(
    "the peer's puzzle is harder than we solve",
    "The peer is under load. If it should be called all the same, raise [protocol.puzzle] solve_k.",
  ),
  puzzle_expired: normal("the puzzle's lifetime was over before it was solved"),
  hit_suite: look(
    "a HIT suite that is not used here, or that the peer does not support",
    "Make identities of a suite that both sides have: hipctl identity new NAME --kind KIND.",
  ),
  dh_groups: look("no Diffie-Hellman group in common", PROPOSAL),
  dh_downgrade: look(
    "the R1's group is not the best in common: somebody may have changed it (RFC 7401 6.8)",
    "If it repeats with one peer, somebody on the way changes packets, or the peer has a bug.",
  ),
  hip_ciphers: look("no HIP cipher in common", PROPOSAL),
  esp_suites: look("no ESP suite in common", PROPOSAL),
  transport_format: look("the peer does not offer ESP", PEER_BUG),

  // I2 and R2.
  i2_incomplete: look("an I2 without a mandatory parameter", PEER_BUG),
  i2_replayed: normal("an I2 whose solution was used already"),
  solution_forged: look(
    "an I2 whose solution, or one that counts with it, came with several forged I2s",
    "Somebody floods this host, or copies a peer's I2s on their way; whoever is kept out begins a new exchange.",
  ),
  r1_unknown: normal("an I2 for an R1 that is not, or no more, ours", PUZZLE),
  r1_stale: normal("an I2 for an R1 that is too old", PUZZLE),
  r1_counter: normal("an I2 with another R1 counter than its R1", PUZZLE),
  r1_exhausted: look("one R1 was used too often", LOAD),
  puzzle_unknown: look("an I2 for a puzzle that was not set for its sender and address", PUZZLE),
  puzzle_unsolved: look("an I2 whose puzzle is not solved", PUZZLE),
  cipher_not_offered: look("an I2 with a HIP cipher that the R1 did not offer", PEER_BUG),
  dh_group_not_offered: look("an I2 with a group that the R1 did not offer", PEER_BUG),
  esp_suite_not_offered: look("an I2 with an ESP suite that the R1 did not offer", PEER_BUG),
  nat_traversal_mode: look("an I2 with a NAT traversal mode that the R1 did not offer", PEER_BUG),
  dh_public_value: look("a Diffie-Hellman value that is not of its group", FORGED),
  esp_info: look("ESP_INFO is missing or has a reserved SPI", PEER_BUG),
  keymat_index: look("a KEYMAT Index that cannot be", PEER_BUG),
  packet_too_large: look(
    "a packet of ours would be larger than HIP packets can be",
    "Give this host fewer locators: [locators] exclude_interfaces, exclude_addresses.",
  ),

  // UPDATE, CLOSE and NOTIFY.
  update_without_seq_or_ack: look("an UPDATE with neither SEQ nor ACK", PEER_BUG),
  update_window: normal("an UPDATE outside the window"),
  update_repeated: normal("a copy of an UPDATE that was looked at already"),
  updates_outstanding: normal("enough UPDATEs wait for their answers", "Nothing: it goes out later."),
  ack_unexpected: normal("an ACK of an UPDATE that was not sent, or was acknowledged"),
  rekey_under_way: normal("an offer of new keys while another one is worked on"),
  rekey_without_esp_info: look("an offer of a new key without ESP_INFO", PEER_BUG),
  rekey_spi: look(
    "ESP_INFO about an SA that there is not, or an offer of new keys for another one than the one in use",
    PEER_BUG,
  ),
  rekey_dh: look("an offer of a key that is not new, of another group, or for no SA", PEER_BUG),
  locator_set_old: normal("a LOCATOR_SET that is older than one that was taken"),
  moved_deprecated: normal("a packet from an address that the peer left"),
  source_hints: normal("packets from new addresses come faster than they are followed"),
  close_incomplete: look("a CLOSE or CLOSE_ACK without a mandatory parameter", PEER_BUG),
  notify_empty: look("a NOTIFY without NOTIFICATION", PEER_BUG),
  notify_rate_limit: normal("enough NOTIFYs were sent this second", "Nothing: peers are told less often."),
  notify_larger_than_packet: normal("a NOTIFY would be larger than what it answers", "Nothing."),

  // Limits.
  associations_full: look("as many associations as there may be", ROOM),
  opportunistic_attempts_full: look("as many opportunistic calls as there may be", ROOM),
  jobs_full: look("as many crypto jobs of the protocol as there may be", JOBS),
  job_queue_full: look("as many crypto jobs wait for a thread as may", JOBS),
  job_thread_crashed: look(
    "a crypto thread died with the packet's work",
    'A bug: the log line "job-thread-crashed" has the reason. Report it with: hipctl bundle.',
  ),
  jobs_stopped: normal("hipd was stopping", "Nothing."),
} as const satisfies Readonly<Record<string, DropReason>>;

export type HipDrop = keyof typeof HIP_DROPS;
