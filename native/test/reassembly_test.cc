// Fragmented pings between LSIs: put together, translated, split again and put together at the other end.
#include "../reassembly.h"

#include "../beet.h"
#include "packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

const InnerPair kPair = InnerPair::make(hitAt(fromHex("2001002200112233445566778899aabb").data()),
                                        hitAt(fromHex("20010022fedcba9876543210f0e1d2c3").data()),
                                        lsiAt(fromHex("c6120a01").data()), lsiAt(fromHex("c613c8fe").data()));

Octets echo(std::size_t size) {
  Octets packet(20);
  packet[0] = 0x45;
  packet[1] = 0x20;
  store16(packet.data() + 2, static_cast<std::uint32_t>(20 + size));
  store16(packet.data() + 4, 0xbeef);
  packet[8] = 64;
  packet[9] = proto::kIcmp;
  std::memcpy(packet.data() + 12, kPair.localLsi.bytes.data(), 4);
  std::memcpy(packet.data() + 16, kPair.peerLsi.bytes.data(), 4);
  store16(packet.data() + 10, checksumOf(sumBytes(packet)));
  Octets message = Dice(size).bytes(size);
  message[0] = 8;
  message[1] = message[2] = message[3] = 0;
  store16(message.data() + 2, checksumOf(sumBytes(message)));
  packet.insert(packet.end(), message.begin(), message.end());
  return packet;
}

/// IPv4 fragments of a packet, `size` bytes of data each.
std::vector<Octets> split(const Octets& packet, std::size_t size) {
  std::vector<Octets> parts;
  for (std::size_t at = 20; at < packet.size(); at += size) {
    const std::size_t length = std::min(size, packet.size() - at);
    Octets part(packet.begin(), packet.begin() + 20);
    store16(part.data() + 2, static_cast<std::uint32_t>(20 + length));
    store16(part.data() + 6, static_cast<std::uint32_t>((at - 20) / 8 | (at + length < packet.size() ? 0x2000U : 0)));
    part.insert(part.end(), packet.begin() + static_cast<std::ptrdiff_t>(at),
                packet.begin() + static_cast<std::ptrdiff_t>(at + length));
    parts.push_back(part);
  }
  return parts;
}

Verdict add(IcmpReassembly& reassembly, const Octets& part, Frame& whole, std::uint32_t now = 1) {
  InnerView view;
  CHECK_VERDICT(parseInner(part, view), Ok);
  CHECK(IcmpReassembly::wantsPacket(view));
  return reassembly.addPacket(kPair.peerHit, part, view, now, whole);
}

void testPing() {
  Dice dice(3);
  for (const std::size_t size : {16U, 1500U, 3008U, 9000U, 65515U}) {
    for (int order = 0; order < 3; order++) {
      IcmpReassembly out;
      IcmpReassembly in;
      const Octets packet = echo(size);
      std::vector<Octets> parts = split(packet, size < 100 ? 8 : 1432);
      if (order == 1) std::reverse(parts.begin(), parts.end());
      if (order == 2) std::swap(parts[0], parts[dice.below(parts.size())]);
      Frame whole;
      for (std::size_t i = 0; i + 1 < parts.size(); i++) CHECK_VERDICT(add(out, parts[i], whole), Pending);
      CHECK_VERDICT(add(out, parts.back(), whole), Ok);
      CHECK_BYTES(whole.view(), packet);

      InnerView view;
      CHECK_VERDICT(parseInner(whole.view(), view), Ok);
      beet::Outbound hints;
      CHECK_VERDICT(beet::outbound(whole, view, kPair, hints), Ok);
      CHECK(hints.mayFragment);
      CHECK_EQ(hints.fragmentId, 0xbeefU);
      // The other end, in another order again.
      const Octets payload(whole.bytes().begin(), whole.bytes().end());
      std::vector<Octets> sent;
      beet::Fragmenter fragmenter(payload, hints, 1438, hints.fragmentId);
      std::uint8_t nextHeader = 0;
      std::array<View, 2> pieces;
      while (fragmenter.next(nextHeader, pieces)) {
        Octets one(pieces[0].begin(), pieces[0].end());
        one.insert(one.end(), pieces[1].begin(), pieces[1].end());
        sent.push_back(one);
      }
      if (order == 1) std::reverse(sent.begin(), sent.end());
      Verdict verdict = Verdict::Pending;
      for (const Octets& one : sent) {
        CHECK_VERDICT(verdict, Pending);
        CHECK_VERDICT(parsePayload(proto::kFragment, one, view), Ok);
        if (sent.size() == 1) {
          whole = {};
          break;
        }
        CHECK(IcmpReassembly::wantsPayload(view));
        verdict = in.addPayload(kPair.localHit, one, view, 1, whole);
      }
      if (sent.size() == 1) continue;
      CHECK_VERDICT(verdict, Ok);
      CHECK_VERDICT(parsePayload(proto::kIcmp6, whole.view(), view), Ok);
      const InnerPair other = InnerPair::make(kPair.peerHit, kPair.localHit, kPair.peerLsi, kPair.localLsi);
      beet::Presentation how;
      how.family = InnerFamily::Lsi;
      CHECK_VERDICT(beet::inbound(whole, proto::kIcmp6, view, other, how), Ok);
      CHECK(checksumsRight(whole.view()));
      CHECK_BYTES(whole.view().subspan(20), View(packet).subspan(20));
      CHECK_EQ(out.takeLost() + in.takeLost(), 0U);
    }
  }
  passed("pings of every size, in every order");
}

void testNonsense() {
  Frame whole;
  const auto parts = split(echo(3000), 1000);
  {
    IcmpReassembly one;
    CHECK_VERDICT(add(one, parts[0], whole), Pending);
    CHECK_VERDICT(add(one, parts[0], whole), FragmentBad);  // an overlap
    CHECK_EQ(one.takeLost(), 1U);
    CHECK_VERDICT(add(one, parts[1], whole), Pending);
    CHECK_VERDICT(add(one, parts[2], whole), Pending);  // the first is missing again
  }
  {
    IcmpReassembly one;
    Octets early = parts[1];
    early[6] = static_cast<std::uint8_t>(early[6] & ~0x20);  // "I am the last", before another one
    CHECK_VERDICT(add(one, parts[2], whole), Pending);
    CHECK_VERDICT(add(one, early, whole), FragmentBad);
  }
  {
    IcmpReassembly one;
    Octets early = parts[1];
    early[6] = static_cast<std::uint8_t>(early[6] & ~0x20);
    CHECK_VERDICT(add(one, early, whole), Pending);
    CHECK_VERDICT(add(one, parts[2], whole), FragmentBad);  // behind the end
  }
  {
    IcmpReassembly one;
    const auto more = split(echo(4000), 1000);
    Octets early = more[1];
    early[6] = static_cast<std::uint8_t>(early[6] & ~0x20);
    CHECK_VERDICT(add(one, more[2], whole), Pending);
    CHECK_VERDICT(add(one, early, whole), FragmentBad);  // an end before what is there already
    CHECK_VERDICT(add(one, early, whole), Pending);
    CHECK_VERDICT(add(one, more[2], whole), FragmentBad);  // more to come, behind the end
  }
  {
    IcmpReassembly one;
    Octets odd = parts[0];
    odd.pop_back();
    store16(odd.data() + 2, static_cast<std::uint32_t>(odd.size()));
    CHECK_VERDICT(add(one, odd, whole), FragmentBad);
    Octets far = parts[2];
    store16(far.data() + 6, 0x1fff);
    CHECK_VERDICT(add(one, far, whole), FragmentBad);
    Octets empty(parts[2].begin(), parts[2].begin() + 20);
    store16(empty.data() + 2, 20);
    CHECK_VERDICT(add(one, empty, whole), FragmentBad);
  }
  passed("fragments that contradict each other");
}

void testLimits() {
  Frame whole;
  IcmpReassembly some;
  auto parts = split(echo(2000), 1000);
  // One message more than there are places: the oldest goes.
  for (std::uint32_t i = 0; i <= IcmpReassembly::kMessages; i++) {
    store16(parts[0].data() + 4, i);
    CHECK_VERDICT(add(some, parts[0], whole, 10 + i / 3), Pending);
  }
  CHECK_EQ(some.takeLost(), 1U);
  CHECK_EQ(some.takeLost(), 0U);
  store16(parts[1].data() + 4, 1);
  CHECK_VERDICT(add(some, parts[1], whole, 12), Ok);  // the second oldest is still there
  store16(parts[1].data() + 4, 6);
  CHECK_VERDICT(add(some, parts[1], whole, 12), Ok);  // and so is a new one
  store16(parts[1].data() + 4, IcmpReassembly::kMessages);
  CHECK_VERDICT(add(some, parts[1], whole, 12), Ok);
  // The rest is too old: the last fragment begins a message of its own.
  store16(parts[1].data() + 4, IcmpReassembly::kMessages - 1);
  CHECK_VERDICT(add(some, parts[1], whole, 100), Pending);
  CHECK_EQ(some.takeLost(), IcmpReassembly::kMessages - 3);
  // Another peer's fragments of the same number are others.
  IcmpReassembly two;
  InnerView view;
  CHECK_VERDICT(parseInner(parts[0], view), Ok);
  CHECK_VERDICT(two.addPacket(kPair.peerHit, parts[0], view, 1, whole), Pending);
  store16(parts[1].data() + 4, load16(parts[0].data() + 4));
  CHECK_VERDICT(parseInner(parts[1], view), Ok);
  CHECK_VERDICT(two.addPacket(kPair.localHit, parts[1], view, 1, whole), Pending);
  CHECK_VERDICT(two.addPacket(kPair.peerHit, parts[1], view, 1, whole), Ok);
  passed("bounded in number and time");
}

}  // namespace

int main() {
  testPing();
  testNonsense();
  testLimits();
  return 0;
}
