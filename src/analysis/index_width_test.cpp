#include "analysis/index_width.h"

#include <gtest/gtest.h>

#include "analysis/memory_effects.h"
#include "ir/parse.h"

namespace peri::analysis {
namespace {

ir::Kernel parse(const std::string& text) {
  diag::Sources sources;
  diag::Diags diags(sources);
  auto kernel = ir::parse(sources.add("test.ir", text), diags);
  EXPECT_TRUE(kernel) << diag::render_text(diags);
  return kernel ? *kernel : ir::Kernel();
}

TEST(IndexWidth, CountsBytesOfTheFarthestElement) {
  ir::Kernel kernel = parse(R"(kernel widths
  symbol @s: int = arg_size leaf 0 dim 0 hint 4
  tensor small: f32[4096, 4096] strides [4096, 1]
  tensor edge: i8[2147483648] strides [1]
  tensor past: i8[2147483649] strides [1]
  tensor wide: f32[536870913] strides [1]
  tensor dynamic: f32[@s, 4] strides [4, 1]
  tensor one: f32[1, 4] strides [@s, 1]
  tensor empty: f32[0, @s] strides [@s, 1]
  tensor huge: f32[4611686018427387904, 4] strides [4, 1]
  tensor broadcast: f32[4611686018427387904] strides [0]
  tensor scalar: f32[] strides []
  block b0 "i": tile size=1 in 0..1
  root (b0) {
  }
)");
  EXPECT_EQ(fits_32_bits(kernel),
            (std::vector<bool>{true, true, false, false, false, true, true, false, true, true}));
  EXPECT_EQ(largest_offset(kernel.tensors[0]), 4096 * 4096 - 1);
  EXPECT_EQ(largest_offset(kernel.tensors[6]), 0);
  EXPECT_EQ(largest_offset(kernel.tensors[7]), std::nullopt);
}

TEST(MemoryEffects, NameStorageAndStores) {
  ir::Kernel kernel = parse(R"(kernel stores
  tensor a: f32[4] strides [1] slot 3
  tensor b: f32[4] strides [1] slot 4 base 3
  tensor c: f32[4] strides [1] slot 5
  tensor d: f32[4] strides [1]
  block b0 "i": tile size=1 in 0..4
  root (b0) {
    %0: f32[b0:1] = load a[b0]
    %1: bool = const true
    if %1 {
      store %0, b[b0]
      store %0, b[b0]
    } else {
      store %0, c[b0]
    }
  }
)");
  auto storage = [&](i64 i) { return storage_of(kernel, ir::TensorId(i)); };
  EXPECT_EQ(storage(0), storage(1));
  EXPECT_NE(storage(0), storage(2));
  EXPECT_NE(storage(2), storage(3));
  EXPECT_EQ(stored_below(kernel, kernel.roots[0].body), (std::vector<i64>{3, 5}));
}

}  // namespace
}  // namespace peri::analysis
