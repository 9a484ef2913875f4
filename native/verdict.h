// What became of a packet. The result of every hot function and, at the same time, the index of its counter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hipd {

// One row a verdict: enumerator, counter name, what it means. Append at the end of a group; nothing stores the numbers.
#define HIPD_VERDICTS(X)                                                                            \
  X(Ok, "ok", "done")                                                                               \
  /* Not losses. */                                                                                 \
  X(Held, "held", "waits for the base exchange")                                                    \
  X(Control, "control", "a HIP packet for the control plane")                                       \
  X(Keepalive, "keepalive", "a NAT keepalive (RFC 3948 2.3)")                                       \
  X(Dummy, "dummy", "ESP next header 59: meant to be discarded (RFC 4303 2.6)")                     \
  X(Answered, "answered", "answered with an ICMP error")                                            \
  X(Pending, "pending", "a fragment of an ICMP message waits for the others")                       \
  /* Inner packets, either direction. */                                                            \
  X(InnerTruncated, "drop_inner_truncated", "shorter than its own headers say")                     \
  X(InnerVersion, "drop_inner_version", "neither IPv4 nor IPv6")                                    \
  X(InnerHeader, "drop_inner_header", "an inner header that contradicts itself")                    \
  X(InnerChecksum, "drop_inner_checksum", "an ICMP error with a wrong checksum")                    \
  X(InnerExtensions, "drop_inner_extensions", "more IPv6 extension headers than the limit")         \
  X(InnerOptions, "drop_inner_options", "IPv4 source routing, which has no equivalent")             \
  X(InnerAddress, "drop_inner_address", "addresses that are not of this pair")                      \
  X(InnerMulticast, "drop_inner_multicast", "multicast or broadcast has no peer")                   \
  X(FragmentZeroChecksum, "drop_fragment_zero_checksum", "a UDP fragment without a checksum")       \
  X(FragmentIcmp, "drop_fragment_icmp", "a fragmented ICMP message that could not be put together") \
  X(FragmentBad, "drop_fragment_bad", "fragment offsets or lengths that contradict each other")     \
  X(IcmpType, "drop_icmp_type", "an ICMP type or code without an equivalent, or link-local only")   \
  X(IcmpEmbedded, "drop_icmp_embedded", "an ICMP error whose embedded packet is not of this pair")  \
  X(OffloadHeader, "drop_offload_header", "a virtio-net header that contradicts its packet")        \
  X(TooBig, "drop_too_big", "larger than the path carries")                                         \
  /* Outbound. */                                                                                   \
  X(NoPeer, "drop_no_peer", "no such peer")                                                         \
  X(Rejected, "drop_rejected", "the peer cannot be reached now")                                    \
  X(HoldFull, "drop_hold_full", "too many packets wait for this peer, or in all")                   \
  X(SaExhausted, "drop_sa_exhausted", "the outbound SA has reached its packet limit")               \
  X(Credit, "drop_credit", "beyond the credit at an unverified address")                            \
  X(SealFailed, "drop_seal_failed", "the cipher refused to seal")                                   \
  X(BufferSmall, "drop_buffer_small", "the output does not fit its buffer")                         \
  X(NoRoute, "drop_no_route", "the underlay has no route")                                          \
  X(SendFailed, "drop_send_failed", "the socket refused a packet")                                  \
  X(TunWriteFailed, "drop_tun_write_failed", "the TUN device refused a packet")                     \
  /* Inbound. */                                                                                    \
  X(OuterTruncated, "drop_outer_truncated", "shorter than an ESP or HIP packet can be")             \
  X(UnknownSpi, "drop_unknown_spi", "no inbound SA has this SPI")                                   \
  X(EspTruncated, "drop_esp_truncated", "shorter than its suite's header, IV and ICV")              \
  X(EspAlignment, "drop_esp_alignment", "a ciphertext that is not whole blocks or words")           \
  X(EspReplay, "drop_esp_replay", "received before")                                                \
  X(EspStale, "drop_esp_stale", "older than the replay window")                                     \
  X(EspAuth, "drop_esp_auth", "the integrity check failed")                                         \
  X(EspPadding, "drop_esp_padding", "authentic, but with wrong padding")                            \
  X(LsiUnknown, "drop_lsi_unknown", "to be shown as IPv4, but the peer has no LSI")                 \
  X(Shunned, "drop_shunned", "an I1 or I2 from an address that answers puzzles wrongly")            \
  /* Plumbing. */                                                                                   \
  X(RingFull, "drop_ring_full", "the control plane does not keep up")                               \
  X(RateLimited, "drop_rate_limited", "beyond a rate limit")                                        \
  X(Closing, "drop_closing", "the data plane is being closed")

enum class Verdict : std::uint8_t {
#define HIPD_VERDICT_ENUM(id, name, text) id,
  HIPD_VERDICTS(HIPD_VERDICT_ENUM)
#undef HIPD_VERDICT_ENUM
};

inline constexpr std::size_t kVerdicts = 0
#define HIPD_VERDICT_COUNT(id, name, text) +1
    HIPD_VERDICTS(HIPD_VERDICT_COUNT)
#undef HIPD_VERDICT_COUNT
    ;

/// The counter's name, without the ending "_total": "drop_esp_replay". Drops, and only they, begin with "drop_".
std::string_view verdictName(Verdict verdict);
/// One line of English for documentation and help texts.
std::string_view verdictText(Verdict verdict);
/// Whether a packet was lost.
bool isDrop(Verdict verdict);

}  // namespace hipd
