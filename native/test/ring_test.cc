// The native -> JavaScript queue: order, bounds, and many producers at once.
#include "ring.h"

#include <array>
#include <thread>
#include <vector>

#include "check.h"

using hipd::Ring;

namespace {

void keepsOrderAndRefusesWhenFull() {
  Ring<int> ring(8);
  for (int round = 0; round < 5; round++) {
    for (int i = 0; i < 8; i++) CHECK(ring.push([&](int& cell) { cell = 10 * round + i; }));
    CHECK(!ring.push([](int&) { CHECK(false); }));
    CHECK_EQ(ring.size(), 8u);
    for (int i = 0; i < 8; i++) CHECK(ring.pop([&](const int& cell) { CHECK_EQ(cell, 10 * round + i); }));
    CHECK(!ring.pop([](const int&) { CHECK(false); }));
    CHECK_EQ(ring.size(), 0u);
  }
}

/// Each producer's entries arrive once and in its order; what is refused is not seen.
void manyProducers() {
  constexpr std::uint32_t kProducers = 4;
  constexpr std::uint32_t kEach = 20'000;
  struct Entry {
    std::uint32_t producer;
    std::uint32_t number;
    std::uint32_t check;  // a torn entry would not fit itself
  };
  Ring<Entry> ring(64);
  std::vector<std::thread> producers;
  for (std::uint32_t p = 0; p < kProducers; p++) {
    producers.emplace_back([&ring, p] {
      for (std::uint32_t n = 0; n < kEach; n++) {
        while (!ring.push([&](Entry& entry) { entry = {p, n, p ^ n}; })) std::this_thread::yield();
      }
    });
  }
  std::array<std::uint32_t, kProducers> next{};
  for (std::uint32_t seen = 0; seen < kProducers * kEach;) {
    const bool got = ring.pop([&](const Entry& entry) {
      CHECK_EQ(entry.check, entry.producer ^ entry.number);
      CHECK_EQ(entry.number, next[entry.producer]);
      next[entry.producer]++;
    });
    if (got) {
      seen++;
    } else {
      std::this_thread::yield();
    }
  }
  for (std::thread& producer : producers) producer.join();
  CHECK_EQ(ring.size(), 0u);
}

}  // namespace

int main() {
  keepsOrderAndRefusesWhenFull();
  manyProducers();
}
