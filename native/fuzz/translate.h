// What the two translation targets share.
#pragma once

#include "../beet.h"
#include "../checksum.h"
#include "../test/packets.h"

namespace hipd::test {

inline const InnerPair& fuzzPair() {
  static const InnerPair pair = InnerPair::make(hitAt(fromHex("2001002200112233445566778899aabb").data()),
                                                hitAt(fromHex("20010022fedcba9876543210f0e1d2c3").data()),
                                                lsiAt(fromHex("c6120a01").data()), lsiAt(fromHex("c613c8fe").data()));
  return pair;
}

inline InnerPair otherEnd(const InnerPair& pair) {
  return InnerPair::make(pair.peerHit, pair.localHit, pair.peerLsi, pair.localLsi);
}

/// The checks that hold for whatever inbound lets through.
inline void checkInbound(const Frame& frame, InnerFamily family) {
  InnerView view;
  if (parseInner(frame.view(), view) != Verdict::Ok) std::abort();
  if (view.family != family || view.totalLength != frame.length) std::abort();
  if (family == InnerFamily::Lsi && slowSum(frame.view().first(view.baseLength)) != 0xffff) std::abort();
}

}  // namespace hipd::test
