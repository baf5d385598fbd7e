// What the config space of a GPU target holds, and why not more.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <set>

#include "backends/triton/space_rules.h"
#include "backends/triton/target.h"
#include "triton/interpreter.h"
#include "triton/prepared.h"

namespace peri::triton_test {
namespace {

using testing::HasSubstr;
using testing::Not;

// "" if the knob takes the value.
std::string why_excluded(const Prepared& kernel, const std::string& key, const std::string& value) {
  for (const space::Knob& knob : kernel.c.space.knobs()) {
    if (knob.key != key) continue;
    for (const space::Excluded& e : knob.excluded) {
      if (e.values == value) return e.reason;
    }
    return "";
  }
  return "there is no such knob";
}

// --- products ---

// Triton multiplies the wrong elements where operands of 8 bits are converted and k is below 32.
TEST(Rules, OperandsOf8BitsNeedALongerK) {
  auto kernel = [](const std::string& dtype) {
    return Case{.kernel = "f.py:f",
                .args = {{"x", "randn[64,16]:bf16"}, {"w", "randint[16,64]=-8:8:" + dtype}},
                .text =
                    "@helion.kernel()\n"
                    "def f(x, w):\n"
                    "    out = x.new_empty([x.size(0), w.size(1)], dtype=torch.float32)\n"
                    "    for m, n in hl.tile(out.size()):\n"
                    "        out[m, n] = hl.dot(x[m, :], w[:, n].to(torch.bfloat16))\n"
                    "    return out\n"};
  };
  Prepared narrow(kernel("i8")), wide(kernel("i16"));
  ASSERT_TRUE(narrow.ready && wide.ready);
  EXPECT_THAT(text_of(narrow, "{}"), Not(HasSubstr("tl.dot(")));
  EXPECT_THAT(text_of(wide, "{}"), HasSubstr("tl.dot("));
  Prepared packed({"library/int4_gemm.py:int4_gemm",
                   {{"x", "randn[64,128]:bf16"}, {"packed", "randint[64,64]=-128:128:i8"}}});
  ASSERT_TRUE(packed.ready);
  EXPECT_EQ(why_excluded(packed, "block_sizes", "below 16"), "a matrix product needs it");
}

// Warpgroups that share a narrow product access wrong memory where a loop is unrolled.
TEST(Rules, ProductsAreWideEnoughForTheirWarps) {
  const std::string heads = "randn[2,170,128]:bf16";
  Prepared kernel(
      {"library/attention.py:attention", {{"q_in", heads}, {"k_in", heads}, {"v_in", heads}}});
  ASSERT_TRUE(kernel.ready);
  auto why_not = [&](i64 keys, i64 warps) {
    const space::Config config =
        *kernel.config(fmt::format(R"({{"block_sizes": [1, 64, {}], "num_warps": 4}})", keys));
    space::Config wider = config;
    wider["num_warps"] = warps;
    return kernel.c.space.why_not(wider).value_or("");
  };
  EXPECT_EQ(why_not(64, 16), "");
  EXPECT_EQ(why_not(16, 4), "");
  EXPECT_EQ(why_not(16, 16), "a product of 1024 elements is too narrow for 16 warps");
  EXPECT_EQ(why_not(32, 16), "a product of 2048 elements is too narrow for 16 warps");
}

// --- shared memory ---

// A store's box is there beside that of the load.
TEST(Rules, BoxesFitTogether) {
  Prepared kernel({"basic/copy.py:copy", {{"x", "randn[1024,4096]"}}}, false);
  ASSERT_TRUE(kernel.ready);
  space::Config config = *kernel.config(
      R"({"block_sizes": [128, 256], "num_warps": 16, "indexing": ["tensor_descriptor", "pointer"]})");
  EXPECT_EQ(kernel.c.space.why_not(config).value_or(""), "");
  config["indexing"][1] = "tensor_descriptor";
  EXPECT_EQ(kernel.c.space.why_not(config).value_or(""),
            "no descriptor for `out`: its box takes 128 KB more of shared memory");
}

// --- grids ---

TEST(Rules, AGridOfPlanesHasBoundsThatAreKnown) {
  const std::vector<std::pair<std::string, std::string>> args = {{"x", "randn[64,64]"}};
  Prepared copy({"basic/copy.py:copy", args}), row({"basic/copy.py:copy", {{"x", "randn[64]"}}});
  EXPECT_EQ(why_excluded(copy, "pid_type", "\"xyz\""), "");
  EXPECT_EQ(why_excluded(row, "pid_type", "\"xyz\""), "the grid does not have two or three axes");
  const std::string body =
      "def f(x):\n"
      "    out = torch.empty_like(x)\n"
      "    for t in hl.tile(x.size()):\n"
      "        out[t] = x[t]\n";
  Prepared dynamic({.kernel = "f.py:f",
                    .args = args,
                    .text = "@helion.kernel(static_shapes=False)\n" + body + "    return out\n"});
  EXPECT_EQ(why_excluded(dynamic, "pid_type", "\"xyz\""),
            "the grid's bounds are only known in a call");
  Prepared two({.kernel = "f.py:f",
                .args = args,
                .text = "@helion.kernel()\n" + body +
                        "    for t in hl.tile(x.size()):\n"
                        "        out[t] = out[t] + 1\n"
                        "    return out\n"});
  EXPECT_EQ(why_excluded(two, "pid_type", "\"xyz\""), "the kernel has several grids");
}

// A loop that runs ahead of its stores would read what they replace.
TEST(Rules, LoopsOfAGridThatReadsWhatItWritesHaveNoStages) {
  Prepared two({.kernel = "f.py:f",
                .args = {{"x", "randn[64,64]"}},
                .text = "@helion.kernel()\n"
                        "def f(x):\n"
                        "    out = torch.empty_like(x)\n"
                        "    for t in hl.tile(x.size(0)):\n"
                        "        for u in hl.tile(x.size(1)):\n"
                        "            x[t, u] = x[t, u] * 2\n"
                        "    for t in hl.tile(x.size(0)):\n"
                        "        for u in hl.tile(x.size(1)):\n"
                        "            out[t, u] = x[t, u] + 1\n"
                        "    return out\n"});
  ASSERT_TRUE(two.ready);
  EXPECT_EQ(why_excluded(two, "range_num_stages", "above 0"), "a tensor is both read and written");
  EXPECT_THAT(two.refusal(R"({"range_num_stages": [0, 2, 0, 0]})"),
              HasSubstr("range_num_stages[1]"));
  EXPECT_TRUE(two.config(R"({"range_num_stages": [0, 0, 0, 2]})"));
}

TEST(Rules, AGridHasNoMoreProgramsThanALaunch) {
  Prepared kernel({"basic/copy.py:copy", {{"x", "randn[3000000000,64]"}}}, false);
  ASSERT_TRUE(kernel.ready);
  EXPECT_EQ(kernel.c.space.why_not(kernel.c.default_config).value_or(""), "");
  space::Config config = *kernel.config(R"({"block_sizes": [2, 64], "flatten_loops": [false]})");
  EXPECT_EQ(kernel.c.space.why_not(config).value_or(""), "");
  config["block_sizes"][0] = 1;
  EXPECT_THAT(kernel.c.space.why_not(config).value_or(""),
              HasSubstr("3000000000 programs are more than 2147483647"));
  config["pid_type"] = "persistent_interleaved";
  EXPECT_EQ(kernel.c.space.why_not(config).value_or(""), "");
  config["pid_type"] = "xyz";
  config["block_sizes"][0] = 128;
  EXPECT_THAT(kernel.c.space.why_not(config).value_or(""),
              HasSubstr("23437500 rows are more than 65535 along y or z"));
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  for (const char* pid_type : {"persistent_blocked", "persistent_interleaved"}) {
    config["block_sizes"][0] = 1;
    config["pid_type"] = pid_type;
    auto code = driver::generate(kernel.c, config);
    EXPECT_TRUE(code) << code.error().message;
  }
}

// --- settings ---

Case product(const std::string& settings, const std::string& device = "cuda:sm_90") {
  return {.kernel = "product.py:product",
          .args = {{"x", "randn[256,256]"}, {"y", "randn[256,256]"}},
          .device = device,
          .text = "@helion.kernel(" + settings +
                  ")\n"
                  "def product(x, y):\n"
                  "    m, k = x.size()\n"
                  "    n = y.size(1)\n"
                  "    out = torch.empty([m, n], dtype=x.dtype)\n"
                  "    for t, u in hl.tile([m, n]):\n"
                  "        acc = hl.zeros([t, u], dtype=torch.float32)\n"
                  "        for v in hl.tile(k):\n"
                  "            acc = torch.addmm(acc, x[t, v], y[v, u])\n"
                  "        out[t, u] = acc\n"
                  "    return out\n"};
}

TEST(Rules, ProductsAreAsPreciseAsTheKernelAsks) {
  struct Row {
    const char* setting;
    const char* device;
    const char* chosen;
    std::set<std::string> choices;
  };
  const Row rows[] = {
      {"", "cuda:sm_90", "tf32x3", {"tf32x3", "ieee"}},
      {"dot_precision='tf32'", "cuda:sm_90", "tf32", {"tf32", "tf32x3", "ieee"}},
      {"dot_precision='tf32x3'", "cuda:sm_90", "tf32x3", {"tf32x3", "ieee"}},
      {"dot_precision='ieee'", "cuda:sm_90", "ieee", {"ieee"}},
      {"", "cuda:gfx942", "ieee", {"ieee"}},
      {"dot_precision='tf32'", "cuda:gfx942", "tf32", {"tf32", "ieee"}},
  };
  for (const Row& row : rows) {
    Prepared kernel(product(row.setting, row.device));
    ASSERT_TRUE(kernel.ready);
    for (const space::Knob& knob : kernel.c.space.knobs()) {
      if (knob.key != "dot_precision") continue;
      EXPECT_EQ(std::set<std::string>(knob.choices.begin(), knob.choices.end()), row.choices);
    }
    EXPECT_THAT(text_of(kernel, "{}"),
                HasSubstr(std::string("input_precision=\"") + row.chosen + "\""))
        << row.setting << " " << row.device;
  }
  Prepared usual(product(""));
  EXPECT_EQ(why_excluded(usual, "dot_precision", "\"tf32\""),
            "less precise than `tf32x3`: `@helion.kernel(dot_precision=\"tf32\")` allows it");
}

TEST(Rules, PersistentGridsLeaveReservedMultiprocessorsAlone) {
  const std::string count = "torch.cuda.get_device_properties(x.device).multi_processor_count";
  for (const auto& [setting, programs] : std::map<std::string, std::string>{
           {"", "programs = 1 * " + count + "\n"},
           {"persistent_reserved_sms=2", "programs = 1 * max(" + count + " - 2, 1)\n"}}) {
    Prepared kernel(product(setting));
    auto config = kernel.config(R"({"pid_type": "persistent_blocked", "num_sm_multiplier": 1})");
    auto module = kernel.c.backend->eject(*kernel.c.lowered, *config, nullptr);
    ASSERT_TRUE(module);
    EXPECT_THAT(*module, HasSubstr(programs));
  }
}

TEST(Rules, IndicesHaveTheWidthThatTheKernelAsksFor) {
  backends::CompileOptions general{.keep = "triton", .assume_32_bit = false};
  auto is_wide = [&](const std::string& setting, const backends::CompileOptions& options) {
    Prepared kernel(product("static_shapes=False" + setting));
    auto code =
        kernel.c.backend->compile(kernel.c.lowered->kernel, kernel.c.default_config, options);
    return code->text.contains("int64");
  };
  EXPECT_FALSE(is_wide("", {.keep = "triton"}));
  EXPECT_TRUE(is_wide("", general));
  EXPECT_TRUE(is_wide(", index_dtype=torch.int64", {.keep = "triton"}));
  EXPECT_FALSE(is_wide(", index_dtype=torch.int32", general));
}

i64 loops_specialized(const space::Config& config) {
  i64 count = 0;
  for (const auto& value : config["range_warp_specializes"]) count += value == true ? 1 : 0;
  return count;
}

TEST(Rules, WarpsAreSpecializedWhereTheKernelAllowsIt) {
  Prepared usual(product("", "cuda:sm_100"));
  Prepared never(product("allow_warp_specialize=False", "cuda:sm_100"));
  EXPECT_EQ(why_excluded(usual, "range_warp_specializes", "true"), "");
  EXPECT_EQ(why_excluded(never, "range_warp_specializes", "true"),
            "the kernel's decorator says `allow_warp_specialize=False`");
  space::Config config = *usual.config(R"({"range_warp_specializes": [null, true]})");
  auto why_not = [&] { return usual.c.space.why_not(config).value_or(""); };
  config["pid_type"] = "flat";
  config["range_unroll_factors"] = {0, 0};
  config["range_flattens"] = {nullptr, nullptr};
  config["num_warps"] = 8;
  EXPECT_EQ(why_not(), "");
  config["num_warps"] = 16;
  EXPECT_THAT(why_not(), HasSubstr("in groups of 4 or 8, not of 16"));
  config["num_warps"] = 8;
  config["range_unroll_factors"][1] = 2;
  EXPECT_THAT(why_not(), HasSubstr("is not unrolled"));
  config["range_unroll_factors"][1] = 0;
  config["pid_type"] = "persistent_interleaved";
  EXPECT_THAT(why_not(), HasSubstr("only with `range_flattens`"));
  config["range_flattens"][1] = true;
  EXPECT_EQ(why_not(), "");
  config["range_warp_specializes"] = {true, true};
  EXPECT_THAT(why_not(), HasSubstr("only one loop"));
  bool seen = false;
  for (const space::Config& sample : usual.configs(200, 1e9)) {
    EXPECT_EQ(usual.c.space.why_not(sample).value_or(""), "") << sample.dump();
    seen = seen || loops_specialized(sample) == 1;
  }
  EXPECT_TRUE(seen);
}

// --- all targets ---

const std::vector<Case>& aligned_cases() {
  static const std::vector<Case> all = {
#include "triton/aligned.inc"
  };
  return all;
}

// By what the compiler reports of the code of every default config.
TEST(Rules, DefaultConfigsCompileForEveryTarget) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  std::vector<std::unique_ptr<Prepared>> prepared;
  std::vector<Work> work;
  for (const triton::Target& target : triton::targets()) {
    for (Case test : aligned_cases()) {
      test.device = "cuda:" + target.name;
      prepared.push_back(std::make_unique<Prepared>(test, false));
      const Prepared& kernel = *prepared.back();
      if (!kernel.ready) continue;
      work.push_back({&kernel, test.kernel + " for " + target.name, kernel.c.default_config});
    }
    Case dot = product("", "cuda:" + target.name);  // of f32
    prepared.push_back(std::make_unique<Prepared>(dot));
    work.push_back({prepared.back().get(), target.name, prepared.back()->c.default_config});
  }
  std::size_t compiled = 0;
  compile_all(work, [&](const Work&, const backends::Compiled&) { ++compiled; });
  EXPECT_EQ(compiled, work.size());
}

// Defaults have as many stages as fit: operands in f32 are turned in buffers of their own.
TEST(Rules, DefaultsOfAttentionFit) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  std::deque<Prepared> kernels;
  std::vector<Work> work;
  for (const auto& [spec, stages] :
       std::vector<std::pair<const char*, i64>>{{"randn[32,2048,128]:bf16", 3},
                                                {"randn[32,2048,64]:bf16", 3},
                                                {"randn[32,256,128]:bf16", 1},
                                                {"randn[32,2048,256]:bf16", 2},
                                                {"randn[32,2048,128]", 1},
                                                {"randn[32,2048,64]", 2}}) {
    Prepared& kernel =
        kernels.emplace_back(Case{.kernel = "library/attention.py:attention",
                                  .args = {{"q_in", spec}, {"k_in", spec}, {"v_in", spec}}},
                             false);
    ASSERT_TRUE(kernel.ready);
    EXPECT_EQ(kernel.c.default_config["num_stages"], stages) << spec;
    work.push_back({&kernel, spec, kernel.c.default_config});
  }
  compile_all(work, [](const Work&, const backends::Compiled&) {});
}

// A product's operands, stage by stage, are all that its code keeps there.
TEST(Rules, SharedMemoryOfAProductIsThatOfItsStages) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  Prepared kernel(
      {"basic/matmul.py:matmul", {{"x", "randn[4096,4096]:bf16"}, {"y", "randn[4096,4096]:bf16"}}},
      false);
  ASSERT_TRUE(kernel.ready);
  std::vector<Work> work;
  for (int stages : {2, 3, 4}) {
    for (const char* block : {"[64, 64, 32]", "[128, 128, 64]", "[64, 128, 64]"}) {
      space::Config config = *kernel.config(std::string(R"({"block_sizes": )") + block +
                                            R"(, "pid_type": "flat", "num_warps": 4})");
      config["num_stages"] = stages;
      ASSERT_EQ(kernel.c.space.why_not(config).value_or(""), "");
      work.push_back({&kernel, block, config});
    }
  }
  const triton::Target target = *triton::target_for("sm_90");
  compile_all(work, [&](const Work& one, const backends::Compiled& code) {
    const i64 estimate = triton::shared_bytes(kernel.c.lowered->kernel, one.config, target);
    EXPECT_LE(estimate, code.artifact.launches[0].shared_bytes) << one.config.dump();
  });
}

}  // namespace
}  // namespace peri::triton_test
