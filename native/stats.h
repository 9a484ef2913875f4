// Counters: one array for each thread, summed when somebody asks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "verdict.h"

namespace hipd {

/// What a thread counts beside verdicts.
enum class Tally : std::uint8_t {
  TxPackets,
  TxBytes,
  RxPackets,
  RxBytes,
  ControlSent,
  ControlReceived,
  SendCalls,
  ReceiveCalls,
  TunReads,
  TunWrites,
  SuperReads,
  SuperWrites,
  SegmentsJoined,
  MessagesSent,
  MessagesDivided,
  MessagesReceived,
  MarkedLate,
  CreditSpent,
  ProbesSent,
  ProbesRefused,
  ProbesAnswered,
  ProbeReplies,
  PeerSockets,
  ProcessorsLeft,
  Lingered,
  FlowsMissed,
  Count,
};

/// "esp_tx_packets", without the ending "_total".
std::string_view tallyName(Tally tally);

/// Written by one thread, read by any: plain loads and stores, no locked instructions.
class Stats {
 public:
  void count(Verdict verdict, std::uint64_t times = 1) { add(verdicts_[static_cast<std::size_t>(verdict)], times); }
  void count(Tally tally, std::uint64_t times = 1) { add(tallies_[static_cast<std::size_t>(tally)], times); }
  std::uint64_t get(Verdict verdict) const {
    return verdicts_[static_cast<std::size_t>(verdict)].load(std::memory_order_relaxed);
  }
  std::uint64_t get(Tally tally) const {
    return tallies_[static_cast<std::size_t>(tally)].load(std::memory_order_relaxed);
  }

  /// Adds what a predecessor has counted under this name, with the ending "_total". A name that is gone is left out.
  void continueFrom(std::string_view name, std::uint64_t value);

 private:
  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t times) {
    counter.store(counter.load(std::memory_order_relaxed) + times, std::memory_order_relaxed);
  }
  std::array<std::atomic<std::uint64_t>, kVerdicts> verdicts_{};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Tally::Count)> tallies_{};
};

}  // namespace hipd
