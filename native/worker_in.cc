// From the wire to the TUN device.
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "esp.h"
#include "rawip.h"
#include "worker.h"

namespace hipd {

namespace {
/// RFC 3948 2.3.
constexpr std::uint8_t kKeepalive = 0xff;
/// The "non-ESP marker" of RFC 9028 5.1.
constexpr std::size_t kMarker = 4;
/// More than the largest receive buffer holds, which the kernel doubles: bytes of data, and batches of empty datagrams,
/// each of which takes at least half a kilobyte of it.
constexpr std::size_t kDrainBytes = std::size_t{2} * kSocketBuffer;
constexpr std::size_t kDrainBatches = kDrainBytes / (512 * kReceiveBatch);
/// ICMPv6 echo reply (RFC 4443 4.2).
constexpr std::uint8_t kEchoReply = 129;
constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;
}  // namespace

void Worker::fromSocket(Inlet inlet) {
  const int fd = fdOf(inlet);
  for (std::size_t round = 0; round < kBatchesInARow; round++) {
    if (!batch(inlet, fd)) break;
  }
  if (options_.shared || opened_ < kFavouriteBatch) return;
  if (inlet == Inlet::Near4 || inlet == Inlet::Near6) near_[inlet == Inlet::Near6].heard = nowMs_;
  if (inlet == Inlet::Udp4 || inlet == Inlet::Udp6) favour(inlet);
}

bool Worker::batch(Inlet inlet, int fd) {
  Backlog& backlog = backlogOf(inlet);
  const std::size_t count = received_.receive(fd);
  stats_.count(Tally::ReceiveCalls);
  opened_ = 0;
  largest_ = {};
  for (std::size_t i = 0; i < count; i++) {
    late_ = backlog.late() ? &backlog : nullptr;
    message(i, inlet);
  }
  settleFlight();
  backlog.took(received_.bytes(), monotonicNow);
  if (received_.drained()) backlog.wasEmpty();
  // What it holds lies in buffers that the next call takes over.
  coalescer_.flush();
  return !received_.drained();
}

/// Everything that waits. The worker does nothing else meanwhile.
void Worker::drain(Inlet inlet, int fd) {
  std::size_t bytes = 0;
  for (std::size_t round = 0; round < kDrainBatches && bytes < kDrainBytes; round++) {
    batch(inlet, fd);
    // Fewer than there was room for may also be those before an ICMP error.
    if (received_.count() == 0) break;
    bytes += received_.bytes();
  }
}

void Worker::favour(Inlet inlet) {
  const bool v6 = inlet == Inlet::Udp6;
  Near& near = near_[v6];
  const Endpoint from = received_.from(largest_.index);
  const Endpoint to{received_.to(largest_.index), options_.port};
  if (!near.votes.vote(from, to.address)) return;
  if (nowMs_ - near.heard < kFavouriteRest) return;
  near.votes.forget();
  // Also the time before the next try, if this one fails.
  near.heard = nowMs_;
  const Inlet own = v6 ? Inlet::Near6 : Inlet::Near4;
  Fd next = openBeside(fdOf(inlet), to.address);
  if (!next.valid()) return;
  leaveNear(own, near);
  if (!bindBeside(next.get(), fdOf(inlet), to)) return;
  near.fd = std::move(next);
  if (options_.offloads.gro) receiveMany(near.fd.get());
  // Order: first what came before it was there, then what came to it from all, and only then again what comes to the
  // other.
  drain(inlet, fdOf(inlet));
  const bool connected = connectTo(near.fd.get(), from);
  drain(own, near.fd.get());
  if (connected && watch(near.fd.get(), own)) {
    stats_.count(Tally::PeerSockets);
  } else {
    leaveNear(own, near);
  }
}

/// Closes a socket of a favourite, after all that came to it.
void Worker::leaveNear(Inlet inlet, Near& near) {
  if (!near.fd.valid()) return;
  turnAside(near.fd.get());
  drain(inlet, near.fd.get());
  // A copy in the service manager's store would keep it watched.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, near.fd.get(), nullptr);
  fds_[static_cast<std::size_t>(inlet)].store(-1, std::memory_order_release);
  near.fd.reset();
}

/// One message is one datagram, or several that came in a row (UDP_GRO).
void Worker::message(std::size_t i, Inlet inlet) {
  stats_.count(Tally::MessagesReceived);
  if (received_.truncated(i)) return stats_.count(Verdict::OuterTruncated);
  flight_.expected = false;
  const std::size_t before = opened_;
  const Frame all = received_.frame(i);
  const std::size_t segment = received_.segment(i) == 0 ? all.length : received_.segment(i);
  std::size_t at = 0;
  do {
    const std::size_t length = std::min(segment, all.length - at);
    stats_.count(datagram({all.buffer, all.capacity, all.start + at, length}, i, inlet));
    at += length;
  } while (at < all.length);
  const std::size_t opened = opened_ - before;
  if (opened >= largest_.opened) largest_ = {i, opened};
  // Credit and statistics do not wait for more than that.
  if (opened > 1) settleFlight();
}

Path Worker::pathOf(std::size_t i, Carrier carrier) const {
  Path path;
  path.carrier = carrier;
  path.local.address = received_.to(i);
  path.remote = received_.from(i);
  if (carrier == Carrier::Udp) {
    path.local.port = options_.port;
  } else {
    path.remote.port = 0;
  }
  return path;
}

Verdict Worker::datagram(Frame frame, std::size_t i, Inlet inlet) {
  switch (inlet) {
    case Inlet::Udp4:
    case Inlet::Udp6:
    case Inlet::Near4:
    case Inlet::Near6: {
      if (frame.length == 1 && frame.data()[0] == kKeepalive) return Verdict::Keepalive;
      if (frame.length < kMarker) return Verdict::OuterTruncated;
      if (esp::spiOf(frame.view()) != 0) return espPacket(frame, i, Carrier::Udp);
      frame.start += kMarker;
      frame.length -= kMarker;
      return control(frame, i, Carrier::Udp);
    }
    case Inlet::Esp4:
      if (!stripIpv4(frame)) return Verdict::OuterTruncated;
      return espPacket(frame, i, Carrier::None);
    case Inlet::Esp6:
      return espPacket(frame, i, Carrier::None);
    case Inlet::Hip4:
      if (!stripIpv4(frame)) return Verdict::OuterTruncated;
      return control(frame, i, Carrier::None);
    case Inlet::Hip6:
      return control(frame, i, Carrier::None);
    case Inlet::Mailbox:
    case Inlet::Tun:
      break;
  }
  return Verdict::OuterTruncated;
}

Verdict Worker::control(const Frame& frame, std::size_t i, Carrier carrier) {
  if (frame.length == 0 || frame.length > kMaxControl) return Verdict::OuterTruncated;
  if (shared_.shunned.refuses(received_.from(i).address, frame.view(), nowMs_)) return Verdict::Shunned;
  const bool told = shared_.events.push(EventType::Control, [&](Event& event) {
    event.path = pathOf(i, carrier);
    event.length = static_cast<std::uint32_t>(frame.length);
    std::memcpy(event.bytes.data(), frame.data(), frame.length);
  });
  if (!told) return Verdict::RingFull;
  stats_.count(Tally::ControlReceived);
  return Verdict::Control;
}

Verdict Worker::unknownSpi(Spi spi, std::size_t i, Carrier carrier) {
  if (shared_.unknownSpi.take(monotonicNow())) {
    shared_.events.push(EventType::UnknownSpi, [&](Event& event) {
      event.spi = spi;
      event.path = pathOf(i, carrier);
    });
  }
  return Verdict::UnknownSpi;
}

/// The first datagram of an SA looks it up, and those behind it go on from there.
bool Worker::follow(Spi spi) {
  if (flight_.route != nullptr && flight_.spi == spi) return true;
  settleFlight();
  InboundRoute* const route = shared_.routes.bySpi(spi);
  if (route == nullptr) return false;
  flight_.spi = spi;
  flight_.route = route;
  flight_.cipher = ciphers_.find(route->sa->keys());
  return true;
}

void Worker::settleFlight() {
  if (flight_.packets != 0) {
    flight_.route->sa->counters.add(flight_.packets, flight_.payload);
    stats_.count(Tally::RxBytes, flight_.bytes);
    stats_.count(Tally::RxPackets, flight_.packets);
  }
  flight_ = {};
}

Verdict Worker::espPacket(Frame frame, std::size_t i, Carrier carrier) {
  if (frame.length < esp::kHeaderLength) return Verdict::EspTruncated;
  const Spi spi = esp::spiOf(frame.view());
  if (!follow(spi)) return unknownSpi(spi, i, carrier);
  if (flight_.cipher == nullptr) return Verdict::EspAuth;
  const std::size_t length = frame.length;
  InboundRoute& route = *flight_.route;
  esp::Opened opened;
  const Verdict verdict = esp::openWith(*flight_.cipher, ciphers_.scratch(), *route.sa, frame, opened);
  if (verdict != Verdict::Ok && verdict != Verdict::Dummy) return verdict;
  // What nobody has vouched for is no reason to stay awake.
  lingering_.arrived(monotonicNow);
  opened_++;
  flight_.packets++;
  flight_.payload += frame.length;
  flight_.bytes += length;
  if (verdict == Verdict::Ok && Coalescer::takes(opened.nextHeader, frame.view())) {
    return segment(frame, opened, i, carrier);
  }
  // Answers need ciphers, too, and counters that are right.
  settleFlight();
  return rare(verdict, route, frame, opened, i, carrier);
}

/// TCP and UDP.
Verdict Worker::segment(Frame frame, const esp::Opened& opened, std::size_t i, Carrier carrier) {
  InboundRoute& route = *flight_.route;
  // The whole message came along one path.
  if (!flight_.expected || opened.firstInbound) flight_.expected = heard(route, opened, false, i, carrier);
  InnerFamily family = opened.lsi ? InnerFamily::Lsi : InnerFamily::Hit;
  if (route.sa->lsiSpi() == 0 || flowLog_.load(std::memory_order_relaxed) != nullptr) {
    InnerView view;
    const Verdict parsed = familyOf(route, frame, opened, view, family);
    if (parsed != Verdict::Ok) return parsed;
  }
  // ECN as RFC 6040 says, DSCP as RFC 2983 does for one header all the way: BEET has no inner field of its own.
  const std::uint8_t trafficClass = classOf(received_.trafficClass(i));
  return coalescer_.add(
      {route.peer, route.pair.load(), family, trafficClass, beet::kHopLimit, opened.nextHeader, frame.bytes()});
}

/// What the application sees, and what of the packet its log tells.
Verdict Worker::familyOf(const InboundRoute& route, const Frame& frame, const esp::Opened& opened, InnerView& view,
                         InnerFamily& family) {
  const Verdict parsed = parsePayload(opened.nextHeader, frame.view(), view);
  if (parsed != Verdict::Ok) return parsed;
  family = opened.lsi ? InnerFamily::Lsi : InnerFamily::Hit;
  if (route.sa->lsiSpi() == 0) {
    family = shared_.flows.decide(route.peer->hit, view, frame.view(), route.sa->inboundFamily(),
                                  static_cast<std::uint32_t>(nowMs_ / 1000));
  }
  if (FlowLog* log = flowLog_.load(std::memory_order_acquire)) [[unlikely]] {
    logReceived(*log, view, frame.view(), *route.peer, family);
  }
  return Verdict::Ok;
}

/// Everything but whole TCP segments and UDP datagrams.
Verdict Worker::rare(Verdict verdict, InboundRoute& route, Frame frame, esp::Opened& opened, std::size_t i,
                     Carrier carrier) {
  const bool probe = verdict == Verdict::Ok && isProbe(opened.nextHeader, frame.view());
  heard(route, opened, probe, i, carrier);
  if (verdict == Verdict::Dummy) return verdict;
  if (probe) return probed(route, frame.view(), i, carrier);
  if (isOwnEcho(route, opened.nextHeader, frame.view())) return Verdict::Ok;

  InnerView view;
  InnerFamily family = InnerFamily::Hit;
  const Verdict parsed = familyOf(route, frame, opened, view, family);
  if (parsed != Verdict::Ok) return parsed;
  // It may belong to a flow that is being collected, and its new header to what lies before it in the buffer.
  coalescer_.flush();
  if (family == InnerFamily::Lsi && IcmpReassembly::wantsPayload(view)) {
    Frame whole;
    const Verdict added =
        reassembly_.addPayload(route.peer->hit, frame.view(), view, static_cast<std::uint32_t>(nowMs_ / 1000), whole);
    stats_.count(Verdict::FragmentIcmp, reassembly_.takeLost());
    if (added != Verdict::Ok) return added;
    frame = whole;
    opened.nextHeader = proto::kIcmp6;
    const Verdict again = parsePayload(opened.nextHeader, frame.view(), view);
    if (again != Verdict::Ok) return again;
  }
  const std::uint8_t trafficClass = classOf(received_.trafficClass(i));
  const Verdict shown = beet::inbound(frame, opened.nextHeader, view, *route.pair.load(), {family, trafficClass});
  if (shown != Verdict::Ok) return shown;
  return toTun(frame.view());
}

void Worker::logReceived(FlowLog& log, const InnerView& view, View payload, const Peer& peer, InnerFamily family) {
  const std::size_t bytes = payload.size() + (family == InnerFamily::Lsi ? kIpv4Header : kIpv6Header);
  const bool ends = endsFlow(view, payload);
  if (!log.count(inboundName(peer.hit, view, family), 1, bytes, ends, nowMs_)) stats_.count(Tally::FlowsMissed);
}

/// What an authenticated packet tells beside its content. A probe keeps no association alive, and comes along any path.
/// True when the next one along the same path would tell nothing more.
bool Worker::heard(InboundRoute& route, const esp::Opened& opened, bool probe, std::size_t i, Carrier carrier) {
  const auto fill = [&](Event& event) {
    event.spi = route.sa->spi();
    event.peer = route.peer->hit;
    event.path = pathOf(i, carrier);
  };
  if (opened.firstInbound && !shared_.events.push(EventType::FirstInbound, fill)) {
    // The control plane must hear of it: the next packet tries again.
    route.sa->untouched.store(true);
    stats_.count(Verdict::RingFull);
  }
  const Path& expected = *route.expected.load();
  Endpoint from = received_.from(i);
  if (carrier == Carrier::None) from.port = 0;
  const bool asExpected = expected.carrier == carrier && expected.remote == from;
  if (asExpected || !probe) route.peer->silence.heard();
  if (probe) return false;
  route.peer->lastUsed.store(nowMs_, std::memory_order_relaxed);
  const FormerPaths* former = route.peer->former.load();
  if (asExpected) {
    if (former != nullptr) former->follow();
    return true;
  }
  // The peer may not know yet that we went elsewhere, or finish what it had begun to send. But where it had followed,
  // what is newer than all that came shows that it is back: behind a NAT it does not know itself.
  const bool back = former != nullptr && former->followed() && opened.sequence >= route.sa->window.top();
  if (former != nullptr && !back && former->has(carrier, from, nowMs_)) return false;
  if (!route.moved.take(monotonicNow())) return false;
  if (!shared_.events.push(EventType::Moved, fill)) stats_.count(Verdict::RingFull);
  return false;
}

bool Worker::isOwnEcho(const InboundRoute& route, std::uint8_t nextHeader, View payload) {
  if (nextHeader != proto::kIcmp6 || payload.size() < 8 || payload[0] != kEchoReply) return false;
  EchoMessage reply;
  const Hit& peer = route.sa->peerHit();
  if (load16(payload.data() + 4) != shared_.pings.identifier()) return false;
  if (!parseEcho(kEchoReply, payload, route.sa->localHit(), peer, reply)) return false;
  const auto answer = shared_.pings.match(peer, reply.data, monotonicNow());
  if (!answer) return false;
  const bool told = shared_.events.push(EventType::EchoReply, [&](Event& event) {
    event.peer = peer;
    event.sequence = answer->sequence;
    event.rttMicros = static_cast<std::uint32_t>(std::min<std::uint64_t>(answer->nanoseconds / 1000, UINT32_MAX));
  });
  if (!told) stats_.count(Verdict::RingFull);
  return true;
}

Verdict Worker::toTun(View packet) {
  stats_.count(Tally::TunWrites);
  return show(packet) ? Verdict::Ok : Verdict::TunWriteFailed;
}

/// Verdict::Ok has been counted for each arrival already.
void Worker::depart(const Departure& departure) {
  stats_.count(Tally::TunWrites);
  if (departure.count > 1) {
    stats_.count(Tally::SuperWrites);
    stats_.count(Tally::SegmentsJoined, departure.count);
  }
  std::array<iovec, kCoalesceSegments + 1> plain;
  std::span<const iovec> pieces = departure.pieces;
  if (!options_.headers) {
    std::copy(pieces.begin(), pieces.end(), plain.begin());
    plain[0].iov_base = static_cast<std::uint8_t*>(plain[0].iov_base) + sizeof(VirtioHeader);
    plain[0].iov_len -= sizeof(VirtioHeader);
    pieces = {plain.data(), pieces.size()};
  }
  const ssize_t written = writev(tun_.get(), pieces.data(), static_cast<int>(pieces.size()));
  if (written <= 0) stats_.count(Verdict::TunWriteFailed, departure.count);
}

bool writeToTun(int fd, bool headers, View packet) {
  VirtioHeader header;
  const std::array<iovec, 2> pieces{
      {{&header, headers ? sizeof header : 0}, {const_cast<std::uint8_t*>(packet.data()), packet.size()}}};
  return writev(fd, pieces.data(), static_cast<int>(pieces.size())) > 0;
}

}  // namespace hipd
