// The replay window against a set of all numbers seen, and the upper half against the reference.
#include "../replay.h"

#include <algorithm>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

constexpr std::uint64_t kWindow = ReplayWindow::kWindow;

void testNumberedCases() {
  static_assert(ReplayWindow::kWindow >= 4096);
  ReplayWindow window;
  CHECK_VERDICT(window.commit(0), EspStale);   // 1: zero is never sent
  CHECK_VERDICT(window.commit(1), Ok);         // 2: the first
  CHECK_VERDICT(window.commit(1), EspReplay);  // 3: again
  CHECK_VERDICT(window.commit(9), Ok);         // 4: a gap
  CHECK_VERDICT(window.commit(8), Ok);         // 5: inside the gap
  CHECK_VERDICT(window.commit(7), Ok);
  CHECK_VERDICT(window.commit(7), EspReplay);
  CHECK_VERDICT(window.commit(8), EspReplay);
  CHECK_VERDICT(window.commit(63), Ok);  // 6: the edges of words
  CHECK_VERDICT(window.commit(64), Ok);
  CHECK_VERDICT(window.commit(65), Ok);
  CHECK_VERDICT(window.commit(63), EspReplay);
  CHECK_VERDICT(window.commit(64), EspReplay);
  CHECK_VERDICT(window.commit(62), Ok);
  CHECK_VERDICT(window.commit(kWindow), Ok);  // 7: the window's own length: 1 is now its lowest number
  CHECK_VERDICT(window.commit(1), EspReplay);
  CHECK_VERDICT(window.commit(2), Ok);
  CHECK_VERDICT(window.commit(kWindow + 2), Ok);  // 8: 3 is the lowest
  CHECK_VERDICT(window.check(2), EspStale);
  CHECK_VERDICT(window.commit(2), EspStale);
  CHECK_VERDICT(window.commit(3), Ok);
  CHECK_VERDICT(window.commit(3), EspReplay);
  CHECK_VERDICT(window.commit(10 * kWindow), Ok);  // 9: a jump over the whole ring
  CHECK_VERDICT(window.commit(9 * kWindow), EspStale);
  CHECK_VERDICT(window.commit(9 * kWindow + 1), Ok);
  CHECK_VERDICT(window.commit(10 * kWindow - 1), Ok);
  CHECK_VERDICT(window.commit(10 * kWindow), EspReplay);
  CHECK_VERDICT(window.commit(1ULL << 40), Ok);  // 10: a jump over 2^32
  CHECK_VERDICT(window.commit((1ULL << 40) - kWindow + 1), Ok);
  CHECK_VERDICT(window.commit((1ULL << 40) - kWindow), EspStale);
  CHECK_VERDICT(window.commit(~0ULL), Ok);  // 11: the last number
  CHECK_VERDICT(window.commit(~0ULL), EspReplay);
  CHECK_VERDICT(window.commit(~0ULL - 1), Ok);
  CHECK_EQ(window.top(), ~0ULL);
  passed("numbered cases");
}

/// What the window ought to say, remembering everything.
class Model {
 public:
  Verdict commit(std::uint64_t sequence) {
    if (sequence == 0 || (sequence <= top_ && top_ - sequence >= kWindow)) return Verdict::EspStale;
    if (!seen_.insert(sequence).second) return Verdict::EspReplay;
    if (sequence > top_) top_ = sequence;
    return Verdict::Ok;
  }
  std::uint64_t top() const { return top_; }

 private:
  std::set<std::uint64_t> seen_;
  std::uint64_t top_ = 0;
};

void testAgainstModel() {
  for (std::uint64_t seed = 1; seed <= 20; seed++) {
    Dice dice(seed);
    ReplayWindow window;
    Model model;
    for (int i = 0; i < 20000; i++) {
      const std::uint64_t top = model.top();
      std::uint64_t sequence = 0;
      switch (dice.below(8)) {
        case 0:
          sequence = top + dice.below(3 * kWindow);
          break;
        case 1:
          sequence = top + 1 + dice.below(200);
          break;
        case 2:
          sequence = top > kWindow ? top - kWindow - 3 + dice.below(6) : dice.below(10);
          break;
        case 3:
          sequence = (top | 63) + dice.below(2);
          break;
        default:
          sequence = top + 5 - (dice.below(kWindow) < top ? dice.below(kWindow) : 0);
          if (sequence > top + 5) sequence = top;
      }
      if (dice.below(5000) == 0) sequence = top + dice.below(1ULL << 33);
      const Verdict wanted = model.commit(sequence);
      const Verdict before = window.check(sequence);
      checkVerdict(before, wanted, __FILE__, __LINE__, "check");
      checkVerdict(window.commit(sequence), wanted, __FILE__, __LINE__, "commit");
      CHECK_EQ(window.top(), model.top());
    }
  }
  passed("as a model that remembers everything");
}

void testNarrow() {
  // In order, or nearly so: no ring.
  ReplayWindow window;
  for (std::uint64_t i = 1; i <= 3 * kWindow; i += 2) {
    CHECK_VERDICT(window.commit(i + 1), Ok);
    CHECK_VERDICT(window.commit(i), Ok);
  }
  CHECK(!window.wide());
  const std::uint64_t top = window.top();
  CHECK_VERDICT(window.commit(top - 300), EspReplay);
  CHECK_VERDICT(window.commit(top - kWindow), EspStale);
  // One number is missing, and comes late.
  for (std::uint64_t i = top + 2; i <= top + kWindow; i++) CHECK_VERDICT(window.commit(i), Ok);
  CHECK(window.wide());
  CHECK_VERDICT(window.commit(top + 1), Ok);
  CHECK_VERDICT(window.commit(top + 1), EspReplay);
  // The first that ever comes is not the first that was sent.
  ReplayWindow late;
  CHECK_VERDICT(late.commit(kWindow), Ok);
  CHECK(late.wide());
  CHECK_VERDICT(late.commit(1), Ok);
  passed("a ring is taken when a number is missing");
}

void testNarrowAgainstModel() {
  int narrow = 0;
  for (std::uint64_t seed = 1; seed <= 300; seed++) {
    Dice dice(seed);
    ReplayWindow window;
    Model model;
    // Each seed another mixture: how far apart packets change places, and how often one is lost.
    const std::uint64_t reach = 1 + dice.below(seed % 3 == 0 ? 600 : 60);
    const std::uint64_t losses = 200 + dice.below(4000);
    const std::uint64_t first = seed % 2 == 0 ? 1 : dice.below(300);
    std::vector<std::pair<std::uint64_t, std::uint64_t>> order;
    for (std::uint64_t i = 0; i < 3000; i++) {
      if (dice.below(losses) != 0) order.emplace_back(i + dice.below(reach), first + i);
    }
    std::sort(order.begin(), order.end());
    const auto commit = [&](std::uint64_t sequence) {
      const Verdict wanted = model.commit(sequence);
      checkVerdict(window.check(sequence), wanted, __FILE__, __LINE__, "check");
      checkVerdict(window.commit(sequence), wanted, __FILE__, __LINE__, "commit");
    };
    for (const auto& [when, sequence] : order) {
      commit(sequence);
      if (dice.below(8) == 0) commit(model.top() - dice.below(std::min<std::uint64_t>(model.top(), 1000)));
    }
    if (!window.wide()) narrow++;
  }
  CHECK(narrow > 20 && narrow < 280);
  passed("nearly in order, as the model");
}

void testStore() {
  replay_rings::refill();
  std::vector<ReplayWindow::Ring*> taken;
  for (std::size_t i = 0; i < replay_rings::kStore + 2; i++) taken.push_back(replay_rings::take());
  CHECK_EQ(std::set<ReplayWindow::Ring*>(taken.begin(), taken.end()).size(), taken.size());
  for (ReplayWindow::Ring* ring : taken) replay_rings::give(ring);
  // What comes from the store held other numbers before.
  for (std::size_t i = 0; i < 2; i++) {
    ReplayWindow window;
    CHECK_VERDICT(window.commit(5000), Ok);
    CHECK_VERDICT(window.commit(4999), Ok);
    CHECK_VERDICT(window.commit(4998), Ok);
    CHECK_VERDICT(window.commit(4999), EspReplay);
  }
  passed("rings are used again");
}

void testInference() {
  int count = 0;
  for (const Vector& vector : readVectors("sequence.txt")) {
    const std::uint64_t got = inferSequence(static_cast<std::uint32_t>(vector.number("low")), vector.number("top"),
                                            static_cast<std::uint32_t>(vector.number("window")));
    if (got != vector.number("sequence")) std::cerr << "line " << vector.line << "\n";
    CHECK_EQ(got, vector.number("sequence"));
    count++;
  }
  CHECK(count > 500);
  passed("upper halves as the reference infers them");
}

void testThreads() {
  // Each number is accepted exactly once, whoever comes first.
  ReplayWindow window;
  constexpr std::uint64_t kNumbers = 40000;
  std::vector<std::atomic<unsigned>> accepted(kNumbers + 1);
  const auto receive = [&](std::uint64_t seed) {
    Dice dice(seed);
    for (std::uint64_t i = 1; i <= kNumbers; i++) {
      const std::uint64_t sequence = i ^ dice.below(4);
      if (sequence == 0 || sequence > kNumbers) continue;
      window.infer(static_cast<std::uint32_t>(sequence));
      if (window.check(sequence) == Verdict::Ok && window.commit(sequence) == Verdict::Ok) accepted[sequence]++;
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 3; i++) threads.emplace_back(receive, i);
  for (std::thread& thread : threads) thread.join();
  std::uint64_t once = 0;
  for (const auto& times : accepted) {
    CHECK(times.load() <= 1);
    once += times.load();
  }
  CHECK(once > kNumbers / 2);
  passed("several threads accept each number at most once");
}

}  // namespace

int main() {
  testNumberedCases();
  testAgainstModel();
  testNarrow();
  testNarrowAgainstModel();
  testStore();
  testInference();
  testThreads();
  return 0;
}
