// Every strategy on invented costs over the spaces of real kernels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "search/landscape.h"
#include "tune/strategies.h"

namespace peri::search {
namespace {

using tune::Effort;
using tune::Proposal;

const KernelSpace& matmul() {
  static const KernelSpace kernel("basic/matmul.py:matmul",
                                  {{"x", "zeros[128,128]"}, {"y", "zeros[128,128]"}});
  return kernel;
}

const KernelSpace& softmax() {
  static const KernelSpace kernel("basic/softmax.py:softmax", {{"x", "zeros[16,40]"}});
  return kernel;
}

tune::SearchProblem problem_of(const KernelSpace& kernel, u64 seed) {
  return {.space = kernel.space(),
          .start = kernel.start(),
          .seeds = {},
          .predict = {},
          .effect = {},
          .seed = seed};
}

class StrategyTest : public testing::TestWithParam<std::string_view> {
 protected:
  std::unique_ptr<tune::Strategy> make(const KernelSpace& kernel, u64 seed) {
    auto options = tune::search_options(GetParam(), Effort::Quick, "");
    auto strategy = tune::make_strategy(GetParam(), problem_of(kernel, seed), *options);
    EXPECT_TRUE(strategy) << (strategy ? "" : strategy.error().message);
    return strategy ? std::move(*strategy) : nullptr;
  }
};

TEST_P(StrategyTest, ProposesLegalConfigsOnceFromTheDefaultOn) {
  Landscape landscape(matmul().space(), matmul().start(), Shape::Failures, 3);
  auto strategy = make(matmul(), 3);
  std::set<std::string> seen;
  for (int generation = 0; generation < 8; ++generation) {
    std::vector<tune::Measurement> measured;
    for (const auto& [config, origin] : strategy->propose()) {
      if (seen.empty()) EXPECT_EQ(config, matmul().start());
      EXPECT_EQ(origin == "default", seen.empty());
      EXPECT_TRUE(seen.insert(config.dump()).second) << config.dump();
      EXPECT_EQ(matmul().space().complete(config), config);
      EXPECT_FALSE(matmul().space().why_not(config)) << config.dump();
      measured.push_back({config, landscape.measure(config, 0.01, 1)});
    }
    strategy->report(measured);
  }
  EXPECT_GT(seen.size(), 50u);
}

TEST_P(StrategyTest, SameSeedAndMeasurementsSameSearch) {
  Landscape landscape(matmul().space(), matmul().start(), Shape::Rugged, 5);
  auto first = make(matmul(), 7), second = make(matmul(), 7);
  EXPECT_EQ(replay(*first, landscape, 80, 0.01, 1), replay(*second, landscape, 80, 0.01, 1));
  std::vector<Proposal> a = first->propose(), b = second->propose();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].config, b[i].config);
}

TEST_P(StrategyTest, EndsOnASmallSpaceHavingFoundItsBest) {
  const ConfigSpace& space = softmax().space();
  Landscape landscape(space, softmax().start(), Shape::Plateaus, 2);
  auto strategy = make(softmax(), 1);
  auto size = static_cast<i64>(space.size());
  ASSERT_LT(size, 10000);
  std::vector<double> best = replay(*strategy, landscape, size + 1, 0, 1);
  EXPECT_EQ(static_cast<i64>(best.size()), size);
  EXPECT_NEAR(best.back(), landscape.lowest(), 1e-12);
}

TEST_P(StrategyTest, SurvivesThatNothingWorks) {
  auto strategy = make(matmul(), 1);
  for (int generation = 0; generation < 5; ++generation) {
    std::vector<tune::Measurement> measured;
    for (Proposal& proposal : strategy->propose()) measured.push_back({proposal.config});
    EXPECT_FALSE(measured.empty());
    if (generation % 2 == 1) measured.clear();  // measurements may be missing
    strategy->report(measured);
  }
}

INSTANTIATE_TEST_SUITE_P(All, StrategyTest, testing::ValuesIn(tune::strategy_names()),
                         [](const auto& info) { return std::string(info.param); });

// Mean over landscapes of log(found / lowest) after `evaluations`.
double regret(std::string_view name, i64 evaluations) {
  double sum = 0;
  i64 runs = 0;
  for (Shape shape : kShapes) {
    for (u64 seed = 1; seed <= 2; ++seed, ++runs) {
      Landscape landscape(matmul().space(), matmul().start(), shape, seed);
      auto options = tune::search_options(name, Effort::Quick, "");
      auto strategy = tune::make_strategy(name, problem_of(matmul(), seed), *options);
      sum += std::log(replay(**strategy, landscape, evaluations, 0.01, seed).back() * 1e3);
    }
  }
  return sum / static_cast<double>(runs);
}

TEST(Search, AutoBeatsRandomAndEvolutionAtEqualEvaluations) {
  double automatic = regret("auto", 120);
  EXPECT_LT(automatic, regret("random", 120) - 0.02);
  EXPECT_LT(automatic, regret("de", 120) - 0.02);
}

TEST(Search, AutoWorksWithoutAModel) {
  Landscape landscape(matmul().space(), matmul().start(), Shape::Smooth, 1);
  auto options = tune::search_options("auto", Effort::Quick, "");
  auto strategy = tune::auto_search(problem_of(matmul(), 1), *options, nullptr);
  EXPECT_THAT(strategy->describe(), testing::HasSubstr("no model"));
  std::vector<double> best = replay(*strategy, landscape, 200, 0.01, 1);
  EXPECT_LT(best.back(), 0.97 * best.front());
}

TEST(Search, AMissingLibraryIsAnEnvironmentError) {
  auto model = tune::boosted_trees({}, "libthere-is-none.so");
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, "no-xgboost");
  EXPECT_THAT(model.error().message, testing::HasSubstr("libthere-is-none.so"));
  EXPECT_THAT(model.error().hint, testing::HasSubstr("libxgboost0"));
}

TEST(Search, UnknownNamesAndOptionsAreRefused) {
  auto unknown = tune::search_options("magic", Effort::Quick, "");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "unknown-strategy");
  EXPECT_THAT(unknown.error().hint, testing::HasSubstr("auto, surrogate, pattern, de, random"));
  auto near = tune::search_options("pattern", Effort::Quick, "populatoin=4");
  ASSERT_FALSE(near);
  EXPECT_EQ(near.error().code, "bad-setting");
  EXPECT_THAT(near.error().hint, testing::HasSubstr("did you mean `population`?"));
  EXPECT_FALSE(tune::search_options("random", Effort::Quick, "copies=2"));
  for (const char* bad : {"population=0", "population=1.5", "population=", "population=x"}) {
    EXPECT_FALSE(tune::search_options("pattern", Effort::Quick, bad)) << bad;
  }
  auto good = tune::search_options("pattern", Effort::Full, "population=7, copies=3");
  ASSERT_TRUE(good);
  EXPECT_EQ(tune::describe_options("pattern", *good),
            "population=7, copies=3, min_improvement=0.001");
}

}  // namespace
}  // namespace peri::search
