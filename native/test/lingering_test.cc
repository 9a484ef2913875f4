// When a worker looks for more before it sleeps, and for how long.
#include "../lingering.h"

#include "check.h"

using namespace hipd;

namespace {

/// A worker that is given something, works on it, and finds more after a pause.
struct Scene {
  Lingering lingering;
  std::uint64_t now = 1'000'000'000;
  unsigned asked = 0;

  std::uint64_t turn(std::uint64_t work, std::uint64_t pause) {
    for (int batch = 0; batch < 3; batch++) {
      lingering.arrived([&] { return asked++, now; });
    }
    CHECK(lingering.hasWorked());
    now += work;
    const std::uint64_t look = lingering.look(now);
    now += pause;
    lingering.found(now);
    CHECK(!lingering.hasWorked());
    return look;
  }
  void turns(unsigned count, std::uint64_t work, std::uint64_t pause) {
    for (unsigned i = 0; i < count; i++) turn(work, pause);
  }
};

void looksWhileThatHelps() {
  Scene scene;
  // Nobody knows yet that more comes soon.
  for (unsigned i = 0; i < kMostTrust / 2; i++) CHECK_EQ(scene.turn(20'000, 20'000), 0u);
  CHECK_EQ(scene.turn(20'000, 20'000), 20'000u);
  // A pause that is longer than the work was counts as a failure, also where a look would have been allowed to last.
  CHECK_EQ(scene.turn(20'000, 20'001), 20'000u);
  CHECK_EQ(scene.turn(20'000, 10), 0u);
  CHECK_EQ(scene.turn(20'000, 10), 20'000u);
}

void noLongerThanItWorked() {
  Scene scene;
  scene.turns(2 * kMostTrust, 3'000, 1'000);
  CHECK_EQ(scene.turn(3'000, 1'000), 3'000u);
  CHECK_EQ(scene.turn(1'000'000, 1'000), kLongestLook);
  CHECK_EQ(scene.turn(1'000'000, kLongestLook), kLongestLook);
}

/// Two of three must help: at worst a third of its looks, each no longer than the work before it, is in vain.
void givesUpSoon() {
  Scene scene;
  scene.turns(1000, 20'000, 1'000);
  unsigned looks = 0;
  for (unsigned i = 0; i < 1000; i++) looks += scene.turn(20'000, 500'000) != 0 ? 1 : 0;
  CHECK(looks <= kMostTrust / 2 / kDisappointment + 1);
  looks = 0;
  for (unsigned i = 0; i < 3000; i++) looks += scene.turn(20'000, i % 2 == 0 ? 1'000 : 500'000) != 0 ? 1 : 0;
  CHECK_EQ(looks, 0u);
  for (unsigned i = 0; i < 3000; i++) scene.turn(20'000, i % 3 == 0 ? 500'000 : 1'000);
  CHECK_EQ(scene.turn(20'000, 500'000), 0u);
  // Three of four are enough.
  for (unsigned i = 0; i < 4000; i++) scene.turn(20'000, i % 4 == 0 ? 500'000 : 1'000);
  for (unsigned i = 0; i < 40; i++) looks += scene.turn(20'000, i % 4 == 0 ? 500'000 : 1'000) != 0 ? 1 : 0;
  CHECK_EQ(looks, 40u);
}

/// Whoever gets single packets far apart neither looks nor waits.
void rareSmallPackets() {
  Scene scene;
  for (unsigned i = 0; i < 1000; i++) CHECK_EQ(scene.turn(2'000, 4'000'000), 0u);
  CHECK_EQ(scene.asked, 1000u);
}

}  // namespace

int main() {
  looksWhileThatHelps();
  noLongerThanItWorked();
  givesUpSoon();
  rareSmallPackets();
}
