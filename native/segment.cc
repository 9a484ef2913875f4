#include "segment.h"

#include <algorithm>

#include "checksum.h"
#include "transport.h"

namespace hipd {
namespace {

/// The checksum that the kernel left to us.
Verdict finishChecksum(const VirtioHeader& header, Bytes packet, const InnerView& view) {
  const std::size_t start = header.checksumStart;
  const std::size_t field = start + header.checksumOffset;
  if (start < view.baseLength || field + 2 > packet.size()) return Verdict::OffloadHeader;
  const std::uint16_t checksum = checksumOf(sumBytes(packet.subspan(start)));
  // Both forms of zero are right; only this one means "there is a checksum" in UDP.
  store16(packet.data() + field, checksum == 0 ? 0xffffU : checksum);
  return Verdict::Ok;
}

bool typeFits(std::uint8_t type, const InnerView& view) {
  switch (type) {
    case virtio::kGsoTcp4:
    case virtio::kGsoTcp4 | virtio::kGsoEcn:
      return view.family == InnerFamily::Lsi && view.protocol == proto::kTcp;
    case virtio::kGsoTcp6:
    case virtio::kGsoTcp6 | virtio::kGsoEcn:
      return view.family == InnerFamily::Hit && view.protocol == proto::kTcp;
    case virtio::kGsoUdp:
      return view.protocol == proto::kUdp;
    default:
      return false;
  }
}

}  // namespace

Super Super::without(std::size_t stripped) const {
  Super result = *this;
  result.upper = static_cast<std::uint16_t>(upper - stripped);
  result.header = static_cast<std::uint16_t>(header - stripped);
  return result;
}

Verdict settleOffload(const VirtioHeader& header, Bytes packet, const InnerView& view, Super& super) {
  super = Super{};
  const bool unfinished = (header.flags & virtio::kNeedsChecksum) != 0;
  if (header.gsoType == virtio::kGsoNone) return unfinished ? finishChecksum(header, packet, view) : Verdict::Ok;
  if (!typeFits(header.gsoType, view) || view.fragment || header.gsoSize == 0) return Verdict::OffloadHeader;

  // The header's own lengths are hints of somebody else: only the packet tells where its data begins.
  const View upper = packet.subspan(view.upperOffset);
  std::size_t length = kUdpHeader;
  if (view.protocol == proto::kTcp) {
    if (upper.size() < kTcpHeader) return Verdict::OffloadHeader;
    length = (upper[12] >> 4) * 4U;
    if (length < kTcpHeader) return Verdict::OffloadHeader;
  }
  if (length > upper.size()) return Verdict::OffloadHeader;
  const std::size_t data = upper.size() - length;
  if (data <= header.gsoSize) return unfinished ? finishChecksum(header, packet, view) : Verdict::Ok;
  const std::size_t all = view.upperOffset + length;
  const std::size_t count = (data + header.gsoSize - 1) / header.gsoSize;
  if (all > kMaxSuperHeader || count > kMaxSegments) return Verdict::OffloadHeader;
  super.protocol = view.protocol;
  super.upper = view.upperOffset;
  super.header = static_cast<std::uint16_t>(all);
  super.size = header.gsoSize;
  super.count = static_cast<std::uint16_t>(count);
  // Every segment gets a checksum and its own length: a zero here must not be taken for "none", whose length would
  // count.
  if (view.protocol == proto::kUdp) store16(packet.data() + view.upperOffset + kUdpChecksum, 0xffff);
  return Verdict::Ok;
}

Segmenter::Segmenter(Bytes bytes, const Super& super, std::uint16_t addressSum, Base base)
    : bytes_(bytes), super_(super), base_(base), at_(super.header), sum_(addressSum) {
  std::memcpy(header_.data(), bytes.data(), super.header);
  std::uint8_t* const upper = header_.data() + super.upper;
  sum_ += super.protocol;
  // What all segments share is summed once; the fields that differ count as zero here.
  if (super.protocol == proto::kTcp) {
    sequence_ = load32(upper + 4);
    flags_ = upper[13];
    store32(upper + 4, 0);
    upper[13] = 0;
    store16(upper + kTcpChecksum, 0);
    sum_ = sumBytes(View(upper, super.header - std::size_t{super.upper}), sum_);
  } else {
    sum_ = sumBytes(View(upper, 4), sum_);
  }
}

bool Segmenter::next(Bytes& segment) {
  if (at_ >= bytes_.size()) return false;
  if (index_ > 0) std::memcpy(bytes_.data() + at_, spoiled_.data(), kSpoil);
  const std::size_t length = std::min<std::size_t>(super_.size, bytes_.size() - at_);
  const bool last = at_ + length == bytes_.size();
  // The header goes where the previous segment's data ended: that segment is done with.
  std::uint8_t* const start = bytes_.data() + at_ - super_.header;
  std::memcpy(start, header_.data(), super_.header);
  const View data(bytes_.data() + at_, length);
  if (super_.protocol == proto::kTcp) {
    patchTcp(start + super_.upper, data, index_ == 0, last);
  } else {
    patchUdp(start + super_.upper, data);
  }
  segment = {start, super_.header + length};
  if (base_ != Base::Payload) patchBase(start, segment.size());
  at_ += length;
  index_++;
  std::memcpy(spoiled_.data(), bytes_.data() + at_, kSpoil);
  return true;
}

/// FIN and PSH belong to the last segment, CWR to the first (RFC 3168 6.1.2: once).
void Segmenter::patchTcp(std::uint8_t* upper, View data, bool first, bool last) {
  std::uint8_t flags = flags_;
  if (!last) flags &= static_cast<std::uint8_t>(~(kFin | kPush));
  if (!first) flags &= static_cast<std::uint8_t>(~kCwr);
  store32(upper + 4, sequence_);
  upper[13] = flags;
  const std::size_t length = super_.header - std::size_t{super_.upper} + data.size();
  const std::uint64_t own = sum_ + (sequence_ >> 16) + (sequence_ & 0xffffU) + flags + length;
  store16(upper + kTcpChecksum, checksumOf(sumBytes(data, own)));
  sequence_ += static_cast<std::uint32_t>(data.size());
}

void Segmenter::patchUdp(std::uint8_t* upper, View data) {
  const std::size_t length = kUdpHeader + data.size();
  store16(upper + 4, static_cast<std::uint32_t>(length));
  // The length stands in the pseudo header and in the header.
  const std::uint16_t checksum = checksumOf(sumBytes(data, sum_ + 2 * length));
  store16(upper + kUdpChecksum, checksum == 0 ? 0xffffU : checksum);
}

void Segmenter::patchBase(std::uint8_t* base, std::size_t length) {
  if (base_ == Base::Ipv6) {
    store16(base + 4, static_cast<std::uint32_t>(length - 40));
    return;
  }
  const std::size_t header = (base[0] & 0x0fU) * 4U;
  store16(base + 2, static_cast<std::uint32_t>(length));
  store16(base + 4, load16(base + 4) + static_cast<std::uint32_t>(index_));
  store16(base + 10, 0);
  store16(base + 10, checksumOf(sumBytes(View(base, header))));
}

}  // namespace hipd
