#include "netlink.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace hipd::netlink {

namespace {

/// A request under construction. Small: none of ours exceeds 256 bytes.
class Request {
 public:
  template <class Fixed>
  Request(unsigned type, unsigned flags, const Fixed& fixed) {
    nlmsghdr header{};
    header.nlmsg_type = static_cast<std::uint16_t>(type);
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    append(&header, sizeof header);
    append(&fixed, sizeof fixed);
  }

  void attribute(unsigned type, const void* value, std::size_t size) {
    rtattr header{};
    header.rta_type = static_cast<std::uint16_t>(type);
    header.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
    append(&header, sizeof header);
    append(value, size);
  }
  void number(unsigned type, std::uint32_t value) { attribute(type, &value, sizeof value); }
  void address(unsigned type, const Address& value) { attribute(type, value.bytes.data(), value.family == 4 ? 4 : 16); }
  std::size_t open(unsigned type) {
    const std::size_t at = length_;
    attribute(type, nullptr, 0);
    return at;
  }
  void close(std::size_t at) {
    const auto size = static_cast<std::uint16_t>(length_ - at);
    std::memcpy(bytes_.data() + at + offsetof(rtattr, rta_len), &size, sizeof size);
  }

  View finish() {
    const auto size = static_cast<std::uint32_t>(length_);
    std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &size, sizeof size);
    const std::uint32_t sequence = 1;
    std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof sequence);
    return {bytes_.data(), length_};
  }

 private:
  void append(const void* value, std::size_t size) {
    if (length_ + NLMSG_ALIGN(size) > bytes_.size()) return;  // never: see the class comment
    if (size > 0) std::memcpy(bytes_.data() + length_, value, size);
    length_ += NLMSG_ALIGN(size);
  }

  std::array<std::uint8_t, 512> bytes_{};
  std::size_t length_ = 0;
};

/// Sends a request and shows each message of the reply, until it ends or, when there is only `one`, has come. 0, or
/// errno's value.
int converse(Request& request, const std::function<void(View)>& visit, bool one = false) {
  const Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd.valid()) return errno;
  const View bytes = request.finish();
  if (send(fd.get(), bytes.data(), bytes.size(), 0) < 0) return errno;
  const auto buffer = std::make_unique<std::array<std::uint8_t, kMaxMessage>>();
  for (;;) {
    const ssize_t got = recv(fd.get(), buffer->data(), buffer->size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? errno : EIO;
    int error = 0;
    bool done = false;
    const bool whole = eachMessage({buffer->data(), static_cast<std::size_t>(got)}, [&](View message) {
      nlmsghdr header;
      std::memcpy(&header, message.data(), sizeof header);
      if (header.nlmsg_type == NLMSG_DONE) {
        done = true;
      } else if (header.nlmsg_type == NLMSG_ERROR) {
        nlmsgerr reply;
        if (message.size() >= NLMSG_HDRLEN + sizeof reply) {
          std::memcpy(&reply, message.data() + NLMSG_HDRLEN, sizeof reply);
          error = -reply.error;
        } else {
          error = EIO;
        }
        done = true;
      } else if (visit) {
        visit(message);
        done = done || one;
      }
    });
    if (!whole) return EIO;
    if (done) return error;
  }
}

std::string outcome(const std::string& what, int error) {
  if (error == 0) return "";
  std::string result = what + ": " + errorText(error);
  if (error == EPERM || error == EACCES) result += "; hipd needs CAP_NET_ADMIN";
  return result;
}

template <class T, class Parse>
Listing<T> dump(Request request, const char* what, Parse parse) {
  Listing<T> result;
  const int error = converse(request, [&](View message) {
    T entry;
    if (result.entries.size() < kMaxEntries && parse(message, entry)) result.entries.push_back(entry);
  });
  result.error = outcome(std::string("cannot list ") + what, error);
  return result;
}

std::string prefixText(const Address& address, unsigned length) {
  return text(address) + "/" + std::to_string(length);
}

}  // namespace

Listing<Link> listLinks() {
  return dump<Link>(Request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{}), "links", parseLink);
}

Listing<LinkAddress> listAddresses() {
  return dump<LinkAddress>(Request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{}), "addresses", parseAddress);
}

namespace {
template <class Parse>
Listing<Route> dumpRoutes(Parse parse) {
  Listing<Route> all;
  for (const int family : {AF_INET, AF_INET6}) {
    rtmsg info{};
    info.rtm_family = static_cast<unsigned char>(family);
    Listing<Route> part = dump<Route>(Request(RTM_GETROUTE, NLM_F_DUMP, info), "routes", parse);
    all.entries.insert(all.entries.end(), part.entries.begin(), part.entries.end());
    if (!part.error.empty()) all.error = part.error;
  }
  return all;
}
}  // namespace

Listing<Route> listRoutes() {
  return dumpRoutes([](View message, Route& route) { return parseRoute(message, route); });
}

Listing<Route> listDefaultRoutes() {
  return dumpRoutes([](View message, Route& route) {
    return parseRoute(message, route) && route.prefixLength == 0 && route.type == RTN_UNICAST &&
           route.table == RT_TABLE_MAIN;
  });
}

namespace {
/// What the kernel would do by this link with a packet for `remote`. Link 0: nothing.
Route routeBy(int link, const Address& remote, const Address* source) {
  rtmsg info{};
  const bool v4 = remote.family == 4;
  info.rtm_family = v4 ? AF_INET : AF_INET6;
  info.rtm_dst_len = v4 ? 32 : 128;
  info.rtm_src_len = source == nullptr ? 0 : info.rtm_dst_len;
  // Without it IPv4 would believe that everything is a neighbour on that link.
  if (source != nullptr) info.rtm_flags = RTM_F_FIB_MATCH;
  Request request(RTM_GETROUTE, 0, info);
  request.address(RTA_DST, remote);
  if (source != nullptr) request.address(RTA_SRC, *source);
  request.number(RTA_OIF, static_cast<std::uint32_t>(link));
  Route found;
  const auto look = [&](View message) {
    Route route;
    if (!parseRoute(message, route, true) || route.type != RTN_UNICAST) return;
    const bool here = route.link == link || std::count(route.otherLinks.begin(), route.otherLinks.end(), link) > 0;
    if (here) found = route;
  };
  if (converse(request, look, true) != 0) return {};
  return found;
}
}  // namespace

WayOut wayOut(int link, const Address& source, const Address& remote) {
  if (routeBy(link, remote, &source).link != 0) return WayOut::Open;
  // IPv6 takes the interface for no more than a wish when there is a source; not when the kernel chooses that.
  const bool chosen = remote.family == 6 && routeBy(link, remote, nullptr).source == source;
  return chosen ? WayOut::WithoutSource : WayOut::None;
}

std::string setLink(const std::string& name, const LinkChange& change) {
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) return "there is no interface " + name;
  ifinfomsg info{};
  info.ifi_index = static_cast<int>(index);
  if (change.withoutLinkLocal) {
    Request request(RTM_SETLINK, NLM_F_ACK, info);
    const std::size_t families = request.open(IFLA_AF_SPEC);
    const std::size_t inet6 = request.open(AF_INET6);
    const std::uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
    request.attribute(IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
    request.close(inet6);
    request.close(families);
    const int error = converse(request, {});
    // A host without IPv6 has no link-local addresses either.
    if (error != 0 && error != EAFNOSUPPORT && error != EOPNOTSUPP) {
      return outcome("cannot turn link-local addresses of " + name + " off", error);
    }
  }
  if (change.up) {
    info.ifi_flags = IFF_UP;
    info.ifi_change = IFF_UP;
  }
  Request request(RTM_SETLINK, NLM_F_ACK, info);
  if (change.mtu != 0) request.number(IFLA_MTU, change.mtu);
  if (change.queue != 0) request.number(IFLA_TXQLEN, change.queue);
  const std::string failed = outcome("cannot configure " + name, converse(request, {}));
  if (!failed.empty() || change.superBytes == 0) return failed;
  // Kernels before 6.3 do not let it be set: then super-packets are as large as they may be.
  Request supers(RTM_SETLINK, NLM_F_ACK, info);
  supers.number(IFLA_GSO_MAX_SIZE, change.superBytes);
  (void)converse(supers, {});
  return "";
}

namespace {

std::string changeAddress(unsigned type, unsigned flags, const std::string& name, const Address& address,
                          std::uint8_t prefixLength, int tolerated) {
  const char* verb = type == RTM_NEWADDR ? "cannot add address " : "cannot remove address ";
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) return "there is no interface " + name;
  ifaddrmsg info{};
  info.ifa_family = address.family == 4 ? AF_INET : AF_INET6;
  info.ifa_prefixlen = prefixLength;
  info.ifa_index = index;
  info.ifa_scope = RT_SCOPE_UNIVERSE;
  info.ifa_flags = address.family == 6 ? IFA_F_NODAD : 0;
  Request request(type, NLM_F_ACK | flags, info);
  request.address(IFA_LOCAL, address);
  request.address(IFA_ADDRESS, address);
  const int error = converse(request, {});
  return outcome(verb + prefixText(address, prefixLength) + " on " + name, error == tolerated ? 0 : error);
}

std::string changeRoute(unsigned type, unsigned flags, const Route& route, int tolerated) {
  const char* verb = type == RTM_NEWROUTE ? "cannot add route " : "cannot remove route ";
  rtmsg info{};
  info.rtm_family = route.destination.family == 4 ? AF_INET : AF_INET6;
  info.rtm_dst_len = route.prefixLength;
  info.rtm_type = route.type;
  info.rtm_protocol = route.protocol != 0 ? route.protocol : static_cast<unsigned char>(RTPROT_STATIC);
  info.rtm_scope = route.type == RTN_UNICAST && route.destination.family == 4
                       ? static_cast<unsigned char>(RT_SCOPE_LINK)
                       : static_cast<unsigned char>(RT_SCOPE_UNIVERSE);
  if (type == RTM_DELROUTE) {
    info.rtm_protocol = route.protocol;
    info.rtm_scope = RT_SCOPE_NOWHERE;
  }
  const std::uint32_t table = route.table != 0 ? route.table : static_cast<std::uint32_t>(RT_TABLE_MAIN);
  info.rtm_table = static_cast<unsigned char>(table < 256 ? table : static_cast<std::uint32_t>(RT_TABLE_UNSPEC));
  Request request(type, NLM_F_ACK | flags, info);
  request.address(RTA_DST, route.destination);
  request.number(RTA_TABLE, table);
  if (route.link != 0) request.number(RTA_OIF, static_cast<std::uint32_t>(route.link));
  if (route.metric != 0) request.number(RTA_PRIORITY, route.metric);
  if (route.source.family != 0) request.address(RTA_PREFSRC, route.source);
  if (route.mtu != 0 || route.ecn) {
    const std::size_t metrics = request.open(RTA_METRICS);
    if (route.mtu != 0) request.number(RTAX_MTU, route.mtu);
    if (route.ecn) request.number(RTAX_FEATURES, RTAX_FEATURE_ECN);
    request.close(metrics);
  }
  const int error = converse(request, {});
  return outcome(verb + prefixText(route.destination, route.prefixLength), error == tolerated ? 0 : error);
}

}  // namespace

std::string addAddress(const std::string& link, const Address& address, std::uint8_t prefixLength) {
  return changeAddress(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, link, address, prefixLength, EEXIST);
}

std::string deleteAddress(const std::string& link, const Address& address, std::uint8_t prefixLength) {
  return changeAddress(RTM_DELADDR, 0, link, address, prefixLength, EADDRNOTAVAIL);
}

std::string addRoute(const Route& route, bool replace) {
  const unsigned flags = NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL);
  return changeRoute(RTM_NEWROUTE, flags, route, EEXIST);
}

std::string deleteRoute(const Route& route) {
  return changeRoute(RTM_DELROUTE, 0, route, ESRCH);
}

}  // namespace hipd::netlink
