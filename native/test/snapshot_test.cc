// Tables that are read while they change, and when removed values are freed.
#include "snapshot.h"

#include <chrono>
#include <map>
#include <random>
#include <thread>

#include "check.h"

using hipd::Epochs;
using hipd::Table;

namespace {

struct Value {
  std::uint32_t key;
  std::uint32_t twice;
  static std::atomic<int> alive;
  explicit Value(std::uint32_t k) : key(k), twice(2 * k) { alive++; }
  ~Value() {
    twice = 1;  // a reader that comes too late sees nonsense, even without a sanitizer
    alive--;
  }
};
std::atomic<int> Value::alive{0};

struct Traits {
  using Key = std::uint32_t;
  static const std::uint32_t& key(const Value& value) { return value.key; }
  // Bad on purpose: long probe chains.
  static std::uint64_t hash(const std::uint32_t& key) { return key % 7; }
};
struct GoodTraits {
  using Key = std::uint32_t;
  static const std::uint32_t& key(const Value& value) { return value.key; }
  static std::uint64_t hash(const std::uint32_t& key) { return hipd::keyedHash(key, 0); }
};

/// Any sequence of changes leaves the table equal to a std::map.
void agreesWithMap() {
  Epochs epochs;
  Table<Value, Traits> table(epochs);
  std::map<std::uint32_t, Value*> model;
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; i++) {
    const std::uint32_t key = static_cast<std::uint32_t>(random() % 200);
    if (random() % 3 != 0) {
      auto* value = new Value(key);
      Value* before = table.insert(value);
      CHECK(before == (model.contains(key) ? model[key] : nullptr));
      if (before != nullptr) epochs.retire(before);
      model[key] = value;
    } else {
      Value* gone = table.erase(key);
      CHECK(gone == (model.contains(key) ? model[key] : nullptr));
      if (gone != nullptr) epochs.retire(gone);
      model.erase(key);
    }
    CHECK_EQ(table.size(), model.size());
    const std::uint32_t probe = static_cast<std::uint32_t>(random() % 200);
    CHECK(table.find(probe) == (model.contains(probe) ? model[probe] : nullptr));
  }
  std::size_t seen = 0;
  table.each([&](Value& value) {
    CHECK(model.at(value.key) == &value);
    seen++;
  });
  CHECK_EQ(seen, model.size());
  for (const auto& [key, value] : model) delete value;
  epochs.reclaim();
  CHECK_EQ(Value::alive.load(), 0);
}

/// Nothing is freed under a reader, everything is freed once it has moved on or sleeps.
void freesAfterQuiescentPoint() {
  Epochs epochs;
  const std::size_t reader = epochs.join();
  epochs.online(reader);
  auto* first = new Value(1);
  epochs.retire(first);
  CHECK_EQ(epochs.reclaim(), 1u);
  CHECK_EQ(first->twice, 2u);
  epochs.online(reader);
  CHECK_EQ(epochs.reclaim(), 0u);
  epochs.retire(new Value(2));
  CHECK_EQ(Value::alive.load(), 1);
  epochs.offline(reader);
  CHECK_EQ(epochs.reclaim(), 0u);
  CHECK_EQ(Value::alive.load(), 0);
}

/// Readers follow pointers while a writer replaces and removes everything again and again.
void readersAndWriter() {
  Epochs epochs;
  Table<Value, GoodTraits> table(epochs);
  constexpr std::uint32_t kKeys = 300;
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; r++) {
    readers.emplace_back([&] {
      const std::size_t reader = epochs.join();
      std::uint64_t found = 0;
      while (!stop.load()) {
        epochs.online(reader);
        for (std::uint32_t key = 0; key < kKeys; key++) {
          const Value* value = table.find(key);
          if (value == nullptr) continue;
          CHECK_EQ(value->twice, 2 * key);
          found++;
        }
        table.each([](const Value& value) { CHECK_EQ(value.twice, 2 * value.key); });
        epochs.offline(reader);
      }
      CHECK(found > 0);
    });
  }
  for (int round = 0; round < 300; round++) {
    for (std::uint32_t key = 0; key < kKeys; key++) {
      Value* before = table.insert(new Value(key));
      if (before != nullptr) epochs.retire(before);
      if (round % 3 == 2) epochs.retire(table.erase(key));
    }
  }
  for (std::uint32_t key = 0; key < kKeys; key++) {
    Value* before = table.insert(new Value(key));
    if (before != nullptr) epochs.retire(before);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // let each reader see something
  stop.store(true);
  for (std::thread& reader : readers) reader.join();
  for (std::uint32_t key = 0; key < kKeys; key++) epochs.retire(table.erase(key));
  CHECK_EQ(epochs.reclaim(), 0u);
  CHECK_EQ(Value::alive.load(), 0);
}

/// 100,000 insertions one by one stay cheap: the work for each does not grow with the table.
void growthIsLinear() {
  Epochs epochs;
  Table<Value, GoodTraits> table(epochs);
  const auto insert = [&](std::uint32_t from, std::uint32_t to) {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint32_t key = from; key < to; key++) table.insert(new Value(key));
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const double first = insert(0, 10'000);
  const double rest = insert(10'000, 100'000);
  // Nine times as many; quadratic growth would cost 99 times as much.
  CHECK(rest < 45 * first + 0.5);
  CHECK_EQ(table.size(), 100'000u);
  table.each([](Value& value) { delete &value; });
}

}  // namespace

int main() {
  agreesWithMap();
  freesAfterQuiescentPoint();
  readersAndWriter();
  growthIsLinear();
}
