// The flow log of a plane: one table for each worker.
#include "plane.h"

namespace hipd {

void Plane::logFlows(std::uint32_t sample) {
  if (sample == 0 && flowLogs_.empty()) return;
  while (flowLogs_.size() < workers_.size()) flowLogs_.push_back(std::make_unique<FlowLog>(sample));
  for (std::size_t i = 0; i < workers_.size(); i++) {
    flowLogs_[i]->setSample(sample);
    workers_[i]->useFlowLog(sample == 0 ? nullptr : flowLogs_[i].get());
  }
}

std::size_t Plane::takeFlows(std::span<FlowRecord> out, bool all) {
  const std::uint64_t now = monotonicCoarse() / 1'000'000;
  std::size_t taken = 0;
  for (const auto& log : flowLogs_) taken += log->take(out.subspan(taken), all, now);
  return taken;
}

}  // namespace hipd
