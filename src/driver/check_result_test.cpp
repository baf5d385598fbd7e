#include "driver/check_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "driver/arguments.h"
#include "driver/compile.h"
#include "runtime/random.h"

namespace peri::driver {
namespace {

using runtime::Result;
using runtime::Tensor;
using testing::HasSubstr;

Result result_of(Tensor tensor) {
  Result result;
  result.kind = Result::Kind::Tensor;
  result.tensor = std::move(tensor);
  return result;
}

Result reals(Dtype dtype, std::vector<double> values) {
  Tensor tensor = runtime::empty(dtype, {static_cast<i64>(values.size())});
  for (std::size_t i = 0; i < values.size(); ++i) set_real(tensor, i, values[i]);
  return result_of(tensor);
}

CheckReport compare(std::vector<double> got, std::vector<double> wanted, Dtype dtype = Dtype::F32) {
  return compare_results(reals(dtype, got), trust(reals(Dtype::F64, wanted)), {.unit = 1e-6});
}

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(CheckResult, AllowsRounding) {
  EXPECT_TRUE(compare({1, 2, 3}, {1, 2, 3}).ok);
  EXPECT_TRUE(compare({1 + 1e-6, 2}, {1, 2}).ok);
  EXPECT_TRUE(compare({1e-7, 2}, {0, 2}).ok);  // small beside the others
  EXPECT_FALSE(compare({1 + 1e-4, 2}, {1, 2}).ok);
  EXPECT_FALSE(compare({1e-4, 2}, {0, 2}).ok);
}

TEST(CheckResult, SaysWhereAndWhat) {
  CheckReport report = compare({1, 2, 4, 3}, {1, 2, 3, 3});
  EXPECT_FALSE(report.ok);
  EXPECT_EQ(report.mismatches, 1);
  EXPECT_EQ(report.compared, 4);
  EXPECT_EQ(report.where, "out0[2]");
  EXPECT_THAT(report.text(),
              HasSubstr("failed: 1 of 4 elements differ; worst out0[2]: got 4, expected 3"));
}

TEST(CheckResult, SpecialValuesMustAgree) {
  EXPECT_TRUE(compare({kNan, kInf, -kInf}, {kNan, kInf, -kInf}).ok);
  EXPECT_FALSE(compare({kNan}, {1}).ok);
  EXPECT_FALSE(compare({1}, {kNan}).ok);
  EXPECT_FALSE(compare({kInf}, {-kInf}).ok);
  EXPECT_FALSE(compare({kInf}, {3}).ok);
  EXPECT_TRUE(compare({kInf}, {1e6}, Dtype::F16).ok);  // more than f16 holds
}

TEST(CheckResult, IntegersMustBeEqual) {
  Result a = result_of(runtime::arange(Dtype::I32, 5)),
         b = result_of(runtime::arange(Dtype::I64, 5));
  EXPECT_TRUE(compare_results(a, trust(b), {.unit = 1}).ok);
  set_integer(b.tensor, 3, 4);
  CheckReport report = compare_results(a, trust(b), {.unit = 1});
  EXPECT_FALSE(report.ok);
  EXPECT_EQ(report.where, "out0[3]");
}

TEST(CheckResult, StridedResultsAreReadInOrder) {
  Tensor x = runtime::arange(Dtype::F32, 6), y = runtime::empty(Dtype::F64, {3, 2});
  x.sizes = {3, 2};
  x.strides = {1, 3};
  for (i64 i = 0; i < 6; ++i) set_real(y, i, get_real(x, i));
  EXPECT_TRUE(compare_results(result_of(x), trust(result_of(y)), {}).ok);
}

constexpr const char* kText = R"(import torch
import helion
import helion.language as hl

@helion.kernel()
def matmul(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    m, k = x.size()
    k, n = y.size()
    out = torch.empty([m, n], dtype=x.dtype)
    for tile_m, tile_n in hl.tile([m, n]):
        acc = hl.zeros([tile_m, tile_n], dtype=torch.float32)
        for tile_k in hl.tile(k):
            acc = torch.addmm(acc, x[tile_m, tile_k], y[tile_k, tile_n])
        out[tile_m, tile_n] = acc
    return out

@helion.kernel()
def double(x: torch.Tensor) -> torch.Tensor:
    total = torch.zeros([1], dtype=torch.float32)
    for tile in hl.tile(x.size(0)):
        x[tile] = x[tile] * 2
    return x
)";

// As matrix instructions for tf32 read it: with 10 bits after the leading one.
void drop_low_bits(Tensor& tensor) {
  for (i64 i = 0; i < tensor.numel(); ++i) {
    const u32 bits = std::bit_cast<u32>(static_cast<float>(get_real(tensor, i)));
    set_real(tensor, i, std::bit_cast<float>(bits & ~u32{0x1fff}));
  }
}

class ReferenceTest : public testing::Test {
 protected:
  void compile(const std::string& kernel, std::map<std::string, std::string> specs) {
    if (!c_.request.text) c_.request.text = kText;
    c_.request.kernel = kernel;
    c_.request.settings.no_cache = true;
    for (const auto& [name, spec] : specs)
      arguments_[name] = *parse_argument(name, spec, 0, diags_);
    c_.request.args = specs_of(arguments_);
    auto done = driver::compile(c_);
    ASSERT_TRUE(done) << diag::render_text(diags_);
    leaves_ = leaves_of(arguments_, c_.lowered->host.leaf_names);
    known_ = space::config_values(c_.lowered->kernel, c_.config);
  }

  diag::Sources sources_;
  diag::Diags diags_{sources_};
  Compilation c_{diags_};
  Arguments arguments_;
  std::vector<runtime::Leaf> leaves_;
  std::vector<runtime::ScalarValue> known_;
};

TEST_F(ReferenceTest, TheToleranceGrowsWithReductionAndRounding) {
  compile("matmul", {{"x", "randn[8,100]"}, {"y", "randn[100,8]"}});
  Tolerance f32 = tolerance_of(*c_.lowered, known_);
  EXPECT_EQ(f32.reduction_length, 100);
  EXPECT_NEAR(f32.unit, (8 + 6 * 10) * 0x1p-24, 1e-9);
}

TEST_F(ReferenceTest, HalvesAllowMore) {
  compile("matmul", {{"x", "randn[8,100]:bf16"}, {"y", "randn[100,8]:bf16"}});
  EXPECT_GT(tolerance_of(*c_.lowered, known_).unit, 0x1p-9);
}

struct PrecisionTest : ReferenceTest, testing::WithParamInterface<const char*> {};

TEST_P(PrecisionTest, ProductsMayBeAsImpreciseAsTheKernelAsksFor) {
  std::string text = kText;
  const std::string decorator = "@helion.kernel(";
  text.insert(text.find(decorator) + decorator.size(), GetParam());
  c_.request.text = text;
  compile("matmul", {{"x", "randn[64,300]"}, {"y", "randn[300,64]"}});
  auto reference = run_reference(*c_.lowered, known_, leaves_);
  ASSERT_TRUE(reference);
  for (const char* name : {"x", "y"}) drop_low_bits(arguments_[name].tensor);
  auto result = c_.executable->call(leaves_);
  ASSERT_TRUE(result);
  CheckReport report =
      check_result(*c_.lowered, *result, leaves_, *reference, tolerance_of(*c_.lowered, known_));
  EXPECT_EQ(report.ok, std::string(GetParam()).contains("'tf32'")) << report.text();
}

INSTANTIATE_TEST_SUITE_P(Settings, PrecisionTest,
                         testing::Values("", "dot_precision='tf32'", "dot_precision='tf32x3'",
                                         "dot_precision='ieee'"));

TEST_F(ReferenceTest, SamplesCellsWithinItsBudget) {
  compile("matmul", {{"x", "randn[256,64]"}, {"y", "randn[64,256]"}});
  c_.config["block_sizes"] = {4, 4, 64};
  known_ = space::config_values(c_.lowered->kernel, c_.config);
  auto reference = run_reference(*c_.lowered, known_, leaves_, {.budget = 1e-6});
  ASSERT_TRUE(reference);
  EXPECT_TRUE(reference->is_sampled());
  EXPECT_EQ(reference->cells, 64 * 64);
  EXPECT_GE(reference->cells_run, 2);
  auto result = c_.executable->call(leaves_);
  CheckReport report =
      check_result(*c_.lowered, *result, leaves_, *reference, tolerance_of(*c_.lowered, known_));
  EXPECT_TRUE(report.ok) << report.text();
  EXPECT_EQ(report.compared, reference->cells_run * 16);
  set_real(result->tensor, 0, 1e6);  // the first cell is always among them
  EXPECT_FALSE(
      check_result(*c_.lowered, *result, leaves_, *reference, tolerance_of(*c_.lowered, known_))
          .ok);
}

TEST_F(ReferenceTest, LeavesArgumentsAloneAndChecksThem) {
  compile("double", {{"x", "arange[5]:f32"}});
  auto reference = run_reference(*c_.lowered, known_, leaves_);
  ASSERT_TRUE(reference);
  EXPECT_EQ(get_real(arguments_["x"].tensor, 4), 4);
  auto result = c_.executable->call(leaves_);
  ASSERT_TRUE(result);
  EXPECT_EQ(get_real(arguments_["x"].tensor, 4), 8);
  Tolerance tolerance = tolerance_of(*c_.lowered, known_);
  EXPECT_TRUE(check_result(*c_.lowered, *result, leaves_, *reference, tolerance).ok);
  set_real(arguments_["x"].tensor, 2, 0);
  EXPECT_FALSE(check_result(*c_.lowered, *result, leaves_, *reference, tolerance).ok);
}

}  // namespace
}  // namespace peri::driver
