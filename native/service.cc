#include "service.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

#include "rights.h"

namespace hipd::service {

namespace {

// Newer than the C library's headers may be (linux/memfd.h).
constexpr unsigned kNoExecSeal = 0x8;

constexpr int kFinal = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
constexpr int kSized = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

std::string failed(const char* what) {
  return std::string(what) + ": " + errorText(errno);
}

Fd memory(const std::string& name) {
  Fd fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | kNoExecSeal));
  if (!fd.valid() && errno == EINVAL) fd = Fd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  return fd;
}

/// Its size, or -1 and the reason when it is not a memfd with these seals.
off_t sizeOf(int fd, int seals, std::string& error) {
  struct stat status {};
  if (fstat(fd, &status) < 0) {
    error = failed("the descriptor is not open");
    return -1;
  }
  const int found = fcntl(fd, F_GET_SEALS);
  if (found < 0 || (found & seals) != seals) {
    error = found < 0 ? "the descriptor is not a memfd" : "the memfd is not sealed: somebody could still change it";
    return -1;
  }
  return status.st_size;
}

std::size_t page() {
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

std::string notify(const std::string& socket, std::string_view message, const std::vector<int>& fds) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() < 2 || (socket[0] != '/' && socket[0] != '@') || socket.size() >= sizeof address.sun_path) {
    return "\"" + socket + "\" is not the address of a Unix socket";
  }
  if (message.empty()) return "a message to the service manager must not be empty";
  if (fds.size() > kMaxPassed) return "at most " + std::to_string(kMaxPassed) + " descriptors fit one message";
  socket.copy(address.sun_path, socket.size());
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size());
  if (socket[0] == '@') {
    address.sun_path[0] = '\0';
  } else {
    length++;
  }
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return failed("cannot make a Unix socket");
  const timeval patience{kNotifyPatience / 1000, (kNotifyPatience % 1000) * 1000};
  (void)setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);

  iovec part{const_cast<char*>(message.data()), message.size()};
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen = length;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  Rights<kMaxPassed> rights;
  rights.attach(header, fds);
  ssize_t sent = -1;
  do {
    sent = sendmsg(fd.get(), &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? failed(("cannot tell the service manager at " + socket).c_str()) : "";
}

Made makeSealed(const std::string& name, View bytes) {
  Made made;
  if (bytes.size() > kMaxSealed) {
    made.error = std::to_string(bytes.size()) + " bytes are too many for a sealed memfd";
    return made;
  }
  Fd fd = memory(name);
  if (!fd.valid()) {
    made.error = failed("cannot make a memfd");
    return made;
  }
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t wrote = write(fd.get(), bytes.data() + at, bytes.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      made.error = failed("cannot fill a memfd");
      return made;
    }
    at += static_cast<std::size_t>(wrote);
  }
  if (fcntl(fd.get(), F_ADD_SEALS, kFinal) < 0) {
    made.error = failed("cannot seal a memfd");
    return made;
  }
  made.fd = std::move(fd);
  return made;
}

std::string readSealed(int fd, std::vector<std::uint8_t>& bytes) {
  std::string error;
  const off_t size = sizeOf(fd, kFinal, error);
  if (size < 0) return error;
  if (static_cast<std::uint64_t>(size) > kMaxSealed)
    return "the memfd has " + std::to_string(size) + " bytes: too many";
  bytes.resize(static_cast<std::size_t>(size));
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t got = pread(fd, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got < 0 ? failed("cannot read the memfd") : "the memfd is shorter than it says";
    at += static_cast<std::size_t>(got);
  }
  return "";
}

Made makeTicket() {
  Made made;
  Fd fd = memory("hipd-ticket");
  if (!fd.valid() || ftruncate(fd.get(), static_cast<off_t>(page())) < 0 || fcntl(fd.get(), F_ADD_SEALS, kSized) < 0) {
    made.error = failed("cannot make a ticket");
    return made;
  }
  made.fd = std::move(fd);
  return made;
}

Taken takeTicket(int fd) {
  static_assert(std::atomic_ref<std::uint32_t>::is_always_lock_free);
  Taken result;
  const off_t size = sizeOf(fd, kSized, result.error);
  if (size < 0) return result;
  if (static_cast<std::size_t>(size) != page()) {
    result.error = "a ticket has one page, this has " + std::to_string(size) + " bytes";
    return result;
  }
  void* mapped = mmap(nullptr, page(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) {
    result.error = failed("cannot look at the ticket");
    return result;
  }
  result.taken = std::atomic_ref<std::uint32_t>(*static_cast<std::uint32_t*>(mapped)).exchange(1) == 0;
  munmap(mapped, page());
  return result;
}

std::string closeOnExec(int fd) {
  return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? failed(("descriptor " + std::to_string(fd)).c_str()) : "";
}

std::string closeFd(int fd) {
  // Standard input and output are not ours to close.
  if (fd <= STDERR_FILENO) return "descriptor " + std::to_string(fd) + " stays open";
  return close(fd) < 0 && errno != EINTR ? failed(("descriptor " + std::to_string(fd)).c_str()) : "";
}

}  // namespace hipd::service
