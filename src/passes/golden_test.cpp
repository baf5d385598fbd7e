// Passes on small kernels: test/golden/passes/*.ir. `passes_test --update_golden` rewrites what
// they expect.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "ir/parse.h"
#include "ir/verify.h"
#include "passes/compare_runs.h"
#include "passes/pipeline.h"

namespace peri::passes {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSeparator = "\n---- expected\n";

// A comment in `#` lines, a line `pass NAME...`, a kernel, the separator, the kernel that is
// expected.
struct Golden {
  std::string head;
  std::vector<std::string> passes;
  std::string input;
  std::string expected;
};

std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

Golden split(const std::string& text) {
  Golden golden;
  size_t kernel = text.find("\nkernel ") + 1, separator = text.find(kSeparator);
  golden.head = text.substr(0, kernel);
  golden.input = text.substr(kernel, separator == text.npos ? text.npos : separator + 1 - kernel);
  if (separator != text.npos) golden.expected = text.substr(separator + kSeparator.size());
  std::istringstream line(golden.head.substr(golden.head.find("pass ") + 5));
  for (std::string name; line >> name;) golden.passes.push_back(name);
  return golden;
}

bool is_updating() {
  return std::ranges::count(testing::internal::GetArgvs(), "--update_golden") > 0;
}

bool run_named(const std::string& name, ir::Kernel& kernel) {
  auto pass = std::ranges::find(pipeline(), name, &Pass::name);
  EXPECT_NE(pass, pipeline().end()) << "no pass " << name;
  return pass != pipeline().end() && pass->run(kernel);
}

void check(const fs::path& path) {
  SCOPED_TRACE(path.string());
  Golden golden = split(read(path));
  diag::Sources sources;
  diag::Diags diags(sources);
  auto kernel = ir::parse(sources.add(path.filename(), golden.input), diags);
  ASSERT_TRUE(kernel) << diag::render_text(diags);
  ir::Kernel before = *kernel;
  for (const std::string& name : golden.passes) run_named(name, *kernel);
  bool ran = false;
  EXPECT_EQ(compare_runs(before, *kernel, {}, &ran), "");
  EXPECT_TRUE(ran);
  EXPECT_EQ(ir::verify(*kernel), std::vector<std::string>());
  std::string result = ir::print(*kernel);
  if (is_updating()) {
    std::ofstream(path) << golden.head << golden.input << kSeparator.substr(1) << result;
  } else {
    EXPECT_EQ(result, golden.expected) << "run passes_test --update_golden and look at the change";
  }
  for (const std::string& name : golden.passes) {
    EXPECT_FALSE(run_named(name, *kernel)) << name << " is not idempotent";
    EXPECT_EQ(ir::print(*kernel), result) << name << " is not idempotent";
  }
}

TEST(Golden, Passes) {
  i64 files = 0;
  for (const auto& entry : fs::directory_iterator(PERI_SOURCE_DIR "/test/golden/passes")) {
    check(entry.path());
    ++files;
  }
  EXPECT_GE(files, 10);
}

}  // namespace
}  // namespace peri::passes
