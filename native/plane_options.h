// How a data plane is to be.
#pragma once

#include <cstdint>
#include <string>

#include "offload.h"
#include "route.h"
#include "silence.h"

namespace hipd {

struct PlaneOptions {
  std::string interface;
  std::uint32_t mtu = 0;
  std::uint16_t port = 10500;
  /// Fail if HIP and ESP cannot also be carried as IP protocols 139 and 50. Else raw sockets are opened when they are
  /// needed: they would see the ESP of others on this host.
  bool raw = false;
  std::size_t workers = 1;
  Lsi ownLsi;
  Prefix lsiPrefix;
  /// What may be used where the kernel has it.
  Offloads offloads;
  /// How long a worker looks for more packets before it sleeps. Microseconds; 0: not at all.
  std::uint32_t busyPoll = 0;
  /// Milliseconds without an answer after which a peer is `silent`.
  std::uint32_t silentAfter = kSilentMs;
  /// The AEAD back-end: see chooseBackend.
  std::string aead = "auto";
  /// Called from any thread when events wait.
  void (*notify)(void*) = nullptr;
  void* context = nullptr;
};

}  // namespace hipd
