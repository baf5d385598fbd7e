#include "driver/tuned_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/hash.h"
#include "driver/quarantine.h"
#include "driver/subject.h"

namespace peri::driver {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using tune::Record;
using tune::Status;

// A record whose winner takes `seconds` and is found by a search of `elapsed` seconds.
Record record_with(double seconds, double elapsed, i64 block) {
  Record r;
  r.kernel = "softmax";
  r.kernel_hash = hash_hex("text");
  r.structure_hash = hash_hex("structure");
  r.specialization = "static x=f32[4:1]";
  r.target = "x86-64-v3";
  r.fingerprint = "machine";
  r.compiler = "test";
  r.key = tune::key_of(r);
  r.started = "2026-11-25T06:01:25Z";
  r.elapsed = elapsed;
  r.trials.resize(1);
  r.trials[0].config = {{"block_sizes", {block}}};
  r.trials[0].seconds = seconds;
  r.trials[0].low = 0.99 * seconds;
  r.trials[0].high = 1.01 * seconds;
  return r;
}

class TunedStoreTest : public testing::Test {
 protected:
  TunedStoreTest() : root_(fs::temp_directory_path() / ("peri-store-" + std::to_string(getpid()))) {
    settings_.cache_dir = (root_ / "user").string();
  }
  ~TunedStoreTest() override { fs::remove_all(root_); }

  TunedStore make() {
    return TunedStore(settings_, [this](const Error& e) { codes_.push_back(e.code); });
  }

  fs::path root_;
  Settings settings_;
  std::vector<std::string> codes_;
};

TEST_F(TunedStoreTest, KeepsEntryAndRecord) {
  Record record = record_with(1e-3, 10, 8);
  ASSERT_TRUE(make().put(record));
  auto entry = make().find(record.key);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->config, record.trials[0].config);
  EXPECT_EQ(entry->seconds, 1e-3);
  EXPECT_EQ(entry->kernel, "softmax");
  auto back = make().record_of(*entry);
  ASSERT_TRUE(back);
  EXPECT_EQ(print_record(*back), print_record(record));
  EXPECT_THAT(codes_, IsEmpty());
}

TEST_F(TunedStoreTest, ABetterResultIsNotLostToALaterOne) {
  Record good = record_with(1e-3, 10, 8), slow = record_with(2e-3, 100, 16);
  ASSERT_TRUE(make().put(good));
  auto kept = make().put(slow);
  ASSERT_TRUE(kept);
  ASSERT_TRUE(kept->has_value());
  EXPECT_EQ((*kept)->config, good.trials[0].config);
  EXPECT_EQ(make().find(good.key)->config, good.trials[0].config);
  Record fast = record_with(0.5e-3, 1, 4);
  EXPECT_EQ(make().put(fast)->has_value(), false);
  EXPECT_EQ(make().find(good.key)->config, fast.trials[0].config);
}

TEST_F(TunedStoreTest, WhatWasNotTimedChangesNothing) {
  Record timed = record_with(1e-3, 10, 8);
  timed.sizes = {{"n", "x", 0, 4}};
  ASSERT_TRUE(make().put(timed));
  const std::string before = *make().cache().get(timed.key);
  Record untimed = record_with(tune::kFailed, 20, 16);
  untimed.sizes = {{"n", "x", 0, 8}};
  auto put = make().put(untimed);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, "not-timed");
  EXPECT_EQ(*make().cache().get(timed.key), before);
  EXPECT_THAT(codes_, IsEmpty());
}

TEST_F(TunedStoreTest, WithinTheNoiseTheLongerSearchCounts) {
  ASSERT_TRUE(make().put(record_with(1e-3, 10, 8)));
  EXPECT_TRUE(make().put(record_with(0.99e-3, 5, 16))->has_value());
  EXPECT_FALSE(make().put(record_with(1.01e-3, 10, 32))->has_value());
}

// The same search measured both, so its word counts even where its numbers are larger.
TEST_F(TunedStoreTest, ASearchThatTriedTheOtherConfigReplacesIt) {
  ASSERT_TRUE(make().put(record_with(1e-3, 10, 8)));
  Record later = record_with(3e-3, 1, 16);
  later.trials.push_back(later.trials[0]);
  later.trials[1].config = {{"block_sizes", {8}}};
  EXPECT_FALSE(make().put(later)->has_value());
  EXPECT_EQ(make().find(later.key)->config, later.trials[0].config);
}

TEST_F(TunedStoreTest, EntriesThatAreNotWhatTheySayAreMisses) {
  Record record = record_with(1e-3, 10, 8);
  const std::string good = print_entry(entry_of(record));
  TunedEntry other = entry_of(record);
  other.kernel = "another";
  for (const std::string& text : {std::string("{}"), std::string("junk"),
                                  good.substr(0, good.size() / 2), print_entry(other)}) {
    codes_.clear();
    TunedStore store = make();
    ASSERT_TRUE(store.cache().put(record.key, text));
    EXPECT_FALSE(store.find(record.key)) << text;
    EXPECT_THAT(codes_, ElementsAre("bad-entry"));
    EXPECT_THAT(store.entries(), IsEmpty());
  }
  ASSERT_TRUE(make().put(record));
  EXPECT_TRUE(make().find(record.key));
}

TEST_F(TunedStoreTest, ABadEntryUncoversTheNextLayer) {
  Record record = record_with(1e-3, 10, 8);
  settings_.cache_dir = (root_ / "site").string();
  ASSERT_TRUE(make().put(record));
  settings_.cache_dir = (root_ / "user").string();
  settings_.site_cache_dir = (root_ / "site").string();
  TunedStore store = make();
  ASSERT_TRUE(store.cache().put(record.key, "{}"));
  EXPECT_EQ(store.find(record.key)->seconds, 1e-3);
  auto entries = store.entries();
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].layer, runtime::Layer::Site);
}

TEST_F(TunedStoreTest, ALostRecordLeavesTheEntry) {
  Record record = record_with(1e-3, 10, 8);
  TunedStore store = make();
  ASSERT_TRUE(store.put(record));
  auto entry = store.find(record.key);
  fs::remove(store.path_of("record-" + entry->record));
  EXPECT_TRUE(store.find(record.key));
  EXPECT_FALSE(store.record_of(*entry));
}

TEST_F(TunedStoreTest, QuarantineMergesAndKeepsReasons) {
  const std::string key = record_with(1, 1, 1).key;
  TunedStore a = make(), b = make();
  const space::Config one = {{"x", 1}, {"y", 2}}, same = one, two = {{"x", 2}};
  ASSERT_TRUE(Quarantine(a, key).add(one, Status::Crashed, "SIGSEGV"));
  ASSERT_TRUE(Quarantine(b, key).add(two, Status::Hung, "no answer in 3 s"));
  ASSERT_TRUE(Quarantine(b, key).add(same, Status::Hung, "again"));
  EXPECT_THAT(Quarantine(a, key).load(), ElementsAre(Pair(R"({"x":1,"y":2})", "crashed: SIGSEGV"),
                                                     Pair(R"({"x":2})", "hung: no answer in 3 s")));
  EXPECT_THAT(Quarantine(a, record_with(1, 1, 1).key.replace(6, 1, "x")).load(), IsEmpty());
}

TEST_F(TunedStoreTest, QuarantineSurvivesDamage) {
  const std::string key = record_with(1, 1, 1).key;
  TunedStore store = make();
  ASSERT_TRUE(store.cache().put("quarantine-" + key.substr(6), "{}"));
  EXPECT_THAT(Quarantine(store, key).load(), IsEmpty());
  EXPECT_THAT(codes_, ElementsAre("bad-entry"));
  ASSERT_TRUE(Quarantine(store, key).add({{"x", 1}}, Status::Crashed, "SIGBUS"));
  EXPECT_EQ(Quarantine(store, key).load().size(), 1U);
}

// The same at sizes m and n.
Record record_at(i64 m, i64 n, double seconds, i64 block) {
  Record r = record_with(seconds, 10, block);
  r.sizes = {{"m", "x", 0, m}, {"n", "x", 1, n}};
  return r;
}

TEST_F(TunedStoreTest, ShapesAreRowsOfOneEntry) {
  ASSERT_TRUE(make().put(record_at(16, 64, 1e-3, 8)));
  ASSERT_TRUE(make().put(record_at(1024, 64, 9e-3, 16)));
  auto entry = make().find(record_at(1, 1, 1, 1).key);
  ASSERT_TRUE(entry);
  ASSERT_EQ(entry->rows().size(), 2U);
  EXPECT_EQ(entry->find({16, 64})->seconds, 1e-3);
  EXPECT_EQ(entry->find({1024, 64})->config["block_sizes"][0], 16);
  EXPECT_EQ(entry->find({1024, 65}), nullptr);
  for (const TunedRow* row : entry->rows()) {
    auto record = make().record_of(*row);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->sizes, row->sizes);
  }
  EXPECT_THAT(codes_, IsEmpty());
}

TEST_F(TunedStoreTest, ABetterRowIsNotLostAndOthersAreIndependentOfIt) {
  ASSERT_TRUE(make().put(record_at(16, 64, 1e-3, 8)));
  ASSERT_TRUE(make().put(record_at(1024, 64, 9e-3, 16)));
  auto kept = make().put(record_at(16, 64, 2e-3, 32));
  ASSERT_TRUE(kept && kept->has_value());
  EXPECT_EQ((*kept)->seconds, 1e-3);
  EXPECT_FALSE(make().put(record_at(1024, 64, 5e-3, 64))->has_value());
  auto entry = make().find(record_at(1, 1, 1, 1).key);
  EXPECT_EQ(entry->find({16, 64})->seconds, 1e-3);
  EXPECT_EQ(entry->find({1024, 64})->seconds, 5e-3);
  EXPECT_EQ(entry->rows().size(), 2U);
}

TEST_F(TunedStoreTest, RowsOfOtherPlacesReplaceAll) {
  ASSERT_TRUE(make().put(record_at(16, 64, 1e-3, 8)));
  Record other = record_at(32, 64, 9e-3, 16);
  other.sizes.pop_back();
  EXPECT_FALSE(make().put(other)->has_value());
  EXPECT_EQ(make().find(other.key)->rows().size(), 1U);
}

TEST_F(TunedStoreTest, RowsThatContradictEachOtherAreRefused) {
  TunedEntry entry = entry_of(record_at(16, 64, 1e-3, 8));
  entry.others = {entry};
  EXPECT_THAT(parse_entry(print_entry(entry)).error().message,
              HasSubstr("m=16,n=64 stands there twice"));
  entry.others[0].sizes[0].size = 17;
  EXPECT_TRUE(parse_entry(print_entry(entry)));
  entry.others[0].sizes[0].argument = "y";
  EXPECT_THAT(parse_entry(print_entry(entry)).error().message, HasSubstr("$.others[0].sizes"));
}

TEST_F(TunedStoreTest, MemoryKeepsWhatNoCacheDoes) {
  Request request;
  request.settings.no_cache = true;
  TunedStore none(request);
  const Record first = record_at(16, 64, 1e-3, 8), second = record_at(32, 64, 1e-3, 4);
  ASSERT_TRUE(none.put(first));
  EXPECT_FALSE(none.find(first.key));
  request.memory = std::make_shared<TunedMemory>();
  ASSERT_TRUE(TunedStore(request).put(first));
  ASSERT_TRUE(TunedStore(request).put(second));
  auto worse = TunedStore(request).put(record_at(32, 64, 2e-3, 2));
  ASSERT_TRUE(worse && *worse);  // the earlier one stays
  auto entry = TunedStore(request).find(first.key);
  ASSERT_TRUE(entry);
  ASSERT_EQ(entry->rows().size(), 2U);
  EXPECT_EQ(entry->find({16, 64})->config, entry_of(first).config);
  EXPECT_EQ(entry->find({32, 64})->config, entry_of(second).config);
}

TEST_F(TunedStoreTest, EntriesOfEarlierSchemasKeepTheirRows) {
  TunedEntry written = entry_of(record_at(16, 64, 1e-3, 8));
  written.others = {written};
  written.others[0].sizes[0].size = 17;
  auto json = space::Config::parse(print_entry(written));
  for (const char* key : {"threads", "passes_off", "cache_mode"}) json.erase(key);
  json["others"][0].erase("cache_mode");
  for (i64 schema : {2, 3, 4}) {
    json["schema"] = schema;
    auto entry = parse_entry(json.dump());
    ASSERT_TRUE(entry) << entry.error().message;
    EXPECT_EQ(print_entry(*entry), print_entry(written));
  }
}

TEST_F(TunedStoreTest, EntriesOfTheFirstSchemaAreOfStaticShapes) {
  auto json = space::Config::parse(print_entry(entry_of(record_with(1e-3, 10, 8))));
  json["schema"] = 1;
  json["sizes"] = space::Config::array();
  for (const char* key : {"best_seconds", "neighbour", "neighbour_seconds", "others", "cache_mode",
                          "threads", "passes_off"}) {
    json.erase(key);
  }
  auto entry = parse_entry(json.dump());
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->rows().size(), 1U);
  EXPECT_EQ(entry->seconds, 1e-3);
}

// Times on cold caches are larger whatever the config, so they are not compared with others.
TEST_F(TunedStoreTest, AResultOfTheOtherCacheModeReplacesWithANotice) {
  Record warm = record_with(1e-3, 100, 8), cold = record_with(5e-3, 1, 16);
  warm.cache_mode = "warm";
  cold.cache_mode = "cold";
  cold.started = "2026-11-25T06:02:00Z";
  ASSERT_TRUE(make().put(warm));
  EXPECT_FALSE(make().put(cold)->has_value());
  EXPECT_THAT(codes_, ElementsAre("cache-mode"));
  EXPECT_EQ(make().find(cold.key)->cache_mode, "cold");
  codes_.clear();
  EXPECT_TRUE(make().put(warm)->has_value());  // it is older: brought from elsewhere
  warm.started = "2026-11-25T06:03:00Z";
  EXPECT_FALSE(make().put(warm)->has_value());
  EXPECT_THAT(codes_, ElementsAre("cache-mode"));
  codes_.clear();
  EXPECT_FALSE(make().put(record_with(0.5e-3, 100, 4))->has_value());  // of an unknown mode
  EXPECT_THAT(codes_, IsEmpty());
}

TEST(TunedRow, StatesItsRegret) {
  Record record = record_at(16, 64, 1.03e-3, 8);
  EXPECT_EQ(entry_of(record).regret(), 0);
  record.best_seconds = 1e-3;
  EXPECT_NEAR(entry_of(record).regret(), 0.03, 1e-9);
}

TEST(Subject, DistancesCompareSizesOnly) {
  EXPECT_EQ(distance("f32[4,8]", "f32[4,8]"), 0);
  EXPECT_LT(distance("f32[4,8]", "f32[4,9]"), distance("f32[4,8]", "f32[64,9]"));
  EXPECT_EQ(distance("f32[4,8]", "bf16[4,8]"), tune::kFailed);
  EXPECT_EQ(distance("f32[4]", "f32[4,8]"), tune::kFailed);
}

TEST(Subject, DifferencesNameKeyParts) {
  tune::Subject a, b;
  EXPECT_THAT(differences(a, b), IsEmpty());
  b.kernel_hash = b.fingerprint = b.compiler = b.specialization = b.target = "x";
  EXPECT_THAT(differences(a, b),
              ElementsAre("kernel text", "arguments", "target", "machine", "compiler"));
  EXPECT_NE(tune::key_of(a), tune::key_of(b));
}

TEST(Subject, ThreadsAndPassesThatWereChosenArePartsOfTheKey) {
  tune::Subject all, two, without;
  two.threads = 2;
  without.passes_off = "hoist_invariants";
  EXPECT_NE(tune::key_of(all), tune::key_of(two));
  EXPECT_NE(tune::key_of(all), tune::key_of(without));
  EXPECT_NE(tune::key_of(two), tune::key_of(without));
  EXPECT_THAT(differences(all, two), ElementsAre("threads"));
  EXPECT_THAT(differences(all, without), ElementsAre("passes left out"));
}

TEST(Subject, ADeviceWithAnotherDriverIsTheSame) {
  tune::Subject a, b;
  a.machine = "NVIDIA H200, sm_90, driver 13.0";
  a.fingerprint = "a";
  b.machine = "NVIDIA H200, sm_90, driver 12.8";
  b.fingerprint = "b";
  EXPECT_THAT(differences(a, b), ElementsAre("driver"));
  b.machine = "NVIDIA H100, sm_90, driver 12.8";
  EXPECT_THAT(differences(a, b), ElementsAre("machine"));
  b.machine = a.machine;
  EXPECT_THAT(differences(a, b), ElementsAre("machine"));
}

TEST(Subject, ArgumentTextsGiveTheSameArguments) {
  diag::Sources sources;
  diag::Diags diags(sources);
  Arguments arguments;
  for (const auto& [name, spec] : std::map<std::string, std::string>{{"a", "randn[4,6]:bf16.t()"},
                                                                     {"i", "randint[5]=2:9:i32"},
                                                                     {"n", "none"},
                                                                     {"s", "3"},
                                                                     {"f", "2.0"},
                                                                     {"b", "true"},
                                                                     {"d", "torch.float16"},
                                                                     {"l", "[1, randn[4]]"},
                                                                     {"t", "\"text\""},
                                                                     {"fn", "lambda x: x + 1"}}) {
    arguments[name] = *parse_argument(name, spec, 0, diags);
  }
  for (bool from_values : {false, true}) {
    if (from_values) {
      for (auto& [name, argument] : arguments) argument.text.clear();
    }
    Arguments again;
    for (const std::string& text : argument_texts(arguments)) {
      std::string name = text.substr(0, text.find('='));
      auto argument = parse_argument(name, text.substr(name.size() + 1), 0, diags);
      ASSERT_TRUE(argument) << text << ": " << argument.error().message;
      again[name] = *argument;
    }
    auto before = specs_of(arguments), after = specs_of(again);
    for (const auto& [name, spec] : before) {
      EXPECT_EQ(static_cast<int>(after[name].kind), static_cast<int>(spec.kind)) << name;
      EXPECT_EQ(after[name].dtype, spec.dtype) << name;
      EXPECT_EQ(after[name].sizes, spec.sizes) << name;
      EXPECT_EQ(after[name].strides, spec.strides) << name;
      EXPECT_EQ(after[name].value.integer, spec.value.integer) << name;
      EXPECT_EQ(after[name].text, spec.text) << name;
      EXPECT_EQ(after[name].items.size(), spec.items.size()) << name;
    }
  }
}

}  // namespace
}  // namespace peri::driver
