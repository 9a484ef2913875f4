#include "reassembly.h"

#include "checksum.h"

namespace hipd {

IcmpReassembly::IcmpReassembly() {
  // Memory that is not touched costs nothing, so all of it is there from the start.
  for (Message& message : messages_) message.memory.reset(new std::uint8_t[kRoom + kMaxPacket + kTailroom]);
}

Verdict IcmpReassembly::addPacket(const Hit& peer, View packet, const InnerView& view, std::uint32_t now,
                                  Frame& whole) {
  Message& message = messageFor(true, peer, view.fragmentId, now);
  if (view.first) {
    message.headerLength = view.baseLength;
    std::memcpy(message.header.data(), packet.data(), view.baseLength);
  }
  const Verdict verdict = add(message, view, packet.subspan(view.upperOffset, view.upperLength()));
  if (verdict != Verdict::Ok) return verdict;
  const std::size_t length = message.headerLength + message.total;
  if (length > kMaxPacket) {
    forget(message);
    return Verdict::FragmentBad;
  }
  message.active = false;
  whole = {message.memory.get(), kRoom + kMaxPacket + kTailroom, kRoom - message.headerLength, length};
  std::uint8_t* const header = whole.data();
  std::memcpy(header, message.header.data(), message.headerLength);
  store16(header + 2, static_cast<std::uint32_t>(length));
  store16(header + 6, 0);
  store16(header + 10, 0);
  store16(header + 10, checksumOf(sumBytes(View(header, message.headerLength))));
  return Verdict::Ok;
}

Verdict IcmpReassembly::addPayload(const Hit& peer, View payload, const InnerView& view, std::uint32_t now,
                                   Frame& whole) {
  // Behind the fragment header the message must begin at once: nothing else is translated.
  if (view.first && view.upperOffset != view.fragmentHeaderOffset + 8) return Verdict::InnerExtensions;
  Message& message = messageFor(false, peer, view.fragmentId, now);
  const Verdict verdict = add(message, view, payload.subspan(view.upperOffset, view.upperLength()));
  if (verdict != Verdict::Ok) return verdict;
  message.active = false;
  whole = {message.memory.get(), kRoom + kMaxPacket + kTailroom, kRoom, message.total};
  return Verdict::Ok;
}

std::uint32_t IcmpReassembly::takeLost() {
  const std::uint32_t lost = lost_;
  lost_ = 0;
  return lost;
}

IcmpReassembly::Message& IcmpReassembly::messageFor(bool outbound, const Hit& peer, std::uint32_t id,
                                                    std::uint32_t now) {
  Message* place = &messages_[0];
  for (Message& message : messages_) {
    if (message.active && now - message.since > kPatience) forget(message);
    if (message.active && message.outbound == outbound && message.id == id && message.peer == peer) return message;
    if (!place->active) continue;
    if (!message.active || now - message.since > now - place->since) place = &message;
  }
  if (place->active) forget(*place);
  place->active = true;
  place->outbound = outbound;
  place->peer = peer;
  place->id = id;
  place->since = now;
  place->fragments = 0;
  place->total = place->received = place->reach = place->headerLength = 0;
  place->units.reset();
  return *place;
}

void IcmpReassembly::forget(Message& message) {
  lost_ += message.fragments;
  message.active = false;
}

Verdict IcmpReassembly::add(Message& message, const InnerView& view, View data) {
  const std::size_t offset = view.fragmentOffset;
  const std::size_t end = offset + data.size();
  bool bad = data.empty() || end > kLargest || (view.moreFragments && data.size() % kUnit != 0);
  // Nothing may reach behind the end, whichever of the two comes first.
  if (!view.moreFragments) bad = bad || message.reach > end;
  bad = bad || (message.total != 0 && end > message.total);
  // Overlaps are never honest (RFC 5722 4).
  for (std::size_t unit = offset / kUnit; !bad && unit * kUnit < end; unit++) bad = message.units.test(unit);
  if (bad) {
    forget(message);
    return Verdict::FragmentBad;
  }
  for (std::size_t unit = offset / kUnit; unit * kUnit < end; unit++) message.units.set(unit);
  std::memcpy(message.memory.get() + kRoom + offset, data.data(), data.size());
  message.fragments++;
  message.received += data.size();
  if (end > message.reach) message.reach = end;
  if (!view.moreFragments) message.total = end;
  return message.total != 0 && message.received == message.total ? Verdict::Ok : Verdict::Pending;
}

}  // namespace hipd
