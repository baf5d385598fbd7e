#include "driver/record_files.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/hash.h"
#include "driver/code_cache.h"
#include "driver/quarantine.h"
#include "driver/shapes.h"
#include "driver/subject.h"
#include "driver/twice_kernel_test.h"
#include "driver/version.h"

namespace peri::driver {
namespace {

namespace fs = std::filesystem;
using space::Config;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using tune::Record;

class RecordFilesTest : public testing::Test {
 protected:
  RecordFilesTest() : folder_(fs::temp_directory_path() / fmt::format("peri-rec-{}", getpid())) {
    c_.request.file = "k.py";
    c_.request.text = kTwice;
    c_.request.args = specs_of(*parse_arguments({"x=randn[100]"}, {}, 0, diags_));
    c_.request.settings.cache_dir = folder_.string();
    EXPECT_TRUE(compile(c_, "space"));
  }
  ~RecordFilesTest() override { fs::remove_all(folder_); }

  // A config of the kernel with this block size.
  Config with_block(i64 block) const {
    Config config = c_.default_config;
    config["block_sizes"][0] = block;
    return config;
  }
  // A record of the kernel for n elements: its winner, then other finalists.
  Record record_of(i64 n, const std::vector<i64>& blocks) const {
    Record r;
    static_cast<tune::Subject&>(r) = subject_of(c_);
    r.specialization = fmt::format("static x=f32[{}:1]", n);
    r.key = tune::key_of(r);
    r.started = "2026-11-25T06:01:25Z";
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      tune::Trial& trial = r.trials.emplace_back();
      trial.config = with_block(blocks[i]);
      trial.seconds = trial.low = trial.high = 1e-3;
      r.finalists.push_back({static_cast<i64>(i), 1e-3, 1e-3, 1e-3, {1e-3}});
    }
    return r;
  }
  std::vector<i64> blocks_of(const std::vector<Config>& configs) const {
    std::vector<i64> blocks;
    for (const Config& config : configs) {
      EXPECT_FALSE(c_.space.why_not(config));
      EXPECT_EQ(config, with_block(config["block_sizes"][0]));  // complete
      blocks.push_back(config["block_sizes"][0]);
    }
    return blocks;
  }
  TunedStore store() { return TunedStore(c_.request.settings, {}); }
  static std::vector<std::string> reasons_of(const std::vector<Garbage>& garbage) {
    std::vector<std::string> reasons;
    for (const Garbage& one : garbage) reasons.push_back(one.reason);
    return reasons;
  }

  fs::path folder_;
  diag::Sources sources_;
  diag::Diags diags_{sources_};
  Compilation c_{diags_};
};

TEST_F(RecordFilesTest, SeedsAreWinnersOfTheMostAlikeFirst) {
  const Record records[] = {record_of(6400, {3, 5}), record_of(200, {7, 3, 9}),
                            record_of(1600, {11})};
  EXPECT_THAT(blocks_of(seeds_from(records, c_)), ElementsAre(7, 11, 3, 9, 5));
  EXPECT_THAT(blocks_of(seeds_from(records, c_, 2)), ElementsAre(7, 11));
}

TEST_F(RecordFilesTest, RecordsOfOtherMachinesComeLater) {
  Record near = record_of(101, {3}), far = record_of(64000, {5});
  near.fingerprint = "another machine";
  EXPECT_THAT(blocks_of(seeds_from(std::vector{near, far}, c_)), ElementsAre(5, 3));
}

TEST_F(RecordFilesTest, OtherKernelsGiveNoSeeds) {
  Record other = record_of(200, {7});
  other.structure_hash = hash_hex("another kernel");
  EXPECT_THAT(seeds_from({&other, 1}, c_), IsEmpty());
}

TEST_F(RecordFilesTest, SeedsAreFittedCompletedAndNotTheDefault) {
  Record record = record_of(4096, {3, 3, 7});
  const i64 unroll = c_.default_config["vector_unroll"] == 8 ? 4 : 8;
  record.trials[0].config["block_sizes"][0] = 4096;  // this axis has 100
  record.trials[0].config["vector_unroll"] = unroll;
  record.trials[1].config = c_.default_config;  // tried in any case
  record.trials[2].config = {{"block_sizes", {7}}, {"no such knob", 1}};
  Config fitted = with_block(100);
  fitted["vector_unroll"] = unroll;
  EXPECT_THAT(seeds_from({&record, 1}, c_), ElementsAre(fitted, with_block(7)));
}

TEST_F(RecordFilesTest, TheCacheGivesSeedsOfAllItsShapes) {
  ASSERT_TRUE(store().put(record_of(200, {7})));
  Record row = record_of(300, {3});
  for (i64 m : {4, 8}) {
    row.sizes = {{"m", "x", 0, m}};
    row.trials[0].config = with_block(m + 1);
    ASSERT_TRUE(store().put(row));
  }
  EXPECT_THAT(blocks_of(seeds_from_cache(c_)), UnorderedElementsAre(7, 5, 9));
}

TEST_F(RecordFilesTest, FilesAndFoldersOfRecordsAreReadAsAWhole) {
  fs::create_directories(folder_);
  const Record records[] = {record_of(200, {7}), record_of(300, {3})};
  const std::string file = (folder_ / "a.json").string();
  std::ofstream(file) << print_records(records);
  std::ofstream(folder_ / "b.json") << tune::print_record(record_of(400, {5}));
  EXPECT_EQ(read_records(file)->size(), 2U);
  EXPECT_EQ(read_records(folder_.string())->size(), 3U);
  std::ofstream(folder_ / "c.json") << "{}";
  EXPECT_EQ(read_records(folder_.string()).error().code, "bad-record");
}

TEST_F(RecordFilesTest, GcLeavesWhatIsInUse) {
  TunedStore cache = store();
  ASSERT_TRUE(cache.put(record_of(200, {7})));
  auto removed = collect_garbage(cache, {}, std::time(nullptr) + 86400);
  ASSERT_TRUE(removed);
  EXPECT_THAT(*removed, IsEmpty());
}

TEST_F(RecordFilesTest, GcKeepsTheRecordsOfAllShapes) {
  TunedStore cache = store();
  Record row = record_of(200, {7});
  for (i64 m : {4, 8}) {
    row.sizes = {{"m", "x", 0, m}};
    ASSERT_TRUE(cache.put(row));
  }
  EXPECT_THAT(*collect_garbage(cache, {}, std::time(nullptr) + 86400), IsEmpty());
  auto entry = cache.find(row.key);
  for (const TunedRow* of : entry->rows()) EXPECT_TRUE(cache.record_of(*of));
}

TEST_F(RecordFilesTest, GcRemovesRecordsWithoutEntryAfterAnHour) {
  TunedStore cache = store();
  Record first = record_of(200, {7}), second = record_of(200, {7, 9});
  second.winner = 1;
  ASSERT_TRUE(cache.put(first));
  ASSERT_FALSE(cache.put(second)->has_value());  // replaces it: it tried its config
  const std::time_t now = std::time(nullptr);
  EXPECT_THAT(*collect_garbage(cache, {}, now), IsEmpty());
  auto removed = collect_garbage(cache, {}, now + 7200);
  ASSERT_TRUE(removed);
  EXPECT_THAT(reasons_of(*removed), ElementsAre("no entry refers to it"));
  EXPECT_TRUE(cache.record_of(*cache.find(second.key)));
}

TEST_F(RecordFilesTest, GcRemovesOtherVersionsAndWhatTheyHad) {
  TunedStore cache = store();
  Record old = record_of(200, {7});
  old.compiler = "Perihelion 0.0.0, LLVM 21";
  old.key = tune::key_of(old);
  ASSERT_TRUE(cache.put(old));
  ASSERT_TRUE(cache.put(record_of(200, {7})));
  auto removed = collect_garbage(cache, {.dry_run = true}, std::time(nullptr));
  EXPECT_THAT(reasons_of(*removed),
              ElementsAre("made by Perihelion 0.0.0, LLVM 21", "of a removed entry"));
  EXPECT_EQ(cache.entries().size(), 2U);
  ASSERT_TRUE(collect_garbage(cache, {}, std::time(nullptr)));
  ASSERT_EQ(cache.entries().size(), 1U);
  EXPECT_FALSE(cache.find(old.key));
}

// A writer comes when the entries have been looked at, and the files not yet.
TEST_F(RecordFilesTest, GcRemovesNothingThatIsWrittenMeanwhile) {
  ASSERT_TRUE(store().put(record_of(200, {7})));
  std::ofstream(folder_ / "foreign") << "of which gc warns";
  Record later = record_of(200, {7, 9});
  later.winner = 1;
  std::atomic<bool> is_written = false;
  std::thread writer;
  TunedStore cache(c_.request.settings, [&](const Error&) {
    writer = std::thread([&] {
      EXPECT_TRUE(store().put(later));
      is_written = true;
    });
    for (i64 i = 0; i < 100 && !is_written; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  ASSERT_TRUE(collect_garbage(cache, {}, std::time(nullptr) + 7200));
  ASSERT_TRUE(writer.joinable());
  writer.join();
  auto entry = store().find(later.key);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->config, with_block(9));
  EXPECT_TRUE(store().record_of(*entry));
}

TEST_F(RecordFilesTest, GcRemovesWhatIsDamaged) {
  TunedStore cache = store();
  ASSERT_TRUE(cache.put(record_of(200, {7})));
  ASSERT_TRUE(cache.put(record_of(300, {7})));
  ASSERT_TRUE(Quarantine(cache, record_of(200, {7}).key)
                  .add(with_block(3), tune::Status::Crashed, "SIGSEGV"));
  const std::string keys[] = {record_of(200, {7}).key, quarantine_key(record_of(200, {7}).key)};
  for (std::size_t i = 0; i < 2; ++i) {  // in the header, and behind it
    std::fstream file(cache.path_of(keys[i]), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(i == 0 ? 0 : 90).put('~');
  }
  auto removed = collect_garbage(cache, {}, std::time(nullptr));
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_THAT(reasons_of(*removed), ElementsAre("damaged", "damaged"));
  for (const std::string& key : keys) EXPECT_FALSE(fs::exists(cache.path_of(key)));
  EXPECT_EQ(cache.entries().size(), 1U);
}

TEST_F(RecordFilesTest, GcRemovesTheQuarantinesOfOtherVersionsAndOldOnes) {
  TunedStore cache = store();
  Record old = record_of(200, {7});
  old.compiler = "Perihelion 0.0.0, LLVM 21";
  old.key = tune::key_of(old);
  ASSERT_TRUE(cache.put(old));
  ASSERT_TRUE(cache.put(record_of(200, {7})));
  for (const Record& record : {old, record_of(200, {7}), record_of(300, {7})}) {
    ASSERT_TRUE(Quarantine(cache, record.key).add(with_block(3), tune::Status::Crashed, "SIGSEGV"));
  }
  auto quarantines = [&] {
    const auto listing = cache.cache().list();
    return std::ranges::count_if(
        listing.entries, [](const auto& item) { return item.key.starts_with(kQuarantineKey); });
  };
  const std::time_t now = std::time(nullptr);
  ASSERT_TRUE(collect_garbage(cache, {}, now + 7200));
  EXPECT_FALSE(fs::exists(cache.path_of(quarantine_key(old.key))));
  EXPECT_EQ(quarantines(), 2);
  ASSERT_TRUE(collect_garbage(cache, {.older_than_days = 3}, now + 5 * 86400));
  EXPECT_EQ(quarantines(), 0);
}

TEST_F(RecordFilesTest, GcObeysAgeAndSize) {
  TunedStore cache = store();
  ASSERT_TRUE(cache.put(record_of(200, {7})));
  ASSERT_TRUE(cache.put(record_of(300, {7})));
  const std::time_t now = std::time(nullptr);
  EXPECT_THAT(*collect_garbage(cache, {.older_than_days = 3}, now + 86400), IsEmpty());
  EXPECT_THAT(
      // An hour more: the clock of file times may run ahead of time()'s.
      reasons_of(
          *collect_garbage(cache, {.older_than_days = 3, .dry_run = true}, now + 5 * 86400 + 3600)),
      testing::Contains("5 days old"));
  const i64 bytes = cache.entries()[0].bytes;
  ASSERT_TRUE(collect_garbage(cache, {.most_bytes = bytes + bytes / 2}, now));
  EXPECT_EQ(cache.entries().size(), 1U);
}

TEST_F(RecordFilesTest, GcRemovesMachineCodeByAgeAndBeforeTunedConfigs) {
  TunedStore cache = store();
  ASSERT_TRUE(cache.put(record_of(200, {7})));
  const std::string code(1000, 'x');
  for (const char* key : {"code-1", "code-2"}) ASSERT_TRUE(cache.cache().put(key, code));
  EXPECT_EQ(code_use(cache.cache().list()).entries, 2);
  EXPECT_GT(code_use(cache.cache().list()).bytes, 2000);
  const std::time_t now = std::time(nullptr);
  EXPECT_THAT(*collect_garbage(cache, {}, now + 86400), IsEmpty());
  EXPECT_THAT(*collect_garbage(cache, {.older_than_days = 3, .dry_run = true}, now + 4 * 86400),
              SizeIs(4));
  const i64 bytes = cache.entries()[0].bytes;
  ASSERT_TRUE(collect_garbage(cache, {.most_bytes = bytes + 1500}, now));
  EXPECT_EQ(code_use(cache.cache().list()).entries, 1);
  ASSERT_TRUE(collect_garbage(cache, {.most_bytes = bytes}, now));
  EXPECT_EQ(code_use(cache.cache().list()).entries, 0);
  EXPECT_EQ(cache.entries().size(), 1U);
}

}  // namespace
}  // namespace peri::driver
