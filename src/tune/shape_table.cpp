#include "tune/shape_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace peri::tune {

std::string print_sizes(const Sizes& sizes) {
  std::string text;
  for (const NamedSize& size : sizes) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", size.name, size.size);
  }
  return text;
}

bool have_same_places(const Sizes& a, const Sizes& b) {
  return std::ranges::equal(a, b, [](const NamedSize& x, const NamedSize& y) {
    return x.argument == y.argument && x.dimension == y.dimension;
  });
}

std::vector<i64> values_of(const Sizes& sizes) {
  std::vector<i64> values;
  for (const NamedSize& size : sizes) values.push_back(size.size);
  return values;
}

ShapeTable::ShapeTable(std::span<const std::vector<i64>> rows) : order_(rows.size()) {
  std::iota(order_.begin(), order_.end(), 0);
  std::ranges::stable_sort(order_, [&](i64 a, i64 b) { return rows[a] < rows[b]; });
  for (i64 row : order_) {
    for (i64 size : rows[row]) sizes_.push_back(static_cast<double>(std::max<i64>(size, 1)));
  }
}

// Sums of logarithms are compared by the products that they are logarithms of: a ratio is one
// division, which rounds the same everywhere.
i64 ShapeTable::nearest(std::span<const i64> sizes) const {
  if (order_.size() < 2) return 0;
  double least = HUGE_VAL;
  i64 best = order_[0];
  const double* tuned = sizes_.data();
  for (i64 row : order_) {
    double distance = 1;
    for (i64 size : sizes) {
      const double here = static_cast<double>(std::max<i64>(size, 1)), there = *tuned++;
      distance *= std::max(here, there) / std::min(here, there);
    }
    if (distance < least) {
      least = distance;
      best = row;
    }
  }
  return best;
}

}  // namespace peri::tune
