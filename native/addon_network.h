// The host's links, addresses and routes for JavaScript; none of these needs a plane. Part of addon.cc, which includes
// node_api.h before it.
#pragma once

#include <malloc.h>

#include <string>
#include <vector>

#include "arguments.h"
#include "netlink.h"
#include "tun.h"
#include "udp.h"

namespace hipd {
namespace {

/// One line for each, as netlink.h describes.
std::string addressList(const std::vector<netlink::LocalAddress>& addresses) {
  std::string list;
  for (const netlink::LocalAddress& address : addresses) list += (list.empty() ? "" : "\n") + netlink::text(address);
  return list;
}

/// trimMemory() -> "trimmed" when the C library gave something back to the system, else "". After a storm of exchanges
/// what it keeps for later is tens of megabytes.
napi_value trimMemory(napi_env env, napi_callback_info) {
#ifdef __GLIBC__
  const bool trimmed = malloc_trim(0) == 1;
#else
  const bool trimmed = false;
#endif
  return string(env, trimmed ? "trimmed" : "");
}

/// source(remote) -> bytes of the local address, empty without a route
napi_value source(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "source");
  const Address remote = arguments.address(0, "remote");
  if (!arguments.ok()) return nullptr;
  const Address local = askKernel({}, {remote, 0}).source;
  return array(env, {local.bytes.data(), local.family == 0 ? 0u : (local.family == 4 ? 4u : 16u)});
}

/// underlayAddresses(overlayLink) -> text, one a line (netlink.h)
napi_value underlayAddresses(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "underlayAddresses");
  const std::string link = arguments.string(0, "overlayLink", 15);
  if (!arguments.ok()) return nullptr;
  return string(env, addressList(netlink::underlayAddresses(link)));
}

/// Throws an Error with `failure`, or returns undefined when it is empty.
napi_value outcome(napi_env env, const std::string& failure) {
  if (!failure.empty()) {
    napi_throw_error(env, nullptr, failure.c_str());
    return nullptr;
  }
  return undefined(env);
}

/// deleteTun(name); throws an Error.
napi_value deleteTunDevice(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "deleteTun");
  const std::string name = arguments.string(0, "name", 15);
  return arguments.ok() ? outcome(env, deleteTun(name)) : nullptr;
}

/// setLink(name, up, mtu); mtu 0 leaves it. Throws an Error.
napi_value setLink(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "setLink");
  const std::string name = arguments.string(0, "name", 15);
  netlink::LinkChange change;
  change.up = arguments.boolean(1, "up");
  change.mtu = arguments.u32(2, "mtu");
  return arguments.ok() ? outcome(env, netlink::setLink(name, change)) : nullptr;
}

/// listLinks() -> lines "index name flags mtu"
napi_value listLinks(napi_env env, napi_callback_info) {
  const auto listing = netlink::listLinks();
  if (!listing.error.empty()) return outcome(env, listing.error);
  std::string lines;
  for (const netlink::Link& link : listing.entries) {
    lines += std::to_string(link.index) + " " + link.name + " " + std::to_string(link.flags) + " " +
             std::to_string(link.mtu) + "\n";
  }
  return string(env, lines);
}

/// listAddresses() -> lines "link address prefixLength scope flags"
napi_value listAddresses(napi_env env, napi_callback_info) {
  const auto listing = netlink::listAddresses();
  if (!listing.error.empty()) return outcome(env, listing.error);
  std::string lines;
  for (const netlink::LinkAddress& one : listing.entries) {
    lines += std::to_string(one.link) + " " + text(one.address) + " " + std::to_string(one.prefixLength) + " " +
             std::to_string(one.scope) + " " + std::to_string(one.flags) + "\n";
  }
  return string(env, lines);
}

/// listRoutes() -> lines "destination prefixLength type table link metric mtu source"
napi_value listRoutes(napi_env env, napi_callback_info) {
  const auto listing = netlink::listRoutes();
  if (!listing.error.empty()) return outcome(env, listing.error);
  std::string lines;
  for (const netlink::Route& one : listing.entries) {
    lines += text(one.destination) + " " + std::to_string(one.prefixLength) + " " + std::to_string(one.type) + " " +
             std::to_string(one.table) + " " + std::to_string(one.link) + " " + std::to_string(one.metric) + " " +
             std::to_string(one.mtu) + " " + text(one.source) + "\n";
  }
  return string(env, lines);
}

/// changeAddress(add, link, address, prefixLength); throws an Error.
napi_value changeAddress(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "changeAddress");
  const bool add = arguments.boolean(0, "add");
  const std::string link = arguments.string(1, "link", 15);
  const Address address = arguments.address(2, "address");
  const std::uint8_t length = arguments.u8(3, "prefixLength", address.family == 4 ? 32 : 128);
  if (!arguments.ok()) return nullptr;
  return outcome(env, add ? netlink::addAddress(link, address, length) : netlink::deleteAddress(link, address, length));
}

/// changeRoute(add, destination, prefixLength, type, link, table, metric, mtu, sourceOrEmpty, ecn); throws an Error.
/// `link` is an index, 0 for none. Adding replaces a route with the same destination and metric.
napi_value changeRoute(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "changeRoute");
  const bool add = arguments.boolean(0, "add");
  netlink::Route one;
  one.destination = arguments.address(1, "destination");
  one.prefixLength = arguments.u8(2, "prefixLength", one.destination.family == 4 ? 32 : 128);
  one.type = arguments.u8(3, "type");
  one.link = static_cast<int>(arguments.number(4, "link", 2147483647.0));
  one.table = arguments.u32(5, "table");
  one.metric = arguments.u32(6, "metric");
  one.mtu = arguments.u32(7, "mtu");
  one.source = arguments.address(8, "source", true);
  one.ecn = arguments.boolean(9, "ecn");
  if (!arguments.ok()) return nullptr;
  return outcome(env, add ? netlink::addRoute(one, true) : netlink::deleteRoute(one));
}

}  // namespace
}  // namespace hipd
