// The only file that knows Node: everything else links into plain programs. src/runtime/native.ts is its only caller.
#include <node_api.h>

#include <memory>
#include <string>

#include "addon_flow.h"
#include "addon_handoff.h"
#include "addon_instance.h"
#include "addon_network.h"
#include "addon_service.h"
#include "addon_takeover.h"
#include "arguments.h"
#include "event.h"
#include "plane.h"

namespace hipd {
namespace {

Path path(Arguments& arguments, std::size_t i) {
  Path result;
  const View record = arguments.bytes(i, "path", kPathRecord, kPathRecord);
  if (arguments.ok() && !readPath(record, result)) arguments.fail("path");
  return result;
}

/// open(interface, mtu, port, raw, workers, ownLsi, lsiNetwork, lsiPrefixLength, notify, offloads, busyPollMicros) ->
/// [plane,
/// ...notes]; offloads: 1 tso, 2 uso, 4 gso, 8 gro; throws an Error.
napi_value open(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "open");
  PlaneOptions options;
  options.interface = arguments.string(0, "interface", 15);
  options.mtu = arguments.u32(1, "mtu");
  options.port = arguments.u16(2, "port");
  options.raw = arguments.boolean(3, "raw");
  options.workers = arguments.u8(4, "workers");
  options.ownLsi = arguments.lsi(5, "ownLsi");
  options.lsiPrefix.network = arguments.address(6, "lsiNetwork");
  options.lsiPrefix.length = arguments.u8(7, "lsiPrefixLength", 32);
  const napi_value notify = arguments.function(8, "notify");
  const unsigned offloads = arguments.u8(9, "offloads");
  options.offloads = {(offloads & 1) != 0, (offloads & 2) != 0, (offloads & 4) != 0, (offloads & 8) != 0};
  options.busyPoll = arguments.u32(10, "busyPollMicros");
  options.aead = arguments.string(11, "aead", 31);
  options.silentAfter = arguments.u32(12, "silentMillis");
  if (arguments.ok() && options.lsiPrefix.network.family != 4) arguments.fail("lsiNetwork");
  if (!arguments.ok()) return nullptr;

  return launch(env, notify, [&](Birth& birth) {
    options.notify = birth.listener;
    options.context = birth.context;
    return Plane::open(options, birth.error, birth.notes);
  });
}

napi_value close(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "close");
  Instance* instance = instanceOf(env, arguments);
  if (instance != nullptr) instance->close();
  return undefined(env);
}

/// send(plane, path, bytes)
napi_value send(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "send");
  Plane* plane = planeOf(env, arguments);
  const Path where = path(arguments, 1);
  const View bytes = arguments.bytes(2, "bytes", 0, 65535);
  if (arguments.ok()) plane->send(where, bytes);
  return undefined(env);
}

/// addSa(plane, inbound, spi, lsiSpi, suite, encryptionKey, integrityKey, localHit, peerHit, path, lsiFamily,
/// softPackets, idleAfter)
/// -> 0 done, 1 repeated, 2 keys or SPI that do not fit, 3 too many
napi_value addSa(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "addSa");
  Plane* plane = planeOf(env, arguments);
  const bool inbound = arguments.boolean(1, "inbound");
  SaParameters parameters;
  parameters.spi = arguments.u32(2, "spi");
  parameters.lsiSpi = arguments.u32(3, "lsiSpi");
  const std::uint8_t suite = arguments.u8(4, "suite");
  parameters.encryptionKey = arguments.bytes(5, "encryptionKey", 0, 64);
  parameters.integrityKey = arguments.bytes(6, "integrityKey", 0, 64);
  parameters.localHit = arguments.hit(7, "localHit");
  parameters.peerHit = arguments.hit(8, "peerHit");
  const Path where = path(arguments, 9);
  parameters.inboundFamily = arguments.boolean(10, "lsiFamily") ? InnerFamily::Lsi : InnerFamily::Hit;
  parameters.softPackets = arguments.large(11, "softPackets");
  const std::uint32_t idleAfter = arguments.u32(12, "idleAfter");
  if (arguments.ok() && suiteShape(static_cast<unsigned>(suite)) == nullptr) arguments.fail("suite");
  if (!arguments.ok()) return nullptr;
  parameters.suite = static_cast<Suite>(suite);
  const Routes::Added added =
      inbound ? plane->addInbound(parameters, where, idleAfter) : plane->addOutbound(parameters, where);
  return number(env, static_cast<double>(added));
}

/// setPath(plane, spi, peerOrEmpty, path, verified) -> whether an SA was changed
napi_value setPath(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "setPath");
  Plane* plane = planeOf(env, arguments);
  const std::uint32_t spi = arguments.u32(1, "spi");
  const std::optional<Hit> peer = arguments.maybeHit(2, "peer");
  const Path where = path(arguments, 3);
  const bool verified = arguments.boolean(4, "verified");
  if (!arguments.ok()) return nullptr;
  napi_value result = nullptr;
  napi_get_boolean(env, plane->setPath(spi, peer ? &*peer : nullptr, where, verified), &result);
  return result;
}

/// probe(plane, peer, path, token, bytes)
napi_value probe(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "probe");
  Plane* plane = planeOf(env, arguments);
  const Hit peer = arguments.hit(1, "peer");
  const Path where = path(arguments, 2);
  const std::uint32_t token = arguments.u32(3, "token");
  const std::uint32_t bytes = arguments.u32(4, "bytes");
  if (arguments.ok()) plane->probe(peer, where, token, bytes);
  return undefined(env);
}

/// setPathMtu(plane, peer, mtu): 0 for what the kernel says
napi_value setPathMtu(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "setPathMtu");
  Plane* plane = planeOf(env, arguments);
  const Hit peer = arguments.hit(1, "peer");
  const std::uint32_t mtu = arguments.u32(2, "mtu");
  if (arguments.ok()) plane->setPathMtu(peer, mtu);
  return undefined(env);
}

/// shun(plane, address, millis)
napi_value shun(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "shun");
  Plane* plane = planeOf(env, arguments);
  const Address address = arguments.address(1, "address");
  const std::uint32_t millis = arguments.u32(2, "millis");
  if (arguments.ok()) plane->shun(address, millis);
  return undefined(env);
}

/// dropSa(plane, spi, inbound, peer)
napi_value dropSa(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "dropSa");
  Plane* plane = planeOf(env, arguments);
  const std::uint32_t spi = arguments.u32(1, "spi");
  const bool inbound = arguments.boolean(2, "inbound");
  const Hit peer = arguments.hit(3, "peer");
  if (arguments.ok()) plane->dropSa(spi, inbound, peer);
  return undefined(env);
}

/// route(plane, peer, mode, spi): mode 0 unknown, 1 demand, 2 reject, 3 send
napi_value route(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "route");
  Plane* plane = planeOf(env, arguments);
  const Hit peer = arguments.hit(1, "peer");
  const auto mode = static_cast<Mode>(arguments.u8(2, "mode", 3));
  const std::uint32_t spi = arguments.u32(3, "spi");
  if (arguments.ok()) plane->route(peer, mode, spi);
  return undefined(env);
}

/// alias(plane, lsi, peerOrEmpty)
napi_value alias(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "alias");
  Plane* plane = planeOf(env, arguments);
  const Lsi lsi = arguments.lsi(1, "lsi");
  const std::optional<Hit> peer = arguments.maybeHit(2, "peer");
  if (arguments.ok()) plane->alias(lsi, peer ? &*peer : nullptr);
  return undefined(env);
}

/// ping(plane, localHit, peer, sequence, bytes)
napi_value ping(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "ping");
  Plane* plane = planeOf(env, arguments);
  const Hit local = arguments.hit(1, "localHit");
  const Hit peer = arguments.hit(2, "peer");
  const std::uint32_t sequence = arguments.u32(3, "sequence");
  const std::uint32_t bytes = arguments.u32(4, "bytes");
  if (arguments.ok()) plane->ping(local, peer, sequence, bytes);
  return undefined(env);
}

/// drain(plane, buffer, max) -> bytes written: records as event.h describes
napi_value drain(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "drain");
  Plane* plane = planeOf(env, arguments);
  const Bytes buffer = arguments.bytes(1, "buffer", kMaxEventRecord, SIZE_MAX);
  const std::uint32_t max = arguments.u32(2, "max");
  if (!arguments.ok()) return nullptr;
  return number(env, static_cast<double>(plane->drain(buffer, max)));
}

/// associations(plane) -> records of 64 bytes: u8[16] peer, u32 outSpi, inSpi, pathMtu, 0, f64 txPackets, txBytes,
/// rxPackets, rxBytes
napi_value associations(napi_env env, napi_callback_info info) {
  static constexpr std::size_t kRecord = 64;
  Arguments arguments(env, info, "associations");
  Plane* plane = planeOf(env, arguments);
  if (!arguments.ok()) return nullptr;
  const std::vector<AssociationStats> list = plane->associations();
  std::vector<std::uint8_t> records(list.size() * kRecord);
  for (std::size_t i = 0; i < list.size(); i++) {
    const AssociationStats& one = list[i];
    const std::array<std::uint32_t, 4> numbers{one.outSpi, one.inSpi, one.pathMtu, 0};
    const std::array<double, 4> sums{static_cast<double>(one.txPackets), static_cast<double>(one.txBytes),
                                     static_cast<double>(one.rxPackets), static_cast<double>(one.rxBytes)};
    std::uint8_t* at = records.data() + i * kRecord;
    std::memcpy(at, one.peer.bytes.data(), 16);
    std::memcpy(at + 16, numbers.data(), sizeof numbers);
    std::memcpy(at + 32, sums.data(), sizeof sums);
  }
  return array(env, records);
}

/// counters(plane) -> { name: number }
napi_value counters(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "counters");
  Plane* plane = planeOf(env, arguments);
  if (!arguments.ok()) return nullptr;
  napi_value result = nullptr;
  napi_create_object(env, &result);
  for (const Counter& counter : plane->counters()) {
    napi_set_named_property(env, result, counter.name.c_str(), number(env, static_cast<double>(counter.value)));
  }
  return result;
}

/// addresses(plane) -> text, one a line (netlink.h)
napi_value addresses(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "addresses");
  Plane* plane = planeOf(env, arguments);
  if (!arguments.ok()) return nullptr;
  return string(env, addressList(plane->addresses()));
}

/// cipher(plane) -> text: the AEAD back-end in use.
napi_value cipher(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info, "cipher");
  Plane* plane = planeOf(env, arguments);
  if (!arguments.ok()) return nullptr;
  return string(env, std::string(plane->cipher()));
}

napi_value init(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {
      {"open", open},
      {"close", close},
      {"suspend", suspend},
      {"resume", resume},
      {"resumedOptions", resumedOptions},
      {"stalled", stalled},
      {"send", send},
      {"addSa", addSa},
      {"setPath", setPath},
      {"probe", probe},
      {"setPathMtu", setPathMtu},
      {"shun", shun},
      {"dropSa", dropSa},
      {"route", route},
      {"alias", alias},
      {"ping", ping},
      {"drain", drain},
      {"associations", associations},
      {"counters", counters},
      {"logFlows", logFlows},
      {"takeFlows", takeFlows},
      {"addresses", addresses},
      {"cipher", cipher},
      {"source", source},
      {"trimMemory", trimMemory},
      {"underlayAddresses", underlayAddresses},
      {"deleteTun", deleteTunDevice},
      {"setLink", setLink},
      {"listLinks", listLinks},
      {"listAddresses", listAddresses},
      {"listRoutes", listRoutes},
      {"changeAddress", changeAddress},
      {"changeRoute", changeRoute},
      {"notify", notifyManager},
      {"makeSealed", makeSealed},
      {"readSealed", readSealed},
      {"makeTicket", makeTicket},
      {"takeTicket", takeTicket},
      {"exitNow", exitNow},
      {"closeOnExec", closeOnExec},
      {"closeFd", closeFd},
      {"dropPrivileges", dropPrivileges},
      {"nameProcess", nameProcess},
      {"listenAt", listenAt},
      {"acceptPeer", acceptPeer},
      {"connectTo", connectTo},
      {"sendMessage", sendMessage},
      {"receiveMessage", receiveMessage},
      {"endPeer", endPeer},
  };
  for (const auto& one : functions) {
    napi_value value = nullptr;
    napi_create_function(env, one.name, NAPI_AUTO_LENGTH, one.function, nullptr, &value);
    napi_set_named_property(env, exports, one.name, value);
  }
  return exports;
}

}  // namespace
}  // namespace hipd

NAPI_MODULE_INIT() {
  return hipd::init(env, exports);
}
