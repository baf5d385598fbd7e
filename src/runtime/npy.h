// NumPy's .npy files: versions 1 to 3 are read, version 1 is written.
//
// Codes: `npy-magic` (no .npy file), `npy-version`, `npy-header` (malformed), `npy-dtype` (no dtype
// of ours), `npy-shape` (impossible), `npy-truncated`, `npy-trailing` (bytes after the data),
// `npy-value` (an unsigned 64-bit value beyond i64), besides those of base/files.h and
// `out-of-memory`.
#pragma once

#include <span>
#include <string>

#include "base/expected.h"
#include "runtime/tensor.h"

namespace peri::runtime {

// Either byte order; u2 becomes i32, u4 and u8 become i64. Fortran order becomes strides.
Expected<Tensor> read_npy(const std::string& path);
Expected<Tensor> parse_npy(std::span<const std::byte> bytes);

// f16 and bf16 are written as float32, which holds them exactly. Replaces `path` as a whole.
Expected<void> write_npy(const std::string& path, const Tensor& tensor);

}  // namespace peri::runtime
