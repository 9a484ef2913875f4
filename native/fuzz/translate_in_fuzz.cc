// ESP payloads of an authentic but hostile peer to TUN packets.
// Input: one byte of choices, one of Next Header, then the payload.
#include "../flow.h"
#include "translate.h"

using namespace hipd;
using namespace hipd::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static FlowTable flows(64, {1, 2});
  if (size < 2 || size > 4096) return 0;
  const InnerPair& pair = fuzzPair();
  const std::uint8_t nextHeader = data[1];
  Octets payload(data + 2, data + size);
  InnerView view;
  if (parsePayload(nextHeader, payload, view) != Verdict::Ok) return 0;
  if (view.protocol == proto::kIcmp6 && view.upperLength() >= 8) {
    std::uint8_t* const message = payload.data() + view.upperOffset;
    if ((data[0] & 1U) != 0 && view.icmpError && view.upperLength() >= 48) {
      std::memcpy(message + 16, pair.localHit.bytes.data(), 16);
      std::memcpy(message + 32, pair.peerHit.bytes.data(), 16);
    }
    if ((data[0] & 2U) != 0) {
      store16(message + 2, 0);
      const std::uint64_t pseudo = pair.hitSum + sumPseudo(proto::kIcmp6, view.upperLength());
      store16(message + 2, checksumOf(sumBytes(View(message, view.upperLength()), pseudo)));
    }
  }
  for (const InnerFamily family : {InnerFamily::Hit, InnerFamily::Lsi}) {
    PacketBuffer buffer(payload, 40, 0);
    beet::Presentation how;
    how.family = family;
    how.trafficClass = data[0];
    flows.decide(pair.peerHit, view, buffer.frame.view(), family, data[0]);
    if (beet::inbound(buffer.frame, nextHeader, view, pair, how) != Verdict::Ok) continue;
    checkInbound(buffer.frame, family);
    // An error is built anew, so its checksum is right whatever was in it.
    InnerView shown;
    parseInner(buffer.frame.view(), shown);
    if (shown.icmpError && family == InnerFamily::Lsi && !checksumsRight(buffer.frame.view())) std::abort();
  }
  return 0;
}
