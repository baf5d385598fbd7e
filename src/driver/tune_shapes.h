// Tunes one kernel for several shapes.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "driver/tune.h"

namespace peri::driver {

// One shape: a compilation of the kernel for it, and its arguments.
struct ShapeJob {
  Compilation* compilation = nullptr;
  const Arguments* arguments = nullptr;
};

struct ShapeResults {
  std::vector<tune::Record> records;  // of the first shapes, in order
  std::optional<Error> failure;       // why others have none, or were not compared
};

// A record for each shape. The budget is divided among them. Each record goes to the cache as its
// search ends, and stays there whatever becomes of the next; if the user ends it all, the failure
// is `interrupted`.
//
// With static shapes each is tuned for itself. With dynamic ones a search at each shape is followed
// by a round in which the winners of all shapes are timed in turns at each; then each shape gets a
// config within the noise of its best (see tune::choose_configs), and its record says what that is
// worth. The results become rows of one entry of the cache. Without a complete round each shape
// keeps what its own search found.
ShapeResults tune_shapes(std::span<const ShapeJob> jobs, const TuneOptions& options);

}  // namespace peri::driver
