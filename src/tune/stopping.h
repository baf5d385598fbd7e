// When to stop a search that has no budget.
#pragma once

#include <span>

#include "tune/strategy.h"

namespace peri::tune {

// The relative improvement of the best time (0.01: 1 %) that measuring as many configs again may
// bring; 1 while too few configs worked to say.
//
// Improvements thin out as records do: of independent draws, each doubling of their number brings
// about as much as the one before. So the gain to come is the sum of the gains so far, each in
// logarithms and weighted by how late it came: one at config t of n counts (t / n)^2.
double expected_gain(std::span<const Measurement> history);

}  // namespace peri::tune
