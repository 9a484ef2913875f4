// The host's own addresses and the ways out: what the control plane is told, and when.
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>

#include "netlink.h"
#include "udp.h"

namespace hipd::netlink {

namespace {

/// Addresses that no network has, so that only a default route leads there. Nothing is ever sent to them.
constexpr Address kNowhere4{4, {192, 88, 99, 1}};
constexpr Address kNowhere6{6, {0x20, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

bool usable(const LinkAddress& entry) {
  if (entry.scope != RT_SCOPE_UNIVERSE) return false;
  if ((entry.flags & IFA_F_DADFAILED) != 0) return false;
  // Until duplicate address detection is done (RFC 4862 5.4), but for optimistic ones (RFC 4429).
  return (entry.flags & IFA_F_TENTATIVE) == 0 || (entry.flags & IFA_F_OPTIMISTIC) != 0;
}

std::uint32_t metricOf(const std::vector<Route>& defaults, int family, int link) {
  std::uint32_t best = LocalAddress::kNoRoute;
  for (const Route& route : defaults) {
    const bool here = route.link == link || std::count(route.otherLinks.begin(), route.otherLinks.end(), link) > 0;
    if (here && route.destination.family == family) best = std::min(best, route.metric);
  }
  return best;
}

}  // namespace

std::string text(const LocalAddress& address) {
  std::string flags;
  if (address.deprecated) flags += 'd';
  if (address.temporary) flags += 't';
  if (address.defaultSource) flags += 's';
  const auto number = [](std::uint32_t value) { return value == UINT32_MAX ? "-" : std::to_string(value); };
  return hipd::text(address.address) + " " + address.name + " " + (flags.empty() ? "-" : flags) + " " +
         number(address.preferred) + " " + number(address.metric);
}

std::vector<LocalAddress> underlayAddresses(const std::string& overlayLink) {
  const Listing<Link> links = listLinks();
  const Listing<LinkAddress> addresses = listAddresses();
  const Listing<Route> defaults = listDefaultRoutes();
  const Address source4 = askKernel({}, {kNowhere4, 0}).source;
  const Address source6 = askKernel({}, {kNowhere6, 0}).source;
  std::vector<LocalAddress> result;
  for (const LinkAddress& entry : addresses.entries) {
    if (!usable(entry)) continue;
    const auto link = std::find_if(links.entries.begin(), links.entries.end(),
                                   [&](const Link& one) { return one.index == entry.link; });
    if (link == links.entries.end() || link->name == overlayLink) continue;
    if ((link->flags & IFF_LOOPBACK) != 0) continue;
    if ((link->flags & (IFF_UP | IFF_RUNNING)) != (IFF_UP | IFF_RUNNING)) continue;
    LocalAddress one;
    one.address = entry.address;
    one.link = entry.link;
    one.name = link->name;
    one.deprecated = (entry.flags & IFA_F_DEPRECATED) != 0;
    one.temporary = entry.address.family == 6 && (entry.flags & IFA_F_TEMPORARY) != 0;
    one.defaultSource = entry.address == source4 || entry.address == source6;
    one.preferred = entry.preferred;
    one.metric = metricOf(defaults.entries, entry.address.family, entry.link);
    if (result.size() < kMaxEntries) result.push_back(one);
  }
  std::sort(result.begin(), result.end(), [](const LocalAddress& a, const LocalAddress& b) {
    if (a.address.family != b.address.family) return a.address.family < b.address.family;
    return a.address.bytes != b.address.bytes ? a.address.bytes < b.address.bytes : a.link < b.link;
  });
  const auto same = [](const LocalAddress& a, const LocalAddress& b) { return a.address == b.address; };
  result.erase(std::unique(result.begin(), result.end(), same), result.end());
  return result;
}

Fd openMonitor(std::string& error) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (!fd.valid() || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    error = "cannot watch addresses: " + errorText(errno);
    fd.reset();
  }
  return fd;
}

bool readMonitor(int fd) {
  std::array<std::uint8_t, 8192> buffer;
  bool changed = false;
  for (;;) {
    const ssize_t got = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) {
      const bool whole = eachMessage({buffer.data(), static_cast<std::size_t>(got)},
                                     [&](View message) { changed = changed || matters(message); });
      changed = changed || !whole;
    } else if (got < 0 && errno == ENOBUFS) {
      changed = true;  // messages were lost: the list is read anew
    } else if (got == 0 || errno != EINTR) {
      return changed;
    }
  }
}

}  // namespace hipd::netlink
