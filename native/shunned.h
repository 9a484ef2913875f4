// Underlay addresses whose wrong answers to puzzles have cost enough: for a while little of what they begin is heard.
#pragma once

#include "endpoint.h"
#include "limit.h"
#include "snapshot.h"

namespace hipd {

/// Addresses at once. When all places are taken by some that are still shunned, no more are.
inline constexpr std::size_t kMaxShunned = 1024;
/// I1s and I2s that are heard from each of them: others may live behind the same address.
inline constexpr std::uint64_t kShunnedPerSecond = 10;
inline constexpr std::uint64_t kShunnedBurst = 10;
/// A full table is looked through this often at most, in milliseconds.
inline constexpr std::uint64_t kSweepMs = 100;

class Shunned {
 public:
  explicit Shunned(Epochs& epochs) : epochs_(epochs), places_(epochs) {}
  ~Shunned();

  /// From `now` until `until`, milliseconds of one clock. Control thread only. False when there is no room.
  bool add(const Address& address, std::uint64_t now, std::uint64_t until);
  /// Whether `packet`, a HIP packet, is to be dropped. Any thread that is online; costs nothing while nobody is
  /// shunned.
  bool refuses(const Address& address, View packet, std::uint64_t now) const {
    return now < latest_.load(std::memory_order_relaxed) && refusesHere(address, packet, now);
  }
  std::size_t size() const { return places_.size(); }

 private:
  struct Place {
    Address address;
    std::atomic<std::uint64_t> until;
    mutable RateLimit<kShunnedPerSecond, kShunnedBurst> heard;
  };
  struct Traits {
    using Key = Address;
    static const Address& key(const Place& place) { return place.address; }
    static std::uint64_t hash(const Address& address) {
      return keyedHash(load64(address.bytes.data()), load64(address.bytes.data() + 8) ^ address.family);
    }
  };

  bool refusesHere(const Address& address, View packet, std::uint64_t now) const;
  /// Gives back the places of those whose time is over.
  void sweep(std::uint64_t now);

  Epochs& epochs_;
  Table<Place, Traits> places_;
  /// When the last of them may be heard again.
  std::atomic<std::uint64_t> latest_{0};
  /// When a full table was looked through last. Control thread only.
  std::uint64_t swept_ = 0;
};

}  // namespace hipd
