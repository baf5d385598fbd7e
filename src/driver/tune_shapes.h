// Tunes one kernel for several shapes.
#pragma once

#include <span>
#include <vector>

#include "driver/tune.h"

namespace peri::driver {

// One shape: a compilation of the kernel for it, and its arguments.
struct ShapeJob {
  Compilation* compilation = nullptr;
  const Arguments* arguments = nullptr;
};

// A record for each shape, in order. The budget is divided among them.
//
// With static shapes each is tuned for itself. With dynamic ones a search at each shape is followed
// by a round in which the winners of all shapes are timed in turns at each; then each shape gets a
// config within the noise of its best (see tune::choose_configs), and its record says what that is
// worth. The results become rows of one entry of the cache. If the user ends it, what was searched
// so far is kept.
Expected<std::vector<tune::Record>> tune_shapes(std::span<const ShapeJob> jobs,
                                                const TuneOptions& options);

}  // namespace peri::driver
