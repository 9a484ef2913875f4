// Fragments of ICMP messages in any order, overlapping and lying. Input: four bytes a fragment: message and family,
// offset, length, and whether more follow.
#include "../reassembly.h"
#include "../test/packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

/// Every byte of a message says where it belongs.
std::uint8_t patternAt(std::size_t position) {
  return static_cast<std::uint8_t>(position * 7 + (position >> 8));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static IcmpReassembly reassembly;
  static std::uint32_t now = 0;
  now += 100;  // what earlier runs left is too old for this one
  for (std::size_t at = 0; at + 4 <= size && at < 400; at += 4) {
    const bool outbound = (data[at] & 0x80U) != 0;
    const std::size_t header = outbound ? 20 + (data[at] & 4U) : 8;
    InnerView view;
    view.fragment = true;
    view.fragmentId = data[at] & 3U;
    view.fragmentOffset = static_cast<std::uint16_t>(data[at + 1] * 8U * ((data[at] & 8U) != 0 ? 32U : 1U));
    view.first = view.fragmentOffset == 0;
    view.moreFragments = (data[at + 3] & 1U) != 0;
    view.baseLength = outbound ? static_cast<std::uint16_t>(header) : std::uint16_t{0};
    view.upperOffset = static_cast<std::uint16_t>(header);
    Octets packet(header, 0);
    packet[0] = static_cast<std::uint8_t>(0x40 + header / 4);
    const std::size_t length = data[at + 2] * ((data[at + 3] & 2U) != 0 ? 8U : 1U);
    for (std::size_t i = 0; i < length; i++) packet.push_back(patternAt(view.fragmentOffset + i));
    view.totalLength = static_cast<std::uint16_t>(packet.size());

    Frame whole;
    const Verdict verdict = outbound ? reassembly.addPacket(Hit{}, packet, view, now, whole)
                                     : reassembly.addPayload(Hit{}, packet, view, now, whole);
    if (verdict != Verdict::Ok) continue;
    if (whole.start < kHeadroom || whole.start + whole.length + kTailroom > whole.capacity) std::abort();
    std::size_t skipped = 0;
    if (outbound) {
      skipped = (whole.data()[0] & 15U) * 4U;
      if (load16(whole.data() + 2) != whole.length || load16(whole.data() + 6) != 0) std::abort();
      if (slowSum(whole.view().first(skipped)) != 0xffff) std::abort();
    }
    for (std::size_t i = skipped; i < whole.length; i++) {
      if (whole.data()[i] != patternAt(i - skipped)) std::abort();
    }
  }
  reassembly.takeLost();
  return 0;
}
