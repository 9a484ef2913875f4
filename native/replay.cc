#include "replay.h"

#include <sched.h>

#include <memory>
#include <mutex>
#include <new>
#include <vector>

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

ReplayWindow::~ReplayWindow() {
  if (Ring* ring = ring_.load(); ring != nullptr) replay_rings::give(ring);
}

Verdict ReplayWindow::check(std::uint64_t sequence) const {
  const std::uint64_t top = top_.load(std::memory_order_acquire);
  if (sequence == 0) return Verdict::EspStale;
  if (sequence > top) return Verdict::Ok;
  if (top - sequence >= kWindow) return Verdict::EspStale;
  const std::uint64_t index = sequence >> 6;
  const Ring* ring = ring_.load(std::memory_order_acquire);
  if (ring == nullptr && (top >> 6) - index >= kNear) return Verdict::EspReplay;
  const auto& place = ring == nullptr ? near_[index % kNear] : ring->words[index % kWords];
  const std::uint64_t word = place.load(std::memory_order_relaxed);
  return ((word >> (sequence & 63)) & 1) != 0 ? Verdict::EspReplay : Verdict::Ok;
}

Verdict ReplayWindow::commit(std::uint64_t sequence) {
  lock();
  const std::uint64_t top = top_.load(std::memory_order_relaxed);
  if (sequence >> 6 > top >> 6) advance(top >> 6, sequence >> 6);
  const Verdict verdict = check(sequence);
  if (verdict == Verdict::Ok) {
    Ring* ring = ring_.load(std::memory_order_relaxed);
    const std::uint64_t index = sequence >> 6;
    std::atomic<std::uint64_t>& word = ring == nullptr ? near_[index % kNear] : ring->words[index % kWords];
    word.store(word.load(std::memory_order_relaxed) | (1ULL << (sequence & 63)), std::memory_order_relaxed);
    if (sequence > top) top_.store(sequence, std::memory_order_release);
  }
  unlock();
  return verdict;
}

void ReplayWindow::advance(std::uint64_t from, std::uint64_t to) {
  Ring* ring = ring_.load(std::memory_order_relaxed);
  // Without memory what is missing counts as seen: a late packet is lost, a repeated one is never taken.
  if (ring == nullptr && !complete(from, to)) ring = widen(from);
  std::atomic<std::uint64_t>* const words = ring == nullptr ? near_.data() : ring->words.data();
  const std::uint64_t size = ring == nullptr ? kNear : kWords;
  // The words between the old top's and the new one's begin anew; no more than there are.
  const std::uint64_t count = to - from < size ? to - from : size;
  for (std::uint64_t i = 0; i < count; i++) words[(to - i) % size].store(0, std::memory_order_relaxed);
}

bool ReplayWindow::complete(std::uint64_t from, std::uint64_t to) const {
  if (to < kNear) return true;
  const std::uint64_t last = to - kNear;
  if (last > from) return false;
  for (std::uint64_t i = from < kNear ? 0 : from - kNear + 1; i <= last; i++) {
    if (near_[i % kNear].load(std::memory_order_relaxed) != ~0ULL) return false;
  }
  return true;
}

ReplayWindow::Ring* ReplayWindow::widen(std::uint64_t newest) {
  Ring* ring = replay_rings::take();
  if (ring == nullptr) return nullptr;
  for (auto& word : ring->words) word.store(~0ULL, std::memory_order_relaxed);
  for (std::uint64_t i = newest < kNear ? 0 : newest - kNear + 1; i <= newest; i++) {
    ring->words[i % kWords].store(near_[i % kNear].load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  ring_.store(ring, std::memory_order_release);
  return ring;
}

ReplayWindow::Memory ReplayWindow::save() const {
  const Ring* ring = ring_.load();
  Memory memory{top_.load(), ring != nullptr, {}};
  memory.words.reserve(ring == nullptr ? kNear : kWords);
  if (ring == nullptr) {
    for (const auto& word : near_) memory.words.push_back(word.load());
  } else {
    for (const auto& word : ring->words) memory.words.push_back(word.load());
  }
  return memory;
}

bool ReplayWindow::restore(const Memory& memory) {
  if (memory.words.size() != (memory.wide ? kWords : kNear)) return false;
  Ring* const ring = memory.wide ? replay_rings::take() : nullptr;
  if (memory.wide && ring == nullptr) return false;
  for (std::size_t i = 0; i < memory.words.size(); i++) {
    (ring == nullptr ? near_[i] : ring->words[i]).store(memory.words[i]);
  }
  ring_.store(ring);
  top_.store(memory.top);
  return true;
}

void ReplayWindow::lock() {
  // Held for some ten instructions, and contended only when one SA's packets reach two workers. A holder may still lose
  // its processor, so waiting gives ours away.
  for (unsigned spins = 0; busy_.test_and_set(std::memory_order_acquire); spins++) {
    if (spins >= 64) sched_yield();
  }
}

namespace replay_rings {
namespace {

struct Store {
  std::mutex mutex;
  std::vector<std::unique_ptr<ReplayWindow::Ring>> rings;
};

/// Never destroyed: SAs may outlive everything else.
Store& store() {
  static auto* const one = new Store;
  return *one;
}

}  // namespace

ReplayWindow::Ring* take() {
  Store& all = store();
  {
    const std::lock_guard lock(all.mutex);
    if (!all.rings.empty()) {
      ReplayWindow::Ring* ring = all.rings.back().release();
      all.rings.pop_back();
      return ring;
    }
  }
  return new (std::nothrow) ReplayWindow::Ring;
}

void give(ReplayWindow::Ring* ring) {
  std::unique_ptr<ReplayWindow::Ring> one(ring);
  Store& all = store();
  const std::lock_guard lock(all.mutex);
  if (all.rings.size() < kStore) all.rings.push_back(std::move(one));
}

void refill() {
  Store& all = store();
  const std::lock_guard lock(all.mutex);
  while (all.rings.size() < kStore) all.rings.push_back(std::make_unique<ReplayWindow::Ring>());
}

}  // namespace replay_rings
}  // namespace hipd
