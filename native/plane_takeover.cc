// How one plane follows another without a cut (takeover.h).
#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "favourite.h"
#include "netlink.h"
#include "plane.h"
#include "rawip.h"
#include "service.h"
#include "takeover.h"
#include "tun.h"

namespace hipd {

namespace {

Fd copyOf(int fd) {
  return Fd(fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

/// Appends copies of those that are there. False when the process has no room for them.
bool copyAll(const std::vector<std::pair<SavedSocket, int>>& from, std::vector<SavedSocket>& saved,
             std::vector<Fd>& fds) {
  for (const auto& [socket, fd] : from) {
    if (fd < 0) continue;
    fds.push_back(copyOf(fd));
    if (!fds.back().valid()) return false;
    saved.push_back(socket);
  }
  return true;
}

std::string noRoom() {
  return "cannot hand over the descriptors of the data plane: " + errorText(errno);
}

}  // namespace

std::string Plane::suspend(Suspended& suspended) {
  // First all that can fail.
  SavedPlane saved;
  std::vector<std::pair<SavedSocket, int>> sockets;
  for (std::size_t i = 0; i < workers_.size(); i++) {
    const auto worker = static_cast<std::uint8_t>(i);
    suspended.tuns.push_back(copyOf(workers_[i]->tun()));
    if (!suspended.tuns.back().valid()) return noRoom();
    sockets.push_back({{SocketUse::Udp4, worker}, workers_[i]->sockets().udp4.get()});
    sockets.push_back({{SocketUse::Udp6, worker}, workers_[i]->sockets().udp6.get()});
  }
  sockets.push_back({{SocketUse::Esp4, 0}, raw_.esp4.get()});
  sockets.push_back({{SocketUse::Esp6, 0}, raw_.esp6.get()});
  sockets.push_back({{SocketUse::Hip4, 0}, raw_.hip4.get()});
  sockets.push_back({{SocketUse::Hip6, 0}, raw_.hip6.get()});
  if (!copyAll(sockets, saved.sockets, suspended.sockets)) return noRoom();

  // It may be asking the kernel for addresses, while packets still flow.
  house_.stop();
  for (const auto& worker : workers_) worker->halt();
  for (const auto& worker : workers_) worker->stop();
  for (std::size_t i = 0; i < workers_.size(); i++) {
    for (const bool v6 : {false, true}) {
      const SavedSocket near{v6 ? SocketUse::Near6 : SocketUse::Near4, static_cast<std::uint8_t>(i)};
      // Without it the favourite's packets come by the other socket; only those that wait now are lost.
      if (!copyAll({{near, workers_[i]->nearSocket(v6)}}, saved.sockets, suspended.sockets)) {
        suspended.sockets.pop_back();
        turnAside(workers_[i]->nearSocket(v6));
      }
    }
  }
  save(saved);
  suspended.blob = encode(saved);
  return "";
}

void Plane::save(SavedPlane& saved) {
  saved.options = options_;
  saved.granted = offloads_;
  saved.headers = headers_;
  for (const auto& worker : workers_) saved.workers.push_back({worker->fragmentId()});
  stats_.count(Verdict::Closing, shared_.routes.save(saved.peers));
  for (const Counter& counter : counters()) {
    if (counter.value != 0 && counter.name.ends_with("_total"))
      saved.counters.emplace_back(counter.name, counter.value);
  }
  saved.flows = shared_.flows.save();
  shared_.events.empty([&](const Event& event) {
    SavedEvent one{event.type, event.spi, event.sequence, event.rttMicros, event.peer, event.path, {}};
    one.bytes.assign(event.bytes.begin(), event.bytes.begin() + event.length);
    saved.events.push_back(std::move(one));
  });
  saved.suspendedAt = monotonicNow();
}

std::unique_ptr<Plane> Plane::resume(const Handover& from, std::string& error, std::vector<std::string>& notes) {
  SavedPlane saved;
  error = decode(from.blob, saved, monotonicNow());
  if (!error.empty()) return nullptr;
  saved.options.notify = from.notify;
  saved.options.context = from.context;
  if (from.tuns.size() != saved.options.workers || from.sockets.size() != saved.sockets.size()) {
    error = "the data plane was handed over with " + std::to_string(from.tuns.size()) + " queues and " +
            std::to_string(from.sockets.size()) + " sockets, not " + std::to_string(saved.options.workers) + " and " +
            std::to_string(saved.sockets.size());
    return nullptr;
  }
  std::vector<Fd> tuns;
  std::vector<Fd> sockets;
  for (const int fd : from.tuns) tuns.push_back(copyOf(fd));
  for (const int fd : from.sockets) sockets.push_back(copyOf(fd));
  const auto invalid = [](const Fd& fd) { return !fd.valid(); };
  if (std::any_of(tuns.begin(), tuns.end(), invalid) || std::any_of(sockets.begin(), sockets.end(), invalid)) {
    error = "a descriptor of the data plane that was handed over cannot be used: " + errorText(errno);
    return nullptr;
  }
  std::unique_ptr<Plane> plane(new Plane(saved.options));
  plane->chooseCipher(notes);
  error = plane->restore(saved, std::move(tuns), std::move(sockets));
  // A thread that cannot be made ends the process: better before it has taken anything.
  if (error.empty()) {
    for (const auto& worker : plane->workers_) worker->prestart();
  }
  if (error.empty() && from.ticket >= 0) {
    const service::Taken result = service::takeTicket(from.ticket);
    error = result.error.empty() && !result.taken ? "somebody else goes on with this data plane" : result.error;
  }
  if (!error.empty()) return nullptr;
  for (const auto fds : {from.tuns, from.sockets}) {
    for (const int fd : fds) Fd{fd}.reset();
  }
  // Nothing can fail from here on: two that sealed under the same keys would be worse than any loss.
  plane->gap_ = (monotonicNow() - saved.suspendedAt) / 1000;
  for (const auto& worker : plane->workers_) worker->start();
  return plane;
}

std::string Plane::restore(const SavedPlane& saved, std::vector<Fd> tuns, std::vector<Fd> sockets) {
  offloads_ = saved.granted;
  headers_ = saved.headers;
  for (const Fd& fd : tuns) {
    const std::string wrong = adoptTun(fd.get(), options_.interface, headers_, tuns.size() > 1, offloads_);
    if (!wrong.empty()) return wrong;
  }
  std::vector<Sockets> sets(tuns.size());
  for (std::size_t i = 0; i < sockets.size(); i++) {
    const std::string wrong = adoptSocket(saved.sockets[i], std::move(sockets[i]), sets);
    if (!wrong.empty()) return wrong;
  }
  for (const Sockets& set : sets) {
    const bool whole = set.udp4.valid() == sets[0].udp4.valid() && set.udp6.valid() == sets[0].udp6.valid() &&
                       (set.udp4.valid() || set.udp6.valid());
    if (!whole) return "the data plane was handed over without one of its UDP sockets";
  }
  std::string wrong = restoreTables(saved);
  if (!wrong.empty()) return wrong;
  for (std::size_t i = 0; i < sets.size(); i++) {
    WorkerOptions worker;
    worker.warm = false;
    worker.fragmentId = saved.workers[i].fragmentId;
    wrong = makeWorker(worker, std::move(tuns[i]), std::move(sets[i]));
    if (!wrong.empty()) return wrong;
  }
  rawTried_ = raw_.esp4.valid() || raw_.esp6.valid() || raw_.hip4.valid() || raw_.hip6.valid();
  if (rawTried_ || options_.raw) wrong = rawTried_ ? useRawSockets() : openRawSockets();
  return wrong.empty() ? house_.start(true) : wrong;
}

std::string Plane::adoptSocket(const SavedSocket& saved, Fd fd, std::vector<Sockets>& sets) {
  Sockets& set = sets[saved.worker];
  const auto place = [&]() -> Fd& {
    switch (saved.use) {
      case SocketUse::Udp4:
        return set.udp4;
      case SocketUse::Udp6:
        return set.udp6;
      case SocketUse::Near4:
        return set.near4;
      case SocketUse::Near6:
        return set.near6;
      case SocketUse::Esp4:
        return raw_.esp4;
      case SocketUse::Esp6:
        return raw_.esp6;
      case SocketUse::Hip4:
        return raw_.hip4;
      case SocketUse::Hip6:
        break;
    }
    return raw_.hip6;
  };
  const auto isOne = [&](SocketUse four, SocketUse six) { return saved.use == four || saved.use == six; };
  const bool near = isOne(SocketUse::Near4, SocketUse::Near6);
  const bool udp = near || isOne(SocketUse::Udp4, SocketUse::Udp6);
  SocketKind kind;
  kind.family = static_cast<int>(saved.use) % 2 == 0 ? 4 : 6;
  kind.type = udp ? SOCK_DGRAM : SOCK_RAW;
  kind.protocol = udp ? int{proto::kUdp} : (isOne(SocketUse::Esp4, SocketUse::Esp6) ? proto::kEsp : proto::kHip);
  kind.port = udp ? options_.port : 0;
  kind.shared = udp && sets.size() > 1;
  kind.connected = near;
  const std::string wrong = hipd::adoptSocket(fd.get(), kind);
  if (!wrong.empty()) return wrong;
  if (udp && offloads_.gro && !receiveMany(fd.get())) return "a UDP socket refuses the offload gro that it had";
  if (udp && offloads_.gso && !knowsSegmentation(fd.get())) return "a UDP socket lacks the offload gso that it had";
  if (place().valid()) return "the data plane was handed over with one socket twice";
  place() = std::move(fd);
  return "";
}

std::string Plane::restoreTables(const SavedPlane& saved) {
  for (const SavedPeer& peer : saved.peers) {
    if (!shared_.routes.restore(peer)) return "the data plane that was handed over contradicts itself: its SAs";
    if (!peer.outbound.empty()) house_.watchIdle(0);
    for (const SavedInbound& one : peer.inbound) house_.watchIdle(one.idleAfter);
  }
  if (!shared_.flows.restore(saved.flows)) return "the data plane that was handed over contradicts itself: its flows";
  for (const auto& [name, value] : saved.counters) stats_.continueFrom(name, value);
  for (const SavedEvent& one : saved.events) {
    shared_.events.push(one.type, [&](Event& event) {
      event.spi = one.spi;
      event.sequence = one.sequence;
      event.rttMicros = one.rttMicros;
      event.peer = one.peer;
      event.path = one.path;
      event.length = static_cast<std::uint32_t>(one.bytes.size());
      std::copy(one.bytes.begin(), one.bytes.end(), event.bytes.begin());
    });
  }
  return "";
}

}  // namespace hipd
