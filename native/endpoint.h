// Underlay addresses, and the socket calls' forms of them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "pool.h"
#include "types.h"

namespace hipd {

/// Security Parameter Index (RFC 4303 2.1), host order; 0 means "none".
using Spi = std::uint32_t;

/// An IPv4 or IPv6 address. `family` is 4, 6, or 0 for "not chosen". IPv4 uses the first four bytes; the others are
/// zero.
struct Address {
  std::uint8_t family = 0;
  std::array<std::uint8_t, 16> bytes{};
  friend bool operator==(const Address&, const Address&) = default;
};

/// `port` is host order, and 0 with carrier None.
struct Endpoint {
  Address address;
  std::uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// Where one packet goes or came from.
struct Path {
  Carrier carrier = Carrier::Udp;
  Endpoint local;
  Endpoint remote;
  friend bool operator==(const Path&, const Path&) = default;

  static void* operator new(std::size_t) { return Pooled<Path>::take(); }
  static void operator delete(void* place) { Pooled<Path>::give(place); }
};

/// A socket address of either family.
struct SocketAddress {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  socklen_t length = 0;

  SocketAddress() : v6{} {}
  explicit SocketAddress(const Endpoint& endpoint);
  /// IPv4-mapped IPv6 addresses become IPv4.
  Endpoint endpoint() const;
};

/// "192.0.2.1", "2001:db8::1", or "*" when not chosen.
std::string text(const Address& address);
/// "errno's meaning" of strerror, thread-safe.
std::string errorText(int error);

/// Ancillary data that asks for a source address (IP_PKTINFO, IPV6_PKTINFO).
struct SourceControl {
  static constexpr std::size_t kSize = CMSG_SPACE(sizeof(in6_pktinfo));
  alignas(cmsghdr) std::array<std::uint8_t, kSize> bytes{};
  std::size_t length = 0;

  SourceControl() = default;
  explicit SourceControl(const Address& source);
  /// Set in `interface`: the kernel chooses the source.
  static constexpr std::uint32_t kChosen = 1U << 31;
  /// Copies `length` bytes; the packet leaves by `interface` (an index; 0: as the kernel likes).
  void writeTo(std::uint8_t* out, std::uint32_t interface) const;
};

/// The local address of a received message, from its ancillary data; family 0 when there is none.
Address destinationOf(const msghdr& message);

/// A monotonic clock. Nanoseconds.
std::uint64_t monotonicNow();
/// The same clock as of the last timer tick (1 to 10 ms old): costs a few nanoseconds. Nanoseconds.
std::uint64_t monotonicCoarse();

/// An owned file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void reset();
  /// It is the caller's from now on.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace hipd
