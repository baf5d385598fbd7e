#include "ir/ir.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "ir/verify.h"

namespace peri::ir {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Index at_tile(i64 block, i32 shift = -1) { return {Index::Kind::Tile, BlockId(block), {}, shift}; }
Index at_range(Sym extent) { return {Index::Kind::Range, {}, extent, -1}; }
Index at(Index::Kind kind, i32 operand = -1) { return {kind, {}, {}, operand}; }

Attrs with_dims(std::vector<i64> dims) {
  Attrs attrs;
  attrs.dims = std::move(dims);
  return attrs;
}
Attrs with_blocks(std::vector<BlockId> blocks) {
  Attrs attrs;
  attrs.blocks = std::move(blocks);
  return attrs;
}

// A kernel over rows of x [64, 40] and out [64, 40] in tiles of @b0, with an empty body.
struct Fixture {
  Fixture() : builder(kernel, GraphId(0)) {
    kernel.name = "k";
    kernel.syms = std::make_shared<SymTable>();
    SymbolId b0 = kernel.syms->add_symbol({.name = "b0",
                                           .origin = SymbolOrigin::Block,
                                           .block = BlockId(0),
                                           .hint = SymValue::of(i64{16})});
    Block tile;
    tile.name = "tile";
    tile.size = kernel.syms->symbol_sym(b0);
    tile.begin = integer(0);
    tile.end = integer(64);
    tile.loop = 0;
    kernel.blocks.push_back(tile);
    for (const char* name : {"x", "out"}) {
      kernel.tensors.push_back({.name = name,
                                .sizes = {integer(64), integer(40)},
                                .strides = {integer(40), integer(1)},
                                .slot = static_cast<i64>(kernel.tensors.size())});
    }
    kernel.roots.push_back({{BlockId(0)}, add_graph(kernel), {}});
  }

  Sym integer(i64 value) { return kernel.syms->integer(value); }
  Dim tile() { return {kernel.blocks[0].size, BlockId(0)}; }
  std::vector<Index> row() { return {at_tile(0), at_range(integer(40))}; }
  ValueId load() { return builder.load(TensorId(0), row(), {}); }
  ValueId scalar(Dtype dtype, i64 value) { return builder.constant(dtype, SymValue::of(value)); }
  TileType type(ValueId value) { return kernel[value].type; }

  Kernel kernel;
  Builder builder;
};

std::string body_of(const Kernel& kernel) {
  std::string text = print(kernel);
  return text.substr(text.find("root"));
}

TEST(Ops, TableHasUniqueTexts) {
  std::set<std::string_view> texts;
  for (i64 i = 0; i < op_count(); ++i) texts.insert(info(static_cast<OpCode>(i)).text);
  EXPECT_EQ(static_cast<i64>(texts.size()), op_count());
  EXPECT_EQ(info(OpCode::If).text, "if");
  EXPECT_TRUE(info(OpCode::Add).has(Commutative));
  EXPECT_FALSE(info(OpCode::Sub).has(Commutative));
}

TEST(Print, ShowsAWholeKernel) {
  Fixture f;
  ValueId x = f.load();
  f.kernel[x].name = "row";
  ValueId top = f.builder.reduce(OpCode::ReduceMax, x, 1);
  ValueId column = f.builder.view(OpCode::Unsqueeze, top, {1}, {});
  ValueId wide = f.builder.view(OpCode::Expand, column, {}, f.type(x).shape);
  ValueId less = f.builder.elementwise(OpCode::Sub, {x, wide});
  f.builder.store(less, TensorId(1), f.row(), {});
  EXPECT_EQ(print(f.kernel), R"(kernel k
  symbol @b0: int = block of b0 hint 16
  tensor x: f32[64, 40] strides [40, 1] slot 0
  tensor out: f32[64, 40] strides [40, 1] slot 1
  block b0 "tile": tile size=@b0 in 0..64 loop 0
  root (b0) {
    %0 row: f32[b0:@b0, 40] = load x[b0, :40]
    %1: f32[b0:@b0] = reduce_max %0, [1]
    %2: f32[b0:@b0, 1] = unsqueeze %1, [1]
    %3: f32[b0:@b0, 40] = expand %2
    %4: f32[b0:@b0, 40] = sub %0, %3
    store %4, out[b0, :40]
  }
)");
  EXPECT_THAT(verify(f.kernel), IsEmpty());
}

TEST(Print, ShowsSubscriptsMasksAndRegions) {
  Fixture f;
  ValueId zero = f.scalar(Dtype::I64, 0), ten = f.scalar(Dtype::I64, 10);
  ValueId index = f.builder.tile_attr(OpCode::TileIndex, BlockId(0), {Dtype::I64, {f.tile()}});
  ValueId mask = f.builder.elementwise(OpCode::Lt, {index, ten});
  ValueId gathered = f.builder.load(
      TensorId(0),
      {at(Index::Kind::Gather, 0), at(Index::Kind::NewAxis), at(Index::Kind::Scalar, 1)},
      {index, ten});
  ValueId masked =
      f.builder.load(TensorId(0), {at_tile(0, 0), at(Index::Kind::Scalar, 1)}, {zero, ten}, mask);
  ValueId flag = f.builder.constant(Dtype::Bool, SymValue::of_bool(true));
  GraphId yes = add_graph(f.kernel), no = add_graph(f.kernel);
  Builder inner(f.kernel, yes);
  f.kernel[yes].yields = {inner.elementwise(OpCode::Neg, {masked})};
  f.kernel[no].yields = {masked};
  OpId branch = f.builder.add(OpCode::If, {flag}, {}, {f.type(masked)}, {yes, no});
  ValueId merged = f.kernel[branch].results[0];
  f.builder.store(merged, TensorId(1), {at_tile(0), at(Index::Kind::Scalar, 0)}, {ten}, mask);
  EXPECT_THAT(verify(f.kernel), IsEmpty());
  EXPECT_EQ(f.type(gathered).shape, (std::vector<Dim>{f.tile(), {f.integer(1), {}}}));
  EXPECT_EQ(body_of(f.kernel), R"(root (b0) {
    %0: i64 = const 0
    %1: i64 = const 10
    %2: i64[b0:@b0] = tile_index b0
    %3: bool[b0:@b0] = lt %2, %1
    %4: f32[b0:@b0, 1] = load x[gather %2, newaxis, %1]
    %5: f32[b0:@b0] = load x[b0+%0, %1] where %3
    %6: bool = const true
    %8: f32[b0:@b0] = if %6 {
      %7: f32[b0:@b0] = neg %5
      yield %7
    } else {
      yield %5
    }
    store %8, out[b0, %1] where %3
  }
)");
}

TEST(Print, SurvivesWhatTheVerifierRefuses) {
  Fixture f;
  f.builder.add(OpCode::Add, {ValueId()}, {}, {});
  f.builder.add(OpCode::Load, {}, {}, {{Dtype::F32, {{}}}});
  f.builder.add(OpCode::For, {}, with_blocks({BlockId(7)}), {});
  f.builder.add(OpCode::If, {}, {}, {});
  f.kernel.roots.push_back({});
  EXPECT_THAT(print(f.kernel), HasSubstr("add %?"));
  EXPECT_THAT(verify(f.kernel), testing::Not(IsEmpty()));
}

TEST(Builder, InfersTypes) {
  Fixture f;
  ValueId x = f.load();
  Dim forty{f.integer(40), {}}, one{f.integer(1), {}};
  using Shape = std::vector<Dim>;
  EXPECT_EQ(f.type(x), (TileType{Dtype::F32, {f.tile(), forty}}));
  ValueId half = f.builder.cast(x, Dtype::BF16);
  EXPECT_EQ(f.type(half), (TileType{Dtype::BF16, {f.tile(), forty}}));
  EXPECT_EQ(f.builder.cast(x, Dtype::F32), x);
  ValueId turned = f.builder.view(OpCode::Permute, x, {1, 0}, {});
  EXPECT_EQ(f.type(turned).shape, (Shape{forty, f.tile()}));
  ValueId product = f.builder.dot(x, turned, {}, Dtype::F64);
  EXPECT_EQ(f.type(product), (TileType{Dtype::F64, {f.tile(), f.tile()}}));
  ValueId truth = f.builder.elementwise(OpCode::IsNan, {x});
  EXPECT_EQ(f.type(f.builder.reduce(OpCode::Sum, truth, 0)), (TileType{Dtype::I64, {forty}}));
  EXPECT_EQ(f.type(f.builder.reduce(OpCode::ArgMax, x, 1)), (TileType{Dtype::I64, {f.tile()}}));
  ValueId row = f.builder.view(OpCode::Unsqueeze, f.builder.iota(Dtype::I64, forty), {0}, {});
  EXPECT_EQ(f.type(row).shape, (Shape{one, forty}));
  EXPECT_EQ(f.type(f.builder.view(OpCode::Squeeze, row, {0}, {})).shape, Shape{forty});
  ValueId chosen = f.builder.elementwise(
      OpCode::Select, {truth, f.builder.constant(Dtype::F32, SymValue::of(0.5)), x});
  EXPECT_EQ(f.type(chosen), f.type(x));
  ValueId seed = f.scalar(Dtype::I64, 3);
  EXPECT_EQ(f.type(f.builder.rand(seed, row)), (TileType{Dtype::F32, {one, forty}}));
  EXPECT_THAT(verify(f.kernel), IsEmpty());
}

// A size of a block and an axis over that block agree; the result has the elements of both.
TEST(Builder, JoinsExtentsOfOneSize) {
  Fixture f;
  ValueId zero = f.builder.constant(Dtype::F32, SymValue::of(0.0));
  ValueId full = f.builder.view(OpCode::Expand, zero, {}, {{f.tile().size, {}}});
  ValueId tile = f.builder.view(OpCode::Expand, zero, {}, {f.tile()});
  EXPECT_EQ(f.type(f.builder.elementwise(OpCode::Add, {full, tile})).shape,
            std::vector<Dim>{f.tile()});
}

TEST(Builder, NormalisesConstants) {
  Fixture f;
  auto constant = [&](Dtype dtype, SymValue value) {
    ValueId id = f.builder.constant(dtype, value);
    return f.kernel[f.kernel[id].def].attrs.constant;
  };
  EXPECT_EQ(constant(Dtype::F32, SymValue::of(i64{3})), SymValue::of(3.0));
  EXPECT_EQ(constant(Dtype::I8, SymValue::of(i64{200})), SymValue::of(i64{-56}));
  EXPECT_EQ(constant(Dtype::U8, SymValue::of(i64{-1})), SymValue::of(i64{255}));
  EXPECT_EQ(constant(Dtype::I64, SymValue::of(1e300)), SymValue::of(i64{INT64_MAX}));
  EXPECT_EQ(constant(Dtype::I32, SymValue::of(std::nan(""))), SymValue::of(i64{0}));
  EXPECT_EQ(constant(Dtype::Bool, SymValue::of(0.5)), SymValue::of_bool(true));
  EXPECT_THAT(verify(f.kernel), IsEmpty());
}

TEST(BuilderDeathTest, RefusesOperandsThatDoNotGoTogether) {
  Fixture f;
  ValueId x = f.load();
  EXPECT_DEATH(f.builder.elementwise(OpCode::Add, {x, f.scalar(Dtype::I64, 1)}),
               "operands of dtypes f32 and i64");
}

// --- faults ---

// A well-formed kernel with a loop (carrying %3), and what the verifier says after a change.
struct Looped : Fixture {
  Looped() {
    x = load();
    low = scalar(Dtype::I64, 0);
    high = scalar(Dtype::I64, 64);
    Block inner_block;
    inner_block.size = integer(8);
    kernel.blocks.push_back(inner_block);
    region = add_graph(kernel);
    carried = add_param(kernel, region, type(x));
    Builder inner(kernel, region);
    next = inner.elementwise(OpCode::Exp, {carried});
    kernel[region].yields = {next};
    loop = builder.add(OpCode::For, {low, high, x}, with_blocks({BlockId(1)}), {type(x)}, {region});
    result = kernel[loop].results[0];
    builder.store(result, TensorId(1), row(), {});
    stored = kernel[kernel.roots[0].body].ops.back();
  }

  std::vector<std::string> after(const std::function<void(Looped&)>& change) {
    change(*this);
    return verify(kernel);
  }

  ValueId x, low, high, carried, next, result;
  GraphId region;
  OpId loop, stored;
};

struct Breakage {
  const char* name;
  std::function<void(Looped&)> change;
  const char* fault;
};

class Faults : public testing::TestWithParam<Breakage> {};

TEST_P(Faults, AreFound) {
  Looped f;
  ASSERT_THAT(verify(f.kernel), IsEmpty());
  EXPECT_THAT(f.after(GetParam().change), Contains(HasSubstr(GetParam().fault)));
}

Op& op_of(Looped& f, ValueId value) { return f.kernel[f.kernel[value].def]; }

INSTANTIATE_TEST_SUITE_P(
    All, Faults,
    testing::Values(
        Breakage{"table", [](Looped& f) { f.kernel.syms = nullptr; }, "no symbol table"},
        Breakage{"strides", [](Looped& f) { f.kernel.tensors[0].strides.pop_back(); },
                 "tensor `x`: 2 sizes and 1 strides"},
        Breakage{"size", [](Looped& f) { f.kernel.tensors[0].sizes[0] = f.kernel.syms->real(1); },
                 "tensor `x`: a size or stride is no integer"},
        Breakage{"block", [](Looped& f) { f.kernel.blocks[1].size = {}; },
                 "b1: the size is no integer"},
        Breakage{"parent", [](Looped& f) { f.kernel.blocks[1].parent = BlockId(9); },
                 "b1: unknown parent"},
        Breakage{"extent", [](Looped& f) { f.kernel[f.x].type.shape[0].block = BlockId(9); },
                 "%0: an extent of an unknown block"},
        Breakage{"end", [](Looped& f) { f.kernel.blocks[0].end = {}; }, "root 0: b0 has no end"},
        Breakage{"twice", [](Looped& f) { f.kernel[f.loop].attrs.blocks = {BlockId(0)}; },
                 "b0 is looped over twice"},
        Breakage{"registered", [](Looped& f) { f.kernel.blocks[1].kind = Block::Kind::Registered; },
                 "b1 is only a size"},
        Breakage{"body", [](Looped& f) { f.kernel.roots[0].body = {}; }, "unknown graph"},
        Breakage{"root", [](Looped& f) { f.kernel[GraphId(0)].yields = {f.x}; },
                 "a root's body has parameters or yields"},
        Breakage{"owners", [](Looped& f) { f.kernel.roots.push_back({{}, f.region, {}}); },
                 "a graph with two owners"},
        Breakage{"cycle", [](Looped& f) { f.kernel[f.region].ops.push_back(f.loop); },
                 "an op that stands in two places"},
        Breakage{"order",
                 [](Looped& f) {
                   auto& ops = f.kernel[GraphId(0)].ops;
                   std::swap(ops[2], ops[3]);
                 },
                 "`for`: %2 is not defined here"},
        Breakage{"scope", [](Looped& f) { f.kernel[f.stored].operands[0] = f.next; },
                 "`store`: %4 is not defined here"},
        Breakage{"unknown", [](Looped& f) { f.kernel[f.stored].operands[0] = ValueId(99); },
                 "`store`: %99 is not defined here"},
        Breakage{"def", [](Looped& f) { f.kernel[f.next].def = f.loop; },
                 "%4 is recorded to be defined elsewhere"},
        Breakage{"arity", [](Looped& f) { op_of(f, f.next).operands.push_back(f.x); },
                 "%4 = `exp`: takes 1 operands, not 2"},
        Breakage{"results", [](Looped& f) { op_of(f, f.next).results.clear(); },
                 "`exp`: has 1 results, not 0"},
        Breakage{"regions", [](Looped& f) { f.kernel[f.loop].regions.clear(); }, "has 1 regions"},
        Breakage{"result type", [](Looped& f) { f.kernel[f.next].type.shape.pop_back(); },
                 "the result is f32[b0:@b0], not f32[b0:@b0, 40]"},
        Breakage{"domain", [](Looped& f) { f.kernel[f.carried].type.dtype = Dtype::I32; },
                 "works on floats, not i32"},
        Breakage{"carried", [](Looped& f) { f.kernel[f.carried].type.dtype = Dtype::F64; },
                 "a carried value's first is f32[b0:@b0, 40], not f64[b0:@b0, 40]"},
        Breakage{"yields", [](Looped& f) { f.kernel[f.region].yields.clear(); },
                 "1 axes, 3 operands, 1 carried values, 0 yields, 1 results"},
        Breakage{"bound", [](Looped& f) { f.kernel[f.loop].operands[0] = f.x; },
                 "a bound is f32[b0:@b0, 40], not i64"},
        Breakage{"subscripts", [](Looped& f) { op_of(f, f.x).attrs.indices.pop_back(); },
                 "1 subscripts of a tensor with 2 dimensions"},
        Breakage{"tensor", [](Looped& f) { op_of(f, f.x).attrs.tensor = TensorId(5); },
                 "unknown tensor"},
        Breakage{"axis", [](Looped& f) { op_of(f, f.x).attrs.indices[0].block = BlockId(1); },
                 "b1 is not looped over here"},
        Breakage{"stored", [](Looped& f) { f.kernel.tensors[1].dtype = Dtype::F16; },
                 "the stored value is f32[b0:@b0, 40], not f16[b0:@b0, 40]"},
        Breakage{"mask",
                 [](Looped& f) {
                   f.kernel[f.stored].attrs.has_mask = true;
                   f.kernel[f.stored].operands.push_back(f.result);
                 },
                 "the mask is f32[b0:@b0, 40]"},
        Breakage{"range",
                 [](Looped& f) {
                   op_of(f, f.low).attrs.constant.real = 0, f.kernel[f.low].type.dtype = Dtype::F32;
                 },
                 "0 as f32"},
        Breakage{"small",
                 [](Looped& f) {
                   op_of(f, f.high).attrs.constant.integer = 300;
                   f.kernel[f.high].type.dtype = Dtype::U8;
                 },
                 "300 is out of the range of u8"}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::ranges::replace(name, ' ', '_');
      return name;
    });

TEST(Verify, RefusesBadIfs) {
  Fixture f;
  ValueId x = f.load();
  GraphId yes = add_graph(f.kernel), no = add_graph(f.kernel);
  f.kernel[yes].yields = {x};
  f.builder.add(OpCode::If, {x}, {}, {f.type(x)}, {yes, no});
  EXPECT_THAT(verify(f.kernel), ElementsAre("%1 = `if`: the condition is f32[b0:@b0, 40], not bool",
                                            "%1 = `if`: 1 results, but a branch yields 0"));
}

TEST(Verify, RefusesBadViews) {
  struct Case {
    OpCode code;
    std::vector<i64> dims;
    std::vector<Dim> shape;
    const char* fault;
  };
  for (const Case& c : {Case{OpCode::Permute, {0, 0}, {}, "takes an order of 2 dimensions"},
                        Case{OpCode::Permute, {0}, {}, "takes an order of 2 dimensions"},
                        Case{OpCode::Unsqueeze, {3}, {}, "takes one dimension in [0, 3)"},
                        Case{OpCode::Squeeze, {1}, {}, "the dropped extent is not 1"},
                        Case{OpCode::Squeeze, {-1}, {}, "takes one dimension in [0, 2)"},
                        Case{OpCode::Sum, {2}, {}, "takes one dimension in [0, 2)"},
                        Case{OpCode::Sum, {}, {}, "takes one dimension in [0, 2)"},
                        Case{OpCode::Expand, {}, {}, "changes the rank of a tile"}}) {
    Fixture f;
    ValueId x = f.load();
    f.builder.add(c.code, {x}, with_dims(c.dims), {{Dtype::F32, c.shape}});
    EXPECT_THAT(verify(f.kernel), ElementsAre(HasSubstr(c.fault)));
  }
}

}  // namespace
}  // namespace peri::ir
