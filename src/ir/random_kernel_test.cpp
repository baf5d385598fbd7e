#include "ir/random_kernel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "ir/parse.h"
#include "ir/verify.h"

namespace peri::ir {
namespace {

TEST(RandomKernels, AreWellFormedAndReadBack) {
  for (u64 seed = 0; seed < 400; ++seed) {
    Kernel kernel = random_kernel(seed);
    std::string text = print(kernel);
    ASSERT_THAT(verify(kernel), testing::IsEmpty()) << text;
    diag::Sources sources;
    diag::Diags diags(sources);
    auto again = parse(sources.add("random", text), diags);
    ASSERT_TRUE(again) << diag::render_text(diags) << text;
    ASSERT_EQ(print(*again), text);
  }
}

TEST(RandomKernels, DependOnTheSeedAlone) {
  EXPECT_EQ(print(random_kernel(7)), print(random_kernel(7)));
  EXPECT_NE(print(random_kernel(7)), print(random_kernel(8)));
}

TEST(RandomKernels, HonourOptions) {
  for (u64 seed = 0; seed < 50; ++seed) {
    Kernel kernel = random_kernel(seed, {.steps = 10, .symbols = false, .halves = false});
    EXPECT_EQ(kernel.syms->symbol_count(), 0);
    for (const Value& value : kernel.values) EXPECT_FALSE(is_half(value.type.dtype));
  }
}

TEST(RandomKernels, HaveEveryOp) {
  std::set<OpCode> codes;
  for (u64 seed = 0; seed < 1000; ++seed) {
    for (const Op& op : random_kernel(seed).ops) codes.insert(op.code);
  }
  for (i64 i = 0; i < op_count(); ++i) {
    auto code = static_cast<OpCode>(i);
    bool absent = code == OpCode::IsNan || code == OpCode::IsInf;
    EXPECT_EQ(codes.contains(code), !absent) << info(code).text;
  }
}

}  // namespace
}  // namespace peri::ir
