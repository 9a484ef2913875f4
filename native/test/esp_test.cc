// ESP packets: vectors of an independent reference, published GCM answers, tampering, truncation, padding.
#include "../esp.h"

#include "sas.h"

using namespace hipd;
using namespace hipd::test;

namespace {

/// Moves the window so that it expects `sequence` next.
void expectAround(InboundSa& sa, std::uint64_t sequence) {
  if (sequence > 1) CHECK_VERDICT(sa.window.commit(sequence - 1), Ok);
}

void testReferenceVectors() {
  CipherCache cache;
  int count = 0;
  for (const Vector& vector : readVectors("esp.txt")) {
    const SuiteShape* shape = suiteShape(static_cast<unsigned>(vector.number("suite")));
    CHECK(shape != nullptr);
    const Octets encryption = vector.hex("encryption");
    const Octets integrity = vector.hex("integrity");
    const Octets payload = vector.hex("payload");
    const Octets wanted = vector.hex("packet");
    const std::uint64_t sequence = vector.number("sequence");
    const auto nextHeader = static_cast<std::uint8_t>(vector.number("next-header"));
    const auto spi = static_cast<std::uint32_t>(vector.number("spi"));
    const SaParameters parameters = parametersOf(shape->suite, encryption, integrity, spi);

    if (!vector.has("foreign")) {
      const auto out = OutboundSa::make(parameters);
      CHECK(out != nullptr);
      Cipher* const cipher = cache.find(out->keys());
      CHECK(cipher != nullptr);
      // In one piece, in three, and in place.
      Octets packet(esp::sealedLength(*shape, payload.size()));
      const View whole = payload;
      const std::size_t third = payload.size() / 3;
      const View one[] = {whole};
      const View three[] = {whole.first(third), whole.subspan(third, third), whole.subspan(2 * third)};
      std::size_t written = 0;
      for (const Pieces pieces : {Pieces(one), Pieces(three)}) {
        std::fill(packet.begin(), packet.end(), std::uint8_t{0});
        CHECK_VERDICT(esp::sealWith(*cipher, *shape, {spi, sequence}, nextHeader, pieces, packet, written), Ok);
        CHECK_EQ(written, packet.size());
        CHECK_BYTES(packet, wanted);
      }
      std::fill(packet.begin(), packet.end(), std::uint8_t{0});
      const std::size_t at = esp::kHeaderLength + shape->ivLength;
      if (!payload.empty()) std::memcpy(packet.data() + at, payload.data(), payload.size());
      const View placed[] = {View(packet).subspan(at, payload.size())};
      CHECK_VERDICT(esp::sealWith(*cipher, *shape, {spi, sequence}, nextHeader, placed, packet, written), Ok);
      CHECK_BYTES(packet, wanted);
      Octets small(packet.size() - 1);
      CHECK_VERDICT(esp::sealWith(*cipher, *shape, {spi, sequence}, nextHeader, one, small, written), BufferSmall);
    }

    const auto in = InboundSa::make(parameters);
    CHECK(in != nullptr);
    expectAround(*in, sequence);
    PacketBuffer buffer(wanted, 0, 0);
    esp::Opened opened;
    CHECK_VERDICT(esp::open(cache, *in, buffer.frame, opened), Ok);
    CHECK_BYTES(buffer.frame.view(), payload);
    CHECK_EQ(opened.nextHeader, nextHeader);
    CHECK_EQ(opened.sequence, sequence);
    CHECK(opened.firstInbound);
    CHECK(!opened.lsi);
    count++;
  }
  CHECK(count > 80);
  passed("sealed and opened as the reference does");
}

void testPublishedGcm() {
  int count = 0;
  for (const Vector& vector : readVectors("gcm-esp.txt")) {
    Octets key = vector.hex("key");
    const Octets salt = vector.hex("salt");
    key.insert(key.end(), salt.begin(), salt.end());
    const Octets aad = vector.hex("aad");
    const EspHeader header{load32(aad.data()), load64(aad.data() + 4)};
    const Octets text = vector.hex("text");
    const Octets icv = vector.hex("icv");
    for (const Suite suite : {Suite::AesGcm16, Suite::AesGcm8}) {
      Octets sealed = vector.hex("iv");
      const Octets body = vector.hex("sealed");
      sealed.insert(sealed.end(), body.begin(), body.end());
      sealed.insert(sealed.end(), icv.begin(), icv.begin() + suiteShape(suite).icvLength);
      const auto keys = Keys::make(suite, Direction::In, key, {});
      CHECK(keys != nullptr);
      CipherCache cache;
      Octets out(text.size());
      CHECK_VERDICT(cache.find(keys)->open(header, sealed, out.data()), Ok);
      CHECK_BYTES(out, text);
      EspHeader other = header;
      other.sequence ^= 1ULL << 32;
      CHECK_VERDICT(cache.find(keys)->open(other, sealed, out.data()), EspAuth);
      count++;
    }
  }
  CHECK_EQ(count, 16);
  passed("published AES-GCM ESP answers");
}

void testTampering() {
  CipherCache cache;
  for (const Suite suite : kSuites) {
    const SuiteShape& shape = suiteShape(suite);
    const TestSa keys(shape);
    const auto out = OutboundSa::make(keys.parameters);
    const Octets payload = Dice(3).bytes(37);
    const View pieces[] = {payload};
    Octets packet(esp::sealedLength(shape, payload.size()));
    esp::Sealed sealed;
    CHECK_VERDICT(esp::seal(cache, *out, out->spi(), proto::kUdp, pieces, packet, sealed), Ok);
    const auto in = InboundSa::make(keys.parameters);
    esp::Opened opened;
    for (std::size_t bit = 32; bit < packet.size() * 8; bit++) {
      Octets forged = packet;
      forged[bit / 8] = static_cast<std::uint8_t>(forged[bit / 8] ^ (1U << (bit % 8)));
      PacketBuffer buffer(forged, 0, 0);
      const Verdict verdict = esp::open(cache, *in, buffer.frame, opened);
      // Number 1 without its lowest bit is 0, which needs no cipher to refuse.
      if (bit == 56) {
        CHECK(verdict == Verdict::EspStale);
      } else {
        CHECK_VERDICT(verdict, EspAuth);
      }
    }
    CHECK_EQ(in->counters.packets.load(), 0U);
    CHECK_EQ(in->window.top(), 0U);
    CHECK(in->untouched.load());
    CHECK_EQ(in->failures.load(), packet.size() * 8 - 33);
    PacketBuffer buffer(packet, 0, 0);
    CHECK_VERDICT(esp::open(cache, *in, buffer.frame, opened), Ok);
    CHECK_EQ(in->failures.load(), 0U);
    PacketBuffer again(packet, 0, 0);
    CHECK_VERDICT(esp::open(cache, *in, again.frame, opened), EspReplay);
    // The same bytes under another SPI of nobody.
    Octets other = packet;
    other[3] ^= 1;
    PacketBuffer elsewhere(other, 0, 0);
    CHECK_VERDICT(esp::open(cache, *in, elsewhere.frame, opened), UnknownSpi);
  }
  passed("each flipped bit is caught, and a replay");
}

void testTruncation() {
  CipherCache cache;
  for (const Suite suite : kSuites) {
    const SuiteShape& shape = suiteShape(suite);
    const TestSa keys(shape);
    const auto out = OutboundSa::make(keys.parameters);
    const auto in = InboundSa::make(keys.parameters);
    const Octets payload = Dice(4).bytes(50);
    const View pieces[] = {payload};
    Octets packet(esp::sealedLength(shape, payload.size()));
    esp::Sealed sealed;
    CHECK_VERDICT(esp::seal(cache, *out, out->spi(), proto::kTcp, pieces, packet, sealed), Ok);
    for (std::size_t length = 0; length < packet.size(); length++) {
      PacketBuffer buffer(View(packet).first(length), 0, 0);
      esp::Opened opened;
      const Verdict verdict = esp::open(cache, *in, buffer.frame, opened);
      CHECK(verdict == Verdict::EspTruncated || verdict == Verdict::EspAlignment || verdict == Verdict::EspAuth);
    }
  }
  passed("cut off at each length");
}

void testPadding() {
  CipherCache cache;
  for (const Suite suite : {Suite::NullHmacSha256, Suite::AesGcm16}) {
    const SuiteShape& shape = suiteShape(suite);
    const TestSa keys(shape);
    // Texts that no honest sender makes: seal them raw.
    const auto outKeys = Keys::make(suite, Direction::Out, keys.encryption, keys.integrity);
    const auto in = InboundSa::make(keys.parameters);
    const struct {
      Octets text;
      Verdict verdict;
    } cases[] = {
        {{1, 2, 2, 6}, Verdict::Ok},
        {{0, 0, 0, 6}, Verdict::Ok},
        {{1, 3, 2, 6}, Verdict::EspPadding},
        {{2, 2, 2, 6}, Verdict::EspPadding},
        {{1, 2, 3, 6}, Verdict::EspPadding},
        {{1, 2, 255, 6}, Verdict::EspPadding},
        {{9, 9, 0, proto::kNone}, Verdict::Dummy},
        {{1, 2, 3, 4, 5, 6, 6, 6}, Verdict::Ok},
    };
    std::uint64_t sequence = 0;
    for (const auto& one : cases) {
      sequence++;
      const View pieces[] = {one.text};
      Octets packet(esp::kHeaderLength + shape.ivLength + one.text.size() + shape.icvLength);
      store32(packet.data(), keys.parameters.spi);
      store32(packet.data() + 4, static_cast<std::uint32_t>(sequence));
      CHECK_VERDICT(
          cache.find(outKeys)->seal({keys.parameters.spi, sequence}, pieces, Bytes(packet).subspan(esp::kHeaderLength)),
          Ok);
      PacketBuffer buffer(packet, 0, 0);
      esp::Opened opened;
      const Verdict verdict = esp::open(cache, *in, buffer.frame, opened);
      checkVerdict(verdict, one.verdict, __FILE__, __LINE__, toHex(one.text).c_str());
    }
  }
  passed("padding is checked");
}

void testInPlaceFrame() {
  CipherCache cache;
  for (const Suite suite : kSuites) {
    const SuiteShape& shape = suiteShape(suite);
    const TestSa keys(shape);
    const auto out = OutboundSa::make(keys.parameters);
    const auto in = InboundSa::make(keys.parameters);
    for (std::size_t length = 0; length < 70; length++) {
      const Octets payload = Dice(length).bytes(length);
      PacketBuffer buffer(payload, 24, esp::sealedLength(shape, length) - length);
      esp::Sealed sealed;
      CHECK_VERDICT(esp::sealInPlace(cache, *out, out->spi(), proto::kUdp, buffer.frame, sealed), Ok);
      CHECK_EQ(buffer.frame.length, esp::sealedLength(shape, length));
      esp::Opened opened;
      CHECK_VERDICT(esp::open(cache, *in, buffer.frame, opened), Ok);
      CHECK_BYTES(buffer.frame.view(), payload);
      PacketBuffer tight(payload, esp::kHeaderLength + shape.ivLength - 1, 64);
      CHECK_VERDICT(esp::sealInPlace(cache, *out, out->spi(), proto::kUdp, tight.frame, sealed), BufferSmall);
      PacketBuffer closed(payload, 24, shape.icvLength);
      CHECK_VERDICT(esp::sealInPlace(cache, *out, out->spi(), proto::kUdp, closed.frame, sealed), BufferSmall);
    }
  }
  passed("sealed and opened in place");
}

}  // namespace

int main() {
  testReferenceVectors();
  testPublishedGcm();
  testTampering();
  testTruncation();
  testPadding();
  testInPlaceFrame();
  return 0;
}
