/** Why the data plane, and the driver beside it, discard packets: a row for each verdict of native/verdict.h that is a loss. */
import { type DropReason, look, normal } from "../../hip/drop-reasons.ts";

const SENDER = "An application or the kernel of this host makes such packets: tcpdump -n -i hip0 shows them.";
const PEER_SENDER = "The peer sends such packets: tcpdump -n -i hip0 there shows them.";
const FRAGMENT = "Let applications send packets that fit: the MTU of hip0, or path MTU discovery.";
const ESP_PEER =
  "The peer, or somebody on the way, sends wrong ESP packets. Compare the versions on both sides: hipctl version.";

/** By verdict without "drop_". The meanings are those of native/verdict.h; a test compares them. */
export const DATA_DROPS = {
  // Inner packets, either direction.
  inner_truncated: look("shorter than its own headers say", SENDER),
  inner_version: look("neither IPv4 nor IPv6", SENDER),
  inner_header: look("an inner header that contradicts itself", SENDER),
  inner_checksum: look("an ICMP error with a wrong checksum", PEER_SENDER),
  inner_extensions: look("more IPv6 extension headers than the limit", SENDER),
  inner_options: look("IPv4 source routing, which has no equivalent", SENDER),
  inner_address: look(
    "addresses that are not of this pair",
    "An application is bound to another address of this host, or something is routed into hip0: let it use the LSI or HIT of this host, and look at ip rule and nft list ruleset.",
  ),
  inner_multicast: normal(
    "multicast or broadcast has no peer",
    "Nothing: the kernel sends some on every interface.",
  ),
  fragment_zero_checksum: look("a UDP fragment without a checksum", FRAGMENT),
  fragment_icmp: look("a fragmented ICMP message that could not be put together", FRAGMENT),
  fragment_bad: look("fragment offsets or lengths that contradict each other", SENDER),
  icmp_type: normal("an ICMP type or code without an equivalent, or link-local only", "Nothing."),
  icmp_embedded: normal(
    "an ICMP error whose embedded packet is not of this pair",
    "Nothing: an error came late.",
  ),
  offload_header: look(
    "a virtio-net header that contradicts its packet",
    "A bug of the kernel or of hipd. Set [network] offloads = [] meanwhile, and report it with: hipctl bundle.",
  ),
  too_big: normal(
    "larger than the path carries",
    "The sender was told the right size (ICMP). If connections hang, something drops ICMP inside the overlay: hipctl doctor.",
  ),

  // Outbound.
  no_peer: look(
    "no such peer",
    "An address of the overlay's prefixes without a peer. Add it, or use another address: hipctl peer list.",
  ),
  rejected: look(
    "the peer cannot be reached now",
    "The exchange with the peer failed: hipctl peer show NAME says why, hipctl why NAME looks at every step.",
  ),
  hold_full: look(
    "too many packets wait for this peer, or in all",
    "Exchanges take long, or peers do not answer: hipctl peer list. Senders repeat what matters.",
  ),
  sa_exhausted: look(
    "the outbound SA has reached its packet limit",
    'New keys could not be agreed on: look for "rekey-failed" in hipctl events --since 1.',
  ),
  credit: normal(
    "beyond the credit at an unverified address",
    "The peer moved and has not answered yet (RFC 8046 5.6). If it stays: hipctl peer show NAME.",
  ),
  seal_failed: look("the cipher refused to seal", "A bug: report it with: hipctl bundle."),
  buffer_small: look("the output does not fit its buffer", "A bug: report it with: hipctl bundle."),
  no_route: look(
    "the underlay has no route",
    "Look at ip route get ADDRESS for the locators of hipctl peer show NAME.",
  ),
  send_failed: look(
    "the socket refused a packet",
    "A firewall rule of this host (nft list ruleset), a link that is down, or full queues: ip -s link.",
  ),
  tun_write_failed: look(
    "the TUN device refused a packet",
    "The interface is down or was removed: ip link show hip0; restart hipd.",
  ),

  // Inbound.
  outer_truncated: look(
    "shorter than an ESP or HIP packet can be",
    "Scans, or a broken peer: tcpdump -n udp port 10500.",
  ),
  unknown_spi: normal(
    "no inbound SA has this SPI",
    "After a restart of this host, until peers have called again. If it goes on: hipctl association list on both sides.",
  ),
  esp_truncated: look("shorter than its suite's header, IV and ICV", ESP_PEER),
  esp_alignment: look("a ciphertext that is not whole blocks or words", ESP_PEER),
  esp_replay: look(
    "received before",
    "A network that doubles packets, or somebody who repeats them. Harmless for applications.",
  ),
  esp_stale: look(
    "older than the replay window",
    "The network reorders more than the replay window holds: look for several links that share the packets of one flow.",
  ),
  esp_auth: look(
    "the integrity check failed",
    "Packets are changed on their way, or forged. Steady with one peer: close the association (hipctl association close NAME).",
  ),
  esp_padding: look("authentic, but with wrong padding", ESP_PEER),
  lsi_unknown: look(
    "to be shown as IPv4, but the peer has no LSI",
    "Too small an LSI prefix: [network] lsi_prefix.",
  ),
  shunned: look(
    "an I1 or I2 from an address that answers puzzles wrongly",
    "Somebody there tries to keep this host busy: packets of its exchanges show where, tcpdump -n udp port 10500. Others behind the same address wait longer for a first answer.",
  ),

  // Plumbing.
  ring_full: look(
    "the control plane does not keep up",
    "The main thread is behind: look at nodejs_eventloop_lag_seconds and at the load of the machine.",
  ),
  rate_limited: normal("beyond a rate limit", "Nothing: hints and answers are limited on purpose."),
  closing: normal("the data plane is being closed", "Nothing."),
} as const satisfies Readonly<Record<string, DropReason>>;

/** Between the sockets and the protocol: `DriverMetrics.driver`. */
export const DRIVER_DROPS = {
  checksum: look(
    "a HIP packet with a wrong checksum (carrier none, RFC 7401 5.1.1)",
    'Something changes addresses on the way (NAT): use encapsulation = "udp".',
  ),
  no_source: look(
    "a HIP packet to a locator that no route leads to",
    "Look at ip route get ADDRESS for the locators of hipctl peer show NAME.",
  ),
} as const satisfies Readonly<Record<string, DropReason>>;

/** Verdicts of native/verdict.h that are no losses, as `hipd_packets_total` counts them. */
export const FATES = {
  held: "waits for the base exchange",
  control: "a HIP packet for the control plane",
  keepalive: "a NAT keepalive (RFC 3948 2.3)",
  dummy: "ESP next header 59: meant to be discarded (RFC 4303 2.6)",
  answered: "answered with an ICMP error",
  pending: "a fragment of an ICMP message waits for the others",
} as const;
