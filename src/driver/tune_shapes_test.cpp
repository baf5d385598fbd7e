#include "driver/tune_shapes.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <filesystem>

#include "driver/dispatch_text.h"
#include "driver/shapes.h"
#include "driver/tuned_choice.h"

namespace peri::driver {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// `configs`: what the decorator gives besides.
std::string text_of(bool is_static, const std::string& configs = "") {
  return fmt::format(
      "import torch\nimport helion\nimport helion.language as hl\n\n"
      "@helion.kernel(static_shapes={}{})\n"
      "def twice(x: torch.Tensor) -> torch.Tensor:\n"
      "    out = torch.empty_like(x)\n"
      "    for tile in hl.tile(x.size()):\n"
      "        out[tile] = x[tile] * 2\n"
      "    return out\n",
      is_static ? "True" : "False", configs);
}

class TuneShapesTest : public testing::Test {
 protected:
  TuneShapesTest() : folder_(fs::temp_directory_path() / fmt::format("peri-shapes-{}", getpid())) {}
  ~TuneShapesTest() override { fs::remove_all(folder_); }

  Compilation& add(bool is_static, i64 m, i64 n) {
    arguments_.push_back(*parse_arguments({"x=randn[m,n]"}, {{"m", m}, {"n", n}}, 0, diags_));
    Compilation& c = compilations_.emplace_back(diags_);
    c.request.file = "k.py";
    c.request.text = text_of(is_static);
    c.request.args = specs_of(arguments_.back());
    c.request.settings.cache_dir = folder_.string();
    c.request.settings.budget = 1.5;
    c.request.warn = [](const Error& error) { ADD_FAILURE() << error.code << error.message; };
    jobs_.push_back({&c, &arguments_.back()});
    return c;
  }

  fs::path folder_;
  diag::Sources sources_;
  diag::Diags diags_{sources_};
  std::deque<Arguments> arguments_;
  std::deque<Compilation> compilations_;
  std::vector<ShapeJob> jobs_;
};

TEST_F(TuneShapesTest, MakesOneTableThatSaysWhatItIsWorth) {
  add(false, 4, 64);
  add(false, 2000, 300);
  const auto [records, failure] = tune_shapes(jobs_, {});
  ASSERT_FALSE(failure) << failure->message;
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(tune::print_sizes(records[0].sizes), "m=4,n=64");
  EXPECT_THAT(records[0].neighbour, ElementsAre(2000, 300));
  EXPECT_THAT(records[1].neighbour, ElementsAre(4, 64));

  TunedStore store(compilations_[0].request);
  auto entry = store.find(records[0].key);
  ASSERT_TRUE(entry);
  ASSERT_EQ(entry->rows().size(), 2U);
  for (const tune::Record& record : records) {
    const TunedRow* row = entry->find(tune::values_of(record.sizes));
    ASSERT_NE(row, nullptr);
    EXPECT_EQ(row->config, record.trials[record.winner].config);
    // The chosen config was timed in turns with all others, and none is faster than the best.
    EXPECT_GT(row->best_seconds, 0);
    EXPECT_LE(row->best_seconds, row->seconds);
    for (const tune::Finalist& finalist : record.finalists) {
      EXPECT_LE(row->best_seconds, finalist.seconds);
    }
    EXPECT_LE(row->regret(), 0.02 + 1e-9);
    EXPECT_EQ(print_record(*store.record_of(*row)), print_record(record));
  }
  EXPECT_THAT(print_rows(entry->rows()), HasSubstr("m=2000,n=300"));
  EXPECT_EQ(rows_json(entry->rows())[0]["sizes"]["m"], 4);

  // Calls of any sizes get the nearest.
  for (auto [m, n, expected] :
       {std::tuple<i64, i64, i64>{1000, 1000, 2000}, {1, 1, 4}, {0, 9, 4}}) {
    Compilation& call = add(false, m, n);
    ASSERT_TRUE(compile(call, "config"));
    EXPECT_EQ(call.config_origin, "tuned");
    EXPECT_EQ(call.dispatch->places[0].size, expected);
  }
}

TEST_F(TuneShapesTest, StaticShapesGetAnEntryEach) {
  add(true, 4, 64);
  add(true, 16, 64);
  const auto [records, failure] = tune_shapes(jobs_, {});
  ASSERT_FALSE(failure) << failure->message;
  TunedStore store(compilations_[0].request);
  EXPECT_EQ(store.entries().size(), 2U);
  for (const tune::Record& record : records) {
    EXPECT_TRUE(record.sizes.empty());
    EXPECT_DOUBLE_EQ(record.budget, 0.75);
    EXPECT_TRUE(store.find(record.key)->others.empty());
  }
}

constexpr const char* kSlowConfigs =
    ", configs=[helion.Config(block_sizes=[1, 2]), helion.Config(block_sizes=[2, 1])]";

// The default is far faster than what the decorator lists, and must not win.
TEST_F(TuneShapesTest, OnlyTheDecoratorsConfigsAreTried) {
  Compilation& c = add(true, 200, 100);
  c.request.text = text_of(true, kSlowConfigs);
  const auto [records, failure] = tune_shapes(jobs_, {});
  ASSERT_FALSE(failure) << failure->message;
  const tune::Record& record = records[0];
  ASSERT_EQ(record.trials.size(), 2U);
  EXPECT_THAT(record.trials[0].config["block_sizes"], ElementsAre(1, 2));
  EXPECT_THAT(record.trials[1].config["block_sizes"], ElementsAre(2, 1));
  for (const tune::Trial& trial : record.trials) EXPECT_EQ(trial.origin, "list");
  EXPECT_EQ(tune::count_searched(record), 2);
}

TEST_F(TuneShapesTest, OnlyTheDecoratorsConfigsWinAtSeveralShapes) {
  for (i64 m : {20, 400}) add(false, m, 100).request.text = text_of(false, kSlowConfigs);
  const auto [records, failure] = tune_shapes(jobs_, {});
  ASSERT_FALSE(failure) << failure->message;
  for (std::size_t i = 0; i < 2; ++i) {
    const tune::Record& record = records[i];
    EXPECT_EQ(record.trials.size(), 2U);
    EXPECT_EQ(record.trials[0].config, *first_config(compilations_[i]));
    for (const tune::Trial& trial : record.trials) {
      EXPECT_EQ(
          trial.config["block_sizes"][0].get<i64>() * trial.config["block_sizes"][1].get<i64>(), 2);
    }
  }
}

TEST_F(TuneShapesTest, TheDecoratorsOnlyConfigIsUsedWhateverTheCacheHolds) {
  const std::string text = text_of(true, ", config=helion.Config(block_sizes=[4, 8])");
  add(true, 20, 100).request.text = text;
  ASSERT_FALSE(tune_shapes(jobs_, {}).failure);
  Compilation& call = add(true, 20, 100);
  call.request.text = text;
  ASSERT_TRUE(compile(call, "config"));
  EXPECT_TRUE(TunedStore(call.request).find(call.tuned_key));
  EXPECT_EQ(call.config_origin, "decorator");
  EXPECT_THAT(call.config["block_sizes"], ElementsAre(4, 8));
  EXPECT_TRUE(check_is_tuned(call));
}

// What was searched before the user ended it is kept.
TEST_F(TuneShapesTest, AnInterruptKeepsTheShapesSoFar) {
  add(false, 4, 64);
  add(false, 2000, 300);
  for (Compilation& c : compilations_) c.request.settings.budget = 60;  // it ends by the interrupt
  bool is_interrupted = false;
  TuneOptions options;
  options.is_interrupted = [&] { return is_interrupted; };
  options.on_trial = [&](const tune::Trial&, i64 number) { is_interrupted = number >= 2; };
  const auto [records, failure] = tune_shapes(jobs_, options);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code, "interrupted");
  EXPECT_EQ(failure->message, "interrupted before 1 of 2 shapes were tuned");
  ASSERT_EQ(records.size(), 1U);
  auto entry = TunedStore(compilations_[0].request).find(records[0].key);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->rows().size(), 1U);
  EXPECT_TRUE(entry->neighbour.empty());
}

// A round that the user ended says nothing.
TEST_F(TuneShapesTest, AnInterruptedComparisonIsDropped) {
  add(false, 4, 64);
  add(false, 2000, 300);
  TunedStore store(compilations_[0].request);
  i64 calls_in_round = 0;
  TuneOptions options;
  options.is_interrupted = [&] {
    const std::string key = compilations_[0].tuned_key;
    auto entry = key.empty() ? std::nullopt : store.find(key);
    if (entry && entry->rows().size() == 2) ++calls_in_round;
    return calls_in_round > 5;
  };
  const auto [records, failure] = tune_shapes(jobs_, options);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->code, "interrupted");
  EXPECT_THAT(failure->message, HasSubstr("before the winners were compared"));
  ASSERT_EQ(records.size(), 2U);
  auto entry = store.find(records[0].key);
  ASSERT_TRUE(entry);
  for (const tune::Record& record : records) {
    EXPECT_FALSE(record.interrupted);
    EXPECT_TRUE(record.neighbour.empty());
    for (const tune::Trial& trial : record.trials) {
      EXPECT_NE(trial.origin, "winner at another shape");
    }
    const TunedRow* row = entry->find(tune::values_of(record.sizes));
    ASSERT_NE(row, nullptr);
    EXPECT_EQ(print_record(*store.record_of(*row)), print_record(record));
  }
}

TEST_F(TuneShapesTest, AnErrorLeavesTheShapesBefore) {
  for (bool is_static : {false, true}) {
    jobs_.clear();
    compilations_.clear();
    add(is_static, 4, 64);
    add(is_static, 2000, 300).request.settings.strategy = "magic";
    const auto [records, failure] = tune_shapes(jobs_, {});
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code, "unknown-strategy");
    ASSERT_EQ(records.size(), 1U);
    EXPECT_TRUE(TunedStore(compilations_[0].request).find(records[0].key));
    EXPECT_EQ(compilations_[0].config_origin, "tuned");
  }
}

}  // namespace
}  // namespace peri::driver
