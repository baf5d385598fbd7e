// Every elementwise op with every kind of constant on either side, over special values.
#include "passes/canonicalize.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

#include "ir/verify.h"
#include "passes/compare_runs.h"

namespace peri::passes {
namespace {

using ir::OpCode;
using ir::ValueId;

constexpr i64 kElements = 512;  // enough for all special values to come up

// (x op c) op c or (c op x) op c, or the complement of a comparison, stored to `out`.
ir::Kernel kernel_of(OpCode code, Dtype dtype, double constant, bool constant_first) {
  ir::Kernel kernel;
  kernel.name = "k";
  kernel.syms = std::make_shared<SymTable>();
  Sym size = kernel.syms->integer(kElements), one = kernel.syms->integer(1);
  Block block;
  block.name = "i";
  block.size = kernel.syms->integer(100);
  block.end = size;
  kernel.blocks.push_back(block);
  kernel.tensors.push_back({.name = "x", .dtype = dtype, .sizes = {size}, .strides = {one}});
  ir::GraphId body = ir::add_graph(kernel);
  kernel.roots.push_back({{BlockId(0)}, body, {}});
  ir::Builder builder(kernel, body);
  std::vector<ir::Index> tile = {{ir::Index::Kind::Tile, BlockId(0), {}, -1}};
  ValueId x = builder.load(ir::TensorId(0), tile, {});
  ValueId c = builder.constant(dtype, SymValue::of(constant));
  std::vector<ValueId> operands = {x, c};
  if (constant_first) operands = {c, x};
  ValueId result = builder.elementwise(code, operands);
  bool truth = kernel[result].type.dtype == Dtype::Bool;
  ValueId more =
      truth ? builder.elementwise(OpCode::Not, {result}) : builder.elementwise(code, {result, c});
  kernel.tensors.push_back(
      {.name = "out", .dtype = kernel[more].type.dtype, .sizes = {size}, .strides = {one}});
  builder.store(more, ir::TensorId(1), tile, {});
  return kernel;
}

bool is_defined(OpCode code, Dtype dtype) {
  bool bits = code == OpCode::And || code == OpCode::Or || code == OpCode::Xor;
  bool shift = code == OpCode::Shl || code == OpCode::Shr;
  bool compares = code >= OpCode::Eq && code <= OpCode::Ge;
  if (dtype == Dtype::Bool) return bits || compares;
  if (is_float(dtype)) return !bits && !shift;
  return code != OpCode::Div && code != OpCode::Atan2;
}

void check(OpCode code, Dtype dtype, double constant, bool constant_first) {
  ir::Kernel before = kernel_of(code, dtype, constant, constant_first), after = before;
  canonicalize(after);
  SCOPED_TRACE(fmt::format("{} {} {}", ir::info(code).text, name_of(dtype), constant));
  EXPECT_EQ(ir::verify(after), std::vector<std::string>());
  for (bool exact : {true, false}) {
    bool ran = false;
    EXPECT_EQ(compare_runs(before, after, {.symbols = {}, .seed = 1, .exact = exact}, &ran), "")
        << ir::print(before) << ir::print(after);
    EXPECT_TRUE(ran);
  }
}

TEST(Canonicalize, ConstantsOnEitherSideKeepEveryBit) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double reals[] = {0.0, -0.0, 1.0,  -1.0, 2.0,   0.5,  -0.5,  3.0,      8.0,
                          0.1, -4.0, kInf, 7.0,  -kInf, 1e30, 1e-30, 0x1p-100, std::nan("")};
  const double integers[] = {0, 1, -1, 2, 3, 7, 8, 63, 100, 127, 255};
  for (i64 op = 0; op < ir::op_count(); ++op) {
    OpCode code = static_cast<OpCode>(op);
    bool two_operands = ir::info(code).has(ir::Elementwise) && ir::info(code).operands == 2;
    if (!two_operands || code == OpCode::Rand) continue;
    for (i64 d = 0; d < kDtypeCount; ++d) {
      Dtype dtype = static_cast<Dtype>(d);
      if (!is_defined(code, dtype)) continue;
      std::span<const double> constants = integers;
      if (is_float(dtype)) constants = reals;
      for (double constant : constants) {
        check(code, dtype, constant, false);
        check(code, dtype, constant, true);
      }
    }
  }
}

// Chains of two casts between any dtypes.
TEST(Canonicalize, CastChainsKeepEveryBit) {
  for (i64 i = 0; i < kDtypeCount * kDtypeCount * kDtypeCount; ++i) {
    Dtype from = static_cast<Dtype>(i % kDtypeCount);
    Dtype middle = static_cast<Dtype>(i / kDtypeCount % kDtypeCount);
    Dtype to = static_cast<Dtype>(i / kDtypeCount / kDtypeCount);
    ir::Kernel before = kernel_of(OpCode::Eq, from, 1, false);
    ir::Builder builder(before, before.roots[0].body);
    before[before.roots[0].body].ops.resize(1);  // the load
    ValueId x = before.ops[0].results[0];
    before.tensors[1].dtype = to;
    std::vector<ir::Index> tile = {{ir::Index::Kind::Tile, BlockId(0), {}, -1}};
    builder.store(builder.cast(builder.cast(x, middle), to), ir::TensorId(1), tile, {});
    ir::Kernel after = before;
    canonicalize(after);
    for (bool exact : {true, false}) {
      EXPECT_EQ(compare_runs(before, after, {.symbols = {}, .seed = 1, .exact = exact}), "")
          << ir::print(before) << ir::print(after);
    }
  }
}

}  // namespace
}  // namespace peri::passes
