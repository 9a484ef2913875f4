// The flow log: what becomes one flow, when it is told, and that two threads may use it.
#include "flow_log.h"

#include <array>
#include <thread>
#include <vector>

#include "check.h"

using hipd::FlowEnd;
using hipd::FlowLog;
using hipd::FlowName;
using hipd::FlowRecord;
using hipd::Hit;
using hipd::InnerFamily;
using hipd::InnerView;
using hipd::kFlowEntries;
using hipd::kFlowIdleMs;
using hipd::kFlowLingerMs;
using hipd::kFlowOngoingMs;

namespace {

Hit peer(std::uint8_t last) {
  Hit hit;
  hit.bytes = {0x20, 0x01, 0x00, 0x22};
  hit.bytes[15] = last;
  return hit;
}

FlowName named(std::uint16_t port, bool inbound = false) {
  return {peer(1), hipd::proto::kTcp, InnerFamily::Hit, inbound, 1000, port};
}

std::vector<FlowRecord> taken(FlowLog& log, std::uint64_t now, bool all = false) {
  std::vector<FlowRecord> out(kFlowEntries);
  out.resize(log.take(out, all, now));
  return out;
}

void addsUpPacketsOfAFlow() {
  FlowLog log(1);
  CHECK(log.count(named(80), 1, 100, false, 1'000));
  CHECK(log.count(named(80), 10, 5'000, false, 2'000));
  CHECK(log.count(named(80, true), 2, 80, false, 2'500));
  CHECK(taken(log, 3'000).empty());
  const std::vector<FlowRecord> flows = taken(log, 2'500 + kFlowIdleMs);
  CHECK_EQ(flows.size(), 2u);
  const FlowRecord& out = flows[flows[0].name.inbound ? 1 : 0];
  CHECK(out.name == named(80));
  CHECK(out.end == FlowEnd::Idle);
  CHECK_EQ(out.packets, 11u);
  CHECK_EQ(out.bytes, 5'100u);
  CHECK_EQ(out.first, 1'000u);
  CHECK_EQ(out.last, 2'000u);
  CHECK(taken(log, 100'000).empty());
}

void tellsClosedFlowsSoon() {
  FlowLog log(1);
  CHECK(log.count(named(80), 1, 100, false, 1'000));
  CHECK(log.count(named(80), 1, 60, true, 1'100));
  CHECK(log.count(named(80), 1, 52, false, 1'200));
  CHECK(taken(log, 1'200 + kFlowLingerMs - 1).empty());
  const std::vector<FlowRecord> flows = taken(log, 1'200 + kFlowLingerMs);
  CHECK_EQ(flows.size(), 1u);
  CHECK(flows[0].end == FlowEnd::Closed);
  CHECK_EQ(flows[0].packets, 3u);
}

void tellsLongFlowsInParts() {
  FlowLog log(1);
  std::uint64_t now = 0;
  std::uint64_t packets = 0;
  for (; now < kFlowOngoingMs; now += 10'000) {
    CHECK(log.count(named(80), 1, 100, false, now));
    CHECK(taken(log, now).empty());
  }
  std::vector<FlowRecord> flows = taken(log, now);
  CHECK_EQ(flows.size(), 1u);
  CHECK(flows[0].end == FlowEnd::Ongoing);
  packets = flows[0].packets;
  CHECK_EQ(packets, kFlowOngoingMs / 10'000);
  CHECK(log.count(named(80), 1, 100, false, now));
  flows = taken(log, now + kFlowIdleMs);
  CHECK_EQ(flows.size(), 1u);
  CHECK_EQ(flows[0].packets, 1u);
  CHECK_EQ(flows[0].bytes, 100u);
  CHECK_EQ(flows[0].first, now);
}

void tellsEverythingAtTheEnd() {
  FlowLog log(1);
  CHECK(log.count(named(80), 1, 100, false, 1'000));
  std::array<FlowRecord, 1> room;
  CHECK(log.count(named(81), 1, 100, false, 1'000));
  CHECK_EQ(log.take(room, true, 1'000), 1u);
  CHECK(room[0].end == FlowEnd::Stopped);
  CHECK_EQ(log.take(room, true, 1'000), 1u);
  CHECK_EQ(log.take(room, true, 1'000), 0u);
}

void isBounded() {
  FlowLog log(1);
  std::size_t stored = 0;
  for (std::uint32_t i = 0; i < 3 * kFlowEntries; i++) {
    if (log.count(named(static_cast<std::uint16_t>(i)), 1, 1, false, 1'000)) stored++;
  }
  CHECK(stored <= kFlowEntries);
  CHECK(stored > kFlowEntries / 2);
  CHECK_EQ(taken(log, 1'000, true).size(), stored);
  CHECK(log.count(named(1), 1, 1, false, 2'000));
}

void samplesBothDirectionsAlike() {
  FlowLog log(8);
  std::array<int, 4'001> seen{};
  std::size_t flows = 0;
  for (std::uint16_t port = 1; port <= 4'000; port++) {
    CHECK(log.count(named(port), 1, 1, false, 1'000));
    CHECK(log.count(named(port, true), 1, 1, false, 1'000));
    // Where a flow is kept depends on the process's key: many at once may find their place full.
    if (port % 100 != 0) continue;
    for (const FlowRecord& flow : taken(log, 1'000, true)) {
      seen[flow.name.peerPort] += flow.name.inbound ? 10 : 1;
      flows++;
    }
  }
  for (const int count : seen) CHECK(count == 0 || count == 11);
  CHECK(flows > 2 * 4'000 / 8 / 2);
  CHECK(flows < 2 * 4'000 / 8 * 2);
  log.setSample(0);
  CHECK(log.count(named(1), 1, 1, false, 2'000));
  CHECK(taken(log, 2'000, true).empty());
}

void namesPackets() {
  InnerView view;
  view.family = InnerFamily::Lsi;
  view.protocol = hipd::proto::kIcmp;
  view.sourcePort = 7;
  view.destinationPort = 8;
  const FlowName out = hipd::outboundName(peer(2), view);
  CHECK_EQ(out.protocol, hipd::proto::kIcmp6);
  CHECK_EQ(out.localPort, 7);
  CHECK_EQ(out.peerPort, 8);
  const FlowName in = hipd::inboundName(peer(2), view, InnerFamily::Lsi);
  CHECK_EQ(in.localPort, 8);
  CHECK(in.inbound);
  view.first = false;
  CHECK_EQ(hipd::outboundName(peer(2), view).localPort, 0);

  std::array<std::uint8_t, 20> tcp{};
  view = {};
  view.protocol = hipd::proto::kTcp;
  CHECK(!hipd::endsFlow(view, tcp));
  tcp[13] = 0x11;
  CHECK(hipd::endsFlow(view, tcp));
  CHECK(!hipd::endsFlow(view, hipd::View(tcp).first(13)));
  view.protocol = hipd::proto::kUdp;
  CHECK(!hipd::endsFlow(view, tcp));
}

/// What one thread counts is what the other is told, but for packets of the moment in which a flow is taken away.
void twoThreads() {
  FlowLog log(1);
  constexpr std::uint64_t kPackets = 200'000;
  std::atomic<bool> done{false};
  std::uint64_t told = 0;
  std::thread reader([&] {
    std::vector<FlowRecord> out(64);
    const auto look = [&](bool all) {
      const std::size_t count = log.take(out, all, 0);
      for (std::size_t i = 0; i < count; i++) told += out[i].packets;
      return count;
    };
    while (!done.load()) look(false);
    while (look(true) > 0) {
    }
  });
  for (std::uint64_t i = 0; i < kPackets; i++)
    CHECK(log.count(named(static_cast<std::uint16_t>(i % 50)), 1, 1, false, 0));
  done.store(true);
  reader.join();
  CHECK_EQ(told, kPackets);
}

}  // namespace

int main() {
  addsUpPacketsOfAFlow();
  tellsClosedFlowsSoon();
  tellsLongFlowsInParts();
  tellsEverythingAtTheEnd();
  isBounded();
  samplesBothDirectionsAlike();
  namesPackets();
  twoThreads();
}
