// The data plane as the control plane sees it: opens devices and sockets, runs the threads, changes the tables.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "house.h"
#include "plane_options.h"
#include "worker.h"

namespace hipd {

struct Counter {
  std::string name;
  std::uint64_t value;
};

struct SavedPlane;
struct SavedSocket;

/// What a plane leaves to its successor.
struct Suspended {
  /// As takeover.h describes. Holds keys: wipe it after use.
  std::vector<std::uint8_t> blob;
  /// One queue of the TUN device for each worker.
  std::vector<Fd> tuns;
  /// In the order that the blob knows.
  std::vector<Fd> sockets;
};

/// What a successor finds. The descriptors stay the caller's until it succeeds.
struct Handover {
  View blob;
  std::span<const int> tuns;
  std::span<const int> sockets;
  /// As in PlaneOptions.
  void (*notify)(void*) = nullptr;
  void* context = nullptr;
  /// Taken at the last moment, when nothing else can fail any more (service::takeTicket); -1: the caller has done that.
  int ticket = -1;
};

/// All calls from one thread. Every call returns at once.
class Plane {
 public:
  /// nullptr and the reason in `error`, or a running plane. `notes` gets what an administrator should know.
  static std::unique_ptr<Plane> open(const PlaneOptions& options, std::string& error, std::vector<std::string>& notes);
  ~Plane();
  Plane(const Plane&) = delete;
  Plane& operator=(const Plane&) = delete;

  // plane_takeover.cc
  /// Ends all threads and gives everything away: from now on the plane may only be asked for numbers, and destroyed.
  /// Packets that wait for an exchange are lost. "" or what went wrong: then it goes on as before.
  std::string suspend(Suspended& suspended);
  /// Goes on where another plane was suspended, in this process or another one, with that plane's options and devices.
  /// nullptr and the reason in `error`, or a running plane, to which the descriptors then belong.
  /// Only once for each `suspend`: whoever resumes twice repeats sequence numbers.
  static std::unique_ptr<Plane> resume(const Handover& from, std::string& error, std::vector<std::string>& notes);
  const PlaneOptions& options() const { return options_; }
  /// Microseconds between `suspend` and `resume`; 0 after `open`.
  std::uint64_t gap() const { return gap_; }
  /// How many workers have been busy with one look at their sockets for longer than `millis`.
  std::size_t stalled(std::uint64_t millis) const;

  /// Sends a HIP packet; over UDP behind the zero SPI marker. Larger ones than the path are fragmented (RFC
  /// 7401 5.1.3).
  void send(const Path& path, View packet);
  Routes::Added addOutbound(const SaParameters& parameters, const Path& path);
  Routes::Added addInbound(const SaParameters& parameters, const Path& path, std::uint64_t idleAfter);
  bool setPath(Spi spi, const Hit* peer, const Path& path, bool verified);
  void probe(const Hit& peer, const Path& path, std::uint32_t token, std::uint32_t bytes);
  void setPathMtu(const Hit& peer, std::uint32_t mtu) { shared_.routes.setPathMtu(peer, mtu, monotonicNow()); }
  /// Hears little of what begins at `address`, for `millis`.
  void shun(const Address& address, std::uint32_t millis);
  void dropSa(Spi spi, bool inbound, const Hit& peer);
  void route(const Hit& peer, Mode mode, Spi spi);
  void alias(const Lsi& lsi, const Hit* peer);
  void ping(const Hit& local, const Hit& peer, std::uint32_t sequence, std::size_t bytes);
  std::size_t drain(Bytes out, std::size_t max) { return shared_.events.drain(out, max); }
  std::vector<AssociationStats> associations() const { return shared_.routes.associations(); }
  std::vector<netlink::LocalAddress> addresses() const { return house_.addresses(); }
  std::vector<Counter> counters() const;
  // plane_flow.cc
  /// Counts one of `sample` flows from now on; 0: none.
  void logFlows(std::uint32_t sample);
  /// Flows that ended or rest, as many as fit; with `all` every one.
  std::size_t takeFlows(std::span<FlowRecord> out, bool all);
  /// The AEAD back-end in use.
  std::string_view cipher() const { return backend_->name(); }
  /// What is in use.
  const Offloads& offloads() const { return offloads_; }

 private:
  explicit Plane(const PlaneOptions& options);
  std::string openSockets(std::vector<std::string>& notes);
  void chooseCipher(std::vector<std::string>& notes);
  /// "" or what went wrong.
  std::string makeWorker(WorkerOptions options, Fd tun, Sockets sockets);
  std::string openRawSockets();
  std::string useRawSockets();
  void save(SavedPlane& saved);
  /// "" or what went wrong; the descriptors are copies.
  std::string restore(const SavedPlane& saved, std::vector<Fd> tuns, std::vector<Fd> sockets);
  std::string restoreTables(const SavedPlane& saved);
  std::string adoptSocket(const SavedSocket& saved, Fd fd, std::vector<Sockets>& sets);
  /// Opens the raw sockets when something uses them for the first time.
  void need(Carrier carrier);
  void rejectHeld(Peer& peer);
  void release(Peer& peer);
  void swept();

  const PlaneOptions options_;
  Offloads offloads_;
  /// A VirtioHeader stands before each packet of the TUN device.
  bool headers_ = false;
  std::uint64_t gap_ = 0;
  const Backend* backend_ = &opensslBackend();
  Shared shared_;
  Housekeeper house_;
  RawSockets raw_;
  Fd mtuListener_;
  bool rawTried_ = false;
  /// Empty until flows are logged; else one for each worker.
  std::vector<std::unique_ptr<FlowLog>> flowLogs_;
  std::vector<std::unique_ptr<Worker>> workers_;
  /// What the control thread itself counts.
  Stats stats_;
};

}  // namespace hipd
