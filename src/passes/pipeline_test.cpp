#include "passes/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/parse.h"
#include "passes/compare_runs.h"

namespace peri::passes {
namespace {

constexpr char kSoftmax[] = R"(kernel softmax
  symbol @n: int = block of b0 hint 3
  tensor x: f32[8, 5] strides [5, 1] slot 0
  tensor out: f32[8, 5] strides [5, 1] slot 1
  block b0 "tile": tile size=@n in 0..8
  root (b0) {
    %0: f32[b0:@n, 5] = load x[b0, :5]
    %1: f32[b0:@n] = reduce_max %0, [1]
    %2: f32[b0:@n, 1] = reshape %1
    %3: f32[b0:@n, 5] = expand %2
    %4: f32[b0:@n, 5] = load x[b0, :5]
    %5: f32[b0:@n, 5] = sub %4, %3
    %6: f32[b0:@n, 5] = exp %5
    %7: f32[b0:@n] = sum %6, [1]
    %8: f32[b0:@n, 1] = reshape %7
    %9: f32[b0:@n, 5] = expand %8
    %10: f32[b0:@n, 5] = div %6, %9
    store %10, out[b0, :5]
  }
)";

ir::Kernel parse(const std::string& text) {
  diag::Sources sources;
  diag::Diags diags(sources);
  auto kernel = ir::parse(sources.add("test.ir", text), diags);
  EXPECT_TRUE(kernel) << diag::render_text(diags);
  return kernel ? *kernel : ir::Kernel();
}

PipelineOptions verified() {
  PipelineOptions options;
  options.verify = true;
  return options;
}

TEST(Pipeline, NeedsAreEstablishedBefore) {
  u8 facts = 0;
  for (const Pass& pass : pipeline()) {
    EXPECT_EQ(pass.needs & ~facts, 0) << pass.name;
    EXPECT_FALSE(pass.why_here.empty()) << pass.name;
    facts |= pass.establishes;
  }
}

TEST(Pipeline, ReportsEachPassAndWhetherItChangedAnything) {
  ir::Kernel kernel = parse(kSoftmax);
  std::vector<std::string> dumps;
  PipelineOptions options = verified();
  options.after = [&](const PassReport&, const ir::Kernel& k) { dumps.push_back(ir::print(k)); };
  std::vector<PassReport> reports = run_pipeline(kernel, options);
  ASSERT_EQ(reports.size(), pipeline().size());
  ASSERT_EQ(dumps.size(), pipeline().size());
  for (size_t i = 1; i < reports.size(); ++i) {
    EXPECT_EQ(reports[i].changed, dumps[i] != dumps[i - 1]) << reports[i].name;
    EXPECT_EQ(reports[i].name, pipeline()[i].name);
    EXPECT_GE(reports[i].seconds, 0);
  }
  EXPECT_EQ(dumps.back(), ir::print(kernel));
  for (const PassReport& report : run_pipeline(kernel, verified())) {
    EXPECT_FALSE(report.changed) << report.name;
  }
}

TEST(Pipeline, AnyPassCanBeOff) {
  for (const Pass& pass : pipeline()) {
    ir::Kernel before = parse(kSoftmax), after = before;
    PipelineOptions options = verified();
    options.off = {std::string(pass.name)};
    for (const PassReport& report : run_pipeline(after, options)) EXPECT_NE(report.name, pass.name);
    EXPECT_EQ(compare_runs(before, after, {}), "");
  }
}

TEST(Pipeline, LeavesTheGivenKernelAlone) {
  ir::Kernel before = parse(kSoftmax), after = before;
  std::string text = ir::print(before);
  run_pipeline(after, verified());
  EXPECT_EQ(ir::print(before), text);
  EXPECT_NE(ir::print(after), text);
}

TEST(PipelineDeathTest, CheckHookStopsAPassThatChangesResults) {
  ir::Kernel kernel = parse(kSoftmax);
  PipelineOptions options;
  options.check = [](const ir::Kernel&, const ir::Kernel&) { return std::string("off by one"); };
  EXPECT_DEATH(run_pipeline(kernel, options), "pass canonicalize changes results: off by one");
}

TEST(CompareRuns, FindsDifferences) {
  ir::Kernel a = parse(kSoftmax), b = parse(kSoftmax);
  bool ran = false;
  EXPECT_EQ(compare_runs(a, b, {}, &ran), "");
  EXPECT_TRUE(ran);
  for (ir::Op& op : b.ops) {
    if (op.code == ir::OpCode::Exp) op.code = ir::OpCode::Exp2;
  }
  EXPECT_THAT(compare_runs(a, b, {}), testing::HasSubstr("`out` element"));
}

TEST(CompareRuns, LeavesOutWhatCannotRun) {
  ir::Kernel kernel = parse(R"(kernel far
  tensor x: f32[4] strides [1] slot 0
  block b0 "tile": tile size=3 in 0..9
  root (b0) {
    %0: f32[b0:3] = load x[b0]
    store %0, x[b0]
  }
)");
  bool ran = true;
  EXPECT_EQ(compare_runs(kernel, kernel, {}, &ran), "");
  EXPECT_FALSE(ran);
  ir::Kernel huge = parse(R"(kernel huge
  tensor x: f32[1000000, 1000000] strides [1000000, 1] slot 0
  block b0 "tile": tile size=3 in 0..0
  root (b0) {
  }
)");
  EXPECT_EQ(compare_runs(huge, huge, {}, &ran), "");
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace peri::passes
