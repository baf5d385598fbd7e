// Tunes a compiled kernel on its arguments and keeps the best config in the cache.
#pragma once

#include "driver/arguments.h"
#include "driver/compile.h"
#include "tune/session.h"

namespace peri::driver {

// Runs the phases up to `space` if they have not run; then searches with the strategy and seed of
// the settings, or among the decorator's configs if it gives several. The best config becomes the
// compilation's, with origin "tuned", and goes to the cache. Candidates work on copies of the
// arguments, which are restored for each candidate's check.
Expected<tune::Outcome> tune_kernel(Compilation& c, const Arguments& arguments,
                                    tune::SessionOptions options);

}  // namespace peri::driver
