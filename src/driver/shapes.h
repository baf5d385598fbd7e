// The sizes that a kernel with dynamic shapes is tuned for: given by name on the command line, and
// found again in the arguments of a call.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "driver/arguments.h"
#include "tune/shape_table.h"

namespace peri::driver {

// "m=1024,n=4096". Fails with `bad-shape`: no NAME=SIZE, no size, a name twice.
Expected<std::map<std::string, i64>> parse_shape(const std::string& text);

// Arguments from texts NAME=SPEC. Fails as parse_argument does, with `bad-argument` for texts of
// another form, and with `unknown-size` where `shape` gives a name that no SPEC uses.
Expected<Arguments> parse_arguments(const std::vector<std::string>& texts,
                                    const std::map<std::string, i64>& shape, i64 seed,
                                    diag::Diags& diags);

// The named sizes, each where it is met first; without names, those of all tensors, named
// ARGUMENT.DIMENSION.
tune::Sizes sizes_of(const Arguments& arguments);

// The sizes that a call has at these places; none if an argument is of another kind or rank.
std::optional<std::vector<i64>> sizes_at(const std::map<std::string, check::ArgSpec>& args,
                                         const tune::Sizes& places);

}  // namespace peri::driver
