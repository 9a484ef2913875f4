// The TUN device: where the local kernel hands over packets for the overlay, and takes those that arrived.
#pragma once

#include <string>
#include <vector>

#include "endpoint.h"
#include "offload.h"

namespace hipd {

/// Queues of one device at most: one for each worker.
inline constexpr std::size_t kMaxQueues = 16;

struct TunQueues {
  std::vector<Fd> fds;
  int index = 0;  // the interface's
  /// A VirtioHeader stands before each packet, in both directions.
  bool headers = false;
  /// `tso` and `uso` as granted.
  Offloads offloads;
  std::string error;
};

/// Creates the device `name`, or takes it over where an earlier run left it, and keeps it when this process ends
/// (TUNSETPERSIST), so that its routes and addresses survive a restart. One descriptor for each queue, non-blocking.
/// What the kernel does not know of `wanted` is left out of `offloads`.
TunQueues openTun(const std::string& name, std::size_t queues, const Offloads& wanted = {});

/// Whether a descriptor that came from elsewhere is a queue of this device as openTun makes them, with `headers` or
/// without, one of `several` or the only one; and makes the device have the offloads `granted`. "" or what is wrong.
std::string adoptTun(int fd, const std::string& name, bool headers, bool several, const Offloads& granted);

/// Packets that may wait in a queue of the device: 20 ms of small datagrams while the worker has no processor. TCP does
/// not fill it, see backlog.h.
inline constexpr std::uint32_t kTunQueue = 4096;

/// Bytes of a super-packet from the device: with ESP's and UDP's headers around each segment of a 1500-byte path they
/// still fit one message (44 of 1472 bytes in 65,487).
inline constexpr std::uint32_t kSuperBytes = 62000;

/// Removes a persistent device. "" or what went wrong. A device that is not there is no error.
std::string deleteTun(const std::string& name);

}  // namespace hipd
