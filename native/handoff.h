// From one process of ours to another: single messages with descriptors, over a Unix socket that keeps them whole
// (SOCK_SEQPACKET). Both ends belong to one user, or to root. Every call ends within the time that it is given. Free of
// Node.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "endpoint.h"
#include "service.h"
#include "types.h"

namespace hipd::handoff {

/// Bytes of one message at most.
inline constexpr std::size_t kMaxMessage = 4096;
/// Descriptors beside one message at most: more than a data plane has (9 for each of 16 workers).
inline constexpr std::size_t kMaxDescriptors = 160;
/// Those who may wait to be accepted.
inline constexpr int kBacklog = 4;

/// A socket at this absolute path, which only its owner may open (mode 0600). One that was left there is replaced.
service::Made listen(const std::string& path);
/// The next one who connects. Neither a descriptor nor an error: nobody came. Who is of another user is turned away,
/// and that is an error.
service::Made accept(int listener, int millis);
/// A connection with whoever listens at this path, if it is our user or root.
service::Made connect(const std::string& path, int millis);

/// "" or what went wrong. The descriptors stay the caller's.
std::string send(int fd, View message, std::span<const int> fds, int millis);

/// Ends the process that made the other end of a connection (SIGKILL), if that end is still open. "" or what went
/// wrong.
std::string endPeer(int fd);

struct Received {
  enum class How : std::uint8_t { Message, Late, Gone, Failed };
  How how = How::Failed;
  std::vector<std::uint8_t> bytes;
  /// Closed when another program is executed.
  std::vector<Fd> fds;
  /// With Failed.
  std::string error;
};
/// The next message; one that is larger than the limits is an error.
Received receive(int fd, int millis);

}  // namespace hipd::handoff
