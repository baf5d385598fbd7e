#include "passes/canonicalize.h"

#include "base/bug.h"
#include "passes/canonical_rules.h"

namespace peri::passes {

namespace {

bool simplify(Rewriter& rewriter, ir::OpId id) {
  for (auto* rule : {fold_constants, simplify_splats, simplify_arithmetic, simplify_cast,
                     simplify_view, simplify_access, simplify_control}) {
    if (rule(rewriter, id)) return true;
  }
  return false;
}

// A sweep leaves little: what a loop's body reveals about its carried values.
constexpr int kMaxSweeps = 100;

}  // namespace

bool canonicalize(ir::Kernel& kernel) {
  bool changed = false;
  for (int sweep = 0; Rewriter(kernel, simplify).run(); ++sweep) {
    BUG_IF(sweep == kMaxSweeps, "canonicalize does not come to rest on `{}`", kernel.name);
    changed = true;
  }
  return changed;
}

}  // namespace peri::passes
