#include "rawip.h"

#include <linux/filter.h>

#include <cerrno>

namespace hipd {

Socket openRaw(int family, int protocol) {
  Socket result;
  result.fd = Fd(::socket(family == 4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (!result.fd.valid() || !prepareSocket(result.fd.get(), family)) {
    const int error = errno;
    result.fd.reset();
    result.unsupported = error == EAFNOSUPPORT;
    result.error = "cannot open a raw IPv" + std::to_string(family) + " socket for protocol " +
                   std::to_string(protocol) + ": " + errorText(error);
    if (error == EPERM || error == EACCES) {
      result.error +=
          "; hipd needs CAP_NET_RAW, which its unit must grant, and plain carriers in its configuration at the start";
    }
  }
  return result;
}

Fd openMtuListener(int protocol) {
  Fd listener(::socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog filter{1, &nothing};
  const int wanted = 1;
  const int smallest = 0;
  const int fd = listener.get();
  if (!listener.valid() || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ||
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest) < 0 ||
      setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &wanted, sizeof wanted) < 0) {
    listener.reset();
  }
  return listener;
}

bool stripIpv4(Frame& frame) {
  if (frame.length < 20) return false;
  const std::size_t header = 4u * (frame.data()[0] & 0x0fu);
  if (frame.data()[0] >> 4 != 4 || header < 20 || header > frame.length) return false;
  frame.start += header;
  frame.length -= header;
  return true;
}

}  // namespace hipd
