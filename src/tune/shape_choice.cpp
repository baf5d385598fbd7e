#include "tune/shape_choice.h"

#include <algorithm>
#include <cmath>

#include "base/bug.h"

namespace peri::tune {

i64 ShapeTimes::best() const { return std::ranges::min_element(seconds) - seconds.begin(); }

std::vector<i64> choose_configs(const std::vector<ShapeTimes>& shapes) {
  std::vector<i64> chosen(shapes.size(), -1);
  auto serves = [&](i64 config, std::size_t shape) {
    const ShapeTimes& times = shapes[shape];
    return std::isfinite(times.seconds[config]) && (times.ties[config] || config == times.best());
  };
  const i64 configs = shapes.empty() ? 0 : static_cast<i64>(shapes[0].seconds.size());
  while (std::ranges::count(chosen, -1) > 0) {
    i64 most = 0, winner = -1;
    for (i64 config = 0; config < configs; ++config) {
      i64 served = 0;
      for (std::size_t s = 0; s < shapes.size(); ++s) {
        if (chosen[s] < 0 && serves(config, s)) ++served;
      }
      if (served > most) {
        most = served;
        winner = config;
      }
    }
    BUG_IF(winner < 0, "a shape has no usable config");
    for (std::size_t s = 0; s < shapes.size(); ++s) {
      if (chosen[s] < 0 && serves(winner, s)) chosen[s] = winner;
    }
  }
  return chosen;
}

}  // namespace peri::tune
