// From the TUN device to the wire.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "checksum.h"
#include "esp.h"
#include "worker.h"

namespace hipd {

namespace {
/// ESP's header, IV, trailer and ICV at most.
constexpr std::size_t kMaxOverhead = 64;
/// The same with outer headers.
constexpr std::size_t kMostAround = kMaxOverhead + 48;

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
  while (shared_.probes.requests().pop([&](const Probes::Request& request) { probe(request); })) {
  }
}

Verdict Worker::outbound(std::size_t at, Frame frame, const VirtioHeader& header) {
  InnerView view;
  const Verdict parsed = parseInner(frame.view(), view);
  if (parsed != Verdict::Ok) return parsed;
  frame.length = view.totalLength;
  Super super;
  const Verdict settled = settleOffload(header, frame.bytes(), view, super);
  if (settled != Verdict::Ok) return settled;
  if (super.count == 0 && frame.length > kMaxDatagram) return Verdict::TooBig;
  Peer* peer = view.family == InnerFamily::Hit ? shared_.routes.byHit(destinationHit(frame.view()))
                                               : shared_.routes.byLsi(destinationLsi(frame.view()));
  if (peer == nullptr) return withoutPeer(frame, view);
  const auto wait = [&] {
    if (super.count == 0) return hold(*peer, frame);
    return each(frame, view, super, [&](Frame segment, const InnerView&) { return hold(*peer, segment); });
  };
  OutboundRoute* via = peer->via.load();
  if (via != nullptr) {
    // Packets that waited leave first.
    if (peer->hold.waiting.load(std::memory_order_relaxed) > 0) settle(*peer);
    if (peer->hold.waiting.load(std::memory_order_relaxed) > 0) return wait();
    const std::size_t around = std::max<std::size_t>(super.count, 1) * kMostAround;
    if (!affords(*peer, *via, frame.length + around)) return wait();
    if (super.count != 0) {
      stats_.count(Tally::SuperReads);
      return transmitSuper(at, frame, view, super, *peer, *via);
    }
    return transmit(at, frame, view, *peer, *via);
  }
  switch (peer->mode.load()) {
    case Mode::Demand:
    case Mode::Send:
      return wait();
    case Mode::Reject:
      answer(IcmpError::HostUnreachable, frame.view(), 0);
      return Verdict::Rejected;
    case Mode::Unknown:
      break;
  }
  return withoutPeer(frame, view);
}

template <class Take>
Verdict Worker::each(Frame frame, const InnerView& view, const Super& super, Take&& take) {
  const bool v6 = view.family == InnerFamily::Hit;
  const std::uint16_t addresses = v6 ? sumAddresses(sourceHit(frame.view()), destinationHit(frame.view()))
                                     : sumAddresses(sourceLsi(frame.view()), destinationLsi(frame.view()));
  Segmenter segmenter(frame.bytes(), super, addresses, v6 ? Segmenter::Base::Ipv6 : Segmenter::Base::Ipv4);
  Bytes segment;
  Verdict verdict = Verdict::Ok;
  for (bool first = true; segmenter.next(segment); first = false) {
    if (!first) stats_.count(verdict);
    InnerView own;
    verdict = parseInner(segment, own);
    const auto start = static_cast<std::size_t>(segment.data() - frame.buffer);
    if (verdict == Verdict::Ok) verdict = take({frame.buffer, frame.capacity, start, segment.size()}, own);
  }
  return verdict;
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
  out.trafficClass = classOf(out.trafficClass);
  SendBatch& batch = batchFor(destination.path);
  const Spi spi = sa.spiFor(out.family);
  const std::size_t capacity = maxPayload(pathMtu, outer, sa.shape());
  sent(peer);
  if (FlowLog* log = flowLog_.load(std::memory_order_acquire)) [[unlikely]] {
    logSent(*log, at, view, peer, 1, view.totalLength);
  }
  if (frame.length <= capacity) {
    const View payload = frame.view();
    return sealInto(batch, at, via, destination, spi, out, out.nextHeader, {&payload, 1});
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
    verdict = sealInto(batch, at, via, destination, spi, out, nextHeader, pieces);
    if (verdict != Verdict::Ok) break;
  }
  return verdict;
}

Verdict Worker::transmitSuper(std::size_t at, Frame frame, const InnerView& view, const Super& super, Peer& peer,
                              OutboundRoute& via) {
  OutboundSa& sa = *via.sa;
  const Destination& destination = *via.destination.load();
  const OuterShape outer = outerShape(destination.path);
  const std::uint32_t pathMtu = sa.pathMtu.load(std::memory_order_relaxed);
  const auto oneByOne = [&] {
    return each(frame, view, super,
                [&](Frame segment, const InnerView& own) { return transmitCopy(segment, own, peer, via); });
  };
  if (!destination.verified) return oneByOne();
  const std::size_t largest = std::size_t{super.header} + super.size;
  const std::size_t capacity = std::min(maxPayload(pathMtu, outer, sa.shape()), kMaxDatagram - kMaxOverhead);
  if (largest - view.baseLength > capacity) {
    // The path became smaller than the local stack knows. Segments that may be split are, the others' sender is told.
    const bool split = view.family == InnerFamily::Lsi ? !view.dontFragment : largest <= beet::kIpv6MinMtu;
    if (split) return oneByOne();
    std::size_t limit = innerMtu(pathMtu, outer, sa.shape(), view.family);
    if (view.family == InnerFamily::Hit) limit = std::max(limit, beet::kIpv6MinMtu);
    answer(IcmpError::TooBig, frame.view(), limit);
    stats_.count(Verdict::TooBig, super.count - 1U);
    return Verdict::TooBig;
  }
  if (sa.lsiSpi() == 0) {
    shared_.flows.remember(outboundFlow(peer.hit, view), view.family, static_cast<std::uint32_t>(nowMs_ / 1000));
  }
  slots_[at] = {&via, frame, view.family};
  const InnerPair& pair = *via.pair.load();
  beet::Outbound out;
  const std::size_t before = frame.start;
  const Verdict translated = beet::outbound(frame, view, pair, out);
  if (translated != Verdict::Ok) {
    if (translated == Verdict::InnerAddress) answer(IcmpError::Prohibited, slots_[at].original.view(), 0);
    return translated;
  }
  sent(peer);
  if (FlowLog* log = flowLog_.load(std::memory_order_acquire)) [[unlikely]] {
    logSent(*log, at, view, peer, super.count, view.totalLength + (super.count - 1U) * super.header);
  }
  OutboundSa::Run run;
  if (const Verdict verdict = sa.reserve(super.count, run); verdict != Verdict::Ok) return verdict;
  checkExpiry(via, run.softExpiry);
  Cipher* const cipher = ciphers_.find(sa.keys());
  if (cipher == nullptr) return Verdict::SealFailed;

  out.trafficClass = classOf(out.trafficClass);
  SendBatch& batch = batchFor(destination.path);
  const Spi spi = sa.spiFor(out.family);
  Segmenter segmenter(frame.bytes(), super.without(frame.start - before), pair.hitSum);
  Bytes segment;
  std::uint64_t sealedBytes = 0;
  std::uint64_t plainBytes = 0;
  std::uint64_t sequence = run.first;
  Verdict verdict = Verdict::Ok;
  for (; segmenter.next(segment); sequence++) {
    if (batch.full()) flush();
    std::size_t length = 0;
    verdict = esp::sealSpoiling(*cipher, sa.shape(), {spi, sequence}, out.nextHeader, segment, batch.room(), length);
    if (verdict != Verdict::Ok) break;
    batch.add(length, destination, out.trafficClass, static_cast<std::uint32_t>(at));
    sealedBytes += length;
    plainBytes += segment.size();
  }
  const std::uint64_t sealed = sequence - run.first;
  sa.counters.add(sealed, plainBytes);
  stats_.count(Tally::TxPackets, sealed);
  stats_.count(Tally::TxBytes, sealedBytes);
  if (sealed > 1) stats_.count(Verdict::Ok, sealed - 1);
  return verdict;
}

Verdict Worker::transmitCopy(Frame segment, const InnerView& view, Peer& peer, OutboundRoute& via) {
  // Leaves before the next segment takes its place.
  Frame copy = slot(kSlots - 1);
  if (segment.length > kMaxDatagram) return Verdict::TooBig;
  flush();
  std::memcpy(copy.data(), segment.data(), segment.length);
  copy.length = segment.length;
  const Verdict verdict = transmit(kSlots - 1, copy, view, peer, via);
  flush();
  return verdict;
}

void Worker::logSent(FlowLog& log, std::size_t at, const InnerView& view, const Peer& peer, std::size_t packets,
                     std::size_t bytes) {
  const Frame& original = slots_[at].original;
  const bool ends = original.buffer != nullptr && endsFlow(view, original.view());
  if (!log.count(outboundName(peer.hit, view), packets, bytes, ends, nowMs_)) stats_.count(Tally::FlowsMissed, packets);
}

void Worker::checkExpiry(OutboundRoute& via, bool softExpiry) {
  if (!softExpiry && !via.softPending.load(std::memory_order_relaxed)) return;
  const bool told = shared_.events.push(EventType::SoftExpiry, [&](Event& event) {
    event.spi = via.sa->spi();
    event.peer = via.peer->hit;
  });
  via.softPending.store(!told, std::memory_order_relaxed);
}

Verdict Worker::sealInto(SendBatch& batch, std::size_t at, OutboundRoute& via, const Destination& destination, Spi spi,
                         const beet::Outbound& out, std::uint8_t nextHeader, Pieces payload) {
  if (batch.full()) flush();
  if (!destination.verified) {
    std::size_t length = 0;
    for (const View& piece : payload) length += piece.size();
    const std::size_t size = outerLength(length, outerShape(destination.path), via.sa->shape());
    if (!via.peer->credit.spend(static_cast<std::int64_t>(size))) return Verdict::Credit;
    stats_.count(Tally::CreditSpent, size);
  }
  esp::Sealed sealed;
  const Verdict verdict = esp::seal(ciphers_, *via.sa, spi, nextHeader, payload, batch.room(), sealed);
  checkExpiry(via, sealed.softExpiry);
  if (verdict != Verdict::Ok) return verdict;
  batch.add(sealed.length, destination, out.trafficClass, static_cast<std::uint32_t>(at));
  stats_.count(Tally::TxPackets);
  stats_.count(Tally::TxBytes, sealed.length);
  return Verdict::Ok;
}

void Worker::flush() {
  for (SendBatch& batch : sends_) {
    if (batch.empty()) continue;
    const auto failed = [this](std::uint32_t at, std::size_t length, int error) { refused(at, length, error); };
    stats_.count(Tally::MessagesSent, batch.messages());
    const std::uint64_t divided = batch.divided();
    stats_.count(Tally::SendCalls, batch.flush(failed));
    if (batch.divided() == divided) continue;
    stats_.count(Tally::MessagesDivided, batch.divided() - divided);
    if (!dividing_) {
      shared_.events.note("the kernel refuses messages of many datagrams (offload gso): they leave one by one, slower");
    }
    dividing_ = true;
  }
}

void Worker::refused(std::size_t at, std::size_t espLength, int error) {
  Slot& packet = slots_[at];
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
    // One super-packet has one sender, who needs to hear it once.
    if (packet.told) return;
    packet.told = true;
    answer(IcmpError::TooBig, packet.original.view(), limit);
    return;
  }
  const bool noRoute = error == ENETUNREACH || error == EHOSTUNREACH || error == ENETDOWN || error == EADDRNOTAVAIL;
  // Not by that interface any more: what comes next goes as the kernel likes.
  if (noRoute || error == ENODEV) packet.via->destination.load()->interface.store(0, std::memory_order_relaxed);
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
