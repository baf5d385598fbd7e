#include <set>
#include <utility>

#include "tune/strategy.h"

namespace peri::tune {

namespace {

class FiniteSearch : public Strategy {
 public:
  explicit FiniteSearch(std::vector<Config> configs) {
    std::set<std::string> seen;
    for (Config& config : configs) {
      if (seen.insert(config.dump()).second)
        proposals_.push_back({std::move(config), std::string(kListOrigin)});
    }
    count_ = proposals_.size();
  }

  std::string_view name() const override { return "FiniteSearch"; }
  std::string describe() const override { return "configs=" + std::to_string(count_); }
  std::vector<Proposal> propose() override { return std::exchange(proposals_, {}); }
  void report(std::span<const Measurement>) override {}

 private:
  std::vector<Proposal> proposals_;
  std::size_t count_ = 0;
};

}  // namespace

std::unique_ptr<Strategy> finite_search(std::vector<Config> configs) {
  return std::make_unique<FiniteSearch>(std::move(configs));
}

}  // namespace peri::tune
