#include "ping.h"

#include <sys/random.h>

#include <algorithm>

#include "icmp.h"

namespace hipd {

namespace {
std::uint64_t randomNumber() {
  std::uint64_t number = 0;
  while (getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) {
  }
  return number;
}
}  // namespace

Pings::Pings() : identifier_(static_cast<std::uint16_t>(randomNumber())) {}

bool Pings::ask(const Hit& local, const Hit& peer, std::uint32_t sequence, std::size_t bytes, std::uint64_t now) {
  static constexpr std::size_t kHeaders = 48;
  std::array<std::uint8_t, kMaxPing - kHeaders> data{};
  const View content(data.data(), std::clamp(bytes, kMinData, data.size()));
  const std::uint64_t cookie = randomNumber() | 1;
  store64(data.data(), cookie);
  {
    const std::lock_guard lock(mutex_);
    outstanding_[next_] = {cookie, now, sequence, peer};
    next_ = (next_ + 1) % kPingsOutstanding;
  }
  return requests_.push([&](Request& request) {
    request.length = static_cast<std::uint32_t>(
        buildEchoRequest(local, peer, identifier_, static_cast<std::uint16_t>(sequence), content, request.packet));
  });
}

std::optional<Pings::Answer> Pings::match(const Hit& peer, View data, std::uint64_t now) {
  if (data.size() < kMinData) return std::nullopt;
  const std::uint64_t cookie = load64(data.data());
  const std::lock_guard lock(mutex_);
  for (Outstanding& one : outstanding_) {
    if (cookie == 0 || one.cookie != cookie || !(one.peer == peer)) continue;
    one.cookie = 0;
    return Answer{one.sequence, now - one.sent};
  }
  return std::nullopt;
}

}  // namespace hipd
