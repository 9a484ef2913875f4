// Super-packets: what is cut is what TCP and UDP would have sent, and what is joined can be cut into the same packets
// again. Checked against a slow second opinion that builds each packet on its own.
#include <algorithm>
#include <memory>
#include <random>

#include "../coalesce.h"
#include "../segment.h"
#include "packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

const Hit kLocal{{0x20, 0x01, 0, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
const Hit kPeer{{0x20, 0x01, 0, 0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
const Lsi kLocalLsi{{198, 18, 0, 1}};
const Lsi kPeerLsi{{198, 18, 0, 2}};
std::mt19937 chance(7);

std::size_t roll(std::size_t least, std::size_t most) {
  return least + chance() % (most - least + 1);
}

/// A transport header (of `options` more bytes) and data. The checksum is over the HIT pseudo header.
Octets upperLayer(std::uint8_t protocol, std::uint32_t sequence, std::uint8_t flags, std::size_t options, View data,
                  const InnerPair& pair) {
  Octets upper(protocol == proto::kTcp ? 20 + options : 8);
  store16(upper.data(), 1234);
  store16(upper.data() + 2, 80);
  if (protocol == proto::kTcp) {
    store32(upper.data() + 4, sequence);
    store32(upper.data() + 8, 0x01020304);
    upper[12] = static_cast<std::uint8_t>((5 + options / 4) << 4);
    upper[13] = flags;
    store16(upper.data() + 14, 500);
    std::fill(upper.begin() + 20, upper.end(), std::uint8_t{1});
  } else {
    store16(upper.data() + 4, static_cast<std::uint32_t>(8 + data.size()));
  }
  upper.insert(upper.end(), data.begin(), data.end());
  const std::uint16_t checksum = checksumOf(sumBytes(upper, pair.hitSum + sumPseudo(protocol, upper.size())));
  const bool udp = protocol == proto::kUdp;
  store16(upper.data() + (udp ? 6 : 16), udp && checksum == 0 ? 0xffffU : checksum);
  return upper;
}

std::vector<Octets> cut(Octets bytes, const Super& super, std::uint16_t sum) {
  bytes.resize(bytes.size() + kSpoil, 0xee);
  Segmenter segmenter({bytes.data(), bytes.size() - kSpoil}, super, sum);
  std::vector<Octets> result;
  Bytes segment;
  while (segmenter.next(segment)) {
    result.emplace_back(segment.begin(), segment.end());
    // As ESP does with its trailer.
    std::memset(segment.data() + segment.size(), 0xaa, kSpoil);
  }
  return result;
}

void cutsAsTcpAndUdpWould() {
  const InnerPair pair = InnerPair::make(kLocal, kPeer);
  for (int round = 0; round < 3000; round++) {
    const bool tcp = roll(0, 1) == 0;
    const std::uint8_t protocol = tcp ? proto::kTcp : proto::kUdp;
    const std::size_t size = roll(0, 3) == 0 ? roll(1, 40) : roll(41, 1440);
    Octets data(roll(size + 1, std::min<std::size_t>(size * 40, 60000)));
    for (std::uint8_t& byte : data) byte = static_cast<std::uint8_t>(chance());
    const auto flags = static_cast<std::uint8_t>(chance());
    const std::size_t options = 4 * roll(0, 10);
    const auto sequence = static_cast<std::uint32_t>(0xfffff000u + chance() % 8192);
    const Octets whole = upperLayer(protocol, sequence, flags, options, data, pair);
    Super super;
    super.protocol = protocol;
    super.header = static_cast<std::uint16_t>(whole.size() - data.size());
    super.size = static_cast<std::uint16_t>(size);
    super.count = static_cast<std::uint16_t>((data.size() + size - 1) / size);
    const std::vector<Octets> segments = cut(whole, super, pair.hitSum);
    CHECK_EQ(segments.size(), std::size_t{super.count});
    for (std::size_t i = 0; i < segments.size(); i++) {
      const std::size_t at = i * size;
      std::uint8_t own = flags;
      if (i + 1 < segments.size()) own &= static_cast<std::uint8_t>(~0x09);  // FIN, PSH: the last
      if (i > 0) own &= 0x7f;                                                // CWR: the first
      const View part = View(data).subspan(at, std::min(size, data.size() - at));
      CHECK(segments[i] == upperLayer(protocol, sequence + static_cast<std::uint32_t>(at), own, options, part, pair));
    }
  }
  passed("segments are what TCP and UDP would have sent");
}

/// A virtio-net header may say what it likes: nothing is read beyond the packet, and nonsense is dropped.
void liesAreRefused() {
  const InnerPair pair = InnerPair::make(kLocal, kPeer);
  Octets packet(40);
  packet[0] = 0x60;
  packet[6] = proto::kTcp;
  std::copy(kLocal.bytes.begin(), kLocal.bytes.end(), packet.begin() + 8);
  std::copy(kPeer.bytes.begin(), kPeer.bytes.end(), packet.begin() + 24);
  const Octets upper = upperLayer(proto::kTcp, 1, 0x10, 0, Octets(3000), pair);
  packet.insert(packet.end(), upper.begin(), upper.end());
  store16(packet.data() + 4, static_cast<std::uint32_t>(upper.size()));
  const auto settle = [&](const VirtioHeader& header, Super& super) {
    Octets copy = packet;
    InnerView view;
    CHECK(parseInner(copy, view) == Verdict::Ok);
    return settleOffload(header, copy, view, super);
  };
  Super super;
  CHECK(settle({1, virtio::kGsoTcp6, 0, 1000, 0, 0}, super) == Verdict::Ok);
  CHECK_EQ(super.count, 3);
  CHECK_EQ(super.header, 60);
  CHECK(settle({1, virtio::kGsoTcp6, 0xffff, 3000, 0xffff, 0xffff}, super) == Verdict::OffloadHeader);
  CHECK(settle({0, virtio::kGsoTcp6, 0xffff, 3000, 0xffff, 0xffff}, super) == Verdict::Ok);
  CHECK_EQ(super.count, 0);
  CHECK(settle({1, virtio::kGsoTcp6, 0, 0, 0, 0}, super) == Verdict::OffloadHeader);
  CHECK(settle({1, virtio::kGsoTcp6, 0, 1, 0, 0}, super) == Verdict::OffloadHeader);  // too many
  CHECK(settle({1, virtio::kGsoTcp4, 0, 1000, 0, 0}, super) == Verdict::OffloadHeader);
  CHECK(settle({1, virtio::kGsoUdp, 0, 1000, 0, 0}, super) == Verdict::OffloadHeader);
  CHECK(settle({1, 77, 0, 1000, 0, 0}, super) == Verdict::OffloadHeader);
  CHECK(settle({1, virtio::kGsoNone, 0, 0, 40, 16}, super) == Verdict::Ok);
  CHECK(settle({1, virtio::kGsoNone, 0, 0, 39, 16}, super) == Verdict::OffloadHeader);
  CHECK(settle({1, virtio::kGsoNone, 0, 0, 40, static_cast<std::uint16_t>(packet.size() - 41)}, super) ==
        Verdict::OffloadHeader);
  CHECK(settle({1, virtio::kGsoNone, 0, 0, 0xffff, 0xffff}, super) == Verdict::OffloadHeader);
  for (const int offset : {0x00, 0x40, 0xf0}) {  // none, too short, 60 bytes
    packet[40 + 12] = static_cast<std::uint8_t>(offset);
    CHECK((settle({1, virtio::kGsoTcp6, 0, 1000, 0, 0}, super) == Verdict::Ok) == (offset == 0xf0));
  }
  passed("headers that lie are refused");
}

/// Writes down what a coalescer gives, cut again.
struct Shown {
  InnerFamily family;
  const InnerPair& pair;
  std::vector<Octets> uppers;
  std::size_t writes = 0;

  static void write(void* self, const Departure& departure) { static_cast<Shown*>(self)->take(departure); }
  void take(const Departure& departure) {
    writes++;
    Octets all;
    for (const iovec& piece : departure.pieces) {
      const auto* bytes = static_cast<const std::uint8_t*>(piece.iov_base);
      all.insert(all.end(), bytes, bytes + piece.iov_len);
    }
    VirtioHeader header;
    std::memcpy(&header, all.data(), sizeof header);
    all.erase(all.begin(), all.begin() + sizeof header);
    InnerView view;
    CHECK(parseInner(all, view) == Verdict::Ok);
    CHECK_EQ(std::size_t{view.totalLength}, all.size());
    CHECK(view.family == family);
    const std::uint16_t sum = family == InnerFamily::Hit ? pair.hitSum : pair.lsiSum;
    if (header.gsoType != virtio::kGsoNone) {
      // The checksum field holds the pseudo header's sum, for the kernel to finish.
      const std::size_t length = view.upperLength();
      CHECK_EQ(load16(all.data() + header.checksumStart + header.checksumOffset),
               foldSum(sum + sumPseudo(view.protocol, length)));
      CHECK_EQ(std::size_t{header.headerLength} + (departure.count - 1) * header.gsoSize < all.size(), true);
    }
    Super super;
    CHECK(settleOffload(header, all, view, super) == Verdict::Ok);
    Octets upper(all.begin() + view.upperOffset, all.end());
    if (super.count == 0) {
      CHECK_EQ(departure.count, 1u);
      uppers.push_back(upper);
    } else {
      CHECK_EQ(departure.count, std::size_t{super.count});
      for (Octets& one : cut(upper, super.without(view.upperOffset), sum)) uppers.push_back(std::move(one));
    }
  }
};

/// Any stream of one flow comes out as it went in.
void joinsNothingThatCannotBeCut(InnerFamily family) {
  const InnerPair pair = InnerPair::make(kLocal, kPeer, kLocalLsi, kPeerLsi);
  std::size_t packets = 0;
  std::size_t writes = 0;
  for (int round = 0; round < 2000; round++) {
    const std::uint8_t protocol = roll(0, 1) == 0 ? proto::kTcp : proto::kUdp;
    std::vector<Octets> sent;
    auto sequence = static_cast<std::uint32_t>(chance());
    const std::size_t usual = roll(1, 1400);
    for (std::size_t i = roll(1, 100); i > 0; i--) {
      Octets data(roll(0, 9) == 0 ? roll(0, usual + 20) : usual);
      for (std::uint8_t& byte : data) byte = static_cast<std::uint8_t>(chance());
      const auto flags = static_cast<std::uint8_t>(roll(0, 9) == 0 ? chance() : 0x10);
      sent.push_back(upperLayer(protocol, sequence, flags, roll(0, 19) == 0 ? 4 : 0, data, pair));
      sequence += static_cast<std::uint32_t>(data.size());
      if (roll(0, 29) == 0) sequence += 3;                                    // something was lost
      if (roll(0, 29) == 0) sent.back()[sent.back().size() - 1] ^= 1;         // a wrong checksum
      if (roll(0, 29) == 0 && protocol == proto::kTcp) sent.back()[15] ^= 1;  // a window without its checksum
    }
    Shown shown{family, pair, {}, 0};
    const auto coalescer = std::make_unique<Coalescer>(Shown::write, &shown);
    std::vector<Octets> buffers = sent;
    for (Octets& upper : buffers) {
      CHECK(Coalescer::takes(protocol, upper));
      const Arrival arrival{&pair, &pair, family, 0, 64, protocol, upper};
      CHECK(coalescer->add(arrival) == Verdict::Ok);
    }
    coalescer->flush();
    CHECK(coalescer->empty());
    CHECK_EQ(shown.uppers.size(), sent.size());
    for (std::size_t i = 0; i < sent.size(); i++) {
      Octets expected = sent[i];
      if (family == InnerFamily::Lsi) {
        std::uint8_t* const field = expected.data() + (protocol == proto::kTcp ? 16 : 6);
        const std::uint16_t moved = adjustChecksum(load16(field), pair.hitSum, pair.lsiSum);
        store16(field, protocol == proto::kUdp && moved == 0 ? 0xffffU : moved);
      }
      CHECK(toHex(shown.uppers[i]) == toHex(expected));
    }
    packets += sent.size();
    writes += shown.writes;
  }
  CHECK(writes * 2 < packets);
  passed(family == InnerFamily::Hit ? "joined HIT segments can be cut again" : "joined LSI segments can be cut again");
}

/// Two flows, and more than there is room for: each keeps its order.
void flowsKeepTheirOrder() {
  const InnerPair pair = InnerPair::make(kLocal, kPeer);
  std::vector<std::vector<std::uint8_t>> seen(kCoalesceGroups + 5);
  const auto write = [](void* context, const Departure& departure) {
    auto& all = *static_cast<std::vector<std::vector<std::uint8_t>>*>(context);
    const auto* head = static_cast<const std::uint8_t*>(departure.pieces[0].iov_base) + sizeof(VirtioHeader) + 40;
    auto& flow = all[load16(head) - 1000U];
    for (const iovec& piece : departure.pieces.subspan(1)) flow.push_back(*static_cast<std::uint8_t*>(piece.iov_base));
  };
  const auto coalescer = std::make_unique<Coalescer>(write, &seen);
  std::vector<std::vector<Octets>> kept(seen.size());
  for (std::uint8_t i = 0; i < 20; i++) {
    for (std::size_t flow = 0; flow < seen.size(); flow++) {
      Octets upper = upperLayer(proto::kUdp, 0, 0, 0, Octets(20, i), pair);
      store16(upper.data(), static_cast<std::uint32_t>(1000 + flow));
      store16(upper.data() + 6, 0xffff);  // mostly wrong: then nothing joins
      kept[flow].push_back(std::move(upper));
      CHECK(coalescer->add({&pair, &pair, InnerFamily::Hit, 0, 64, proto::kUdp, kept[flow].back()}) == Verdict::Ok);
    }
  }
  coalescer->flush();
  for (const auto& flow : seen) {
    CHECK_EQ(flow.size(), 20u);
    CHECK(std::is_sorted(flow.begin(), flow.end()));
  }
  passed("flows keep their order");
}

}  // namespace

int main() {
  cutsAsTcpAndUdpWould();
  liesAreRefused();
  joinsNothingThatCannotBeCut(InnerFamily::Hit);
  joinsNothingThatCannotBeCut(InnerFamily::Lsi);
  flowsKeepTheirOrder();
}
