// Every strategy on invented costs over the spaces of real kernels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "search/landscape.h"
#include "tune/stopping.h"
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

TEST_P(StrategyTest, ProposesOneOfConfigsThatMakeTheSameCode) {
  tune::SearchProblem problem = problem_of(matmul(), 1);
  problem.effect = [](const Config& config) { return config["block_sizes"].dump(); };
  auto options = tune::search_options(GetParam(), Effort::Quick, "");
  auto strategy = tune::make_strategy(GetParam(), std::move(problem), *options);
  std::set<std::string> seen;
  for (int generation = 0; generation < 8; ++generation) {
    std::vector<tune::Measurement> measured;
    for (const Proposal& proposal : (*strategy)->propose()) {
      std::string effect = proposal.config["block_sizes"].dump();
      EXPECT_TRUE(seen.insert(effect).second) << effect;
      measured.push_back({proposal.config, 1e-3 + 1e-6 * static_cast<double>(seen.size())});
    }
    (*strategy)->report(measured);
  }
  EXPECT_GT(seen.size(), 40u);
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

constexpr i64 kEvaluations = 100;

struct Course {
  std::vector<double> best;  // after each evaluation
  double lowest = 0;
};

// Of a strategy on twenty landscapes; computed once.
const std::vector<Course>& courses(const std::string& name) {
  static std::map<std::string, std::vector<Course>> known;
  std::vector<Course>& courses = known[name];
  for (Shape shape : kShapes) {
    for (u64 seed = 1; seed <= 4 && courses.size() < 20; ++seed) {
      Landscape landscape(matmul().space(), matmul().start(), shape, seed);
      auto options = tune::search_options(name, Effort::Quick, "");
      auto strategy = tune::make_strategy(name, problem_of(matmul(), seed), *options);
      courses.push_back({replay(**strategy, landscape, kEvaluations, 0.02, seed),
                         name == "auto" ? landscape.lowest() : 0});
    }
  }
  return courses;
}

// log seconds after `evaluations`, one a landscape.
std::vector<double> found_by(const std::string& name, i64 evaluations) {
  std::vector<double> found;
  for (const Course& course : courses(name))
    found.push_back(std::log(course.best[evaluations - 1]));
  return found;
}

double mean(const std::vector<double>& values) {
  return std::reduce(values.begin(), values.end()) / static_cast<double>(values.size());
}

// How many standard errors the mean of a - b is below zero.
double standard_errors_below(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> differences, squares;
  for (std::size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  double middle = mean(differences);
  for (double d : differences) squares.push_back((d - middle) * (d - middle));
  return -middle / std::sqrt(mean(squares) / static_cast<double>(a.size() - 1));
}

// Four standard errors in twenty pairs: one in some thousands by chance.
TEST(Search, ModelsBeatTheOthersAtEqualEvaluations) {
  for (const char* other : {"random", "de", "pattern"}) {
    std::vector<double> others = found_by(other, kEvaluations);
    EXPECT_GT(standard_errors_below(found_by("auto", kEvaluations), others), 4) << other;
    EXPECT_GT(standard_errors_below(found_by("surrogate", kEvaluations), others), 4) << other;
  }
}

TEST(Search, AutoIsAheadWithinTheFirstForty) {
  for (const char* other : {"random", "de", "pattern", "surrogate"}) {
    EXPECT_GT(standard_errors_below(found_by("auto", 40), found_by(other, 40)), 3) << other;
  }
}

TEST(Search, AutoClosesMostOfTheGapToTheBest) {
  double gap = 0, left = 0;
  for (const Course& course : courses("auto")) {
    gap += std::log(course.best.front() / course.lowest);
    left += std::log(course.best.back() / course.lowest);
  }
  EXPECT_LT(left, 0.4 * gap);
}

TEST(Search, ModelsComeNearTheBestOfAllConfigs) {
  for (Shape shape : kShapes) {
    Landscape landscape(softmax().space(), softmax().start(), shape, 4);
    auto size = static_cast<i64>(softmax().space().size());
    auto all = tune::make_strategy("random", problem_of(softmax(), 1), {});
    double best = replay(**all, landscape, size, 0, 1).back();
    for (const char* name : {"auto", "surrogate"}) {
      auto options = tune::search_options(name, Effort::Quick, "");
      auto strategy = tune::make_strategy(name, problem_of(softmax(), 1), *options);
      std::vector<double> found = replay(**strategy, landscape, 100, 0.01, 1);
      EXPECT_LT(found.back(), 1.05 * best) << name << " on " << shape_name(shape);
    }
  }
}

TEST(Search, AutoStopsOnceLittleIsLeft) {
  double missed = 0;
  for (Shape shape : kShapes) {
    Landscape landscape(matmul().space(), matmul().start(), shape, 1);
    auto options = tune::search_options("auto", Effort::Quick, "");
    auto strategy = tune::make_strategy("auto", problem_of(matmul(), 1), *options);
    std::vector<double> best = replay(**strategy, landscape, 1600, 0.01, 1);
    std::vector<tune::Measurement> history;
    for (double seconds : best) {
      history.push_back({{}, seconds});
      if (history.size() >= 40 && tune::expected_gain(history) < 0.01) break;
    }
    ASSERT_LT(history.size(), 800u) << shape_name(shape);
    missed += std::log(history.back().seconds / best[2 * history.size() - 1]);
  }
  EXPECT_LT(missed / 5, 0.02);
}

TEST(Search, AutoStartsWithTheCostModelsFavourites) {
  Landscape landscape(matmul().space(), matmul().start(), Shape::Smooth, 2);
  tune::SearchProblem problem = problem_of(matmul(), 1);
  problem.predict = [&](const Config& config) { return landscape.cost(config); };
  double start = landscape.cost(matmul().start());
  auto options = tune::search_options("auto", Effort::Quick, "");
  auto strategy = tune::make_strategy("auto", std::move(problem), *options);
  std::vector<Proposal> first = (*strategy)->propose();
  EXPECT_EQ(first.size(), 8u);
  EXPECT_EQ(first[0].origin, "default");
  for (int i = 1; i <= 4; ++i) EXPECT_EQ(first[i].origin, "cost model");
  EXPECT_LT(landscape.cost(first[1].config), start);
  EXPECT_LE(landscape.cost(first[1].config), landscape.cost(first[4].config));
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
