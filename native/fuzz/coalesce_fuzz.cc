// A stream of payloads as a hostile peer could seal them: joined, written, and cut again, each must come out as it went
// in and in its flow's order. Input: for each payload one byte of choices, one of its length, then transport header and
// data.
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

#include "../checksum.h"
#include "../coalesce.h"
#include "../segment.h"
#include "../test/packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

const InnerPair& pairOfAll() {
  static const InnerPair pair = InnerPair::make(Hit{{0x20, 1, 0, 0x22, 1}}, Hit{{0x20, 1, 0, 0x22, 2}});
  return pair;
}

/// Traffic class, protocol and ports, and what goes in or comes out of such a flow.
using Flows = std::map<std::uint64_t, std::vector<Octets>>;

/// Packets of one flow and different classes are compared in one list: their order counts, too.
std::uint64_t keyOf(std::uint8_t protocol, View upper) {
  return (std::uint64_t{protocol} << 32) | load32(upper.data());
}

Octets withClass(std::uint8_t trafficClass, View upper) {
  Octets all{trafficClass};
  all.insert(all.end(), upper.begin(), upper.end());
  return all;
}

void take(void* context, const Departure& departure) {
  Flows& out = *static_cast<Flows*>(context);
  // Exactly as large as it is, so that a sanitizer sees every step too far.
  Octets all;
  for (const iovec& piece : departure.pieces) {
    const auto* bytes = static_cast<const std::uint8_t*>(piece.iov_base);
    all.insert(all.end(), bytes, bytes + piece.iov_len);
  }
  VirtioHeader header;
  std::memcpy(&header, all.data(), sizeof header);
  PacketBuffer buffer(View(all).subspan(sizeof header), 0, kSpoil);
  InnerView view;
  if (parseInner(buffer.frame.view(), view) != Verdict::Ok || view.totalLength != buffer.frame.length) std::abort();
  Super super;
  if (settleOffload(header, buffer.frame.bytes(), view, super) != Verdict::Ok) std::abort();
  if (super.count != (departure.count == 1 ? 0 : departure.count)) std::abort();
  const auto keep = [&](View packet) {
    const View upper = packet.subspan(view.upperOffset);
    out[keyOf(view.protocol, upper)].push_back(withClass(view.trafficClass, upper));
  };
  if (super.count == 0) return keep(buffer.frame.view());
  Segmenter segmenter(buffer.frame.bytes(), super, pairOfAll().hitSum, Segmenter::Base::Ipv6);
  for (Bytes segment; segmenter.next(segment);) {
    if (!checksumsRight(segment)) std::abort();
    keep(segment);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Flows in;
  Flows out;
  const auto coalescer = std::make_unique<Coalescer>(take, &out);
  std::vector<std::unique_ptr<Octets>> kept;
  std::uint32_t next = 0;
  for (std::size_t at = 0; at + 2 <= size;) {
    const std::uint8_t choices = data[at];
    const std::size_t length = std::min<std::size_t>(data[at + 1], size - at - 2);
    auto upper = std::make_unique<Octets>(data + at + 2, data + at + 2 + length);
    at += 2 + length;
    const std::uint8_t protocol = (choices & 1U) != 0 ? proto::kTcp : proto::kUdp;
    if (!Coalescer::takes(protocol, *upper)) continue;
    std::uint8_t* const p = upper->data();
    const std::size_t header = protocol == proto::kTcp ? (p[12] >> 4) * 4U : 8U;
    // Deeper than a fuzzer could guess: the sequence number that comes next, the length, the checksum.
    if ((choices & 2U) != 0 && protocol == proto::kTcp) store32(p + 4, next);
    if ((choices & 2U) != 0 && protocol == proto::kUdp) store16(p + 4, static_cast<std::uint32_t>(length));
    if (protocol == proto::kTcp) next = load32(p + 4) + static_cast<std::uint32_t>(length - header);
    if ((choices & 4U) != 0) {
      std::uint8_t* const field = p + (protocol == proto::kTcp ? 16 : 6);
      store16(field, 0);
      const std::uint16_t sum = checksumOf(slowSum(*upper) + pairOfAll().hitSum + sumPseudo(protocol, length));
      store16(field, sum == 0 && protocol == proto::kUdp ? 0xffffU : sum);
    }
    const std::uint8_t trafficClass = choices >> 6;
    in[keyOf(protocol, *upper)].push_back(withClass(trafficClass, *upper));
    const Arrival arrival{&in, &pairOfAll(), InnerFamily::Hit, trafficClass, beet::kHopLimit, protocol, Bytes(*upper)};
    if (coalescer->add(arrival) != Verdict::Ok) std::abort();
    kept.push_back(std::move(upper));
    if ((choices & 8U) != 0) coalescer->flush();
  }
  coalescer->flush();
  // A checksum of TCP has two forms of zero; a sum over a non-zero header never has the other one.
  if (in != out) std::abort();
  return 0;
}
