#include "tune/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tune/sample_record_test.h"

namespace peri::tune {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Explain, SaysWhyTheWinnerWon) {
  Record record = sample_record();
  std::string text = explain(record);
  EXPECT_THAT(text, HasSubstr("default   2.674 ms (2.621 ms to 2.755 ms), 2.31 times as long"));
  EXPECT_THAT(text, HasSubstr("limit     bytes: 72.3 GB/s of 90 GB/s that this machine reaches"));
  EXPECT_THAT(text, HasSubstr("streaming_stores         false -> true"));
  EXPECT_THAT(text, HasSubstr("runner-up: config 54"));
  EXPECT_THAT(text,
              HasSubstr("streaming_stores         true       else 1.292 ms with false (+11 %"));
  EXPECT_THAT(text, HasSubstr("rank correlation 0."));
  EXPECT_THAT(text, HasSubstr("3 failed: crashed: SIGSEGV (first: config 46)"));
  EXPECT_THAT(text, HasSubstr("noise 1.2 %; 2 timings"));
}

TEST(Explain, SaysWhetherTheResultsWereVerified) {
  Record record = sample_record();
  EXPECT_THAT(explain(record), HasSubstr("results   error 0.2 of the allowed"));
  EXPECT_TRUE(explain_json(record)["verified"]);
  record.accuracy = {.text = "not compared with the interpreter: it takes more than 2 s"};
  EXPECT_THAT(explain(record), HasSubstr("results   not verified: not compared with the interp"));
  EXPECT_FALSE(explain_json(record)["verified"]);
}

TEST(Explain, ATieIsSaidToBeOne) {
  Record record = sample_record();
  record.tie = true;
  EXPECT_THAT(explain(record), HasSubstr("a tie within the noise"));
}

TEST(Explain, ADefaultThatWon) {
  Record record = sample_record();
  record.winner = 0;
  std::string text = explain(record);
  EXPECT_THAT(text, HasSubstr("the default won"));
  EXPECT_THAT(text, Not(HasSubstr("changed from the default")));
}

TEST(Explain, ARunWithoutConfigs) {
  Record record = sample_record();
  record.trials.clear();
  EXPECT_THAT(explain(record), HasSubstr("no config was tried"));
  EXPECT_FALSE(explain_json(record).contains("time"));
}

TEST(Explain, JsonHasTheSame) {
  Record record = sample_record();
  Config json = explain_json(record);
  EXPECT_EQ(json["source"], "record");
  EXPECT_EQ(json["roofline"]["limiter"], "bytes");
  EXPECT_EQ(json["knobs"][0]["knob"], "streaming_stores");
  EXPECT_NEAR(json["knobs"][0]["loss"].get<double>(), 0.114, 0.001);
  EXPECT_EQ(json["runner_up"]["number"], 54);
  EXPECT_EQ(json["failures"].size(), 2);
}

TEST(Explain, APredictionListsItsPartsTheLongestFirst) {
  backends::Prediction prediction;
  prediction.seconds = 4e-3;
  prediction.limiter = "memory";
  prediction.parts = {{"loop :: sum", 1e-3, 0, 0, "arithmetic"},
                      {"loop :: store", 3e-3, 5e6, 0, "memory"}};
  Config config = {{"block_sizes", {4}}};
  EXPECT_THAT(explain(prediction, config, "default"),
              StartsWith("default config: helion.Config(block_sizes=[4])\n"
                         "predicted 4 ms, mostly limited by memory\n"
                         "    75 %  memory     loop :: store\n"));
  EXPECT_EQ(explain_json(prediction, config, "default")["parts"][0]["name"], "loop :: store");
  EXPECT_THAT(explain(backends::Prediction(), config, "default"), HasSubstr("no cost model"));
}

}  // namespace
}  // namespace peri::tune
