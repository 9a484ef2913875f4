// What a data plane leaves to its successor in another process: options, tables and counters, as one piece of memory
// that proves itself whole. The descriptors travel beside it, in the order of `sockets`.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event.h"
#include "flow.h"
#include "plane_options.h"
#include "route.h"

namespace hipd {

/// Raise it with every change of what is written: of its order, its meaning, or the numbers of an enumeration in it. A
/// successor reads its own version only; with another one the associations are made anew.
inline constexpr std::uint32_t kTakeoverVersion = 1;
inline constexpr std::string_view kTakeoverMagic = "hipd-takeover-plane";
/// Larger ones are refused.
inline constexpr std::size_t kMostTakeover = 256u << 20;

/// Key bytes. Wiped when destroyed.
class Secret {
 public:
  static constexpr std::size_t kMost = 64;
  Secret() = default;
  /// Both one behind the other: kMost bytes together.
  explicit Secret(View first, View second = {});
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret();
  View view() const { return {bytes_.data(), length_}; }

 private:
  std::array<std::uint8_t, kMost> bytes_{};
  std::uint8_t length_ = 0;
};

/// What both directions of an SA have.
struct SavedSa {
  Spi spi = 0;
  Spi lsiSpi = 0;
  Suite suite = Suite::AesGcm16;
  /// With GCM's salt.
  Secret encryptionKey;
  Secret integrityKey;
  Hit localHit;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
};

struct SavedOutbound {
  SavedSa sa;
  std::uint64_t softPackets = 0;
  /// Sequence numbers given.
  std::uint64_t sealed = 0;
  std::uint32_t pathMtu = 0;
  std::uint64_t mtuAsked = 0;
  bool softPending = false;
  Path path;
  bool verified = false;
  std::uint32_t interface = 0;
};

struct SavedInbound {
  SavedSa sa;
  InnerFamily family = InnerFamily::Hit;
  std::uint64_t idleAfter = 0;
  std::uint64_t idleRaised = 0;
  std::uint64_t added = 0;
  bool untouched = true;
  std::uint32_t failures = 0;
  Path expected;
  ReplayWindow::Memory window;
};

struct SavedPeer {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  Hit hit;
  Mode mode = Mode::Unknown;
  bool hasLsi = false;
  Lsi lsi;
  std::uint64_t lastUsed = 0;
  std::uint32_t probedMtu = 0;
  std::int64_t credit = 0;
  /// Sums of SAs that are gone.
  std::uint64_t txPackets = 0;
  std::uint64_t txBytes = 0;
  std::uint64_t rxPackets = 0;
  std::uint64_t rxBytes = 0;
  std::vector<SavedOutbound> outbound;
  /// Index of the one in use.
  std::uint32_t via = kNone;
  std::vector<SavedInbound> inbound;
  /// Index of the newest.
  std::uint32_t newest = kNone;
  std::vector<FormerPaths::Entry> former;
};

/// An event that nobody has read yet.
struct SavedEvent {
  EventType type = EventType::Miss;
  Spi spi = 0;
  std::uint32_t sequence = 0;
  std::uint32_t rttMicros = 0;
  Hit peer;
  /// Of family 0 where the event has none.
  Path path;
  std::vector<std::uint8_t> bytes;
};

/// What one of the sockets is for. Near: connected to the favourite peer (favourite.h).
enum class SocketUse : std::uint8_t { Udp4, Udp6, Esp4, Esp6, Hip4, Hip6, Near4, Near6 };
struct SavedSocket {
  SocketUse use = SocketUse::Udp4;
  std::uint8_t worker = 0;
};

struct SavedWorker {
  /// Identification of the latest packet that was split.
  std::uint32_t fragmentId = 0;
};

/// Moments are of CLOCK_MONOTONIC, which is one clock for all processes until the next boot.
struct SavedPlane {
  /// `notify` and `context` do not travel.
  PlaneOptions options;
  Offloads granted;
  bool headers = false;
  /// Nanoseconds.
  std::uint64_t suspendedAt = 0;
  std::vector<SavedWorker> workers;
  std::vector<SavedSocket> sockets;
  std::vector<std::pair<std::string, std::uint64_t>> counters;
  FlowTable::Memory flows;
  std::vector<SavedEvent> events;
  std::vector<SavedPeer> peers;
};

/// Holds keys: wipe it after use.
std::vector<std::uint8_t> encode(const SavedPlane& plane);
/// "" or why it cannot be used, in words for an administrator. Then `plane` is incomplete. Takes bytes of any content.
/// @param now monotonic nanoseconds.
std::string decode(View bytes, SavedPlane& plane, std::uint64_t now);
/// Puts the head, with length and checksum, before `body`, which is kTakeoverHead bytes into `bytes`. For `encode`, and
/// for tests that damage what is behind it.
inline constexpr std::size_t kTakeoverHead = 64;
void sealTakeover(Bytes bytes, std::uint32_t version = kTakeoverVersion);
/// Overwrites bytes that held keys.
void wipe(Bytes bytes);

}  // namespace hipd
