#include "plan/flatten_loops.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/parse.h"
#include "ir/verify.h"
#include "plan/plan.h"
#include "space/space.h"

namespace peri::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Two tile axes of these extents.
std::string blocks_of(i64 rows, i64 columns) {
  return fmt::format(R"(  block b0 "tile_m": tile size=@b0 in 0..{} loop 0
  block b1 "tile_n": tile size=@b1 in 0..{} loop 0
)",
                     rows, columns);
}

constexpr const char* kAddBody = R"(  root (b0, b1) {
    %0: f32[b0:@b0, b1:@b1] = load x[b0, b1]
    %1: f32 = const 1.0
    %2: f32[b0:@b0, b1:@b1] = add %0, %1
    store %2, out[b0, b1]
  }
)";

class FlattenTest : public testing::Test {
 protected:
  // A kernel of the tensors `x` and `out`, whose sizes and strides are given, and two tile axes.
  const ir::Kernel& kernel(const std::string& x, const std::string& out, const std::string& body,
                           const std::string& blocks = blocks_of(1000, 3)) {
    return parse(fmt::format("kernel k\n"
                             "  symbol @b0: int = block of b0 hint 16\n"
                             "  symbol @b1: int = block of b1 hint 16\n"
                             "  tensor x: f32{} slot 0 base 0\n  tensor out: f32{} slot 1 base 1\n",
                             x, out) +
                 blocks + body);
  }
  const ir::Kernel& add(const std::string& x, const std::string& out = "[1000, 3] strides [3, 1]") {
    return kernel(x, out, kAddBody);
  }
  const ir::Kernel& parse(const std::string& text) {
    auto parsed = ir::parse(sources_.add("k.ir", text), diags_);
    EXPECT_TRUE(parsed) << diag::render_text(diags_) << text;
    kernel_ = std::move(parsed.value());
    EXPECT_THAT(ir::verify(kernel_), IsEmpty());
    return kernel_;
  }
  std::string reason(const ir::Kernel& k) {
    return why_not_flat(k, space::loop_nests(k)[0]).value_or("legal");
  }
  // Of a kernel that can be flattened.
  std::string flattened(const ir::Kernel& k, const std::vector<i64>& block_sizes) {
    EXPECT_EQ(reason(k), "legal");
    auto flat = flatten_loops(k, {{"block_sizes", block_sizes}, {"flatten_loops", {true}}});
    if (!flat) return "not flattened";
    EXPECT_THAT(ir::verify(flat->kernel), IsEmpty());
    return ir::print(flat->kernel);
  }
  space::ConfigSpace space_of(const ir::Kernel& k) {
    space::Capabilities capabilities;
    capabilities.exact_bounds = true;
    capabilities.shared_keys = {"block_sizes", "flatten_loops"};
    capabilities.restrict_knobs = restrict_flattening;
    return space::derive(k, {}, capabilities);
  }

  diag::Sources sources_;
  diag::Diags diags_{sources_};
  ir::Kernel kernel_;
};

TEST_F(FlattenTest, MergesTheAxesOfContiguousTensors) {
  const ir::Kernel& k = add("[1000, 3] strides [3, 1]");
  std::string text = flattened(k, {8, 3});
  EXPECT_THAT(text, HasSubstr("tensor x: f32[3000] strides [1] slot 0 base 0"));
  EXPECT_THAT(text, HasSubstr("block b2 \"tile_m*tile_n\": tile size=24 in 0..3000 loop 0"));
  EXPECT_THAT(text, HasSubstr("root (b2) {\n    %0: f32[b2:24] = load x[b2]"));
  EXPECT_THAT(text, HasSubstr("%2: f32[b2:24] = add %0, %1\n    store %2, out[b2]"));
}

TEST_F(FlattenTest, DoesWhatTheConfigSays) {
  const ir::Kernel& k = add("[1000, 3] strides [3, 1]");
  EXPECT_FALSE(flatten_loops(k, {{"block_sizes", {8, 3}}, {"flatten_loops", {false}}}));
  EXPECT_FALSE(flatten_loops(k, {{"block_sizes", {8, 3}}}));
}

TEST_F(FlattenTest, RefusesTransposedTensors) {
  EXPECT_EQ(reason(add("[1000, 3] strides [1, 1000]")),
            "`x` is not contiguous over `tile_m, tile_n`");
}

TEST_F(FlattenTest, RefusesPaddedRows) {
  EXPECT_EQ(reason(add("[1000, 3] strides [4, 1]")), "`x` is not contiguous over `tile_m, tile_n`");
}

TEST_F(FlattenTest, RefusesBroadcastRows) {
  EXPECT_EQ(reason(add("[1000, 3] strides [0, 1]")), "`x` is not contiguous over `tile_m, tile_n`");
}

TEST_F(FlattenTest, MergesOneElementBroadcastToAll) {
  const ir::Kernel& k = add("[1000, 3] strides [0, 0]");
  EXPECT_THAT(flattened(k, {8, 3}), HasSubstr("tensor x: f32[3000] strides [0]"));
}

TEST_F(FlattenTest, MergesElementsAtOneDistance) {
  const ir::Kernel& k = add("[1000, 3] strides [6, 2]");
  EXPECT_THAT(flattened(k, {8, 3}), HasSubstr("tensor x: f32[3000] strides [2]"));
}

TEST_F(FlattenTest, RefusesTensorsLargerThanTheRange) {
  EXPECT_EQ(reason(add("[1001, 3] strides [3, 1]")), "`x` is larger than the range of `tile_m`");
}

// An extent of 1 has a stride that no address depends on.
TEST_F(FlattenTest, MergesExtentsOfOne) {
  const ir::Kernel& k =
      kernel("[7, 1] strides [1, 99]", "[7, 1] strides [1, 1]", kAddBody, blocks_of(7, 1));
  EXPECT_THAT(flattened(k, {7, 1}), HasSubstr("tensor x: f32[7] strides [1] slot 0"));
}

TEST_F(FlattenTest, MergesEmptyTensors) {
  const ir::Kernel& k =
      kernel("[5, 0] strides [1, 1]", "[5, 0] strides [1, 1]", kAddBody, blocks_of(5, 0));
  EXPECT_THAT(flattened(k, {5, 1}), HasSubstr("in 0..0 loop 0"));
}

TEST_F(FlattenTest, MergesThreeAxes) {
  const ir::Kernel& k = parse(R"(kernel k
  symbol @b0: int = block of b0 hint 16
  symbol @b1: int = block of b1 hint 16
  symbol @b2: int = block of b2 hint 16
  tensor x: f32[7, 5, 3] strides [15, 3, 1] slot 0 base 0
  block b0 "a": tile size=@b0 in 0..7 loop 0
  block b1 "b": tile size=@b1 in 0..5 loop 0
  block b2 "c": tile size=@b2 in 0..3 loop 0
  root (b0, b1, b2) {
    %0: f32 = const 2.0
    %1: f32[b0:@b0, b1:@b1, b2:@b2] = expand %0
    store %1, x[b0, b1, b2]
  }
)");
  EXPECT_THAT(flattened(k, {2, 5, 3}),
              HasSubstr("%1: f32[b3:30] = expand %0\n    store %1, x[b3]"));
}

TEST_F(FlattenTest, RefusesIndicesOfTiles) {
  EXPECT_EQ(reason(kernel("[1000, 3] strides [3, 1]", "[1000, 3] strides [3, 1]",
                          R"(  root (b0, b1) {
    %0: f32[b0:@b0, b1:@b1] = load x[b0, b1]
    %1: i64 = tile_begin b0
    %2: f32 = cast %1
    %3: f32[b0:@b0, b1:@b1] = add %0, %2
    store %3, out[b0, b1]
  }
)")),
            "`tile_begin` is not elementwise");
}

TEST_F(FlattenTest, RefusesReductions) {
  EXPECT_EQ(reason(kernel("[1000, 3] strides [3, 1]", "[1000] strides [1]",
                          R"(  root (b0, b1) {
    %0: f32[b0:@b0, b1:@b1] = load x[b0, b1]
    %1: f32[b0:@b0] = sum %0, [1]
    store %1, out[b0]
  }
)")),
            "`sum` is not elementwise");
}

TEST_F(FlattenTest, RefusesTensorsOfOneAxis) {
  EXPECT_EQ(reason(kernel("[1000] strides [1]", "[1000] strides [1]",
                          R"(  root (b0, b1) {
    %0: f32[b0:@b0] = load x[b0]
    store %0, out[b0]
  }
)")),
            "`x` is not indexed by just the tile");
}

TEST_F(FlattenTest, RefusesExchangedAxes) {
  EXPECT_EQ(reason(kernel("[4, 4] strides [4, 1]", "[4, 4] strides [4, 1]",
                          R"(  root (b0, b1) {
    %0: f32[b1:@b1, b0:@b0] = load x[b1, b0]
    %1: f32[b0:@b0, b1:@b1] = permute %0, [1, 0]
    store %1, out[b0, b1]
  }
)",
                          blocks_of(4, 4))),
            "`x` is not indexed by just the tile");
}

TEST_F(FlattenTest, RefusesTensorsThatAnotherGridUses) {
  EXPECT_EQ(reason(kernel("[1000, 3] strides [3, 1]", "[1000, 3] strides [3, 1]",
                          std::string(kAddBody) + R"(  root (b0, b1) {
    %3: f32[b0:@b0, b1:@b1] = load out[b0, b1]
    store %3, out[b0, b1]
  }
)")),
            "`out` is also used in another way");
}

// Strides of a call are not known to fit its sizes; those that follow from them are.
TEST_F(FlattenTest, WithDynamicSizesNeedsStridesThatFollowFromThem) {
  auto dynamic = [&](const char* strides) {
    return reason(parse(fmt::format(R"(kernel k
  symbol @s0: int = arg_size leaf 0 dim 0 hint 1000
  symbol @s1: int = arg_size leaf 0 dim 1 hint 3
  symbol @t0: int = arg_stride leaf 0 dim 0 hint 3
  symbol @b0: int = block of b0 hint 16
  symbol @b1: int = block of b1 hint 16
  tensor x: f32[@s0, @s1] strides [{}, 1] slot 0 base 0
  block b0 "tile_m": tile size=@b0 in 0..@s0 loop 0
  block b1 "tile_n": tile size=@b1 in 0..@s1 loop 0
  root (b0, b1) {{
    %0: f32 = const 2.0
    %1: f32[b0:@b0, b1:@b1] = expand %0
    store %1, x[b0, b1]
  }}
)",
                                    strides)));
  };
  EXPECT_EQ(dynamic("@t0"), "`x` is not contiguous over `tile_m, tile_n`");
  EXPECT_EQ(dynamic("@s1"), "legal");
}

// Two grids, of which one is flattened: the other keeps its entries of every list.
TEST_F(FlattenTest, OtherNestsKeepTheirEntries) {
  const ir::Kernel& k = parse(R"(kernel k
  symbol @b0: int = block of b0 hint 16
  symbol @b1: int = block of b1 hint 16
  symbol @b2: int = block of b2 hint 16
  symbol @b3: int = block of b3 hint 16
  tensor x: f32[6, 5] strides [5, 1] slot 0 base 0
  tensor y: f32[8, 7] strides [1, 8] slot 1 base 1
  block b0 "a": tile size=@b0 in 0..6 loop 0
  block b1 "b": tile size=@b1 in 0..5 loop 0
  block b2 "c": tile size=@b2 in 0..8 loop 1
  block b3 "d": tile size=@b3 in 0..7 loop 1
  root (b0, b1) {
    %0: f32 = const 2.0
    %1: f32[b0:@b0, b1:@b1] = expand %0
    store %1, x[b0, b1]
  }
  root (b2, b3) {
    %2: f32 = const 2.0
    %3: f32[b2:@b2, b3:@b3] = expand %2
    store %3, y[b2, b3]
  }
)");
  const space::Config config = {{"block_sizes", {3, 5, 4, 7}},
                                {"loop_orders", {{0, 1}, {1, 0}}},
                                {"flatten_loops", {true, false}},
                                {"l2_groupings", {1, 4}}};
  const Plan plan = make_plan(k, config, {});
  EXPECT_THAT(plan.roots[0].order, ElementsAre(BlockId(4)));
  EXPECT_EQ(plan.roots[0].group, 1);
  EXPECT_THAT(plan.roots[1].order, ElementsAre(BlockId(3), BlockId(2)));
  EXPECT_EQ(plan.roots[1].group, 4);
  const std::string text = print(plan);
  EXPECT_THAT(text, HasSubstr("block b4 \"a*b\" = 15\n"));
  EXPECT_THAT(text, HasSubstr("block b3 \"d\" = 7\n"));
  EXPECT_THAT(text, Not(HasSubstr("block b0")));
}

TEST_F(FlattenTest, TheSpaceSaysWhyANestCannotBeFlattened) {
  const ir::Kernel& k = add("[1000, 3] strides [4, 1]");
  auto space = space_of(k);
  EXPECT_THAT(space.print(),
              HasSubstr("flatten_loops[0] (tile_m, tile_n) false, default false\n"
                        "      not true: `x` is not contiguous over `tile_m, tile_n`\n"));
  const space::Config given = {{"flatten_loops", {true}}};
  EXPECT_FALSE(space.validate(given, space.defaults(), diags_));
  EXPECT_THAT(diag::render_text(diags_),
              HasSubstr("`flatten_loops[0]` (`tile_m, tile_n`) cannot be true: the choices are "
                        "false: `x` is not contiguous over `tile_m, tile_n`"));
}

TEST_F(FlattenTest, TheSpaceLetsANestBeFlattened) {
  const ir::Kernel& k = add("[1000, 3] strides [3, 1]");
  auto space = space_of(k);
  EXPECT_THAT(space.print(), HasSubstr("false | true, default false\n"));
}

// Axes of loops in device code keep their order of elements, for sums depend on it.
TEST_F(FlattenTest, DeviceLoopsStayNests) {
  const ir::Kernel& k = parse(R"(kernel k
  symbol @b0: int = block of b0 hint 16
  symbol @b1: int = block of b1 hint 16
  symbol @b2: int = block of b2 hint 16
  tensor x: f32[6, 5, 4] strides [20, 4, 1] slot 0 base 0
  block b0 "a": tile size=@b0 in 0..6 loop 0
  block b1 "b": tile size=@b1 in 0..5 loop 1
  block b2 "c": tile size=@b2 in 0..4 loop 1
  root (b0) {
    %0: i64 = const 0
    %1: i64 = const 5
    %2: i64 = const 4
    for (b1 in %0..%1, b2 in %0..%2) {
      %3: f32 = const 2.0
      %4: f32[b0:@b0, b1:@b1, b2:@b2] = expand %3
      store %4, x[b0, b1, b2]
    }
  }
)");
  EXPECT_THAT(space_of(k).print(), HasSubstr("not true: only grids are flattened\n"));
}

}  // namespace
}  // namespace peri::plan
