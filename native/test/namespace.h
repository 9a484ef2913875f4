// Tests with TUN devices and sockets run in a network namespace of their own.
#pragma once

#include <sched.h>
#include <unistd.h>

#include <cstdio>

#include "../netlink.h"

namespace hipd::test {

/// Moves this process there. @return whether it may and there are TUN devices; says so when not.
inline bool isolated() {
  const bool apart = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
  if (apart && access("/dev/net/tun", R_OK | W_OK) == 0 && netlink::setLink("lo", {}).empty()) return true;
  std::printf("  skipped: no network namespaces or no /dev/net/tun here\n");
  return false;
}

}  // namespace hipd::test
