// Path probes: asked by the control plane, answered at once.
#include <netinet/ip.h>

#include <algorithm>
#include <cerrno>

#include "esp.h"
#include "worker.h"

namespace hipd {

namespace {

constexpr std::size_t kIpv6Header = 40;
constexpr std::size_t kEchoHeader = 8;
constexpr std::uint8_t kEchoRequest = 128;
constexpr std::uint8_t kEchoReply = 129;

/// PROBE sends with DF what is larger than the path MTU that the kernel believes in; DO does not.
void discover(int fd, bool v6, bool probing) {
  const int mode =
      v6 ? (probing ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DO) : (probing ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DO);
  setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &mode, sizeof mode);
}

}  // namespace

/// Seals an ICMPv6 message and sends it along `path`, above the kernel's path MTU too. False: the kernel refused.
Verdict Worker::sendAlong(const Path& path, std::uint32_t interface, OutboundRoute& via, View message) {
  flush();
  const Destination destination(path, true, interface);
  SendBatch& batch = batchFor(path);
  esp::Sealed sealed;
  const Bytes room = batch.room();
  const Verdict verdict = esp::seal(ciphers_, *via.sa, via.sa->spi(), proto::kIcmp6, {&message, 1}, room, sealed);
  checkExpiry(via, sealed.softExpiry);
  if (verdict != Verdict::Ok) return verdict;
  via.sa->counters.forget(message.size());
  stats_.count(Tally::TxPackets);
  stats_.count(Tally::TxBytes, sealed.length);
  const bool v6 = path.remote.address.family == 6;
  const int fd = batch.fd();
  batch.add(sealed.length, destination, 0, 0);
  discover(fd, v6, true);
  Verdict outcome = Verdict::Ok;
  stats_.count(Tally::MessagesSent);
  stats_.count(Tally::SendCalls, batch.flush([&](std::uint32_t, std::size_t, int) { outcome = Verdict::SendFailed; }));
  discover(fd, v6, false);
  return outcome;
}

void Worker::probe(const Probes::Request& request) {
  Peer* peer = shared_.routes.byHit(request.peer);
  OutboundRoute* via = peer == nullptr ? nullptr : peer->via.load();
  if (via == nullptr) return stats_.count(Verdict::NoPeer);
  OutboundSa& sa = *via->sa;
  const OuterShape outer{request.path.carrier, request.path.remote.address.family == 6};
  std::size_t bytes = request.bytes;
  if (bytes == 0) bytes = askKernel(request.path.local.address, request.path.remote).mtu;
  bytes = std::min(bytes, kMaxDatagram);
  const std::size_t smallest = kEchoHeader + Probes::kData;
  const std::size_t payload = std::max(maxPayload(bytes, outer, sa.shape()), smallest);
  bytes = std::max(bytes, outerLength(payload, outer, sa.shape()));

  Frame data = slot(kSlots - 1);
  Frame packet = slot(kSlots - 2);
  std::memset(data.data(), 0, payload - kEchoHeader);
  const auto head =
      shared_.probes.remember(peer->hit, request.token, static_cast<std::uint32_t>(bytes), monotonicNow());
  std::copy(head.begin(), head.end(), data.data());
  const std::size_t length =
      buildEchoRequest(sa.localHit(), peer->hit, kProbeIdentifier, static_cast<std::uint16_t>(request.token),
                       {data.data(), payload - kEchoHeader}, {packet.data(), kMaxDatagram + kTailroom});
  if (length == 0) return stats_.count(Verdict::BufferSmall);
  stats_.count(Tally::ProbesSent);
  const Verdict sent =
      sendAlong(request.path, request.interface, *via, {packet.data() + kIpv6Header, length - kIpv6Header});
  // Larger than the link, or without a route: as lost as on the way.
  if (sent != Verdict::Ok) stats_.count(Tally::ProbesRefused);
}

bool Worker::isProbe(std::uint8_t nextHeader, View payload) {
  if (nextHeader != proto::kIcmp6 || payload.size() < kEchoHeader + Probes::kData) return false;
  if (payload[0] != kEchoRequest && payload[0] != kEchoReply) return false;
  return Probes::isProbe(load16(payload.data() + 4), payload.subspan(kEchoHeader));
}

/// An authenticated probe, or the answer to one of ours.
Verdict Worker::probed(InboundRoute& route, View payload, std::size_t i, Carrier carrier) {
  Peer& peer = *route.peer;
  route.sa->counters.forget(payload.size());
  const Hit& local = route.sa->localHit();
  EchoMessage message;
  if (!parseEcho(payload[0], payload, local, peer.hit, message)) return Verdict::InnerChecksum;
  if (payload[0] == kEchoReply) {
    const auto answer = shared_.probes.match(peer.hit, message.data, monotonicNow());
    if (!answer) return Verdict::Ok;
    stats_.count(Tally::ProbeReplies);
    const bool told = shared_.events.push(EventType::ProbeReply, [&](Event& event) {
      event.peer = peer.hit;
      event.spi = answer->bytes;
      event.sequence = answer->token;
      event.rttMicros = static_cast<std::uint32_t>(std::min<std::uint64_t>(answer->nanoseconds / 1000, UINT32_MAX));
    });
    return told ? Verdict::Ok : Verdict::RingFull;
  }
  OutboundRoute* via = peer.via.load();
  if (via == nullptr) return Verdict::NoPeer;
  if (!peer.probeAnswers.take(monotonicNow())) return Verdict::RateLimited;
  std::array<std::uint8_t, kIpv6Header + kEchoHeader + Probes::kData> packet;
  const std::size_t length =
      buildEchoReply(local, peer.hit, message.identifier, message.sequence, message.data.first(Probes::kData), packet);
  const Path path = pathOf(i, carrier);
  const Verdict sent =
      sendAlong(path, shared_.interfaces.towards(path), *via, {packet.data() + kIpv6Header, length - kIpv6Header});
  if (sent == Verdict::Ok) stats_.count(Tally::ProbesAnswered);
  return sent;
}

}  // namespace hipd
