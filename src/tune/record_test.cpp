#include "tune/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "base/files.h"

namespace peri::tune {
namespace {

using testing::HasSubstr;

Record example() {
  Record r;
  r.key = "tuned-0123456789abcdef0123456789abcdef";
  r.kernel = "softmax";
  r.kernel_hash = std::string(32, 'a');
  r.structure_hash = std::string(32, 'b');
  r.specialization = "static x=f32[1024:512,512:1]";
  r.file = "softmax.py";
  r.arguments = {"x=randn[1024,512]:f32"};
  r.target = "x86-64-v3";
  r.machine = "AMD EPYC";
  r.fingerprint = "amd:2";
  r.compiler = "0.1.0";
  r.sizes = {{"m", "x", 0, 1024}, {"n", "xs[1]", 2, 0}};
  r.best_seconds = 0.045;
  r.neighbour = {16, 0};
  r.neighbour_seconds = 0.07;
  r.strategy = "auto";
  r.effort = "quick";
  r.seed = 7;
  r.cache_mode = "warm";
  r.started = "2026-11-25T06:01:25Z";
  r.elapsed = 12.5;
  r.trials.resize(3);
  for (std::size_t i = 0; i < 3; ++i) {
    Trial& t = r.trials[i];
    t.config = {{"block_sizes", {8 << i, 1}}, {"num_threads", 2}};
    t.origin = i == 0 ? "default" : "random";
    t.seconds = t.low = t.high = 0.1 / (1.0 + static_cast<double>(i));
    t.samples = {t.seconds, 1e-300, 0.3};
  }
  r.trials[2].status = Status::Crashed;
  r.trials[2].reason = "SIGSEGV \"quoted\" \xc3\xa9\n";
  r.trials[2].seconds = r.trials[2].low = r.trials[2].high = kFailed;
  r.finalists = {{1, 0.05, 0.04, 0.06, {0.05}}};
  r.winner = 1;
  r.runner_up = 0;
  r.roofline = {.bytes = 1e9, .flops = 1e10, .bytes_per_second = 1e11, .flops_per_second = 1e12};
  return r;
}

std::string error_of(const std::string& text) {
  auto record = parse_record(text);
  if (record) return "is read";
  EXPECT_EQ(record.error().code, "bad-record");
  return record.error().message;
}

// The message after `change` to the JSON of the example.
std::string error_after(const std::function<void(Config&)>& change) {
  Config json = Config::parse(print_record(example()));
  change(json);
  return error_of(json.dump());
}

TEST(RecordText, RoundTripIsExact) {
  std::string text = print_record(example());
  auto record = parse_record(text);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(print_record(*record), text);
  EXPECT_EQ(record->trials[0].samples, example().trials[0].samples);
  EXPECT_EQ(record->trials[2].status, Status::Crashed);
  EXPECT_EQ(record->trials[2].reason, example().trials[2].reason);
  EXPECT_EQ(record->trials[2].seconds, kFailed);
  EXPECT_EQ(record->trials[1].config, example().trials[1].config);
  EXPECT_EQ(record->roofline.limiter(), "bytes");
}

TEST(RecordText, StatusNamesAreReadBack) {
  for (Status status : {Status::Ok, Status::CompileError, Status::WrongResult, Status::Crashed,
                        Status::TooSlow, Status::Hung, Status::Skipped}) {
    EXPECT_EQ(parse_status(status_name(status)), status);
  }
  EXPECT_EQ(parse_status("fine"), std::nullopt);
}

TEST(RecordText, FaultsNameTheirPlace) {
  using C = Config&;
  EXPECT_EQ(error_after([](C j) { j["seed"] = "7"; }),
            "$.seed: expected a whole number, found \"7\"");
  EXPECT_EQ(error_after([](C j) { j.erase("kernel"); }), "$.kernel: is missing");
  EXPECT_EQ(error_after([](C j) { j["odd"] = 1; }), "$: expected no key \"odd\"");
  EXPECT_EQ(error_after([](C j) { j["trials"][1]["samples"][2] = -1; }),
            "$.trials[1].samples[2]: expected a number not below 0, found -1");
  EXPECT_EQ(error_after([](C j) { j["trials"][0]["status"] = "fine"; }),
            "$.trials[0].status: expected one of the names in the schema, found \"fine\"");
  EXPECT_EQ(error_after([](C j) { j["key"] = "../x"; }),
            "$.key: expected a text like tuned-[0-9a-f]{32}, found \"../x\"");
  EXPECT_EQ(error_after([](C j) { j["confidence"] = 1.5; }),
            "$.confidence: expected a number from 0 to 1, found 1.5");
  EXPECT_EQ(error_after([](C j) { j["accuracy"] = 3; }), "$.accuracy: expected an object, found 3");
  EXPECT_EQ(error_after([](C j) { j["interrupted"] = 0; }),
            "$.interrupted: expected true or false, found 0");
  EXPECT_EQ(error_after([](C j) { j["elapsed"] = nullptr; }),
            "$.elapsed: expected a number not below 0, found null");
  EXPECT_THAT(error_after([](C j) { j["kernel"] = std::string(300, 'x'); }),
              HasSubstr("$.kernel: expected a text of at most 256 bytes"));
  EXPECT_THAT(error_after([](C j) { j["trials"][0]["config"] = {1}; }),
              HasSubstr("$.trials[0].config: expected a config"));
  EXPECT_THAT(error_after([](C j) { j["trials"][0]["config"]["a"] = {{"b", 1}}; }),
              HasSubstr("$.trials[0].config: expected a config"));
  EXPECT_THAT(error_after([](C j) { j["started"] = "today"; }), HasSubstr("$.started"));
}

TEST(RecordText, ContradictionsAreFaults) {
  using C = Config&;
  EXPECT_EQ(error_after([](C j) { j["winner"] = 3; }),
            "$.winner: expected an index of the 3 trials, found 3");
  EXPECT_THAT(error_after([](C j) { j["winner"] = -1; }), HasSubstr("$.winner"));
  EXPECT_EQ(error_after([](C j) { j["winner"] = 2; }),
            "$.trials[2]: expected a timed config, for it is the winner");
  EXPECT_THAT(error_after([](C j) { j["runner_up"] = 1; }), HasSubstr("$.runner_up"));
  EXPECT_THAT(error_after([](C j) { j["runner_up"] = 9; }), HasSubstr("$.runner_up"));
  EXPECT_THAT(error_after([](C j) { j["finalists"][0]["trial"] = 5; }),
              HasSubstr("$.finalists[0].trial: expected an index"));
  EXPECT_THAT(error_after([](C j) { j["trials"] = Config::array(); }), HasSubstr("0 trials"));
  EXPECT_THAT(error_after([](C j) { j["trials"][1]["low"] = 7; }), HasSubstr("$.trials[1]"));
  EXPECT_EQ(error_after([](C j) { j["neighbour"] = {1}; }),
            "$.neighbour: expected 2 sizes, found 1");
  EXPECT_THAT(error_after([](C j) { j["sizes"][0]["dimension"] = -1; }),
              HasSubstr("$.sizes[0].dimension: expected"));
}

struct AddedKey {
  i64 since;  // schema
  const char* key;
};
constexpr AddedKey kAddedKeys[] = {
    {2, "best_seconds"}, {2, "neighbour"},  {2, "neighbour_seconds"}, {3, "toolchain"}, {4, "idle"},
    {5, "threads"},      {5, "passes_off"}, {6, "search_options"},    {6, "device"}};

// As a program of that schema would have written it.
Expected<Record> read_as(i64 schema, const Record& written) {
  Config json = Config::parse(print_record(written));
  json["schema"] = schema;
  if (schema == 1) json["sizes"] = Config::array();
  for (const AddedKey& added : kAddedKeys) {
    if (schema < added.since) json.erase(added.key);
  }
  return parse_record(json.dump());
}

TEST(RecordText, TheFirstSchemaIsReadAsOneOfStaticShapes) {
  auto record = read_as(1, example());
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->schema, kRecordSchema);
  EXPECT_TRUE(record->sizes.empty());
  EXPECT_EQ(record->neighbour_seconds, kFailed);
  EXPECT_EQ(record->winner, 1);
}

TEST(RecordText, TheThirdSchemaHasNoIdleKeys) {
  Record written = example();
  written.toolchain = "triton 3.6.0";
  auto record = read_as(3, written);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->toolchain, "triton 3.6.0");
  EXPECT_TRUE(record->idle.empty());
}

TEST(RecordText, TheFourthSchemaHasNoThreads) {
  Record written = example();
  written.idle = {"num_threads"};
  auto record = read_as(4, written);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->threads, 0);
  EXPECT_EQ(record->passes_off, "");
  EXPECT_EQ(record->idle, written.idle);
}

TEST(RecordText, TheFifthSchemaHasNoSearchOptions) {
  Record written = example();
  written.threads = 3;
  auto record = read_as(5, written);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->threads, 3);
  EXPECT_EQ(record->search_options, "");
}

TEST(RecordText, TheWinnerIsPrintedWithoutIdleKeys) {
  Record record = example();
  record.trials[record.winner].config = {{"block_sizes", {8}}, {"num_sm_multiplier", 4}};
  record.idle = {"num_sm_multiplier"};
  EXPECT_EQ(print_winner(record), "helion.Config(block_sizes=[8])");
}

TEST(RecordText, TheSecondSchemaHasNoToolchain) {
  auto record = read_as(2, example());
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->schema, kRecordSchema);
  EXPECT_EQ(record->toolchain, "");
  EXPECT_EQ(record->sizes, example().sizes);
}

TEST(RecordText, RegretIsRelativeToTheBest) {
  EXPECT_DOUBLE_EQ(regret_of(1.5, 1), 0.5);
  EXPECT_EQ(regret_of(1, 1), 0);
  EXPECT_EQ(regret_of(0.9, 1), 0);  // timed in different rounds
  EXPECT_EQ(regret_of(1, 0), 0);    // unknown
}

TEST(RecordText, OtherSchemasAreRefused) {
  EXPECT_EQ(error_after([](Config& j) { j["schema"] = 0; }),
            "$.schema: expected a whole number from 6 to 6, found 0");
  auto newer = parse_record(R"({"schema": 99})");
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().message, "$.schema: expected at most 6, found 99");
  EXPECT_THAT(newer.error().hint, HasSubstr("newer version"));
}

TEST(RecordText, WhatIsNoJson) {
  EXPECT_THAT(error_of(""), HasSubstr("$: expected JSON"));
  EXPECT_THAT(error_of("{\"a\": 1, \"a\": 2}"), HasSubstr("the key \"a\" is given twice"));
  EXPECT_THAT(error_of(std::string(100000, '[')), HasSubstr("$: expected"));
  EXPECT_THAT(error_of("[1e999]"), HasSubstr("$: expected JSON"));
  EXPECT_EQ(error_of("[]"), "$: expected an object, found []");
  std::string text = print_record(example());
  for (std::size_t size = 0; size + 2 < text.size(); size += 7) {
    EXPECT_NE(error_of(text.substr(0, size)), "is read") << size;
  }
}

// Inputs that the fuzzer found worth keeping.
TEST(RecordText, SurvivesTheFuzzCorpus) {
  i64 files = 0, good = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(PERI_SOURCE_DIR "/test/fuzz/record")) {
    auto record = parse_record(read_file(entry.path().string(), 1 << 24).value());
    if (record) {
      EXPECT_EQ(print_record(parse_record(print_record(*record)).value()), print_record(*record));
      ++good;
    } else {
      EXPECT_EQ(record.error().code, "bad-record");
    }
    ++files;
  }
  EXPECT_GT(good, 0);
  EXPECT_GT(files, good);
}

}  // namespace
}  // namespace peri::tune
