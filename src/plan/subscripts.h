// The subscripts of a load or store against the dimensions they stand for.
#pragma once

#include <functional>

#include "ir/ir.h"

namespace peri::plan {

// Calls `visit(tensor dimension, first value dimension, number of value dimensions, index)` for
// each subscript that stands for a tensor dimension.
using SubscriptVisitor = std::function<void(i64, i64, i64, const ir::Index&)>;
void for_each_subscript(const ir::Kernel& kernel, const ir::Op& op, const SubscriptVisitor& visit);

}  // namespace peri::plan
