// A config: the values of all knobs of one kernel, as Helion prints and reads it.
//
// An ordered JSON object: `{"block_sizes": [64, 128], "loop_orders": [[1, 0]], "num_threads": 2}`.
// Keys that several things of a kernel share are lists, one entry each in program order.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace peri::space {

using Config = nlohmann::ordered_json;

// "helion.Config(block_sizes=[64, 128], loop_orders=[[1, 0]], num_threads=2)": can be pasted into a
// decorator.
std::string print_config(const Config& config);

}  // namespace peri::space
