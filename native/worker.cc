#include "worker.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>

namespace hipd {

namespace {
std::array<std::uint64_t, 2> randomPair() {
  std::array<std::uint64_t, 2> pair{};
  (void)!getrandom(pair.data(), sizeof pair, 0);
  return pair;
}
}  // namespace

Shared::Shared(const Lsi& ownLsi, const Prefix& lsiPrefix, void (*notify)(void*), void* context)
    : routes(epochs, hold, ownLsi),
      flows(FlowTable::kDefaultEntries, randomPair()),
      events(notify, context),
      lsis(lsiPrefix) {}

Worker::Worker(Shared& shared, std::size_t index, Fd tun, Sockets sockets, std::uint16_t port)
    : shared_(shared),
      index_(index),
      reader_(shared.epochs.join()),
      port_(port),
      tun_(std::move(tun)),
      sockets_(std::move(sockets)),
      arena_(kSlots * kStride) {}

Worker::~Worker() {
  stop();
}

bool Worker::watch(int fd, Inlet inlet) {
  if (fd < 0) return true;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = static_cast<std::uint32_t>(inlet);
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

int Worker::fdOf(Inlet inlet) const {
  switch (inlet) {
    case Inlet::Mailbox:
      return mailbox_.get();
    case Inlet::Tun:
      return tun_.get();
    case Inlet::Udp4:
      return sockets_.udp4.get();
    case Inlet::Udp6:
      return sockets_.udp6.get();
    case Inlet::Esp4:
      return sockets_.esp4.get();
    case Inlet::Esp6:
      return sockets_.esp6.get();
    case Inlet::Hip4:
      return sockets_.hip4.get();
    case Inlet::Hip6:
      return sockets_.hip6.get();
  }
  return -1;
}

std::string Worker::start(const Outlets& outlets) {
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  mailbox_ = Fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  bool watched = epoll_.valid() && mailbox_.valid();
  for (const Inlet inlet :
       {Inlet::Mailbox, Inlet::Tun, Inlet::Udp4, Inlet::Udp6, Inlet::Esp4, Inlet::Esp6, Inlet::Hip4, Inlet::Hip6}) {
    watched = watched && watch(fdOf(inlet), inlet);
  }
  if (!watched) return "cannot watch the data plane's sockets: " + errorText(errno);
  sends_[0].use(outlets.udp4);
  sends_[1].use(outlets.udp6);
  sends_[2].use(outlets.esp4);
  sends_[3].use(outlets.esp6);
  thread_ = std::thread([this] { run(); });
  return "";
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  wake();
  thread_.join();
}

void Worker::wake() {
  const std::uint64_t one = 1;
  (void)!write(mailbox_.get(), &one, sizeof one);
}

/// The crypto library loads and looks up its algorithms at the first use: not at a user's first packet.
void Worker::warmUp() {
  static constexpr std::array<std::uint8_t, 64> kZeros{};
  for (const unsigned id : {7u, 8u, 9u, 12u, 13u}) {
    const SuiteShape* shape = suiteShape(id);
    if (shape == nullptr) continue;
    for (const Direction direction : {Direction::In, Direction::Out}) {
      const std::shared_ptr<Keys> keys =
          Keys::make(shape->suite, direction, View(kZeros).first(shape->encryptionKeyLengths[0]),
                     View(kZeros).first(shape->integrityKeyLength));
      if (keys == nullptr) continue;
      ciphers_.find(keys);
      keys->retire();
    }
  }
  ciphers_.sweep();
}

void Worker::run() {
  const std::string name = "hipd-data-" + std::to_string(index_);
  pthread_setname_np(pthread_self(), name.c_str());
  warmUp();
  std::array<epoll_event, 8> events;
  while (!stopping_.load()) {
    shared_.epochs.offline(reader_);
    const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    shared_.epochs.online(reader_);
    nowMs_ = monotonicCoarse() / 1'000'000;
    const std::uint64_t sweeps = shared_.sweeps.load(std::memory_order_acquire);
    if (sweeps != swept_) {
      ciphers_.sweep();
      swept_ = sweeps;
    }
    for (int i = 0; i < count; i++) {
      serve(static_cast<Inlet>(events[static_cast<std::size_t>(i)].data.u32));
    }
  }
  shared_.epochs.offline(reader_);
}

void Worker::serve(Inlet inlet) {
  switch (inlet) {
    case Inlet::Mailbox:
      return fromMailbox();
    case Inlet::Tun:
      return fromTun();
    default:
      return fromSocket(inlet);
  }
}

}  // namespace hipd
