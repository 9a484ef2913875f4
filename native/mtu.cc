#include "mtu.h"

#include "esp.h"

namespace hipd {

std::size_t outerHeaders(OuterShape outer) {
  const std::size_t ip = outer.ipv6 ? 40 : 20;
  return outer.carrier == Carrier::Udp ? ip + 8 : ip;
}

std::size_t maxPayload(std::size_t outerMtu, OuterShape outer, const SuiteShape& suite) {
  const std::size_t headers = outerHeaders(outer);
  return outerMtu <= headers ? 0 : esp::payloadCapacity(suite, outerMtu - headers);
}

std::size_t innerMtu(std::size_t outerMtu, OuterShape outer, const SuiteShape& suite, InnerFamily family) {
  const std::size_t payload = maxPayload(outerMtu, outer, suite);
  if (payload == 0) return 0;
  const std::size_t inner = payload + (family == InnerFamily::Hit ? 40 : 20);
  return inner < kMaxPacket ? inner : kMaxPacket;
}

std::size_t outerLength(std::size_t payloadLength, OuterShape outer, const SuiteShape& suite) {
  return outerHeaders(outer) + esp::sealedLength(suite, payloadLength);
}

}  // namespace hipd
