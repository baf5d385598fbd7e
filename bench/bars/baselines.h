// What kernels are measured against: library matmuls and plain streaming copies, on touched memory.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/ids.h"

namespace peri::bench {

// C[m, n] = A[m, k] B[k, n], f32, row-major, on `threads` threads; operands are kept by the
// function.
std::function<void()> onednn_sgemm(i64 m, i64 k, i64 n, i64 threads);
std::function<void()> openblas_sgemm(i64 m, i64 k, i64 n, i64 threads);
// Copies bytes / 2 to another place: reads and writes `bytes` in all.
std::function<void()> streaming_copy(i64 bytes);
// Reads `bytes` once.
std::function<void()> streaming_read(i64 bytes);

// Bytes a second that one core copies (counting both directions).
double copy_bandwidth();

}  // namespace peri::bench
