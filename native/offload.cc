#include "offload.h"

namespace hipd {

std::string text(const Offloads& offloads) {
  std::string names;
  const auto add = [&](bool on, const char* name) {
    if (!on) return;
    if (!names.empty()) names += ' ';
    names += name;
  };
  add(offloads.tso, "tso");
  add(offloads.uso, "uso");
  add(offloads.gso, "gso");
  add(offloads.gro, "gro");
  return names.empty() ? "none" : names;
}

}  // namespace hipd
