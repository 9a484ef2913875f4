// Tables that the control thread changes while workers read them without a lock, and the moment at which what was
// removed may be freed.
//
// The choice: not one immutable map that is copied for each change (10,000 additions would copy 10,000 maps), but an
// open-addressing array of atomic pointers to immutable-keyed values. A change is one pointer store; growing copies the
// array of pointers once for each doubling, so n additions cost O(n) together. Whatever was unlinked (a value, an old
// array) is freed after every worker has passed a quiescent point: the top of its loop, or its sleep in epoll_wait.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace hipd {

/// Quiescent-state based reclamation. Readers announce the epoch they have seen; a retired object is destroyed once
/// each reader is either asleep or has seen an epoch later than its removal.
///
/// All accesses are sequentially consistent: the proof needs "unlink, then look at the readers" on one side and
/// "announce, then follow the pointer" on the other never both to miss each other. On x86-64 and arm64 such loads cost
/// what plain ones do.
class Epochs {
 public:
  static constexpr std::size_t kMaxReaders = 32;

  ~Epochs();

  /// A place for one reader thread; `kMaxReaders` at most.
  std::size_t join() { return readersUsed_.fetch_add(1); }
  /// From here on the reader may follow published pointers, until its next `online` or `offline`.
  void online(std::size_t reader) { readers_[reader].seen.store(epoch_.load()); }
  /// The reader holds no pointer.
  void offline(std::size_t reader) { readers_[reader].seen.store(0); }

  /// Destroys `object` when no reader can hold it any more. Call after unlinking it.
  void retire(void* object, void (*destroy)(void*));
  template <class T>
  void retire(T* object) {
    retire(const_cast<std::remove_const_t<T>*>(object), [](void* p) { delete static_cast<T*>(p); });
  }
  /// Destroys what may be destroyed. Returns how many objects still wait.
  std::size_t reclaim();

 private:
  struct alignas(64) Reader {
    std::atomic<std::uint64_t> seen{0};
  };
  struct Retired {
    std::uint64_t epoch;
    void* object;
    void (*destroy)(void*);
  };

  std::array<Reader, kMaxReaders> readers_;
  std::atomic<std::size_t> readersUsed_{0};
  std::atomic<std::uint64_t> epoch_{1};
  std::mutex mutex_;
  std::vector<Retired> retired_;
};

/// A hash table of pointers. `Traits` gives `Key`, `static const Key& key(const Value&)` (or by value; it must never
/// change while the value is in the table) and `static std::uint64_t hash(const Key&)`.
///
/// `find` and `each`: any thread that is online in `epochs`. Everything else: one writer at a time.
/// The table does not own its values: the writer retires what `insert` and `erase` hand back.
template <class Value, class Traits>
class Table {
 public:
  using Key = typename Traits::Key;

  explicit Table(Epochs& epochs) : epochs_(epochs) { slots_.store(new Slots(kSmallest)); }
  ~Table() { delete slots_.load(); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  Value* find(const Key& key) const {
    const Slots& slots = *slots_.load();
    for (std::size_t i = Traits::hash(key) & slots.mask;; i = (i + 1) & slots.mask) {
      Value* value = slots.cells[i].load();
      if (value == nullptr) return nullptr;
      if (value != tombstone() && Traits::key(*value) == key) return value;
    }
  }

  template <class Visit>
  void each(Visit&& visit) const {
    const Slots& slots = *slots_.load();
    for (std::size_t i = 0; i <= slots.mask; i++) {
      Value* value = slots.cells[i].load();
      if (value != nullptr && value != tombstone()) visit(*value);
    }
  }

  std::size_t size() const { return live_.load(std::memory_order_relaxed); }

  /// Returns the value that had the same key before, or nullptr.
  Value* insert(Value* value) {
    Slots* slots = slots_.load();
    if (2 * (used_ + 1) > slots->mask + 1) slots = rebuild();
    const Key& key = Traits::key(*value);
    std::size_t i = Traits::hash(key) & slots->mask;
    for (;; i = (i + 1) & slots->mask) {
      Value* other = slots->cells[i].load();
      if (other == nullptr) break;
      if (other != tombstone() && Traits::key(*other) == key) {
        slots->cells[i].store(value);
        return other;
      }
    }
    slots->cells[i].store(value);
    used_++;
    live_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }

  /// Returns the value that was removed, or nullptr.
  Value* erase(const Key& key) {
    Slots* slots = slots_.load();
    for (std::size_t i = Traits::hash(key) & slots->mask;; i = (i + 1) & slots->mask) {
      Value* value = slots->cells[i].load();
      if (value == nullptr) return nullptr;
      if (value != tombstone() && Traits::key(*value) == key) {
        slots->cells[i].store(tombstone());
        live_.fetch_sub(1, std::memory_order_relaxed);
        return value;
      }
    }
  }

 private:
  static constexpr std::size_t kSmallest = 64;
  struct Slots {
    explicit Slots(std::size_t size) : mask(size - 1), cells(new std::atomic<Value*>[size]()) {}
    const std::size_t mask;
    const std::unique_ptr<std::atomic<Value*>[]> cells;
  };

  /// Keeps probe chains whole when a value in their middle goes.
  static Value* tombstone() { return reinterpret_cast<Value*>(alignof(Value)); }

  /// A new array without tombstones, at most a third full: twice as long when the old one was half full of live values.
  Slots* rebuild() {
    Slots* old = slots_.load();
    std::size_t size = kSmallest;
    while (size < 3 * (live_.load(std::memory_order_relaxed) + 1)) size *= 2;
    auto* fresh = new Slots(size);
    used_ = 0;
    for (std::size_t i = 0; i <= old->mask; i++) {
      Value* value = old->cells[i].load();
      if (value == nullptr || value == tombstone()) continue;
      std::size_t j = Traits::hash(Traits::key(*value)) & fresh->mask;
      while (fresh->cells[j].load(std::memory_order_relaxed) != nullptr) j = (j + 1) & fresh->mask;
      fresh->cells[j].store(value, std::memory_order_relaxed);
      used_++;
    }
    slots_.store(fresh);
    epochs_.retire(old);
    return fresh;
  }

  Epochs& epochs_;
  std::atomic<Slots*> slots_{nullptr};
  std::size_t used_ = 0;  // live values and tombstones: the length of probe chains depends on both
  std::atomic<std::size_t> live_{0};
};

/// Spreads keys that an attacker may choose: the seed is random for each process.
std::uint64_t keyedHash(std::uint64_t a, std::uint64_t b);

}  // namespace hipd
