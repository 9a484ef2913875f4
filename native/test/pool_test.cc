// Pools: places that do not overlap, all of which come back, and pages that go back to the system.
#include "../pool.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "check.h"

using namespace hipd;

namespace {

/// Objects of a size fill slabs without touching each other.
void keepsApart() {
  Pool pool(48);
  std::vector<unsigned char*> places;
  for (unsigned i = 0; i < 5000; i++) {
    auto* place = static_cast<unsigned char*>(pool.take());
    CHECK_EQ(reinterpret_cast<std::uintptr_t>(place) % 16, 0u);
    std::memset(place, static_cast<int>(i % 251), 48);
    places.push_back(place);
  }
  CHECK_EQ(std::set<unsigned char*>(places.begin(), places.end()).size(), places.size());
  for (unsigned i = 0; i < places.size(); i++) {
    for (unsigned at = 0; at < 48; at++) CHECK_EQ(places[i][at], static_cast<unsigned char>(i % 251));
  }
  for (unsigned char* place : places) pool.give(place);
}

/// Whatever the order in which they go, the pages go with them.
void givesBack() {
  Pool pool(128);
  std::uint32_t chance = 7;
  const auto random = [&] { return (chance = chance * 1664525 + 1013904223) >> 8; };
  std::vector<void*> places;
  std::size_t most = 0;
  for (unsigned step = 0; step < 40'000; step++) {
    const bool grows = step < 20'000 ? random() % 3 != 0 : random() % 3 == 0;
    if (grows || places.empty()) {
      places.push_back(pool.take());
    } else {
      const std::size_t at = random() % places.size();
      pool.give(places[at]);
      places[at] = places.back();
      places.pop_back();
    }
    most = std::max(most, pool.slabs());
  }
  for (void* place : places) pool.give(place);
  pool.give(nullptr);
  CHECK(pool.slabs() <= 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(most > 5);
#endif
}

/// A count and its object take one place.
void shares() {
  struct Thing {
    std::uint64_t a = 1;
    std::uint64_t b = 2;
  };
  std::vector<std::shared_ptr<Thing>> things;
  for (unsigned i = 0; i < 1000; i++) things.push_back(std::allocate_shared<Thing>(PoolAllocator<Thing>()));
  for (const auto& thing : things) CHECK_EQ(thing->a + thing->b, 3u);
}

}  // namespace

int main() {
  keepsApart();
  givesBack();
  shares();
}
