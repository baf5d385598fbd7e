// Which of several tuned shapes a call's sizes are nearest to.
//
// A kernel with dynamic shapes can be tuned for several combinations of sizes. A call gets the
// config of the nearest one: that with the smallest sum over the sizes of |log(size / tuned size)|,
// the smaller sizes where two are equally near. So every call has one, whatever its sizes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/ids.h"

namespace peri::tune {

// A size that varies from call to call: its name, where a call has it (an argument, or an item of
// one as "xs[0]", and a dimension of it), and its value.
struct NamedSize {
  std::string name;
  std::string argument;
  i64 dimension = 0;
  i64 size = 0;
  bool operator==(const NamedSize&) const = default;
};
using Sizes = std::vector<NamedSize>;

// "m=16,n=4096"
std::string print_sizes(const Sizes& sizes);
// Whether both are read from the same dimensions of a call.
bool have_same_places(const Sizes& a, const Sizes& b);
// The values alone.
std::vector<i64> values_of(const Sizes& sizes);

// Look-ups take some nanoseconds for each size of each row.
class ShapeTable {
 public:
  // All rows have the same number of sizes. Sizes below 1 count as 1.
  explicit ShapeTable(std::span<const std::vector<i64>> rows = {});

  i64 row_count() const { return static_cast<i64>(order_.size()); }
  // Index of the row; 0 if there is at most one.
  i64 nearest(std::span<const i64> sizes) const;

 private:
  std::vector<i64> order_;     // index of the row, by position in `sizes_`
  std::vector<double> sizes_;  // of the rows in lexical order
};

}  // namespace peri::tune
