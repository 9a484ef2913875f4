// Messages with descriptors between two processes: whole or refused, in time, and only among our own.
#include "handoff.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "check.h"
#include "rights.h"

using namespace hipd;
using How = handoff::Received::How;

namespace {

constexpr int kPatience = 2000;
constexpr uid_t kNobody = 65534;

std::string folder() {
  static const std::string path = std::filesystem::temp_directory_path() / ("hipd-handoff-" + std::to_string(getpid()));
  return path;
}

std::string place() {
  return folder() + "/socket";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

View bytesOf(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string textOf(const handoff::Received& received) {
  return {received.bytes.begin(), received.bytes.end()};
}

std::size_t openDescriptors() {
  std::size_t count = 0;
  for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

struct Pair {
  service::Made listener = handoff::listen(place());
  service::Made there = handoff::connect(place(), kPatience);
  service::Made here = handoff::accept(listener.fd.get(), kPatience);
  Pair() {
    CHECK(listener.error.empty() && there.error.empty() && here.error.empty());
    CHECK(there.fd.valid() && here.fd.valid());
  }
};

/// What nobody of ours would send.
void sendRaw(int fd, std::size_t bytes, const std::vector<int>& fds) {
  const std::vector<std::uint8_t> message(bytes, 'x');
  iovec part{const_cast<std::uint8_t*>(message.data()), message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  Rights<253> rights;
  rights.attach(header, fds);
  CHECK(sendmsg(fd, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes));
}

void passesMessages() {
  Pair pair;
  for (const service::Made* made : {&pair.listener, &pair.there, &pair.here}) {
    CHECK((fcntl(made->fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  }
  const service::Made memory = service::makeSealed("hipd-test", bytesOf("secret"));
  const service::Made ticket = service::makeTicket();
  const int fds[] = {memory.fd.get(), ticket.fd.get()};
  CHECK_EQ(handoff::send(pair.there.fd.get(), bytesOf("first"), fds, kPatience).size(), 0u);
  CHECK_EQ(handoff::send(pair.there.fd.get(), bytesOf("second"), {}, kPatience).size(), 0u);
  const handoff::Received first = handoff::receive(pair.here.fd.get(), kPatience);
  CHECK(first.how == How::Message && textOf(first) == "first");
  CHECK_EQ(first.fds.size(), 2u);
  for (const Fd& fd : first.fds) CHECK((fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
  std::vector<std::uint8_t> read;
  CHECK(service::readSealed(first.fds[0].get(), read).empty());
  CHECK(std::string(read.begin(), read.end()) == "secret");
  // One ticket, by whatever descriptor.
  CHECK(service::takeTicket(first.fds[1].get()).taken);
  CHECK(!service::takeTicket(ticket.fd.get()).taken);
  // Messages stay apart.
  const handoff::Received second = handoff::receive(pair.here.fd.get(), kPatience);
  CHECK(second.how == How::Message && textOf(second) == "second" && second.fds.empty());
  CHECK_EQ(handoff::send(pair.here.fd.get(), bytesOf("back"), {}, kPatience).size(), 0u);
  CHECK(textOf(handoff::receive(pair.there.fd.get(), kPatience)) == "back");
}

void waitsNoLonger() {
  Pair pair;
  const std::uint64_t begin = monotonicNow();
  CHECK(handoff::receive(pair.here.fd.get(), 30).how == How::Late);
  const service::Made nobody = handoff::accept(pair.listener.fd.get(), 30);
  CHECK(!nobody.fd.valid() && nobody.error.empty());
  const std::uint64_t millis = (monotonicNow() - begin) / 1'000'000;
  CHECK(millis >= 60 && millis < 1500);
  // A queue that nobody reads.
  const std::string text(handoff::kMaxMessage, 'x');
  std::string error;
  for (int i = 0; i < 10'000 && error.empty(); i++) error = handoff::send(pair.here.fd.get(), bytesOf(text), {}, 20);
  CHECK(contains(error, "does not listen"));
}

void tellsWhoIsGone() {
  Pair pair;
  pair.there.fd.reset();
  CHECK(handoff::receive(pair.here.fd.get(), kPatience).how == How::Gone);
  CHECK(contains(handoff::send(pair.here.fd.get(), bytesOf("x"), {}, kPatience), "gone"));
  // What was said before is still heard.
  Pair other;
  CHECK(handoff::send(other.there.fd.get(), bytesOf("last"), {}, kPatience).empty());
  other.there.fd.reset();
  CHECK(textOf(handoff::receive(other.here.fd.get(), kPatience)) == "last");
  CHECK(handoff::receive(other.here.fd.get(), kPatience).how == How::Gone);
  // A copy that somebody keeps is an end, too.
  Pair kept;
  const Fd copy(fcntl(kept.there.fd.get(), F_DUPFD_CLOEXEC, 3));
  kept.there.fd.reset();
  CHECK(handoff::receive(kept.here.fd.get(), 10).how == How::Late);
}

void refusesWhatIsTooLarge() {
  Pair pair;
  const Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int end = pair.there.fd.get();
  CHECK(contains(handoff::send(end, {}, {}, kPatience), "1 to 4096"));
  CHECK(contains(handoff::send(end, bytesOf(std::string(4097, 'x')), {}, kPatience), "1 to 4096"));
  const std::vector<int> many(handoff::kMaxDescriptors + 1, null.get());
  CHECK(contains(handoff::send(end, bytesOf("x"), many, kPatience), "161 descriptors"));

  const std::size_t before = openDescriptors();
  const auto refused = [&] {
    const handoff::Received received = handoff::receive(pair.here.fd.get(), kPatience);
    CHECK(received.how == How::Failed && contains(received.error, "larger"));
    CHECK(received.fds.empty() && received.bytes.empty());
    CHECK_EQ(openDescriptors(), before);
  };
  sendRaw(end, 5000, {null.get(), null.get()});
  refused();
  sendRaw(end, 1, std::vector<int>(253, null.get()));
  refused();
  // The largest that may be.
  const std::vector<int> most(handoff::kMaxDescriptors, null.get());
  CHECK(handoff::send(end, bytesOf(std::string(4096, 'x')), most, kPatience).empty());
  const handoff::Received received = handoff::receive(pair.here.fd.get(), kPatience);
  CHECK(received.how == How::Message && received.bytes.size() == 4096);
  CHECK_EQ(received.fds.size(), handoff::kMaxDescriptors);
}

void belongsToItsOwner() {
  const service::Made first = handoff::listen(place());
  CHECK(first.error.empty());
  struct stat status {};
  CHECK(stat(place().c_str(), &status) == 0 && (status.st_mode & 07777) == 0600);
  // What was left there gives way; what is no socket does not.
  CHECK(handoff::listen(place()).error.empty());
  const std::string file = folder() + "/file";
  std::ofstream(file) << "not a socket";
  CHECK(contains(handoff::listen(file).error, "cannot listen"));
  CHECK(std::filesystem::file_size(file) == 12);
  for (const std::string& wrong :
       {std::string("relative"), std::string("@name"), "/" + std::string(107, 'x'), std::string("/tmp/a\0b", 8)}) {
    CHECK(contains(handoff::listen(wrong).error, "not an absolute path"));
    CHECK(contains(handoff::connect(wrong, kPatience).error, "not an absolute path"));
  }
  CHECK(contains(handoff::connect(folder() + "/none", kPatience).error, "nobody is at"));
}

int statusOf(pid_t child);

/// One that hangs is ended, by who waits for it; one that is gone is not looked for.
void endsWhoHangs() {
  int pipes[2];
  CHECK(pipe(pipes) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const service::Made listener = handoff::listen(place());
    const char byte = 'y';
    (void)!write(pipes[1], &byte, 1);
    const service::Made from = handoff::accept(listener.fd.get(), kPatience);
    for (;;) pause();
  }
  char byte = 0;
  CHECK(read(pipes[0], &byte, 1) == 1);
  const service::Made made = handoff::connect(place(), kPatience);
  CHECK(made.error.empty() && handoff::receive(made.fd.get(), 20).how == How::Late);
  CHECK_EQ(handoff::endPeer(made.fd.get()).size(), 0u);
  CHECK(handoff::receive(made.fd.get(), kPatience).how == How::Gone);
  CHECK(WTERMSIG(statusOf(child)) == SIGKILL);
  CHECK_EQ(handoff::endPeer(made.fd.get()).size(), 0u);
  close(pipes[0]);
  close(pipes[1]);
  // Never oneself.
  Pair pair;
  CHECK(contains(handoff::endPeer(pair.there.fd.get()), "not for us"));
}

int statusOf(pid_t child) {
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  return status;
}

/// Neither end talks with another user, whatever the rights of the socket.
void turnsStrangersAway() {
  if (geteuid() != 0) {
    std::puts("  (needs root: strangers are not tried)");
    return;
  }
  const service::Made listener = handoff::listen(place());
  CHECK(chmod(place().c_str(), 0666) == 0);
  const pid_t caller = fork();
  if (caller == 0) {
    if (setgid(kNobody) < 0 || setuid(kNobody) < 0) _exit(2);
    const service::Made made = handoff::connect(place(), kPatience);
    // Root may be at the other end.
    if (!made.error.empty()) _exit(3);
    _exit(handoff::receive(made.fd.get(), kPatience).how == How::Gone ? 0 : 4);
  }
  const service::Made accepted = handoff::accept(listener.fd.get(), kPatience);
  CHECK(!accepted.fd.valid() && contains(accepted.error, "user 65534 is none of ours"));
  CHECK_EQ(statusOf(caller), 0);

  const std::string theirs = folder() + "/theirs";
  CHECK(std::filesystem::create_directory(theirs) && chown(theirs.c_str(), kNobody, kNobody) == 0);
  int pipes[2];
  CHECK(pipe(pipes) == 0);
  const pid_t impostor = fork();
  if (impostor == 0) {
    if (setgid(kNobody) < 0 || setuid(kNobody) < 0) _exit(2);
    const service::Made made = handoff::listen(theirs + "/socket");
    const char byte = made.error.empty() ? 'y' : 'n';
    (void)!write(pipes[1], &byte, 1);
    const service::Made from = handoff::accept(made.fd.get(), kPatience);
    _exit(from.fd.valid() && handoff::receive(from.fd.get(), kPatience).how == How::Gone ? 0 : 3);
  }
  char byte = 0;
  CHECK(read(pipes[0], &byte, 1) == 1 && byte == 'y');
  CHECK(contains(handoff::connect(theirs + "/socket", kPatience).error, "user 65534 is none of ours"));
  CHECK_EQ(statusOf(impostor), 0);
  close(pipes[0]);
  close(pipes[1]);
}

}  // namespace

int main() {
  std::filesystem::create_directory(folder());
  const std::size_t before = openDescriptors();
  passesMessages();
  waitsNoLonger();
  tellsWhoIsGone();
  refusesWhatIsTooLarge();
  belongsToItsOwner();
  turnsStrangersAway();
  endsWhoHangs();
  CHECK_EQ(openDescriptors(), before);
  std::filesystem::remove_all(folder());
}
