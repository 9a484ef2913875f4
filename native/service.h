// What hipd has to do with its service manager and with its own rights: sd_notify(3) with descriptors, memory that the
// next hipd gets through the manager's descriptor store, and capabilities(7). Free of Node.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "endpoint.h"
#include "types.h"

namespace hipd::service {

/// Descriptors in one message at most (the kernel's SCM_MAX_FD).
inline constexpr std::size_t kMaxPassed = 253;
/// Bytes that `readSealed` takes at most.
inline constexpr std::size_t kMaxSealed = std::size_t{256} << 20;
/// How long the manager may leave a message in its queue before it is given up. Milliseconds.
inline constexpr int kNotifyPatience = 2000;
/// How long a thread may take to give its capabilities up. Milliseconds.
inline constexpr int kThreadPatience = 2000;

/// A new descriptor, or what went wrong.
struct Made {
  Fd fd;
  std::string error;
};

/// Sends one datagram with descriptors (SCM_RIGHTS). `socket` is a path, or "@name" for an abstract socket. "" or what
/// went wrong.
std::string notify(const std::string& socket, std::string_view message, const std::vector<int>& fds);

/// A memfd with these bytes that nobody can change any more (F_SEAL_SHRINK, GROW, WRITE and SEAL).
Made makeSealed(const std::string& name, View bytes);
/// The bytes of such a memfd, whatever its file offset. "" or why it is not one.
std::string readSealed(int fd, std::vector<std::uint8_t>& bytes);

/// A memfd of one page of zeros that can be written but not resized. Its first four bytes are the ticket.
Made makeTicket();
struct Taken {
  /// True for exactly one caller of all processes that hold this ticket.
  bool taken = false;
  std::string error;
};
Taken takeTicket(int fd);

/// Closes a descriptor when the process executes another program. "" or what went wrong.
std::string closeOnExec(int fd);
/// "" or what went wrong.
std::string closeFd(int fd);

/// In every thread of the process: keeps those of its capabilities that are named ("CAP_NET_ADMIN") and gives up all
/// others, for ever (permitted, effective, inheritable, ambient, bounding); no_new_privs. In the process: no core dumps
/// (RLIMIT_CORE, PR_SET_DUMPABLE). "" or what went wrong; then some of it may be done.
std::string dropPrivileges(const std::vector<std::string>& keep);

}  // namespace hipd::service
