// One data worker: a thread that owns a TUN queue and sockets, and runs each packet to completion.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "aead.h"
#include "event.h"
#include "flow.h"
#include "hold.h"
#include "icmp.h"
#include "limit.h"
#include "mtu.h"
#include "ping.h"
#include "reassembly.h"
#include "route.h"
#include "stats.h"
#include "udp.h"

namespace hipd {

/// HITs: 2001:20::/28 (RFC 7343 6).
inline constexpr Prefix kHitPrefix{{6, {0x20, 0x01, 0x00, 0x20}}, 28};
/// Batches of one source in a row before the others have their turn.
inline constexpr std::size_t kBatchesInARow = 4;

/// What all workers and the control thread share.
struct Shared {
  Shared(const Lsi& ownLsi, const Prefix& lsiPrefix, void (*notify)(void*), void* context);

  Hold hold;  // outlives what waits in `epochs`
  Epochs epochs;
  Routes routes;
  FlowTable flows;
  EventQueue events;
  Pings pings;
  const Prefix lsis;
  RateLimit icmp{kIcmpPerSecond, kIcmpBurst};
  RateLimit unknownSpi{kUnknownSpiPerSecond, kUnknownSpiBurst};
  /// Grows when keys were dropped: each worker then forgets its copies.
  std::atomic<std::uint64_t> sweeps{0};
};

/// The UDP sockets of a worker.
struct Sockets {
  Fd udp4;
  Fd udp6;
};

/// The raw sockets of the plane. The first worker reads them, all send through them.
struct RawSockets {
  Fd esp4;
  Fd esp6;
  Fd hip4;
  Fd hip6;
};

class Worker {
 public:
  Worker(Shared& shared, std::size_t index, Fd tun, Sockets sockets, std::uint16_t port);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// "" or what went wrong.
  std::string start();
  /// Raw sockets to send ESP through, at any time. `receive`: this worker also reads them. They outlive the worker.
  /// "" or what went wrong.
  std::string useRaw(const RawSockets& raw, bool receive);
  /// Ends the thread. May be called twice.
  void stop();
  /// Makes the worker look at released packets, pings and dropped keys. Any thread.
  void wake();

  const Sockets& sockets() const { return sockets_; }
  int tun() const { return tun_.get(); }
  const Stats& stats() const { return stats_; }

 private:
  enum class Inlet : std::uint8_t { Mailbox, Tun, Udp4, Udp6, Esp4, Esp6, Hip4, Hip6 };
  static constexpr std::size_t kInlets = 8;
  /// A packet from the TUN device until it has left the machine: what EMSGSIZE's answer needs.
  struct Slot {
    OutboundRoute* via = nullptr;
    Frame original;
    InnerFamily family = InnerFamily::Hit;
  };
  /// One half for packets from the TUN device, the other for those that were held.
  static constexpr std::size_t kSlots = 2 * kBatch;
  static constexpr std::size_t kStride = kHeadroom + kMaxDatagram + kTailroom;

  void run();
  void warmUp();
  bool watch(int fd, Inlet inlet);
  void serve(Inlet inlet);
  int fdOf(Inlet inlet) const { return fds_[static_cast<std::size_t>(inlet)].load(std::memory_order_acquire); }

  // worker_out.cc: TUN -> wire
  void fromMailbox();
  void fromTun();
  void loseTun();
  Frame slot(std::size_t i) const { return {arena_.data() + i * kStride, kStride, kHeadroom, 0}; }
  Verdict outbound(std::size_t at, Frame frame);
  Verdict transmit(std::size_t at, Frame frame, const InnerView& view, Peer& peer, OutboundRoute& via);
  Verdict sealInto(SendBatch& batch, std::size_t at, OutboundRoute& via, const Destination& destination, Spi spi,
                   std::uint8_t nextHeader, Pieces payload);
  Verdict withoutPeer(Frame frame, const InnerView& view);
  Verdict hold(Peer& peer, Frame frame);
  void settle(Peer& peer);
  void flush();
  void refused(std::size_t at, std::size_t espLength, int error);
  SendBatch& batchFor(const Path& path);
  void answer(IcmpError error, View offending, std::size_t mtu);

  // worker_in.cc: wire -> TUN
  void fromSocket(Inlet inlet);
  Verdict datagram(std::size_t i, Inlet inlet);
  Verdict control(const Frame& frame, std::size_t i, Carrier carrier);
  Verdict espPacket(Frame frame, std::size_t i, Carrier carrier);
  Verdict unknownSpi(Spi spi, std::size_t i, Carrier carrier);
  void heard(InboundRoute& route, bool first, std::size_t i, Carrier carrier);
  bool isOwnEcho(const InboundRoute& route, std::uint8_t nextHeader, View payload);
  Path pathOf(std::size_t i, Carrier carrier) const;
  Verdict toTun(View packet);

  Shared& shared_;
  const std::size_t index_;
  const std::size_t reader_;
  const std::uint16_t port_;
  const Fd tun_;
  const Sockets sockets_;
  Fd epoll_;
  Fd mailbox_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  /// By `Inlet`: -1 where there is none.
  std::array<std::atomic<int>, kInlets> fds_;

  // The thread's own.
  Stats stats_;
  CipherCache ciphers_;
  IcmpReassembly reassembly_;
  std::uint64_t swept_ = 0;
  std::uint64_t nowMs_ = 0;
  std::uint32_t fragmentId_ = 0;
  Arena arena_;
  std::array<Slot, kSlots> slots_;
  ReceiveBatch received_;
  std::array<SendBatch, 4> sends_;
};

}  // namespace hipd
