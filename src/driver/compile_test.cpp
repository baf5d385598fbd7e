#include "driver/compile.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <set>

#include "driver/arguments.h"
#include "driver/subject.h"
#include "driver/tune.h"
#include "driver/tuned_store.h"

namespace peri::driver {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kText = R"(import torch
import helion
import helion.language as hl

@helion.kernel()
def double(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size()):
        out[tile] = x[tile] * 2
    return out

@helion.kernel(config=helion.Config(block_sizes=[4]))
def triple(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] * 3
    return out
)";

class CompileTest : public testing::Test {
 protected:
  CompileTest() {
    cache_ = std::filesystem::temp_directory_path() / fmt::format("peri-compile-test-{}", getpid());
    set_up(c_, "double");
  }
  ~CompileTest() override { std::filesystem::remove_all(cache_); }

  void set_up(Compilation& c, const std::string& kernel) {
    arguments_ = {{"x", *parse_argument("x", "randn[100]", 0, diags_)}};
    c.request.file = "k.py";
    c.request.text = kText;
    c.request.kernel = kernel;
    c.request.args = specs_of(arguments_);
    c.request.settings.cache_dir = cache_.string();
  }

  std::filesystem::path cache_;
  diag::Sources sources_;
  diag::Diags diags_{sources_};
  Arguments arguments_;
  Compilation c_{diags_};
};

TEST_F(CompileTest, ATensorTooLargeForTheIndicesAskedForIsRefused) {
  for (const char* dtype : {"torch.int32", "torch.int64"}) {
    diag::Diags diags(sources_);
    Compilation c{diags};
    set_up(c, "double");
    std::string text = kText;
    text.insert(text.find("@helion.kernel(") + 15, fmt::format("index_dtype={}", dtype));
    c.request.text = text;
    c.request.args["x"].sizes = {3'000'000'000};
    const bool fits = std::string(dtype) == "torch.int64";
    EXPECT_EQ(compile(c, "lower").has_value(), fits);
    EXPECT_EQ(diag::render_text(diags).contains("index-too-narrow"), !fits);
  }
}

// Keeps `config` as the tuned one of a compilation whose space is known.
void put(const Compilation& c, const space::Config& config, double seconds = 1) {
  tune::Record record;
  static_cast<tune::Subject&>(record) = subject_of(c);
  record.started = "2026-11-25T06:01:25Z";
  record.trials.resize(1);
  record.trials[0].config = config;
  record.trials[0].seconds = record.trials[0].low = record.trials[0].high = seconds;
  ASSERT_TRUE(TunedStore(c.request).put(record));
}

TEST_F(CompileTest, PhasesRunOnceInOrder) {
  std::vector<std::string_view> listed, ran;
  for (const Phase& phase : phases()) listed.push_back(phase.name);
  ASSERT_TRUE(compile(c_, "lower"));
  EXPECT_FALSE(c_.executable);
  ASSERT_TRUE(compile(c_));
  for (const PhaseReport& report : c_.reports) {
    ran.push_back(report.phase);
    EXPECT_GE(report.seconds, 0);
  }
  EXPECT_EQ(ran, listed);
  ASSERT_TRUE(c_.executable);
  EXPECT_EQ(c_.config_origin, "default");
}

TEST_F(CompileTest, StopsAtErrors) {
  c_.request.kernel = "nothing";
  auto done = compile(c_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "diagnostics");
  EXPECT_THAT(diag::render_text(diags_), HasSubstr("error[unknown-kernel]"));
  EXPECT_FALSE(c_.typed);
}

TEST_F(CompileTest, EmitsEveryStage) {
  for (std::string_view stage : stage_names()) {
    Compilation c(diags_);
    set_up(c, "double");
    std::string name(stage);
    // Stages of other devices have tests of their own.
    bool shared = std::ranges::count(backends::stages(), stage) == 0;
    if (!shared && !backends::has_stage(c.request.device, stage)) continue;
    if (name == "ir-after=PASS") name = "ir-after=canonicalize";
    auto text = emit(c, name);
    ASSERT_TRUE(text) << name;
    EXPECT_GT(text->size(), 20u) << name;
  }
}

TEST_F(CompileTest, IrAfterAPassIsOfThatPass) {
  auto lowered = emit(c_, "ir-after=lower");
  ASSERT_TRUE(lowered);
  Compilation c(diags_);
  set_up(c, "double");
  c.request.settings.passes_off =
      "canonicalize,eliminate_common_subexpressions,hoist_invariants,eliminate_dead_code";
  auto untouched = emit(c, "ir");
  ASSERT_TRUE(untouched);
  EXPECT_EQ(*lowered, *untouched);
}

TEST_F(CompileTest, ConfigsComeFromFourPlaces) {
  Compilation decorated(diags_);
  set_up(decorated, "triple");
  ASSERT_TRUE(compile(decorated));
  EXPECT_EQ(decorated.config_origin, "decorator");
  EXPECT_EQ(decorated.config["block_sizes"].dump(), "[4]");

  c_.request.settings.budget = 0.5;
  auto record = tune_kernel(c_, arguments_, {});
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(c_.config_origin, "tuned");
  Compilation again(diags_);
  set_up(again, "double");
  ASSERT_TRUE(compile(again));
  EXPECT_EQ(again.config_origin, "tuned");
  EXPECT_EQ(again.config, record->trials[record->winner].config);

  Compilation given(diags_);
  set_up(given, "double");
  given.request.config = space::Config::parse(R"({"block_sizes": [7]})");
  ASSERT_TRUE(compile(given));
  EXPECT_EQ(given.config_origin, "given");
  EXPECT_EQ(given.config["block_sizes"].dump(), "[7]");
}

TEST_F(CompileTest, TunedConfigsBelongToTheirArguments) {
  ASSERT_TRUE(compile(c_, "space"));
  Compilation other(diags_);
  set_up(other, "double");
  other.request.args["x"].sizes = {101};
  ASSERT_TRUE(compile(other, "space"));
  EXPECT_NE(c_.tuned_key, other.tuned_key);
}

TEST_F(CompileTest, ATunedConfigThatDoesNotFitIsNoConfig) {
  ASSERT_TRUE(compile(c_, "space"));
  put(c_, space::Config::parse(R"({"block_sizes": [1, 2, 3]})"));
  ASSERT_TRUE(compile(c_));
  EXPECT_EQ(c_.config_origin, "default");
  EXPECT_FALSE(diags_.has_errors());
}

TEST_F(CompileTest, TuningSaysWhenTheCacheKeepsABetterEntry) {
  std::vector<Error> told;
  ASSERT_TRUE(compile(c_, "space"));
  put(c_, space::Config::parse(R"({"block_sizes": [1, 2, 3]})"), 1e-12);
  c_.request.warn = [&](const Error& error) { told.push_back(error); };
  c_.request.settings.budget = 0.2;
  ASSERT_TRUE(tune_kernel(c_, arguments_, {}));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].code, "better-entry");
  EXPECT_THAT(told[0].message, HasSubstr("keeps an earlier config of `double`: 0.001 ns a call"));
  EXPECT_THAT(told[0].hint, HasSubstr("block_sizes=[1, 2, 3]"));
}

TEST_F(CompileTest, UntunedRunsAreCountedToldOnceAndRefusedOnDemand) {
  std::vector<Error> told;
  c_.request.warn = [&](const Error& error) { told.push_back(error); };
  TunedCounts before = tuned_counts();
  ASSERT_TRUE(compile(c_));
  Compilation second(diags_);
  set_up(second, "double");
  second.request.warn = c_.request.warn;
  ASSERT_TRUE(compile(second));
  EXPECT_EQ(tuned_counts().misses, before.misses + 2);
  EXPECT_LE(told.size(), 1U);  // another test may have been the first

  Compilation strict(diags_);
  set_up(strict, "double");
  strict.request.settings.require_tuned = true;
  auto done = compile(strict);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "not-tuned");
  EXPECT_EQ(done.error().hint, "tune it: peri tune k.py:double --arg 'x=randn[100]:f32'");

  put(strict, strict.default_config);
  Compilation other(diags_);
  set_up(other, "double");
  other.request.args["x"].sizes = {200};
  other.request.settings.require_tuned = true;
  auto missed = compile(other);
  ASSERT_FALSE(missed);
  EXPECT_THAT(missed.error().message,
              HasSubstr("differs in arguments (static x=f32[100:1], here static x=f32[200:1])"));

  Compilation tuned(diags_);
  set_up(tuned, "double");
  tuned.request.settings.require_tuned = true;
  ASSERT_TRUE(compile(tuned));
  EXPECT_EQ(tuned.config_origin, "tuned");
  EXPECT_EQ(tuned_counts().hits, before.hits + 1);

  Compilation decorated(diags_);
  set_up(decorated, "triple");
  decorated.request.settings.require_tuned = true;
  EXPECT_TRUE(compile(decorated));
}

TEST_F(CompileTest, OtherTargetsCompileAndDoNotRun) {
  c_.request.settings.cpu = "aarch64";
  c_.request.settings.no_cache = true;
  auto done = compile(c_);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "cannot-run-here");
}

TEST_F(CompileTest, GpuConfigsTakeNoMoreRegistersThanThereAre) {
  c_.request.device = "cuda:sm_90";
  c_.request.settings.no_cache = true;
  ASSERT_TRUE(compile(c_, "space"));
  space::Config config = c_.default_config;
  config["pid_type"] = "persistent_blocked";
  config["num_warps"] = 32;
  config["maxnreg"] = 128;
  EXPECT_EQ(c_.space.why_not(config), "1024 threads of 128 registers take more than 65536");
  config["maxnreg"] = 64;
  EXPECT_EQ(c_.space.why_not(config), std::nullopt);
  config["maxnreg"] = 128;
  config["pid_type"] = "flat";  // has no use for the cap
  EXPECT_EQ(c_.space.why_not(config), std::nullopt);
}

TEST(Settings, AreReadFromText) {
  Settings settings;
  EXPECT_TRUE(set_setting(settings, "threads", "4", "--threads"));
  EXPECT_EQ(settings.threads, 4);
  EXPECT_TRUE(set_setting(settings, "budget", "2.5", "--budget"));
  EXPECT_TRUE(set_setting(settings, "no_cache", "1", "--no-cache"));
  EXPECT_EQ(user_cache_folder(settings), "");
  EXPECT_FALSE(set_setting(settings, "threads", "x", "--threads"));
  EXPECT_FALSE(set_setting(settings, "threads", "-1", "--threads"));
  EXPECT_FALSE(set_setting(settings, "no_cache", "maybe", "--no-cache"));
}

TEST(Settings, EachHasAnEnvironmentVariableAndADoc) {
  std::set<std::string_view> variables;
  for (const SettingRow& row : setting_rows()) {
    EXPECT_TRUE(row.environment.starts_with("PERI_")) << row.field;
    EXPECT_TRUE(variables.insert(row.environment).second) << row.field;
    EXPECT_GT(row.doc.size(), 10u);
  }
}

// Each inner tile is added to what the outer one carries, so that larger ones are faster.
TEST_F(CompileTest, TilesInTilesAreLargeByDefault) {
  c_.request.text = R"(import torch
import helion
import helion.language as hl

@helion.kernel()
def sums(x: torch.Tensor) -> torch.Tensor:
    m, n = x.size()
    block = hl.register_block_size(m)
    out = torch.empty([(m + block - 1) // block, n])
    for outer in hl.tile(m, block_size=block):
        acc = hl.zeros([n])
        for inner in hl.tile(outer.begin, outer.end):
            acc += x[inner, :].sum(0)
        out[outer.id, :] = acc
    return out
)";
  c_.request.kernel = "sums";
  arguments_ = {{"x", *parse_argument("x", "randn[1024,1024]", 0, diags_)}};
  c_.request.args = specs_of(arguments_);
  ASSERT_TRUE(compile(c_));
  const space::Config sizes = c_.default_config["block_sizes"];
  EXPECT_GE(sizes[1], sizes[0]);
}

}  // namespace
}  // namespace peri::driver
