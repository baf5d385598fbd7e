// The passes in order, and how they are run.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/ir.h"

namespace peri::passes {

// What holds of a kernel between passes.
enum Fact : u8 {
  kCanonical = 1,  // canonicalize would change nothing but what later passes uncovered
  kNoDuplicates = 2,
  kHoisted = 4,
  kNoDeadCode = 8,
};

struct Pass {
  std::string_view name;
  bool (*run)(ir::Kernel&);  // true if the kernel changed
  u8 needs;  // facts; a pipeline without the pass that establishes them is slower, not wrong
  u8 establishes;
  std::string_view why_here;
};

// The whole list. Each pass occurs once or more; names are those of its functions.
std::span<const Pass> pipeline();

// What one pass did.
struct PassReport {
  std::string_view name;
  double seconds = 0;
  bool changed = false;  // false: "(unchanged)"
};

struct PipelineOptions {
  std::vector<std::string> off;  // names of passes that are left out
#ifdef NDEBUG
  bool verify = false;
#else
  bool verify = true;  // after every pass; a fault is a bug of the pass
#endif
  // Called after every pass with the kernel as it left it.
  std::function<void(const PassReport&, const ir::Kernel&)> after;
  // Called with the kernel before and after a pass that changed it: for comparing runs of the
  // interpreter. Returns what differs, or "".
  std::function<std::string(const ir::Kernel& before, const ir::Kernel& after)> check;
};

std::vector<PassReport> run_pipeline(ir::Kernel& kernel, const PipelineOptions& options = {});

}  // namespace peri::passes
