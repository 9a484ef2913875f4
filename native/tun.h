// The TUN device: where the local kernel hands over packets for the overlay, and takes those that arrived.
#pragma once

#include <string>
#include <vector>

#include "endpoint.h"

namespace hipd {

/// Queues of one device at most: one for each worker.
inline constexpr std::size_t kMaxQueues = 16;

struct TunQueues {
  std::vector<Fd> fds;
  int index = 0;  // the interface's
  std::string error;
};

/// Creates the device `name`, or takes it over where an earlier run left it, and keeps it when this process ends
/// (TUNSETPERSIST), so that its routes and addresses survive a restart. One descriptor for each queue, non-blocking.
/// Packets carry neither a packet-information header nor, so far, a virtio-net header: the latter comes with
/// IFF_VNET_HDR in the flags and a different reader.
TunQueues openTun(const std::string& name, std::size_t queues);

/// Removes a persistent device. "" or what went wrong. A device that is not there is no error.
std::string deleteTun(const std::string& name);

}  // namespace hipd
