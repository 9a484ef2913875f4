#include "handoff.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "rights.h"

namespace hipd::handoff {

namespace {

std::string failed(const std::string& what) {
  return what + ": " + errorText(errno);
}

/// A moment by which something must have happened.
class Limit {
 public:
  explicit Limit(int millis) : end_(monotonicNow() + static_cast<std::uint64_t>(std::max(millis, 0)) * 1'000'000) {}
  /// Milliseconds that are left, rounded up.
  int left() const {
    const std::uint64_t now = monotonicNow();
    return now >= end_ ? 0 : static_cast<int>((end_ - now + 999'999) / 1'000'000);
  }

 private:
  const std::uint64_t end_;
};

/// False when the time is over.
bool ready(int fd, short what, const Limit& limit) {
  for (;;) {
    const int left = limit.left();
    pollfd one{fd, what, 0};
    const int count = poll(&one, 1, left);
    // Errors show in the call that follows.
    if (count > 0 || (count < 0 && errno != EINTR)) return true;
    if (left == 0) return false;
  }
}

std::string addressOf(const std::string& path, sockaddr_un& address) {
  address.sun_family = AF_UNIX;
  if (path.size() < 2 || path[0] != '/' || path.size() >= sizeof address.sun_path ||
      path.find('\0') != std::string::npos) {
    return "\"" + path + "\" is not an absolute path of a Unix socket";
  }
  path.copy(address.sun_path, path.size());
  return "";
}

Fd open(int flags = 0) {
  return Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
}

/// "" or who the other end is, if it is none of ours.
std::string stranger(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return failed("cannot see who is there");
  if (peer.uid == 0 || peer.uid == geteuid()) return "";
  return "user " + std::to_string(peer.uid) + " is none of ours";
}

}  // namespace

service::Made listen(const std::string& path) {
  service::Made made;
  sockaddr_un address{};
  made.error = addressOf(path, address);
  if (!made.error.empty()) return made;
  // Who has come may be gone when we look.
  Fd fd = open(SOCK_NONBLOCK);
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode)) unlink(path.c_str());
  // Before it has a name: it never exists with wider rights.
  if (!fd.valid() || fchmod(fd.get(), 0600) < 0 ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
      ::listen(fd.get(), kBacklog) < 0) {
    made.error = failed("cannot listen at " + path);
    return made;
  }
  made.fd = std::move(fd);
  return made;
}

service::Made accept(int listener, int millis) {
  service::Made made;
  const Limit limit(millis);
  while (ready(listener, POLLIN, limit)) {
    Fd fd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (fd.valid()) {
      made.error = stranger(fd.get());
      if (made.error.empty()) made.fd = std::move(fd);
      return made;
    }
    if (errno == EINTR || errno == EAGAIN || errno == ECONNABORTED) continue;
    made.error = failed("cannot accept");
    return made;
  }
  return made;
}

service::Made connect(const std::string& path, int millis) {
  service::Made made;
  sockaddr_un address{};
  made.error = addressOf(path, address);
  if (!made.error.empty()) return made;
  Fd fd = open();
  const timeval patience{millis / 1000, (millis % 1000) * 1000};
  if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0 ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    made.error = failed("nobody is at " + path);
    return made;
  }
  made.error = stranger(fd.get());
  if (made.error.empty()) made.fd = std::move(fd);
  return made;
}

std::string send(int fd, View message, std::span<const int> fds, int millis) {
  // An empty one would look like the end.
  if (message.empty() || message.size() > kMaxMessage) return "a message has 1 to 4096 bytes";
  if (fds.size() > kMaxDescriptors) return std::to_string(fds.size()) + " descriptors are too many for one message";
  iovec part{const_cast<std::uint8_t*>(message.data()), message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  Rights<kMaxDescriptors> rights;
  rights.attach(header, fds);
  const Limit limit(millis);
  while (ready(fd, POLLOUT, limit)) {
    if (sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return "";
    if (errno == EPIPE || errno == ECONNRESET) return "the other end is gone";
    if (errno != EINTR && errno != EAGAIN) return failed("cannot send");
  }
  return "the other end does not listen";
}

std::string endPeer(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return failed("cannot see who is there");
  // Its number may be another one's, once it is gone.
  pollfd one{fd, 0, 0};
  if (poll(&one, 1, 0) < 0 || (one.revents & (POLLHUP | POLLERR)) != 0) return "";
  if (peer.pid <= 1 || peer.pid == getpid()) return "process " + std::to_string(peer.pid) + " is not for us to end";
  return kill(peer.pid, SIGKILL) < 0 && errno != ESRCH ? failed("cannot end process " + std::to_string(peer.pid)) : "";
}

Received receive(int fd, int millis) {
  Received result;
  const Limit limit(millis);
  while (ready(fd, POLLIN, limit)) {
    // One more than may be, so that a message beyond the limit shows.
    result.bytes.resize(kMaxMessage + 1);
    iovec part{result.bytes.data(), result.bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    Rights<kMaxDescriptors> rights;
    rights.room(header);
    const ssize_t got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    result.bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) {
      result.how = Received::How::Gone;
      return result;
    }
    if (got < 0) {
      result.error = failed("cannot receive");
      return result;
    }
    result.fds = Rights<kMaxDescriptors>::taken(header);
    if (result.bytes.size() > kMaxMessage || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
      result.fds.clear();
      result.bytes.clear();
      result.error = "a message is larger than it may be, or its descriptors did not fit";
      return result;
    }
    result.how = Received::How::Message;
    return result;
  }
  result.bytes.clear();
  result.how = Received::How::Late;
  return result;
}

}  // namespace hipd::handoff
