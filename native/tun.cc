#include "tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "virtio.h"

namespace hipd {

namespace {

// Newer than the C library's headers may be (linux/if_tun.h).
constexpr unsigned kTunUso4 = 0x20;
constexpr unsigned kTunUso6 = 0x40;
constexpr unsigned kTso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
constexpr unsigned kUso = kTso | kTunUso4 | kTunUso6;

ifreq request(const std::string& name, int flags) {
  ifreq interface {};
  std::memcpy(interface.ifr_name, name.data(), std::min<std::size_t>(name.size(), IFNAMSIZ - 1));
  interface.ifr_flags = static_cast<short>(flags);
  return interface;
}

std::string hint(int error, const std::string& name) {
  switch (error) {
    case EPERM:
      return "; hipd needs CAP_NET_ADMIN";
    case EACCES:
      return "; hipd needs CAP_NET_ADMIN and a /dev/net/tun that its user may open (mode 0666)";
    case ENOENT:
    case ENODEV:
      return "; load the kernel module \"tun\"";
    case EBUSY:
      return "; is another hipd using " + name + "?";
    default:
      return "";
  }
}

/// One queue; an invalid descriptor and errno's value in `error` when refused.
Fd attach(const std::string& name, int flags, int& error) {
  Fd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) {
    error = errno;
    return fd;
  }
  ifreq interface = request(name, flags);
  // Without an owner every user of the host could read from a device that stays, or remove it.
  if (ioctl(fd.get(), TUNSETIFF, &interface) < 0 || ioctl(fd.get(), TUNSETOWNER, geteuid()) < 0 ||
      ioctl(fd.get(), TUNSETPERSIST, 1) < 0) {
    error = errno;
    fd.reset();
  }
  return fd;
}

/// Asks for one set of offloads after the other, best first.
Offloads negotiate(int fd, const Offloads& wanted) {
  Offloads granted{false, false, wanted.gso, wanted.gro};
  // USO leaves checksums to us, and so goes with them.
  if (wanted.uso && wanted.tso && ioctl(fd, TUNSETOFFLOAD, kUso) == 0) {
    granted.tso = granted.uso = true;
  } else if (wanted.tso && ioctl(fd, TUNSETOFFLOAD, kTso) == 0) {
    granted.tso = true;
  } else {
    // A device that an earlier run left may still have its offloads.
    (void)ioctl(fd, TUNSETOFFLOAD, 0);
  }
  return granted;
}

bool useHeaders(int fd) {
  int size = sizeof(VirtioHeader);
  return ioctl(fd, TUNSETVNETHDRSZ, &size) == 0;
}

}  // namespace

TunQueues openTun(const std::string& name, std::size_t queues, const Offloads& wanted) {
  TunQueues result;
  if (name.empty() || name.size() >= IFNAMSIZ || name.find('/') != std::string::npos) {
    result.error = "\"" + name + "\" is not an interface name";
    return result;
  }
  if (queues < 1 || queues > kMaxQueues) {
    result.error = "a TUN device has 1 to " + std::to_string(kMaxQueues) + " queues";
    return result;
  }
  result.headers = wanted.tso;
  const int flags = IFF_TUN | IFF_NO_PI | (result.headers ? IFF_VNET_HDR : 0) | (queues > 1 ? IFF_MULTI_QUEUE : 0);
  for (std::size_t i = 0; i < queues; i++) {
    int error = 0;
    Fd fd = attach(name, flags, error);
    // A device that an earlier run left with the other kind of queues cannot be taken over: it is made anew.
    if (!fd.valid() && error == EINVAL && i == 0 && deleteTun(name).empty()) fd = attach(name, flags, error);
    if (!fd.valid()) {
      result.fds.clear();
      result.error = "cannot open TUN device " + name + " (/dev/net/tun): " + errorText(error) + hint(error, name);
      return result;
    }
    if (result.headers && !useHeaders(fd.get())) {
      result.fds.clear();
      result.error =
          "TUN device " + name + " refuses virtio-net headers: " + errorText(errno) + "; turn the offload tso off";
      return result;
    }
    if (i == 0) result.offloads = negotiate(fd.get(), wanted);
    result.fds.push_back(std::move(fd));
  }
  result.index = static_cast<int>(if_nametoindex(name.c_str()));
  return result;
}

std::string adoptTun(int fd, const std::string& name, bool headers, bool several, const Offloads& granted) {
  const std::string wrong = "a descriptor that was handed over is not a queue of TUN device " + name;
  ifreq interface {};
  if (ioctl(fd, TUNGETIFF, &interface) < 0) return wrong + ": " + errorText(errno);
  if (name != std::string(interface.ifr_name, strnlen(interface.ifr_name, IFNAMSIZ))) return wrong;
  constexpr unsigned looked = IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_DETACH_QUEUE;
  const unsigned wanted =
      IFF_TUN | IFF_NO_PI | (headers ? unsigned{IFF_VNET_HDR} : 0) | (several ? unsigned{IFF_MULTI_QUEUE} : 0);
  if ((static_cast<unsigned short>(interface.ifr_flags) & looked) != wanted) return wrong + " of the kind that it was";
  int size = 0;
  if (headers && (ioctl(fd, TUNGETVNETHDRSZ, &size) < 0 || size != sizeof(VirtioHeader))) {
    return wrong + " with virtio-net headers of " + std::to_string(sizeof(VirtioHeader)) + " bytes";
  }
  if (ioctl(fd, TUNSETOFFLOAD, granted.uso ? kUso : (granted.tso ? kTso : 0)) < 0) {
    return "TUN device " + name + " refuses the offloads that it had: " + errorText(errno);
  }
  if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0) return wrong + ": " + errorText(errno);
  return "";
}

std::string deleteTun(const std::string& name) {
  if (if_nametoindex(name.c_str()) == 0) return "";
  int error = 0;
  for (const int queueFlag : {0, IFF_MULTI_QUEUE}) {
    Fd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (!fd.valid()) return "cannot open /dev/net/tun: " + errorText(errno) + hint(errno, name);
    ifreq interface = request(name, IFF_TUN | IFF_NO_PI | queueFlag);
    if (ioctl(fd.get(), TUNSETIFF, &interface) == 0) {
      if (ioctl(fd.get(), TUNSETPERSIST, 0) == 0) return "";
    }
    error = errno;
    if (error != EINVAL) break;
  }
  return "cannot remove " + name + ": " + errorText(error) + hint(error, name);
}

}  // namespace hipd
