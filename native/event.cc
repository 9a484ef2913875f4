#include "event.h"

#include <algorithm>

namespace hipd {

namespace {

template <class T>
void put(std::uint8_t* at, T value) {
  // Little endian is what both of our architectures have.
  std::memcpy(at, &value, sizeof value);
}

std::size_t writeRecord(const Event& event, View payload, std::uint8_t* out) {
  const std::size_t length = (kEventRecord + payload.size() + 3) & ~std::size_t{3};
  std::memset(out, 0, kEventRecord);
  put(out, static_cast<std::uint32_t>(length));
  out[4] = static_cast<std::uint8_t>(event.type);
  put(out + 8, event.spi);
  put(out + 12, event.sequence);
  put(out + 16, event.rttMicros);
  put(out + 20, static_cast<std::uint32_t>(payload.size()));
  std::memcpy(out + 24, event.peer.bytes.data(), event.peer.bytes.size());
  writePath(event.path, out + 40);
  if (!payload.empty()) std::memcpy(out + kEventRecord, payload.data(), payload.size());
  return length;
}

}  // namespace

void writePath(const Path& path, std::uint8_t* out) {
  out[0] = path.carrier == Carrier::Udp ? 0 : 1;
  out[1] = path.local.address.family;
  out[2] = path.remote.address.family;
  out[3] = 0;
  put(out + 4, path.local.port);
  put(out + 6, path.remote.port);
  std::memcpy(out + 8, path.local.address.bytes.data(), 16);
  std::memcpy(out + 24, path.remote.address.bytes.data(), 16);
}

bool readPath(View record, Path& path) {
  if (record.size() != kPathRecord || record[0] > 1) return false;
  const auto family = [](std::uint8_t value) { return value == 0 || value == 4 || value == 6; };
  if (!family(record[1]) || !family(record[2]) || record[2] == 0) return false;
  if (record[1] != 0 && record[1] != record[2]) return false;
  path.carrier = record[0] == 0 ? Carrier::Udp : Carrier::None;
  path.local.address.family = record[1];
  path.remote.address.family = record[2];
  std::memcpy(&path.local.port, record.data() + 4, 2);
  std::memcpy(&path.remote.port, record.data() + 6, 2);
  std::memcpy(path.local.address.bytes.data(), record.data() + 8, 16);
  std::memcpy(path.remote.address.bytes.data(), record.data() + 24, 16);
  if (path.carrier == Carrier::None) path.local.port = path.remote.port = 0;
  return true;
}

void EventQueue::setAddresses(const std::vector<netlink::LocalAddress>& addresses) {
  std::string list;
  for (std::size_t i = 0; i < std::min(addresses.size(), kMaxAddresses); i++) {
    if (i > 0) list += '\n';
    list += netlink::text(addresses[i]);
  }
  {
    const std::lock_guard lock(mutex_);
    addresses_ = std::move(list);
    addressesChanged_ = true;
  }
  signal();
}

std::size_t EventQueue::drain(Bytes out, std::size_t max) {
  // Read as well as written: what was pushed before a signal that is taken back here is seen below.
  signalled_.exchange(false);
  std::size_t at = 0;
  std::size_t count = 0;
  if (max > 0) {
    const std::lock_guard lock(mutex_);
    if (addressesChanged_) {
      Event event;
      event.type = EventType::Addresses;
      at +=
          writeRecord(event, {reinterpret_cast<const std::uint8_t*>(addresses_.data()), addresses_.size()}, out.data());
      addressesChanged_ = false;
      count++;
    }
  }
  const auto write = [&](const Event& event) {
    at += writeRecord(event, {event.bytes.data(), event.length}, out.data() + at);
  };
  while (count < max && at + kEventRecord + kMaxControl <= out.size() && ring_.pop(write)) count++;
  if (ring_.size() > 0) signal();
  return at;
}

}  // namespace hipd
