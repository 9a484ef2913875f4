// One data worker: a thread that owns a TUN queue and sockets, and runs each packet to completion.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "aead.h"
#include "backlog.h"
#include "coalesce.h"
#include "esp.h"
#include "event.h"
#include "favourite.h"
#include "flow.h"
#include "flow_log.h"
#include "hold.h"
#include "icmp.h"
#include "interface.h"
#include "limit.h"
#include "lingering.h"
#include "mtu.h"
#include "offload.h"
#include "ping.h"
#include "placement.h"
#include "probe.h"
#include "reassembly.h"
#include "route.h"
#include "segment.h"
#include "shunned.h"
#include "silence.h"
#include "stats.h"
#include "udp.h"
#include "wakeups.h"

namespace hipd {

/// HITs: 2001:20::/28 (RFC 7343 6).
inline constexpr Prefix kHitPrefix{{6, {0x20, 0x01, 0x00, 0x20}}, 28};
/// Batches of one source in a row before the others have their turn.
inline constexpr std::size_t kBatchesInARow = 4;
/// Bytes read from the TUN device in a row, likewise.
inline constexpr std::size_t kTunBudget = 512 * 1024;

/// What all workers and the control thread share.
struct Shared {
  Shared(const Lsi& ownLsi, const Prefix& lsiPrefix, void (*notify)(void*), void* context);

  Hold hold;  // outlives what waits in `epochs`
  Epochs epochs;
  Routes routes;
  FlowTable flows;
  EventQueue events;
  Pings pings;
  Probes probes;
  Awaited awaited;
  Interfaces interfaces;
  Shunned shunned;
  const Prefix lsis;
  RateLimit<kIcmpPerSecond, kIcmpBurst> icmp;
  RateLimit<kUnknownSpiPerSecond, kUnknownSpiBurst> unknownSpi;
  /// Grows when keys were dropped: each worker then forgets its copies.
  std::atomic<std::uint64_t> sweeps{0};
};

/// The UDP sockets of a worker.
struct Sockets {
  Fd udp4;
  Fd udp6;
  /// Connected to the favourite peer (favourite.h), where a predecessor has left them.
  Fd near4;
  Fd near6;
};

/// The raw sockets of the plane. The first worker reads them, all send through them.
struct RawSockets {
  Fd esp4;
  Fd esp6;
  Fd hip4;
  Fd hip6;
};

/// What a worker is told once.
struct WorkerOptions {
  std::size_t index = 0;
  std::uint16_t port = 0;
  /// Other workers have sockets on the same port.
  bool shared = false;
  /// As granted.
  Offloads offloads;
  /// A VirtioHeader stands before each packet of the TUN device.
  bool headers = false;
  /// How long to look for more packets before sleeping. Microseconds.
  std::uint32_t busyPoll = 0;
  /// Makes its ciphers.
  const Backend* backend = &opensslBackend();
  /// Ciphers are loaded before the first packet is served, else by the packet that needs them.
  bool warm = true;
  /// Of the latest packet that a predecessor has split.
  std::uint32_t fragmentId = 0;
};

/// Writes one complete packet to a TUN device. False when the device refuses.
bool writeToTun(int fd, bool headers, View packet);

class Worker {
 public:
  Worker(Shared& shared, const WorkerOptions& options, Fd tun, Sockets sockets);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Everything before the thread that can fail. "" or what went wrong.
  std::string prepare();
  /// Makes the thread, which does nothing yet. After `prepare`.
  void prestart();
  /// Lets it begin, and makes it if need be.
  void start();
  /// Raw sockets to send ESP through, at any time after `prepare`. `receive`: this worker also reads them. They outlive
  /// the worker. "" or what went wrong.
  std::string useRaw(const RawSockets& raw, bool receive);
  /// Asks the thread to end.
  void halt();
  /// Ends the thread. May be called twice.
  void stop();
  /// Makes the worker look at released packets, pings and dropped keys. Any thread.
  void wake();

  const Sockets& sockets() const { return sockets_; }
  /// Writes a complete packet to the TUN device. Any thread.
  bool show(View packet) const { return writeToTun(tun_.get(), options_.headers, packet); }
  const Stats& stats() const { return stats_; }
  int tun() const { return tun_.get(); }
  /// Counts flows there from now on; nullptr: nowhere. It outlives the worker. Any thread.
  void useFlowLog(FlowLog* log) { flowLog_.store(log, std::memory_order_release); }
  /// Whether it has been busy with what it found in one look at its sockets for longer than `millis`. Any thread.
  bool stalled(std::uint64_t millis) const {
    const std::uint64_t since = busySince_.load(std::memory_order_relaxed);
    return since != 0 && monotonicCoarse() / 1'000'000 > since + millis;
  }
  // Only when it has stopped.
  int nearSocket(bool v6) const { return near_[v6].fd.get(); }
  std::uint32_t fragmentId() const { return fragmentId_; }

 private:
  /// One socket and one vote for each family; see favourite.h. `heard`: coarse milliseconds of its latest large batch.
  struct Near {
    Fd fd;
    Favourites votes;
    std::uint64_t heard = 0;
  };
  enum class Inlet : std::uint8_t { Mailbox, Tun, Udp4, Udp6, Esp4, Esp6, Hip4, Hip6, Near4, Near6 };
  static constexpr std::size_t kInlets = 10;
  /// A packet from the TUN device until it has left the machine: what EMSGSIZE's answer needs.
  struct Slot {
    OutboundRoute* via = nullptr;
    Frame original;
    InnerFamily family = InnerFamily::Hit;
    /// Its sender has been told that it does not fit.
    bool told = false;
  };
  /// One half for packets from the TUN device, the other for those that were held.
  static constexpr std::size_t kSlots = 2 * kBatch;
  static constexpr std::size_t kHeldStride = kHeadroom + kMaxDatagram + kTailroom;
  static constexpr std::size_t kTunStride = kHeadroom + kMaxPacket + 1 + kTailroom;

  void run();
  int await(std::span<epoll_event> events);
  int lookUntil(std::uint64_t now, std::uint64_t until, std::span<epoll_event> events);
  int sleep(std::span<epoll_event> events);
  int ready(std::span<epoll_event> events, int timeout);
  void warmUp();
  bool watch(int fd, Inlet inlet);
  void serve(Inlet inlet);
  Backlog& backlogOf(Inlet inlet) { return backlogs_[static_cast<std::size_t>(inlet)]; }
  int fdOf(Inlet inlet) const { return fds_[static_cast<std::size_t>(inlet)].load(std::memory_order_acquire); }

  // worker_out.cc: TUN -> wire
  void fromMailbox();
  void fromTun();
  void loseTun();
  Frame slot(std::size_t i) const;
  /// Reads one packet into slot `at`. False when there is none; `bytes` counts what was read.
  bool readTun(std::size_t at, std::size_t& bytes);
  Verdict outbound(std::size_t at, Frame frame, const VirtioHeader& header = {});
  Verdict transmit(std::size_t at, Frame frame, const InnerView& view, Peer& peer, OutboundRoute& via);
  /// As transmit, for a super-packet.
  Verdict transmitSuper(std::size_t at, Frame frame, const InnerView& view, const Super& super, Peer& peer,
                        OutboundRoute& via);
  /// Cuts a super-packet into inner packets and gives each to `take`. Counts their verdicts.
  template <class Take>
  Verdict each(Frame frame, const InnerView& view, const Super& super, Take&& take);
  Verdict transmitCopy(Frame segment, const InnerView& view, Peer& peer, OutboundRoute& via);
  void checkExpiry(OutboundRoute& via, bool softExpiry);
  Verdict sealInto(SendBatch& batch, std::size_t at, OutboundRoute& via, const Destination& destination, Spi spi,
                   const beet::Outbound& out, std::uint8_t nextHeader, Pieces payload);
  /// Whether the path is verified, or the peer has the credit for so many bytes.
  bool affords(Peer& peer, const OutboundRoute& via, std::size_t bytes) const {
    return via.destination.load()->verified || hasCredit(peer, bytes);
  }
  bool hasCredit(Peer& peer, std::size_t bytes) const;
  void sent(Peer& peer) {
    peer.lastUsed.store(nowMs_, std::memory_order_relaxed);
    if (peer.silence.since.load(std::memory_order_relaxed) == 0) shared_.awaited.sent(peer.silence, peer.hit, nowMs_);
  }
  Verdict withoutPeer(Frame frame, const InnerView& view);
  Verdict hold(Peer& peer, Frame frame);
  /// TOS or traffic class of what is processed now. Marks it when it is late.
  std::uint8_t classOf(std::uint8_t trafficClass);
  void settle(Peer& peer);
  void flush();
  void refused(std::size_t at, std::size_t espLength, int error);
  SendBatch& batchFor(const Path& path);
  void answer(IcmpError error, View offending, std::size_t mtu);

  // worker_in.cc: wire -> TUN
  void fromSocket(Inlet inlet);
  /// Takes one batch. False when it left nothing behind.
  bool batch(Inlet inlet, int fd);
  void drain(Inlet inlet, int fd);
  /// A connected socket for the peer that sends most.
  void favour(Inlet inlet);
  void leaveNear(Inlet inlet, Near& near);
  void message(std::size_t i, Inlet inlet);
  Verdict datagram(Frame frame, std::size_t i, Inlet inlet);
  Verdict control(const Frame& frame, std::size_t i, Carrier carrier);
  Verdict espPacket(Frame frame, std::size_t i, Carrier carrier);
  bool follow(Spi spi);
  /// Counts what came since `follow` found its SA, and forgets that.
  void settleFlight();
  Verdict segment(Frame frame, const esp::Opened& opened, std::size_t i, Carrier carrier);
  Verdict rare(Verdict verdict, InboundRoute& route, Frame frame, esp::Opened& opened, std::size_t i, Carrier carrier);
  Verdict familyOf(const InboundRoute& route, const Frame& frame, const esp::Opened& opened, InnerView& view,
                   InnerFamily& family);
  Verdict unknownSpi(Spi spi, std::size_t i, Carrier carrier);
  bool heard(InboundRoute& route, const esp::Opened& opened, bool probe, std::size_t i, Carrier carrier);
  bool isOwnEcho(const InboundRoute& route, std::uint8_t nextHeader, View payload);
  Path pathOf(std::size_t i, Carrier carrier) const;
  Verdict toTun(View packet);
  void depart(const Departure& departure);

  /// The packet in slot `at` leaves, `packets` of them with `bytes` in all. Only while flows are logged.
  void logSent(FlowLog& log, std::size_t at, const InnerView& view, const Peer& peer, std::size_t packets,
               std::size_t bytes);
  void logReceived(FlowLog& log, const InnerView& view, View payload, const Peer& peer, InnerFamily family);

  // worker_probe.cc
  void probe(const Probes::Request& request);
  static bool isProbe(std::uint8_t nextHeader, View payload);
  Verdict probed(InboundRoute& route, View payload, std::size_t i, Carrier carrier);
  Verdict sendAlong(const Path& path, std::uint32_t interface, OutboundRoute& via, View message);

  Shared& shared_;
  const WorkerOptions options_;
  const std::size_t reader_;
  const Fd tun_;
  const Sockets sockets_;
  Fd epoll_;
  Fd mailbox_;
  std::thread thread_;
  std::atomic<bool> begun_{false};
  std::atomic<bool> stopping_{false};
  /// nullptr while flows are not logged.
  std::atomic<FlowLog*> flowLog_{nullptr};
  /// Coarse milliseconds: when it woke up; 0 while it sleeps.
  std::atomic<std::uint64_t> busySince_{0};
  /// By `Inlet`: -1 where there is none.
  std::array<std::atomic<int>, kInlets> fds_;

  // The thread's own.
  Stats stats_;
  CipherCache ciphers_;
  IcmpReassembly reassembly_;
  std::uint64_t swept_ = 0;
  std::uint64_t nowMs_ = 0;
  std::uint32_t fragmentId_ = 0;
  /// It has been said that the kernel refuses messages of many datagrams.
  bool dividing_ = false;
  Arena arena_;
  std::array<Slot, kSlots> slots_;
  ReceiveBatch received_;
  std::array<SendBatch, 4> sends_;
  Coalescer coalescer_;
  /// By `Inlet`.
  std::array<Backlog, kInlets> backlogs_;
  Wakeups wakeups_;
  Lingering lingering_;
  std::array<Near, 2> near_;
  /// What consecutive datagrams of one SA have in common. Ends with the batch, or with a message of many.
  struct Flight {
    Spi spi = 0;
    InboundRoute* route = nullptr;
    /// Good until the cache is asked for another: `settleFlight` comes before whatever might.
    Cipher* cipher = nullptr;
    /// All of this message comes along the path that is expected, and that is known already.
    bool expected = false;
    /// Not counted yet, with the bytes of ESP's payloads and of whole ESP packets.
    std::uint64_t packets = 0;
    std::uint64_t payload = 0;
    std::uint64_t bytes = 0;
  };
  Flight flight_;
  /// Authenticated packets of this batch, and the message with most of them (of several the latest).
  std::size_t opened_ = 0;
  struct Largest {
    std::size_t index = 0;
    std::size_t opened = 0;
  };
  Largest largest_;
  /// The queue in which what is processed now waited for too long. Null: none.
  Backlog* late_ = nullptr;
};

}  // namespace hipd
