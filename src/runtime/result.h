// What a kernel returns: a tensor, a scalar, None, or a sequence of those.
#pragma once

#include <vector>

#include "runtime/tensor.h"
#include "types/sym.h"

namespace peri::runtime {

struct Result {
  enum class Kind : u8 { None, Tensor, Scalar, Sequence } kind = Kind::None;
  Tensor tensor;
  SymValue scalar;
  std::vector<Result> items;
};

// The tensors and scalars of `result`, depth first.
std::vector<const Result*> flatten(const Result& result);

}  // namespace peri::runtime
