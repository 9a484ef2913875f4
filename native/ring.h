// A bounded queue of many producers, used from native threads towards JavaScript.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace hipd {

/// Fixed cells, each with a sequence number that says whose turn it is (D. Vyukov's bounded queue). Neither side blocks
/// or allocates; a full ring refuses. Any number of producers and consumers.
template <class T>
class Ring {
 public:
  /// `capacity` must be a power of two.
  explicit Ring(std::size_t capacity) : mask_(capacity - 1), cells_(new Cell[capacity]) {
    for (std::size_t i = 0; i < capacity; i++) cells_[i].turn.store(i, std::memory_order_relaxed);
  }

  std::size_t capacity() const { return mask_ + 1; }

  /// Entries waiting; exact only when nobody else is at work.
  std::size_t size() const {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    return tail > head ? tail - head : 0;
  }

  /// Calls `fill(T&)` on a free cell and publishes it; false when the ring is full.
  template <class Fill>
  bool push(Fill&& fill) {
    std::size_t at = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[at & mask_];
      const std::size_t turn = cell.turn.load(std::memory_order_acquire);
      if (turn == at) {
        if (!tail_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) continue;
        fill(cell.value);
        cell.turn.store(at + 1, std::memory_order_release);
        return true;
      }
      // The cell still holds an entry of the previous round, or another producer was faster.
      if (static_cast<std::ptrdiff_t>(turn - at) < 0) return false;
      at = tail_.load(std::memory_order_relaxed);
    }
  }

  /// Calls `use(const T&)` on the oldest entry and frees its cell; false when the ring is empty.
  template <class Use>
  bool pop(Use&& use) {
    std::size_t at = head_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[at & mask_];
      const std::size_t turn = cell.turn.load(std::memory_order_acquire);
      if (turn == at + 1) {
        if (!head_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) continue;
        use(static_cast<const T&>(cell.value));
        cell.turn.store(at + mask_ + 1, std::memory_order_release);
        return true;
      }
      if (static_cast<std::ptrdiff_t>(turn - (at + 1)) < 0) return false;
      at = head_.load(std::memory_order_relaxed);
    }
  }

 private:
  struct Cell {
    std::atomic<std::size_t> turn{0};
    T value;
  };

  const std::size_t mask_;
  const std::unique_ptr<Cell[]> cells_;
  alignas(64) std::atomic<std::size_t> tail_{0};
  alignas(64) std::atomic<std::size_t> head_{0};
};

}  // namespace hipd
