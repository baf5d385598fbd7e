// Inputs for kernels: tensors that depend on their seed alone, the same on every machine and on any
// number of threads.
#pragma once

#include <vector>

#include "runtime/tensor.h"

namespace peri::runtime {

// All are made as double or i64 and converted as Tensor elements are. Sizes as for empty().

Tensor randn(Dtype dtype, std::vector<i64> sizes, u64 seed);  // normal: mean 0, variance 1
// Uniform in [0, 1), in steps that the dtype holds exactly: 1 does not occur.
Tensor rand(Dtype dtype, std::vector<i64> sizes, u64 seed);
// Uniform in [low, high), low < high.
Tensor randint(Dtype dtype, std::vector<i64> sizes, i64 low, i64 high, u64 seed);
// start, start + step, ...
Tensor arange(Dtype dtype, i64 count, i64 start = 0, i64 step = 1);
Tensor full(Dtype dtype, std::vector<i64> sizes, double value);
// Values that suit tests of a kernel: normal for floats, small integers, fair coins for bool.
Tensor random_input(Dtype dtype, std::vector<i64> sizes, u64 seed);

}  // namespace peri::runtime
