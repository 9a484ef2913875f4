// The flow log for JavaScript. Part of addon.cc, which includes node_api.h before it.
#pragma once

#include <chrono>
#include <vector>

#include "addon_instance.h"

namespace hipd {
namespace {

/// logFlows(plane, sample): counts one of `sample` flows; 0 ends it.
napi_value logFlows(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "logFlows");
  Plane* plane = planeOf(env, arguments);
  const std::uint32_t sample = arguments.u32(1, "sample");
  if (arguments.ok()) plane->logFlows(sample);
  return undefined(env);
}

/// takeFlows(plane, max, all) -> at most `max` records of 56 bytes: u8[16] peer, u8 protocol, family, inbound, end
/// (FlowEnd), u16 localPort, peerPort, f64 packets, bytes, first, last (milliseconds since 1970). Numbers in the
/// machine's byte order.
napi_value takeFlows(napi_env env, napi_callback_info info) {
  static constexpr std::size_t kRecord = 56;
  static constexpr std::uint32_t kMost = 4096;
  Arguments arguments(env, info, "takeFlows");
  Plane* plane = planeOf(env, arguments);
  const std::uint32_t max = arguments.u32(1, "max");
  const bool all = arguments.boolean(2, "all");
  if (arguments.ok() && max > kMost) arguments.fail("max");
  if (!arguments.ok()) return nullptr;
  std::vector<FlowRecord> flows(max);
  const std::size_t count = plane->takeFlows(flows, all);
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const double epoch = static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(wall).count()) -
                       static_cast<double>(monotonicCoarse() / 1'000'000);
  std::vector<std::uint8_t> records(count * kRecord);
  for (std::size_t i = 0; i < count; i++) {
    const FlowRecord& flow = flows[i];
    const FlowName& name = flow.name;
    std::uint8_t* at = records.data() + i * kRecord;
    std::memcpy(at, name.peer.bytes.data(), 16);
    at[16] = name.protocol;
    at[17] = static_cast<std::uint8_t>(name.family);
    at[18] = name.inbound ? 1 : 0;
    at[19] = static_cast<std::uint8_t>(flow.end);
    std::memcpy(at + 20, &name.localPort, 2);
    std::memcpy(at + 22, &name.peerPort, 2);
    const std::array<double, 4> sums{static_cast<double>(flow.packets), static_cast<double>(flow.bytes),
                                     epoch + static_cast<double>(flow.first), epoch + static_cast<double>(flow.last)};
    std::memcpy(at + 24, sums.data(), sizeof sums);
  }
  return array(env, records);
}

}  // namespace
}  // namespace hipd
