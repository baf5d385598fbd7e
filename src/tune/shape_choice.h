// Which config each of several shapes gets, when all winners have been timed at all shapes.
#pragma once

#include <vector>

#include "base/ids.h"

namespace peri::tune {

// What is known at one shape, by config.
struct ShapeTimes {
  std::vector<double> seconds;  // of a call; infinite: it cannot be used here
  std::vector<bool> ties;       // within the noise of the best one
  i64 best() const;             // the fastest
};

// A config for each shape. Each is within the noise of the shape's best; of those that are, shapes
// share as few as a greedy choice finds: the config that serves most shapes first, the earlier one
// where two serve as many. Every shape must have a config that can be used.
std::vector<i64> choose_configs(const std::vector<ShapeTimes>& shapes);

}  // namespace peri::tune
