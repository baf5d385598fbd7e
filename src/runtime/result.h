// What a kernel returns: a tensor, a scalar, None, or a sequence of those.
#pragma once

#include <vector>

#include "base/expected.h"
#include "base/function_ref.h"
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

// `result` with what `map` makes of each tensor.
Expected<Result> map_tensors(const Result& result,
                             FunctionRef<Expected<Tensor>(const Tensor&)> map);

}  // namespace peri::runtime
