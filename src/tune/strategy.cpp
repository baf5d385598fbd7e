#include "tune/strategy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/bug.h"
#include "tune/strategies.h"

namespace peri::tune {

std::span<const std::string_view> strategy_names() {
  static constexpr std::string_view kNames[] = {"auto", "surrogate", "pattern", "de", "random"};
  return kNames;
}

Expected<void> check_strategy_name(std::string_view name) {
  std::span<const std::string_view> names = strategy_names();
  if (std::ranges::find(names, name) != names.end()) return {};
  return fail("unknown-strategy", fmt::format("there is no search strategy `{}`", name),
              fmt::format("the strategies are {}", fmt::join(names, ", ")));
}

Expected<std::unique_ptr<Strategy>> make_strategy(std::string_view name, SearchProblem problem,
                                                  const SearchOptions& options) {
  if (auto known = check_strategy_name(name); !known) return std::unexpected(known.error());
  if (name == "random") return random_search(std::move(problem), options);
  if (name == "pattern") return pattern_search(std::move(problem), options);
  if (name == "de") return differential_evolution(std::move(problem), options);
  auto model = boosted_trees({options.trees, options.tree_depth, options.learning_rate});
  if (name == "auto") {
    return auto_search(std::move(problem), options, model ? std::move(*model) : nullptr);
  }
  BUG_IF(name != "surrogate", "strategy `{}` is listed but not made", name);
  if (!model) return std::unexpected(model.error());
  return surrogate_search(std::move(problem), options, std::move(*model));
}

}  // namespace peri::tune
