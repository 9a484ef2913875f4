// The anti-replay window (RFC 4303 3.4.3, A2) as a ring of words (RFC 6479), and the upper half of a sequence number.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "verdict.h"

namespace hipd {

/// Which 64-bit sequence number a received lower half stands for (RFC 4303 A2.2).
/// @param low as received. @param top the highest sequence number authenticated so far. @param window W, below 2^31.
std::uint64_t inferSequence(std::uint32_t low, std::uint64_t top, std::uint32_t window);

/// Remembers which of the last kWindow sequence numbers have been seen. Thread-safe: several workers may receive under
/// one SA. `check` takes no lock and is only a hint; `commit` decides.
class ReplayWindow {
 public:
  /// One word of the ring is the one being filled, so that a window never needs shifting (RFC 6479 3).
  static constexpr std::uint32_t kWords = 128;
  static constexpr std::uint32_t kWindow = (kWords - 1) * 64;  // 8128

  /// The highest sequence number committed; 0 when there is none yet.
  std::uint64_t top() const { return top_.load(std::memory_order_acquire); }
  std::uint64_t infer(std::uint32_t low) const { return inferSequence(low, top(), kWindow); }
  /// Before the integrity check. @return Ok, EspReplay or EspStale. Sequence number 0 is never valid.
  Verdict check(std::uint64_t sequence) const;
  /// After the integrity check: checks again and remembers. @return Ok, EspReplay or EspStale.
  Verdict commit(std::uint64_t sequence);

 private:
  void lock();
  void unlock() { busy_.clear(std::memory_order_release); }

  std::atomic<std::uint64_t> top_{0};
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace hipd
