// Tensors: dtype, sizes, strides in elements, shared storage.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/expected.h"
#include "types/dtype.h"

namespace peri::runtime {

class Device;

// A block of bytes, freed to the allocator it came from when the last tensor drops it.
struct Storage {
  std::byte* data = nullptr;
  i64 bytes = 0;
  std::shared_ptr<void> owner{};  // keeps `data` alive
  Device* device = nullptr;       // whose memory `data` points into; null: the host's
};

// A strided view of a storage. Copies share the storage. Strides are in elements and may be 0
// (expanded) but not negative.
struct Tensor {
  Dtype dtype = Dtype::F32;
  std::vector<i64> sizes{};
  std::vector<i64> strides{};
  Storage storage{};
  i64 offset = 0;  // in elements

  i64 rank() const { return static_cast<i64>(sizes.size()); }
  i64 numel() const;
  std::byte* data() const { return storage.data + offset * size_of(dtype); }
  bool is_contiguous() const;
  std::string describe() const;  // "f32[4096, 1024]", with strides if not contiguous
};

// Row-major strides of `sizes`.
std::vector<i64> contiguous_strides(const std::vector<i64>& sizes);

// A block of the caching allocator; fails with `out-of-memory`.
Expected<Storage> allocate(i64 bytes);

// Allocates from the caching allocator; contents are whatever was there. Errors: `tensor-size` (a
// negative size, or more elements than 63 bits count) and `out-of-memory`.
Expected<Tensor> try_empty(Dtype dtype, std::vector<i64> sizes);
// For sizes known to be sane: an error stops the program.
Tensor empty(Dtype dtype, std::vector<i64> sizes);
Tensor zeros(Dtype dtype, std::vector<i64> sizes);

// Element access by linear (row-major, logical) index, for tests, checks and files; not for speed.
// Of tensors on the host.
// Integers wrap, floats become integers towards zero, halves convert through float.
double get_real(const Tensor& tensor, i64 linear);
i64 get_integer(const Tensor& tensor, i64 linear);
void set_real(const Tensor& tensor, i64 linear, double value);
void set_integer(const Tensor& tensor, i64 linear, i64 value);

// A contiguous copy converted to `dtype`, of a tensor on the host.
Tensor convert(const Tensor& tensor, Dtype dtype);

}  // namespace peri::runtime
