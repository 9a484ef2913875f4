// The tables with very many SAs: what adding, finding, opening for and dropping one costs, and how much memory one
// takes. Arguments: "json", a number of associations (default 100000).
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "../esp.h"
#include "../event.h"
#include "../route.h"

using namespace hipd;

namespace {

using Clock = std::chrono::steady_clock;

bool json = false;
bool firstRow = true;

void row(const char* what, double value, const char* unit) {
  if (json) {
    std::printf("%s{\"what\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"}", firstRow ? "[" : ",\n", what, value, unit);
    firstRow = false;
  } else {
    std::printf("%-44s %10.1f %s\n", what, value, unit);
  }
}

/// A generator that costs next to nothing beside what is measured.
std::uint32_t chance() {
  static std::uint64_t state = 1;
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return static_cast<std::uint32_t>(state >> 32);
}

Hit hitOf(std::uint32_t number) {
  Hit hit{{0x20, 0x01, 0x00, 0x22}};
  store32(hit.bytes.data() + 8, number * 2654435761U);
  store32(hit.bytes.data() + 12, number);
  return hit;
}

Lsi lsiOf(std::uint32_t number) {
  Lsi lsi;
  store32(lsi.bytes.data(), 0xc6120000U + 2 + number);
  return lsi;
}

/// SPIs are chosen at random by their receivers.
Spi spiOf(std::uint32_t number) {
  return 0x100U + number * 40503U;
}

SaParameters parametersOf(std::uint32_t number, const Hit& local) {
  static std::array<std::uint8_t, 20> key;
  store32(key.data(), number);
  SaParameters parameters;
  parameters.spi = spiOf(number);
  parameters.encryptionKey = key;
  parameters.localHit = local;
  parameters.peerHit = hitOf(number);
  return parameters;
}

template <class Work>
double each(std::uint32_t count, Work&& work) {
  const auto start = Clock::now();
  for (std::uint32_t i = 0; i < count; i++) work(i);
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / count;
}

std::size_t used() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "table_bench: %s\n", what);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  std::uint32_t count = 100'000;
  for (int i = 1; i < argc; i++) {
    if (std::string_view(argv[i]) == "json") {
      json = true;
    } else {
      count = static_cast<std::uint32_t>(std::strtoul(argv[i], nullptr, 10));
    }
  }
  Hold hold;
  Epochs epochs;
  const std::size_t reader = epochs.join();
  const Hit local = hitOf(0xffffffffU);
  auto routes = std::make_unique<Routes>(epochs, hold, Lsi{{198, 18, 0, 1}});
  Path path;
  path.local = {{4, {127, 0, 0, 1}}, 10500};
  path.remote = {{4, {127, 0, 0, 1}}, 10501};

  const std::size_t before = used();
  row("add an inbound SA",
      each(count,
           [&](std::uint32_t i) {
             expect(routes->addInbound(parametersOf(i, local), path, 0, 1) == Routes::Added::Done,
                    "inbound SA refused");
           }),
      "ns");
  row("add an outbound SA",
      each(count,
           [&](std::uint32_t i) {
             expect(routes->addOutbound(parametersOf(i, local), path, 1) == Routes::Added::Done, "outbound SA refused");
           }),
      "ns");
  row("route a peer, name its LSI",
      each(count,
           [&](std::uint32_t i) {
             const Hit peer = hitOf(i);
             routes->setMode(peer, Mode::Send, spiOf(i));
             routes->setAlias(lsiOf(i), &peer);
           }),
      "ns");
  epochs.reclaim();
  row("memory of an association", static_cast<double>(used() - before) / count, "bytes");
  expect(routes->spiCount() >= count && routes->peerCount() == count, "an SA is missing");

  epochs.online(reader);
  std::uint64_t found = 0;
  const std::uint32_t lookups = 2'000'000;
  row("find a random SPI",
      each(lookups,
           [&](std::uint32_t) {
             const std::uint32_t number = chance() % count;
             found += routes->bySpi(spiOf(number))->sa->spi() == spiOf(number);
           }),
      "ns");
  row("find an SPI that is not there",
      each(lookups, [&](std::uint32_t) { found += routes->bySpi(spiOf(chance() % count) + 1) == nullptr; }), "ns");
  row("find a random HIT",
      each(lookups,
           [&](std::uint32_t) {
             const std::uint32_t number = chance() % count;
             found += routes->byHit(hitOf(number)) != nullptr;
           }),
      "ns");
  row("find a random LSI",
      each(lookups,
           [&](std::uint32_t) {
             const std::uint32_t number = chance() % count;
             found += routes->byLsi(lsiOf(number)) != nullptr;
           }),
      "ns");
  expect(found == 4ULL * lookups, "a lookup failed");

  // A packet for one SA after the other, each out of the cache of ciphers: the worst order there is.
  CipherCache out;
  CipherCache in;
  const std::vector<std::uint8_t> payload(1420, 3);
  const View pieces[] = {payload};
  std::vector<std::uint8_t> buffer(kHeadroom + 2048);
  const auto carry = [&](std::uint32_t number) {
    OutboundSa& sa = *routes->byHit(hitOf(number))->via.load()->sa;
    esp::Sealed sealed;
    Frame frame{buffer.data(), buffer.size(), kHeadroom, 0};
    expect(esp::seal(out, sa, sa.spi(), proto::kTcp, pieces, Bytes(buffer).subspan(kHeadroom), sealed) == Verdict::Ok,
           "cannot seal");
    frame.length = sealed.length;
    esp::Opened opened;
    expect(esp::open(in, *routes->bySpi(esp::spiOf(frame.view()))->sa, frame, opened) == Verdict::Ok, "cannot open");
  };
  row("seal and open 1420 bytes, the same SA", each(200'000, [&](std::uint32_t) { carry(7); }), "ns");
  row("seal and open 1420 bytes, a random SA", each(200'000, [&](std::uint32_t) { carry(chance() % count); }), "ns");
  epochs.offline(reader);

  row("drop an association",
      each(count,
           [&](std::uint32_t i) {
             expect(routes->dropOutbound(spiOf(i), hitOf(i)) && routes->dropInbound(spiOf(i), hitOf(i)),
                    "SA not there");
             routes->setAlias(lsiOf(i), nullptr);
             routes->setMode(hitOf(i), Mode::Unknown, 0);
             routes->forgetIfUnused(hitOf(i));
             if (i % 256 == 0) epochs.reclaim();
           }),
      "ns");
  epochs.reclaim();
  out.sweep();
  in.sweep();
  expect(routes->spiCount() == 0 && routes->peerCount() == 0, "something is left");
  row("memory left when all are gone", static_cast<double>(used() - before) / count, "bytes");
  if (json) std::printf("]\n");
  return 0;
}
