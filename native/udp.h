// UDP sockets (RFC 9028 5.1: HIP and ESP on one port), and the batches in which datagrams come and go on any socket.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "endpoint.h"
#include "types.h"

namespace hipd {

/// Datagrams moved by one system call at most.
inline constexpr std::size_t kBatch = 64;
/// Largest datagram taken or sent, ESP overhead included: room for 9000-byte paths.
inline constexpr std::size_t kMaxDatagram = 9600;
/// Kernel buffers asked for, each direction.
inline constexpr int kSocketBuffer = 8 << 20;
/// How long a worker waits for room in a socket's send buffer before it drops. Milliseconds.
inline constexpr int kSendPatience = 20;

struct Socket {
  Fd fd;
  /// "" or what went wrong, in words for an administrator.
  std::string error;
  /// The host lacks the address family: not an error of the configuration.
  bool unsupported = false;
};

/// A bound, non-blocking UDP socket of one family (4 or 6) on every local address, that tells each packet's local
/// address, never fragments, and follows the kernel's path MTU. `shared`: several workers bind the same port
/// (SO_REUSEPORT).
Socket openUdp(int family, std::uint16_t port, bool shared);

/// Options that every socket of the data plane has: no fragmentation, local addresses told, large buffers. False on
/// failure.
bool prepareSocket(int fd, int family);

/// Where sealed packets of an SA go, ready for sendmsg. Immutable.
struct Destination {
  explicit Destination(const Path& where) : path(where), remote(where.remote), source(where.local.address) {}

  const Path path;
  const SocketAddress remote;
  const SourceControl source;
};

/// The kernel's choice of a local address towards `remote` (family 0 without a route), and the path MTU it knows.
struct RouteAnswer {
  Address source;
  std::uint32_t mtu = 0;
};
RouteAnswer askKernel(const Address& source, const Endpoint& remote);

/// Page-aligned zero memory that is taken from the machine only where it is touched.
class Arena {
 public:
  explicit Arena(std::size_t size);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  std::uint8_t* data() const { return memory_; }

 private:
  std::uint8_t* memory_;
  std::size_t size_;
};

/// Datagrams that one recvmmsg brought. Each stands in a buffer with kHeadroom before it and kTailroom behind it.
class ReceiveBatch {
 public:
  ReceiveBatch();
  /// Reads what waits, kBatch at most. 0 when there is nothing, or errno in `error`.
  std::size_t receive(int fd);
  /// Cut to the buffer where `truncated`.
  Frame frame(std::size_t i) const;
  bool truncated(std::size_t i) const { return (messages_[i].msg_hdr.msg_flags & MSG_TRUNC) != 0; }
  Endpoint from(std::size_t i) const;
  Address to(std::size_t i) const { return destinationOf(messages_[i].msg_hdr); }

 private:
  static constexpr std::size_t kStride = kHeadroom + kMaxDatagram + kTailroom;
  static constexpr std::size_t kControl = 128;
  Arena arena_;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<SocketAddress, kBatch> names_{};
  alignas(cmsghdr) std::array<std::array<std::uint8_t, kControl>, kBatch> controls_{};
};

/// Datagrams that wait for one sendmmsg on one socket. `Tag` comes back for those that the kernel refused.
class SendBatch {
 public:
  SendBatch();
  /// The socket; -1 when there is none, and then everything is refused. Any thread.
  void use(int fd) { fd_.store(fd, std::memory_order_relaxed); }
  bool full() const { return count_ == kBatch; }
  bool empty() const { return count_ == 0; }
  /// Room for the next datagram, with kHeadroom before it.
  Frame room();
  /// Adds what was written into the last `room()`. `destination` must live until `flush`.
  void add(const Frame& frame, const Destination& destination, std::uint32_t tag);

  /// Sends all. Calls `refused(tag, length, errno)` for each that could not leave. Returns how many system calls it
  /// took.
  template <class Refused>
  std::size_t flush(Refused&& refused) {
    std::size_t at = 0;
    std::size_t calls = 0;
    while (at < count_) {
      const int sent = send(at);
      calls++;
      if (sent > 0) {
        at += static_cast<std::size_t>(sent);
      } else {
        refused(tags_[at], vectors_[at].iov_len, -sent);
        at++;
      }
    }
    count_ = 0;
    return calls;
  }

 private:
  static constexpr std::size_t kStride = kHeadroom + kMaxDatagram + kTailroom;
  /// How many left from `at` on, at least 1, or minus errno's value for the first.
  int send(std::size_t at);

  std::atomic<int> fd_{-1};
  std::size_t count_ = 0;
  Arena arena_;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<iovec, kBatch> vectors_{};
  std::array<std::uint32_t, kBatch> tags_{};
};

}  // namespace hipd
