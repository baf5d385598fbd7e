// What the config space of a GPU target holds, and why not more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace peri::triton_test
