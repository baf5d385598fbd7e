// The strategies one by one; make_strategy() picks among them.
#pragma once

#include "tune/boosted_trees.h"
#include "tune/strategy.h"

namespace peri::tune {

// Random points, `population` at a time, until the space is used up.
std::unique_ptr<Strategy> random_search(SearchProblem problem, const SearchOptions& options);

// From the best points of a first generation: every change of one knob by one step, and of two
// block sizes at once, until nothing improves; then again from new random points.
std::unique_ptr<Strategy> pattern_search(SearchProblem problem, const SearchOptions& options);

// A population whose members compete with mutants of the others.
std::unique_ptr<Strategy> differential_evolution(SearchProblem problem,
                                                 const SearchOptions& options);

// A random first generation; then, of many points near the fastest, those that the model predicts
// to be fast.
std::unique_ptr<Strategy> surrogate_search(SearchProblem problem, const SearchOptions& options,
                                           std::unique_ptr<CostPredictor> model);

// The default: after the cost model's favourites and some variants of the fastest, improves the
// fastest points as the model ranks their neighbours, and looks elsewhere when nothing improves.
// Without `model` it takes neighbours in their order.
std::unique_ptr<Strategy> auto_search(SearchProblem problem, const SearchOptions& options,
                                      std::unique_ptr<CostPredictor> model);

}  // namespace peri::tune
