// What the data plane tells the control plane: the native -> JavaScript queue with one coalesced wake-up.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "endpoint.h"
#include "netlink.h"
#include "ring.h"
#include "types.h"

namespace hipd {

/// The numbers are part of the record format that src/runtime/native.ts reads.
enum class EventType : std::uint8_t {
  Control = 1,
  Miss = 2,
  FirstInbound = 3,
  SoftExpiry = 4,
  Idle = 5,
  Moved = 6,
  UnknownSpi = 7,
  EchoReply = 8,
  Addresses = 9,
  /// A line for the administrator, in `bytes`.
  Note = 10,
  /// `sequence` milliseconds.
  Silent = 11,
  /// `sequence` is the token, `spi` the size of the outer packet that was answered.
  ProbeReply = 12,
};

/// The longest HIP packet: Header Length is 8 bits of 8-byte units, not counting the first 8 (RFC 7401 5.1).
inline constexpr std::size_t kMaxControl = 256 * 8;
/// Events that wait at most.
inline constexpr std::size_t kEventQueue = 1024;
/// HIP packets are refused when so many events wait: they are unauthenticated, the other events are not.
inline constexpr std::size_t kEventQueueForControl = kEventQueue * 3 / 4;
/// Underlay addresses that one `addresses` event lists.
inline constexpr std::size_t kMaxAddresses = 512;

struct Event {
  EventType type = EventType::Miss;
  Spi spi = 0;
  std::uint32_t sequence = 0;
  std::uint32_t rttMicros = 0;
  std::uint32_t length = 0;
  Hit peer;
  Path path;
  std::array<std::uint8_t, kMaxControl> bytes;
};

/// Record layout, little endian, each record a multiple of 4 bytes long:
///   0 u32 length of the record    4 u8 type         8 u32 SPI      12 u32 sequence   16 u32 RTT in microseconds
///  20 u32 length of the payload  24 u8[16] peer    40 path (40 bytes)                80 payload
/// Path layout: 0 u8 carrier  1 u8 local family  2 u8 remote family  4 u16 local port  6 u16 remote port  8 u8[16]
/// local  24 u8[16] remote
inline constexpr std::size_t kPathRecord = 40;
inline constexpr std::size_t kEventRecord = 80;
inline constexpr std::size_t kMaxEventRecord = 64 * 1024;
void writePath(const Path& path, std::uint8_t* out);
/// False when a family or a carrier is not one of ours.
bool readPath(View record, Path& path);

class EventQueue {
 public:
  /// `notify` is called from any thread when events wait, at most once between two `drain`.
  EventQueue(void (*notify)(void*), void* context) : ring_(kEventQueue), notify_(notify), context_(context) {}

  /// Calls `fill(Event&)` on a free place; all fields but `type` hold old values. False when the queue is full.
  template <class Fill>
  bool push(EventType type, Fill&& fill) {
    if (type == EventType::Control && ring_.size() >= kEventQueueForControl) return false;
    const bool stored = ring_.push([&](Event& event) {
      event.type = type;
      event.length = 0;
      fill(event);
    });
    if (stored) signal();
    return stored;
  }

  /// The latest list replaces one that was not read yet: this event is never lost.
  void setAddresses(const std::vector<netlink::LocalAddress>& addresses);

  /// Tells an administrator something.
  void note(const std::string& line) {
    push(EventType::Note, [&](Event& event) {
      event.length = static_cast<std::uint32_t>(std::min(line.size(), kMaxControl));
      std::memcpy(event.bytes.data(), line.data(), event.length);
    });
  }

  /// Writes up to `max` records into `out`, which holds at least kMaxEventRecord. Returns the bytes written. Events
  /// that are left over cause another notification.
  std::size_t drain(Bytes out, std::size_t max);

  std::size_t size() const { return ring_.size(); }
  /// Takes all events but `addresses` out, and calls `use(const Event&)` for each.
  template <class Use>
  void empty(Use&& use) {
    while (ring_.pop(use)) {
    }
  }

 private:
  void signal() {
    if (!signalled_.exchange(true)) notify_(context_);
  }

  Ring<Event> ring_;
  void (*const notify_)(void*);
  void* const context_;
  std::atomic<bool> signalled_{false};
  std::mutex mutex_;
  bool addressesChanged_ = false;
  std::string addresses_;
};

}  // namespace hipd
