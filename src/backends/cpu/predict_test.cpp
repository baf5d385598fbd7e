#include "backends/cpu/predict.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/cpu/cost_model.h"
#include "ir/parse.h"

namespace peri::cpu {
namespace {

using testing::HasSubstr;

constexpr const char* kRows = R"(kernel rows
  symbol @b0: int = block of b0 hint 32
  tensor x: f32[1024, 1024] strides [1024, 1] slot 0 base 0
  tensor out: f32[1024, 1024] strides [1024, 1] slot 1 base 1 aligned
  block b0 "tile": tile size=@b0 in 0..1024 loop 0
  root (b0) {
    %0: f32[b0:@b0, 1024] = load x[b0, :1024]
    %1: f32[b0:@b0, 1024] = neg %0
    store %1, out[b0, :1024]
  }
)";

constexpr const char* kTransposed = R"(kernel transposed
  symbol @b0: int = block of b0 hint 32
  tensor x: f32[1024, 1024] strides [1, 1024] slot 0 base 0
  tensor out: f32[1024, 1024] strides [1024, 1] slot 1 base 1 aligned
  block b0 "tile": tile size=@b0 in 0..1024 loop 0
  root (b0) {
    %0: f32[b0:@b0, 1024] = load x[b0, :1024]
    store %0, out[b0, :1024]
  }
)";

constexpr const char* kMatmul = R"(kernel matmul
  symbol @b0: int = block of b0 hint 32
  symbol @b1: int = block of b1 hint 32
  symbol @b2: int = block of b2 hint 16
  tensor x: f32[512, 512] strides [512, 1] slot 0 base 0
  tensor y: f32[512, 512] strides [512, 1] slot 1 base 1
  tensor out: f32[512, 512] strides [512, 1] slot 2 base 2 aligned
  block b0 "tile_m": tile size=@b0 in 0..512 loop 0
  block b1 "tile_n": tile size=@b1 in 0..512 loop 0
  block b2 "tile_k": tile size=@b2 in 0..512 loop 1
  root (b0, b1) {
    %0: f32 = const 0.0
    %1: f32[b0:@b0, b1:@b1] = expand %0
    %2: i64 = const 0
    %3: i64 = const 512
    %4: f32[b0:@b0, b1:@b1] = for (b2 in %2..%3) carry (%5: f32[b0:@b0, b1:@b1] = %1) {
      %6: f32[b0:@b0, b2:@b2] = load x[b0, b2]
      %7: f32[b2:@b2, b1:@b1] = load y[b2, b1]
      %8: f32[b0:@b0, b1:@b1] = dot %6, %7, %5
      yield %8
    }
    store %4, out[b0, b1]
  }
)";

// An elementwise kernel over a nest of two tile axes.
std::string nest(i64 rows, i64 columns) {
  return fmt::format(R"(kernel nest
  symbol @b0: int = block of b0 hint 32
  symbol @b1: int = block of b1 hint 32
  tensor x: f32[{0}, {1}] strides [{1}, 1] slot 0 base 0
  tensor out: f32[{0}, {1}] strides [{1}, 1] slot 1 base 1 aligned
  block b0 "tile_m": tile size=@b0 in 0..{0} loop 0
  block b1 "tile_n": tile size=@b1 in 0..{1} loop 0
  root (b0, b1) {{
    %0: f32[b0:@b0, b1:@b1] = load x[b0, b1]
    %1: f32[b0:@b0, b1:@b1] = neg %0
    store %1, out[b0, b1]
  }}
)",
                     rows, columns);
}

// Rows that are summed in tiles of their own; each gives one value of a 1-D tensor.
constexpr const char* kRowSums = R"(kernel row_sums
  symbol @b0: int = block of b0 hint 16
  symbol @b1: int = block of b1 hint 16
  tensor x: f32[512, 4000] strides [4000, 1] slot 0 base 0
  tensor sums: f32[512] strides [1] slot 1 base 1 aligned
  block b0 "block_0": registered size=@b0 max 4000
  block b1 "tile_m": tile size=@b1 in 0..512 loop 0
  block b2 "tile_n": tile size=@b0 in 0..4000 loop 1
  root (b1) {
    %0: f32 = const 0.0
    %1: f32[b1:@b1, @b0] = expand %0
    %2: i64 = const 0
    %3: i64 = const 4000
    %4: f32[b1:@b1, @b0] = for (b2 in %2..%3) carry (%5: f32[b1:@b1, @b0] = %1) {
      %6: f32[b1:@b1, b2:@b0] = load x[b1, b2]
      %7: f32[b1:@b1, b2:@b0] = add %5, %6
      yield %7
    }
    %8: f32[b1:@b1] = sum %4, [1]
    store %8, sums[b1]
  }
)";

class PredictTest : public testing::Test {
 protected:
  ir::Kernel parse(const std::string& text) {
    auto kernel = ir::parse(sources_.add("kernel.ir", text), diags_);
    EXPECT_TRUE(kernel) << diag::render_text(diags_);
    return std::move(kernel.value());
  }
  backends::Prediction predict(const char* text, const char* changes) {
    const ir::Kernel kernel = parse(text);
    space::Config config = choose_config(kernel, capabilities(), target());
    config.update(space::Config::parse(changes));
    return cpu::predict(plan::make_plan(kernel, config, capabilities()), target(), 2);
  }
  space::Config choose(const std::string& text) {
    return choose_config(parse(text), capabilities(), target());
  }
  Target target() const {
    Target target = *target_for(level_);
    target.l1d = 32 << 10, target.l2 = 1 << 20, target.l3 = 32 << 20;
    return target;
  }
  static space::Capabilities capabilities() {
    space::Capabilities capabilities;
    capabilities.max_threads = 2;
    return capabilities;
  }
  double seconds(const char* text, const char* changes) { return predict(text, changes).seconds; }

  std::string level_ = "x86-64-v4";
  diag::Sources sources_;
  diag::Diags diags_{sources_};
};

// The rows are contiguous in `sums`, of which there is next to nothing.
TEST_F(PredictTest, DefaultLeavesRowsForAllThreads) {
  const space::Config sizes = choose(kRowSums).at("block_sizes");
  EXPECT_GE(sizes[0], 256);
  EXPECT_LE(sizes[1], 512 / 8);
}

TEST_F(PredictTest, DefaultKeepsCarriedTilesInL1) {
  const space::Config sizes = choose(kRowSums).at("block_sizes");
  EXPECT_LE(4 * sizes[0].get<i64>() * sizes[1].get<i64>(), target().l1d / 8);
}

// `rows` by `columns`, negated.
std::string rows_of(i64 rows, i64 columns) {
  return fmt::format(R"(kernel rows
  symbol @b0: int = block of b0 hint 32
  tensor x: f32[{0}, {1}] strides [{1}, 1] slot 0 base 0
  tensor out: f32[{0}, {1}] strides [{1}, 1] slot 1 base 1 aligned
  block b0 "tile": tile size=@b0 in 0..{0} loop 0
  root (b0) {{
    %0: f32[b0:@b0, {1}] = load x[b0, :{1}]
    %1: f32[b0:@b0, {1}] = neg %0
    store %1, out[b0, :{1}]
  }}
)",
                     rows, columns);
}

TEST_F(PredictTest, DefaultPrefetchesNoRowsThatTheCacheHolds) {
  EXPECT_EQ(choose(rows_of(1024, 1024)).value("prefetch_rows", -1), 0);
  EXPECT_EQ(choose(rows_of(8192, 4096)).value("prefetch_rows", -1), -1);  // the knob's own default
}

constexpr const char* kTwoOutputs = R"(kernel two
  symbol @b0: int = block of b0 hint 32
  tensor x: f32[8192, 4096] strides [4096, 1] slot 0 base 0
  tensor first: f32[8192, 4096] strides [4096, 1] slot 1 base 1 aligned
  tensor second: f32[8192, 4096] strides [4096, 1] slot 2 base 2 aligned
  block b0 "tile": tile size=@b0 in 0..8192 loop 0
  root (b0) {
    %0: f32[b0:@b0, 4096] = load x[b0, :4096]
    %1: f32[b0:@b0, 4096] = neg %0
    store %1, first[b0, :4096]
    store %0, second[b0, :4096]
  }
)";

TEST_F(PredictTest, OneStoreOfPartsOfLinesGoesAroundTheCaches) {
  const auto modifiers = [&] { return choose(kTwoOutputs).at("store_cache_modifiers").dump(); };
  EXPECT_EQ(modifiers(), R"([".cs",".cs"])");
  level_ = "x86-64-v3";
  EXPECT_EQ(modifiers(), R"(["",".cs"])");
}

// A value a row, beside the rows.
constexpr const char* kRowsAndSums = R"(kernel rows_and_sums
  symbol @b0: int = block of b0 hint 32
  tensor x: f32[8192, 4096] strides [4096, 1] slot 0 base 0
  tensor out: f32[8192, 4096] strides [4096, 1] slot 1 base 1 aligned
  tensor sums: f32[8192] strides [1] slot 2 base 2 aligned
  block b0 "tile": tile size=@b0 in 0..8192 loop 0
  root (b0) {
    %0: f32[b0:@b0, 4096] = load x[b0, :4096]
    %1: f32[b0:@b0, 4096] = neg %0
    %2: f32[b0:@b0] = sum %0, [1]
    store %1, out[b0, :4096]
    store %2, sums[b0]
  }
)";

TEST_F(PredictTest, StoresOfOtherLoopsDoNotKeepAStoreFromGoingAroundTheCaches) {
  level_ = "x86-64-v3";
  EXPECT_EQ(choose(kRowsAndSums).at("store_cache_modifiers")[0], ".cs");
}

TEST_F(PredictTest, TwoStoresOfPartsOfLinesAroundTheCachesCostMore) {
  auto slowdown = [&] {
    return seconds(kTwoOutputs, R"({"store_cache_modifiers": [".cs", ".cs"]})") /
           seconds(kTwoOutputs, R"({"store_cache_modifiers": ["", ".cs"]})");
  };
  EXPECT_LT(slowdown(), 1);
  level_ = "x86-64-v3";
  EXPECT_GT(slowdown(), 1.3);
}

TEST_F(PredictTest, DefaultVectorsAreAlignedWhereStoresGoAroundTheCaches) {
  EXPECT_FALSE(choose(rows_of(8192, 4096)).contains("simd_width"));
  EXPECT_EQ(choose(rows_of(8192, 3000)).value("simd_width", 0), 256);
  EXPECT_EQ(choose(rows_of(8192, 3004)).value("simd_width", 0), 128);
  EXPECT_FALSE(choose(rows_of(8192, 3001)).contains("simd_width"));  // no vectors are
  EXPECT_FALSE(choose(rows_of(64, 3000)).contains("simd_width"));    // stays in the caches
}

// Stores around the caches move less.
TEST_F(PredictTest, AlignedVectorsCostLessThanWideOnes) {
  const std::string text = rows_of(8192, 3000);
  EXPECT_LT(seconds(text.c_str(), R"({"simd_width": 256})"),
            0.9 * seconds(text.c_str(), R"({"simd_width": 512})"));
}

// A product of one cell a batch.
std::string batches(i64 count, i64 rows, i64 columns) {
  return fmt::format(R"(kernel batches
  symbol @b0: int = block of b0 hint 32
  symbol @b1: int = block of b1 hint 32
  symbol @b2: int = block of b2 hint 32
  tensor x: f32[{0}, {1}, 64] strides [{3}, 64, 1] slot 0 base 0
  tensor y: f32[{0}, 64, {2}] strides [{4}, {2}, 1] slot 1 base 1
  tensor out: f32[{0}, {1}, {2}] strides [{5}, {2}, 1] slot 2 base 2 aligned
  block b0 "tile_b": tile size=@b0 in 0..{0} loop 0
  block b1 "tile_m": tile size=@b1 in 0..{1} loop 0
  block b2 "tile_n": tile size=@b2 in 0..{2} loop 0
  root (b0, b1, b2) {{
    %0: f32[b0:@b0, b1:@b1, 64] = load x[b0, b1, :64]
    %1: f32[b0:@b0, 64, b2:@b2] = load y[b0, :64, b2]
    %2: f32[b0:@b0, b1:@b1, b2:@b2] = dot %0, %1
    store %2, out[b0, b1, b2]
  }}
)",
                     count, rows, columns, rows * 64, columns * 64, rows * columns);
}

TEST_F(PredictTest, DefaultDealsThreadsEvenShares) {
  EXPECT_EQ(choose(batches(16, 128, 128)).at("block_sizes"), space::Config::parse("[1,128,128]"));
  EXPECT_EQ(choose(batches(5, 200, 333)).at("block_sizes"), space::Config::parse("[1,100,333]"));
  EXPECT_EQ(choose(batches(1, 37, 65)).at("block_sizes"), space::Config::parse("[1,19,65]"));
  EXPECT_EQ(choose(batches(1, 32, 32)).at("block_sizes"), space::Config::parse("[1,32,32]"));
}

TEST_F(PredictTest, TinyBlocksCostMore) {
  EXPECT_GT(seconds(kMatmul, R"({"block_sizes": [1, 4, 512]})"),
            5 * seconds(kMatmul, R"({"block_sizes": [128, 512, 512]})"));
}

TEST_F(PredictTest, GatheredColumnsCostMoreThanRows) {
  EXPECT_GT(seconds(kTransposed, R"({"block_sizes": [64], "num_threads": 1})"),
            2 * seconds(kRows, R"({"block_sizes": [64], "num_threads": 1})"));
}

TEST_F(PredictTest, RegisterTilesThatCannotHideLatencyCostMore) {
  EXPECT_GT(seconds(kMatmul, R"({"dot_register_rows": [1], "dot_register_vectors": [1]})"),
            2 * seconds(kMatmul, R"({"dot_register_rows": [8], "dot_register_vectors": [3]})"));
}

TEST_F(PredictTest, CountsMultiplyAdds) {
  backends::Prediction prediction = predict(kMatmul, "{}");
  EXPECT_NEAR(prediction.flops, 2.0 * 512 * 512 * 512, 1e7);
  EXPECT_EQ(prediction.limiter, "arithmetic");
}

TEST_F(PredictTest, PartsAddUp) {
  backends::Prediction prediction = predict(kRows, R"({"block_sizes": [16]})");
  double sum = 0;
  for (const auto& part : prediction.parts) sum += part.seconds;
  EXPECT_DOUBLE_EQ(sum, prediction.seconds);
  std::string text = print(prediction);
  EXPECT_THAT(text, HasSubstr("loop :: store @out"));
  EXPECT_THAT(text, HasSubstr("64 cells"));
}

TEST_F(PredictTest, StoresAroundTheCachesCostWhereTheCachesWouldKeepThem) {
  EXPECT_GT(
      seconds(kRows,
              R"({"store_cache_modifiers": [".cs"], "num_threads": 1, "block_sizes": [16]})"),
      1.1 * seconds(kRows,
                    R"({"store_cache_modifiers": [""], "num_threads": 1, "block_sizes": [16]})"));
}

TEST_F(PredictTest, ShortInnermostAxesAreFlattened) {
  for (i64 columns : {3, 17}) {
    space::Config config = choose(nest(100'000, columns));
    EXPECT_EQ(config.at("flatten_loops"), space::Config::parse("[true]")) << columns;
    EXPECT_EQ(config.at("block_sizes")[1], columns);
    EXPECT_GE(config.at("block_sizes")[0].get<i64>() * columns, 32768);
  }
}

TEST_F(PredictTest, LongInnermostAxesAreNotFlattened) {
  EXPECT_EQ(choose(nest(1024, 1024)).at("flatten_loops"), space::Config::parse("[false]"));
}

}  // namespace
}  // namespace peri::cpu
