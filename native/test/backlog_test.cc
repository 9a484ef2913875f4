// When packets are marked, and how.
#include "../backlog.h"

#include "check.h"

using namespace hipd;

namespace {

void countsFromEmptyToEmpty() {
  Backlog backlog;
  CHECK(!backlog.tooLong());
  backlog.took(kLongBacklog - 1);
  CHECK(!backlog.tooLong());
  backlog.took(1);
  CHECK(backlog.tooLong());
  backlog.took(SIZE_MAX / 4);
  CHECK(backlog.tooLong());
  backlog.wasEmpty();
  CHECK(!backlog.tooLong());
  // A flow that leaves pauses is never late, however much it sends.
  for (int i = 0; i < 100; i++) {
    backlog.took(kLongBacklog / 2);
    backlog.wasEmpty();
    CHECK(!backlog.tooLong());
  }
}

/// RFC 3168 5: ECT(0) and ECT(1) become CE, not-ECT stays, and DSCP is not touched.
void marksOnlyWhoKnows() {
  CHECK_EQ(markCongestion(0b10111000), 0b10111000);
  CHECK_EQ(markCongestion(0b10111001), 0b10111011);
  CHECK_EQ(markCongestion(0b10111010), 0b10111011);
  CHECK_EQ(markCongestion(0b10111011), 0b10111011);
}

}  // namespace

int main() {
  countsFromEmptyToEmpty();
  marksOnlyWhoKnows();
}
