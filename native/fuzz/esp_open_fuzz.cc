// ESP packets as they come from the network, and authentic ones with any text inside, up to the TUN packet.
// Input: one byte of choices, then the ESP packet, or (authentic) the text from payload to Next Header.
#include "../beet.h"
#include "../esp.h"
#include "../flow.h"
#include "../test/packets.h"

using namespace hipd;
using namespace hipd::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr Suite suites[] = {Suite::NullHmacSha256, Suite::Aes128CbcHmacSha256, Suite::Aes256CbcHmacSha256,
                                     Suite::AesGcm8, Suite::AesGcm16};
  static CipherCache cache(opensslBackend(), 16);
  static FlowTable flows(256, {1, 2});
  if (size < 1 || size > 4096) return 0;
  const SuiteShape& shape = suiteShape(suites[(data[0] & 7U) % 5]);
  const bool authentic = (data[0] & 8U) != 0;
  const Octets encryption(shape.encryptionKeyLengths[0], 1);
  const Octets integrity(shape.integrityKeyLength, 2);
  SaParameters parameters;
  parameters.spi = 0x01020304;
  parameters.lsiSpi = 0x01020305;
  parameters.suite = shape.suite;
  parameters.encryptionKey = encryption;
  parameters.integrityKey = integrity;
  const auto sa = InboundSa::make(parameters);
  if (sa == nullptr) std::abort();
  Octets packet(data + 1, data + size);
  if (authentic) {
    Octets text = packet;
    if (text.empty()) text.push_back(0);
    text.resize((text.size() + shape.alignment - 1) / shape.alignment * shape.alignment, 0);
    packet.assign(esp::kHeaderLength + shape.ivLength + text.size() + shape.icvLength, 0);
    const EspHeader header{parameters.spi + ((data[0] >> 4) & 1U), 1U + (data[0] >> 5)};
    store32(packet.data(), header.spi);
    store32(packet.data() + 4, static_cast<std::uint32_t>(header.sequence));
    const auto keys = Keys::make(shape.suite, Direction::Out, encryption, integrity);
    const View pieces[] = {text};
    const Bytes body = Bytes(packet).subspan(esp::kHeaderLength);
    if (cache.find(keys)->seal(header, pieces, body) != Verdict::Ok) std::abort();
    keys->retire();
  }
  PacketBuffer buffer(packet, 48, 0);
  esp::Opened opened;
  const Verdict verdict = esp::open(cache, *sa, buffer.frame, opened);
  if (verdict == Verdict::Ok) {
    // Nobody can forge a packet here, short of knowing the constant keys.
    InnerView view;
    if (parsePayload(opened.nextHeader, buffer.frame.view(), view) == Verdict::Ok) {
      const Hit hit{};
      const InnerPair pair = InnerPair::make(hit, hit, Lsi{{1, 2, 3, 4}}, Lsi{{5, 6, 7, 8}});
      beet::Presentation how;
      how.family = opened.lsi ? InnerFamily::Lsi : flows.decide(hit, view, buffer.frame.view(), InnerFamily::Hit, 1);
      beet::inbound(buffer.frame, opened.nextHeader, view, pair, how);
    }
  } else if (authentic && verdict != Verdict::Dummy && verdict != Verdict::EspPadding &&
             verdict != Verdict::EspTruncated) {
    std::abort();
  }
  cache.sweep();
  return 0;
}
