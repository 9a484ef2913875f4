// Whose packets are refused, which of them, and for how long.
#include "shunned.h"

#include <thread>

#include "check.h"

using hipd::Address;
using hipd::Epochs;
using hipd::kMaxShunned;
using hipd::kShunnedBurst;
using hipd::kShunnedPerSecond;
using hipd::Shunned;

namespace {

constexpr std::uint64_t kNow = 50'000;
constexpr std::uint64_t kSecond = 1'000;

Address number(std::uint32_t n) {
  Address address;
  address.family = 4;
  hipd::store32(address.bytes.data(), n);
  return address;
}

/// The beginning of a HIP packet of this type, with the bit in front of the type set, which means nothing.
std::array<std::uint8_t, 8> packet(std::uint8_t type) {
  return {59, 4, static_cast<std::uint8_t>(0x80 | type), 0x21};
}

int refused(const Shunned& shunned, const Address& address, std::uint8_t type, int count, std::uint64_t now) {
  int refusals = 0;
  for (int i = 0; i < count; i++) refusals += shunned.refuses(address, packet(type), now) ? 1 : 0;
  return refusals;
}

void onlyWhatBeginsAndOnlyFromThere() {
  Epochs epochs;
  Shunned shunned(epochs);
  CHECK_EQ(refused(shunned, number(1), 1, 100, kNow), 0);
  CHECK(shunned.add(number(1), kNow, kNow + kSecond));
  const int heard = static_cast<int>(kShunnedBurst);
  CHECK_EQ(refused(shunned, number(1), 1, 100, kNow), 100 - heard);
  CHECK_EQ(refused(shunned, number(1), 3, 100, kNow), 100);
  // R1, R2, UPDATE, NOTIFY, CLOSE, CLOSE_ACK.
  constexpr std::array<std::uint8_t, 6> kOthers{2, 4, 16, 17, 18, 19};
  for (const std::uint8_t type : kOthers) CHECK_EQ(refused(shunned, number(1), type, 100, kNow), 0);
  CHECK_EQ(refused(shunned, number(2), 1, 100, kNow), 0);
  Address v6 = number(1);
  v6.family = 6;
  CHECK_EQ(refused(shunned, v6, 1, 100, kNow), 0);
  const std::array<std::uint8_t, 2> stump{59, 4};
  CHECK(!shunned.refuses(number(1), stump, kNow));
}

void someAreHeardMeanwhile() {
  Epochs epochs;
  Shunned shunned(epochs);
  CHECK(shunned.add(number(1), kNow, kNow + 10 * kSecond));
  refused(shunned, number(1), 1, 1000, kNow);
  int heard = 0;
  for (std::uint64_t now = kNow; now < kNow + 5 * kSecond; now++) heard += 4 - refused(shunned, number(1), 1, 4, now);
  CHECK(heard >= static_cast<int>(5 * kShunnedPerSecond) - 1 && heard <= static_cast<int>(5 * kShunnedPerSecond) + 1);
}

void untilTheEndAndNotLonger() {
  Epochs epochs;
  Shunned shunned(epochs);
  CHECK(shunned.add(number(1), kNow, kNow + kSecond));
  CHECK(shunned.add(number(2), kNow, kNow + 5 * kSecond));
  refused(shunned, number(1), 1, 100, kNow);
  CHECK_EQ(refused(shunned, number(1), 1, 10, kNow + 1), 10);
  CHECK_EQ(refused(shunned, number(1), 1, 100, kNow + kSecond), 0);
  // Again: the same place goes on.
  CHECK(shunned.add(number(1), kNow + kSecond, kNow + 2 * kSecond));
  CHECK_EQ(shunned.size(), 2U);
  CHECK(refused(shunned, number(1), 1, 100, kNow + kSecond + 1) >= 99 - static_cast<int>(kShunnedBurst));
}

void placesAreBounded() {
  Epochs epochs;
  Shunned shunned(epochs);
  for (std::uint32_t n = 0; n < kMaxShunned; n++) CHECK(shunned.add(number(n), kNow, kNow + kSecond + n));
  CHECK(!shunned.add(number(999'999), kNow + 1, kNow + kSecond));
  CHECK(shunned.add(number(7), kNow + 1, kNow + kSecond));
  // The first half is over.
  CHECK(shunned.add(number(999'999), kNow + kSecond + kMaxShunned / 2, kNow + 9 * kSecond));
  CHECK_EQ(shunned.size(), kMaxShunned / 2);
  CHECK(refused(shunned, number(999'999), 1, 100, kNow + 2 * kSecond) > 0);
  CHECK_EQ(epochs.reclaim(), 0U);
}

void besideAReader() {
  Epochs epochs;
  Shunned shunned(epochs);
  const std::size_t place = epochs.join();
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> refusals{0};
  std::thread reader([&] {
    for (std::uint64_t now = kNow; !over.load(); now++) {
      epochs.online(place);
      refusals += static_cast<std::uint64_t>(refused(shunned, number(5), 1, 8, kNow));
      epochs.offline(place);
    }
  });
  for (std::uint32_t round = 0; round < 40 || refusals.load() == 0; round++) {
    const std::uint64_t now = kNow + round % 40;
    for (std::uint32_t n = 0; n < kMaxShunned / 8; n++) shunned.add(number(round * 100 + n), now, now + 2);
    shunned.add(number(5), now, kNow + kSecond);
    epochs.reclaim();
  }
  over = true;
  reader.join();
  CHECK(refusals.load() > 0);
}

}  // namespace

int main() {
  onlyWhatBeginsAndOnlyFromThere();
  someAreHeardMeanwhile();
  untilTheEndAndNotLonger();
  placesAreBounded();
  besideAReader();
  return 0;
}
