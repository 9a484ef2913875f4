// SAs: nonces, sequence numbers, limits, keys, cached ciphers, several workers, and the MTU that they leave.
#include "../sa.h"

#include <set>
#include <thread>

#include "../esp.h"
#include "../mtu.h"
#include "sas.h"

using namespace hipd;
using namespace hipd::test;

namespace {

void testMake() {
  for (const Suite suite : kSuites) {
    const SuiteShape& shape = suiteShape(suite);
    TestSa keys(shape);
    CHECK(OutboundSa::make(keys.parameters) != nullptr && InboundSa::make(keys.parameters) != nullptr);
    for (const std::uint32_t spi : {0U, 1U, 255U}) {
      SaParameters bad = keys.parameters;
      bad.spi = spi;
      CHECK(OutboundSa::make(bad) == nullptr && InboundSa::make(bad) == nullptr);
      bad = keys.parameters;
      bad.lsiSpi = spi;
      CHECK((OutboundSa::make(bad) == nullptr) == (spi != 0));
    }
    SaParameters bad = keys.parameters;
    bad.lsiSpi = bad.spi;
    CHECK(OutboundSa::make(bad) == nullptr);
    keys.encryption.push_back(0);
    bad = keys.parameters;
    bad.encryptionKey = keys.encryption;
    CHECK(OutboundSa::make(bad) == nullptr);
    keys.integrity.push_back(0);
    bad = keys.parameters;
    bad.integrityKey = keys.integrity;
    CHECK(InboundSa::make(bad) == nullptr);
  }
  CHECK(suiteShape(1U) == nullptr && suiteShape(0U) == nullptr && suiteShape(14U) == nullptr);
  passed("keys and SPIs that do not fit are refused");
}

void testTwoSpis() {
  CipherCache cache;
  for (const Suite suite : kSuites) {
    const SuiteShape& shape = suiteShape(suite);
    const TestSa keys(shape, false, 0x5678);
    const auto out = OutboundSa::make(keys.parameters);
    const auto in = InboundSa::make(keys.parameters);
    CHECK_EQ(out->spiFor(InnerFamily::Hit), 0x1234U);
    CHECK_EQ(out->spiFor(InnerFamily::Lsi), 0x5678U);
    std::set<std::string> nonces;
    const Octets payload(20, 1);
    const View pieces[] = {payload};
    for (int i = 0; i < 200; i++) {
      const auto family = i % 3 == 0 ? InnerFamily::Lsi : InnerFamily::Hit;
      Octets packet(esp::sealedLength(shape, payload.size()));
      esp::Sealed sealed;
      CHECK_VERDICT(esp::seal(cache, *out, out->spiFor(family), proto::kTcp, pieces, packet, sealed), Ok);
      // Suite 7 has no IV: there the sequence number itself must be new.
      const std::size_t at = shape.ivLength == 0 ? 4 : esp::kHeaderLength;
      const std::size_t length = shape.ivLength == 0 ? 4 : shape.ivLength;
      CHECK(nonces.insert(toHex(View(packet).subspan(at, length))).second);
      PacketBuffer buffer(packet, 0, 0);
      esp::Opened opened;
      CHECK_VERDICT(esp::open(cache, *in, buffer.frame, opened), Ok);
      CHECK_EQ(opened.lsi, family == InnerFamily::Lsi);
      CHECK_EQ(opened.sequence, static_cast<std::uint64_t>(i) + 1);
      // What was sealed under one SPI is not valid under the other.
      PacketBuffer moved(packet, 0, 0);
      moved.frame.data()[2] ^= 0x12 ^ 0x56;
      moved.frame.data()[3] ^= 0x34 ^ 0x78;
      const auto fresh = InboundSa::make(keys.parameters);
      CHECK_VERDICT(esp::open(cache, *fresh, moved.frame, opened), EspAuth);
    }
    CHECK_EQ(in->counters.packets.load(), 200U);
    CHECK_EQ(in->counters.bytes.load(), 4000U);
    CHECK_EQ(out->counters.bytes.load(), 4000U);
  }
  passed("two SPIs of one SA never give the same nonce");
}

void testUpperHalf() {
  CipherCache cache;
  for (const Suite suite : kSuites) {
    const SuiteShape& shape = suiteShape(suite);
    const TestSa keys(shape);
    const auto outKeys = Keys::make(suite, Direction::Out, keys.encryption, keys.integrity);
    const Octets payload(33, 9);
    const View pieces[] = {payload};
    const auto packetWith = [&](std::uint64_t sequence) {
      Octets packet(esp::sealedLength(shape, payload.size()));
      std::size_t written = 0;
      CHECK_VERDICT(esp::sealWith(*cache.find(outKeys), shape, {keys.parameters.spi, sequence}, proto::kTcp, pieces,
                                  packet, written),
                    Ok);
      return packet;
    };
    const auto in = InboundSa::make(keys.parameters);
    const auto receive = [&](std::uint64_t sequence) {
      PacketBuffer buffer(packetWith(sequence), 0, 0);
      esp::Opened opened;
      const Verdict verdict = esp::open(cache, *in, buffer.frame, opened);
      if (verdict == Verdict::Ok) CHECK_EQ(opened.sequence, sequence);
      return verdict;
    };
    const std::uint64_t edge = 1ULL << 32;
    CHECK_VERDICT(receive(edge - 3), Ok);
    CHECK_VERDICT(receive(edge - 1), Ok);
    CHECK_VERDICT(receive(edge + 2), Ok);  // the lower half has wrapped
    CHECK_VERDICT(receive(edge - 2), Ok);  // late, from before
    CHECK_VERDICT(receive(edge - 2), EspReplay);
    CHECK_VERDICT(receive(edge), Ok);
    CHECK_VERDICT(receive(edge + 2), EspReplay);
    // A number with a wrong upper half is not authentic, though its lower half looks new.
    CHECK_VERDICT(receive(3 * edge + 100), EspAuth);
    CHECK_EQ(in->window.top(), edge + 2);
  }
  passed("the upper half is authenticated and inferred");
}

void testResynchronisation() {
  CipherCache cache;
  for (const Suite suite : {Suite::AesGcm16, Suite::Aes128CbcHmacSha256}) {
    const SuiteShape& shape = suiteShape(suite);
    const TestSa keys(shape);
    const auto outKeys = Keys::make(suite, Direction::Out, keys.encryption, keys.integrity);
    const auto in = InboundSa::make(keys.parameters);
    const Octets payload(21, 5);
    const View pieces[] = {payload};
    const std::uint64_t lost = 3ULL << 32;
    std::uint32_t failed = 0;
    for (std::uint64_t i = 1;; i++) {
      Octets packet(esp::sealedLength(shape, payload.size()));
      std::size_t written = 0;
      CHECK_VERDICT(esp::sealWith(*cache.find(outKeys), shape, {keys.parameters.spi, lost + i}, proto::kTcp, pieces,
                                  packet, written),
                    Ok);
      PacketBuffer buffer(packet, 0, 0);
      esp::Opened opened;
      if (esp::open(cache, *in, buffer.frame, opened) == Verdict::Ok) {
        CHECK_EQ(opened.sequence, lost + i);
        CHECK_BYTES(buffer.frame.view(), payload);
        break;
      }
      failed++;
      CHECK(failed < 2 * esp::kResyncEvery);
    }
    CHECK_EQ(failed, esp::kResyncEvery - 1);
  }
  passed("finds the upper half again after 2^32 lost packets (RFC 4303 A3)");
}

void testLimits() {
  CipherCache cache;
  const TestSa keys(suiteShape(Suite::AesGcm16));
  SaParameters parameters = keys.parameters;
  parameters.softPackets = 10;
  const auto out = OutboundSa::make(parameters);
  const Octets payload(4, 0);
  const View pieces[] = {payload};
  int soft = 0;
  for (int i = 1; i <= 20; i++) {
    Octets packet(100);
    esp::Sealed sealed;
    CHECK_VERDICT(esp::seal(cache, *out, out->spi(), 6, pieces, packet, sealed), Ok);
    if (sealed.softExpiry) {
      CHECK_EQ(i, 10);
      soft++;
    }
  }
  CHECK_EQ(soft, 1);
  Octets packet(100);
  esp::Sealed sealed;
  for (int i = 0; i < 5; i++) CHECK_VERDICT(esp::seal(cache, *out, out->spi(), 6, pieces, packet, sealed), SaExhausted);
  const auto runs = OutboundSa::make(parameters);
  OutboundSa::Run run;
  CHECK_VERDICT(runs->reserve(7, run), Ok);
  CHECK(run.first == 1 && !run.softExpiry);
  CHECK_VERDICT(runs->reserve(7, run), Ok);
  CHECK(run.first == 8 && run.softExpiry);
  CHECK_VERDICT(runs->reserve(7, run), SaExhausted);
  CHECK_VERDICT(runs->reserve(1, run), SaExhausted);
  passed("soft expiry once, then never more than twice as many packets");
}

/// Nobody gets a number that another one has.
void testReservations() {
  const TestSa keys(suiteShape(Suite::AesGcm16));
  const auto out = OutboundSa::make(keys.parameters);
  constexpr std::uint32_t kEach = 480000;
  std::atomic<unsigned> ready{0};
  std::vector<std::atomic<unsigned>> taken(3 * kEach * 2 + 1);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 3; t++) {
    threads.emplace_back([&] {
      ready++;
      while (ready.load() < 3) std::this_thread::yield();
      for (std::uint32_t i = 0; i < kEach; i++) {
        const std::uint32_t count = 1 + i % 3;
        OutboundSa::Run run;
        CHECK_VERDICT(out->reserve(count, run), Ok);
        for (std::uint32_t n = 0; n < count; n++) taken[run.first + n]++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(taken[0].load(), 0U);
  for (std::size_t i = 1; i < taken.size(); i++) CHECK_EQ(taken[i].load(), 1U);
  CHECK_EQ(out->sealed(), taken.size() - 1);
  passed("reservations of several workers never overlap");
}

/// Workers seal and open under one SA at once, each with ciphers of its own.
void testThreads() {
  const SuiteShape& shape = suiteShape(Suite::AesGcm16);
  const TestSa keys(shape, false, 0x5678);
  const auto out = OutboundSa::make(keys.parameters);
  const auto in = InboundSa::make(keys.parameters);
  constexpr std::size_t kEach = 1500;
  constexpr std::size_t kThreads = 3;
  const Octets payload(40, 1);
  std::vector<std::vector<Octets>> sent(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      CipherCache cache;
      const View pieces[] = {payload};
      for (std::size_t i = 0; i < kEach; i++) {
        Octets packet(esp::sealedLength(shape, payload.size()));
        esp::Sealed sealed;
        const auto family = i % 2 == 0 ? InnerFamily::Lsi : InnerFamily::Hit;
        CHECK_VERDICT(esp::seal(cache, *out, out->spiFor(family), proto::kTcp, pieces, packet, sealed), Ok);
        sent[t].push_back(packet);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  threads.clear();
  std::set<std::string> nonces;
  for (const auto& packets : sent) {
    for (const Octets& packet : packets) CHECK(nonces.insert(toHex(View(packet).subspan(8, 8))).second);
  }
  // Each thread gets all packets; each packet is accepted once.
  std::atomic<std::size_t> accepted{0};
  std::atomic<std::size_t> first{0};
  for (std::size_t t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      CipherCache cache;
      for (std::size_t i = 0; i < kThreads * kEach; i++) {
        const std::size_t at = (i + t * 17) % (kThreads * kEach);
        PacketBuffer buffer(sent[at % kThreads][at / kThreads], 0, 0);
        esp::Opened opened;
        const Verdict verdict = esp::open(cache, *in, buffer.frame, opened);
        CHECK(verdict == Verdict::Ok || verdict == Verdict::EspReplay);
        if (verdict != Verdict::Ok) continue;
        accepted++;
        if (opened.firstInbound) first++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(accepted.load(), kThreads * kEach);
  CHECK_EQ(first.load(), 1U);
  CHECK_EQ(in->counters.packets.load(), kThreads * kEach);
  passed("several workers under one SA");
}

void testCache() {
  CipherCache cache(opensslBackend(), 8);
  std::vector<std::shared_ptr<OutboundSa>> out;
  std::vector<std::shared_ptr<InboundSa>> in;
  const Octets payload(30, 3);
  const View pieces[] = {payload};
  for (std::uint32_t i = 0; i < 60; i++) {
    const SuiteShape& shape = suiteShape(kSuites[i % 5]);
    Octets encryption = Dice(i).bytes(shape.encryptionKeyLengths[i % 2]);
    Octets integrity = Dice(i + 100).bytes(shape.integrityKeyLength);
    const SaParameters parameters = parametersOf(shape.suite, encryption, integrity, 1000 + i);
    out.push_back(OutboundSa::make(parameters));
    in.push_back(InboundSa::make(parameters));
  }
  for (int round = 0; round < 3; round++) {
    for (std::size_t i = 0; i < out.size(); i++) {
      Octets packet(200);
      esp::Sealed sealed;
      CHECK_VERDICT(esp::seal(cache, *out[i], out[i]->spi(), 6, pieces, packet, sealed), Ok);
      PacketBuffer buffer(View(packet).first(sealed.length), 0, 0);
      esp::Opened opened;
      CHECK_VERDICT(esp::open(cache, *in[i], buffer.frame, opened), Ok);
      CHECK_BYTES(buffer.frame.view(), payload);
    }
  }
  CHECK_EQ(cache.misses(), 360U);
  // A place that has held another suite or key size seals as a new one does.
  for (std::uint32_t i = 0; i < 16; i++) {
    const Octets encryption = Dice(i).bytes(i < 8 ? 20 : 36);
    out.push_back(OutboundSa::make(parametersOf(Suite::AesGcm16, encryption, {}, 5000 + i)));
  }
  for (const auto& sa : out) {
    CipherCache fresh(opensslBackend(), 4);
    Octets ours(200);
    Octets theirs(200);
    std::size_t length = 0;
    const EspHeader header{sa->spi(), 77};
    CHECK_VERDICT(esp::sealWith(*cache.find(sa->keys()), sa->shape(), header, 6, pieces, ours, length), Ok);
    CHECK_VERDICT(esp::sealWith(*fresh.find(sa->keys()), sa->shape(), header, 6, pieces, theirs, length), Ok);
    CHECK_BYTES(ours, theirs);
  }
  std::weak_ptr<Keys> watch = out.back()->keys();
  cache.find(watch.lock());
  const std::uint64_t misses = cache.misses();
  cache.find(watch.lock());
  CHECK_EQ(cache.misses(), misses);
  out.clear();
  CHECK(!watch.expired());
  cache.sweep();
  CHECK(watch.expired());
  passed("more SAs than cached ciphers, and keys forgotten with their SA");
}

void testMtu() {
  const SuiteShape& gcm = suiteShape(Suite::AesGcm16);
  const OuterShape udp4{Carrier::Udp, false};
  CHECK_EQ(innerMtu(1500, udp4, gcm, InnerFamily::Hit), 1478U);
  CHECK_EQ(innerMtu(1500, udp4, gcm, InnerFamily::Lsi), 1458U);
  CHECK_EQ(innerMtu(1500, {Carrier::Udp, true}, gcm, InnerFamily::Hit), 1458U);
  CHECK_EQ(innerMtu(1500, {Carrier::None, false}, gcm, InnerFamily::Hit), 1486U);
  CHECK_EQ(innerMtu(28, udp4, gcm, InnerFamily::Hit), 0U);
  // Exact: the largest payload fits and one byte more does not, for each MTU.
  for (const Suite suite : kSuites) {
    for (const OuterShape outer : {udp4, OuterShape{Carrier::Udp, true}, OuterShape{Carrier::None, true}}) {
      const SuiteShape& shape = suiteShape(suite);
      for (std::size_t mtu = 1; mtu < 9100; mtu++) {
        const std::size_t payload = maxPayload(mtu, outer, shape);
        if (payload != 0) CHECK(outerLength(payload, outer, shape) <= mtu);
        if (payload != 0 || mtu > 200) CHECK(outerLength(payload + 1, outer, shape) > mtu);
      }
    }
  }
  passed("MTU arithmetic is exact");
}

}  // namespace

int main() {
  testMake();
  testTwoSpis();
  testUpperHalf();
  testResynchronisation();
  testLimits();
  testReservations();
  testThreads();
  testCache();
  testMtu();
  return 0;
}
