// The anti-replay window (RFC 4303 3.4.3, A2) as a ring of words (RFC 6479), and the upper half of a sequence number.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "verdict.h"

namespace hipd {

/// Which 64-bit sequence number a received lower half stands for (RFC 4303 A2.2).
/// @param low as received. @param top the highest sequence number authenticated so far. @param window W, below 2^31.
std::uint64_t inferSequence(std::uint32_t low, std::uint64_t top, std::uint32_t window);

/// Remembers which of the last kWindow sequence numbers have been seen. Thread-safe: several workers may receive under
/// one SA. `check` takes no lock and is only a hint; `commit` decides.
///
/// Most SAs carry little, in order. As long as every number older than the last few words has been seen, those words
/// say it all; a whole ring is taken at the first number that is missing.
class ReplayWindow {
 public:
  /// One word of the ring is the one being filled, so that a window never needs shifting (RFC 6479 3).
  static constexpr std::uint32_t kWords = 128;
  static constexpr std::uint32_t kWindow = (kWords - 1) * 64;  // 8128
  struct Ring {
    std::array<std::atomic<std::uint64_t>, kWords> words{};
  };

  ReplayWindow() = default;
  ~ReplayWindow();
  ReplayWindow(const ReplayWindow&) = delete;
  ReplayWindow& operator=(const ReplayWindow&) = delete;

  /// The highest sequence number committed; 0 when there is none yet.
  std::uint64_t top() const { return top_.load(std::memory_order_acquire); }
  std::uint64_t infer(std::uint32_t low) const { return inferSequence(low, top(), kWindow); }
  /// Before the integrity check. @return Ok, EspReplay or EspStale. Sequence number 0 is never valid.
  Verdict check(std::uint64_t sequence) const;
  /// After the integrity check: checks again and remembers. @return Ok, EspReplay or EspStale.
  Verdict commit(std::uint64_t sequence);
  /// Whether it has a ring of its own.
  bool wide() const { return ring_.load(std::memory_order_relaxed) != nullptr; }

  /// The words of a window that has no ring.
  static constexpr std::uint32_t kNear = 4;
  /// All that it knows: kWords words, or kNear while there is no ring.
  struct Memory {
    std::uint64_t top = 0;
    bool wide = false;
    std::vector<std::uint64_t> words{1, 0, 0, 0};
  };
  /// Not while others commit.
  Memory save() const;
  /// For a window that nobody has used yet. False when the words are too few or many, or without memory.
  bool restore(const Memory& memory);

 private:
  void lock();
  void unlock() { busy_.clear(std::memory_order_release); }
  /// The word that holds number 64 * `to` becomes the newest one; until now it was `from`, less than `to`.
  void advance(std::uint64_t from, std::uint64_t to);
  /// Whether every number that leaves the near words was seen.
  bool complete(std::uint64_t from, std::uint64_t to) const;
  /// @return nullptr without memory.
  Ring* widen(std::uint64_t newest);

  std::atomic<std::uint64_t> top_{0};
  /// Once it is there it stays, and `near_` means nothing any more.
  std::atomic<Ring*> ring_{nullptr};
  /// Number 0 counts as seen.
  std::array<std::atomic<std::uint64_t>, kNear> near_{1};
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
};

/// Rings in store, so that no worker has to ask the system for memory. Any thread.
namespace replay_rings {
/// Kept at most.
inline constexpr std::size_t kStore = 16;
/// From the store, or new when it is empty. @return nullptr without memory. What is in it is arbitrary.
ReplayWindow::Ring* take();
void give(ReplayWindow::Ring* ring);
/// Fills the store. Not on the packet path.
void refill();
}  // namespace replay_rings

}  // namespace hipd
