#include "stats.h"

namespace hipd {

std::string_view tallyName(Tally tally) {
  switch (tally) {
    case Tally::TxPackets:
      return "esp_tx_packets";
    case Tally::TxBytes:
      return "esp_tx_bytes";
    case Tally::RxPackets:
      return "esp_rx_packets";
    case Tally::RxBytes:
      return "esp_rx_bytes";
    case Tally::ControlSent:
      return "control_sent";
    case Tally::ControlReceived:
      return "control_received";
    case Tally::SendCalls:
      return "send_calls";
    case Tally::ReceiveCalls:
      return "receive_calls";
    case Tally::TunReads:
      return "tun_reads";
    case Tally::TunWrites:
      return "tun_writes";
    case Tally::SuperReads:
      return "tun_super_reads";
    case Tally::SuperWrites:
      return "tun_super_writes";
    case Tally::SegmentsJoined:
      return "tun_segments_joined";
    case Tally::MessagesSent:
      return "messages_sent";
    case Tally::MessagesDivided:
      return "messages_divided";
    case Tally::MessagesReceived:
      return "messages_received";
    case Tally::MarkedLate:
      return "marked_late";
    case Tally::CreditSpent:
      return "credit_spent_bytes";
    case Tally::ProbesSent:
      return "probes_sent";
    case Tally::ProbesRefused:
      return "probes_refused";
    case Tally::ProbesAnswered:
      return "probes_answered";
    case Tally::ProbeReplies:
      return "probe_replies";
    case Tally::PeerSockets:
      return "peer_sockets";
    case Tally::ProcessorsLeft:
      return "processors_left";
    case Tally::Lingered:
      return "lingered";
    case Tally::FlowsMissed:
      return "flows_missed";
    case Tally::Count:
      break;
  }
  return "unknown";
}

void Stats::continueFrom(std::string_view name, std::uint64_t value) {
  static constexpr std::string_view kEnd = "_total";
  if (!name.ends_with(kEnd)) return;
  name.remove_suffix(kEnd.size());
  for (std::size_t i = 0; i < tallies_.size(); i++) {
    if (tallyName(static_cast<Tally>(i)) == name) return count(static_cast<Tally>(i), value);
  }
  for (std::size_t i = 1; i < kVerdicts; i++) {
    if (verdictName(static_cast<Verdict>(i)) == name) return count(static_cast<Verdict>(i), value);
  }
}

}  // namespace hipd
