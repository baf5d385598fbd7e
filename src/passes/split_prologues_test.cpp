#include "passes/split_prologues.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files.h"
#include "ir/verify.h"
#include "lower/testing.h"
#include "passes/compare_runs.h"
#include "passes/pipeline.h"

namespace peri::passes {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// `left` @ w, where the kernel makes `w` of `raw`.
std::string product(const std::string& w, const std::string& body = "",
                    const std::string& left = "x[tile_m, tile_k]") {
  return R"(
import torch
import helion
import helion.language as hl

@helion.kernel()
def k(x: torch.Tensor, raw: torch.Tensor) -> torch.Tensor:
    m, k = x.size()
    k, n = raw.size()
    out = torch.empty([m, n], dtype=torch.float32, device=x.device)
    for tile_m, tile_n in hl.tile([m, n]):
        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
        for tile_k in hl.tile(k):
            )" +
         w + R"(
            acc = torch.addmm(acc, )" +
         left + R"(, w)
)" + body +
         R"(        out[tile_m, tile_n] = acc
    return out
)";
}

lower::Lowered lowered(const std::string& text, const std::map<std::string, std::string>& args) {
  lower::FromText from = lower::lower_text(text, "", args);
  EXPECT_TRUE(from.lowered) << from.errors << text;
  run_pipeline(from.lowered->kernel);
  return std::move(*from.lowered);
}

std::string host_text(const lower::Lowered& lowered) { return lower::print(lowered.host); }

// Splits, and compares what both kernels compute.
void expect_split(const std::string& text, const std::map<std::string, std::string>& args) {
  lower::Lowered before = lowered(text, args);
  lower::Lowered after = before;
  ASSERT_TRUE(split_prologues(after)) << ir::print(before.kernel);
  EXPECT_THAT(ir::verify(after.kernel), IsEmpty());
  EXPECT_EQ(after.kernel.roots.size(), before.kernel.roots.size() + 1);
  EXPECT_FALSE(split_prologues(after)) << ir::print(after.kernel);
  bool ran = false;
  EXPECT_EQ(compare_runs(before.kernel, after.kernel, {}, &ran), "") << ir::print(after.kernel);
  EXPECT_TRUE(ran);
}

void expect_whole(const std::string& text, const std::map<std::string, std::string>& args) {
  lower::Lowered kernel = lowered(text, args);
  std::string before = ir::print(kernel.kernel) + host_text(kernel);
  EXPECT_FALSE(split_prologues(kernel)) << ir::print(kernel.kernel);
  EXPECT_EQ(ir::print(kernel.kernel) + host_text(kernel), before);
}

const std::map<std::string, std::string> kTall = {{"x", "f32[1500,37]"}, {"raw", "f32[37,9]"}};

TEST(SplitPrologues, WritesAnOperandOnceThatManyCellsWouldCompute) {
  std::string text = product("w = torch.relu(raw[tile_k, tile_n]) * 2.0");
  expect_split(text, kTall);
  lower::Lowered split = lowered(text, kTall);
  split_prologues(split);
  EXPECT_THAT(host_text(split), HasSubstr("slot 3:w: f32[37, 9] strides [9, 1] allocated"));
  EXPECT_THAT(host_text(split), HasSubstr("allocate 3:w\n  launch root 0\n  launch root 1"));
}

TEST(SplitPrologues, ComputesTheLeftOperandWhereTheProductIsWide) {
  expect_split(product("w = raw[tile_k, tile_n]", "", "torch.exp(x[tile_m, tile_k])"),
               {{"x", "f32[7,19]"}, {"raw", "f32[19,1300]"}});
}

TEST(SplitPrologues, KeepsAxesThatAReshapeMerged) {
  auto text = read_file(PERI_SOURCE_DIR "/kernels/library/int4_gemm.py", 1 << 20);
  ASSERT_TRUE(text);
  expect_split(*text, {{"x", "f32[1100,32]"}, {"packed", "i8[16,24]"}});
}

TEST(SplitPrologues, LeavesWhatIsCheapOrSeldomRepeated) {
  expect_whole(product("w = raw[tile_k, tile_n]"), kTall);
  expect_whole(product("w = raw[tile_k, tile_n].to(torch.float32)"),
               {{"x", "f32[1500,37]"}, {"raw", "f16[37,9]"}});
  expect_whole(product("w = torch.relu(raw[tile_k, tile_n])"),
               {{"x", "f32[500,37]"}, {"raw", "f32[37,9]"}});
}

TEST(SplitPrologues, LeavesWhatDependsOnOtherAxes) {
  expect_whole(product("w = raw[tile_k, tile_n] * (tile_m.begin + 1)"), kTall);
  expect_whole(product("w = raw[tile_k, tile_n] * acc.sum()"), kTall);
}

// What a branch guards may not be there to load.
TEST(SplitPrologues, LeavesWhatABranchGuards) {
  expect_whole(product(R"(w = raw[tile_k, tile_n]
            if tile_k.begin > 3:
                acc = torch.addmm(acc, x[tile_m, tile_k], torch.relu(raw[tile_k, tile_n])))"),
               kTall);
}

TEST(SplitPrologues, LeavesWhatTheKernelWrites) {
  expect_whole(product("w = torch.relu(raw[tile_k, tile_n])",
                       "        raw[tile_m.begin % 37, tile_n] = 0.0\n"),
               kTall);
}

}  // namespace
}  // namespace peri::passes
