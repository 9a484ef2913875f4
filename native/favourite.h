// The peer that sends most gets a connected socket. The kernel then finds the way in by one look at the socket, where
// it otherwise looks up the route of each datagram (early demultiplexing, which knows one socket for each local
// address).
#pragma once

#include <cstdint>

#include "endpoint.h"

namespace hipd {

/// Authenticated packets that a batch needs to count, however many of them came as one message: what comes less often
/// costs little.
inline constexpr std::size_t kFavouriteBatch = 32;
/// Batches of one peer, less those of others, after which it is the favourite.
inline constexpr std::uint32_t kFavouriteVotes = 64;
/// How long the favourite must have been silent before another can take its place. Milliseconds.
inline constexpr std::uint64_t kFavouriteRest = 1000;

/// Who sent most of the latest large batches: a majority vote in constant space.
class Favourites {
 public:
  /// One batch of at least kFavouriteBatch packets, and who sent its largest message, of several the latest. @return
  /// whether its sender has enough votes now.
  bool vote(const Endpoint& from, const Address& to) {
    if (votes_ == 0) {
      from_ = from;
      to_ = to;
    }
    if (!(from_ == from && to_ == to)) {
      votes_--;
      return false;
    }
    if (votes_ < kFavouriteVotes) votes_++;
    return votes_ == kFavouriteVotes;
  }
  void forget() { votes_ = 0; }

 private:
  Endpoint from_;
  Address to_;
  std::uint32_t votes_ = 0;
};

/// A socket like `shared`, to be bound to one local address. Invalid when refused, and where its buffer would be the
/// smaller one.
Fd openBeside(int shared, const Address& local);
/// Binds it to the port of `shared`, which must be of the same user. The port stays closed to other programs. From now
/// on until `connectTo` it gets all that comes to this address. False when refused.
bool bindBeside(int fd, int shared, const Endpoint& local);
/// From now on it gets what this one sends, and `shared` the rest. False when refused.
bool connectTo(int fd, const Endpoint& remote);
/// From now on it gets nothing, and `shared` all, although a copy of it may stay open. Has no effect while its address
/// is gone.
void turnAside(int fd);

}  // namespace hipd
