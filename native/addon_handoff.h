// Messages with descriptors between our processes for JavaScript (handoff.h). Part of addon.cc, which includes
// node_api.h before it. Everything throws an Error in words, and blocks for as long as it is told at most.
#pragma once

#include <vector>

#include "addon_service.h"
#include "addon_takeover.h"
#include "handoff.h"

namespace hipd {
namespace {

/// Nobody waits longer.
constexpr double kMaxPatience = 600'000;

int patience(Arguments& arguments, std::size_t i) {
  return static_cast<int>(arguments.number(i, "millis", kMaxPatience));
}

napi_value null(napi_env env) {
  napi_value value = nullptr;
  napi_get_null(env, &value);
  return value;
}

/// listenAt(path) -> descriptor
napi_value listenAt(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "listenAt");
  const std::string path = arguments.string(0, "path", 108);
  return arguments.ok() ? made(env, handoff::listen(path)) : nullptr;
}

/// acceptPeer(listener, millis) -> descriptor; null: nobody came
napi_value acceptPeer(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "acceptPeer");
  const int listener = descriptor(arguments, 0);
  const int millis = patience(arguments, 1);
  if (!arguments.ok()) return nullptr;
  service::Made accepted = handoff::accept(listener, millis);
  const bool nobody = accepted.error.empty() && !accepted.fd.valid();
  return nobody ? null(env) : made(env, std::move(accepted));
}

/// connectTo(path, millis) -> descriptor
napi_value connectTo(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "connectTo");
  const std::string path = arguments.string(0, "path", 108);
  const int millis = patience(arguments, 1);
  return arguments.ok() ? made(env, handoff::connect(path, millis)) : nullptr;
}

/// sendMessage(fd, bytes, fds, millis)
napi_value sendMessage(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "sendMessage");
  const int fd = descriptor(arguments, 0);
  const View bytes = arguments.bytes(1, "bytes", 1, handoff::kMaxMessage);
  const std::vector<int> fds = descriptors(env, arguments, 2, "fds");
  const int millis = patience(arguments, 3);
  return arguments.ok() ? outcome(env, handoff::send(fd, bytes, fds, millis)) : nullptr;
}

/// endPeer(fd): kills the process that made the other end
napi_value endPeer(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "endPeer");
  const int fd = descriptor(arguments, 0);
  return arguments.ok() ? outcome(env, handoff::endPeer(fd)) : nullptr;
}

/// receiveMessage(fd, millis) -> [bytes, fds], which are the caller's; no bytes: the other end is gone; null: nothing
/// came
napi_value receiveMessage(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "receiveMessage");
  const int fd = descriptor(arguments, 0);
  const int millis = patience(arguments, 1);
  if (!arguments.ok()) return nullptr;
  handoff::Received received = handoff::receive(fd, millis);
  if (received.how == handoff::Received::How::Failed) return outcome(env, received.error);
  if (received.how == handoff::Received::How::Late) return null(env);
  napi_value result = nullptr;
  napi_create_array(env, &result);
  napi_set_element(env, result, 0, array(env, received.bytes));
  napi_set_element(env, result, 1, given(env, received.fds));
  return result;
}

}  // namespace
}  // namespace hipd
