#include "udp.h"

#include <fcntl.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace hipd {

namespace {

bool set(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

void enlarge(int fd, int force, int plain) {
  if (!set(fd, SOL_SOCKET, force, kSocketBuffer)) set(fd, SOL_SOCKET, plain, kSocketBuffer);
}

std::string portText(int family, std::uint16_t port) {
  return (family == 4 ? "0.0.0.0:" : "[::]:") + std::to_string(port);
}

int bindTo(int fd, int family, std::uint16_t port) {
  Endpoint any;
  any.address.family = static_cast<std::uint8_t>(family);
  any.port = port;
  const SocketAddress address(any);
  return bind(fd, &address.any, address.length);
}

Socket failed(int family, std::uint16_t port, int error) {
  Socket socket;
  socket.unsupported = error == EAFNOSUPPORT || (family == 6 && error == EADDRNOTAVAIL);
  if (error == EADDRINUSE) {
    socket.error = "UDP port " + std::to_string(port) + " is in use on " + portText(family, port) +
                   ": stop the other program or choose another port";
  } else {
    socket.error = "cannot open UDP socket on " + portText(family, port) + ": " + errorText(error);
    if (error == EACCES || error == EPERM) socket.error += "; ports below 1024 need CAP_NET_BIND_SERVICE";
  }
  return socket;
}

}  // namespace

bool prepareSocket(int fd, int family) {
  enlarge(fd, SO_RCVBUFFORCE, SO_RCVBUF);
  enlarge(fd, SO_SNDBUFFORCE, SO_SNDBUF);
  return setOptions(fd, family);
}

bool setOptions(int fd, int family) {
  if (family == 4) {
    return set(fd, IPPROTO_IP, IP_PKTINFO, 1) && set(fd, IPPROTO_IP, IP_RECVTOS, 1) &&
           set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
  }
  return set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1) && set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
         set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
}

Socket openUdp(int family, std::uint16_t port, bool shared) {
  const int domain = family == 4 ? AF_INET : AF_INET6;
  Socket result;
  result.fd = Fd(::socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!result.fd.valid()) return failed(family, port, errno);
  const int fd = result.fd.get();
  if (family == 6 && !set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return failed(family, port, errno);
  if (shared && !set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return failed(family, port, errno);
  if (!prepareSocket(fd, family)) return failed(family, port, errno);
  if (bindTo(fd, family, port) < 0) return failed(family, port, errno);
  return result;
}

std::string adoptSocket(int fd, const SocketKind& kind) {
  const auto is = [fd](int option, int wanted) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 && value == wanted;
  };
  const std::string wrong = "a descriptor that was handed over is not ";
  const std::string name =
      "the socket of IPv" + std::to_string(kind.family) + " and protocol " + std::to_string(kind.protocol);
  if (!is(SO_DOMAIN, kind.family == 4 ? AF_INET : AF_INET6) || !is(SO_TYPE, kind.type) ||
      !is(SO_PROTOCOL, kind.protocol)) {
    return wrong + name;
  }
  SocketAddress local;
  local.length = sizeof local.v6;
  if (getsockname(fd, &local.any, &local.length) < 0) return wrong + name + ": " + errorText(errno);
  if (kind.port != 0 && (local.endpoint().port != kind.port || !is(SO_REUSEPORT, kind.shared ? 1 : 0))) {
    return wrong + name + " on port " + std::to_string(kind.port);
  }
  SocketAddress remote;
  remote.length = sizeof remote.v6;
  if ((getpeername(fd, &remote.any, &remote.length) == 0) != kind.connected) return wrong + name + " as it was";
  if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0 || !setOptions(fd, kind.family)) {
    return "cannot prepare " + name + ": " + errorText(errno);
  }
  // Of one that a process without rights has made; the buffers of all others are as large already.
  (void)(set(fd, SOL_SOCKET, SO_RCVBUFFORCE, kSocketBuffer) && set(fd, SOL_SOCKET, SO_SNDBUFFORCE, kSocketBuffer));
  return "";
}

bool knowsSegmentation(int fd) {
  int size = 0;
  socklen_t length = sizeof size;
  return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &size, &length) == 0;
}

bool receiveMany(int fd) {
  return set(fd, IPPROTO_UDP, UDP_GRO, 1);
}

RouteAnswer askKernel(const Address& source, const Endpoint& remote) {
  RouteAnswer answer;
  const bool v4 = remote.address.family == 4;
  const Fd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return answer;
  if (source.family == remote.address.family) {
    // The address may be gone: then the kernel's own choice tells the MTU.
    const SocketAddress from(Endpoint{source, 0});
    (void)!bind(fd.get(), &from.any, from.length);
  }
  Endpoint target = remote;
  if (target.port == 0) target.port = 9;  // any port: nothing is sent
  const SocketAddress to(target);
  if (connect(fd.get(), &to.any, to.length) < 0) return answer;
  SocketAddress own;
  own.length = sizeof own.v6;
  if (getsockname(fd.get(), &own.any, &own.length) == 0) answer.source = own.endpoint().address;
  int mtu = 0;
  socklen_t size = sizeof mtu;
  const int ok = v4 ? getsockopt(fd.get(), IPPROTO_IP, IP_MTU, &mtu, &size)
                    : getsockopt(fd.get(), IPPROTO_IPV6, IPV6_MTU, &mtu, &size);
  if (ok == 0 && mtu > 0) answer.mtu = static_cast<std::uint32_t>(mtu);
  return answer;
}

Arena::Arena(std::size_t size) : memory_(nullptr), size_(size) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) abort();
  memory_ = static_cast<std::uint8_t*>(memory);
  // User packets, some of them in plaintext, have no place in a core dump.
  madvise(memory, size, MADV_DONTDUMP);
}

Arena::~Arena() {
  munmap(memory_, size_);
}

ReceiveBatch::ReceiveBatch() : arena_(kReceiveBatch * kStride) {
  for (std::size_t i = 0; i < kReceiveBatch; i++) {
    vectors_[i] = {arena_.data() + i * kStride + kHeadroom, kMaxPacket};
    msghdr& message = messages_[i].msg_hdr;
    message.msg_name = &names_[i].any;
    message.msg_iov = &vectors_[i];
    message.msg_iovlen = 1;
    message.msg_control = controls_[i].data();
  }
}

std::size_t ReceiveBatch::receive(int fd) {
  for (std::size_t i = 0; i < limit_; i++) {
    messages_[i].msg_hdr.msg_namelen = sizeof names_[i].v6;
    messages_[i].msg_hdr.msg_controllen = kControl;
  }
  const auto take = [&] {
    return recvmmsg(fd, messages_.data(), static_cast<unsigned>(limit_), MSG_DONTWAIT, nullptr);
  };
  int got = take();
  // An ICMP error is told once, before what waits behind it.
  if (got < 0 && errno != EAGAIN) got = take();
  const std::size_t count = got > 0 ? static_cast<std::size_t>(got) : 0;
  drained_ = count < limit_;
  count_ = count;
  bytes_ = 0;
  for (std::size_t i = 0; i < count; i++) {
    bytes_ += messages_[i].msg_len;
    readControl(i);
  }
  // What comes next is probably like what came.
  if (bytes_ > 0) limit_ = std::clamp(kReceiveBytes * count / bytes_, kLeastReceiveBatch, kReceiveBatch);
  return count;
}

void ReceiveBatch::readControl(std::size_t i) {
  Details& details = details_[i];
  details = {};
  msghdr& message = messages_[i].msg_hdr;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    const std::size_t size = header->cmsg_len - CMSG_LEN(0);
    if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
      int segment = 0;
      std::memcpy(&segment, CMSG_DATA(header), std::min(size, sizeof segment));
      if (segment > 0) details.segment = static_cast<std::size_t>(segment);
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) {
      std::memcpy(&details.trafficClass, CMSG_DATA(header), std::min<std::size_t>(size, 1));
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS) {
      int value = 0;
      std::memcpy(&value, CMSG_DATA(header), std::min(size, sizeof value));
      details.trafficClass = static_cast<std::uint8_t>(value);
    }
  }
}

Frame ReceiveBatch::frame(std::size_t i) const {
  return {arena_.data() + i * kStride, kStride, kHeadroom, messages_[i].msg_len};
}

Endpoint ReceiveBatch::from(std::size_t i) const {
  return names_[i].endpoint();
}

SendBatch::SendBatch() : arena_(kSendArena) {
  for (std::size_t i = 0; i < kBatch; i++) {
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

bool SendBatch::extends(const Message& message, std::size_t length, const Destination& destination,
                        std::uint8_t trafficClass) const {
  // A shorter datagram can only be the last of its message.
  const bool open = message.bytes == message.segment * message.segments;
  return open && length != 0 && length <= message.segment && message.destination == &destination &&
         message.trafficClass == trafficClass && message.segments < kSegmentsOfMessage &&
         message.bytes + length <= kBytesOfMessage;
}

void SendBatch::add(std::size_t length, const Destination& destination, std::uint8_t trafficClass, std::uint32_t tag) {
  if (segments_ && pause_ == 0 && count_ > 0 && extends(list_[count_ - 1], length, destination, trafficClass)) {
    Message& message = list_[count_ - 1];
    message.tags[message.segments++] = tag;
    message.bytes += length;
  } else {
    Message& message = list_[count_++];
    message.destination = &destination;
    message.trafficClass = trafficClass;
    message.offset = used_;
    message.bytes = message.segment = length;
    message.segments = 1;
    message.tags[0] = tag;
    if (pause_ > 0) pause_--;
  }
  used_ += length;
}

/// Prepares a message for the kernel. `segment` 0: it is one datagram.
void SendBatch::fill(std::size_t at, std::size_t segment) {
  const Message& message = list_[at];
  const Destination& destination = *message.destination;
  vectors_[at] = {arena_.data() + message.offset, message.bytes};
  msghdr& header = messages_[at].msg_hdr;
  // sendmsg only reads what these point to.
  header.msg_name = const_cast<sockaddr*>(&destination.remote.any);
  header.msg_namelen = destination.remote.length;
  std::uint8_t* control = controls_[at].data();
  const SourceControl source = destination.source();
  std::size_t length = source.length;
  source.writeTo(control, destination.interface.load(std::memory_order_relaxed));
  const auto add = [&](int level, int type, const auto& value) {
    cmsghdr item{};
    item.cmsg_level = level;
    item.cmsg_type = type;
    item.cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(control + length, &item, sizeof item);
    std::memcpy(control + length + CMSG_LEN(0), &value, sizeof value);
    length += CMSG_SPACE(sizeof value);
  };
  if (message.trafficClass != 0) {
    const int value = message.trafficClass;
    if (destination.remote.any.sa_family == AF_INET) {
      add(IPPROTO_IP, IP_TOS, value);
    } else {
      add(IPPROTO_IPV6, IPV6_TCLASS, value);
    }
  }
  if (segment != 0) add(IPPROTO_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(segment));
  header.msg_control = length == 0 ? nullptr : control;
  header.msg_controllen = length;
}

void SendBatch::clear() {
  count_ = 0;
  used_ = 0;
}

int SendBatch::sendFrom(mmsghdr* messages, std::size_t count) {
  const int fd = fd_.load(std::memory_order_relaxed);
  if (fd < 0) return -EAFNOSUPPORT;
  for (bool waited = false;; waited = true) {
    const int sent = sendmmsg(fd, messages, static_cast<unsigned>(count), MSG_DONTWAIT);
    if (sent > 0) return sent;
    const int error = errno;
    if (error == EINTR) continue;
    if ((error != EAGAIN && error != EWOULDBLOCK) || waited) return -error;
    // The device is slower than we are. Waiting lets the TUN queue fill, which the local TCP feels.
    pollfd ready{fd, POLLOUT, 0};
    (void)poll(&ready, 1, kSendPatience);
  }
}

int SendBatch::send(std::size_t at) {
  if (at == 0) {
    for (std::size_t i = 0; i < count_; i++) fill(i, list_[i].segments > 1 ? list_[i].segment : 0);
  }
  return sendFrom(&messages_[at], count_ - at);
}

}  // namespace hipd
