#include "space/space.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "ir/parse.h"

namespace peri::space {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kMatmul = R"(kernel matmul
  symbol @b0: int = block of b0 hint 32
  symbol @b1: int = block of b1 hint 32
  symbol @b2: int = block of b2 hint 16
  tensor x: f32[96, 1000] strides [1000, 1] slot 0
  tensor y: f32[1000, 512] strides [512, 1] slot 1
  tensor out: f32[96, 512] strides [512, 1] slot 2
  block b0 "tile_m": tile size=@b0 in 0..96 loop 0
  block b1 "tile_n": tile size=@b1 in 0..512 loop 0
  block b2 "tile_k": tile size=@b2 in 0..1000 loop 1
  root (b0, b1) {
    %0: f32 = const 0.0
    %1: f32[b0:@b0, b1:@b1] = expand %0
    %2: i64 = const 0
    %3: i64 = const 1000
    %4: f32[b0:@b0, b1:@b1] = for (b2 in %2..%3) carry (%5: f32[b0:@b0, b1:@b1] = %1) {
      %6: f32[b0:@b0, b2:@b2] = load x[b0, b2]
      %7: f32[b2:@b2, b1:@b1] = load y[b2, b1]
      %8: f32[b0:@b0, b1:@b1] = dot %6, %7, %5
      yield %8
    }
    store %4, out[b0, b1]
  }
)";

constexpr const char* kRows = R"(kernel rows
  symbol @b0: int = block of b0 hint 32
  tensor x: f32[4096, 4096] strides [4096, 1] slot 0
  tensor out: f32[4096] strides [1] slot 1
  block b0 "tile": tile size=@b0 in 0..4096 loop 0
  root (b0) {
    %0: f32[b0:@b0, 4096] = load x[b0, :4096]
    %1: f32[b0:@b0] = sum %0, [1]
    store %1, out[b0]
  }
)";

Capabilities cpu() {
  Capabilities c;
  c.target = "test-cpu";
  c.exact_bounds = true;
  c.shared_keys = {"block_sizes", "loop_orders", "reduction_loops"};
  c.max_tile_bytes = 1 << 20;
  c.knobs = {{"unroll", Scope::Kernel, KnobKind::PowerOfTwo, 1, 8, {}, 1, "unrolling"},
             {"packings", Scope::Dot, KnobKind::Choice, 0, 0, {"auto", "none"}, "auto", "packing"}};
  return c;
}

class SpaceTest : public testing::Test {
 protected:
  const ir::Kernel& kernel(const char* text) {
    auto parsed = ir::parse(sources_.add("k.ir", text), diags_);
    EXPECT_TRUE(parsed) << diag::render_text(diags_);
    kernel_ = std::move(*parsed);
    return kernel_;
  }
  ConfigSpace space(const char* text, const Capabilities& c = cpu()) {
    return derive(kernel(text), tunables_, c);
  }
  std::optional<Config> parse(std::string text) {
    return parse_config(sources_.add("--config", std::move(text)), diags_);
  }
  std::optional<Config> validate(const ConfigSpace& space, std::string text) {
    auto config = parse(std::move(text));
    return config ? space.validate(*config, space.defaults(), diags_) : std::nullopt;
  }
  std::string errors() const { return diag::render_text(diags_); }

  diag::Sources sources_;
  diag::Diags diags_{sources_};
  ir::Kernel kernel_;
  std::vector<check::Tunable> tunables_;
};

TEST_F(SpaceTest, HasOneKnobForEachThing) {
  ConfigSpace matmul = space(kMatmul);
  std::vector<std::string> names;
  for (const Knob& knob : matmul.knobs()) names.push_back(knob.name());
  EXPECT_THAT(names, ElementsAre("block_sizes[0]", "block_sizes[1]", "block_sizes[2]",
                                 "loop_orders[0]", "unroll", "packings[0]"));
  EXPECT_EQ(matmul.defaults().dump(),
            R"({"block_sizes":[32,32,16],"loop_orders":[[0,1]],"unroll":1,"packings":["auto"]})");
}

TEST_F(SpaceTest, ReducedDimensionsHaveLoops) {
  ConfigSpace rows = space(kRows);
  EXPECT_EQ(rows.defaults().dump(), R"({"block_sizes":[32],"reduction_loops":[null],"unroll":1})");
}

TEST_F(SpaceTest, OnlyDeviceLoopsAreUnrolledFully) {
  Capabilities loops = cpu();
  loops.shared_keys = {"range_unroll_factors", "static_ranges"};
  loops.knobs.clear();
  EXPECT_EQ(space(kMatmul, loops).defaults().dump(),  // a grid and a loop in it
            R"({"block_sizes":[32,32,16],"range_unroll_factors":[0,0],"static_ranges":[false]})");
  EXPECT_EQ(space(kRows, loops).defaults().dump(),
            R"({"block_sizes":[32],"range_unroll_factors":[0]})");
}

TEST_F(SpaceTest, BoundsBlocksByAxisAndVolume) {
  ConfigSpace rows = space(kRows);
  EXPECT_EQ(rows.knobs()[0].high, 64);  // 64 rows of 16 KB are 1 MB
  EXPECT_THAT(rows.print(), HasSubstr("not above 64: a value f32[tile, 4096] would take"));
  EXPECT_FALSE(validate(rows, R"({"block_sizes": [4096]})"));
  EXPECT_THAT(errors(), HasSubstr("error[config-value]: `block_sizes[0]` (`tile`) cannot be 4096"));
}

TEST_F(SpaceTest, LargerThanTheAxisIsTheAxis) {
  auto config = validate(space(kMatmul), R"({"block_sizes": [128, 64, 4096]})");
  ASSERT_TRUE(config) << errors();
  EXPECT_EQ((*config)["block_sizes"].dump(), "[96,64,1000]");
}

TEST_F(SpaceTest, JointlyTooLargeIsRefused) {
  Capabilities small = cpu();
  small.max_tile_bytes = 64 << 10;
  EXPECT_FALSE(validate(space(kMatmul, small), R"({"block_sizes": [96, 512, 16]})"));
  EXPECT_THAT(errors(), HasSubstr("the values do not go together: a value"));
}

TEST_F(SpaceTest, SamplesAndNeighboursAreLegal) {
  Capabilities small = cpu();
  small.max_tile_bytes = 16 << 10;
  ConfigSpace matmul = space(kMatmul, small);
  Rng rng(1);
  for (int i = 0; i < 200; ++i) {
    Config config = matmul.sample(rng);
    EXPECT_FALSE(matmul.why_not(config)) << config.dump();
    EXPECT_TRUE(matmul.validate(config, matmul.defaults(), diags_)) << config.dump() << errors();
    for (std::size_t k = 0; k < matmul.knobs().size(); ++k) {
      for (const Config& near : matmul.neighbours(config, k)) {
        EXPECT_NE(near, config);
        EXPECT_TRUE(matmul.validate(near, matmul.defaults(), diags_)) << near.dump();
      }
    }
    EXPECT_EQ(matmul.encode(config).size(), 3u + 2u + 1u + 1u);
  }
}

TEST_F(SpaceTest, MutantsAndChildrenAreLegal) {
  Capabilities small = cpu();
  small.max_tile_bytes = 16 << 10;
  ConfigSpace matmul = space(kMatmul, small);
  Rng rng(2);
  Config parent = matmul.sample(rng);
  for (int i = 0; i < 500; ++i) {
    Config mutant = matmul.mutate(parent, 1 + i % 3, rng);
    EXPECT_NE(mutant, parent);
    EXPECT_TRUE(matmul.validate(mutant, matmul.defaults(), diags_)) << mutant.dump() << errors();
    Config child = matmul.crossover(parent, mutant, rng);
    EXPECT_FALSE(matmul.why_not(child)) << child.dump();
    for (i64 k = 0; k < static_cast<i64>(matmul.knobs().size()); ++k) {
      Json value = matmul.get(child, k);
      EXPECT_TRUE(value == matmul.get(parent, k) || value == matmul.get(mutant, k));
    }
    parent = mutant;
  }
}

TEST_F(SpaceTest, MutationsReachFarButMostlyStayNear) {
  Knob knob;
  knob.kind = KnobKind::PowerOfTwo;
  knob.low = 1;
  knob.high = 1024;
  Rng rng(5);
  int near = 0, far = 0;
  for (int i = 0; i < 400; ++i) {
    i64 value = knob.mutate(32, rng).get<i64>();
    EXPECT_NE(value, 32);
    near += value == 16 || value == 64;
    far += value <= 4 || value >= 256;
  }
  EXPECT_GT(near, 150);
  EXPECT_LT(near, 250);
  EXPECT_GT(far, 50);
  EXPECT_EQ(knob.mutate(1, rng).get<i64>() > 1, true);
  EXPECT_EQ(knob.mutate(1024, rng).get<i64>() < 1024, true);
}

TEST_F(SpaceTest, NothingNearIsNoMutant) {
  Capabilities none = cpu();
  none.knobs.clear();
  none.shared_keys.clear();
  ConfigSpace one = space(R"(kernel one
  symbol @b0: int = block of b0 hint 1
  tensor x: f32[1] strides [1] slot 0
  block b0 "tile": tile size=@b0 in 0..1 loop 0
  root (b0) {
    %0: f32[b0:@b0] = load x[b0]
  }
)",
                          none);
  Rng rng(1);
  EXPECT_EQ(one.mutate(one.defaults(), 2, rng), one.defaults());
}

TEST_F(SpaceTest, SameSeedSameSamples) {
  ConfigSpace matmul = space(kMatmul);
  Rng a(7), b(7);
  EXPECT_EQ(matmul.sample(a), matmul.sample(b));
}

TEST_F(SpaceTest, AcceptsAliasesAndBareValues) {
  auto config = validate(space(kRows), R"({"block_size": 8, "reduction_loop": 16, "unroll": 4})");
  ASSERT_TRUE(config) << errors();
  EXPECT_EQ(config->dump(), R"({"block_sizes":[8],"reduction_loops":[16],"unroll":4})");
  config = validate(space(kMatmul), R"({"loop_orders": [1, 0]})");
  ASSERT_TRUE(config) << errors();
  EXPECT_EQ((*config)["loop_orders"].dump(), "[[1,0]]");
}

TEST_F(SpaceTest, AcceptsValuesThatNoSearchTries) {
  Capabilities gpu = cpu();
  gpu.shared_keys = {"block_sizes", "reduction_loops", "num_sm_multiplier", "maxnreg"};
  ConfigSpace rows = space(kRows, gpu);
  for (const char* good : {"3", "128"}) {
    EXPECT_TRUE(validate(rows, fmt::format(R"({{"num_sm_multiplier": {}}})", good))) << errors();
  }
  EXPECT_FALSE(validate(rows, R"({"num_sm_multiplier": 129})"));
  EXPECT_THAT(errors(), HasSubstr("the range is 1 to 128"));
  for (const char* good : {"100", "256", "null"}) {
    EXPECT_TRUE(validate(rows, fmt::format(R"({{"maxnreg": {}}})", good))) << errors();
  }
  EXPECT_FALSE(validate(rows, R"({"maxnreg": 257})"));
  EXPECT_THAT(errors(), HasSubstr("the choices are null, 32, 64, 128, 256 and integers from 1 to "
                                  "256"));
  Rng rng(1);
  Config given = *validate(rows, R"({"num_sm_multiplier": 3, "maxnreg": 100})");
  for (i64 knob = 0; knob < static_cast<i64>(rows.knobs().size()); ++knob) {
    for (const Config& near : rows.neighbours(given, knob)) {
      EXPECT_TRUE(validate(rows, near.dump())) << errors();
    }
  }
}

TEST_F(SpaceTest, ALoopedReductionOfTheWholeExtentIsNone) {
  auto config = validate(space(kRows), R"({"reduction_loops": [8192]})");
  ASSERT_TRUE(config) << errors();
  EXPECT_TRUE((*config)["reduction_loops"][0].is_null());
  for (const char* bad : {"5000", "4", "0"}) {
    EXPECT_FALSE(validate(space(kRows), fmt::format(R"({{"reduction_loops": [{}]}})", bad)));
  }
}

TEST_F(SpaceTest, OneTextStandsForAllEntries) {
  Capabilities gpu = cpu();
  gpu.shared_keys = {"block_sizes", "load_eviction_policies", "indexing"};
  ConfigSpace matmul = space(kMatmul, gpu);
  auto config = validate(matmul, R"({"load_eviction_policies": "last"})");
  ASSERT_TRUE(config) << errors();
  EXPECT_THAT((*config)["load_eviction_policies"], Each("last"));
  EXPECT_FALSE(validate(matmul, R"({"load_eviction_policies": "never"})"));
  EXPECT_THAT(errors(), HasSubstr("cannot be \"never\": the choices are"));
}

TEST_F(SpaceTest, NotesKeysOfOtherTargetsOnce) {
  auto config = validate(space(kRows), R"({"num_warps": 4, "num_stages": 2, "cute_x": 1})");
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->contains("num_warps"));
  EXPECT_THAT(errors(),
              HasSubstr("no meaning on test-cpu, ignored: num_warps, num_stages, cute_x"));
}

TEST_F(SpaceTest, UnknownKeyNamesTheNearest) {
  EXPECT_FALSE(validate(space(kRows), R"({"blok_sizes": [4]})"));
  EXPECT_THAT(errors(), HasSubstr("error[config-key]: no knob is called `blok_sizes`"));
  EXPECT_THAT(errors(), HasSubstr("did you mean `block_sizes`?"));
  EXPECT_THAT(errors(), HasSubstr("the keys here are block_sizes, reduction_loops, unroll"));
}

TEST_F(SpaceTest, WrongLengthSaysWhatThereIs) {
  EXPECT_FALSE(validate(space(kMatmul), R"({"block_sizes": [32, 32]})"));
  EXPECT_THAT(errors(), HasSubstr("`block_sizes` has 2 entries, this kernel has 3"));
  EXPECT_THAT(errors(), HasSubstr("they are, in order: tile_m, tile_n, tile_k"));
}

TEST_F(SpaceTest, BadValuesSayWhy) {
  for (auto [value, reason] : std::vector<std::pair<const char*, const char*>>{
           {"[0]", "a tile has at least one element"},
           {"[-3]", "a tile has at least one element"},
           {"[1e9]", "an integer is needed"},
           {"[99999999999999999999]", "an integer is needed"},
           {"[18446744073709551615]", "at most"},
           {"[\"a\"]", "an integer is needed"}}) {
    EXPECT_FALSE(validate(space(kRows), fmt::format(R"({{"block_sizes": {}}})", value))) << value;
    EXPECT_THAT(errors(), HasSubstr(reason)) << value;
  }
  EXPECT_FALSE(validate(space(kMatmul), R"({"loop_orders": [[0, 0]], "unroll": 3})"));
  EXPECT_THAT(errors(), HasSubstr("a permutation of 0 to 1 is needed"));
  EXPECT_THAT(errors(), HasSubstr("a power of two is needed"));
  EXPECT_FALSE(validate(space(kMatmul), R"({"packings": ["never"]})"));
  EXPECT_THAT(errors(), HasSubstr(R"(the choices are "auto", "none")"));
}

TEST_F(SpaceTest, ReadsPythonConfigs) {
  auto config =
      parse("helion.Config(block_sizes=[64, 1_28], loop_orders=[(1, 0)], a=None, b=-2, c='x')");
  ASSERT_TRUE(config) << errors();
  EXPECT_EQ(config->dump(),
            R"({"block_sizes":[64,128],"loop_orders":[[1,0]],"a":null,"b":-2,"c":"x"})");
  EXPECT_EQ(print_config(*config),
            "helion.Config(block_sizes=[64, 128], loop_orders=[[1, 0]], a=None, b=-2, c='x')");
  EXPECT_EQ(parse(print_config(*config)), config);
}

TEST_F(SpaceTest, BadConfigTextHasAPlace) {
  EXPECT_FALSE(parse(R"({"block_sizes": [1,})"));
  EXPECT_THAT(errors(), HasSubstr("error[config-syntax]"));
  EXPECT_THAT(errors(), HasSubstr("--config:1:"));
  EXPECT_FALSE(parse(""));
  EXPECT_FALSE(parse("helion.Config(block_sizes=f(1))"));
  EXPECT_FALSE(parse("block_sizes"));
}

TEST_F(SpaceTest, TunablesAreKnobs) {
  tunables_ = {{"split", SymbolId(0), "power_of_two", 1, 16, {}, SymValue::of(i64{4})},
               {"fast", SymbolId(0), "boolean", 0, 0, {}, SymValue::of_bool(true)},
               {"mode",
                SymbolId(0),
                "enum",
                0,
                0,
                {SymValue::of(i64{1}), SymValue::of(i64{5})},
                SymValue::of(i64{5})}};
  ConfigSpace rows = space(kRows);
  EXPECT_THAT(rows.defaults().dump(), HasSubstr(R"("split":4,"fast":true,"mode":5)"));
  EXPECT_FALSE(validate(rows, R"({"mode": 2})"));
}

TEST_F(SpaceTest, MergedAxesNeedFullTiles) {
  ConfigSpace merged = space(R"(kernel merge
  symbol @b0: int = block of b0 hint 32
  tensor x: f32[24, 4] strides [4, 1] slot 0
  block b0 "tile": tile size=@b0 in 0..24 loop 0
  root (b0) {
    %0: f32[b0:@b0, 4] = load x[b0, :4]
    %1: f32[mul(@b0, 4)] = reshape %0
  }
)");
  std::vector<Json> sizes = merged.knobs()[0].candidates();
  EXPECT_EQ(Json(sizes).dump(), "[1,2,3,4,6,8,12,24]");
  EXPECT_FALSE(validate(merged, R"({"block_sizes": [16]})"));
}

TEST_F(SpaceTest, RegisteredBlocksKeepTheirBounds) {
  ConfigSpace registered = space(R"(kernel registered
  symbol @b0: int = block of b0 hint 32
  tensor x: f32[4096] strides [1] slot 0
  block b0 "block": registered size=@b0 min 16 max 256
  block b1 "tile": tile size=@b0 in 0..4096 loop 0
  root (b1) {
    %0: f32[b1:@b0] = load x[b1]
  }
)");
  ASSERT_EQ(registered.knobs()[0].key, "block_sizes");
  EXPECT_EQ(registered.knobs()[0].low, 16);
  EXPECT_EQ(registered.knobs()[0].high, 256);
  EXPECT_FALSE(validate(registered, R"({"block_sizes": [8]})"));
  EXPECT_FALSE(validate(registered, R"({"block_sizes": [512]})"));
}

TEST_F(SpaceTest, PermutationsOfManyItems) {
  Knob knob;
  knob.kind = KnobKind::Permutation;
  knob.high = 5;
  knob.default_value = {0, 1, 2, 3, 4};
  Rng rng(3);
  std::string reason;
  EXPECT_TRUE(knob.normalise(knob.sample(rng), reason));
  EXPECT_EQ(knob.neighbours(knob.default_value).size(), 4u);
  EXPECT_EQ(knob.count(), 120);
}

// What the fuzzer has found or kept: a config of the space, or a diagnostic.
TEST_F(SpaceTest, SurvivesTheFuzzCorpus) {
  const ConfigSpace of_matmul = space(kMatmul);
  i64 parsed = 0, valid = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(PERI_SOURCE_DIR "/test/fuzz/config")) {
    SCOPED_TRACE(entry.path().filename().string());
    diag::Sources sources;
    diag::Diags diags(sources);
    auto text = read_file(entry.path().string(), i64{1} << 20);
    ASSERT_TRUE(text);
    auto config = parse_config(sources.add("config", *text), diags);
    EXPECT_NE(config.has_value(), diags.has_errors());
    if (!config) continue;
    ++parsed;
    auto complete = of_matmul.validate(*config, of_matmul.defaults(), diags);
    EXPECT_NE(complete.has_value(), diags.has_errors());
    if (!complete) continue;
    ++valid;
    EXPECT_FALSE(of_matmul.why_not(*complete));
  }
  EXPECT_GT(parsed, 10);
  EXPECT_GT(valid, 0);
}

}  // namespace
}  // namespace peri::space
