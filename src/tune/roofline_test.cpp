#include "tune/roofline.h"

#include <gtest/gtest.h>

#include "ir/parse.h"

namespace peri::tune {
namespace {

Work work(const char* text) {
  diag::Sources sources;
  diag::Diags diags(sources);
  auto kernel = ir::parse(sources.add("kernel.ir", text), diags);
  EXPECT_TRUE(kernel) << diag::render_text(diags);
  return kernel ? work_of(*kernel) : Work();
}

TEST(Work, OfAnElementwiseKernel) {
  Work found = work(R"(kernel scale
  symbol @b0: int = block of b0 hint 32
  tensor x: f32[1000] strides [1] slot 0 base 0
  tensor out: bf16[1000] strides [1] slot 1 base 1
  block b0 "tile": tile size=@b0 in 0..1000 loop 0
  root (b0) {
    %0: f32[b0:@b0] = load x[b0]
    %1: f32[b0:@b0] = exp %0
    %2: f32[b0:@b0] = mul %1, %0
    %3: bf16[b0:@b0] = cast %2
    store %3, out[b0]
  }
)");
  EXPECT_EQ(found.bytes, 1000 * 4 + 1000 * 2);
  EXPECT_EQ(found.flops, 2000) << "a cast computes nothing";
}

TEST(Work, OfADotInALoopIsThatOfTheWholeProduct) {
  Work found = work(R"(kernel matmul
  symbol @b0: int = block of b0 hint 32
  symbol @b1: int = block of b1 hint 32
  symbol @b2: int = block of b2 hint 16
  tensor x: f32[96, 1000] strides [1000, 1] slot 0 base 0
  tensor y: f32[1000, 512] strides [512, 1] slot 1 base 1
  tensor out: f32[96, 512] strides [512, 1] slot 2 base 2
  block b0 "tile_m": tile size=@b0 in 0..96 loop 0
  block b1 "tile_n": tile size=@b1 in 0..512 loop 0
  block b2 "tile_k": tile size=@b2 in 0..1000 loop 1
  root (b0, b1) {
    %0: f32 = const 0.0
    %1: f32[b0:@b0, b1:@b1] = expand %0
    %2: i64 = const 0
    %3: i64 = const 1000
    %4: f32[b0:@b0, b1:@b1] = for (b2 in %2..%3) carry (%5: f32[b0:@b0, b1:@b1] = %1) {
      %6: f32[b0:@b0, b2:@b2] = load x[b0, b2]
      %7: f32[b2:@b2, b1:@b1] = load y[b2, b1]
      %8: f32[b0:@b0, b1:@b1] = dot %6, %7, %5
      yield %8
    }
    store %4, out[b0, b1]
  }
)");
  EXPECT_EQ(found.flops, 2.0 * 96 * 512 * 1000);
  EXPECT_EQ(found.bytes, 4.0 * (96 * 1000 + 1000 * 512 + 96 * 512));
}

TEST(Work, ReadingATensorTwiceCountsOnceAndGathersCountTheirElements) {
  Work found = work(R"(kernel lookup
  symbol @b0: int = block of b0 hint 32
  tensor x: i64[100] strides [1] slot 0 base 0
  tensor table: f32[5000, 64] strides [64, 1] slot 1 base 1
  tensor out: f32[100, 64] strides [64, 1] slot 2 base 2
  block b0 "tile": tile size=@b0 in 0..100 loop 0
  root (b0) {
    %0: i64[b0:@b0] = load x[b0]
    %1: i64[b0:@b0] = load x[b0]
    %2: f32[b0:@b0, 64] = load table[gather %0, :64]
    %3: f32[b0:@b0] = sum %2, [1]
    store %2, out[b0, :64]
  }
)");
  EXPECT_EQ(found.bytes, 100 * 8 + 2 * 100 * 64 * 4);
  EXPECT_EQ(found.flops, 100 * 64);
}

}  // namespace
}  // namespace peri::tune
