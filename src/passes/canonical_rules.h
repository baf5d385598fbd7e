// The rules of canonicalize by family. Each returns true if it changed or removed the op.
#pragma once

#include "passes/rewriter.h"

namespace peri::passes {

bool fold_constants(Rewriter& rewriter, ir::OpId id);
bool simplify_arithmetic(Rewriter& rewriter, ir::OpId id);
bool simplify_cast(Rewriter& rewriter, ir::OpId id);
bool simplify_splats(Rewriter& rewriter, ir::OpId id);
bool simplify_view(Rewriter& rewriter, ir::OpId id);
bool simplify_access(Rewriter& rewriter, ir::OpId id);
bool simplify_control(Rewriter& rewriter, ir::OpId id);

}  // namespace peri::passes
