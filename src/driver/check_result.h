// Compares results of compiled code with the interpreter's, under a tolerance that follows from
// dtypes, accumulation type and reduction length.
#pragma once

#include <string>
#include <vector>

#include "driver/reference.h"

namespace peri::driver {

// An element may differ from its reference r by
//   output_unit * |r| + unit * max(|r|, s)
// where s is the root mean square of the tensor's reference. Integers and bools must be equal.
struct Tolerance {
  double unit = 0;           // rounding of what the kernel computes and keeps on its way
  i64 reduction_length = 0;  // that `unit` was derived for
};

// `known` gives the sizes that extents of the kernel have.
Tolerance tolerance_of(const lower::Lowered& lowered,
                       const std::vector<runtime::ScalarValue>& known);

struct CheckReport {
  bool ok = true;
  double error = 0;    // where error / tolerance is largest
  double allowed = 0;  // there
  std::string where;   // "out0[3, 17]"
  std::string detail;  // "got 1.5, expected 1.25"
  i64 compared = 0;    // elements
  i64 mismatches = 0;
  i64 cells = 0, cells_run = 0;

  // "ok: largest error 1.2e-06 of 4.5e-05 allowed, 16777216 elements"
  std::string text() const;
};

// Compares what a call returned, and the tensors it wrote to among its `leaves`, with a reference
// run on the same arguments.
CheckReport check_result(const lower::Lowered& lowered, const runtime::Result& result,
                         std::span<const runtime::Leaf> leaves, const Reference& reference,
                         const Tolerance& tolerance);

// A result that others are compared with, its tensors contiguous.
struct Trusted {
  runtime::Result result;
  std::vector<double> scales;  // root mean square of each tensor
};
Trusted trust(runtime::Result result);

// Compares two results of compiled code: of a candidate config and of a trusted one. The report
// names an error only if there is a mismatch.
CheckReport compare_results(const runtime::Result& result, const Trusted& trusted,
                            const Tolerance& tolerance);

}  // namespace peri::driver
