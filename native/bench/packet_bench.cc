// Nanoseconds per packet of sealing, opening and translating, on one core. Arguments: nothing, or "json". Sealing and
// opening by what hipd would choose on this machine, and by OpenSSL.
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "../beet.h"
#include "../checksum.h"
#include "../esp.h"
#include "../flow.h"

using namespace hipd;

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 7;
constexpr auto kRound = std::chrono::milliseconds(30);

bool json = false;
bool firstRow = true;

/// The best of some rounds: what the machine can do when nobody disturbs it.
template <class Work>
double nanoseconds(Work&& work) {
  double best = 1e18;
  for (int round = 0; round < kRounds; round++) {
    const auto start = Clock::now();
    std::uint64_t count = 0;
    auto now = start;
    do {
      for (int i = 0; i < 64; i++) work();
      count += 64;
      now = Clock::now();
    } while (now - start < kRound);
    const double each = std::chrono::duration<double, std::nano>(now - start).count() / static_cast<double>(count);
    if (each < best) best = each;
  }
  return best;
}

void row(const char* what, std::string_view detail, std::size_t bytes, double each) {
  const double gigabits = static_cast<double>(bytes) * 8 / each;
  if (json) {
    std::printf("%s{\"what\":\"%s\",\"detail\":\"%.*s\",\"bytes\":%zu,\"ns\":%.1f,\"gbitPerSecond\":%.2f}",
                firstRow ? "[" : ",\n", what, static_cast<int>(detail.size()), detail.data(), bytes, each, gigabits);
    firstRow = false;
  } else {
    std::printf("%-14s %-44.*s %5zu B %8.1f ns %7.2f Gbit/s\n", what, static_cast<int>(detail.size()), detail.data(),
                bytes, each, gigabits);
  }
}

void expect(Verdict verdict) {
  if (verdict == Verdict::Ok) return;
  std::fprintf(stderr, "%s\n", std::string(verdictName(verdict)).c_str());
  std::exit(1);
}

void benchCipher(const SuiteShape& shape, const Backend& backend, std::size_t size) {
  CipherCache cache(backend);
  const std::string what = std::string(shape.name) + " by " + std::string(backend.name());
  const std::vector<std::uint8_t> encryption(shape.encryptionKeyLengths[0], 1);
  const std::vector<std::uint8_t> integrity(shape.integrityKeyLength, 2);
  SaParameters parameters;
  parameters.spi = 0x1234;
  parameters.suite = shape.suite;
  parameters.encryptionKey = encryption;
  parameters.integrityKey = integrity;
  const auto out = OutboundSa::make(parameters);
  const std::vector<std::uint8_t> payload(size, 3);
  const View pieces[] = {payload};
  std::vector<std::uint8_t> packet(esp::sealedLength(shape, size));
  esp::Sealed sealed;
  row("seal", what, size,
      nanoseconds([&] { expect(esp::seal(cache, *out, out->spi(), proto::kTcp, pieces, packet, sealed)); }));

  // The receiver needs new sequence numbers, so a batch is sealed first and opened against the clock.
  constexpr std::size_t kBatch = 512;
  const std::size_t stride = packet.size();
  std::vector<std::uint8_t> batch(kBatch * stride);
  double best = 1e18;
  for (int round = 0; round < 40; round++) {
    const auto sa = InboundSa::make(parameters);
    const auto fresh = OutboundSa::make(parameters);
    for (std::size_t i = 0; i < kBatch; i++) {
      expect(esp::seal(cache, *fresh, fresh->spi(), proto::kTcp, pieces, Bytes(batch).subspan(i * stride, stride),
                       sealed));
    }
    cache.find(sa->keys());
    const auto start = Clock::now();
    for (std::size_t i = 0; i < kBatch; i++) {
      Frame frame{batch.data(), batch.size(), i * stride, stride};
      esp::Opened opened;
      expect(esp::open(cache, *sa, frame, opened));
    }
    const double each = std::chrono::duration<double, std::nano>(Clock::now() - start).count() / kBatch;
    if (each < best) best = each;
  }
  row("open", what, size, best);
}

void benchTranslation(std::uint8_t protocol, const char* name, std::size_t size) {
  const InnerPair pair = InnerPair::make(Hit{{0x20, 1, 0, 0x22, 1}}, Hit{{0x20, 1, 0, 0x22, 2}}, Lsi{{198, 18, 0, 1}},
                                         Lsi{{198, 18, 0, 2}});
  const InnerPair other = InnerPair::make(pair.peerHit, pair.localHit, pair.peerLsi, pair.localLsi);
  std::vector<std::uint8_t> memory(kHeadroom + size);
  std::uint8_t* const packet = memory.data() + kHeadroom;
  packet[0] = 0x45;
  store16(packet + 2, static_cast<std::uint32_t>(size));
  packet[6] = 0x40;
  packet[8] = 64;
  packet[9] = protocol;
  std::memcpy(packet + 12, pair.localLsi.bytes.data(), 4);
  std::memcpy(packet + 16, pair.peerLsi.bytes.data(), 4);
  packet[20] = 8;
  FlowTable flows(FlowTable::kDefaultEntries, {1, 2});
  // Out at one end and in at the other: afterwards the buffer holds a packet that only lacks its addresses.
  row("translate 2x", name, size, nanoseconds([&] {
        std::memcpy(packet + 12, pair.localLsi.bytes.data(), 4);
        std::memcpy(packet + 16, pair.peerLsi.bytes.data(), 4);
        Frame frame{memory.data(), memory.size(), kHeadroom, size};
        InnerView view;
        beet::Outbound out;
        expect(parseInner(frame.view(), view));
        flows.remember(outboundFlow(pair.peerHit, view), view.family, 1);
        expect(beet::outbound(frame, view, pair, out));
        expect(parsePayload(out.nextHeader, frame.view(), view));
        beet::Presentation how;
        how.family = InnerFamily::Lsi;
        flows.decide(pair.peerHit, view, frame.view(), InnerFamily::Hit, 1);
        expect(beet::inbound(frame, out.nextHeader, view, other, how));
      }));
}

}  // namespace

int main(int argc, char** argv) {
  json = argc > 1 && std::string_view(argv[1]) == "json";
  std::string note;
  const Backend& fastest = chooseBackend("auto", note);
  for (const unsigned suite : {13U, 12U, 9U, 8U, 7U}) {
    for (const std::size_t size : {64U, 512U, 1420U}) {
      // The back-ends differ in AES-GCM only.
      if (suite >= 12 && &fastest != &opensslBackend()) benchCipher(*suiteShape(suite), fastest, size);
      benchCipher(*suiteShape(suite), opensslBackend(), size);
    }
  }
  for (const std::size_t size : {64U, 512U, 1420U}) benchTranslation(proto::kTcp, "IPv4/LSI TCP", size);
  benchTranslation(proto::kIcmp, "IPv4/LSI echo", 84);
  const std::vector<std::uint8_t> data(1420, 7);
  std::uint64_t sum = 0;
  row("checksum", "1420 bytes", 1420, nanoseconds([&] { sum += sumBytes(data); }));
  if (json) std::printf("]\n");
  return sum == 1 ? 1 : 0;
}
