#include "pool.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HIPD_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HIPD_SANITIZED 1
#endif

namespace hipd {

#ifdef HIPD_SANITIZED

// Sanitizers watch what `new` gives.
void* Pool::take() {
  return ::operator new(size_);
}

void Pool::give(void* place) {
  ::operator delete(place);
}

#else

void Pool::link(Slab* slab) {
  slab->previous = nullptr;
  slab->next = roomy_;
  if (roomy_ != nullptr) roomy_->previous = slab;
  roomy_ = slab;
}

void Pool::unlink(Slab* slab) {
  if (slab->previous != nullptr) slab->previous->next = slab->next;
  if (slab->next != nullptr) slab->next->previous = slab->previous;
  if (roomy_ == slab) roomy_ = slab->next;
}

/// Twice the length is asked for, and what does not lie at a multiple given back.
Pool::Slab* Pool::map() {
  void* const all = mmap(nullptr, 2 * kSlab, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) std::abort();
  const auto begin = reinterpret_cast<std::uintptr_t>(all);
  const std::uintptr_t at = (begin + kSlab - 1) / kSlab * kSlab;
  if (at > begin) munmap(all, at - begin);
  if (begin + kSlab > at) munmap(reinterpret_cast<void*>(at + kSlab), begin + kSlab - at);
  slabs_++;
  auto* slab = new (reinterpret_cast<void*>(at)) Slab{};
  // The first place behind the head, as aligned as `new` would make it.
  constexpr std::size_t kHead = (sizeof(Slab) + 15) / 16 * 16;
  Free** last = &slab->free;
  for (std::size_t offset = kHead; offset + size_ <= kSlab; offset += size_) {
    *last = new (reinterpret_cast<void*>(at + offset)) Free{nullptr};
    last = &(*last)->next;
  }
  link(slab);
  return slab;
}

void* Pool::take() {
  const std::lock_guard lock(mutex_);
  Slab* const slab = roomy_ != nullptr ? roomy_ : map();
  Free* const place = slab->free;
  slab->free = place->next;
  slab->used++;
  if (slab->free == nullptr) unlink(slab);
  return place;
}

void Pool::give(void* place) {
  if (place == nullptr) return;
  const std::lock_guard lock(mutex_);
  auto* const slab = reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(place) / kSlab * kSlab);
  if (slab->free == nullptr) link(slab);
  slab->free = new (place) Free{slab->free};
  slab->used--;
  // One without objects stays for the next, if it is the only one with room.
  if (slab->used > 0 || (roomy_ == slab && slab->next == nullptr)) return;
  unlink(slab);
  slabs_--;
  munmap(slab, kSlab);
}

#endif

}  // namespace hipd
