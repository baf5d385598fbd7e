// Whole kernels: tiles and their tails, loops, branches, subscripts, masks and errors.
#include <gtest/gtest.h>

#include <deque>
#include <limits>
#include <map>

#include "interp/interp.h"
#include "ir/parse.h"

namespace peri::interp {
namespace {

// A kernel parsed from text, with contiguous tensors of its constant sizes filled with 0, 1, 2, ...
// Tensors of equal `base` share a buffer. Symbols have their hints.
struct Bench {
  explicit Bench(const std::string& text) : diags(sources) {
    auto parsed = ir::parse(sources.add("test.ir", text), diags);
    EXPECT_TRUE(parsed) << diag::render_text(diags);
    if (!parsed) return;
    kernel = std::move(*parsed);
    for (const ir::TensorParam& tensor : kernel.tensors) add(tensor);
    environment.symbols = [this](SymbolId id) {
      auto value = symbols.find(kernel.syms->symbol(id).name);
      return value == symbols.end() ? kernel.syms->symbol(id).hint : SymValue::of(value->second);
    };
  }

  void add(const ir::TensorParam& tensor) {
    View view{tensor.dtype, {}, {}, nullptr, 0, {}, {}};
    i64 count = 1;
    for (size_t d = 0; d < tensor.sizes.size(); ++d) {
      view.sizes.push_back(*tensor.sizes[d].as_int());
      view.strides.push_back(*tensor.strides[d].as_int());
      count += (view.sizes[d] - 1) * view.strides[d];
    }
    bool shared = tensor.base >= 0 && tensor.base != tensor.slot;
    if (!shared) fill(buffers.emplace_back(), tensor.dtype, count);
    Buffer* buffer = buffer_of.emplace_back(shared ? buffer_of[tensor.base] : &buffers.back());
    view.reals = buffer->reals;
    view.integers = buffer->integers;
    environment.tensors.push_back(view);
  }

  static void fill(Buffer& buffer, Dtype dtype, i64 count) {
    for (i64 i = 0; i < count; ++i) {
      if (is_float(dtype)) {
        buffer.reals.push_back(static_cast<double>(i));
      } else {
        buffer.integers.push_back(dtype == Dtype::Bool ? i % 2 : i);
      }
    }
  }

  Expected<void> operator()() {
    for (size_t root = 0; root < kernel.roots.size(); ++root) {
      if (auto done = run(kernel, static_cast<i64>(root), environment); !done) return done;
    }
    return {};
  }

  std::vector<double>& reals(i64 tensor) { return buffer_of[tensor]->reals; }
  std::vector<i64>& integers(i64 tensor) { return buffer_of[tensor]->integers; }

  diag::Sources sources;
  diag::Diags diags;
  ir::Kernel kernel;
  std::deque<Buffer> buffers;
  std::vector<Buffer*> buffer_of;  // by tensor
  std::map<std::string, i64> symbols;
  Environment environment;
};

using Reals = std::vector<double>;

constexpr char kDouble[] = R"(kernel double
  symbol @n: int = block of b0 hint 4
  tensor x: f32[10] strides [1] slot 0
  tensor out: f32[10] strides [1] slot 1
  block b0 "tile": tile size=@n in 0..10
  root (b0) {
    %0: f32[b0:@n] = load x[b0]
    %1: f32[b0:@n] = add %0, %0
    store %1, out[b0]
  }
)";

TEST(Run, TilesOfAnySizeWithTails) {
  for (i64 size : {1, 3, 4, 10, 64}) {
    Bench run(kDouble);
    run.symbols["n"] = size;
    ASSERT_TRUE(run());
    EXPECT_EQ(run.reals(1), (Reals{0, 2, 4, 6, 8, 10, 12, 14, 16, 18}));
  }
}

TEST(Run, CellsCanRunAlone) {
  Bench run(kDouble);
  EXPECT_EQ(*cell_count(run.kernel, 0, run.environment), 3);
  ASSERT_TRUE(run_cells(run.kernel, 0, run.environment, 1, 2));
  EXPECT_EQ(run.reals(1), (Reals{0, 1, 2, 3, 8, 10, 12, 14, 8, 9}));
}

// Passes leave graphs behind whose ops have moved.
TEST(Run, GraphsThatNothingRunsDoNotMatter) {
  Bench run(kDouble);
  const ir::OpId store = run.kernel[run.kernel.roots[0].body].ops.back();
  run.kernel.graphs.push_back({.ops = {store}});
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(1), (Reals{0, 2, 4, 6, 8, 10, 12, 14, 16, 18}));
}

TEST(Run, BadBlockSizeAndMissingValue) {
  Bench run(kDouble);
  run.symbols["n"] = 0;
  EXPECT_EQ(run().error().code, "bad-block-size");
  Bench other(kDouble);
  other.environment.symbols = [](SymbolId) { return std::nullopt; };
  EXPECT_EQ(other().error().code, "missing-value");
}

TEST(Run, EmptyRangesAndExtents) {
  Bench run(R"(kernel empty
  tensor x: f32[3, 0] strides [0, 1] slot 0
  tensor out: f32[3] strides [1] slot 1
  block b0 "tile": tile size=2 in 0..3
  block b1 "none": tile size=2 in 0..0
  root (b0) {
    %0: f32[b0:2, 0] = load x[b0, :0]
    %1: f32[b0:2] = sum %0, [1]
    store %1, out[b0]
  }
  root (b1) {
    %2: f32[b1:2] = load out[b1]
    %3: f32[b1:2] = add %2, %2
    store %3, out[b1]
  }
)");
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(1), (Reals{0, 0, 0}));
}

TEST(Run, ReductionsIgnoreMissingElements) {
  Bench run(R"(kernel mins
  tensor x: f32[2, 5] strides [5, 1] slot 0
  tensor out: f32[2] strides [1] slot 1
  block b0 "row": tile size=1 in 0..2
  block b1 "col": tile size=4
  root (b0) {
    %0: f32 = const 100.0
    %1: f32[b0:1] = expand %0
    %2: i64 = const 0
    %3: i64 = const 5
    %10: f32[b0:1] = for (b1 in %2..%3) carry (%4: f32[b0:1] = %1) {
      %5: f32[b0:1, b1:4] = load x[b0, b1]
      %6: f32[b0:1, b1:4] = neg %5
      %7: f32[b0:1] = reduce_min %6, [1]
      %8: f32[b0:1] = min %4, %7
      yield %8
    }
    store %10, out[b0]
  }
)");
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(1), (Reals{-4, -9}));
}

// acc is full size; the last tile of the loop updates its first elements only.
TEST(Run, CarriedValuesKeepElementsThatHaveNoNextOnes) {
  Bench run(R"(kernel overlay
  tensor x: f32[5] strides [1] slot 0
  tensor out: f32[4] strides [1] slot 1
  block b0 "one": grid size=1 in 0..1
  block b1 "tile": tile size=4
  root (b0) {
    %0: f32 = const 10.0
    %1: f32[4] = expand %0
    %2: i64 = const 0
    %3: i64 = const 5
    %8: f32[4] = for (b1 in %2..%3) carry (%4: f32[4] = %1) {
      %5: f32[b1:4] = load x[b1]
      %6: f32[b1:4] = add %4, %5
      yield %6
    }
    store %8, out[:4]
  }
)");
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(1), (Reals{14, 11, 12, 13}));
}

TEST(Run, LoopsOverSeveralAxesGoRowMajorWithAttributes) {
  Bench run(R"(kernel attributes
  tensor out: i64[3, 2, 5] strides [10, 5, 1] slot 0
  block b0 "one": grid size=1 in 0..1
  block b1 "i": grid size=1 step 2
  block b2 "j": tile size=3
  root (b0) {
    %0: i64 = const 0
    %1: i64 = const 5
    %2: i64 = const 1
    %3: i64 = const 2
    %4: i64 = const 3
    %5: i64 = const 4
    %6: i64 = for (b1 in %0..%1, b2 in %0..%1) carry (%7: i64 = %0) {
      %8: i64 = tile_begin b1
      %9: i64 = tile_id b1
      %10: i64 = tile_id b2
      %11: i64 = tile_end b2
      %12: i64 = tile_count b2
      %13: i64 = block_size b2
      store %7, out[%9, %10, %0]
      store %8, out[%9, %10, %2]
      store %11, out[%9, %10, %3]
      store %12, out[%9, %10, %4]
      store %13, out[%9, %10, %5]
      %14: i64 = add %7, %2
      yield %14
    }
  }
)");
  ASSERT_TRUE(run());
  EXPECT_EQ(run.integers(0), (std::vector<i64>{0, 0, 3, 2, 3, 1, 0, 5, 2, 3, 2, 2, 3, 2, 3,
                                               3, 2, 5, 2, 3, 4, 4, 3, 2, 3, 5, 4, 5, 2, 3}));
}

TEST(Run, BranchesYield) {
  Bench run(R"(kernel branch
  tensor x: i64[4] strides [1] slot 0
  tensor out: i64[4] strides [1] slot 1
  block b0 "i": grid size=1 in 0..4
  root (b0) {
    %0: i64 = tile_begin b0
    %1: i64 = load x[%0]
    %2: i64 = const 2
    %3: bool = lt %1, %2
    %6: i64 = if %3 {
      %4: i64 = neg %1
      yield %4
    } else {
      %5: i64 = mul %1, %1
      yield %5
    }
    store %6, out[%0]
  }
)");
  ASSERT_TRUE(run());
  EXPECT_EQ(run.integers(1), (std::vector<i64>{0, -1, 4, 9}));
}

constexpr char kGather[] = R"(kernel gather
  tensor table: f32[4, 3] strides [3, 1] slot 0
  tensor ids: i64[5] strides [1] slot 1
  tensor out: f32[5, 3] strides [3, 1] slot 2
  block b0 "tile": tile size=2 in 0..5
  root (b0) {
    %0: i64[b0:2] = load ids[b0]
    %1: i64 = const 4
    %2: bool[b0:2] = lt %0, %1
    %3: bool[b0:2, 1] = unsqueeze %2, [1]
    %4: bool[b0:2, 3] = expand %3
    %5: f32[b0:2, 3] = load table[gather %0, :3] where %4
    store %5, out[b0, :3]
  }
)";

TEST(Run, MaskedGathersReadZeroOutOfRange) {
  Bench run(kGather);
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(2), (Reals{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 0}));
}

TEST(Run, ReadsStoredElements) {
  const std::vector<float> table{1.5f, -0.0f, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const std::vector<i64> ids{3, 0, 2, 4, 1};
  Bench run(kGather);
  View &first = run.environment.tensors[0], &second = run.environment.tensors[1];
  first.reals = {};
  first.stored = reinterpret_cast<const std::byte*>(table.data());
  second.integers = {};
  second.stored = reinterpret_cast<const std::byte*>(ids.data());
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(2), (Reals{9, 10, 11, 1.5, -0.0, 2, 6, 7, 8, 0, 0, 0, 3, 4, 5}));
}

TEST(Run, OutOfRangeNamesTensorDimensionAndIndex) {
  Bench run(kGather);
  run.integers(1) = {0, 1, -7, 3, 9};
  auto done = run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "index-out-of-range");
  EXPECT_EQ(done.error().message, "index -7 is out of range for dimension 0 of `table`, of size 4");
}

TEST(Run, HugeIndicesAreErrorsToo) {
  for (i64 index : {std::numeric_limits<i64>::max(), std::numeric_limits<i64>::min()}) {
    Bench run(R"(kernel shift
  tensor x: f32[8] strides [1] slot 0
  tensor shift: i64[1] strides [1] slot 1
  block b0 "tile": tile size=4 in 0..8
  root (b0) {
    %0: i64 = const 0
    %1: i64 = load shift[%0]
    %2: f32[b0:4] = load x[b0+%1]
    store %2, x[%1:4]
  }
)");
    run.integers(1) = {index};
    EXPECT_EQ(run().error().code, "index-out-of-range");
  }
}

TEST(Run, ShiftsRangesNewAxesAndSeveralGathers) {
  Bench run(R"(kernel subscripts
  tensor x: f32[6, 4] strides [4, 1] slot 0
  tensor a: f32[2] strides [1] slot 1
  tensor b: f32[1, 2] strides [2, 1] slot 2
  tensor c: f32[2, 1, 4] strides [4, 4, 1] slot 3
  block b0 "tile": tile size=2 in 0..2
  root (b0) {
    %0: i64 = const 3
    %1: i64 = const 2
    %2: i64[b0:2] = tile_index b0
    %3: i64[b0:2] = add %2, %1
    %4: f32[b0:2] = load x[gather %2, gather %3]
    store %4, a[b0]
    %5: f32[1, 2] = load x[newaxis, %0, %1:2]
    store %5, b[:1, :2]
    %6: f32[b0:2, 1, 4] = load x[b0+%0, newaxis, :4]
    store %6, c[b0, :1, :4]
  }
)");
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(1), (Reals{2, 7}));
  EXPECT_EQ(run.reals(2), (Reals{14, 15}));
  EXPECT_EQ(run.reals(3), (Reals{12, 13, 14, 15, 16, 17, 18, 19}));
}

TEST(Run, StridedViewsAndMaskedStores) {
  Bench run(R"(kernel transposed
  tensor x: f32[3, 2] strides [1, 3] slot 0
  tensor out: f32[3, 2] strides [4, 2] slot 1
  block b0 "i": tile size=2 in 0..3
  root (b0) {
    %0: f32[b0:2, 2] = load x[b0, :2]
    %1: f32 = const 4.0
    %2: bool[b0:2, 2] = lt %0, %1
    store %0, out[b0, :2] where %2
  }
)");
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(1), (Reals{0, 1, 3, 3, 1, 5, 6, 7, 2, 9, 10}));
}

// The second cell reads what the first wrote through a tensor of the same storage.
TEST(Run, AliasesSeeEachOthersStores) {
  Bench run(R"(kernel prefix
  tensor x: f32[4] strides [1] slot 0 base 0
  tensor y: f32[4] strides [1] slot 1 base 0
  block b0 "i": grid size=1 in 1..4
  root (b0) {
    %0: i64 = tile_begin b0
    %1: i64 = const -1
    %2: i64 = add %0, %1
    %3: f32 = load y[%2]
    %4: f32 = load x[%0]
    %5: f32 = add %3, %4
    store %5, x[%0]
  }
)");
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(1), (Reals{0, 1, 3, 6}));
}

constexpr char kReshape[] = R"(kernel reshape
  symbol @n: int = block of b0 hint 2
  tensor x: f32[4, 2] strides [2, 1] slot 0
  tensor out: f32[8] strides [1] slot 1
  block b0 "tile": tile size=@n in 0..4
  root (b0) {
    %0: f32[b0:@n, 2] = load x[b0, :2]
    %1: f32[mul(@n, 2)] = reshape %0
    %2: i64 = tile_begin b0
    %3: i64 = const 2
    %4: i64 = mul %2, %3
    store %1, out[%4:mul(@n, 2)]
  }
)";

TEST(Run, ReshapesFullTilesOnly) {
  Bench run(kReshape);
  ASSERT_TRUE(run());
  EXPECT_EQ(run.reals(1), (Reals{0, 1, 2, 3, 4, 5, 6, 7}));
  Bench partial(kReshape);
  partial.symbols["n"] = 3;
  EXPECT_EQ(partial().error().code, "partial-reshape");
}

TEST(Run, RoundsToTheTensorsDtypeUnlessExact) {
  for (bool exact : {true, false}) {
    Bench run(R"(kernel third
  tensor x: f16[1] strides [1] slot 0
  block b0 "i": grid size=1 in 0..1
  root (b0) {
    %0: f16 = const 1.0
    %1: f16 = const 3.0
    %2: f16 = div %0, %1
    %3: i64 = tile_begin b0
    store %2, x[%3]
  }
)");
    run.environment.options.exact = exact;
    ASSERT_TRUE(run());
    EXPECT_EQ(run.reals(0)[0], exact ? 1.0 / 3 : 0.333251953125);
  }
}

TEST(Run, StepOfZeroIsAnError) {
  Bench run(R"(kernel still
  symbol @s: int = arg_value leaf 0 hint 0
  tensor x: f32[1] strides [1] slot 0
  block b0 "i": grid size=1 in 0..4 step @s
  root (b0) {
    %0: i64 = tile_begin b0
  }
)");
  EXPECT_EQ(run().error().code, "bad-step");
}

}  // namespace
}  // namespace peri::interp
