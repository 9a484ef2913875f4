#include "coalesce.h"

#include <algorithm>

#include "checksum.h"
#include "translate.h"
#include "transport.h"

namespace hipd {
namespace {

/// What the last packet of a group may have and others may not.
constexpr std::uint8_t kTail = kFin | kPush;

std::size_t baseLength(InnerFamily family) {
  return family == InnerFamily::Hit ? 40 : 20;
}

std::size_t transportLength(std::uint8_t protocol, const std::uint8_t* upper) {
  return protocol == proto::kTcp ? (upper[12] >> 4) * 4U : kUdpHeader;
}

/// Over the HIT pseudo header, as it was on the wire.
bool checksumRight(const Arrival& arrival) {
  const Bytes upper = arrival.upper;
  return checksumOf(sumBytes(upper, arrival.pair->hitSum + sumPseudo(arrival.protocol, upper.size()))) == 0;
}

/// All of a TCP header that must be equal for a re-cut to give the same header: everything but sequence number,
/// checksum, FIN, PSH and CWR.
bool sameTcp(const std::uint8_t* a, const std::uint8_t* b, std::size_t length) {
  constexpr std::uint8_t compared = static_cast<std::uint8_t>(~(kTail | kCwr));
  return std::memcmp(a + 8, b + 8, 5) == 0 && ((a[13] ^ b[13]) & compared) == 0 &&
         std::memcmp(a + 14, b + 14, 2) == 0 && std::memcmp(a + 18, b + 18, length - 18) == 0;
}

/// Virtio-net header, inner base header and transport header of one packet.
struct Head {
  std::array<std::uint8_t, sizeof(VirtioHeader) + 40 + kMaxTcpHeader> bytes;
  std::size_t length = 0;

  std::uint8_t* base() { return bytes.data() + sizeof(VirtioHeader); }
  std::uint8_t* upper(InnerFamily family) { return base() + baseLength(family); }
  void build(const Arrival& arrival, std::size_t transport, std::size_t data, const VirtioHeader& header) {
    std::memcpy(bytes.data(), &header, sizeof header);
    const InnerPair& pair = *arrival.pair;
    if (arrival.family == InnerFamily::Hit) {
      beet::writeIpv6(base(), transport + data, arrival.trafficClass, arrival.protocol, arrival.hopLimit, pair.peerHit,
                      pair.localHit);
    } else {
      beet::writeIpv4(base(), 20 + transport + data, arrival.trafficClass, 0, beet::kDontFragment, arrival.hopLimit,
                      arrival.protocol, pair.peerLsi, pair.localLsi);
    }
    std::memcpy(upper(arrival.family), arrival.upper.data(), transport);
    length = sizeof header + baseLength(arrival.family) + transport;
  }
};

}  // namespace

bool Coalescer::takes(std::uint8_t nextHeader, View upper) {
  if (nextHeader == proto::kUdp) return upper.size() >= kUdpHeader;
  if (nextHeader != proto::kTcp || upper.size() < kTcpHeader) return false;
  const std::size_t length = transportLength(nextHeader, upper.data());
  return length >= kTcpHeader && length <= upper.size();
}

Verdict Coalescer::add(const Arrival& arrival) {
  if (arrival.family == InnerFamily::Lsi && !arrival.pair->hasLsi) return Verdict::LsiUnknown;
  if (arrival.upper.size() > kMaxPacket - baseLength(arrival.family)) return Verdict::InnerHeader;
  const std::uint8_t* const upper = arrival.upper.data();
  const std::size_t header = transportLength(arrival.protocol, upper);
  std::uint32_t ports;
  std::memcpy(&ports, upper, sizeof ports);
  Group* group = find(arrival, ports);
  if (group != nullptr && joins(*group, arrival, header)) {
    append(*group, arrival, header);
    return Verdict::Ok;
  }
  if (group != nullptr) group->complete = true;

  const std::size_t data = arrival.upper.size() - header;
  bool starts = data > 0;
  if (arrival.protocol == proto::kTcp) {
    starts = starts && tcp_ && (upper[13] & (kFin | kSyn | kReset | kPush | kUrgent)) == 0;
  } else {
    starts = starts && udp_ && load16(upper + 4) == arrival.upper.size() && load16(upper + kUdpChecksum) != 0;
  }
  begin(arrival, ports, header, !starts);
  return Verdict::Ok;
}

Coalescer::Group* Coalescer::find(const Arrival& arrival, std::uint32_t ports) {
  // The newest flow is the likeliest.
  for (std::size_t i = used_; i > 0; i--) {
    Group& group = groups_[order_[i - 1]];
    if (!group.complete && group.ports == ports && group.head.peer == arrival.peer &&
        group.head.protocol == arrival.protocol && group.head.family == arrival.family) {
      return &group;
    }
  }
  return nullptr;
}

bool Coalescer::joins(Group& group, const Arrival& arrival, std::size_t header) const {
  const Arrival& head = group.head;
  const std::uint8_t* const upper = arrival.upper.data();
  const std::size_t data = arrival.upper.size() - header;
  if (arrival.pair != head.pair || data == 0 || data > group.size || header != group.header ||
      arrival.trafficClass != head.trafficClass || arrival.hopLimit != head.hopLimit) {
    return false;
  }
  if (baseLength(head.family) + header + group.data + data > kMaxPacket) return false;
  if (arrival.protocol == proto::kTcp) {
    if (load32(upper + 4) != group.next || (upper[13] & kCwr) != 0) return false;
    if (!sameTcp(upper, head.upper.data(), header)) return false;
  } else if (load16(upper + 4) != arrival.upper.size() || load16(upper + kUdpChecksum) == 0) {
    return false;
  }
  // What is joined gets a new checksum, so a wrong one must not be joined: it would become right.
  if (group.sum == Group::Sum::Unknown) group.sum = checksumRight(head) ? Group::Sum::Right : Group::Sum::Wrong;
  return group.sum == Group::Sum::Right && checksumRight(arrival);
}

void Coalescer::append(Group& group, const Arrival& arrival, std::size_t header) {
  const Bytes data = arrival.upper.subspan(header);
  group.count++;
  group.pieces[group.count] = {data.data(), data.size()};
  group.data += data.size();
  bool last = data.size() < group.size || group.count == kCoalesceSegments;
  if (arrival.protocol == proto::kTcp) {
    group.next += static_cast<std::uint32_t>(data.size());
    group.tail = arrival.upper[13] & kTail;
    last = last || group.tail != 0;
  }
  // The next one would not fit any more.
  last = last || baseLength(group.head.family) + header + group.data + group.size > kMaxPacket;
  group.complete = last;
}

void Coalescer::begin(const Arrival& arrival, std::uint32_t ports, std::size_t header, bool complete) {
  if (used_ == kCoalesceGroups) {
    std::rotate(order_.begin(), order_.begin() + 1, order_.end());
    used_--;
    writeOut(groups_[order_[used_]]);
  }
  Group& group = groups_[order_[used_++]];
  const Bytes data = arrival.upper.subspan(header);
  group.head = arrival;
  group.ports = ports;
  group.next =
      arrival.protocol == proto::kTcp ? load32(arrival.upper.data() + 4) + static_cast<std::uint32_t>(data.size()) : 0;
  group.tail = 0;
  group.sum = Group::Sum::Unknown;
  group.header = header;
  group.size = data.size();
  group.data = data.size();
  group.count = 1;
  group.complete = complete;
  group.pieces[1] = {data.data(), data.size()};
}

void Coalescer::flush() {
  const std::size_t count = used_;
  used_ = 0;
  for (std::size_t i = 0; i < count; i++) writeOut(groups_[order_[i]]);
}

void Coalescer::writeOut(Group& group) {
  if (group.count == 1) return writeAlone(group.head);
  const Arrival& head = group.head;
  const InnerFamily family = head.family;
  const bool tcp = head.protocol == proto::kTcp;
  VirtioHeader header;
  header.flags = virtio::kNeedsChecksum;
  header.gsoType = virtio::kGsoUdp;
  if (tcp) {
    header.gsoType = family == InnerFamily::Hit ? virtio::kGsoTcp6 : virtio::kGsoTcp4;
    if ((head.upper[13] & kCwr) != 0) header.gsoType |= virtio::kGsoEcn;
  }
  header.headerLength = static_cast<std::uint16_t>(baseLength(family) + group.header);
  header.gsoSize = static_cast<std::uint16_t>(group.size);
  header.checksumStart = static_cast<std::uint16_t>(baseLength(family));
  header.checksumOffset = tcp ? kTcpChecksum : kUdpChecksum;
  Head out;
  out.build(head, group.header, group.data, header);
  std::uint8_t* const upper = out.upper(family);
  const std::size_t length = group.header + group.data;
  if (tcp) {
    upper[13] |= group.tail;
  } else {
    store16(upper + 4, static_cast<std::uint32_t>(length));
  }
  const std::uint16_t addresses = family == InnerFamily::Hit ? head.pair->hitSum : head.pair->lsiSum;
  store16(upper + header.checksumOffset, foldSum(addresses + sumPseudo(head.protocol, length)));
  group.pieces[0] = {out.bytes.data(), out.length};
  write_(context_, {{group.pieces.data(), group.count + 1}, group.count});
}

void Coalescer::writeAlone(const Arrival& arrival) {
  const std::size_t transport = transportLength(arrival.protocol, arrival.upper.data());
  const Bytes data = arrival.upper.subspan(transport);
  Head out;
  out.build(arrival, transport, data.size(), {});
  if (arrival.family == InnerFamily::Lsi) {
    // The checksum moves from one pseudo header to the other; a wrong one stays wrong.
    beet::moveChecksum(arrival.protocol, {out.upper(arrival.family), transport}, arrival.pair->hitSum,
                       arrival.pair->lsiSum);
  }
  const std::array<iovec, 2> pieces{{{out.bytes.data(), out.length}, {data.data(), data.size()}}};
  write_(context_, {{pieces.data(), data.empty() ? 1U : 2U}, 1});
}

}  // namespace hipd
