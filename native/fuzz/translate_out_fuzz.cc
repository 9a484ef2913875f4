// Packets from the TUN device to ESP payloads, fragmented, and back at the other end.
// Input: one byte of choices, one of the fragments' size, then the packet.
#include "translate.h"

using namespace hipd;
using namespace hipd::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 4096) return 0;
  const InnerPair& pair = fuzzPair();
  Octets packet(data + 2, data + size);
  InnerView view;
  if (parseInner(packet, view) != Verdict::Ok) return 0;
  const bool v4 = view.family == InnerFamily::Lsi;
  if ((data[0] & 1U) != 0) {
    // Deeper than a fuzzer could guess: the right addresses, and those of an embedded packet.
    std::memcpy(packet.data() + (v4 ? 12 : 8), v4 ? pair.localLsi.bytes.data() : pair.localHit.bytes.data(),
                v4 ? 4 : 16);
    std::memcpy(packet.data() + (v4 ? 16 : 24), v4 ? pair.peerLsi.bytes.data() : pair.peerHit.bytes.data(),
                v4 ? 4 : 16);
    if (v4 && view.icmpError && view.upperLength() >= 28) {
      std::uint8_t* const embedded = packet.data() + view.upperOffset + 8;
      std::memcpy(embedded + 12, pair.peerLsi.bytes.data(), 4);
      std::memcpy(embedded + 16, pair.localLsi.bytes.data(), 4);
    }
  }
  const std::size_t checksumAt = view.upperOffset + 2U;
  if ((data[0] & 2U) != 0 && view.protocol == proto::kIcmp && view.upperLength() >= 8) {
    store16(packet.data() + checksumAt, 0);
    const View message = View(packet).subspan(view.upperOffset, view.upperLength());
    store16(packet.data() + checksumAt, checksumOf(sumBytes(message)));
  }
  PacketBuffer buffer(packet, (data[0] & 4U) != 0 ? 8 : 0, 0);
  beet::Outbound out;
  if (parseInner(packet, view) != Verdict::Ok) return 0;
  if (beet::outbound(buffer.frame, view, pair, out) != Verdict::Ok) return 0;
  const Octets payload(buffer.frame.bytes().begin(), buffer.frame.bytes().end());

  if (out.mayFragment) {
    beet::Fragmenter fragmenter(payload, out, data[1], 7);
    std::uint8_t nextHeader = 0;
    std::array<View, 2> pieces;
    std::size_t carried = 0;
    while (fragmenter.next(nextHeader, pieces)) {
      if (pieces[0].size() + pieces[1].size() > data[1]) std::abort();
      carried += pieces[1].size();
    }
    const std::size_t wanted = payload.size() - (out.nextHeader == proto::kFragment ? 8U : 0U);
    if (data[1] >= 16 && payload.size() >= 8 && carried != wanted) std::abort();
  }

  const InnerPair other = otherEnd(pair);
  for (const InnerFamily family : {InnerFamily::Hit, InnerFamily::Lsi}) {
    PacketBuffer arrived(payload, 40, 0);
    InnerView arrivedView;
    if (parsePayload(out.nextHeader, payload, arrivedView) != Verdict::Ok) continue;
    beet::Presentation how;
    how.family = family;
    if (beet::inbound(arrived.frame, out.nextHeader, arrivedView, other, how) != Verdict::Ok) continue;
    checkInbound(arrived.frame, family);
    // What was right stays right, in either family.
    if (checksumsRight(packet) && !view.icmpError && !checksumsRight(arrived.frame.view())) std::abort();
  }
  return 0;
}
