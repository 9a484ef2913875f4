// A virtio-net header and a packet as nobody sane would send them: cut where that is possible, and joined again.
#include <cstdlib>
#include <memory>
#include <vector>

#include "../coalesce.h"
#include "../segment.h"

using namespace hipd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < sizeof(VirtioHeader)) return 0;
  VirtioHeader header;
  std::memcpy(&header, data, sizeof header);
  // Exactly as large as promised, so that a sanitizer sees every step too far.
  const std::size_t length = size - sizeof header;
  std::vector<std::uint8_t> packet(data + sizeof header, data + size);
  packet.resize(length + kSpoil);
  InnerView view;
  if (parseInner({packet.data(), length}, view) != Verdict::Ok) return 0;
  Super super;
  if (settleOffload(header, {packet.data(), view.totalLength}, view, super) != Verdict::Ok || super.count == 0)
    return 0;

  static const InnerPair pair = InnerPair::make(Hit{}, Hit{{1}}, Lsi{}, Lsi{{1}});
  static std::size_t shown = 0;
  static const auto coalescer =
      std::make_unique<Coalescer>([](void*, const Departure& departure) { shown += departure.count; }, nullptr);
  shown = 0;
  const Bytes payload = Bytes(packet).subspan(view.baseLength, view.totalLength - std::size_t{view.baseLength});
  Segmenter segmenter(payload, super.without(view.baseLength), pair.hitSum);
  std::vector<std::vector<std::uint8_t>> segments;
  Bytes segment;
  while (segmenter.next(segment)) {
    segments.emplace_back(segment.begin(), segment.end());
    std::memset(segment.data() + segment.size(), 0xff, kSpoil);
  }
  if (segments.size() != super.count) abort();
  std::size_t added = 0;
  for (auto& one : segments) {
    const std::size_t upper = super.upper - std::size_t{view.baseLength};
    const Bytes rest = Bytes(one).subspan(upper);
    if (!Coalescer::takes(super.protocol, rest)) abort();
    const InnerFamily family = (data[0] & 2) != 0 ? InnerFamily::Lsi : InnerFamily::Hit;
    if (coalescer->add({&pair, &pair, family, 0, 64, super.protocol, rest}) == Verdict::Ok) added++;
  }
  coalescer->flush();
  if (shown != added) abort();
  return 0;
}
