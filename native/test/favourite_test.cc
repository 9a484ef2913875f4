// Who gets a socket of its own, and until when: a real plane, and peers that send what they like.
#include "../favourite.h"

#include <fcntl.h>
#include <sys/prctl.h>

#include "namespace.h"
#include "sealed.h"

using namespace hipd;
using namespace hipd::test;

namespace {

constexpr Endpoint kFirst{{4, {127, 0, 0, 1}}, kPortA};
constexpr Endpoint kSecond{{4, {127, 0, 0, 9}}, kPortA};
/// More than a vote needs, and less than a message holds.
constexpr int kMessage = 40;
constexpr std::chrono::seconds kPatience{10};

struct TwoPeers : SealedScene {
  Sender first{kFirst};
  Sender second{kSecond};
  std::uint64_t all = 0;
  const Clock::time_point until = Clock::now() + kPatience;

  static void sendMessage(const Sender& sender, SealingPeer& peer, bool forged = false) {
    std::vector<Octets> message;
    for (int i = 0; i < kMessage; i++) {
      message.push_back(peer.packet(11));
      if (forged) message.back()[100] ^= 1;
    }
    sender.send(message);
  }
  /// One message of one of them, which arrives.
  void firstSends() { sends(first, a); }
  void secondSends() { sends(second, c); }
  /// How many favourites there were.
  std::uint64_t favourites() const { return b.count("peer_sockets_total"); }
  void favourFirst() {
    while (favourites() == 0 && Clock::now() < until) firstSends();
    CHECK_EQ(favourites(), 1u);
  }

 private:
  void sends(const Sender& sender, SealingPeer& peer) {
    sendMessage(sender, peer);
    all += kMessage;
    CHECK(b.reaches("esp_rx_packets_total", all));
  }
};

/// Whether this is a UDP socket of that peer.
bool connectedTo(int fd, const Endpoint& peer) {
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_DGRAM) return false;
  SocketAddress name;
  name.length = sizeof name.v6;
  return getpeername(fd, &name.any, &name.length) == 0 && name.endpoint() == peer;
}

void onlyPeersVote() {
  TwoPeers scene;
  for (std::uint64_t i = 1; i <= 4 * kFavouriteVotes; i++) {
    TwoPeers::sendMessage(scene.first, scene.a, true);
    CHECK(scene.b.reaches("drop_esp_auth_total", i * kMessage));
  }
  CHECK_EQ(scene.favourites(), 0u);
  std::uint64_t rounds = 0;
  for (; scene.favourites() == 0 && rounds < 4 * kFavouriteVotes; rounds++) scene.firstSends();
  CHECK(rounds >= kFavouriteVotes);
  CHECK_EQ(scene.favourites(), 1u);
  passed("only authenticated packets make a favourite");
}

/// Another takes the place of a favourite that is silent, and the former one goes on by the socket of all.
void silenceEndsIt() {
  TwoPeers scene;
  scene.favourFirst();
  // As long as it sends now and then, it keeps it.
  constexpr std::chrono::milliseconds kRest(kFavouriteRest);
  const auto keeps = Clock::now() + 2 * kRest;
  auto silent = Clock::now();
  while (Clock::now() < keeps) {
    silent = Clock::now();
    scene.firstSends();
    for (std::uint32_t i = 0; i < kFavouriteVotes / 8; i++) scene.secondSends();
    if (Clock::now() - silent < kRest / 2) continue;
    std::puts("  skipped: who sends now and then stays the favourite: this machine stood still for too long");
    return;
  }
  CHECK_EQ(scene.favourites(), 1u);
  while (scene.favourites() == 1 && Clock::now() < scene.until) scene.secondSends();
  CHECK_EQ(scene.favourites(), 2u);
  CHECK(Clock::now() - silent > kRest / 2);
  for (int i = 0; i < 10; i++) {
    scene.firstSends();
    scene.secondSends();
  }
  CHECK_EQ(scene.favourites(), 2u);
  CHECK_EQ(scene.b.count("drop_esp_replay_total"), 0u);
  passed("a silent favourite makes room");
}

/// The service manager's store may hold one for a while.
void copiesTakeNothing() {
  TwoPeers scene;
  scene.favourFirst();
  Fd copy;
  for (int fd = 3; fd < 1024 && !copy.valid(); fd++) {
    if (connectedTo(fd, kFirst)) copy = Fd(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  }
  CHECK(copy.valid());
  while (connectedTo(copy.get(), kFirst) && Clock::now() < scene.until) scene.secondSends();
  CHECK(!connectedTo(copy.get(), kFirst));
  scene.firstSends();
  // It is not watched any more, either: the worker sleeps although something waits there.
  const SocketAddress own(Endpoint{{4, {127, 0, 0, 1}}, kPortB});
  CHECK_EQ(sendto(copy.get(), "x", 1, 0, &own.any, own.length), 1);
  const std::uint64_t calls = scene.b.count("receive_calls_total");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(scene.b.count("receive_calls_total") < calls + 10);
  passed("a copy of a closed socket takes nothing");
}

}  // namespace

int main() {
  if (!isolated()) return 0;
  onlyPeersVote();
  silenceEndsIt();
  copiesTakeNothing();
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);  // the leak checker looks into its own process
}
