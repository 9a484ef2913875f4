#include "worker.h"

#include <pthread.h>
#include <sched.h>
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
      shunned(epochs),
      lsis(lsiPrefix) {}

Worker::Worker(Shared& shared, const WorkerOptions& options, Fd tun, Sockets sockets)
    : shared_(shared),
      options_(options),
      reader_(shared.epochs.join()),
      tun_(std::move(tun)),
      sockets_{std::move(sockets.udp4), std::move(sockets.udp6), {}, {}},
      ciphers_(*options.backend),
      fragmentId_(options.fragmentId),
      arena_(kBatch * kTunStride + (kSlots - kBatch) * kHeldStride),
      coalescer_([](void* self, const Departure& departure) { static_cast<Worker*>(self)->depart(departure); }, this) {
  coalescer_.allow(options.headers && options.offloads.tso, options.headers && options.offloads.uso);
  near_[0].fd = std::move(sockets.near4);
  near_[1].fd = std::move(sockets.near6);
  // Whom a predecessor chose keeps the place until it is silent for a while.
  for (Near& near : near_) {
    if (near.fd.valid()) near.heard = monotonicCoarse() / 1'000'000;
  }
  for (std::atomic<int>& fd : fds_) fd.store(-1);
}

Worker::~Worker() {
  stop();
}

bool Worker::watch(int fd, Inlet inlet) {
  if (fd < 0) return true;
  fds_[static_cast<std::size_t>(inlet)].store(fd, std::memory_order_release);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = static_cast<std::uint32_t>(inlet);
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

std::string Worker::prepare() {
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  mailbox_ = Fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!epoll_.valid() || !mailbox_.valid() || !watch(mailbox_.get(), Inlet::Mailbox) ||
      !watch(tun_.get(), Inlet::Tun) || !watch(sockets_.udp4.get(), Inlet::Udp4) ||
      !watch(sockets_.udp6.get(), Inlet::Udp6) || !watch(near_[0].fd.get(), Inlet::Near4) ||
      !watch(near_[1].fd.get(), Inlet::Near6)) {
    return "cannot watch the data plane's sockets: " + errorText(errno);
  }
  sends_[0].use(sockets_.udp4.get());
  sends_[1].use(sockets_.udp6.get());
  sends_[0].allowSegmentation(options_.offloads.gso);
  sends_[1].allowSegmentation(options_.offloads.gso);
  return "";
}

void Worker::prestart() {
  thread_ = std::thread([this] {
    begun_.wait(false);
    run();
  });
}

void Worker::start() {
  if (!thread_.joinable()) prestart();
  begun_.store(true);
  begun_.notify_one();
}

std::string Worker::useRaw(const RawSockets& raw, bool receive) {
  sends_[2].use(raw.esp4.get());
  sends_[3].use(raw.esp6.get());
  if (!receive) return "";
  if (!watch(raw.esp4.get(), Inlet::Esp4) || !watch(raw.esp6.get(), Inlet::Esp6) ||
      !watch(raw.hip4.get(), Inlet::Hip4) || !watch(raw.hip6.get(), Inlet::Hip6)) {
    return "cannot watch the raw sockets: " + errorText(errno);
  }
  return "";
}

void Worker::halt() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  // It may never have been started.
  begun_.store(true);
  begun_.notify_one();
  wake();
}

void Worker::stop() {
  halt();
  if (thread_.joinable()) thread_.join();
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
  const std::string name = "hipd-data-" + std::to_string(options_.index);
  pthread_setname_np(pthread_self(), name.c_str());
  if (options_.warm) warmUp();
  Placement placement;
  std::array<epoll_event, 8> events;
  while (!stopping_.load()) {
    shared_.epochs.offline(reader_);
    busySince_.store(0, std::memory_order_relaxed);
    const int count = await(events);
    shared_.epochs.online(reader_);
    nowMs_ = monotonicCoarse() / 1'000'000;
    busySince_.store(nowMs_, std::memory_order_relaxed);
    if (placement.look(nowMs_)) stats_.count(Tally::ProcessorsLeft);
    const std::uint64_t sweeps = shared_.sweeps.load(std::memory_order_acquire);
    if (sweeps != swept_) {
      ciphers_.sweep();
      swept_ = sweeps;
    }
    for (int i = 0; i < count; i++) {
      serve(static_cast<Inlet>(events[static_cast<std::size_t>(i)].data.u32));
    }
  }
  busySince_.store(0, std::memory_order_relaxed);
  shared_.epochs.offline(reader_);
}

/// Sleeps until something is ready; with the option, or where that saves time, looks for a while before it does.
int Worker::await(std::span<epoll_event> events) {
  if (options_.busyPoll != 0) {
    const std::uint64_t now = monotonicNow();
    const int count = lookUntil(now, now + options_.busyPoll * std::uint64_t{1000}, events);
    return count != 0 ? count : sleep(events);
  }
  if (!lingering_.hasWorked()) return sleep(events);
  const std::uint64_t now = monotonicNow();
  const std::uint64_t look = lingering_.look(now);
  int count = look == 0 ? 0 : lookUntil(now, now + look, events);
  if (count > 0) stats_.count(Tally::Lingered);
  if (count == 0) count = sleep(events);
  lingering_.found(monotonicNow());
  return count;
}

/// 0 when nothing was ready until then.
int Worker::lookUntil(std::uint64_t now, std::uint64_t until, std::span<epoll_event> events) {
  while (now < until) {
    const int count = ready(events, 0);
    if (count != 0) return count;
    // Whoever looks until its time is used up has none left when a packet comes.
    sched_yield();
    now = monotonicNow();
  }
  // A turn may end because it was long, just when nothing was left.
  for (Backlog& backlog : backlogs_) backlog.wasEmpty();
  return 0;
}

int Worker::sleep(std::span<epoll_event> events) {
  if (wakeups_.tooMany(monotonicNow)) sched_yield();
  return ready(events, -1);
}

int Worker::ready(std::span<epoll_event> events, int timeout) {
  return epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout);
}

std::uint8_t Worker::classOf(std::uint8_t trafficClass) {
  if (late_ == nullptr) return trafficClass;
  const std::uint8_t marked = markCongestion(trafficClass);
  if (marked == trafficClass) return trafficClass;
  stats_.count(Tally::MarkedLate);
  late_->told();
  return marked;
}

void Worker::serve(Inlet inlet) {
  late_ = nullptr;
  switch (inlet) {
    case Inlet::Mailbox:
      return fromMailbox();
    case Inlet::Tun:
      return fromTun();
    default:
      return fromSocket(inlet);
  }
}

Frame Worker::slot(std::size_t i) const {
  if (i < kBatch) return {arena_.data() + i * kTunStride, kTunStride, kHeadroom, 0};
  return {arena_.data() + kBatch * kTunStride + (i - kBatch) * kHeldStride, kHeldStride, kHeadroom, 0};
}

void Worker::fromTun() {
  Backlog& backlog = backlogOf(Inlet::Tun);
  std::size_t at = 0;
  std::size_t bytes = 0;
  for (std::size_t budget = kBatchesInARow * kBatch; budget > 0 && bytes < kTunBudget; budget--) {
    const std::size_t before = bytes;
    late_ = backlog.late() ? &backlog : nullptr;
    if (!readTun(at, bytes)) {
      backlog.wasEmpty();
      break;
    }
    backlog.took(bytes - before, monotonicNow);
    at++;
    // Much leaves at once, while it is in the cache; little waits for more that is there already.
    if (at == kBatch || bytes - before > kMaxDatagram) {
      flush();
      at = 0;
    }
  }
  flush();
}

bool Worker::readTun(std::size_t at, std::size_t& bytes) {
  Frame frame = slot(at);
  VirtioHeader header;
  const std::size_t before = options_.headers ? sizeof header : 0;
  const ssize_t got = read(tun_.get(), frame.data() - before, kMaxPacket + before);
  stats_.count(Tally::TunReads);
  if (got < 0 && errno == EBADFD) loseTun();
  if (got <= 0) return false;
  bytes += static_cast<std::size_t>(got);
  if (static_cast<std::size_t>(got) < before) {
    stats_.count(Verdict::OffloadHeader);
    return true;
  }
  frame.length = static_cast<std::size_t>(got) - before;
  std::memcpy(&header, frame.data() - before, before);
  stats_.count(outbound(at, frame, header));
  return true;
}

/// Somebody removed the device. Its descriptor would be "ready" for ever.
void Worker::loseTun() {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, tun_.get(), nullptr);
  shared_.events.note("the overlay's interface was removed: restart hipd");
}

}  // namespace hipd
