// Memory for objects that a host has by the ten thousand and keeps for hours: each size in pages of its own, without
// the C library's header, and apart from what lives for a moment, which would leave holes between them that nobody can
// give back.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>

namespace hipd {

/// Places of one size. Any thread. Lives for ever.
class Pool {
 public:
  explicit Pool(std::size_t size) : size_(size) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// Ends the process without memory, as `new` does here.
  void* take();
  void give(void* place);
  /// Slabs in use: for tests.
  std::size_t slabs() const { return slabs_; }

  static constexpr std::size_t kSlab = std::size_t{64} << 10;

 private:
  struct Free {
    Free* next;
  };
  /// Stands at the beginning of each; slabs lie at multiples of their length.
  struct Slab {
    Slab* next;
    Slab* previous;
    Free* free;
    std::size_t used;
  };
  Slab* map();
  void link(Slab* slab);
  void unlink(Slab* slab);

  const std::size_t size_;
  std::mutex mutex_;
  /// Those with room.
  Slab* roomy_ = nullptr;
  std::size_t slabs_ = 0;
};

/// The pool of all types of this size.
template <std::size_t kSize>
Pool& poolOf() {
  static Pool* const pool = new Pool(kSize);
  return *pool;
}

/// Objects of which each takes a place in the pool of its size. For `operator new` and `operator delete` of a class.
template <class T>
struct Pooled {
  static constexpr std::size_t kSize = (sizeof(T) + 15) / 16 * 16;
  static void* take() { return poolOf<kSize>().take(); }
  static void give(void* place) { poolOf<kSize>().give(place); }
};

/// The same for std::allocate_shared, whose own type holds the object and its count.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class U>
  explicit(false) PoolAllocator(const PoolAllocator<U>&) {}
  T* allocate(std::size_t) { return static_cast<T*>(Pooled<T>::take()); }
  void deallocate(T* place, std::size_t) { Pooled<T>::give(place); }
  template <class U>
  bool operator==(const PoolAllocator<U>&) const {
    return true;
  }
};

}  // namespace hipd
