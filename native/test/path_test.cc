// What is known about paths: credit, former paths, probes, silence, the messages about addresses and routes.
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <memory>
#include <thread>

#include "check.h"
#include "icmp.h"
#include "netlink.h"
#include "probe.h"
#include "silence.h"
#include "tables.h"

using namespace hipd;
using namespace hipd::test;

namespace {

void creditIsSpentOnce() {
  Credit credit;
  CHECK(!credit.spend(1));
  credit.earn(1000);
  CHECK(credit.spend(600));
  CHECK(!credit.spend(600));
  CHECK(credit.covers(400));
  CHECK(!credit.covers(401));
  CHECK(credit.spend(400));
  credit.earn(kMostCredit);
  credit.earn(kMostCredit);
  CHECK_EQ(credit.get(), kMostCredit);
  // RFC 8046 5.6.2: seven eighths are left of it every five seconds.
  credit.age();
  CHECK_EQ(credit.get(), kMostCredit / 8 * 7);
  for (int i = 0; i < 200; i++) credit.age();
  CHECK_EQ(credit.get(), 0);
}

void creditIsNotSpentTwiceByManyThreads() {
  Credit credit;
  credit.earn(100'000);
  std::atomic<int> spent{0};
  std::array<std::thread, 4> threads;
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      for (int i = 0; i < 1000; i++) {
        if (credit.spend(100)) spent++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(spent.load() <= 1000);
  CHECK_EQ(credit.get(), 100'000 - 100 * spent.load());
}

void creditGrowsByWhatComes() {
  Tables t;
  CHECK(t.routes.addOutbound(sa(1000, hit(2)), path(1), 1) == Routes::Added::Done);
  CHECK(t.routes.addInbound(sa(5000, hit(2)), path(1), 0, 1) == Routes::Added::Done);
  InboundRoute* inbound = t.routes.bySpi(5000);
  Peer* peer = inbound->peer;
  CHECK(peer->silence.since.load() == 0);
  inbound->sa->counters.add(10, 5000);
  CHECK_EQ(peer->credit.get(), 0);  // nobody has asked
  CHECK(t.routes.setPath(1000, nullptr, path(2), false, 1) == peer);
  // With an IPv4 header, SPI, sequence number, IV, trailer and ICV: 54 bytes around each.
  CHECK_EQ(peer->credit.get(), 5000 + 10 * 54);
  earnCredit(*inbound);
  CHECK_EQ(peer->credit.get(), 5540);
  const Destination& destination = *peer->outboundSas[0]->destination.load();
  CHECK(!destination.verified);
  CHECK_EQ(destination.path.remote.port, 2);
  // What came under an SA that is replaced counts, too.
  inbound->sa->counters.add(1, 46);
  CHECK(t.routes.dropInbound(5000, hit(2)));
  CHECK_EQ(peer->credit.get(), 5640);
}

void formerPathsAreKnownForAWhile() {
  Tables t;
  constexpr std::uint64_t kSecond = 1'000'000'000;
  CHECK(t.routes.addOutbound(sa(1000, hit(2)), path(1), 1) == Routes::Added::Done);
  CHECK(t.routes.addInbound(sa(5000, hit(2)), path(1), 0, 1) == Routes::Added::Done);
  const Peer* peer = t.routes.setPath(1000, nullptr, path(2), true, 100 * kSecond);
  CHECK(peer->former.load()->has(Carrier::Udp, path(1).remote, 109'999));
  CHECK(!peer->former.load()->has(Carrier::Udp, path(1).remote, 110'000));
  CHECK(!peer->former.load()->has(Carrier::None, path(1).remote, 100'001));
  CHECK(!peer->former.load()->has(Carrier::Udp, path(3).remote, 100'001));
  // The same path once more changes nothing.
  const FormerPaths* before = peer->former.load();
  t.routes.setPath(1000, nullptr, path(2), true, 105 * kSecond);
  CHECK(peer->former.load() == before);
  // Whoever went along is not where it was; another move begins anew.
  CHECK(!before->followed());
  before->follow();
  CHECK(before->followed());
  t.routes.setPath(1000, nullptr, path(3), true, 105 * kSecond);
  CHECK(!peer->former.load()->followed());
  // Many moves in a short time: the latest are kept.
  for (std::uint16_t i = 3; i < 20; i++) t.routes.setPath(1000, nullptr, path(i), true, 106 * kSecond);
  CHECK(peer->former.load()->has(Carrier::Udp, path(18).remote, 106'001));
  CHECK(peer->former.load()->has(Carrier::Udp, path(11).remote, 106'001));
  CHECK(!peer->former.load()->has(Carrier::Udp, path(10).remote, 106'001));
}

void probesFoundTheSize() {
  Tables t;
  CHECK(t.routes.addOutbound(sa(1000, hit(2)), path(1), 1) == Routes::Added::Done);
  const std::uint32_t kernel = t.routes.associations()[0].pathMtu;
  CHECK(kernel > 1400);
  t.routes.setPathMtu(hit(2), 1300, 1);
  CHECK_EQ(t.routes.associations()[0].pathMtu, 1300u);
  // Also for the keys that come next, and never more than the kernel says.
  CHECK(t.routes.addOutbound(sa(1001, hit(2)), path(1), 1) == Routes::Added::Done);
  t.routes.setMode(hit(2), Mode::Send, 1001);
  CHECK_EQ(t.routes.associations()[0].pathMtu, 1300u);
  t.routes.setPathMtu(hit(2), 60'000, 1);
  CHECK_EQ(t.routes.associations()[0].pathMtu, kernel);
  t.routes.setPathMtu(hit(2), 0, 1);
  CHECK_EQ(t.routes.associations()[0].pathMtu, kernel);
  t.routes.setPathMtu(hit(9), 1300, 1);  // a stranger
}

void probesAreTheirOwnAnswers() {
  auto probes = std::make_unique<Probes>();
  const auto first = probes->remember(hit(2), 77, 1500, 1000);
  const auto second = probes->remember(hit(2), 78, 1280, 1000);
  CHECK(first != second);
  CHECK(Probes::isProbe(kProbeIdentifier, first));
  CHECK(!Probes::isProbe(kProbeIdentifier ^ 1, first));
  CHECK(!Probes::isProbe(kProbeIdentifier, View(first).first(15)));
  auto other = first;
  other[0] ^= 1;
  CHECK(!Probes::isProbe(kProbeIdentifier, other));

  CHECK(!probes->match(hit(3), first, 4000));  // from somebody else
  auto forged = first;
  forged[9] ^= 1;
  CHECK(!probes->match(hit(2), forged, 4000));
  const auto answer = probes->match(hit(2), first, 4000);
  CHECK(answer.has_value());
  CHECK_EQ(answer->token, 77u);
  CHECK_EQ(answer->bytes, 1500u);
  CHECK_EQ(answer->nanoseconds, 3000u);
  CHECK(!probes->match(hit(2), first, 4000));  // once
  // Old ones give way to new ones.
  for (std::size_t i = 0; i < kProbesOutstanding; i++) probes->remember(hit(2), 1, 100, 1);
  CHECK(!probes->match(hit(2), second, 4000));

  std::size_t queued = 0;
  while (probes->ask({hit(2), path(1), 0, 1, 100})) queued++;
  CHECK_EQ(queued, kProbeQueue);
}

void aForeignKernelAnswersProbesAsWell() {
  const auto data = std::make_unique<Probes>()->remember(hit(2), 1, 100, 1);
  std::array<std::uint8_t, 128> request;
  std::array<std::uint8_t, 128> reply;
  const std::size_t asked = buildEchoRequest(hit(1), hit(2), kProbeIdentifier, 5, data, request);
  const std::size_t told = buildEchoReply(hit(2), hit(1), kProbeIdentifier, 5, data, reply);
  CHECK_EQ(asked, 40u + 8 + Probes::kData);
  CHECK_EQ(told, asked);
  EchoMessage message;
  CHECK(parseEcho(128, View(request).subspan(40, asked - 40), hit(1), hit(2), message));
  CHECK(!parseEcho(129, View(request).subspan(40, asked - 40), hit(1), hit(2), message));
  CHECK(parseEcho(129, View(reply).subspan(40, told - 40), hit(1), hit(2), message));
  CHECK(Probes::isProbe(message.identifier, message.data));
  reply[60] ^= 1;
  CHECK(!parseEcho(129, View(reply).subspan(40, told - 40), hit(1), hit(2), message));
}

void silenceRingsTheBellOnce() {
  Awaited awaited;
  Silence one;
  Silence two;
  const auto rings = [&] {
    std::uint64_t count = 0;
    return read(awaited.bell(), &count, sizeof count) > 0 ? count : 0;
  };
  CHECK_EQ(rings(), 0u);
  awaited.sent(one, hit(1), 10);
  awaited.sent(two, hit(2), 10);
  CHECK_EQ(rings(), 1u);
  CHECK_EQ(one.since.load(), 10u);
  one.heard();
  CHECK_EQ(one.since.load(), 0u);
  // It is watched still: nobody has to be told.
  awaited.sent(one, hit(1), 20);
  CHECK_EQ(rings(), 0u);
  CHECK(!awaited.maySleep());
  std::vector<Hit> told;
  while (awaited.take([&](const Hit& who) { told.push_back(who); })) {
  }
  CHECK((told == std::vector{hit(1), hit(2)}));
  CHECK(awaited.maySleep());
  one.heard();
  one.watched.store(false);
  awaited.sent(one, hit(1), 30);
  CHECK_EQ(rings(), 1u);

  // When too many begin at once, their next packets try again.
  std::vector<std::unique_ptr<Silence>> many(kAwaitedQueue);
  for (auto& silence : many) {
    silence = std::make_unique<Silence>();
    awaited.sent(*silence, hit(3), 40);
  }
  CHECK_EQ(many.back()->since.load(), 0u);
  CHECK(!many.back()->watched.load());
}

template <class Fixed>
std::vector<std::uint8_t> message(unsigned type, const Fixed& fixed) {
  nlmsghdr header{};
  header.nlmsg_type = static_cast<std::uint16_t>(type);
  std::vector<std::uint8_t> bytes(NLMSG_HDRLEN + NLMSG_ALIGN(sizeof fixed));
  std::memcpy(bytes.data() + NLMSG_HDRLEN, &fixed, sizeof fixed);
  header.nlmsg_len = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

void append(std::vector<std::uint8_t>& bytes, unsigned type, const void* value, std::size_t size) {
  rtattr header{};
  header.rta_type = static_cast<std::uint16_t>(type);
  header.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
  const std::size_t at = bytes.size();
  bytes.resize(at + RTA_SPACE(size));
  std::memcpy(bytes.data() + at, &header, sizeof header);
  std::memcpy(bytes.data() + at + RTA_LENGTH(0), value, size);
}

void lifetimesAndNextHops() {
  ifaddrmsg address{};
  address.ifa_family = AF_INET6;
  address.ifa_index = 3;
  std::vector<std::uint8_t> bytes = message(RTM_NEWADDR, address);
  const std::array<std::uint8_t, 16> value{0x20, 1, 0xd, 0xb8};
  append(bytes, IFA_ADDRESS, value.data(), value.size());
  ifa_cacheinfo lifetime{};
  lifetime.ifa_prefered = 3600;
  append(bytes, IFA_CACHEINFO, &lifetime, sizeof lifetime);
  netlink::LinkAddress parsed;
  CHECK(netlink::parseAddress(bytes, parsed));
  CHECK_EQ(parsed.preferred, 3600u);
  CHECK_EQ(parsed.link, 3);

  rtmsg route{};
  route.rtm_family = AF_INET;
  bytes = message(RTM_NEWROUTE, route);
  std::array<rtnexthop, 3> hops{};
  for (std::size_t i = 0; i < hops.size(); i++) {
    hops[i].rtnh_len = sizeof(rtnexthop);
    hops[i].rtnh_ifindex = static_cast<int>(i) + 4;
  }
  append(bytes, RTA_MULTIPATH, hops.data(), sizeof hops);
  netlink::Route one;
  CHECK(netlink::parseRoute(bytes, one));
  CHECK_EQ(one.link, 4);
  CHECK((one.otherLinks == std::vector{5, 6}));
  CHECK(netlink::matters(bytes));
  // Next hops whose lengths lie end the walk.
  hops[1].rtnh_len = 2;
  bytes = message(RTM_NEWROUTE, route);
  append(bytes, RTA_MULTIPATH, hops.data(), sizeof hops);
  CHECK(netlink::parseRoute(bytes, one));
  CHECK(one.otherLinks.empty());

  route.rtm_dst_len = 24;
  CHECK(!netlink::matters(message(RTM_NEWROUTE, route)));
  CHECK(!netlink::matters(message(RTM_DELROUTE, route)));
  route.rtm_dst_len = 0;
  CHECK(netlink::matters(message(RTM_DELROUTE, route)));
  CHECK(netlink::matters(message(RTM_DELADDR, address)));
  CHECK(!netlink::matters(View(bytes).first(8)));
  route.rtm_flags = RTM_F_CLONED;
  CHECK(!netlink::parseRoute(message(RTM_NEWROUTE, route), one));
  CHECK(netlink::parseRoute(message(RTM_NEWROUTE, route), one, true));
}

void sourcesAndInterfaces() {
  std::array<std::uint8_t, SourceControl::kSize> control{};
  const SourceControl six(Address{6, {0x20, 1, 0xd, 0xb8}});
  six.writeTo(control.data(), 7);
  in6_pktinfo info6;
  std::memcpy(&info6, control.data() + CMSG_LEN(0), sizeof info6);
  CHECK_EQ(info6.ipi6_ifindex, 7u);
  CHECK_EQ(info6.ipi6_addr.s6_addr[0], 0x20);
  six.writeTo(control.data(), 7 | SourceControl::kChosen);
  std::memcpy(&info6, control.data() + CMSG_LEN(0), sizeof info6);
  CHECK_EQ(info6.ipi6_ifindex, 7u);
  CHECK_EQ(info6.ipi6_addr.s6_addr[0], 0);
  const SourceControl four(Address{4, {192, 0, 2, 1}});
  four.writeTo(control.data(), 9);
  in_pktinfo info4;
  std::memcpy(&info4, control.data() + CMSG_LEN(0), sizeof info4);
  CHECK_EQ(info4.ipi_ifindex, 9);
  CHECK_EQ(ntohl(info4.ipi_spec_dst.s_addr), 0xc0000201u);
  SourceControl().writeTo(nullptr, 9);
}

}  // namespace

int main() {
  creditIsSpentOnce();
  creditIsNotSpentTwiceByManyThreads();
  creditGrowsByWhatComes();
  formerPathsAreKnownForAWhile();
  probesFoundTheSize();
  probesAreTheirOwnAnswers();
  aForeignKernelAnswersProbesAsWell();
  silenceRingsTheBellOnce();
  lifetimesAndNextHops();
  sourcesAndInterfaces();
}
