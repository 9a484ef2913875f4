// Rate limits: average, burst, and many threads.
#include "limit.h"

#include <thread>
#include <vector>

#include "check.h"

using hipd::RateLimit;

namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

void burstThenAverage() {
  RateLimit<10, 5> limit;
  const std::uint64_t start = 7 * kSecond;
  for (int i = 0; i < 5; i++) CHECK(limit.take(start));
  CHECK(!limit.take(start));
  CHECK(!limit.take(start + kSecond / 10 - 1));
  CHECK(limit.take(start + kSecond / 10));
  CHECK(!limit.take(start + kSecond / 10));
  int taken = 0;
  for (std::uint64_t t = start + kSecond; t < start + 11 * kSecond; t += kSecond / 1000) taken += limit.take(t) ? 1 : 0;
  CHECK(taken >= 100 && taken <= 105);
}

void onceASecond() {
  RateLimit<1, 1> limit;
  CHECK(limit.take(kSecond));
  CHECK(!limit.take(2 * kSecond - 1));
  CHECK(limit.take(2 * kSecond));
  CHECK(!limit.take(2 * kSecond + 1));
  limit.reset();
  CHECK(limit.take(2 * kSecond + 1));
}

/// The first use may be at any time, also right after the machine's start.
void worksAtTimeZero() {
  RateLimit<1, 1> limit;
  CHECK(limit.take(0));
  CHECK(!limit.take(1));
}

void manyThreads() {
  RateLimit<1, 100> limit;
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; n++) taken += limit.take(kSecond) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(taken.load(), 100);
}

}  // namespace

int main() {
  burstThenAverage();
  onceASecond();
  worksAtTimeZero();
  manyThreads();
}
