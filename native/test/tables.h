// The tables of a plane without a plane: peers, SAs and paths with numbers for names.
#pragma once

#include <memory>

#include "../route.h"

namespace hipd::test {

inline constexpr std::array<std::uint8_t, 20> kKey{1, 2, 3};

struct Tables {
  std::unique_ptr<Hold> hold = std::make_unique<Hold>();
  Epochs epochs;
  Routes routes{epochs, *hold, Lsi{{198, 18, 0, 1}}};
};

inline Hit hit(std::uint32_t number) {
  Hit result{{0x20, 0x01, 0x00, 0x22}};
  store32(result.bytes.data() + 12, number);
  return result;
}

inline Path path(std::uint16_t port) {
  Path result;
  result.remote = {{4, {127, 0, 0, 1}}, port};
  return result;
}

inline SaParameters sa(std::uint32_t spi, const Hit& peer, View key = kKey) {
  SaParameters parameters;
  parameters.spi = spi;
  parameters.encryptionKey = key;
  parameters.localHit = hit(1);
  parameters.peerHit = peer;
  return parameters;
}

}  // namespace hipd::test
