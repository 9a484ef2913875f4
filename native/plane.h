// The data plane as the control plane sees it: opens devices and sockets, runs the threads, changes the tables.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "house.h"
#include "worker.h"

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

struct Counter {
  std::string name;
  std::uint64_t value;
};

/// All calls from one thread. Every call returns at once.
class Plane {
 public:
  /// nullptr and the reason in `error`, or a running plane. `notes` gets what an administrator should know.
  static std::unique_ptr<Plane> open(const PlaneOptions& options, std::string& error, std::vector<std::string>& notes);
  ~Plane();
  Plane(const Plane&) = delete;
  Plane& operator=(const Plane&) = delete;

  /// Sends a HIP packet; over UDP behind the zero SPI marker. Larger ones than the path are fragmented (RFC
  /// 7401 5.1.3).
  void send(const Path& path, View packet);
  Routes::Added addOutbound(const SaParameters& parameters, const Path& path);
  Routes::Added addInbound(const SaParameters& parameters, const Path& path, std::uint64_t idleAfter);
  bool setPath(Spi spi, const Hit* peer, const Path& path, bool verified);
  void probe(const Hit& peer, const Path& path, std::uint32_t token, std::uint32_t bytes);
  void setPathMtu(const Hit& peer, std::uint32_t mtu) { shared_.routes.setPathMtu(peer, mtu, monotonicNow()); }
  void dropSa(Spi spi, bool inbound, const Hit& peer);
  void route(const Hit& peer, Mode mode, Spi spi);
  void alias(const Lsi& lsi, const Hit* peer);
  void ping(const Hit& local, const Hit& peer, std::uint32_t sequence, std::size_t bytes);
  std::size_t drain(Bytes out, std::size_t max) { return shared_.events.drain(out, max); }
  std::vector<AssociationStats> associations() const { return shared_.routes.associations(); }
  std::vector<netlink::LocalAddress> addresses() const { return house_.addresses(); }
  std::vector<Counter> counters() const;
  /// The AEAD back-end in use.
  std::string_view cipher() const { return backend_->name(); }
  /// What is in use.
  const Offloads& offloads() const { return offloads_; }

 private:
  explicit Plane(const PlaneOptions& options);
  std::string openSockets(std::vector<std::string>& notes);
  std::string openRawSockets();
  /// Opens the raw sockets when something uses them for the first time.
  void need(Carrier carrier);
  void rejectHeld(Peer& peer);
  void release(Peer& peer);
  void swept();

  const PlaneOptions options_;
  Offloads offloads_;
  const Backend* backend_ = &opensslBackend();
  Shared shared_;
  Housekeeper house_;
  RawSockets raw_;
  Fd mtuListener_;
  bool rawTried_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  /// What the control thread itself counts.
  Stats stats_;
};

}  // namespace hipd
