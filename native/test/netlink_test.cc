// rtnetlink's messages: what they say, and what hostile ones cannot do. Then the machine's own lists, read only.
#include "netlink.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "check.h"

using namespace hipd;
using namespace hipd::netlink;

namespace {

/// A message under construction, as the kernel would send it.
class Message {
 public:
  template <class Fixed>
  Message(unsigned type, const Fixed& fixed) {
    nlmsghdr header{};
    header.nlmsg_type = static_cast<std::uint16_t>(type);
    append(&header, sizeof header);
    append(&fixed, sizeof fixed);
  }
  Message& attribute(unsigned type, const std::vector<std::uint8_t>& value) {
    rtattr header{};
    header.rta_type = static_cast<std::uint16_t>(type);
    header.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(value.size()));
    append(&header, sizeof header);
    append(value.data(), value.size());
    return *this;
  }
  Message& number(unsigned type, std::uint32_t value) {
    std::vector<std::uint8_t> bytes(4);
    std::memcpy(bytes.data(), &value, 4);
    return attribute(type, bytes);
  }
  std::vector<std::uint8_t> bytes() const {
    std::vector<std::uint8_t> result = bytes_;
    const auto length = static_cast<std::uint32_t>(result.size());
    std::memcpy(result.data(), &length, sizeof length);
    return result;
  }

 private:
  void append(const void* value, std::size_t size) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + NLMSG_ALIGN(size));
    if (size > 0) std::memcpy(bytes_.data() + at, value, size);
  }
  std::vector<std::uint8_t> bytes_;
};

std::vector<std::uint8_t> addressMessage() {
  ifaddrmsg info{};
  info.ifa_family = AF_INET;
  info.ifa_prefixlen = 24;
  info.ifa_index = 3;
  // Point-to-point: IFA_ADDRESS is the other end.
  return Message(RTM_NEWADDR, info)
      .attribute(IFA_ADDRESS, {10, 0, 0, 2})
      .attribute(IFA_LOCAL, {10, 0, 0, 1})
      .number(IFA_FLAGS, IFA_F_PERMANENT)
      .bytes();
}

std::vector<std::uint8_t> routeMessage() {
  rtmsg info{};
  info.rtm_family = AF_INET6;
  info.rtm_dst_len = 28;
  info.rtm_table = RT_TABLE_MAIN;
  info.rtm_type = RTN_UNICAST;
  std::vector<std::uint8_t> metrics(16);
  const rtattr mtu{8, RTAX_MTU};
  const std::uint32_t value = 1478;
  std::memcpy(metrics.data(), &mtu, sizeof mtu);
  std::memcpy(metrics.data() + 4, &value, sizeof value);
  const rtattr features{8, RTAX_FEATURES};
  const std::uint32_t ecn = RTAX_FEATURE_ECN;
  std::memcpy(metrics.data() + 8, &features, sizeof features);
  std::memcpy(metrics.data() + 12, &ecn, sizeof ecn);
  return Message(RTM_NEWROUTE, info)
      .attribute(RTA_DST, {0x20, 0x01, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
      .number(RTA_OIF, 9)
      .number(RTA_PRIORITY, 0xffffffffu)
      .attribute(RTA_METRICS, metrics)
      .bytes();
}

void reads() {
  LinkAddress address;
  CHECK(parseAddress(addressMessage(), address));
  CHECK(text(address.address) == "10.0.0.1");
  CHECK_EQ(address.prefixLength, 24);
  CHECK_EQ(address.link, 3);
  CHECK_EQ(address.flags, static_cast<unsigned>(IFA_F_PERMANENT));

  netlink::Route route;
  CHECK(parseRoute(routeMessage(), route));
  CHECK(text(route.destination) == "2001:20::");
  CHECK_EQ(route.prefixLength, 28);
  CHECK_EQ(route.link, 9);
  CHECK_EQ(route.metric, 0xffffffffu);
  CHECK_EQ(route.mtu, 1478u);
  CHECK(route.ecn);
  CHECK_EQ(route.table, static_cast<unsigned>(RT_TABLE_MAIN));

  ifinfomsg info{};
  info.ifi_index = 7;
  info.ifi_flags = 1;
  Link link;
  // A name without its final zero.
  CHECK(parseLink(
      Message(RTM_NEWLINK, info).attribute(IFLA_IFNAME, {'h', 'i', 'p', '0'}).number(IFLA_MTU, 1500).bytes(), link));
  CHECK(link.name == "hip0");
  CHECK_EQ(link.index, 7);
  CHECK_EQ(link.mtu, 1500u);
  CHECK(!parseLink(addressMessage(), link));
  CHECK(!parseRoute(addressMessage(), route));
}

/// Cut, lengthened and disturbed messages: refused or read, never beyond their end (ASan looks).
void hostile() {
  std::mt19937 random(7);
  for (const auto& original : {addressMessage(), routeMessage()}) {
    for (std::size_t length = 0; length <= original.size(); length++) {
      // Its own allocation, so that one byte too far is seen.
      const std::vector<std::uint8_t> cut(original.begin(), original.begin() + static_cast<std::ptrdiff_t>(length));
      LinkAddress address;
      netlink::Route route;
      Link link;
      parseAddress(cut, address);
      parseRoute(cut, route);
      parseLink(cut, link);
      eachMessage(cut, [](View) {});
    }
    for (int i = 0; i < 5000; i++) {
      std::vector<std::uint8_t> disturbed = original;
      for (int n = 0; n < 3; n++) disturbed[random() % disturbed.size()] = static_cast<std::uint8_t>(random());
      eachMessage(disturbed, [](View message) {
        LinkAddress address;
        netlink::Route route;
        Link link;
        parseAddress(message, address);
        parseRoute(message, route);
        parseLink(message, link);
      });
    }
  }
  std::vector<std::uint8_t> two = addressMessage();
  const std::vector<std::uint8_t> second = routeMessage();
  two.insert(two.end(), second.begin(), second.end());
  int count = 0;
  CHECK(eachMessage(two, [&](View) { count++; }));
  CHECK_EQ(count, 2);
  two[0] = 4;  // shorter than a header
  CHECK(!eachMessage(two, [](View) {}));
}

void listsOfThisMachine() {
  const auto links = listLinks();
  CHECK(links.error.empty());
  CHECK(std::any_of(links.entries.begin(), links.entries.end(), [](const Link& link) { return link.name == "lo"; }));
  CHECK(listAddresses().error.empty());
  CHECK(listRoutes().error.empty());
  for (const LocalAddress& one : underlayAddresses("hip0")) CHECK(text(one).find("127.0.0.1") == std::string::npos);
  CHECK(setLink("no-such-link", {}).find("no-such-link") != std::string::npos);
}

}  // namespace

int main() {
  reads();
  hostile();
  listsOfThisMachine();
}
