// From the TUN device to the wire.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "esp.h"
#include "worker.h"

namespace hipd {

namespace {
bool isIpv6(const Path& path) {
  return path.remote.address.family == 6;
}
OuterShape outerShape(const Path& path) {
  return {path.carrier, isIpv6(path)};
}
}  // namespace

void Worker::fromMailbox() {
  std::uint64_t signals = 0;
  (void)!read(mailbox_.get(), &signals, sizeof signals);
  while (HoldQueue* queue = shared_.hold.takeReady()) settle(*queue->owner);
  std::size_t at = kBatch;
  const auto send = [&](const Pings::Request& request) {
    Frame frame = slot(at);
    frame.length = request.length;
    std::memcpy(frame.data(), request.packet.data(), request.length);
    stats_.count(outbound(at, frame));
    flush();
  };
  while (shared_.pings.requests().pop(send)) {
  }
}

void Worker::fromTun() {
  std::size_t at = 0;
  for (std::size_t budget = kBatchesInARow * kBatch; budget > 0; budget--) {
    if (at == kBatch) {
      flush();
      at = 0;
    }
    Frame frame = slot(at);
    const ssize_t got = read(tun_.get(), frame.data(), kMaxDatagram);
    stats_.count(Tally::TunReads);
    if (got < 0 && errno == EBADFD) loseTun();
    if (got <= 0) break;
    frame.length = static_cast<std::size_t>(got);
    stats_.count(outbound(at, frame));
    at++;
  }
  flush();
}

/// Somebody removed the device. Its descriptor would be "ready" for ever.
void Worker::loseTun() {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, tun_.get(), nullptr);
  shared_.events.note("the overlay's interface was removed: restart hipd");
}

Verdict Worker::outbound(std::size_t at, Frame frame) {
  InnerView view;
  const Verdict parsed = parseInner(frame.view(), view);
  if (parsed != Verdict::Ok) return parsed;
  frame.length = view.totalLength;
  Peer* peer = view.family == InnerFamily::Hit ? shared_.routes.byHit(destinationHit(frame.view()))
                                               : shared_.routes.byLsi(destinationLsi(frame.view()));
  if (peer == nullptr) return withoutPeer(frame, view);
  OutboundRoute* via = peer->via.load();
  if (via != nullptr) {
    // Packets that waited leave first.
    if (peer->hold.waiting.load(std::memory_order_relaxed) > 0) settle(*peer);
    if (peer->hold.waiting.load(std::memory_order_relaxed) > 0) return hold(*peer, frame);
    return transmit(at, frame, view, *peer, *via);
  }
  switch (peer->mode.load()) {
    case Mode::Demand:
    case Mode::Send:
      return hold(*peer, frame);
    case Mode::Reject:
      answer(IcmpError::HostUnreachable, frame.view(), 0);
      return Verdict::Rejected;
    case Mode::Unknown:
      break;
  }
  return withoutPeer(frame, view);
}

Verdict Worker::withoutPeer(Frame frame, const InnerView& view) {
  // Router solicitations, MLD, mDNS and the like, which the kernel sends on every interface.
  if (view.family == InnerFamily::Hit) {
    if (isUnroutable(destinationHit(frame.view()))) return Verdict::InnerMulticast;
    if (!kHitPrefix.contains(frame.data() + 24)) return Verdict::InnerAddress;
  } else {
    if (isUnroutable(destinationLsi(frame.view()))) return Verdict::InnerMulticast;
    if (!shared_.lsis.contains(frame.data() + 16)) return Verdict::InnerAddress;
  }
  answer(IcmpError::HostUnreachable, frame.view(), 0);
  return Verdict::NoPeer;
}

Verdict Worker::hold(Peer& peer, Frame frame) {
  const Hold::Pushed pushed = shared_.hold.push(peer.hold, frame.view());
  stats_.count(Verdict::HoldFull, pushed.dropped);
  if (peer.mode.load() == Mode::Demand && peer.miss.take(monotonicNow())) {
    const bool told = shared_.events.push(EventType::Miss, [&](Event& event) { event.peer = peer.hit; });
    if (!told) stats_.count(Verdict::RingFull);
  }
  // The route may have come between our look at it and the push: then nobody else would send what waits.
  if (peer.mode.load() != Mode::Demand) settle(peer);
  return pushed.stored ? Verdict::Held : Verdict::HoldFull;
}

void Worker::settle(Peer& peer) {
  if (!shared_.hold.beginDrain(peer.hold)) return;
  std::size_t at = kBatch;
  do {
    for (;;) {
      OutboundRoute* via = peer.via.load();
      const Mode mode = via == nullptr ? peer.mode.load() : Mode::Send;
      if (mode == Mode::Demand) {
        flush();
        shared_.hold.abandonDrain(peer.hold);
        return;
      }
      if (mode == Mode::Send && via == nullptr) continue;  // it comes or goes at this very moment
      if (at == kSlots) {
        flush();
        at = kBatch;
      }
      Frame frame = slot(at);
      frame.length = shared_.hold.pop(peer.hold, {frame.data(), kMaxDatagram});
      if (frame.length == 0) break;
      InnerView view;
      Verdict verdict = parseInner(frame.view(), view);
      if (verdict == Verdict::Ok && via != nullptr) {
        verdict = transmit(at++, frame, view, peer, *via);
      } else if (verdict == Verdict::Ok) {
        answer(IcmpError::HostUnreachable, frame.view(), 0);
        verdict = Verdict::Rejected;
      }
      stats_.count(verdict);
    }
    flush();
  } while (!shared_.hold.endDrain(peer.hold));
}

SendBatch& Worker::batchFor(const Path& path) {
  return sends_[(path.carrier == Carrier::Udp ? 0u : 2u) + (isIpv6(path) ? 1u : 0u)];
}

Verdict Worker::transmit(std::size_t at, Frame frame, const InnerView& view, Peer& peer, OutboundRoute& via) {
  if (IcmpReassembly::wantsPacket(view)) {
    // A fragmented ICMP message has one checksum over all of it, which only the whole can be given anew.
    Frame whole;
    const Verdict verdict =
        reassembly_.addPacket(peer.hit, frame.view(), view, static_cast<std::uint32_t>(nowMs_ / 1000), whole);
    stats_.count(Verdict::FragmentIcmp, reassembly_.takeLost());
    if (verdict != Verdict::Ok) return verdict;
    InnerView wholeView;
    const Verdict parsed = parseInner(whole.view(), wholeView);
    return parsed == Verdict::Ok ? transmit(at, whole, wholeView, peer, via) : parsed;
  }
  OutboundSa& sa = *via.sa;
  const Destination& destination = *via.destination.load();
  const OuterShape outer = outerShape(destination.path);
  const std::uint32_t pathMtu = sa.pathMtu.load(std::memory_order_relaxed);
  // What beet::outbound may split: IPv4 without DF, and IPv6 that no path may be too small for (RFC 8200 5).
  const bool mayFragment = view.family == InnerFamily::Lsi ? !view.dontFragment : view.totalLength <= beet::kIpv6MinMtu;
  std::size_t limit = innerMtu(pathMtu, outer, sa.shape(), view.family);
  if (view.family == InnerFamily::Hit) limit = std::max(limit, beet::kIpv6MinMtu);
  if (view.totalLength > limit && !mayFragment) {
    answer(IcmpError::TooBig, frame.view(), limit);
    return Verdict::TooBig;
  }
  if (sa.lsiSpi() == 0) {
    shared_.flows.remember(outboundFlow(peer.hit, view), view.family, static_cast<std::uint32_t>(nowMs_ / 1000));
  }
  // A packet that was put together lives in memory that the next one takes over: its sender gets no ICMP error later.
  slots_[at] = {&via, frame.buffer == slot(at).buffer ? frame : Frame{}, view.family};
  beet::Outbound out;
  const Verdict translated = beet::outbound(frame, view, *via.pair.load(), out);
  if (translated != Verdict::Ok) {
    // From an address of ours that the peer does not know us by: the application learns it at once.
    if (translated == Verdict::InnerAddress) answer(IcmpError::Prohibited, slots_[at].original.view(), 0);
    return translated;
  }
  SendBatch& batch = batchFor(destination.path);
  const Spi spi = sa.spiFor(out.family);
  const std::size_t capacity = maxPayload(pathMtu, outer, sa.shape());
  peer.lastUsed.store(nowMs_, std::memory_order_relaxed);
  if (frame.length <= capacity) {
    const View payload = frame.view();
    return sealInto(batch, at, via, destination, spi, out.nextHeader, {&payload, 1});
  }
  if (!out.mayFragment) {
    answer(IcmpError::TooBig, slots_[at].original.view(), limit);
    return Verdict::TooBig;
  }
  const bool keepId = out.family == InnerFamily::Lsi || view.fragment;
  beet::Fragmenter fragmenter(frame.view(), out, capacity, keepId ? out.fragmentId : ++fragmentId_);
  std::uint8_t nextHeader = 0;
  std::array<View, 2> pieces;
  Verdict verdict = Verdict::TooBig;
  while (fragmenter.next(nextHeader, pieces)) {
    verdict = sealInto(batch, at, via, destination, spi, nextHeader, pieces);
    if (verdict != Verdict::Ok) break;
  }
  return verdict;
}

Verdict Worker::sealInto(SendBatch& batch, std::size_t at, OutboundRoute& via, const Destination& destination, Spi spi,
                         std::uint8_t nextHeader, Pieces payload) {
  if (batch.full()) flush();
  Frame room = batch.room();
  esp::Sealed sealed;
  const Verdict verdict =
      esp::seal(ciphers_, *via.sa, spi, nextHeader, payload, {room.data(), room.capacity - room.start}, sealed);
  if (sealed.softExpiry || via.softPending.load(std::memory_order_relaxed)) {
    const bool told = shared_.events.push(EventType::SoftExpiry, [&](Event& event) {
      event.spi = via.sa->spi();
      event.peer = via.peer->hit;
    });
    via.softPending.store(!told, std::memory_order_relaxed);
  }
  if (verdict != Verdict::Ok) return verdict;
  room.length = sealed.length;
  batch.add(room, destination, static_cast<std::uint32_t>(at));
  stats_.count(Tally::TxPackets);
  stats_.count(Tally::TxBytes, sealed.length);
  return Verdict::Ok;
}

void Worker::flush() {
  for (SendBatch& batch : sends_) {
    if (batch.empty()) continue;
    const auto failed = [this](std::uint32_t at, std::size_t length, int error) { refused(at, length, error); };
    stats_.count(Tally::SendCalls, batch.flush(failed));
  }
}

void Worker::refused(std::size_t at, std::size_t espLength, int error) {
  const Slot& packet = slots_[at];
  if (error == EMSGSIZE) {
    // The kernel has learnt of a smaller path MTU, by ICMP or by a change of route (RFC 1191, RFC 8201).
    OutboundSa& sa = *packet.via->sa;
    const Path& path = packet.via->destination.load()->path;
    std::uint32_t mtu = refreshMtu(*packet.via, monotonicNow());
    const std::size_t outer = espLength + outerHeaders(outerShape(path));
    if (mtu == 0 || outer <= mtu) {
      // It does not say how small: step down, so that no size is refused for ever.
      mtu = outer > 1280 ? 1280 : 576;
      sa.pathMtu.store(mtu, std::memory_order_relaxed);
    }
    stats_.count(Verdict::TooBig);
    std::size_t limit = innerMtu(mtu, outerShape(path), sa.shape(), packet.family);
    if (packet.family == InnerFamily::Hit) limit = std::max(limit, beet::kIpv6MinMtu);
    answer(IcmpError::TooBig, packet.original.view(), limit);
    return;
  }
  const bool noRoute = error == ENETUNREACH || error == EHOSTUNREACH || error == ENETDOWN || error == EADDRNOTAVAIL;
  stats_.count(noRoute ? Verdict::NoRoute : Verdict::SendFailed);
}

void Worker::answer(IcmpError error, View offending, std::size_t mtu) {
  if (!shared_.icmp.take(monotonicNow())) {
    stats_.count(Verdict::RateLimited);
    return;
  }
  std::array<std::uint8_t, kMaxIcmpError> message;
  const std::size_t length = buildIcmpError(error, offending, mtu, message);
  if (length == 0) return;
  stats_.count(toTun({message.data(), length}) == Verdict::Ok ? Verdict::Answered : Verdict::TunWriteFailed);
}

}  // namespace hipd
