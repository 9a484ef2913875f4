#include "verdict.h"

namespace hipd {

std::string_view verdictName(Verdict verdict) {
  switch (verdict) {
#define HIPD_VERDICT_NAME(id, name, text) \
  case Verdict::id:                       \
    return name;
    HIPD_VERDICTS(HIPD_VERDICT_NAME)
#undef HIPD_VERDICT_NAME
  }
  return "unknown";
}

std::string_view verdictText(Verdict verdict) {
  switch (verdict) {
#define HIPD_VERDICT_TEXT(id, name, text) \
  case Verdict::id:                       \
    return text;
    HIPD_VERDICTS(HIPD_VERDICT_TEXT)
#undef HIPD_VERDICT_TEXT
  }
  return "unknown";
}

bool isDrop(Verdict verdict) {
  return verdictName(verdict).starts_with("drop_");
}

}  // namespace hipd
