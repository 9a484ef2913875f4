// The service manager, sealed memory and capabilities for JavaScript (service.h). Part of addon.cc, which includes
// node_api.h before it. Everything throws an Error in words.
#pragma once

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "addon_network.h"
#include "arguments.h"
#include "service.h"
#include "takeover.h"

namespace hipd {
namespace {

constexpr std::size_t kMaxNotification = 8192;
/// memfd_create(2) takes no more.
constexpr std::size_t kMaxMemoryName = 200;

/// The elements of a JavaScript array; no more than `most`. Marks the argument as wrong when it is none.
std::vector<napi_value> elements(napi_env env, Arguments& arguments, std::size_t i, const char* name,
                                 std::uint32_t most) {
  std::vector<napi_value> values;
  bool isArray = false;
  std::uint32_t length = 0;
  const napi_value list = arguments.raw(i);
  if (!arguments.ok()) return values;
  if (list == nullptr || napi_is_array(env, list, &isArray) != napi_ok || !isArray ||
      napi_get_array_length(env, list, &length) != napi_ok || length > most) {
    arguments.fail(name);
    return values;
  }
  values.resize(length);
  for (std::uint32_t at = 0; at < length; at++) {
    if (napi_get_element(env, list, at, &values[at]) != napi_ok) arguments.fail(name);
  }
  return values;
}

int descriptor(Arguments& arguments, std::size_t i) {
  return static_cast<int>(arguments.number(i, "fd", 1'000'000));
}

napi_value made(napi_env env, service::Made result) {
  if (!result.error.empty()) return outcome(env, result.error);
  // JavaScript owns it from here on.
  const int fd = fcntl(result.fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (fd < 0) return outcome(env, "no descriptor is free: " + errorText(errno));
  return number(env, fd);
}

/// notify(socket, message, fds)
napi_value notifyManager(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "notify");
  const std::string socket = arguments.string(0, "socket", 108);
  const std::string message = arguments.string(1, "message", kMaxNotification);
  std::vector<int> fds;
  for (const napi_value value : elements(env, arguments, 2, "fds", service::kMaxPassed)) {
    std::int32_t fd = -1;
    if (napi_get_value_int32(env, value, &fd) != napi_ok || fd < 0) arguments.fail("fds");
    fds.push_back(fd);
  }
  return arguments.ok() ? outcome(env, service::notify(socket, message, fds)) : nullptr;
}

/// makeSealed(name, bytes) -> descriptor
napi_value makeSealed(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "makeSealed");
  const std::string name = arguments.string(0, "name", kMaxMemoryName);
  const View bytes = arguments.bytes(1, "bytes", 0, service::kMaxSealed);
  return arguments.ok() ? made(env, service::makeSealed(name, bytes)) : nullptr;
}

/// readSealed(fd) -> bytes
napi_value readSealed(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "readSealed");
  const int fd = descriptor(arguments, 0);
  if (!arguments.ok()) return nullptr;
  std::vector<std::uint8_t> bytes;
  const std::string failed = service::readSealed(fd, bytes);
  const napi_value result = failed.empty() ? array(env, bytes) : outcome(env, failed);
  // They may be keys; the caller wipes its own copy.
  wipe(bytes);
  return result;
}

/// makeTicket() -> descriptor
napi_value makeTicket(napi_env env, napi_callback_info) {
  return made(env, service::makeTicket());
}

/// takeTicket(fd) -> whether it was ours to take
napi_value takeTicket(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "takeTicket");
  const int fd = descriptor(arguments, 0);
  if (!arguments.ok()) return nullptr;
  const service::Taken result = service::takeTicket(fd);
  if (!result.error.empty()) return outcome(env, result.error);
  napi_value taken = nullptr;
  napi_get_boolean(env, result.taken, &taken);
  return taken;
}

/// closeOnExec(fd)
napi_value closeOnExec(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "closeOnExec");
  const int fd = descriptor(arguments, 0);
  return arguments.ok() ? outcome(env, service::closeOnExec(fd)) : nullptr;
}

/// closeFd(fd)
napi_value closeFd(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "closeFd");
  const int fd = descriptor(arguments, 0);
  return arguments.ok() ? outcome(env, service::closeFd(fd)) : nullptr;
}

/// exitNow(status): ends the process without any order; whatever waits to be written is lost
napi_value exitNow(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "exitNow");
  const std::uint8_t status = arguments.u8(0, "status");
  if (arguments.ok()) _exit(status);
  return nullptr;
}

/// nameProcess(name): what ps(1) and pgrep(1) show, from the thread that calls; 15 characters.
napi_value nameProcess(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "nameProcess");
  const std::string name = arguments.string(0, "name", 15);
  if (arguments.ok()) prctl(PR_SET_NAME, name.c_str(), 0, 0, 0);
  return undefined(env);
}

/// dropPrivileges(keep): names like "CAP_NET_ADMIN"
napi_value dropPrivileges(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "dropPrivileges");
  std::vector<std::string> keep;
  for (const napi_value value : elements(env, arguments, 0, "keep", 64)) {
    std::array<char, 64> text{};
    std::size_t length = 0;
    if (napi_get_value_string_utf8(env, value, text.data(), text.size(), &length) != napi_ok) arguments.fail("keep");
    keep.emplace_back(text.data(), length);
  }
  return arguments.ok() ? outcome(env, service::dropPrivileges(keep)) : nullptr;
}

}  // namespace
}  // namespace hipd
