// Compares search strategies offline, at equal numbers of evaluations, on invented landscapes over
// the spaces of real kernels.
//
// With --model, searches have a cost model that is right about half of what matters, and tell
// configs apart by their code; both take the time of the backend's. A number is the geometric mean,
// over kernels, seeds and shapes, of the true cost of what the search found by the lowest cost
// there is: 1 is perfect. The last column is what a proposal costs.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <cmath>
#include <map>

#include "search/landscape.h"

namespace peri::search {
namespace {

constexpr i64 kPoints[] = {1, 20, 40, 80, 160, 320};
constexpr double kNoise = 0.01;

struct Arguments {
  i64 seeds = 3;
  bool model = false;
  std::string kernels, options, effort = "quick";
  std::vector<std::string> strategies;
};

struct Score {
  double log_ratios[std::size(kPoints)] = {};
  double seconds = 0;
  i64 runs = 0, evaluations = 0;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<std::unique_ptr<KernelSpace>> spaces(const std::string& wanted) {
  const std::string square = "zeros[512,512]";
  struct Subject {
    std::string kernel;
    std::vector<std::pair<std::string, std::string>> args;
  };
  const std::vector<Subject> subjects = {
      {"basic/add.py:add", {{"x", square}, {"y", square}}},
      {"basic/softmax.py:softmax", {{"x", "zeros[1000,1003]"}}},
      {"basic/matmul.py:matmul", {{"x", square}, {"y", square}}},
      {"library/attention.py:attention",
       {{"q_in", "zeros[8,1024,64]"}, {"k_in", "zeros[8,1024,64]"}, {"v_in", "zeros[8,1024,64]"}}},
  };
  std::vector<std::unique_ptr<KernelSpace>> all;
  for (const Subject& subject : subjects) {
    std::string name = subject.kernel.substr(subject.kernel.rfind(':') + 1);
    bool chosen =
        wanted.empty() || ("," + wanted + ",").find("," + name + ",") != std::string::npos;
    if (chosen) all.push_back(std::make_unique<KernelSpace>(subject.kernel, subject.args, true));
  }
  return all;
}

// Runs one search and adds it to the score.
Expected<void> run(const std::string& name, const tune::SearchOptions& options,
                   const Landscape& landscape, const driver::Compilation* model, double lowest,
                   u64 seed, Score& score) {
  tune::SearchProblem problem{.space = landscape.space(),
                              .start = landscape.start(),
                              .seeds = {},
                              .predict = {},
                              .effect = {},
                              .seed = seed};
  if (model != nullptr) {
    problem.predict = [&landscape, model](const tune::Config& config) {
      (void)model->backend->predict(model->lowered->kernel, config);
      return landscape.predict(config);
    };
    problem.effect = [model](const tune::Config& config) {
      return model->backend->print_plan(model->lowered->kernel, config);
    };
  }
  auto strategy = tune::make_strategy(name, std::move(problem), options);
  if (!strategy) return std::unexpected(strategy.error());
  struct Timed : tune::Strategy {
    tune::Strategy& inner;
    double seconds = 0;
    explicit Timed(tune::Strategy& s) : inner(s) {}
    std::string_view name() const override { return inner.name(); }
    std::string describe() const override { return inner.describe(); }
    std::vector<tune::Proposal> propose() override {
      double begin = now();
      auto proposals = inner.propose();
      seconds += now() - begin;
      return proposals;
    }
    void report(std::span<const tune::Measurement> generation) override {
      double begin = now();
      inner.report(generation);
      seconds += now() - begin;
    }
  } timed(**strategy);
  std::vector<double> best =
      replay(timed, landscape, kPoints[std::size(kPoints) - 1], kNoise, seed);
  for (std::size_t p = 0; p < std::size(kPoints); ++p) {
    auto at = std::min<std::size_t>(static_cast<std::size_t>(kPoints[p]), best.size()) - 1;
    score.log_ratios[p] += std::log(best[at] / lowest);
  }
  score.seconds += timed.seconds;
  score.evaluations += static_cast<i64>(best.size());
  ++score.runs;
  return {};
}

void print_row(const std::string& name, const Score& score) {
  std::string text = fmt::format("{:<36}", name);
  for (double log_ratio : score.log_ratios) {
    text += fmt::format(" {:7.3f}", std::exp(log_ratio / static_cast<double>(score.runs)));
  }
  fmt::print("{} {:9.2f}\n", text, 1e4 * score.seconds / static_cast<double>(score.evaluations));
}

int compare(const Arguments& arguments) {
  auto effort = tune::parse_effort(arguments.effort);
  std::map<std::string, Score> by_shape, by_kernel, total;
  for (const auto& kernel : spaces(arguments.kernels)) {
    for (Shape shape : kShapes) {
      for (u64 seed = 1; seed <= static_cast<u64>(arguments.seeds); ++seed) {
        Landscape landscape(kernel->space(), kernel->start(), shape, seed);
        double lowest = landscape.lowest();
        for (const std::string& name : arguments.strategies) {
          auto options = tune::search_options(name, *effort, arguments.options);
          Score score;
          const driver::Compilation* model = arguments.model ? &kernel->compilation() : nullptr;
          auto done = options ? run(name, *options, landscape, model, lowest, seed, score)
                              : Expected<void>(std::unexpected(options.error()));
          if (!done) {
            fmt::print(stderr, "{}: {}\n", done.error().message, done.error().hint);
            return 1;
          }
          std::string keys[] = {fmt::format("{}, {}", name, shape_name(shape)),
                                fmt::format("{}, {}", name, kernel->name()), name};
          std::map<std::string, Score>* tables[] = {&by_shape, &by_kernel, &total};
          for (int i = 0; i < 3; ++i) {
            Score& sum = (*tables[i])[keys[i]];
            for (std::size_t p = 0; p < std::size(kPoints); ++p) {
              sum.log_ratios[p] += score.log_ratios[p];
            }
            sum.seconds += score.seconds;
            sum.evaluations += score.evaluations;
            ++sum.runs;
          }
        }
      }
    }
  }
  std::string head = fmt::format("{:<36}", "found / lowest after evaluations:");
  for (i64 point : kPoints) head += fmt::format(" {:7}", point);
  for (const auto* table : {&by_shape, &by_kernel, &total}) {
    fmt::print("{} {:>9}\n", head, "ms per 10");
    for (const auto& [name, score] : *table) print_row(name, score);
  }
  return 0;
}

}  // namespace
}  // namespace peri::search

int main(int argc, char** argv) {
  peri::search::Arguments arguments;
  CLI::App app("Search strategies at equal numbers of evaluations, on invented landscapes");
  app.add_option("strategies", arguments.strategies, "strategies to compare; without: all")
      ->check(CLI::IsMember(peri::tune::strategy_names()));
  app.add_option("--seeds", arguments.seeds, "searches of each landscape")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--kernels", arguments.kernels, "comma-separated kernels to take the spaces of");
  app.add_option("--options", arguments.options, "strategies' options, as in `population=20,...`");
  app.add_option("--effort", arguments.effort, "effort to take the other options from")
      ->capture_default_str();
  app.add_flag("--model", arguments.model, "give searches a cost model that is half right");
  CLI11_PARSE(app, argc, argv);
  if (arguments.strategies.empty()) {
    for (std::string_view name : peri::tune::strategy_names()) {
      arguments.strategies.emplace_back(name);
    }
  }
  return peri::search::compare(arguments);
}
