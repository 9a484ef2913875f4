// What rtnetlink's messages say.
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

#include "netlink.h"

namespace hipd::netlink {

namespace {

/// Walks attributes from `offset`; hostile lengths end the walk.
template <class Visit>
void eachAttribute(View message, std::size_t offset, Visit&& visit) {
  while (offset + sizeof(rtattr) <= message.size()) {
    rtattr attribute;
    std::memcpy(&attribute, message.data() + offset, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || offset + attribute.rta_len > message.size()) return;
    visit(static_cast<unsigned>(attribute.rta_type & NLA_TYPE_MASK),
          message.subspan(offset + sizeof attribute, attribute.rta_len - sizeof attribute));
    offset += RTA_ALIGN(attribute.rta_len);
  }
}

/// The fixed part behind the netlink header. False when the message is shorter or of another type.
template <class Fixed>
bool fixedPart(View message, unsigned type, Fixed& fixed) {
  nlmsghdr header;
  if (message.size() < NLMSG_HDRLEN + sizeof fixed) return false;
  std::memcpy(&header, message.data(), sizeof header);
  if (header.nlmsg_type != type) return false;
  std::memcpy(&fixed, message.data() + NLMSG_HDRLEN, sizeof fixed);
  return true;
}

template <class Fixed>
constexpr std::size_t attributesAt() {
  return NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(Fixed));
}

std::uint32_t number(View value) {
  std::uint32_t result = 0;
  if (value.size() >= sizeof result) std::memcpy(&result, value.data(), sizeof result);
  return result;
}

Address addressOf(View value, unsigned family) {
  Address address;
  const std::size_t size = family == AF_INET ? 4 : 16;
  if ((family != AF_INET && family != AF_INET6) || value.size() < size) return address;
  address.family = family == AF_INET ? 4 : 6;
  std::memcpy(address.bytes.data(), value.data(), size);
  return address;
}

}  // namespace

bool eachMessage(View datagram, const std::function<void(View)>& visit) {
  while (datagram.size() >= NLMSG_HDRLEN) {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof header);
    if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > datagram.size()) return false;
    visit(datagram.first(header.nlmsg_len));
    datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
  }
  return datagram.empty();
}

bool parseLink(View message, Link& link) {
  ifinfomsg info;
  if (!fixedPart(message, RTM_NEWLINK, info)) return false;
  link = {};
  link.index = info.ifi_index;
  link.flags = info.ifi_flags;
  eachAttribute(message, attributesAt<ifinfomsg>(), [&](unsigned type, View value) {
    if (type == IFLA_IFNAME) {
      const auto* begin = reinterpret_cast<const char*>(value.data());
      link.name.assign(begin, strnlen(begin, value.size()));
    } else if (type == IFLA_MTU) {
      link.mtu = number(value);
    }
  });
  return true;
}

bool parseAddress(View message, LinkAddress& address) {
  ifaddrmsg info;
  if (!fixedPart(message, RTM_NEWADDR, info)) return false;
  address = {};
  address.link = static_cast<int>(info.ifa_index);
  address.prefixLength = info.ifa_prefixlen;
  address.scope = info.ifa_scope;
  address.flags = info.ifa_flags;
  bool haveLocal = false;
  eachAttribute(message, attributesAt<ifaddrmsg>(), [&](unsigned type, View value) {
    // On point-to-point links IFA_ADDRESS is the other end; IFA_LOCAL is always ours.
    if (type == IFA_LOCAL) {
      address.address = addressOf(value, info.ifa_family);
      haveLocal = true;
    } else if (type == IFA_ADDRESS && !haveLocal) {
      address.address = addressOf(value, info.ifa_family);
    } else if (type == IFA_FLAGS) {
      address.flags = number(value);
    } else if (type == IFA_CACHEINFO && value.size() >= sizeof(ifa_cacheinfo)) {
      ifa_cacheinfo info2;
      std::memcpy(&info2, value.data(), sizeof info2);
      address.preferred = info2.ifa_prefered;
    }
  });
  return address.address.family != 0;
}

bool parseRoute(View message, Route& route, bool cached) {
  rtmsg info;
  if (!fixedPart(message, RTM_NEWROUTE, info)) return false;
  if (info.rtm_family != AF_INET && info.rtm_family != AF_INET6) return false;
  if ((info.rtm_flags & RTM_F_CLONED) != 0 && !cached) return false;
  route = {};
  route.destination.family = info.rtm_family == AF_INET ? 4 : 6;
  route.prefixLength = info.rtm_dst_len;
  route.type = info.rtm_type;
  route.protocol = info.rtm_protocol;
  route.table = info.rtm_table;
  eachAttribute(message, attributesAt<rtmsg>(), [&](unsigned type, View value) {
    if (type == RTA_DST) {
      const Address destination = addressOf(value, info.rtm_family);
      if (destination.family != 0) route.destination = destination;
    } else if (type == RTA_TABLE) {
      route.table = number(value);
    } else if (type == RTA_OIF) {
      route.link = static_cast<int>(number(value));
    } else if (type == RTA_PRIORITY) {
      route.metric = number(value);
    } else if (type == RTA_PREFSRC) {
      route.source = addressOf(value, info.rtm_family);
    } else if (type == RTA_METRICS) {
      eachAttribute(value, 0, [&](unsigned metric, View metricValue) {
        if (metric == RTAX_MTU) route.mtu = number(metricValue);
        if (metric == RTAX_FEATURES) route.ecn = (number(metricValue) & RTAX_FEATURE_ECN) != 0;
      });
    } else if (type == RTA_MULTIPATH) {
      while (value.size() >= sizeof(rtnexthop)) {
        rtnexthop hop;
        std::memcpy(&hop, value.data(), sizeof hop);
        if (hop.rtnh_len < sizeof hop || hop.rtnh_len > value.size()) break;
        if (route.link == 0) {
          route.link = hop.rtnh_ifindex;
        } else {
          route.otherLinks.push_back(hop.rtnh_ifindex);
        }
        value = value.subspan(std::min<std::size_t>(RTNH_ALIGN(hop.rtnh_len), value.size()));
      }
    }
  });
  return true;
}

bool matters(View message) {
  nlmsghdr header;
  if (message.size() < NLMSG_HDRLEN) return false;
  std::memcpy(&header, message.data(), sizeof header);
  if (header.nlmsg_type != RTM_NEWROUTE && header.nlmsg_type != RTM_DELROUTE) return true;
  rtmsg info;
  return fixedPart(message, header.nlmsg_type, info) && info.rtm_dst_len == 0;
}

}  // namespace hipd::netlink
