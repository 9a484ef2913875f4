#include "udp.h"

#include <netinet/ip.h>
#include <poll.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>

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
  if (family == 4) {
    return set(fd, IPPROTO_IP, IP_PKTINFO, 1) && set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
  }
  return set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) && set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
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

ReceiveBatch::ReceiveBatch() : arena_(kBatch * kStride) {
  for (std::size_t i = 0; i < kBatch; i++) {
    vectors_[i] = {arena_.data() + i * kStride + kHeadroom, kMaxDatagram};
    msghdr& message = messages_[i].msg_hdr;
    message.msg_name = &names_[i].any;
    message.msg_iov = &vectors_[i];
    message.msg_iovlen = 1;
    message.msg_control = controls_[i].data();
  }
}

std::size_t ReceiveBatch::receive(int fd) {
  for (std::size_t i = 0; i < kBatch; i++) {
    messages_[i].msg_hdr.msg_namelen = sizeof names_[i].v6;
    messages_[i].msg_hdr.msg_controllen = kControl;
  }
  const int count = recvmmsg(fd, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

Frame ReceiveBatch::frame(std::size_t i) const {
  return {arena_.data() + i * kStride, kStride, kHeadroom, messages_[i].msg_len};
}

Endpoint ReceiveBatch::from(std::size_t i) const {
  return names_[i].endpoint();
}

SendBatch::SendBatch() : arena_(kBatch * kStride) {
  for (std::size_t i = 0; i < kBatch; i++) {
    messages_[i].msg_hdr.msg_iov = &vectors_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }
}

Frame SendBatch::room() {
  return {arena_.data() + count_ * kStride, kStride, kHeadroom, 0};
}

void SendBatch::add(const Frame& frame, const Destination& destination, std::uint32_t tag) {
  vectors_[count_] = {frame.data(), frame.length};
  msghdr& message = messages_[count_].msg_hdr;
  // sendmsg only reads what these point to.
  message.msg_name = const_cast<sockaddr*>(&destination.remote.any);
  message.msg_namelen = destination.remote.length;
  message.msg_control =
      destination.source.length == 0 ? nullptr : const_cast<std::uint8_t*>(destination.source.bytes.data());
  message.msg_controllen = destination.source.length;
  tags_[count_] = tag;
  count_++;
}

int SendBatch::send(std::size_t at) {
  const int fd = fd_.load(std::memory_order_relaxed);
  if (fd < 0) return -EAFNOSUPPORT;
  for (bool waited = false;; waited = true) {
    const int sent = sendmmsg(fd, &messages_[at], static_cast<unsigned>(count_ - at), MSG_DONTWAIT);
    if (sent > 0) return sent;
    const int error = errno;
    if (error == EINTR) continue;
    if ((error != EAGAIN && error != EWOULDBLOCK) || waited) return -error;
    // The device is slower than we are. Waiting lets the TUN queue fill, which the local TCP feels.
    pollfd ready{fd, POLLOUT, 0};
    (void)poll(&ready, 1, kSendPatience);
  }
}

}  // namespace hipd
