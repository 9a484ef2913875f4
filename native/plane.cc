#include "plane.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "netlink.h"
#include "rawip.h"
#include "tun.h"

namespace hipd {

namespace {

/// One line for each offload that was wanted and is not there.
void tellMissing(const Offloads& wanted, const Offloads& granted, std::vector<std::string>& notes) {
  const auto tell = [&](bool missing, const char* what) {
    if (missing) notes.push_back(std::string(what) + " is not available: the data plane will be slower");
  };
  tell(wanted.tso && !granted.tso, "TCP segmentation offload of the TUN device (tso)");
  tell(wanted.uso && wanted.tso && !granted.uso, "UDP segmentation offload of the TUN device (uso, Linux 6.2)");
  tell(wanted.gso && !granted.gso, "UDP segmentation offload of sockets (gso, Linux 4.18)");
  tell(wanted.gro && !granted.gro, "UDP receive offload of sockets (gro, Linux 5.0)");
}

}  // namespace

Plane::Plane(const PlaneOptions& options)
    : options_(options),
      shared_(options.ownLsi, options.lsiPrefix, options.notify, options.context),
      house_(shared_, options.interface, options.silentAfter) {
  // Keys live in this process: no core dump, no other process of this user that looks in.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

Plane::~Plane() {
  for (const auto& worker : workers_) worker->halt();
  house_.stop();
  for (const auto& worker : workers_) worker->stop();
}

std::unique_ptr<Plane> Plane::open(const PlaneOptions& options, std::string& error, std::vector<std::string>& notes) {
  if (options.workers < 1 || options.workers > kMaxQueues) {
    error = "the data plane runs 1 to " + std::to_string(kMaxQueues) + " workers";
    return nullptr;
  }
  std::unique_ptr<Plane> plane(new Plane(options));
  plane->chooseCipher(notes);
  error = plane->openSockets(notes);
  if (error.empty()) error = plane->house_.start();
  if (!error.empty()) return nullptr;
  return plane;
}

void Plane::chooseCipher(std::vector<std::string>& notes) {
  std::string note;
  backend_ = &chooseBackend(options_.aead, note);
  if (!note.empty()) notes.push_back(note);
}

std::string Plane::makeWorker(WorkerOptions options, Fd tun, Sockets sockets) {
  options.index = workers_.size();
  options.port = options_.port;
  options.shared = options_.workers > 1;
  options.offloads = offloads_;
  options.headers = headers_;
  options.busyPoll = options_.busyPoll;
  options.backend = backend_;
  workers_.push_back(std::make_unique<Worker>(shared_, options, std::move(tun), std::move(sockets)));
  return workers_.back()->prepare();
}

std::string Plane::openSockets(std::vector<std::string>& notes) {
  const std::size_t count = options_.workers;
  const bool shared = count > 1;
  std::vector<Sockets> sockets(count);
  for (const int family : {4, 6}) {
    if (shared) {
      // SO_REUSEPORT would also share the port with another program of the same user.
      const Socket probe = openUdp(family, options_.port, false);
      if (!probe.error.empty() && !probe.unsupported) return probe.error;
    }
    for (Sockets& set : sockets) {
      Socket udp = openUdp(family, options_.port, shared);
      if (udp.unsupported) {
        notes.push_back("IPv" + std::to_string(family) + " underlay is not available: " + udp.error);
        break;
      }
      if (!udp.error.empty()) return udp.error;
      (family == 4 ? set.udp4 : set.udp6) = std::move(udp.fd);
    }
  }
  if (!sockets[0].udp4.valid() && !sockets[0].udp6.valid()) return "the host has neither IPv4 nor IPv6";

  // The device comes last: a second hipd is refused before it touches what the first one uses.
  TunQueues tun = openTun(options_.interface, count, options_.offloads);
  if (!tun.error.empty()) return tun.error;
  offloads_ = tun.offloads;
  const int any = sockets[0].udp4.valid() ? sockets[0].udp4.get() : sockets[0].udp6.get();
  if (!knowsSegmentation(any)) offloads_.gso = false;
  for (const Sockets& set : sockets) {
    for (const Fd* fd : {&set.udp4, &set.udp6}) {
      if (fd->valid() && offloads_.gro) offloads_.gro = receiveMany(fd->get());
    }
  }
  tellMissing(options_.offloads, offloads_, notes);
  netlink::LinkChange change;
  change.up = false;
  change.mtu = options_.mtu;
  change.queue = kTunQueue;
  change.superBytes = kSuperBytes;
  change.withoutLinkLocal = true;
  const std::string refused = netlink::setLink(options_.interface, change);
  if (!refused.empty()) return refused;

  headers_ = tun.headers;
  for (std::size_t i = 0; i < count; i++) {
    const std::string failed = makeWorker({}, std::move(tun.fds[i]), std::move(sockets[i]));
    if (!failed.empty()) return failed;
  }
  if (options_.raw) {
    const std::string failed = openRawSockets();
    if (!failed.empty()) return failed;
  }
  for (const auto& worker : workers_) worker->start();
  return "";
}

std::string Plane::openRawSockets() {
  rawTried_ = true;
  for (const int family : {4, 6}) {
    for (const int protocol : {int{proto::kEsp}, int{proto::kHip}}) {
      Socket socket = openRaw(family, protocol);
      if (socket.unsupported) continue;
      if (!socket.error.empty()) return socket.error;
      if (protocol == proto::kEsp) {
        (family == 4 ? raw_.esp4 : raw_.esp6) = std::move(socket.fd);
      } else {
        (family == 4 ? raw_.hip4 : raw_.hip6) = std::move(socket.fd);
      }
    }
  }
  return useRawSockets();
}

std::string Plane::useRawSockets() {
  if (raw_.esp6.valid()) mtuListener_ = openMtuListener(proto::kEsp);
  for (const auto& worker : workers_) {
    const std::string failed = worker->useRaw(raw_, worker == workers_[0]);
    if (!failed.empty()) return failed;
  }
  return "";
}

void Plane::need(Carrier carrier) {
  if (carrier != Carrier::None || rawTried_) return;
  const std::string failed = openRawSockets();
  if (!failed.empty()) shared_.events.note(failed);
}

void Plane::send(const Path& path, View packet) {
  need(path.carrier);
  const Destination destination(path);
  std::array<std::uint8_t, SourceControl::kSize> control;
  const SourceControl source = destination.source();
  source.writeTo(control.data(), shared_.interfaces.towards(path));
  const bool v6 = path.remote.address.family == 6;
  const Sockets& sockets = workers_[0]->sockets();
  const bool udp = path.carrier == Carrier::Udp;
  const int fd = udp ? (v6 ? sockets.udp6.get() : sockets.udp4.get()) : (v6 ? raw_.hip6.get() : raw_.hip4.get());
  std::array<std::uint8_t, 4> marker{};
  std::array<iovec, 2> parts{
      {{marker.data(), marker.size()}, {const_cast<std::uint8_t*>(packet.data()), packet.size()}}};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(&destination.remote.any);
  message.msg_namelen = destination.remote.length;
  message.msg_iov = udp ? parts.data() : &parts[1];
  message.msg_iovlen = udp ? 2 : 1;
  message.msg_control = source.length == 0 ? nullptr : control.data();
  message.msg_controllen = source.length;
  ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT);
  if (sent < 0 && errno == EMSGSIZE) {
    // ESP of the same moment may leave without DF: harmless.
    const auto discover = [&](int v4Mode, int v6Mode) {
      const int mode = v6 ? v6Mode : v4Mode;
      setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &mode, sizeof mode);
    };
    discover(IP_PMTUDISC_DONT, IPV6_PMTUDISC_DONT);
    sent = sendmsg(fd, &message, MSG_DONTWAIT);
    discover(IP_PMTUDISC_DO, IPV6_PMTUDISC_DO);
  }
  if (sent >= 0) {
    stats_.count(Tally::ControlSent);
  } else {
    const bool noRoute = errno == ENETUNREACH || errno == EHOSTUNREACH || errno == ENETDOWN || errno == EBADF;
    stats_.count(noRoute ? Verdict::NoRoute : Verdict::SendFailed);
  }
}

Routes::Added Plane::addOutbound(const SaParameters& parameters, const Path& path) {
  need(path.carrier);
  const Routes::Added added =
      shared_.routes.addOutbound(parameters, path, monotonicNow(), shared_.interfaces.towards(path));
  if (added == Routes::Added::Done) house_.watchIdle(0);
  return added;
}

Routes::Added Plane::addInbound(const SaParameters& parameters, const Path& path, std::uint64_t idleAfter) {
  need(path.carrier);
  const Routes::Added added = shared_.routes.addInbound(parameters, path, idleAfter, monotonicNow());
  if (added == Routes::Added::Done) house_.watchIdle(idleAfter);
  return added;
}

bool Plane::setPath(Spi spi, const Hit* hit, const Path& path, bool verified) {
  need(path.carrier);
  Peer* peer = shared_.routes.setPath(spi, hit, path, verified, monotonicNow(), shared_.interfaces.towards(path));
  if (peer == nullptr) return false;
  if (peer->via.load() != nullptr) release(*peer);
  return true;
}

void Plane::probe(const Hit& peer, const Path& path, std::uint32_t token, std::uint32_t bytes) {
  need(path.carrier);
  if (shared_.probes.ask({peer, path, shared_.interfaces.towards(path), token, bytes})) {
    workers_[0]->wake();
  } else {
    stats_.count(Verdict::RateLimited);
  }
}

/// Packets that waited leave, as far as they may.
void Plane::release(Peer& peer) {
  if (peer.hold.waiting.load() == 0) return;
  shared_.hold.markReady(peer.hold);
  workers_[0]->wake();
}

void Plane::swept() {
  shared_.sweeps.fetch_add(1, std::memory_order_release);
  for (const auto& worker : workers_) worker->wake();
}

void Plane::shun(const Address& address, std::uint32_t millis) {
  // What there is no room for is heard as before: the table is a relief, not a wall.
  const std::uint64_t now = monotonicCoarse() / 1'000'000;
  shared_.shunned.add(address, now, now + millis);
}

void Plane::dropSa(Spi spi, bool inbound, const Hit& peer) {
  if (inbound ? shared_.routes.dropInbound(spi, peer) : shared_.routes.dropOutbound(spi, peer)) swept();
}

void Plane::route(const Hit& hit, Mode mode, Spi spi) {
  Peer* peer = shared_.routes.setMode(hit, mode, spi);
  if (peer == nullptr) return;
  if (peer->via.load() != nullptr) {
    release(*peer);
  } else if (peer->mode.load() != Mode::Demand) {
    rejectHeld(*peer);
    if (mode == Mode::Unknown) shared_.routes.forgetIfUnused(hit);
  }
}

void Plane::rejectHeld(Peer& peer) {
  std::array<std::uint8_t, kMaxDatagram> packet;
  std::array<std::uint8_t, kMaxIcmpError> message;
  while (const std::size_t length = shared_.hold.pop(peer.hold, packet)) {
    stats_.count(Verdict::Rejected);
    if (!shared_.icmp.take(monotonicNow())) {
      stats_.count(Verdict::RateLimited);
      continue;
    }
    const std::size_t size = buildIcmpError(IcmpError::HostUnreachable, {packet.data(), length}, 0, message);
    if (size == 0) continue;
    const bool written = workers_[0]->show({message.data(), size});
    stats_.count(written ? Verdict::Answered : Verdict::TunWriteFailed);
  }
}

void Plane::alias(const Lsi& lsi, const Hit* peer) {
  shared_.routes.setAlias(lsi, peer);
}

void Plane::ping(const Hit& local, const Hit& peer, std::uint32_t sequence, std::size_t bytes) {
  if (shared_.pings.ask(local, peer, sequence, bytes, monotonicNow())) {
    workers_[0]->wake();
  } else {
    stats_.count(Verdict::RateLimited);
  }
}

std::size_t Plane::stalled(std::uint64_t millis) const {
  return static_cast<std::size_t>(std::count_if(workers_.begin(), workers_.end(),
                                                [millis](const auto& worker) { return worker->stalled(millis); }));
}

std::vector<Counter> Plane::counters() const {
  std::vector<Counter> list;
  const auto sum = [&](auto what) {
    std::uint64_t total = stats_.get(what);
    for (const auto& worker : workers_) total += worker->stats().get(what);
    return total;
  };
  for (std::size_t i = 0; i < static_cast<std::size_t>(Tally::Count); i++) {
    const auto tally = static_cast<Tally>(i);
    list.push_back({std::string(tallyName(tally)) + "_total", sum(tally)});
  }
  for (std::size_t i = 1; i < kVerdicts; i++) {
    const auto verdict = static_cast<Verdict>(i);
    list.push_back({std::string(verdictName(verdict)) + "_total", sum(verdict)});
  }
  list.push_back({"peers", shared_.routes.peerCount()});
  list.push_back({"inbound_spis", shared_.routes.spiCount()});
  list.push_back({"held_bytes", shared_.hold.used()});
  list.push_back({"event_queue_depth", shared_.events.size()});
  list.push_back({"offload_tso", offloads_.tso});
  list.push_back({"offload_uso", offloads_.uso});
  list.push_back({"offload_gso", offloads_.gso});
  list.push_back({"offload_gro", offloads_.gro});
  return list;
}

}  // namespace hipd
