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

// Configs measured before a search may end for want of gain.
constexpr std::size_t kLeastHistory = 40;

// How much of a search seems to be over after `tried` configs: half of it when its gain is first
// estimated (less than 0: it is not yet), all of it when that is too small.
double searched_share(std::size_t tried, double gain, double least_gain);

}  // namespace peri::tune
