// Small kernels in IR text, compiled and interpreted.
#include <gtest/gtest.h>

#include "ir/parse.h"
#include "ir/random_kernel.h"
#include "run_kernel.h"

namespace peri::equiv {
namespace {

ir::Kernel parse(const std::string& text) {
  diag::Sources sources;
  diag::Diags diags(sources);
  auto kernel = ir::parse(sources.add("test.ir", text), diags);
  EXPECT_TRUE(kernel) << diag::render_text(diags);
  return std::move(*kernel);
}

void expect_equal(const std::string& text) {
  ir::Kernel kernel = parse(text);
  for (const char* level : {"host", "x86-64-v2", "x86-64-v3", "x86-64-v4"}) {
    auto backend = backends::find_backend({.cpu_level = level});
    ASSERT_TRUE(backend);
    if (!(*backend)->can_run_here()) continue;
    space::Config config = (*backend)->default_config(kernel);
    EXPECT_EQ(compare(kernel, **backend, config, 1), "") << level << "\n"
                                                         << (*backend)->print_plan(kernel, config);
  }
}

TEST(Backend, Elementwise) {
  expect_equal(R"(kernel add
  symbol @b0: int = block of b0 hint 16
  symbol @b1: int = block of b1 hint 16
  tensor x: f32[37, 129] strides [129, 1] slot 0
  tensor y: f32[37, 129] strides [1, 37] slot 1
  tensor out: f32[37, 129] strides [129, 1] slot 2
  block b0 "m": tile size=@b0 in 0..37 loop 0
  block b1 "n": tile size=@b1 in 0..129 loop 0
  root (b0, b1) {
    %0: f32[b0:@b0, b1:@b1] = load x[b0, b1]
    %1: f32[b0:@b0, b1:@b1] = load y[b0, b1]
    %2: f32[b0:@b0, b1:@b1] = exp %0
    %3: f32[b0:@b0, b1:@b1] = add %2, %1
    store %3, out[b0, b1]
  }
)");
}

TEST(Backend, Softmax) {
  expect_equal(R"(kernel softmax
  symbol @b0: int = block of b0 hint 16
  tensor x: f32[37, 131] strides [131, 1] slot 0
  tensor out: f32[37, 131] strides [131, 1] slot 2
  block b0 "m": tile size=@b0 in 0..37 loop 0
  root (b0) {
    %0: f32[b0:@b0, 131] = load x[b0, :131]
    %1: f32[b0:@b0] = reduce_max %0, [1]
    %2: f32[b0:@b0, 1] = unsqueeze %1, [1]
    %3: f32[b0:@b0, 131] = expand %2
    %4: f32[b0:@b0, 131] = sub %0, %3
    %5: f32[b0:@b0, 131] = exp %4
    %6: f32[b0:@b0] = sum %5, [1]
    %7: f32[b0:@b0, 1] = unsqueeze %6, [1]
    %8: f32[b0:@b0, 131] = expand %7
    %9: f32[b0:@b0, 131] = div %5, %8
    store %9, out[b0, :131]
  }
)");
}

TEST(Backend, Matmul) {
  expect_equal(R"(kernel matmul
  symbol @b0: int = block of b0 hint 16
  symbol @b1: int = block of b1 hint 16
  symbol @b2: int = block of b2 hint 16
  tensor x: f32[37, 129] strides [129, 1] slot 0
  tensor y: f32[129, 65] strides [65, 1] slot 1
  tensor out: f32[37, 65] strides [65, 1] slot 2
  tensor bias: f32[65] strides [1] slot 3
  block b0 "m": tile size=@b0 in 0..37 loop 0
  block b1 "n": tile size=@b1 in 0..65 loop 0
  block b2 "k": tile size=@b2 in 0..129 loop 1
  root (b0, b1) {
    %0: f32 = const 0.0
    %1: f32[b0:@b0, b1:@b1] = expand %0
    %2: i64 = const 0
    %3: i64 = const 129
    %4: f32[b0:@b0, b1:@b1] = for (b2 in %2..%3) carry (%5: f32[b0:@b0, b1:@b1] = %1) {
      %6: f32[b0:@b0, b2:@b2] = load x[b0, b2]
      %7: f32[b2:@b2, b1:@b1] = load y[b2, b1]
      %8: f32[b0:@b0, b1:@b1] = dot %6, %7, %5
      yield %8
    }
    %9: f32[b1:@b1] = load bias[b1]
    %10: f32[1, b1:@b1] = unsqueeze %9, [0]
    %11: f32[b0:@b0, b1:@b1] = expand %10
    %12: f32[b0:@b0, b1:@b1] = add %4, %11
    store %12, out[b0, b1]
  }
)");
}

TEST(Backend, RandomKernels) {
  auto backend = backends::find_backend({});
  ASSERT_TRUE(backend);
  for (u64 seed = 0; seed < 150; ++seed) {
    ir::Kernel kernel = ir::random_kernel(seed);
    space::Config config = (*backend)->default_config(kernel);
    EXPECT_EQ(compare(kernel, **backend, config, seed), "")
        << "seed " << seed << "\n"
        << config.dump() << "\n"
        << ir::print(kernel) << (*backend)->print_plan(kernel, config);
  }
}

}  // namespace
}  // namespace peri::equiv
