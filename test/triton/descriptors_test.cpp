// Which accesses tensor descriptors can be, and the code around them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "triton/interpreter.h"
#include "triton/prepared.h"

namespace peri::triton_test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Every access by descriptor, the rest by default.
space::Config by_descriptor(const Prepared& kernel, const std::string& config = "{}") {
  space::Config all = kernel.c.default_config;
  all.update(space::Config::parse(config));
  for (auto& kind : all["indexing"]) kind = "tensor_descriptor";
  return all;
}

void expect_compiles(const Prepared& kernel, const space::Config& config,
                     const backends::CompileOptions& options = {}) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  auto code = driver::generate(kernel.c, config, options);
  EXPECT_TRUE(code) << code.error().message;
}

std::string code_of(const Prepared& kernel, const space::Config& config,
                    backends::CompileOptions options) {
  options.keep = "triton";
  auto text = kernel.c.backend->compile(kernel.c.lowered->kernel, config, options);
  EXPECT_TRUE(text) << text.error().message;
  return text ? text->text : "";
}

Case rows_of(const std::string& block) {
  return {.kernel = "rows.py:rows",
          .args = {{"x", "randn[96,64]"}},
          .text =
              "@helion.kernel()\n"
              "def rows(x):\n"
              "    out = torch.empty_like(x)\n"
              "    for t in hl.tile(x.size(0), block_size=" +
              block +
              "):\n"
              "        out[t, :] = x[t, :] - x[t, :].sum(0)[None, :]\n"
              "    return out\n"};
}

TEST(Descriptors, ATileHasAsManyElementsAsLanes) {
  Prepared odd(rows_of("24")), even(rows_of("32"));
  ASSERT_TRUE(odd.ready && even.ready);
  EXPECT_THAT(odd.c.space.why_not(by_descriptor(even)).value_or(""),
              HasSubstr("its tiles of 24 have 32 lanes"));
  bool excluded = false;
  for (const space::Knob& knob : odd.c.space.knobs()) {
    if (knob.key != "indexing") continue;
    EXPECT_EQ(std::ranges::count(knob.choices, "tensor_descriptor"), 0);
    excluded = std::ranges::any_of(knob.excluded, [](const space::Excluded& e) {
      return e.reason == "its tiles of 24 have 32 lanes";
    });
  }
  EXPECT_TRUE(excluded);
  EXPECT_EQ(even.c.space.why_not(by_descriptor(even)).value_or(""), "");
  expect_compiles(even, by_descriptor(even));
}

TEST(Descriptors, GeneralCodeHasNoneForTensorsThatMayBeUnaligned) {
  Prepared kernel({"basic/copy.py:copy", {{"x", "randn[64,64]"}}});
  ASSERT_TRUE(kernel.ready);
  backends::CompileOptions general;
  general.assume_aligned = general.assume_32_bit = false;
  for (const char* host : {"true", "false"}) {
    const space::Config config =
        by_descriptor(kernel, std::string(R"({"flatten_loops": [false], "block_sizes": [16, 32],
                                "host_tensor_descriptors": )") +
                                  host + "}");
    ASSERT_EQ(kernel.c.space.why_not(config).value_or(""), "");
    EXPECT_THAT(code_of(kernel, config, {}), HasSubstr("x_desc.load("));
    const std::string text = code_of(kernel, config, general);
    EXPECT_THAT(text, Not(HasSubstr("x_desc")));
    EXPECT_THAT(text, HasSubstr("out_desc.store("));  // its memory is the kernel's own
    expect_compiles(kernel, config, general);
  }
}

Case sums_up_to(const std::string& bounds) {
  return {.kernel = "sums.py:sums",
          .args = {{"x", "randn[6,64]"}, {"n", "randint[6]=0:65"}},
          .text =
              "@helion.kernel()\n"
              "def sums(x, n):\n"
              "    m = x.size(0)\n"
              "    out = torch.zeros([m], dtype=x.dtype)\n"
              "    for i in hl.grid(m):\n"
              "        acc = hl.zeros([], dtype=torch.float32)\n"
              "        for t in hl.tile(0, " +
              bounds +
              "):\n"
              "            acc = acc + x[i, t].sum()\n"
              "        out[i] = acc\n"
              "    return out\n"};
}

TEST(Descriptors, OffsetsHave32Bits) {
  Prepared kernel(sums_up_to("n[i]"));
  ASSERT_TRUE(kernel.ready);
  space::Config config = *kernel.config(R"({"block_sizes": [32]})");
  for (std::size_t i = 0; i < config["indexing"].size(); ++i) {
    config["indexing"][i] = "tensor_descriptor";
    if (kernel.c.space.why_not(config)) config["indexing"][i] = "pointer";
  }
  EXPECT_THAT(code_of(kernel, config, {}), HasSubstr("x_desc.load([i, t_begin.to(tl.int32)])"));
  expect_compiles(kernel, config);
}

TEST(Descriptors, ADimensionBeyond32BitsHasNone) {
  Prepared kernel({"basic/copy.py:copy", {{"x", "randn[3000000000,64]"}}}, false);
  ASSERT_TRUE(kernel.ready);
  for (const space::Knob& knob : kernel.c.space.knobs()) {
    if (knob.key != "indexing") continue;
    ASSERT_FALSE(knob.excluded.empty());
    EXPECT_EQ(knob.excluded.back().reason, "offsets along a dimension need 64 bits");
  }
}

}  // namespace
}  // namespace peri::triton_test
