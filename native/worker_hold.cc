// Packets that wait: for a base exchange, or for credit.
#include "worker.h"

namespace hipd {

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
      if (via != nullptr && !affords(peer, *via, via->sa->pathMtu.load(std::memory_order_relaxed))) {
        // They wait until the address is verified, or the peer sends more.
        flush();
        shared_.hold.abandonDrain(peer.hold);
        return;
      }
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

/// RFC 8046 5.6.1.
bool Worker::hasCredit(Peer& peer, std::size_t bytes) const {
  const auto wanted = static_cast<std::int64_t>(bytes);
  if (peer.credit.covers(wanted)) return true;
  InboundRoute* inbound = peer.inbound.load();
  if (inbound != nullptr) earnCredit(*inbound);
  return peer.credit.covers(wanted);
}

}  // namespace hipd
