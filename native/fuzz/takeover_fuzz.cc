// What a predecessor handed over, of any content: as it is, and as a body behind a head that fits. What is read builds
// tables, and is written again as something that reads the same.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../takeover.h"

using namespace hipd;

namespace {

struct Tables {
  Hold hold;
  Epochs epochs;
  Routes routes{epochs, hold, Lsi{}};
};

void build(const SavedPlane& plane) {
  Tables tables;
  for (const SavedPeer& peer : plane.peers) {
    if (!tables.routes.restore(peer)) return;
  }
  std::vector<SavedPeer> again;
  tables.routes.save(again);
  if (again.size() != plane.peers.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t now = UINT64_MAX / 2;
  SavedPlane plane;
  if (decode({data, size}, plane, now).empty()) build(plane);
  // The corpus holds whole ones.
  const bool whole = size >= kTakeoverHead && std::memcmp(data, kTakeoverMagic.data(), kTakeoverMagic.size()) == 0;
  std::vector<std::uint8_t> sealed(whole ? size : kTakeoverHead + size);
  if (size != 0) std::memcpy(sealed.data() + (whole ? 0 : kTakeoverHead), data, size);
  sealTakeover(sealed);
  SavedPlane read;
  if (!decode(sealed, read, now).empty()) return 0;
  const std::vector<std::uint8_t> written = encode(read);
  SavedPlane again;
  if (!decode(written, again, now).empty() || encode(again) != written) std::abort();
  build(read);
  return 0;
}
