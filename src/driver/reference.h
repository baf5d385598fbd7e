// Runs the host program of a specialised kernel through the interpreter, in float64 or rounded:
// what results of compiled code are checked against.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/expected.h"
#include "interp/interp.h"
#include "lower/lower.h"
#include "runtime/executor.h"

namespace peri::driver {

struct ReferenceOptions {
  bool exact = true;  // f64 throughout; else every op rounds to its dtype
  double budget = 0;  // seconds after which the cells of the last root are sampled; 0: no limit
  double limit = 0;   // seconds after which it gives up, where sampling is no help; 0: none
  u64 seed = 0;       // of the sample
};

// A kernel's results as the interpreter has them: tensors are contiguous and of f64 or i64.
struct Reference {
  runtime::Result result;
  std::vector<runtime::Tensor> arguments;  // by leaf, after the call: those that it may write to
  i64 cells = 0;                           // of the last root
  i64 cells_run = 0;
  bool is_sampled() const { return cells_run < cells; }
};

// Leaves whose tensors a call may write to.
std::set<i64> written_leaves(const lower::Lowered& lowered);

// Elements that no sampled cell has written hold this value.
bool is_unwritten(double value);
bool is_unwritten(i64 value);

// `known`: values of the config symbols. The arguments are not changed. Fails with
// `reference-too-slow` at the limit: cells of roots before the last cannot be sampled.
Expected<Reference> run_reference(const lower::Lowered& lowered,
                                  std::vector<runtime::ScalarValue> known,
                                  std::span<const runtime::Leaf> leaves,
                                  const ReferenceOptions& options = {});

}  // namespace peri::driver
