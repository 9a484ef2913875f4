// The parsed view, the flow table, ICMP messages and the verdicts' names.
#include <set>
#include <thread>

#include "../flow.h"
#include "../icmp.h"
#include "packets.h"

using namespace hipd;
using namespace hipd::test;

namespace {

const Hit kLocal = hitAt(fromHex("2001002200112233445566778899aabb").data());
const Hit kPeer = hitAt(fromHex("20010022fedcba9876543210f0e1d2c3").data());

Octets ipv6(std::uint8_t nextHeader, const Octets& payload, const Hit& source = kLocal,
            const Hit& destination = kPeer) {
  Octets packet(40);
  packet[0] = 0x6a;
  packet[1] = 0xb0;
  store16(packet.data() + 4, static_cast<std::uint32_t>(payload.size()));
  packet[6] = nextHeader;
  packet[7] = 9;
  std::memcpy(packet.data() + 8, source.bytes.data(), 16);
  std::memcpy(packet.data() + 24, destination.bytes.data(), 16);
  packet.insert(packet.end(), payload.begin(), payload.end());
  return packet;
}

Octets ipv4(std::uint8_t protocol, const Octets& payload, unsigned fragmentWord = 0x4000,
            const char* destination = "c613c8fe", const char* source = "c6120a01") {
  Octets packet(20);
  packet[0] = 0x45;
  packet[1] = 0xb8;
  store16(packet.data() + 2, static_cast<std::uint32_t>(20 + payload.size()));
  store16(packet.data() + 4, 0x7777);
  store16(packet.data() + 6, fragmentWord);
  packet[8] = 33;
  packet[9] = protocol;
  std::memcpy(packet.data() + 12, fromHex(source).data(), 4);
  std::memcpy(packet.data() + 16, fromHex(destination).data(), 4);
  store16(packet.data() + 10, checksumOf(sumBytes(packet)));
  packet.insert(packet.end(), payload.begin(), payload.end());
  return packet;
}

InnerView viewOf(View packet) {
  InnerView view;
  CHECK_VERDICT(parseInner(packet, view), Ok);
  return view;
}

void testView() {
  InnerView view = viewOf(ipv4(proto::kUdp, fromHex("0035c35000080000")));
  CHECK(view.family == InnerFamily::Lsi && view.protocol == proto::kUdp && view.dontFragment && !view.fragment);
  CHECK_EQ(view.sourcePort, 53);
  CHECK_EQ(view.destinationPort, 50000);
  CHECK_EQ(view.trafficClass, 0xb8);
  CHECK_EQ(view.hopLimit, 33);
  CHECK_EQ(view.totalLength, 28);
  CHECK_EQ(view.upperLength(), 8);

  view = viewOf(ipv4(proto::kUdp, Octets(16), 0x2000));
  CHECK(view.fragment && view.first && view.moreFragments && !view.dontFragment);
  view = viewOf(ipv4(proto::kUdp, fromHex("0035c35000080000"), 0x0005));
  CHECK(view.fragment && !view.first && !view.moreFragments);
  CHECK_EQ(view.fragmentOffset, 40);
  CHECK_EQ(view.fragmentId, 0x7777U);
  CHECK_EQ(view.sourcePort, 0);

  view = viewOf(ipv6(proto::kTcp, fromHex("01bbc35000000000")));
  CHECK(view.family == InnerFamily::Hit && view.protocol == proto::kTcp);
  CHECK_EQ(view.sourcePort, 443);
  CHECK_EQ(view.trafficClass, 0xab);
  CHECK_EQ(view.hopLimit, 9);

  // Hop-by-hop, destination options of 16 bytes, a first fragment, UDP.
  const Octets chain = fromHex("3c000104000000002c0101040000000000000000000000001100000100abcdef0035c35000080000");
  view = viewOf(ipv6(proto::kHopByHop, chain));
  CHECK_EQ(view.protocol, proto::kUdp);
  CHECK_EQ(view.firstHeader, proto::kHopByHop);
  CHECK_EQ(view.upperOffset, 72);
  CHECK_EQ(view.fragmentHeaderOffset, 64);
  CHECK_EQ(view.fragmentId, 0xabcdefU);
  CHECK(view.fragment && view.first && view.moreFragments && view.fragmentHeader);
  CHECK_EQ(view.destinationPort, 50000);

  view = viewOf(ipv6(proto::kIcmp6, fromHex("8000ffff12340001")));
  CHECK(!view.icmpError && view.icmpType == 128 && view.sourcePort == 0x1234 && view.destinationPort == 0x1234);
  view = viewOf(ipv6(proto::kIcmp6, fromHex("0104ffff00000000")));
  CHECK(view.icmpError && view.icmpType == 1 && view.icmpCode == 4);
  view = viewOf(ipv4(proto::kIcmp, fromHex("0b00ffff00000000")));
  CHECK(view.icmpError);
  view = viewOf(ipv6(proto::kNone, {}));
  CHECK_EQ(view.upperLength(), 0);
  passed("views of both families");
}

void testViewErrors() {
  InnerView view;
  CHECK_VERDICT(parseInner(View(), view), InnerTruncated);
  CHECK_VERDICT(parseInner(Octets{0x50}, view), InnerVersion);
  for (std::size_t length = 1; length < 28; length++) {
    CHECK_VERDICT(parseInner(View(ipv4(17, Octets(8))).first(length), view), InnerTruncated);
  }
  Octets bad = ipv4(17, Octets(8));
  bad[0] = 0x44;
  CHECK_VERDICT(parseInner(bad, view), InnerHeader);
  bad[0] = 0x4f;
  CHECK_VERDICT(parseInner(bad, view), InnerHeader);
  bad = ipv4(17, Octets(8));
  bad[3] = 19;
  CHECK_VERDICT(parseInner(bad, view), InnerHeader);
  for (std::size_t length = 1; length < 48; length++) {
    CHECK_VERDICT(parseInner(View(ipv6(17, Octets(8))).first(length), view), InnerTruncated);
  }
  CHECK_VERDICT(parseInner(ipv6(proto::kDestination, fromHex("1101010400000000")), view), InnerTruncated);
  Octets nine;
  for (int i = 0; i < 9; i++) {
    const Octets one = fromHex("3c00010400000000");
    nine.insert(nine.end(), one.begin(), one.end());
  }
  CHECK_VERDICT(parseInner(ipv6(proto::kDestination, nine), view), InnerExtensions);
  Octets jumbo = ipv6(17, Octets(8));
  store16(jumbo.data() + 4, 65500);
  CHECK_VERDICT(parseInner(jumbo, view), InnerHeader);
  // Bytes behind the packet's own length are not part of it.
  Octets longer = ipv4(17, Octets(8));
  longer.push_back(1);
  CHECK_EQ(viewOf(longer).totalLength, 28);
  passed("views of packets that are not right");
}

void testUnroutable() {
  const auto lsi = [](const char* text) { return lsiAt(fromHex(text).data()); };
  for (const char* address : {"00000000", "7f000001", "e0000001", "ffffffff"}) CHECK(isUnroutable(lsi(address)));
  for (const char* address : {"c6120001", "01020304", "df010203"}) CHECK(!isUnroutable(lsi(address)));
  Hit hit;
  CHECK(isUnroutable(hit));
  hit.bytes[15] = 1;
  CHECK(isUnroutable(hit));
  hit.bytes[15] = 2;
  CHECK(!isUnroutable(hit));
  hit.bytes[0] = 0xff;
  CHECK(isUnroutable(hit));
  CHECK(!isUnroutable(kPeer));
  passed("addresses that no peer can have");
}

void testIcmpErrors() {
  Octets out(kMaxIcmpError);
  const Octets offending4 = ipv4(proto::kTcp, Octets(900, 7));
  const struct {
    IcmpError error;
    std::uint8_t type4, code4, type6, code6;
  } cases[] = {
      {IcmpError::HostUnreachable, 3, 1, 1, 3},
      {IcmpError::Prohibited, 3, 13, 1, 1},
      {IcmpError::TooBig, 3, 4, 2, 0},
  };
  const Octets offending6 = ipv6(proto::kUdp, Octets(1400, 9));
  for (const auto& one : cases) {
    std::size_t length = buildIcmpError(one.error, offending4, 1400, out);
    CHECK_EQ(length, 576U);
    View packet = View(out).first(length);
    CHECK(checksumsRight(packet));
    InnerView view = viewOf(packet);
    CHECK(view.icmpError && view.icmpType == one.type4 && view.icmpCode == one.code4);
    CHECK(sourceLsi(packet) == destinationLsi(offending4) && destinationLsi(packet) == sourceLsi(offending4));
    CHECK_BYTES(packet.subspan(28), View(offending4).first(548));
    CHECK_EQ(load16(packet.data() + 26), one.error == IcmpError::TooBig ? 1400 : 0);

    length = buildIcmpError(one.error, offending6, 1400, out);
    CHECK_EQ(length, 1280U);
    packet = View(out).first(length);
    CHECK(checksumsRight(packet));
    view = viewOf(packet);
    CHECK(view.icmpError && view.icmpType == one.type6 && view.icmpCode == one.code6);
    CHECK(sourceHit(packet) == kPeer && destinationHit(packet) == kLocal);
    CHECK_BYTES(packet.subspan(48), View(offending6).first(1232));
    CHECK_EQ(load32(packet.data() + 44), one.error == IcmpError::TooBig ? 1400U : 0U);
  }
  const Octets small = ipv4(proto::kUdp, Octets(9));
  CHECK_EQ(buildIcmpError(IcmpError::HostUnreachable, small, 0, out), 57U);
  CHECK_EQ(buildIcmpError(IcmpError::HostUnreachable, small, 0, Bytes(out).first(56)), 0U);

  const auto none = [&](const Octets& packet) {
    CHECK_EQ(buildIcmpError(IcmpError::HostUnreachable, packet, 0, out), 0U);
  };
  none(ipv4(proto::kIcmp, fromHex("0303000000000000")));
  none(ipv6(proto::kIcmp6, fromHex("0104000000000000")));
  none(ipv6(proto::kIcmp6, fromHex("8700000000000000")));
  none(ipv4(proto::kUdp, Octets(8), 0x0001));
  none(ipv6(proto::kFragment, fromHex("1100000800000001aaaaaaaaaaaaaaaa")));
  none(ipv4(proto::kUdp, Octets(8), 0x4000, "e00000fb"));
  none(ipv4(proto::kUdp, Octets(8), 0x4000, "ffffffff"));
  none(ipv4(proto::kUdp, Octets(8), 0x4000, "c613c8fe", "00000000"));
  Hit multicast;
  multicast.bytes[0] = 0xff;
  none(ipv6(proto::kUdp, Octets(8), kLocal, multicast));
  none(ipv6(proto::kUdp, Octets(8), Hit{}, kPeer));
  none(Octets{0x45});
  CHECK(buildIcmpError(IcmpError::HostUnreachable, ipv4(proto::kIcmp, fromHex("0800000000000000")), 0, out) != 0);
  CHECK(buildIcmpError(IcmpError::HostUnreachable, ipv4(proto::kUdp, Octets(8), 0x2000), 0, out) != 0);
  passed("ICMP errors, and silence where they are forbidden");
}

void testEcho() {
  const Octets data = Dice(1).bytes(57);
  Octets out(200);
  const std::size_t length = buildEchoRequest(kLocal, kPeer, 0x1234, 7, data, out);
  CHECK_EQ(length, 105U);
  CHECK(checksumsRight(View(out).first(length)));
  CHECK_EQ(buildEchoRequest(kLocal, kPeer, 1, 1, data, Bytes(out).first(104)), 0U);
  // The peer's answer: type 129, addresses exchanged, checksum two less... from scratch.
  Octets reply(out.begin() + 40, out.begin() + 105);
  reply[0] = 129;
  store16(reply.data() + 2, adjustChecksum(load16(reply.data() + 2), 128 << 8, 129 << 8));
  EchoMessage echo;
  CHECK(parseEcho(129, reply, kLocal, kPeer, echo));
  CHECK_EQ(echo.identifier, 0x1234);
  CHECK_EQ(echo.sequence, 7);
  CHECK_BYTES(echo.data, data);
  CHECK(!parseEcho(128, reply, kLocal, kPeer, echo));
  for (std::size_t i = 0; i < reply.size(); i++) {
    Octets forged = reply;
    forged[i] = static_cast<std::uint8_t>(forged[i] ^ 4);
    CHECK(!parseEcho(129, forged, kLocal, kPeer, echo));
    CHECK(!parseEcho(129, View(reply).first(i), kLocal, kPeer, echo));
  }
  passed("echo request and reply");
}

InnerView payloadView(std::uint8_t nextHeader, View payload) {
  InnerView view;
  CHECK_VERDICT(parsePayload(nextHeader, payload, view), Ok);
  return view;
}

void testFlows() {
  FlowTable flows(1024, {1, 2});
  const auto decide = [&](std::uint8_t nextHeader, const Octets& payload, InnerFamily otherwise) {
    return flows.decide(kPeer, payloadView(nextHeader, payload), payload, otherwise, 100);
  };
  const Octets answer = fromHex("01bbc3500000000000000000000000000000000000000000");
  CHECK(decide(proto::kTcp, answer, InnerFamily::Hit) == InnerFamily::Hit);
  CHECK(decide(proto::kTcp, answer, InnerFamily::Lsi) == InnerFamily::Lsi);
  flows.remember(outboundFlow(kPeer, viewOf(ipv4(proto::kTcp, fromHex("c35001bb00000000")))), InnerFamily::Lsi, 100);
  CHECK(decide(proto::kTcp, answer, InnerFamily::Hit) == InnerFamily::Lsi);
  CHECK(decide(proto::kUdp, answer, InnerFamily::Hit) == InnerFamily::Hit);
  // The other peer's flow is another.
  CHECK(flows.decide(kLocal, payloadView(proto::kTcp, answer), answer, InnerFamily::Hit, 100) == InnerFamily::Hit);
  // The application has changed its mind.
  flows.remember(outboundFlow(kPeer, viewOf(ipv6(proto::kTcp, fromHex("c35001bb00000000")))), InnerFamily::Hit, 101);
  CHECK(decide(proto::kTcp, answer, InnerFamily::Lsi) == InnerFamily::Hit);

  // Echo: by identifier, whichever family asked.
  flows.remember(outboundFlow(kPeer, viewOf(ipv4(proto::kIcmp, fromHex("0800000012340001")))), InnerFamily::Lsi, 100);
  CHECK(decide(proto::kIcmp6, fromHex("8100000012340001"), InnerFamily::Hit) == InnerFamily::Lsi);
  CHECK(decide(proto::kIcmp6, fromHex("8100000012350001"), InnerFamily::Hit) == InnerFamily::Hit);

  // An error goes where the packet came from that it is about.
  flows.remember(outboundFlow(kPeer, viewOf(ipv4(proto::kUdp, fromHex("1111222200080000")))), InnerFamily::Lsi, 100);
  Octets error = fromHex("0104000000000000");
  const Octets about = ipv6(proto::kUdp, fromHex("1111222200080000"));
  error.insert(error.end(), about.begin(), about.end());
  CHECK(decide(proto::kIcmp6, error, InnerFamily::Hit) == InnerFamily::Lsi);
  CHECK(decide(proto::kIcmp6, fromHex("0104000000000000"), InnerFamily::Hit) == InnerFamily::Hit);

  // Later fragments follow the first.
  const Octets first = fromHex("110000010000abcd2222111100100000");
  const Octets later = fromHex("110000080000abcd0102030405060708");
  CHECK(decide(proto::kFragment, later, InnerFamily::Hit) == InnerFamily::Hit);
  CHECK(decide(proto::kFragment, first, InnerFamily::Hit) == InnerFamily::Lsi);
  CHECK(decide(proto::kFragment, later, InnerFamily::Hit) == InnerFamily::Lsi);
  passed("flows decide the family");
}

void testFlowLimits() {
  FlowTable flows(64, {3, 4});
  const auto key = [](std::uint16_t port) { return FlowKey{kPeer, proto::kUdp, port, 53}; };
  // Far more flows than places: the newest are still known, and one in use outlives the flood.
  unsigned known = 0;
  for (std::uint16_t port = 1; port <= 5000; port++) {
    const std::uint32_t now = 1000U + port * 8U;
    flows.remember(key(port), InnerFamily::Lsi, now);
    CHECK(flows.find(key(port), now) == InnerFamily::Lsi);
  }
  for (std::uint16_t port = 1; port <= 5000; port++) {
    if (flows.find(key(port), 1000U + 5000U * 8U).has_value()) known++;
  }
  CHECK(known <= 64);
  CHECK(known >= 56);
  FlowTable busy(4, {5, 6});
  busy.remember(key(1), InnerFamily::Lsi, 0);
  for (std::uint16_t port = 2; port < 100; port++) {
    busy.remember(key(port), InnerFamily::Hit, port * 8U);
    CHECK(busy.find(key(1), port * 8U + 4U) == InnerFamily::Lsi);
  }
  passed("the flow table is bounded and keeps what is used");
}

void testFlowThreads() {
  FlowTable flows(256, {7, 8});
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; t++) {
    threads.emplace_back([&flows, t] {
      for (unsigned i = 0; i < 20000; i++) {
        const FlowKey key{kPeer, proto::kTcp, static_cast<std::uint16_t>(i % 300), static_cast<std::uint16_t>(t)};
        flows.remember(key, t == 0 ? InnerFamily::Lsi : InnerFamily::Hit, i / 100);
        const auto found = flows.find(key, i / 100);
        if (found.has_value()) CHECK((*found == InnerFamily::Lsi) == (t == 0));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  passed("several threads never read a wrong family");
}

void testVerdicts() {
  std::set<std::string_view> names;
  unsigned drops = 0;
  for (std::size_t i = 0; i < kVerdicts; i++) {
    const auto verdict = static_cast<Verdict>(i);
    CHECK(names.insert(verdictName(verdict)).second);
    CHECK(!verdictText(verdict).empty());
    for (const char c : verdictName(verdict)) CHECK((c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9'));
    drops += isDrop(verdict) ? 1 : 0;
  }
  CHECK(verdictName(Verdict::EspReplay) == "drop_esp_replay");
  CHECK(!isDrop(Verdict::Ok) && !isDrop(Verdict::Dummy) && isDrop(Verdict::TooBig));
  CHECK(drops > 30);
  CHECK(verdictName(static_cast<Verdict>(255)) == "unknown");
  passed("every verdict has a name of its own");
}

}  // namespace

int main() {
  testVerdicts();
  testView();
  testViewErrors();
  testUnroutable();
  testIcmpErrors();
  testEcho();
  testFlows();
  testFlowLimits();
  testFlowThreads();
  return 0;
}
