// UDP sockets (RFC 9028 5.1: HIP and ESP on one port), and the batches in which datagrams come and go on any socket.
#pragma once

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "endpoint.h"
#include "types.h"

namespace hipd {

/// Messages handed to one sendmmsg at most.
inline constexpr std::size_t kBatch = 64;
/// Messages taken by one recvmmsg: many small ones, few large ones, since each may hold 64 KiB, and more than a few
/// of those would outgrow the cache.
inline constexpr std::size_t kReceiveBatch = 128;
inline constexpr std::size_t kLeastReceiveBatch = 8;
inline constexpr std::size_t kReceiveBytes = 512 * 1024;
/// Datagrams in one message at most (linux/udp.h: UDP_MAX_SEGMENTS) and their bytes: what fits one IP packet of either
/// family.
inline constexpr std::size_t kSegmentsOfMessage = 64;
inline constexpr std::size_t kBytesOfMessage = 65535 - 40 - 8;
/// Sealed bytes that wait for one system call at most.
inline constexpr std::size_t kSendArena = 256 * 1024;
/// After the kernel refused a message of many datagrams, how many messages leave without asking it again.
inline constexpr std::uint32_t kSegmentRetry = 10'000;
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

/// What a socket that came from elsewhere must be.
struct SocketKind {
  int family = 4;
  /// SOCK_DGRAM or SOCK_RAW, and the protocol.
  int type = 0;
  int protocol = 0;
  /// Of a UDP socket; 0: of a raw one.
  std::uint16_t port = 0;
  bool shared = false;
  /// It has one peer; else none.
  bool connected = false;
};
/// Gives it the options that a new one gets; its buffers stay as they are. "" or what is wrong.
std::string adoptSocket(int fd, const SocketKind& kind);

/// Whether the kernel takes many datagrams as one message (UDP_SEGMENT), and has been told to give them so (UDP_GRO).
bool knowsSegmentation(int fd);
bool receiveMany(int fd);

/// Options that every socket of the data plane has: no fragmentation, local addresses told, large buffers. False on
/// failure.
bool prepareSocket(int fd, int family);
/// The same but for the buffers.
bool setOptions(int fd, int family);

/// Where sealed packets of an SA go, ready for sendmsg. Immutable.
struct Destination {
  explicit Destination(const Path& where, bool known = true, std::uint32_t by = 0)
      : path(where), verified(known), remote(where.remote), interface(by) {}

  /// Made for each message: cheaper than kept for each SA.
  SourceControl source() const { return SourceControl(path.local.address); }

  const Path path;
  /// The peer has answered from there. Else each packet costs credit (RFC 8046 5.6).
  const bool verified;
  const SocketAddress remote;
  /// As SourceControl::writeTo takes it. The house-keeping thread follows changes of routes.
  mutable std::atomic<std::uint32_t> interface;

  static void* operator new(std::size_t) { return Pooled<Destination>::take(); }
  static void operator delete(void* place) { Pooled<Destination>::give(place); }
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

/// Messages that one recvmmsg brought. A message is one datagram, or several of one sender with the same length but for
/// the last (UDP_GRO). The first stands behind kHeadroom bytes, the last before kTailroom bytes.
class ReceiveBatch {
 public:
  ReceiveBatch();
  /// Reads what waits, kReceiveBatch messages at most. 0 when there is nothing.
  std::size_t receive(int fd);
  /// Whether the latest `receive` left nothing behind, and the bytes and messages that it read.
  bool drained() const { return drained_; }
  std::size_t bytes() const { return bytes_; }
  std::size_t count() const { return count_; }
  /// All of message `i`. Cut to the buffer where `truncated`.
  Frame frame(std::size_t i) const;
  /// Bytes of each datagram in message `i` but the last; 0 when it is only one.
  std::size_t segment(std::size_t i) const { return details_[i].segment; }
  /// TOS or traffic class.
  std::uint8_t trafficClass(std::size_t i) const { return details_[i].trafficClass; }
  bool truncated(std::size_t i) const { return (messages_[i].msg_hdr.msg_flags & MSG_TRUNC) != 0; }
  Endpoint from(std::size_t i) const;
  Address to(std::size_t i) const { return destinationOf(messages_[i].msg_hdr); }

 private:
  static constexpr std::size_t kStride = kHeadroom + kMaxPacket + 1 + kTailroom;
  static constexpr std::size_t kControl = 128;
  struct Details {
    std::size_t segment = 0;
    std::uint8_t trafficClass = 0;
  };
  void readControl(std::size_t i);

  /// For the next call.
  std::size_t limit_ = kLeastReceiveBatch;
  bool drained_ = true;
  std::size_t bytes_ = 0;
  std::size_t count_ = 0;
  Arena arena_;
  std::array<mmsghdr, kReceiveBatch> messages_{};
  std::array<iovec, kReceiveBatch> vectors_{};
  std::array<SocketAddress, kReceiveBatch> names_{};
  std::array<Details, kReceiveBatch> details_{};
  alignas(cmsghdr) std::array<std::array<std::uint8_t, kControl>, kReceiveBatch> controls_{};
};

/// Datagrams that wait for one sendmmsg on one socket. Those in a row with the same length, destination and traffic
/// class become one message where the kernel cuts it (UDP_SEGMENT). `Tag` comes back for those that it refused.
class SendBatch {
 public:
  SendBatch();
  /// The socket; -1 when there is none, and then everything is refused. Any thread.
  void use(int fd) { fd_.store(fd, std::memory_order_relaxed); }
  /// The socket knows UDP_SEGMENT, and it may be used.
  int fd() const { return fd_.load(std::memory_order_relaxed); }
  void allowSegmentation(bool on) { segments_ = on; }
  /// Whether one more datagram of kMaxDatagram bytes may be added.
  bool full() const { return count_ == kBatch || used_ + kMaxDatagram > kSendArena; }
  bool empty() const { return count_ == 0; }
  std::size_t messages() const { return count_; }
  /// Room for the next datagram: kMaxDatagram bytes. Only if not full.
  Bytes room() { return {arena_.data() + used_, kMaxDatagram}; }
  /// Adds what was written into the last `room()`. `destination` must live until `flush`.
  void add(std::size_t length, const Destination& destination, std::uint8_t trafficClass, std::uint32_t tag);

  /// Sends all. Calls `refused(tag, length, errno)` for each datagram that could not leave. Returns how many system
  /// calls it took.
  template <class Refused>
  std::size_t flush(Refused&& refused) {
    std::size_t at = 0;
    std::size_t calls = 0;
    while (at < count_) {
      const int sent = send(at);
      calls++;
      if (sent > 0) {
        at += static_cast<std::size_t>(sent);
      } else if (mayDivide(at, -sent)) {
        calls += sendDivided(at, -sent, refused);
        at++;
      } else {
        const Message& message = list_[at];
        for (std::size_t i = 0; i < message.segments; i++) refused(message.tag(i), message.lengthOf(i), -sent);
        at++;
      }
    }
    clear();
    return calls;
  }
  /// Messages of many datagrams that the kernel refused, and that left one by one.
  std::uint64_t divided() const { return divided_; }

 private:
  struct Message {
    const Destination* destination = nullptr;
    std::uint8_t trafficClass = 0;
    std::size_t offset = 0;
    std::size_t bytes = 0;
    std::size_t segment = 0;
    std::size_t segments = 0;
    std::array<std::uint32_t, kSegmentsOfMessage> tags;

    std::uint32_t tag(std::size_t i) const { return tags[i]; }
    std::size_t lengthOf(std::size_t i) const { return i + 1 < segments ? segment : bytes - segment * (segments - 1); }
  };
  static constexpr std::size_t kControl =
      SourceControl::kSize + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(std::uint16_t));
  using Control = std::array<std::uint8_t, kControl>;

  bool extends(const Message& message, std::size_t length, const Destination& destination,
               std::uint8_t trafficClass) const;
  void fill(std::size_t at, std::size_t segment);
  void clear();
  /// How many left from `at` on, at least 1, or minus errno's value for the first.
  int send(std::size_t at);
  int sendFrom(mmsghdr* messages, std::size_t count);
  /// A device without checksum offload (EIO), IPsec on the way (EIO), a kernel with narrower limits (EINVAL), or a path
  /// that became too small for the datagrams, but maybe not for the last one (EMSGSIZE; EINVAL before Linux 6.13).
  bool mayDivide(std::size_t at, int error) const {
    return list_[at].segments > 1 && (error == EIO || error == EINVAL || error == EMSGSIZE);
  }
  template <class Refused>
  std::size_t sendDivided(std::size_t at, int error, Refused&& refused) {
    const Message& message = list_[at];
    msghdr& header = messages_[at].msg_hdr;
    fill(at, 0);
    std::size_t offset = message.offset;
    std::size_t calls = 0;
    for (std::size_t i = 0; i < message.segments; i++) {
      vectors_[at] = {arena_.data() + offset, message.lengthOf(i)};
      mmsghdr one{header, 0};
      const bool hopeless = error == EMSGSIZE && message.lengthOf(i) == message.segment;
      if (!hopeless) calls++;
      const int sent = hopeless ? -EMSGSIZE : sendFrom(&one, 1);
      if (sent > 0 && i == 0) {
        // So it was not the datagrams that it refused.
        divided_++;
        pause_ = kSegmentRetry;
      }
      if (sent <= 0) refused(message.tag(i), message.lengthOf(i), -sent);
      offset += message.lengthOf(i);
    }
    return calls;
  }

  std::atomic<int> fd_{-1};
  bool segments_ = false;
  /// Messages until segmentation is tried again.
  std::uint32_t pause_ = 0;
  std::uint64_t divided_ = 0;
  std::size_t count_ = 0;
  std::size_t used_ = 0;
  Arena arena_;
  std::array<Message, kBatch> list_;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<iovec, kBatch> vectors_{};
  alignas(cmsghdr) std::array<Control, kBatch> controls_{};
};

}  // namespace hipd
