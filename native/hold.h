// Packets that wait for a base exchange: bounded for each peer and for the host, oldest dropped first.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "types.h"
#include "udp.h"

namespace hipd {

/// Limits of one peer, and of all together.
inline constexpr std::uint32_t kHoldPackets = 64;
inline constexpr std::uint32_t kHoldBytes = 128 * 1024;
inline constexpr std::uint32_t kHoldAllBytes = 4 * 1024 * 1024;

struct Peer;

/// The packets of one peer. Part of the peer; everything in it belongs to Hold's lock but `waiting`.
struct HoldQueue {
  explicit HoldQueue(Peer* peer) : owner(peer) {}

  Peer* const owner;
  /// Packets that wait; a hint for the fast path, exact under the lock.
  std::atomic<std::uint32_t> waiting{0};

 private:
  friend class Hold;
  std::uint32_t head = UINT32_MAX;
  std::uint32_t tail = UINT32_MAX;
  std::uint32_t bytes = 0;
  /// A worker is sending what waits: packets that come meanwhile queue behind.
  bool draining = false;
  bool ready = false;
  HoldQueue* nextReady = nullptr;
};

/// All queues share one store of blocks, taken at start. Off the fast path: one lock guards everything.
class Hold {
 public:
  Hold();

  struct Pushed {
    bool stored = false;
    /// Older packets of the same peer that had to go.
    std::uint32_t dropped = 0;
  };
  /// Copies a packet to the end of the queue.
  Pushed push(HoldQueue& queue, View packet);
  /// Copies the oldest packet into `room` and forgets it. 0 when none waits. `room` holds kMaxDatagram bytes.
  std::size_t pop(HoldQueue& queue, Bytes room);
  /// Forgets all packets and the queue itself: it may be freed afterwards. Returns how many packets that were.
  std::uint32_t clear(HoldQueue& queue);

  /// Makes the caller the only one that sends what waits. False when somebody else is at it.
  bool beginDrain(HoldQueue& queue);
  /// Ends that, if the queue is empty; else the caller goes on.
  bool endDrain(HoldQueue& queue);
  /// Ends that although packets may still wait: the peer has to be asked for again.
  void abandonDrain(HoldQueue& queue);

  /// Puts the queue on the list of those that a worker should look at. Nothing when none waits in it.
  void markReady(HoldQueue& queue);
  /// Takes one queue from that list, nullptr when it is empty.
  HoldQueue* takeReady();

  /// Bytes in use, whole blocks.
  std::uint32_t used() const { return used_.load(std::memory_order_relaxed) * kBlock; }

 private:
  static constexpr std::uint32_t kBlock = 512;
  static constexpr std::uint32_t kBlocks = kHoldAllBytes / kBlock;
  static constexpr std::uint32_t kNone = UINT32_MAX;
  /// What stands beside a block. The first block of a packet also tells its length and the next packet.
  struct Block {
    std::uint32_t next = kNone;
    std::uint32_t nextPacket = kNone;
    std::uint32_t length = 0;
  };

  bool dropOldest(HoldQueue& queue);
  void release(std::uint32_t first);

  std::mutex mutex_;
  Arena arena_;
  std::array<Block, kBlocks> blocks_;
  std::uint32_t free_ = 0;
  std::atomic<std::uint32_t> used_{0};
  HoldQueue* firstReady_ = nullptr;
  HoldQueue* lastReady_ = nullptr;
};

}  // namespace hipd
