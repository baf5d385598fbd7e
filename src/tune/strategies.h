// The strategies one by one; make_strategy() picks among them.
#pragma once

#include "tune/strategy.h"

namespace peri::tune {

// Random points, `population` at a time, until the space is used up.
std::unique_ptr<Strategy> random_search(SearchProblem problem, const SearchOptions& options);

// From the best points of a first generation: every change of one knob by one step, and of two
// block sizes at once, until nothing improves; then again from new random points.
std::unique_ptr<Strategy> pattern_search(SearchProblem problem, const SearchOptions& options);

}  // namespace peri::tune
