#include "snapshot.h"

#include <sys/random.h>

#include <algorithm>

namespace hipd {

Epochs::~Epochs() {
  for (const Retired& item : retired_) item.destroy(item.object);
}

void Epochs::retire(void* object, void (*destroy)(void*)) {
  {
    const std::lock_guard lock(mutex_);
    retired_.push_back({epoch_.fetch_add(1) + 1, object, destroy});
  }
  reclaim();
}

std::size_t Epochs::reclaim() {
  std::vector<Retired> free;
  std::size_t waiting = 0;
  {
    const std::lock_guard lock(mutex_);
    std::uint64_t oldest = UINT64_MAX;
    for (const Reader& reader : readers_) {
      const std::uint64_t seen = reader.seen.load();
      if (seen != 0) oldest = std::min(oldest, seen);
    }
    // Epochs only grow along the list, so what may go is a prefix.
    const auto end =
        std::find_if(retired_.begin(), retired_.end(), [oldest](const Retired& item) { return item.epoch > oldest; });
    free.assign(retired_.begin(), end);
    retired_.erase(retired_.begin(), end);
    waiting = retired_.size();
  }
  for (const Retired& item : free) item.destroy(item.object);
  return waiting;
}

namespace {
std::uint64_t randomSeed() {
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) seed = 0x9e3779b97f4a7c15ull;
  return seed;
}

std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  return x ^ (x >> 32);
}
}  // namespace

std::uint64_t keyedHash(std::uint64_t a, std::uint64_t b) {
  static const std::uint64_t seed = randomSeed();
  return mix(mix(a ^ seed) + b);
}

}  // namespace hipd
