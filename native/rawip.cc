#include "rawip.h"

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
    if (error == EPERM || error == EACCES) result.error += "; hipd needs CAP_NET_RAW";
  }
  return result;
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
