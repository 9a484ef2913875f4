// Who is reached how: peers by HIT and by LSI, inbound SAs by SPI.
//
// The control thread is the only writer. Workers read between two quiescent points (snapshot.h), and may keep no
// pointer across.
#pragma once

#include <algorithm>
#include <atomic>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "beet.h"
#include "credit.h"
#include "hold.h"
#include "limit.h"
#include "pool.h"
#include "probe.h"
#include "sa.h"
#include "silence.h"
#include "snapshot.h"
#include "udp.h"

namespace hipd {

/// Peers and inbound SAs at most.
inline constexpr std::size_t kMaxPeers = 200'000;
inline constexpr std::size_t kMaxSas = 400'000;
/// SAs of one peer and direction: two during a rekeying, more when the control plane forgets to drop them.
inline constexpr std::size_t kMaxSasOfPeer = 8;

/// Former paths of a peer from which packets may still come, and for how long. Milliseconds.
inline constexpr std::size_t kMaxFormerPaths = 8;
inline constexpr std::uint64_t kFormerPathMs = 10'000;

/// What happens to local packets for a peer without an SA.
enum class Mode : std::uint8_t { Unknown, Demand, Reject, Send };

struct Peer;
struct SavedPeer;

/// The SAs of a peer in one direction, oldest first: a chain through the SAs' own `next`, since nearly every peer has
/// one. Control thread only.
template <class Route>
class Chain {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Route*;
    using difference_type = std::ptrdiff_t;
    using pointer = Route* const*;
    using reference = Route*;
    Iterator() = default;
    explicit Iterator(Route* at) : at_(at) {}
    Route* operator*() const { return at_; }
    Iterator& operator++() {
      at_ = at_->next;
      return *this;
    }
    Iterator operator++(int) { return Iterator(std::exchange(at_, at_->next)); }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    Route* at_ = nullptr;
  };

  Iterator begin() const { return Iterator(first_); }
  Iterator end() const { return Iterator(); }
  bool empty() const { return first_ == nullptr; }
  std::size_t size() const { return static_cast<std::size_t>(std::distance(begin(), end())); }
  Route* operator[](std::size_t i) const { return *std::next(begin(), static_cast<std::ptrdiff_t>(i)); }
  Route* back() const { return (*this)[size() - 1]; }
  void push_back(Route* route) {
    Route** end = &first_;
    while (*end != nullptr) end = &(*end)->next;
    *end = route;
  }
  void erase(const Route* route) {
    for (Route** link = &first_; *link != nullptr; link = &(*link)->next) {
      if (*link != route) continue;
      *link = route->next;
      return;
    }
  }

 private:
  Route* first_ = nullptr;
};

/// An outbound SA and where it sends.
struct OutboundRoute {
  OutboundRoute(std::unique_ptr<OutboundSa> what, Peer* who) : sa(std::move(what)), peer(who) {}
  ~OutboundRoute();
  static void* operator new(std::size_t) { return Pooled<OutboundRoute>::take(); }
  static void operator delete(void* place) { Pooled<OutboundRoute>::give(place); }

  const std::unique_ptr<OutboundSa> sa;
  Peer* const peer;
  /// Never null while the SA is published.
  std::atomic<Destination*> destination{nullptr};
  /// The SAs of a peer with the same local HIT share one.
  std::atomic<const InnerPair*> pair{nullptr};
  OutboundRoute* next = nullptr;
  /// When the kernel was asked for the path MTU last. Nanoseconds.
  std::atomic<std::uint64_t> mtuAsked{0};
  /// A `soft-expiry` that found no room in the event queue and is still to be raised.
  std::atomic<bool> softPending{false};
};

/// An inbound SA and where its packets are expected from.
struct InboundRoute {
  InboundRoute(std::unique_ptr<InboundSa> what, Peer* who) : sa(std::move(what)), peer(who) {}
  ~InboundRoute();
  static void* operator new(std::size_t) { return Pooled<InboundRoute>::take(); }
  static void operator delete(void* place) { Pooled<InboundRoute>::give(place); }

  /// The table's entries: one for each SPI of the SA.
  struct Entry {
    Spi spi = 0;
    InboundRoute* route = nullptr;
  };
  std::array<Entry, 2> entries;
  const std::unique_ptr<InboundSa> sa;
  Peer* const peer;
  std::atomic<const Path*> expected{nullptr};
  /// As that of OutboundRoute.
  std::atomic<const InnerPair*> pair{nullptr};
  InboundRoute* next = nullptr;
  RateLimit<kMovedPerSecond, kMovedBurst> moved;
  /// Bytes of the SA that its peer's credit has already grown by.
  std::atomic<std::uint64_t> credited{0};
  /// Milliseconds without a packet after which `idle` is raised; 0: never.
  std::uint64_t idleAfter = 0;
  /// Milliseconds: when `idle` was raised last. House-keeping thread only.
  std::uint64_t idleRaised = 0;
  /// Milliseconds.
  std::uint64_t added = 0;
};

/// Where a peer's packets were expected from until a moment ago. Immutable.
struct FormerPaths {
  struct Entry {
    Carrier carrier = Carrier::Udp;
    Endpoint remote;
    std::uint64_t until = 0;
  };
  std::array<Entry, kMaxFormerPaths> entries;

  bool has(Carrier carrier, const Endpoint& remote, std::uint64_t nowMs) const {
    return std::any_of(entries.begin(), entries.end(), [&](const Entry& one) {
      return one.until > nowMs && one.carrier == carrier && one.remote == remote;
    });
  }

  /// A packet came along the path that is in use now.
  void follow() const {
    if (!followed()) followed_.store(true, std::memory_order_relaxed);
  }
  bool followed() const { return followed_.load(std::memory_order_relaxed); }

 private:
  mutable std::atomic<bool> followed_{false};
};

struct Peer {
  explicit Peer(const Hit& who) : hit(who) {}
  ~Peer() { delete former.load(); }
  static void* operator new(std::size_t) { return Pooled<Peer>::take(); }
  static void operator delete(void* place) { Pooled<Peer>::give(place); }

  const Hit hit;
  std::atomic<Mode> mode{Mode::Unknown};
  /// The SA to seal with; null unless `mode` is Send.
  std::atomic<OutboundRoute*> via{nullptr};
  HoldQueue hold{this};
  RateLimit<kMissPerSecond, 1> miss;
  /// Milliseconds of the last packet in either direction.
  std::atomic<std::uint64_t> lastUsed{0};
  /// The newest inbound SA: the one that `idle` names.
  std::atomic<InboundRoute*> inbound{nullptr};
  Silence silence;
  RateLimit<kProbeAnswersPerSecond, kProbeAnswerBurst> probeAnswers;
  /// The largest outer packet that probes found to arrive; 0: nobody has looked.
  std::atomic<std::uint32_t> probedMtu{0};
  /// Grows with what comes, as of the last `earnCredit`.
  Credit credit;
  /// nullptr while there is none.
  std::atomic<const FormerPaths*> former{nullptr};

  // The control thread's own.
  Chain<OutboundRoute> outboundSas;
  Chain<InboundRoute> inboundSas;
  bool hasLsi = false;
  Lsi lsi;
  /// Sums of SAs that are gone.
  std::uint64_t txPackets = 0;
  std::uint64_t txBytes = 0;
  std::uint64_t rxPackets = 0;
  std::uint64_t rxBytes = 0;
};

/// What a peer's LSI names. Immutable.
struct Alias {
  Lsi lsi;
  Peer* peer;

  static void* operator new(std::size_t) { return Pooled<Alias>::take(); }
  static void operator delete(void* place) { Pooled<Alias>::give(place); }
};

struct PeerTraits {
  using Key = Hit;
  static const Hit& key(const Peer& peer) { return peer.hit; }
  static std::uint64_t hash(const Hit& hit) {
    return keyedHash(load64(hit.bytes.data()), load64(hit.bytes.data() + 8));
  }
};
struct AliasTraits {
  using Key = Lsi;
  static const Lsi& key(const Alias& alias) { return alias.lsi; }
  static std::uint64_t hash(const Lsi& lsi) { return keyedHash(load32(lsi.bytes.data()), 4); }
};
struct SpiTraits {
  using Key = Spi;
  static const Spi& key(const InboundRoute::Entry& entry) { return entry.spi; }
  static std::uint64_t hash(const Spi& spi) { return keyedHash(spi, 50); }
};

/// An IP prefix.
struct Prefix {
  Address network;
  std::uint8_t length = 0;
  bool contains(const std::uint8_t* address) const;
};

/// What an SA looks like for people.
struct AssociationStats {
  Hit peer;
  Spi outSpi = 0;  // 0: none
  Spi inSpi = 0;
  std::uint64_t txPackets = 0;
  std::uint64_t txBytes = 0;
  std::uint64_t rxPackets = 0;
  std::uint64_t rxBytes = 0;
  std::uint32_t pathMtu = 0;
};

/// The tables and every change to them. Changes: control thread only.
class Routes {
 public:
  Routes(Epochs& epochs, Hold& hold, const Lsi& ownLsi);
  ~Routes();

  // Readers, online in `epochs`.
  Peer* byHit(const Hit& hit) const { return peers_.find(hit); }
  Peer* byLsi(const Lsi& lsi) const {
    const Alias* alias = aliases_.find(lsi);
    return alias == nullptr ? nullptr : alias->peer;
  }
  InboundRoute* bySpi(Spi spi) const {
    const InboundRoute::Entry* entry = spis_.find(spi);
    return entry == nullptr ? nullptr : entry->route;
  }
  template <class Visit>
  void eachInbound(Visit&& visit) const {
    spis_.each([&](InboundRoute::Entry& entry) {
      if (&entry == &entry.route->entries[0]) visit(*entry.route);
    });
  }

  enum class Added : std::uint8_t { Done, Repeated, BadKeys, Full };
  /// `Repeated`: the same SA with the same key is there already; it stays as it is, since starting its sequence numbers
  /// again would repeat nonces. An SA with the same SPI and another key is replaced.
  /// `interface` as in Destination.
  Added addOutbound(const SaParameters& parameters, const Path& path, std::uint64_t now, std::uint32_t interface = 0);
  Added addInbound(const SaParameters& parameters, const Path& path, std::uint64_t idleAfter, std::uint64_t now);
  /// The peer, or nullptr when no outbound SA was changed: there is none, or, without `peer`, several peers chose this
  /// SPI, for which all are looked through. Not `verified`: each packet costs credit (RFC 8046 5.6).
  Peer* setPath(Spi spi, const Hit* peer, const Path& path, bool verified, std::uint64_t now,
                std::uint32_t interface = 0);
  /// Packets to the peer are no larger than that; 0: than what the kernel says.
  void setPathMtu(const Hit& peer, std::uint32_t mtu, std::uint64_t now);
  bool dropOutbound(Spi spi, const Hit& peer);
  bool dropInbound(Spi spi, const Hit& peer);
  /// The peer, whose held packets the caller now deals with; nullptr when there is nothing to do. With Mode::Send an
  /// SPI that is not there gives Reject.
  Peer* setMode(const Hit& peer, Mode mode, Spi spi);
  /// After setMode(Unknown): frees the peer if nothing else needs it.
  void forgetIfUnused(const Hit& peer);
  bool setAlias(const Lsi& lsi, const Hit* peer);

  // route_takeover.cc. Only while no worker runs.
  /// Everything but packets that wait, which are forgotten: returns how many those were.
  std::uint32_t save(std::vector<SavedPeer>& peers);
  /// Puts a peer into tables that have not been used yet. False when it contradicts itself or those before it; then the
  /// tables must not be used.
  bool restore(const SavedPeer& peer);

  std::vector<AssociationStats> associations() const;
  std::size_t peerCount() const { return peers_.size(); }
  std::size_t spiCount() const { return spis_.size(); }

 private:
  bool restoreOutbound(Peer* peer, const SavedPeer& saved);
  bool restoreInbound(Peer* peer, const SavedPeer& saved);
  Peer* getOrMake(const Hit& hit);
  void forget(Peer* peer);
  void removeAlias(Peer* peer);
  void refreshPairs(Peer* peer);
  void rememberFormer(Peer* peer, const Path& next, std::uint64_t now);
  /// That of another SA between the same HITs, or a new one. Shared until `releasePair`.
  static const InnerPair* sharedPair(const Peer& peer, const Hit& localHit);
  const InnerPair* pairFor(const Peer& peer, const Hit& localHit) const;
  /// Of an SA that nobody finds any more.
  void releasePair(const Peer& peer, const InnerPair* pair);
  void removeOutbound(OutboundRoute* route);
  void removeInbound(InboundRoute* route);

  Epochs& epochs_;
  Hold& hold_;
  const Lsi ownLsi_;
  Table<Peer, PeerTraits> peers_;
  Table<Alias, AliasTraits> aliases_;
  Table<InboundRoute::Entry, SpiTraits> spis_;
};

/// Bytes of credit that all packets of this SA are worth.
std::uint64_t earned(const InboundRoute& route);
/// Gives the peer credit for what came under this SA since the last time. Any thread that is online.
void earnCredit(InboundRoute& route);

/// Asks the kernel for the path MTU of an SA (RFC 1191 and 8201 inside) and stores it, or what probes found when that
/// is less. Returns it; 0 without a route.
std::uint32_t refreshMtu(OutboundRoute& route, std::uint64_t now);

}  // namespace hipd
