#include "replay.h"

#include <sched.h>

namespace hipd {

std::uint64_t inferSequence(std::uint32_t low, std::uint64_t top, std::uint32_t window) {
  const auto topLow = static_cast<std::uint32_t>(top);
  const auto topHigh = static_cast<std::uint32_t>(top >> 32);
  const std::uint32_t bottomLow = topLow - window + 1;
  std::uint32_t high = topHigh;
  if (topLow >= window - 1) {
    // Case A: the window lies within one subspace.
    if (low < bottomLow) high = topHigh + 1;
  } else if (low >= bottomLow) {
    // Case B: the window began in the subspace before. Before the first of all there is none: such a number is from the
    // future.
    if (topHigh > 0) high = topHigh - 1;
  }
  return (static_cast<std::uint64_t>(high) << 32) | low;
}

Verdict ReplayWindow::check(std::uint64_t sequence) const {
  const std::uint64_t top = top_.load(std::memory_order_acquire);
  if (sequence == 0) return Verdict::EspStale;
  if (sequence > top) return Verdict::Ok;
  if (top - sequence >= kWindow) return Verdict::EspStale;
  const std::uint64_t word = words_[(sequence >> 6) % kWords].load(std::memory_order_relaxed);
  return ((word >> (sequence & 63)) & 1) != 0 ? Verdict::EspReplay : Verdict::Ok;
}

Verdict ReplayWindow::commit(std::uint64_t sequence) {
  lock();
  const std::uint64_t top = top_.load(std::memory_order_relaxed);
  if (sequence > top) {
    // The words between the old top's and the new one's begin anew; no more than the whole ring.
    const std::uint64_t from = top >> 6;
    const std::uint64_t to = sequence >> 6;
    const std::uint64_t count = to - from < kWords ? to - from : kWords;
    for (std::uint64_t i = 1; i <= count; i++) words_[(from + i) % kWords].store(0, std::memory_order_relaxed);
  }
  const Verdict verdict = check(sequence);
  if (verdict == Verdict::Ok) {
    std::atomic<std::uint64_t>& word = words_[(sequence >> 6) % kWords];
    word.store(word.load(std::memory_order_relaxed) | (1ULL << (sequence & 63)), std::memory_order_relaxed);
    if (sequence > top) top_.store(sequence, std::memory_order_release);
  }
  unlock();
  return verdict;
}

void ReplayWindow::lock() {
  // Held for some ten instructions, and contended only when one SA's packets reach two workers. A holder may still lose
  // its processor, so waiting gives ours away.
  for (unsigned spins = 0; busy_.test_and_set(std::memory_order_acquire); spins++) {
    if (spins >= 64) sched_yield();
  }
}

}  // namespace hipd
