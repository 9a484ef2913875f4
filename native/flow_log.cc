#include "flow_log.h"

#include <algorithm>

#include "snapshot.h"

namespace hipd {
namespace {

constexpr std::size_t kWays = 8;
/// Where TCP's flags stand, and FIN and RST among them (RFC 9293 3.1).
constexpr std::size_t kTcpFlags = 13;
constexpr unsigned kFinOrRst = 0x05;

std::uint8_t wireProtocol(std::uint8_t protocol) {
  return protocol == proto::kIcmp ? proto::kIcmp6 : protocol;
}

/// The same for both directions and families of a conversation.
std::uint64_t hashOf(const FlowName& name) {
  const std::uint64_t ports = (static_cast<std::uint64_t>(name.protocol) << 32) |
                              (static_cast<std::uint64_t>(name.localPort) << 16) | name.peerPort;
  return keyedHash(load64(name.peer.bytes.data()) ^ keyedHash(load64(name.peer.bytes.data() + 8), 1), ports);
}

/// The worker is the only writer: no locked instruction.
void add(std::atomic<std::uint64_t>& sum, std::uint64_t more) {
  sum.store(sum.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

}  // namespace

FlowName outboundName(const Hit& peer, const InnerView& view) {
  FlowName name{peer, wireProtocol(view.protocol), view.family, false, 0, 0};
  if (!view.first || view.icmpError) return name;
  name.localPort = view.sourcePort;
  name.peerPort = view.destinationPort;
  return name;
}

FlowName inboundName(const Hit& peer, const InnerView& view, InnerFamily family) {
  FlowName name{peer, wireProtocol(view.protocol), family, true, 0, 0};
  if (!view.first || view.icmpError) return name;
  name.localPort = view.destinationPort;
  name.peerPort = view.sourcePort;
  return name;
}

bool endsFlow(const InnerView& view, View packet) {
  const std::size_t at = std::size_t{view.upperOffset} + kTcpFlags;
  return view.protocol == proto::kTcp && view.first && at < packet.size() && (packet[at] & kFinOrRst) != 0;
}

FlowLog::FlowLog(std::uint32_t sample) : sample_(sample), entries_(new Entry[kFlowEntries]) {}

bool FlowLog::count(const FlowName& name, std::uint64_t packets, std::uint64_t bytes, bool ends, std::uint64_t now) {
  const std::uint64_t hash = hashOf(name);
  const std::uint32_t sample = sample_.load(std::memory_order_relaxed);
  // Other bits than those that choose the place, else some places would never be used.
  if (sample != 1 && (sample == 0 || (hash >> 32) % sample != 0)) return true;
  const std::size_t set = ((hash + (name.inbound ? 1 : 0)) * kWays) & (kFlowEntries - 1);
  Entry* place = nullptr;
  for (std::size_t i = 0; i < kWays; i++) {
    Entry& entry = entries_[set + i];
    if (entry.state.load(std::memory_order_acquire) == State::Free) {
      if (place == nullptr) place = &entry;
      continue;
    }
    if (!(entry.name == name)) continue;
    add(entry.packets, packets);
    add(entry.bytes, bytes);
    entry.last.store(now, std::memory_order_relaxed);
    if (ends) entry.ended.store(true, std::memory_order_relaxed);
    return true;
  }
  if (place == nullptr) return false;
  place->name = name;
  place->first = now;
  place->packets.store(packets, std::memory_order_relaxed);
  place->bytes.store(bytes, std::memory_order_relaxed);
  place->last.store(now, std::memory_order_relaxed);
  place->ended.store(ends, std::memory_order_relaxed);
  place->state.store(State::Used, std::memory_order_release);
  return true;
}

std::size_t FlowLog::take(std::span<FlowRecord> out, bool all, std::uint64_t now) {
  std::size_t taken = 0;
  for (std::size_t looked = 0; looked < kFlowEntries && taken < out.size(); looked++) {
    Entry& entry = entries_[cursor_];
    cursor_ = (cursor_ + 1) % kFlowEntries;
    if (entry.state.load(std::memory_order_acquire) != State::Used) continue;
    const std::uint64_t last = entry.last.load(std::memory_order_relaxed);
    const std::uint64_t since = std::max(entry.first, entry.toldAt);
    const std::uint64_t quiet = now > last ? now - last : 0;
    FlowEnd end = FlowEnd::Ongoing;
    if (all) {
      end = FlowEnd::Stopped;
    } else if (entry.ended.load(std::memory_order_relaxed) && quiet >= kFlowLingerMs) {
      end = FlowEnd::Closed;
    } else if (quiet >= kFlowIdleMs) {
      end = FlowEnd::Idle;
    } else if (now < since + kFlowOngoingMs) {
      continue;
    }
    const std::uint64_t packets = entry.packets.load(std::memory_order_relaxed);
    const std::uint64_t bytes = entry.bytes.load(std::memory_order_relaxed);
    const bool news = packets > entry.toldPackets;
    if (news) {
      out[taken++] = {entry.name, end, packets - entry.toldPackets, bytes - entry.toldBytes, since, last};
    }
    if (end == FlowEnd::Ongoing) {
      entry.toldPackets = packets;
      entry.toldBytes = bytes;
      entry.toldAt = now;
      continue;
    }
    entry.toldPackets = entry.toldBytes = entry.toldAt = 0;
    // A packet that comes in this very moment is not counted: it came after a second of quiet, at least.
    entry.state.store(State::Free, std::memory_order_release);
  }
  return taken;
}

}  // namespace hipd
