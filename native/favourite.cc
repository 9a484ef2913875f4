#include "favourite.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "udp.h"

namespace hipd {

namespace {

/// Of one user: another one's program cannot slip in.
bool allowTwo(int fd, int on) {
  return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
}

int roomOf(int fd) {
  int room = 0;
  socklen_t size = sizeof room;
  return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, &size) == 0 ? room : 0;
}

bool isLinkLocal(const Address& address) {
  return address.family == 6 && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

}  // namespace

Fd openBeside(int shared, const Address& local) {
  const int family = local.family;
  // Link-local addresses need an interface beside them: not worth the trouble.
  if ((family != 4 && family != 6) || isLinkLocal(local)) return Fd();
  Fd fd(::socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return fd;
  const int on = 1;
  if (family == 6 && setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) return Fd();
  // A carrier may not ask for large buffers: a small one would lose what the other holds.
  if (!prepareSocket(fd.get(), family) || roomOf(fd.get()) < roomOf(shared)) return Fd();
  return fd;
}

bool bindBeside(int fd, int shared, const Endpoint& local) {
  const SocketAddress address(local);
  // Both must allow it, for the moment of bind only.
  const bool bound = allowTwo(fd, 1) && allowTwo(shared, 1) && bind(fd, &address.any, address.length) == 0;
  allowTwo(shared, 0);
  allowTwo(fd, 0);
  return bound;
}

bool connectTo(int fd, const Endpoint& remote) {
  const SocketAddress address(remote);
  return connect(fd, &address.any, address.length) == 0;
}

void turnAside(int fd) {
  SocketAddress own;
  own.length = sizeof own.v6;
  // Nobody else has the port, and it sends nothing.
  if (getsockname(fd, &own.any, &own.length) == 0) connect(fd, &own.any, own.length);
}

}  // namespace hipd
