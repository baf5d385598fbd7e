// Accesses out of range: the same error from compiled code as from the interpreter, and none where
// nothing is accessed.
#include <gtest/gtest.h>

#include "language_kernel.h"

namespace peri::equiv {
namespace {

struct Bounds {
  std::string kernel;
  ArgTexts args;
  std::string error;  // "": none
};

std::string range_error(i64 index, i64 dim, const std::string& tensor, i64 size) {
  return "index " + std::to_string(index) + " is out of range for dimension " +
         std::to_string(dim) + " of `" + tensor + "`, of size " + std::to_string(size);
}

std::vector<Bounds> cases() {
  const std::pair<std::string, std::string> table{"table", "randn[5,37]"}, x{"x", "randn[37]"};
  return {
      {"rows", {table, {"ids", "randint[13]=0:5"}}, ""},
      {"rows", {table, {"ids", "full[13]=5:i64"}}, range_error(5, 0, "table", 5)},
      {"rows", {table, {"ids", "full[13]=-1:i32"}}, range_error(-1, 0, "table", 5)},
      {"rows", {table, {"ids", "full[13]=-100:i8"}}, range_error(-100, 0, "table", 5)},
      {"rows", {{"table", "randn[0,37]"}, {"ids", "zeros[13]:i64"}}, range_error(0, 0, "table", 0)},
      {"rows",
       {{"table", "randn[5,37]:bf16"}, {"ids", "full[1]=6:i64"}},
       range_error(6, 0, "table", 5)},
      {"rows", {{"table", "randn[3,37]"}, {"ids", "arange[9]"}}, range_error(3, 0, "table", 3)},
      {"elements", {table, {"ids", "randint[5,37]=0:37"}}, ""},
      {"elements", {table, {"ids", "full[5,37]=37:i64"}}, range_error(37, 1, "table", 37)},
      {"elements", {table, {"ids", "full[5,37]=-2:i16"}}, range_error(-2, 1, "table", 37)},
      {"scatter", {x, {"ids", "arange[37]"}}, ""},
      {"scatter", {{"x", "randn[64]"}, {"ids", "full[37]=64:i64"}}, range_error(64, 0, "o", 64)},
      {"scatter", {{"x", "randn[36]:f16"}, {"ids", "arange[36].strided(2)"}}, ""},
      {"shifted", {x, {"shift", "0"}}, ""},
      {"shifted", {x, {"shift", "-1"}}, range_error(-1, 0, "x", 37)},
      {"scalar", {x, {"at", "full[1]=36:i64"}}, ""},
      {"scalar", {x, {"at", "full[1]=37:i64"}}, range_error(37, 0, "x", 37)},
      {"scalar", {x, {"at", "full[1]=-1:i64"}}, range_error(-1, 0, "x", 37)},
      {"masked", {x, {"ids", "full[37]=50:i64"}, {"limit", "37"}}, ""},
      {"masked", {x, {"ids", "randint[37]=0:90"}, {"limit", "37"}}, ""},
      {"masked", {x, {"ids", "full[37]=50:i64"}, {"limit", "51"}}, range_error(50, 0, "x", 37)},
      {"product", {{"x", "randn[9,20]"}, {"y", "randn[20,7]"}, {"begin", "full[1]=12:i64"}}, ""},
      {"product",
       {{"x", "randn[9,20]"}, {"y", "randn[20,7]"}, {"begin", "full[1]=13:i64"}},
       range_error(20, 1, "x", 20)},
      {"product",
       {{"x", "randn[9,20]"}, {"y", "randn[20,7]"}, {"begin", "full[1]=-3:i64"}},
       range_error(-3, 1, "x", 20)},
      {"no_turn", {x, {"at", "full[1]=99:i64"}, {"n", "zeros[1]:i64"}}, ""},
      {"no_turn",
       {x, {"at", "full[1]=99:i64"}, {"n", "full[1]=3:i64"}},
       range_error(99, 0, "x", 37)},
      {"no_turn",
       {x, {"at", "full[1]=9:i64"}, {"n", "full[1]=38:i64"}},
       range_error(37, 0, "x", 37)},
      {"branch", {x, {"at", "full[1]=99:i64"}, {"flag", "zeros[1]:i64"}}, ""},
      {"branch",
       {x, {"at", "full[1]=99:i64"}, {"flag", "ones[1]:i64"}},
       range_error(99, 0, "x", 37)},
  };
}

std::string text(const Bounds& test) {
  std::string text = test.kernel;
  for (const auto& [name, spec] : test.args) text += " " + name + "=" + spec;
  return text;
}

// Compiled for `args`, called with `later`.
struct Later {
  std::string kernel;
  ArgTexts args, later;
  std::string code;  // "": no error
  std::string error;
};

std::vector<Later> later_cases() {
  const std::string range = "index-out-of-range", empty = "empty-reduction";
  const auto text = [](const std::string& at) {
    return "index " + at + " is outside dimension 0 of `x`";
  };
  const std::string no_rows = "`torch.amin` over dimension 1, which has size 0";
  return {
      {"first_row", {{"x", "randn[4,9]"}}, {{"x", "randn[1,9]"}}, "", ""},
      {"first_row", {{"x", "randn[4,9]"}}, {{"x", "randn[0,9]"}}, range, text("0")},
      {"host_index",
       {{"x", "randn[4,9]"}, {"at", "2"}},
       {{"x", "randn[6,9]"}, {"at", "5"}},
       "",
       ""},
      {"host_index",
       {{"x", "randn[4,9]"}, {"at", "2"}},
       {{"x", "randn[6,9]"}, {"at", "6"}},
       range,
       text("at")},
      {"host_index",
       {{"x", "randn[4,9]"}, {"at", "-1"}},
       {{"x", "randn[6,9]"}, {"at", "-6"}},
       "",
       ""},
      {"host_index",
       {{"x", "randn[4,9]"}, {"at", "-1"}},
       {{"x", "randn[6,9]"}, {"at", "-7"}},
       range,
       text("at")},
      {"host_slice",
       {{"x", "randn[9]"}, {"begin", "2"}},
       {{"x", "randn[12]"}, {"begin", "99"}},
       "",
       ""},
      {"host_slice",
       {{"x", "randn[9]"}, {"begin", "-2"}},
       {{"x", "randn[12]"}, {"begin", "-99"}},
       "",
       ""},
      {"largest", {{"x", "randn[9,5]"}}, {{"x", "randn[9,1]"}}, "", ""},
      {"largest", {{"x", "randn[9,5]"}}, {{"x", "randn[9,0]"}}, empty, no_rows},
      {"host_largest",
       {{"x", "randn[9,5]"}},
       {{"x", "randn[9,0]"}},
       empty,
       "`torch.amax` over dimension 1, which has size 0"},
  };
}

TEST(Later, CallsAreChecked) {
  for (const Later& test : later_cases()) {
    SCOPED_TRACE(test.kernel + " " + test.later.back().second);
    LanguageKernel kernel("bounds.py:" + test.kernel, true);
    if (!kernel.compile(kernel.parse(test.args))) continue;
    driver::Arguments arguments = kernel.parse(test.later);
    EXPECT_EQ(kernel.run(kernel.configs(0).front(), arguments), "");
    EXPECT_EQ(kernel.error().code, test.code);
    EXPECT_TRUE(kernel.error().message.ends_with(test.error)) << kernel.error().message;
  }
}

class BoundsTest : public testing::TestWithParam<std::string> {};

TEST_P(BoundsTest, ErrorsAreTheInterpreters) {
  for (const Bounds& test : cases()) {
    for (bool dynamic : {false, true}) {
      SCOPED_TRACE(text(test) + (dynamic ? " dynamic" : ""));
      LanguageKernel kernel("bounds.py:" + test.kernel, dynamic, GetParam());
      driver::Arguments arguments = kernel.parse(test.args);
      if (!kernel.compile(arguments)) continue;
      if (!kernel.can_run_here()) GTEST_SKIP() << "this CPU cannot run " << GetParam();
      for (const space::Config& config : kernel.configs(2)) {
        EXPECT_EQ(kernel.run(config, arguments), "") << config.dump();
        EXPECT_EQ(kernel.error().code, test.error.empty() ? "" : "index-out-of-range");
        EXPECT_EQ(kernel.error().message, test.error) << config.dump();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, BoundsTest,
                         testing::Values("host", "x86-64-v2", "x86-64-v3", "x86-64-v4"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace peri::equiv
