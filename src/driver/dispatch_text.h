// What calls of a kernel with dynamic shapes get, in words and as JSON.
#pragma once

#include <string>
#include <vector>

#include "driver/tuned_store.h"

namespace peri::driver {

// For each row its sizes, config, time, regret (how much longer a call takes than with the best
// config known at these sizes), and the same with the config of its neighbour: what sharing that
// would cost. The smallest sizes first. Empty for static shapes.
std::string print_rows(const std::vector<const TunedRow*>& rows);
space::Config rows_json(const std::vector<const TunedRow*>& rows);

}  // namespace peri::driver
