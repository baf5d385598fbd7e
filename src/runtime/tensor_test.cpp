#include "runtime/tensor.h"

#include <gtest/gtest.h>

#include <limits>

#include "runtime/allocator.h"

namespace peri::runtime {
namespace {

constexpr i64 kMaxI64 = std::numeric_limits<i64>::max();

Tensor iota(Dtype dtype, std::vector<i64> sizes) {
  Tensor tensor = empty(dtype, std::move(sizes));
  for (i64 i = 0; i < tensor.numel(); ++i) set_integer(tensor, i, i);
  return tensor;
}

Tensor transposed(Tensor tensor) {
  std::swap(tensor.sizes[0], tensor.sizes[1]);
  std::swap(tensor.strides[0], tensor.strides[1]);
  return tensor;
}

TEST(Tensor, ShapeAndDescription) {
  const Tensor tensor = zeros(Dtype::F32, {4, 3});
  EXPECT_EQ(tensor.numel(), 12);
  EXPECT_EQ(tensor.strides, (std::vector<i64>{3, 1}));
  EXPECT_TRUE(tensor.is_contiguous());
  EXPECT_EQ(tensor.describe(), "f32[4, 3]");
  EXPECT_EQ(transposed(tensor).describe(), "f32[3, 4] strides [1, 3]");
  EXPECT_EQ(get_real(tensor, 11), 0);
  EXPECT_EQ(zeros(Dtype::I64, {}).numel(), 1);
  EXPECT_EQ(zeros(Dtype::I64, {}).describe(), "i64[]");
  EXPECT_EQ(zeros(Dtype::I64, {3, 0, 2}).numel(), 0);
  EXPECT_TRUE(zeros(Dtype::I64, {3, 0, 2}).is_contiguous());
}

TEST(Tensor, StoragesAreAlignedSharedAndReturned) {
  const i64 before = host_allocator().stats().live_bytes;
  {
    Tensor tensor = empty(Dtype::F32, {100});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data()) % 64, 0U);
    Tensor view = tensor;
    view.offset = 10;
    tensor = Tensor();
    set_real(view, 0, 3);
    EXPECT_GT(host_allocator().stats().live_bytes, before);
  }
  EXPECT_EQ(host_allocator().stats().live_bytes, before);
}

TEST(Tensor, AbsurdSizesAreErrors) {
  EXPECT_EQ(try_empty(Dtype::F32, {-1}).error().code, "tensor-size");
  EXPECT_EQ(try_empty(Dtype::F32, {kMaxI64, 2}).error().code, "tensor-size");
  EXPECT_EQ(try_empty(Dtype::F32, {0, kMaxI64, kMaxI64}).error().code, "tensor-size");
  const auto huge = try_empty(Dtype::F32, {i64{1} << 40, 1024});
  EXPECT_EQ(huge.error().code, "out-of-memory");
  EXPECT_EQ(huge.error().message, "cannot allocate 4.0 PiB for f32[1099511627776, 1024]");
}

TEST(Tensor, ElementsOfEveryDtype) {
  for (i64 d = 0; d < kDtypeCount; ++d) {
    const auto dtype = static_cast<Dtype>(d);
    const Tensor tensor = zeros(dtype, {2, 2});
    set_real(tensor, 1, 1);
    set_integer(tensor, 2, 1);
    EXPECT_EQ(get_real(tensor, 1), 1) << name_of(dtype);
    EXPECT_EQ(get_integer(tensor, 2), 1) << name_of(dtype);
    EXPECT_EQ(get_integer(tensor, 3), 0) << name_of(dtype);
  }
}

TEST(Tensor, StoresAsTorchConverts) {
  const Tensor u8s = zeros(Dtype::U8, {1});
  set_integer(u8s, 0, 257);
  EXPECT_EQ(get_integer(u8s, 0), 1);
  set_real(u8s, 0, -1.5);
  EXPECT_EQ(get_integer(u8s, 0), 255);
  const Tensor i64s = zeros(Dtype::I64, {1});
  set_real(i64s, 0, -2.9);
  EXPECT_EQ(get_integer(i64s, 0), -2);
  set_real(i64s, 0, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(get_integer(i64s, 0), std::numeric_limits<i64>::min());
  const Tensor bools = zeros(Dtype::Bool, {1});
  set_real(bools, 0, 0.25);
  EXPECT_EQ(get_integer(bools, 0), 1);
  const Tensor half = zeros(Dtype::F16, {1});
  set_real(half, 0, 1.0 / 3);
  EXPECT_EQ(get_real(half, 0), 0.333251953125);
}

TEST(Tensor, ConvertsStridedTensors) {
  const Tensor source = transposed(iota(Dtype::I32, {3, 4}));
  const Tensor result = convert(source, Dtype::F16);
  EXPECT_TRUE(result.is_contiguous());
  EXPECT_EQ(result.sizes, (std::vector<i64>{4, 3}));
  for (i64 i = 0; i < 12; ++i) EXPECT_EQ(get_real(result, i), get_integer(source, i));
  EXPECT_EQ(get_real(result, 1), 4);

  Tensor expanded = iota(Dtype::F32, {1, 3});
  expanded.sizes[0] = 5;
  expanded.strides[0] = 0;
  const Tensor dense = convert(expanded, Dtype::F32);
  EXPECT_EQ(get_real(dense, 14), 2);
  EXPECT_EQ(get_real(dense, 3), 0);

  Tensor cube = iota(Dtype::I64, {2, 3, 4});
  std::swap(cube.sizes[0], cube.sizes[2]);
  std::swap(cube.strides[0], cube.strides[2]);
  const Tensor copied = convert(cube, Dtype::I64);
  for (i64 i = 0; i < 24; ++i) EXPECT_EQ(get_integer(copied, i), get_integer(cube, i));
  EXPECT_EQ(convert(zeros(Dtype::F32, {0, 3}), Dtype::I8).numel(), 0);
}

}  // namespace
}  // namespace peri::runtime
