// Take-over for JavaScript. Part of addon.cc, which includes node_api.h before it.
#pragma once

#include <vector>

#include "addon_instance.h"
#include "takeover.h"

namespace hipd {
namespace {

/// Descriptors of an array. Fails the arguments where one is none.
std::vector<int> descriptors(napi_env env, Arguments& arguments, std::size_t i, const char* name) {
  static constexpr std::uint32_t kMost = 10 * kMaxQueues;
  std::vector<int> fds;
  bool is = false;
  std::uint32_t count = 0;
  const napi_value array = arguments.raw(i);
  if (!arguments.ok()) return fds;
  if (array == nullptr || napi_is_array(env, array, &is) != napi_ok || !is ||
      napi_get_array_length(env, array, &count) != napi_ok || count > kMost) {
    arguments.fail(name);
    return fds;
  }
  for (std::uint32_t at = 0; at < count; at++) {
    napi_value element = nullptr;
    std::int32_t fd = -1;
    if (napi_get_element(env, array, at, &element) != napi_ok || napi_get_value_int32(env, element, &fd) != napi_ok ||
        fd < 0) {
      arguments.fail(name);
      return fds;
    }
    fds.push_back(fd);
  }
  return fds;
}

/// The caller owns them from now on.
napi_value given(napi_env env, std::vector<Fd>& fds) {
  napi_value result = nullptr;
  napi_create_array(env, &result);
  for (std::uint32_t i = 0; i < fds.size(); i++) napi_set_element(env, result, i, number(env, fds[i].release()));
  return result;
}

/// suspend(plane) -> [blob, tunFds, udpFds]; throws an Error, and then the plane goes on. The blob holds keys.
napi_value suspend(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "suspend");
  Plane* plane = planeOf(env, arguments);
  if (!arguments.ok()) return nullptr;
  Suspended suspended;
  const std::string error = plane->suspend(suspended);
  if (!error.empty()) {
    napi_throw_error(env, nullptr, error.c_str());
    return nullptr;
  }
  instanceOf(env, arguments)->suspended = true;
  napi_value result = nullptr;
  napi_create_array(env, &result);
  napi_set_element(env, result, 0, array(env, suspended.blob));
  napi_set_element(env, result, 1, given(env, suspended.tuns));
  napi_set_element(env, result, 2, given(env, suspended.sockets));
  wipe(suspended.blob);
  return result;
}

/// resume(blob, tunFds, udpFds, notify, ticketFd?) -> [plane, ...notes], to which the descriptors belong from now on
/// but for the ticket; throws an Error, and then they stay the caller's, and the ticket is not taken, or was taken
/// before.
napi_value resume(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "resume");
  Handover from;
  from.blob = arguments.bytes(0, "blob", 0, kMostTakeover);
  const std::vector<int> tuns = descriptors(env, arguments, 1, "tunFds");
  const std::vector<int> sockets = descriptors(env, arguments, 2, "udpFds");
  const napi_value notify = arguments.function(3, "notify");
  if (arguments.raw(4) != nullptr) from.ticket = static_cast<int>(arguments.number(4, "ticketFd", 1'000'000));
  if (!arguments.ok()) return nullptr;
  from.tuns = tuns;
  from.sockets = sockets;
  return launch(env, notify, [&](Birth& birth) {
    from.notify = birth.listener;
    from.context = birth.context;
    return Plane::resume(from, birth.error, birth.notes);
  });
}

/// resumedOptions(plane) -> [interface, mtu, port, raw, workers, ownLsi, lsiNetwork, lsiPrefixLength, offloads,
/// busyPollMicros, aead, silentMillis, gapMicros]: as `open` takes them, and how long nobody served the sockets.
napi_value resumedOptions(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "resumedOptions");
  const Plane* plane = planeOf(env, arguments);
  if (!arguments.ok()) return nullptr;
  const PlaneOptions& options = plane->options();
  const Offloads& wanted = options.offloads;
  const unsigned offloads =
      (wanted.tso ? 1u : 0u) | (wanted.uso ? 2u : 0u) | (wanted.gso ? 4u : 0u) | (wanted.gro ? 8u : 0u);
  napi_value raw = nullptr;
  napi_get_boolean(env, options.raw, &raw);
  const std::array<napi_value, 13> values{
      string(env, options.interface),
      number(env, options.mtu),
      number(env, options.port),
      raw,
      number(env, static_cast<double>(options.workers)),
      array(env, options.ownLsi.bytes),
      array(env, View(options.lsiPrefix.network.bytes).first(4)),
      number(env, options.lsiPrefix.length),
      number(env, offloads),
      number(env, options.busyPoll),
      string(env, options.aead),
      number(env, options.silentAfter),
      number(env, static_cast<double>(plane->gap())),
  };
  napi_value result = nullptr;
  napi_create_array(env, &result);
  for (std::uint32_t i = 0; i < values.size(); i++) napi_set_element(env, result, i, values[i]);
  return result;
}

/// stalled(plane, millis) -> how many data workers have been busy with one look at their sockets for longer
napi_value stalled(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "stalled");
  const Plane* plane = planeOf(env, arguments);
  const std::uint32_t millis = arguments.u32(1, "millis");
  if (!arguments.ok()) return nullptr;
  return number(env, static_cast<double>(plane->stalled(millis)));
}

}  // namespace
}  // namespace hipd
