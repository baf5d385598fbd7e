#include "tune/time_budget.h"

#include <algorithm>

namespace peri::tune {

void CompilePace::note(std::span<const Built> built, double wall) {
  if (built.empty()) return;
  double sum = 0;
  for (const Built& one : built) sum += one.verdict.seconds;
  const auto count = static_cast<double>(built.size());
  alone_ = sum / count;
  each_ = wall / count;
  is_noted_ = true;
}

i64 CompilePace::fit(i64 most, double seconds) const {
  const i64 least = is_noted_ ? 0 : 1;
  if (alone_ > seconds) return least;
  if (each_ * static_cast<double>(most) <= seconds) return most;
  return std::clamp(static_cast<i64>(seconds / each_), least, most);
}

}  // namespace peri::tune
