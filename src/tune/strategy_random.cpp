#include "tune/proposer.h"
#include "tune/strategies.h"

namespace peri::tune {

namespace {

class RandomSearch : public Strategy {
 public:
  RandomSearch(SearchProblem problem, const SearchOptions& options)
      : proposer_(std::move(problem)), options_(options) {}

  std::string_view name() const override { return "RandomSearch"; }
  std::string describe() const override { return describe_options("random", options_); }

  std::vector<Proposal> propose() override {
    if (std::exchange(is_first_, false)) return proposer_.first(options_.population);
    std::vector<Proposal> proposals;
    proposer_.add_random(options_.population, proposals);
    return proposals;
  }

  void report(std::span<const Measurement>) override {}

 private:
  Proposer proposer_;
  SearchOptions options_;
  bool is_first_ = true;
};

}  // namespace

std::unique_ptr<Strategy> random_search(SearchProblem problem, const SearchOptions& options) {
  return std::make_unique<RandomSearch>(std::move(problem), options);
}

}  // namespace peri::tune
