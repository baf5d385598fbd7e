// What a compilation is about, as tuned configs and records name it.
#pragma once

#include "driver/arguments.h"
#include "driver/compile.h"
#include "tune/record.h"

namespace peri::driver {

// Version of Perihelion and of the code generator: part of keys.
std::string compiler_version(const Compilation& c);

// Equal for kernels whose configs mean the same: name and knobs, whatever the sizes, the machine
// and the rest of the text.
std::string structure_hash(const Compilation& c);

// All but `arguments`. The phases up to `space` must have run.
tune::Subject subject_of(const Compilation& c);

// Each argument as "NAME=SPEC", from which parse_argument makes one of the same dtype, shape and
// strides: with the same contents if it was written as SPEC, with random ones of the same range
// otherwise.
std::vector<std::string> argument_texts(const Arguments& arguments);

// Keys of a legal config without effect, as space::idle_keys finds them by the plans. Not the sizes
// of blocks and the kernel's own tunables, which host code may use too.
std::vector<std::string> idle_keys(const Compilation& c, const space::Config& config);

// What a user types to tune for the arguments of a request.
std::string tune_command(const Request& request, const std::string& kernel);

// By how much two specialisations differ: 0 if they are the same, the summed binary logarithms of
// the ratios of their numbers if only these differ, infinite otherwise.
double distance(std::string_view a, std::string_view b);

// In words what of a differs from b: "kernel text", "arguments", "target", "machine" or, of the
// same device, "driver", "compiler", "threads", "passes left out".
std::vector<std::string> differences(const tune::Subject& a, const tune::Subject& b);

}  // namespace peri::driver
