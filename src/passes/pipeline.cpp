#include "passes/pipeline.h"

#include <algorithm>
#include <chrono>

#include "base/bug.h"
#include "ir/verify.h"
#include "passes/canonicalize.h"
#include "passes/eliminate_common_subexpressions.h"
#include "passes/eliminate_dead_code.h"
#include "passes/hoist_invariants.h"

namespace peri::passes {

namespace {

constexpr Pass kPipeline[] = {
    {"canonicalize", canonicalize, 0, kCanonical,
     "lowering writes what the source says; one spelling per idea comes first"},
    {"eliminate_common_subexpressions", eliminate_common_subexpressions, kCanonical, kNoDuplicates,
     "equal values have equal spelling now, and only one copy should move"},
    {"hoist_invariants", hoist_invariants, kNoDuplicates, kHoisted,
     "what is left in a loop is what its iterations cost"},
    {"canonicalize", canonicalize, kNoDuplicates, kCanonical,
     "operands that are one value now, and values that no longer change in a loop, open rules"},
    {"eliminate_common_subexpressions", eliminate_common_subexpressions, kHoisted, kNoDuplicates,
     "loops hoist equal values to one place, and rules write the same constants again"},
    {"eliminate_dead_code", eliminate_dead_code, 0, kNoDeadCode,
     "the passes before leave ops without users, which nobody should plan for"},
};

bool is_off(const Pass& pass, const PipelineOptions& options) {
  return std::ranges::count(options.off, pass.name) > 0;
}

PassReport run_timed(const Pass& pass, ir::Kernel& kernel) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
  bool changed = pass.run(kernel);
  return {pass.name, std::chrono::duration<double>(Clock::now() - start).count(), changed};
}

void verify_after(const Pass& pass, const ir::Kernel& kernel) {
  std::vector<std::string> faults = ir::verify(kernel);
  BUG_IF(!faults.empty(), "after pass {}: {}\n{}", pass.name, faults[0], ir::print(kernel));
}

void check_after(const Pass& pass, const PipelineOptions& options, const ir::Kernel& before,
                 const ir::Kernel& after) {
  std::string difference = options.check(before, after);
  BUG_IF(!difference.empty(), "pass {} changes results: {}\n{}", pass.name, difference,
         ir::print(before));
}

}  // namespace

std::span<const Pass> pipeline() { return kPipeline; }

std::vector<PassReport> run_pipeline(ir::Kernel& kernel, const PipelineOptions& options) {
  std::vector<PassReport> reports;
  for (const Pass& pass : kPipeline) {
    if (is_off(pass, options)) continue;
    ir::Kernel before = options.check ? kernel : ir::Kernel();
    reports.push_back(run_timed(pass, kernel));
    if (options.verify) verify_after(pass, kernel);
    if (options.check && reports.back().changed) check_after(pass, options, before, kernel);
    if (options.after) options.after(reports.back(), kernel);
  }
  return reports;
}

}  // namespace peri::passes
