// What the config space of a GPU target holds, and why not more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "triton/interpreter.h"
#include "triton/prepared.h"

namespace peri::triton_test {
namespace {

using testing::HasSubstr;

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

TEST(Rules, WarpsAreSpecializedWhereTheKernelAllowsIt) {
  Prepared usual(product("", "cuda:sm_100"));
  Prepared never(product("allow_warp_specialize=False", "cuda:sm_100"));
  EXPECT_EQ(why_excluded(usual, "range_warp_specializes", "true"), "");
  EXPECT_EQ(why_excluded(never, "range_warp_specializes", "true"),
            "the kernel's decorator says `allow_warp_specialize=False`");
}

}  // namespace
}  // namespace peri::triton_test
