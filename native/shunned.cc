#include "shunned.h"

#include <algorithm>
#include <vector>

namespace hipd {

namespace {
/// RFC 7401 5.1: where the packet type stands, and the two packets that begin an association.
constexpr std::size_t kTypeAt = 2;
constexpr std::uint8_t kTypeMask = 0x7f;
constexpr std::uint8_t kI1 = 1;
constexpr std::uint8_t kI2 = 3;

/// Whatever else there is belongs to an association, or to an exchange that was begun here.
bool begins(View packet) {
  if (packet.size() <= kTypeAt) return false;
  const std::uint8_t type = packet[kTypeAt] & kTypeMask;
  return type == kI1 || type == kI2;
}
}  // namespace

Shunned::~Shunned() {
  places_.each([](Place& place) { delete &place; });
}

bool Shunned::add(const Address& address, std::uint64_t now, std::uint64_t until) {
  Place* known = places_.find(address);
  if (known == nullptr) {
    if (places_.size() >= kMaxShunned && now >= swept_ + kSweepMs) sweep(now);
    if (places_.size() >= kMaxShunned) return false;
    places_.insert(new Place{address, {until}, {}});
  } else {
    known->until.store(until, std::memory_order_relaxed);
  }
  latest_.store(std::max(latest_.load(std::memory_order_relaxed), until), std::memory_order_relaxed);
  return true;
}

bool Shunned::refusesHere(const Address& address, View packet, std::uint64_t now) const {
  if (!begins(packet)) return false;
  const Place* place = places_.find(address);
  if (place == nullptr || now >= place->until.load(std::memory_order_relaxed)) return false;
  return !place->heard.take(now * 1'000'000);
}

void Shunned::sweep(std::uint64_t now) {
  swept_ = now;
  std::vector<Address> over;
  places_.each([&](const Place& place) {
    if (place.until.load(std::memory_order_relaxed) <= now) over.push_back(place.address);
  });
  for (const Address& address : over) epochs_.retire(places_.erase(address));
}

}  // namespace hipd
