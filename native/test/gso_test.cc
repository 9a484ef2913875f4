// Streams of packets from a TUN device with virtio-net headers: cut, sealed, opened, joined, written, and cut again,
// against what a reference in TypeScript says (test/gso-reference.ts). Arguments: a file of such vectors; else the ones
// kept beside this file.
#include <cstdio>
#include <memory>
#include <sstream>

#include "../coalesce.h"
#include "../esp.h"
#include "../segment.h"
#include "../udp.h"
#include "packets.h"
#include "sas.h"

using namespace hipd;
using namespace hipd::test;

namespace {

struct Sealed {
  Octets bytes;
  std::uint8_t trafficClass = 0;
};

const InnerPair kPair = InnerPair::make(hitAt(fromHex("2001002200112233445566778899aabb").data()),
                                        hitAt(fromHex("20010022fedcba9876543210f0e1d2c3").data()),
                                        lsiAt(fromHex("c6120a01").data()), lsiAt(fromHex("c613c8fe").data()));
const InnerPair kOther = InnerPair::make(kPair.peerHit, kPair.localHit, kPair.peerLsi, kPair.localLsi);

std::vector<Octets> packetsOf(const std::string& text) {
  std::vector<Octets> packets;
  std::istringstream words(text);
  for (std::string word; words >> word;) packets.push_back(fromHex(word));
  return packets;
}

/// What a worker does with a packet from the TUN device, up to the socket.
Verdict send(const Octets& input, OutboundSa& sa, std::vector<Sealed>& sent) {
  static CipherCache ciphers;
  VirtioHeader header;
  if (input.size() < sizeof header) return Verdict::OffloadHeader;
  std::memcpy(&header, input.data(), sizeof header);
  PacketBuffer buffer(View(input).subspan(sizeof header));
  Frame& frame = buffer.frame;
  InnerView view;
  if (const Verdict parsed = parseInner(frame.view(), view); parsed != Verdict::Ok) return parsed;
  frame.length = view.totalLength;
  Super super;
  if (const Verdict settled = settleOffload(header, frame.bytes(), view, super); settled != Verdict::Ok) return settled;
  if (super.count == 0 && frame.length > kMaxDatagram) return Verdict::TooBig;
  beet::Outbound out;
  const std::size_t before = frame.start;
  if (const Verdict done = beet::outbound(frame, view, kPair, out); done != Verdict::Ok) return done;
  const std::uint32_t spi = sa.spiFor(out.family);
  const auto take = [&](std::size_t length, Octets&& packet) {
    packet.resize(length);
    sent.push_back({std::move(packet), out.trafficClass});
  };
  if (super.count == 0) {
    const View payload = frame.view();
    Octets packet(esp::sealedLength(sa.shape(), payload.size()));
    esp::Sealed sealed;
    CHECK_VERDICT(esp::seal(ciphers, sa, spi, out.nextHeader, {&payload, 1}, packet, sealed), Ok);
    take(sealed.length, std::move(packet));
    return Verdict::Ok;
  }
  OutboundSa::Run run;
  CHECK_VERDICT(sa.reserve(super.count, run), Ok);
  Segmenter segmenter(frame.bytes(), super.without(frame.start - before), kPair.hitSum);
  Bytes segment;
  std::size_t count = 0;
  for (; segmenter.next(segment); count++) {
    Octets packet(esp::sealedLength(sa.shape(), segment.size()));
    std::size_t length = 0;
    const EspHeader number{spi, run.first + count};
    CHECK_VERDICT(
        esp::sealSpoiling(*ciphers.find(sa.keys()), sa.shape(), number, out.nextHeader, segment, packet, length), Ok);
    take(length, std::move(packet));
  }
  CHECK_EQ(count, std::size_t{super.count});
  return Verdict::Ok;
}

/// Takes down what the TUN device would be given.
struct Device {
  std::vector<Octets> written;
  std::vector<std::size_t> counts;

  static void write(void* self, const Departure& departure) {
    Octets all;
    for (const iovec& piece : departure.pieces) {
      const auto* bytes = static_cast<const std::uint8_t*>(piece.iov_base);
      all.insert(all.end(), bytes, bytes + piece.iov_len);
    }
    static_cast<Device*>(self)->written.push_back(std::move(all));
    static_cast<Device*>(self)->counts.push_back(departure.count);
  }
};

/// What a worker does with datagrams that the kernel joined to one message (UDP_GRO): they lie behind one another.
class Receiver {
 public:
  Receiver(InboundSa& sa, Device& device) : sa_(sa), device_(device), coalescer_(Device::write, &device) {}

  std::size_t receive(const std::vector<Sealed>& sent) {
    // All messages stay until the coalescer is flushed, as the buffers of one recvmmsg do.
    std::vector<std::unique_ptr<PacketBuffer>> messages;
    std::size_t lost = 0;
    for (std::size_t at = 0; at < sent.size();) {
      const std::size_t segment = sent[at].bytes.size();
      Octets all;
      std::vector<std::size_t> lengths;
      for (bool open = true; open && at < sent.size(); at++) {
        const Sealed& one = sent[at];
        if (!lengths.empty() && (one.bytes.size() > segment || one.trafficClass != sent[at - 1].trafficClass ||
                                 all.size() + one.bytes.size() > kMaxPacket)) {
          break;
        }
        all.insert(all.end(), one.bytes.begin(), one.bytes.end());
        lengths.push_back(one.bytes.size());
        open = one.bytes.size() == segment && lengths.size() < kSegmentsOfMessage;
      }
      messages.push_back(std::make_unique<PacketBuffer>(all));
      const Frame whole = messages.back()->frame;
      std::size_t from = 0;
      for (const std::size_t length : lengths) {
        if (!arrive({whole.buffer, whole.capacity, whole.start + from, length}, sent[at - 1].trafficClass)) lost++;
        from += length;
      }
    }
    coalescer_.flush();
    return lost;
  }

 private:
  bool arrive(Frame frame, std::uint8_t trafficClass) {
    esp::Opened opened;
    const Verdict verdict = esp::open(ciphers_, sa_, frame, opened);
    if (verdict == Verdict::Dummy) return false;
    CHECK_VERDICT(verdict, Ok);
    InnerView view;
    if (parsePayload(opened.nextHeader, frame.view(), view) != Verdict::Ok) return false;
    const InnerFamily family = opened.lsi ? InnerFamily::Lsi : InnerFamily::Hit;
    if (Coalescer::takes(opened.nextHeader, frame.view())) {
      return coalescer_.add({this, &kOther, family, trafficClass, beet::kHopLimit, opened.nextHeader, frame.bytes()}) ==
             Verdict::Ok;
    }
    coalescer_.flush();
    if (beet::inbound(frame, opened.nextHeader, view, kOther, {family, trafficClass}) != Verdict::Ok) return false;
    Octets packet(sizeof(VirtioHeader) + frame.length);
    std::memcpy(packet.data() + sizeof(VirtioHeader), frame.data(), frame.length);
    device_.written.push_back(std::move(packet));
    device_.counts.push_back(1);
    return true;
  }

  InboundSa& sa_;
  Device& device_;
  CipherCache ciphers_;
  Coalescer coalescer_;
};

/// Cuts what was written, as another host's stack or a worker that must hold it would.
std::vector<Octets> cutAgain(const std::vector<Octets>& written) {
  std::vector<Octets> packets;
  for (const Octets& one : written) {
    VirtioHeader header;
    std::memcpy(&header, one.data(), sizeof header);
    PacketBuffer buffer(View(one).subspan(sizeof header));
    const Frame& frame = buffer.frame;
    InnerView view;
    CHECK_VERDICT(parseInner(frame.view(), view), Ok);
    CHECK_EQ(std::size_t{view.totalLength}, frame.length);
    Super super;
    CHECK_VERDICT(settleOffload(header, frame.bytes(), view, super), Ok);
    if (super.count == 0) {
      packets.emplace_back(frame.view().begin(), frame.view().end());
      continue;
    }
    const bool v6 = view.family == InnerFamily::Hit;
    Segmenter segmenter(frame.bytes(), super, v6 ? kOther.hitSum : kOther.lsiSum,
                        v6 ? Segmenter::Base::Ipv6 : Segmenter::Base::Ipv4);
    for (Bytes segment; segmenter.next(segment);) packets.emplace_back(segment.begin(), segment.end());
  }
  return packets;
}

void compare(const std::vector<Octets>& is, const std::vector<Octets>& wanted, int line, const char* what) {
  for (std::size_t i = 0; i < is.size() && i < wanted.size(); i++) {
    if (is[i] == wanted[i]) continue;
    std::cerr << what << " " << i << " of the vector in line " << line << "\n";
    CHECK_BYTES(is[i], wanted[i]);
  }
  if (is.size() == wanted.size()) return;
  std::cerr << "there are " << is.size() << " " << what << ", not " << wanted.size() << "\n";
  fail("vector", line, "wrong count");
}

void run(const Vector& vector) {
  static const TestSa keys(suiteShape(Suite::AesGcm16), false, 0x1235);
  const auto out = OutboundSa::make(keys.parameters);
  const auto in = InboundSa::make(keys.parameters);
  std::vector<Sealed> sent;
  std::string fates;
  for (const Octets& packet : packetsOf(vector.text("packets"))) {
    const Verdict verdict = send(packet, *out, sent);
    fates += fates.empty() ? "" : " ";
    fates += verdict == Verdict::Ok ? "ok" : verdict == Verdict::OffloadHeader ? verdictName(verdict) : "drop";
  }
  if (fates != vector.text("fates")) {
    std::cerr << "fates are " << fates << "\n  not " << vector.text("fates") << "\n";
    fail("vector", vector.line, "wrong fates");
  }
  Device device;
  const std::size_t lost = std::make_unique<Receiver>(*in, device)->receive(sent);
  compare(device.written, packetsOf(vector.text("written")), vector.line, "written packets");
  CHECK_EQ(lost, vector.number("lost"));
  std::size_t carried = lost;
  for (const std::size_t count : device.counts) carried += count;
  CHECK_EQ(carried, sent.size());
  compare(cutAgain(device.written), packetsOf(vector.text("cut")), vector.line, "cut packets");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Vector> vectors = argc > 1 ? readVectorFile(argv[1]) : readVectors("gso.txt");
  CHECK(!vectors.empty());
  for (const Vector& vector : vectors) run(vector);
  passed("streams come out as the reference says");
}
