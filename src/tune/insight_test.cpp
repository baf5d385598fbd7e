#include "tune/insight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tune/sample_record_test.h"

namespace peri::tune {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::StartsWith;

Trial timed(Config config, double seconds) {
  Trial trial;
  trial.config = std::move(config);
  trial.seconds = seconds;
  return trial;
}

TEST(Settings, TakeListsApart) {
  std::vector<Setting> settings =
      settings_of({{"block_sizes", {64, 32}}, {"loop_orders", {{1, 0}}}, {"num_threads", 2}});
  EXPECT_THAT(
      settings,
      ElementsAre(Field(&Setting::knob, "block_sizes[0]"), Field(&Setting::knob, "block_sizes[1]"),
                  Field(&Setting::knob, "loop_orders"), Field(&Setting::knob, "num_threads")));
  EXPECT_EQ(settings[2].value.dump(), "[1,0]");
}

TEST(Differences, NameWhatChanged) {
  auto found = differences({{"a", 1}, {"b", 2}}, {{"a", 1}, {"b", 3}, {"c", 4}});
  ASSERT_EQ(found.size(), 2);
  EXPECT_EQ(found[0].knob, "b");
  EXPECT_EQ(found[0].to, 3);
  EXPECT_EQ(found[1].knob, "c");
  EXPECT_TRUE(found[1].from.is_null());
}

TEST(Effects, CompareTheBestWithAndWithoutEachValue) {
  Record record;
  record.trials = {
      timed({{"a", 1}, {"b", 1}, {"c", 1}}, 10), timed({{"a", 2}, {"b", 1}, {"c", 1}}, 5),
      timed({{"a", 2}, {"b", 2}, {"c", 1}}, 6), timed({{"a", 3}, {"b", 1}, {"c", 1}}, 20)};
  record.winner = 1;
  std::vector<Effect> found = effects(record);
  ASSERT_EQ(found.size(), 2) << "c had one value only";
  EXPECT_EQ(found[0].knob, "a");
  EXPECT_DOUBLE_EQ(found[0].loss(), 1.0);
  EXPECT_EQ(found[0].other, 1);
  EXPECT_EQ(found[0].trials, 2);
  EXPECT_EQ(found[1].knob, "b");
  EXPECT_NEAR(found[1].loss(), 0.2, 1e-12);
}

TEST(TimeOf, PrefersTheFinalRound) {
  Record record;
  record.trials = {timed({}, 10), timed({}, 8)};
  record.finalists = {{1, 9, 8.5, 9.5, {}}};
  EXPECT_EQ(time_of(record, 0).seconds, 10);
  EXPECT_EQ(time_of(record, 1).seconds, 9);
  EXPECT_EQ(time_of(record, 7).seconds, kFailed);
}

TEST(Failures, AreGroupedByReasonWithoutNumbers) {
  Record record;
  for (const char* reason : {"error 0.3", "error 12", "SIGSEGV"}) {
    Trial trial;
    trial.status = Status::Crashed;
    trial.reason = reason;
    record.trials.push_back(trial);
  }
  auto groups = failure_groups(record);
  ASSERT_EQ(groups.size(), 2);
  EXPECT_EQ(groups[0].count, 2);
  EXPECT_EQ(groups[1].first, 2);
}

TEST(Position, NamesTheNearerLimit) {
  Roofline roofline{1e9, 1e9, 1e10, 1e11};
  EXPECT_EQ(position(roofline, 0.2).limiter, "bytes");
  EXPECT_DOUBLE_EQ(position(roofline, 0.2).fraction, 0.5);
  roofline.flops = 1e12;
  EXPECT_EQ(position(roofline, 20).limiter, "flops");
}

TEST(Position, OfShortCallsFarFromBothIsLatency) {
  Roofline roofline{4096, 1024, 1e10, 1e11};
  Position at = position(roofline, 5e-6);
  EXPECT_EQ(at.limiter, "latency");
  EXPECT_THAT(at.text, HasSubstr("5 us"));
}

TEST(Position, IsUnknownWithoutAMeasuredMachine) {
  EXPECT_EQ(position({1e9, 1e9, 0, 0}, 1).fraction, 0);
}

TEST(PredictionCorrelation, IsOneForTheSameOrder) {
  Record record;
  for (double s : {3.0, 1.0, 2.0, 5.0}) {
    record.trials.push_back(timed({}, s));
    record.trials.back().predicted = s * s;
  }
  EXPECT_DOUBLE_EQ(prediction_correlation(record), 1);
  record.trials.resize(2);
  EXPECT_EQ(prediction_correlation(record), 0);
}

TEST(Print, AmountsAndPercents) {
  EXPECT_EQ(print_amount(72.3e9, "B/s"), "72.3 GB/s");
  EXPECT_EQ(print_amount(512, "B"), "512 B");
  EXPECT_EQ(print_percent(0.0421), "4.2 %");
  EXPECT_EQ(print_percent(0.003), "0.30 %");
  EXPECT_EQ(print_percent(1.25), "125 %");
}

}  // namespace
}  // namespace peri::tune
