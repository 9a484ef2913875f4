// BEET translation: vectors made without translating, checksums from scratch, round trips, hostile lengths.
#include "../beet.h"

#include "packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

InnerPair testPair() {
  const auto hit = [](const char* text) { return hitAt(fromHex(text).data()); };
  const auto lsi = [](const char* text) { return lsiAt(fromHex(text).data()); };
  return InnerPair::make(hit("2001002200112233445566778899aabb"), hit("20010022fedcba9876543210f0e1d2c3"),
                         lsi("c6120a01"), lsi("c613c8fe"));
}

/// The other end of the same association.
InnerPair swapped(const InnerPair& pair) {
  return InnerPair::make(pair.peerHit, pair.localHit, pair.peerLsi, pair.localLsi);
}

Verdict goOut(Frame& frame, const InnerPair& pair, beet::Outbound& out) {
  InnerView view;
  if (const Verdict verdict = parseInner(frame.view(), view); verdict != Verdict::Ok) return verdict;
  return beet::outbound(frame, view, pair, out);
}

Verdict comeIn(Frame& frame, std::uint8_t nextHeader, const InnerPair& pair, const beet::Presentation& how) {
  InnerView view;
  if (const Verdict verdict = parsePayload(nextHeader, frame.view(), view); verdict != Verdict::Ok) return verdict;
  return beet::inbound(frame, nextHeader, view, pair, how);
}

InnerFamily familyOf(const Vector& vector) {
  return vector.text("family") == "lsi" ? InnerFamily::Lsi : InnerFamily::Hit;
}

void testVectors() {
  const InnerPair pair = testPair();
  int passedCases = 0;
  int drops = 0;
  for (const Vector& vector : readVectors("beet.txt")) {
    const bool out = vector.text("way") == "out";
    const std::string label =
        "line " + std::to_string(vector.line) + ", " + vector.text("way") + ": " + vector.text("name");
    PacketBuffer buffer(out ? vector.hex("packet") : vector.hex("payload"));
    const std::size_t startBefore = buffer.frame.start;
    const std::size_t endBefore = buffer.frame.start + buffer.frame.length;
    beet::Outbound result;
    beet::Presentation how;
    how.family = familyOf(vector);
    how.trafficClass = 0x2e;
    how.hopLimit = 61;
    const Verdict verdict =
        out ? goOut(buffer.frame, pair, result)
            : comeIn(buffer.frame, static_cast<std::uint8_t>(vector.number("next-header")), pair, how);
    if (vector.has("drop")) {
      if (verdictName(verdict) != vector.text("drop")) {
        std::cerr << label << ": " << verdictName(verdict) << ", not " << vector.text("drop") << "\n";
        fail(__FILE__, __LINE__, "wrong drop");
      }
      drops++;
      continue;
    }
    checkVerdict(verdict, Verdict::Ok, __FILE__, __LINE__, label.c_str());
    checkBytes(buffer.frame.view(), vector.hex(out ? "payload" : "packet"), __FILE__, __LINE__, label.c_str());
    CHECK(buffer.frame.start + (out ? 8 : 40) >= startBefore);
    CHECK(buffer.frame.start + buffer.frame.length <= endBefore);
    if (out) CHECK_EQ(std::uint64_t{result.nextHeader}, vector.number("next-header"));
    if (!out) CHECK(checksumsRight(buffer.frame.view()));
    passedCases++;
  }
  CHECK(passedCases > 200);
  CHECK(drops > 30);
  passed("vectors in both directions and families");
}

/// What the packet's outer side learns.
void testOutboundHints() {
  const InnerPair pair = testPair();
  for (const Vector& vector : readVectors("beet.txt")) {
    if (vector.text("name") != "tcp, odd" || vector.text("way") != "out") continue;
    const Octets packet = vector.hex("packet");
    PacketBuffer buffer(packet);
    beet::Outbound out;
    CHECK_VERDICT(goOut(buffer.frame, pair, out), Ok);
    CHECK_EQ(out.trafficClass, 0xb8);
    CHECK_EQ(out.hopLimit, 17);
    CHECK(out.family == familyOf(vector));
    CHECK(out.dontFragment);
    CHECK_EQ(out.mayFragment, familyOf(vector) == InnerFamily::Hit);
    // The header in front of the payload can still be quoted.
    CHECK_BYTES(buffer.frame.view().subspan(0, 0), View());
    const std::size_t base = familyOf(vector) == InnerFamily::Lsi ? 20 : 40;
    CHECK_BYTES(View(buffer.frame.data() - base, base), View(packet).first(base));
  }
  passed("traffic class, hop limit, DF and family");
}

/// Every vector, cut off at each length and with each header byte changed: a verdict, never a step outside.
void testHostile() {
  const InnerPair pair = testPair();
  Dice dice(11);
  for (const Vector& vector : readVectors("beet.txt")) {
    const bool out = vector.text("way") == "out";
    const Octets whole = out ? vector.hex("packet") : vector.hex("payload");
    const auto nextHeader = static_cast<std::uint8_t>(out ? 0 : vector.number("next-header"));
    const auto run = [&](View bytes) {
      for (const InnerFamily family : {InnerFamily::Hit, InnerFamily::Lsi}) {
        PacketBuffer buffer(bytes, 48, 0);
        beet::Outbound result;
        beet::Presentation how;
        how.family = family;
        const Verdict verdict = out ? goOut(buffer.frame, pair, result) : comeIn(buffer.frame, nextHeader, pair, how);
        if (verdict == Verdict::Ok && !out) {
          InnerView view;
          CHECK_VERDICT(parseInner(buffer.frame.view(), view), Ok);
          CHECK_EQ(std::size_t{view.totalLength}, buffer.frame.length);
        }
      }
    };
    for (std::size_t length = 0; length < whole.size() && length < 140; length++) run(View(whole).first(length));
    for (std::size_t i = 0; i < whole.size() && i < 140; i++) {
      for (const std::uint8_t value : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{0x2c}, std::uint8_t{0xff},
                                       static_cast<std::uint8_t>(dice.next())}) {
        Octets changed = whole;
        changed[i] = value;
        run(changed);
      }
    }
  }
  passed("cut off at each length, lying in each byte");
}

void testNoHeadroom() {
  const InnerPair pair = testPair();
  for (const Vector& vector : readVectors("beet.txt")) {
    if (vector.has("drop")) continue;
    const bool out = vector.text("way") == "out";
    for (std::size_t headroom = 0; headroom < 41; headroom++) {
      PacketBuffer buffer(out ? vector.hex("packet") : vector.hex("payload"), headroom, 0);
      beet::Outbound result;
      beet::Presentation how;
      how.family = familyOf(vector);
      const Verdict verdict =
          out ? goOut(buffer.frame, pair, result)
              : comeIn(buffer.frame, static_cast<std::uint8_t>(vector.number("next-header")), pair, how);
      CHECK(verdict == Verdict::Ok || verdict == Verdict::BufferSmall);
      if (headroom == 40) CHECK_VERDICT(verdict, Ok);
    }
  }
  passed("too little headroom is a verdict");
}

/// IPv4 at one end, IPv4 at the other: the same packet, whatever its checksum was.
void testRoundTrip() {
  const InnerPair pair = testPair();
  const InnerPair other = swapped(pair);
  Dice dice(5);
  int count = 0;
  for (int i = 0; i < 4000; i++) {
    static constexpr std::uint8_t protocols[] = {6, 17, 33, 136, 132, 47, 1};
    const std::uint8_t protocol = protocols[dice.below(sizeof protocols)];
    Octets packet(20);
    Octets upper = dice.bytes(24 + dice.below(200));
    if (protocol == 1) {
      upper[0] = dice.below(2) == 0 ? 8 : 0;
      upper[1] = 0;
    }
    // A UDP checksum of zero is filled in, and in ffff and 0 the same sum has two names.
    if (protocol == 17 && (load16(upper.data() + 6) == 0 || load16(upper.data() + 6) == 0xffff)) continue;
    packet.insert(packet.end(), upper.begin(), upper.end());
    packet[0] = 0x45;
    packet[8] = 64;
    packet[9] = protocol;
    packet[6] = 0x40;
    store16(packet.data() + 2, static_cast<std::uint32_t>(packet.size()));
    std::memcpy(packet.data() + 12, pair.localLsi.bytes.data(), 4);
    std::memcpy(packet.data() + 16, pair.peerLsi.bytes.data(), 4);
    store16(packet.data() + 10, checksumOf(sumBytes(View(packet).first(20))));
    PacketBuffer buffer(packet);
    beet::Outbound out;
    CHECK_VERDICT(goOut(buffer.frame, pair, out), Ok);
    // No LSI is on the wire, and nothing grew.
    CHECK_EQ(buffer.frame.length, packet.size() - 20);
    beet::Presentation how;
    how.family = InnerFamily::Lsi;
    CHECK_VERDICT(comeIn(buffer.frame, out.nextHeader, other, how), Ok);
    Octets back(buffer.frame.bytes().begin(), buffer.frame.bytes().end());
    if (protocol == 6 || protocol == 33 || protocol == 1) {
      // In one's complement 0 and ffff are one number; a wrong checksum stays as wrong as it was.
      const std::size_t at = 20 + (protocol == 6 ? 16U : protocol == 33 ? 6U : 2U);
      if (load16(packet.data() + at) == 0xffff || load16(packet.data() + at) == 0) continue;
    }
    if (protocol == 136 && (load16(packet.data() + 26) == 0 || load16(packet.data() + 26) == 0xffff)) continue;
    CHECK_BYTES(back, packet);
    count++;
  }
  CHECK(count > 3500);
  passed("round trips of any checksum");
}

void testFragmenter() {
  const InnerPair pair = testPair();
  Dice dice(9);
  for (int round = 0; round < 300; round++) {
    const std::size_t size = 1 + dice.below(4000);
    const std::size_t capacity = 16 + dice.below(1500);
    const Octets data = dice.bytes(size);
    Octets payload;
    beet::Outbound out;
    out.nextHeader = proto::kUdp;
    std::size_t base = 0;
    const bool part = round % 3 == 0;
    const bool more = part && round % 2 == 0 && size % 8 == 0;
    if (part) {
      // Already a fragment: it must become smaller ones of the same datagram.
      base = 8 * dice.below(1000);
      payload = {proto::kUdp, 0, 0, 0, 0, 0, 0x12, 0x34};
      store16(payload.data() + 2, static_cast<std::uint32_t>(base | (more ? 1U : 0U)));
      out.nextHeader = proto::kFragment;
    }
    payload.insert(payload.end(), data.begin(), data.end());
    beet::Fragmenter fragmenter(payload, out, capacity, 0x1234);
    std::uint8_t nextHeader = 0;
    std::array<View, 2> pieces;
    Octets together;
    bool last = false;
    while (fragmenter.next(nextHeader, pieces)) {
      CHECK(!last);
      CHECK_EQ(nextHeader, proto::kFragment);
      CHECK(pieces[0].size() + pieces[1].size() <= capacity);
      CHECK_EQ(pieces[0][0], proto::kUdp);
      CHECK_EQ(load32(pieces[0].data() + 4), 0x1234U);
      const unsigned word = load16(pieces[0].data() + 2);
      CHECK_EQ(std::size_t{word & 0xfff8U}, base + together.size());
      together.insert(together.end(), pieces[1].begin(), pieces[1].end());
      last = together.size() == data.size();
      CHECK_EQ((word & 1U) != 0, !last || more);
      if (!last) CHECK_EQ(pieces[1].size() % 8, 0U);
    }
    CHECK_BYTES(together, data);
  }
  beet::Outbound out;
  out.nextHeader = proto::kUdp;
  const Octets data(100);
  beet::Fragmenter impossible(data, out, 15, 1);
  std::uint8_t nextHeader = 0;
  std::array<View, 2> pieces;
  CHECK(!impossible.next(nextHeader, pieces));
  static_cast<void>(pair);
  passed("fragments carry everything once and fit");
}

/// A message of zeros: the one case where 0 and ffff in ICMP's checksum differ.
void testZeroEcho() {
  const InnerPair pair = testPair();
  Octets packet(20 + 24);
  packet[0] = 0x45;
  packet[3] = 44;
  packet[8] = 64;
  packet[9] = proto::kIcmp;
  std::memcpy(packet.data() + 12, pair.localLsi.bytes.data(), 4);
  std::memcpy(packet.data() + 16, pair.peerLsi.bytes.data(), 4);
  packet[22] = packet[23] = 0xff;
  store16(packet.data() + 10, checksumOf(sumBytes(View(packet).first(20))));
  CHECK(checksumsRight(packet));
  PacketBuffer buffer(packet);
  beet::Outbound out;
  CHECK_VERDICT(goOut(buffer.frame, pair, out), Ok);
  beet::Presentation how;
  how.family = InnerFamily::Lsi;
  CHECK_VERDICT(comeIn(buffer.frame, out.nextHeader, swapped(pair), how), Ok);
  CHECK(checksumsRight(buffer.frame.view()));
  passed("an echo of zeros");
}

void testNoLsi() {
  const InnerPair pair = testPair();
  const InnerPair bare = InnerPair::make(pair.localHit, pair.peerHit);
  Octets packet(28);
  packet[0] = 0x45;
  packet[3] = 28;
  packet[9] = proto::kSctp;
  PacketBuffer buffer(packet);
  beet::Outbound out;
  CHECK_VERDICT(goOut(buffer.frame, bare, out), LsiUnknown);
  beet::Presentation how;
  how.family = InnerFamily::Lsi;
  PacketBuffer payload(Octets(12));
  CHECK_VERDICT(comeIn(payload.frame, proto::kSctp, bare, how), LsiUnknown);
  how.family = InnerFamily::Hit;
  PacketBuffer shown(Octets(12));
  CHECK_VERDICT(comeIn(shown.frame, proto::kSctp, bare, how), Ok);
  PacketBuffer huge(Octets(65535 - 39), 64, 0);
  CHECK_VERDICT(comeIn(huge.frame, proto::kSctp, pair, how), InnerHeader);
  how.family = InnerFamily::Lsi;
  PacketBuffer huge4(Octets(65535 - 19), 64, 0);
  CHECK_VERDICT(comeIn(huge4.frame, proto::kSctp, pair, how), InnerHeader);
  PacketBuffer largest(Octets(65535 - 20), 64, 0);
  CHECK_VERDICT(comeIn(largest.frame, proto::kSctp, pair, how), Ok);
  passed("no LSI, no IPv4; no packet above 65535 bytes");
}

void testChecksumArithmetic() {
  Dice dice(2);
  for (int i = 0; i < 20000; i++) {
    Octets data = dice.bytes(2 * dice.below(40) + 2);
    if (i % 7 == 0) std::fill(data.begin(), data.end(), static_cast<std::uint8_t>(i % 2 == 0 ? 0 : 0xff));
    CHECK_EQ(std::uint32_t{foldSum(sumBytes(data))}, slowSum(data));
    const std::uint16_t before = checksumOf(sumBytes(data));
    const std::size_t at = 2 * dice.below(data.size() / 2);
    const std::uint16_t removed = load16(data.data() + at);
    const auto added = static_cast<std::uint16_t>(dice.next());
    store16(data.data() + at, added);
    const std::uint16_t after = adjustChecksum(before, removed, added);
    const std::uint16_t wanted = checksumOf(sumBytes(data));
    // Zero has two forms; both make the sum right.
    CHECK(after == wanted || (foldSum(std::uint64_t{after} + sumBytes(data)) == 0xffff));
  }
  for (std::size_t length = 0; length < 70; length++) {
    const Octets data = dice.bytes(length);
    CHECK_EQ(std::uint32_t{foldSum(sumBytes(data))}, slowSum(data));
  }
  passed("checksum arithmetic");
}

}  // namespace

int main() {
  testChecksumArithmetic();
  testVectors();
  testOutboundHints();
  testRoundTrip();
  testFragmenter();
  testZeroEcho();
  testNoLsi();
  testNoHeadroom();
  testHostile();
  return 0;
}
