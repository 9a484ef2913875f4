// Links, addresses and routes of the host by rtnetlink: what `ip` would do, without a process.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "endpoint.h"
#include "types.h"

namespace hipd::netlink {

/// Replies longer than this are refused: a dump comes in messages of at most 32 KiB.
inline constexpr std::size_t kMaxMessage = 64 * 1024;
/// Entries of one dump that are kept.
inline constexpr std::size_t kMaxEntries = 65536;

struct Link {
  int index = 0;
  std::string name;
  unsigned flags = 0;  // IFF_*
  std::uint32_t mtu = 0;
};

struct LinkAddress {
  int link = 0;
  Address address;
  std::uint8_t prefixLength = 0;
  std::uint8_t scope = 0;                // RT_SCOPE_*
  std::uint32_t flags = 0;               // IFA_F_*
  std::uint32_t preferred = UINT32_MAX;  // seconds; UINT32_MAX: for ever
};

struct Route {
  Address destination;  // the network; the family's zero address for a default route
  std::uint8_t prefixLength = 0;
  std::uint8_t type = 0;  // RTN_*
  std::uint8_t protocol = 0;
  std::uint32_t table = 0;
  int link = 0;                 // 0: none
  std::vector<int> otherLinks;  // of a route with several next hops
  std::uint32_t metric = 0;
  std::uint32_t mtu = 0;
  bool ecn = false;  // TCP asks for ECN (RTAX_FEATURE_ECN)
  Address source;    // preferred source; family 0: none
};

/// One message of a reply: reads `bytes` (header included) into the list of its kind. False for another kind or a
/// malformed one.
bool parseLink(View message, Link& link);
bool parseAddress(View message, LinkAddress& address);
/// `cached`: also the answer to a question for one destination.
bool parseRoute(View message, Route& route, bool cached = false);
/// Whether a message of the monitor is about a link, an address or a default route.
bool matters(View message);

/// Calls `visit(View message)` for each netlink message in a datagram. False when a length lies.
bool eachMessage(View datagram, const std::function<void(View)>& visit);

/// A list, or what went wrong.
template <class T>
struct Listing {
  std::vector<T> entries;
  std::string error;
};
Listing<Link> listLinks();
Listing<LinkAddress> listAddresses();
/// Routes of both families and all tables, without cached ones.
Listing<Route> listRoutes();
/// Unicast routes to everywhere, of the main table.
Listing<Route> listDefaultRoutes();

/// Every change returns "" or what went wrong. Changes that are already so are no error.
struct LinkChange {
  bool up = true;
  std::uint32_t mtu = 0;          // 0: as it is
  std::uint32_t queue = 0;        // packets that wait at most; 0: as it is
  std::uint32_t superBytes = 0;   // of super-packets; 0: as it is
  bool withoutLinkLocal = false;  // IPv6 addr_gen_mode none
};
std::string setLink(const std::string& name, const LinkChange& change);
std::string addAddress(const std::string& link, const Address& address, std::uint8_t prefixLength);
std::string deleteAddress(const std::string& link, const Address& address, std::uint8_t prefixLength);
/// `replace`: an existing route with the same destination and metric becomes this one.
std::string addRoute(const Route& route, bool replace);
std::string deleteRoute(const Route& route);

/// One of the host's own underlay addresses.
struct LocalAddress {
  Address address;
  int link = 0;
  std::string name;  // the link's
  bool deprecated = false;
  bool temporary = false;
  /// The source that the kernel takes towards the default route.
  bool defaultSource = false;
  /// Seconds that it stays preferred; kForever. Not compared: it shrinks all the time.
  std::uint32_t preferred = kForever;
  /// Of the link's best default route of this family; kNoRoute.
  std::uint32_t metric = kNoRoute;

  static constexpr std::uint32_t kForever = UINT32_MAX;
  static constexpr std::uint32_t kNoRoute = UINT32_MAX;
  friend bool operator==(const LocalAddress& a, const LocalAddress& b) {
    return a.address == b.address && a.link == b.link && a.name == b.name && a.deprecated == b.deprecated &&
           a.temporary == b.temporary && a.defaultSource == b.defaultSource && a.metric == b.metric;
  }
};
/// "192.0.2.1 eth0 s 3600 100": address, link, flags (d deprecated, t temporary, s default source; - none), seconds
/// preferred, metric (- for none).
std::string text(const LocalAddress& address);

/// The host's own underlay addresses: global scope, usable, on links that are up, without loopback and `overlayLink`.
/// Sorted, so that two lists compare.
std::vector<LocalAddress> underlayAddresses(const std::string& overlayLink);

/// Whether packets from `source`, an address of this link, can leave by it towards `remote`: WithoutSource when the
/// kernel takes the link seriously only where it chooses the source, and it would choose this one.
enum class WayOut : std::uint8_t { None, Open, WithoutSource };
WayOut wayOut(int link, const Address& source, const Address& remote);

/// A socket that becomes readable when links, addresses or routes change. `error` says why there is none.
Fd openMonitor(std::string& error);
/// Empties the monitor. True when anything that matters may have changed (also after an overrun): not for routes
/// other than default ones, which routers change all the time.
bool readMonitor(int fd);

}  // namespace hipd::netlink
