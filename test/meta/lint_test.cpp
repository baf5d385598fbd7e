// Rules of tools/lint, on small trees.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace peri {
namespace {

namespace fs = std::filesystem;

class LintTest : public testing::Test {
 protected:
  LintTest() {
    write("src/README.md", "| `base` | |\n| `plan` | |\n| `backends` | |\n| `runtime` | |\n");
    for (const char* folder : {"base", "plan", "backends", "runtime", "diag"}) {
      fs::create_directories(root_ / "src" / folder);
    }
    for (const char* folder : {"test", "tools/lint"}) fs::create_directories(root_ / folder);
  }
  ~LintTest() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }

  std::string faults() {
    const std::string command =
        std::string(PERI_LINT) + " " + root_.string() + " >" + (root_ / "faults").string();
    (void)std::system(command.c_str());
    std::stringstream text;
    text << std::ifstream(root_ / "faults").rdbuf();
    return text.str();
  }

  bool is_fault(const std::string& path, const std::string& line) {
    write(path, line + "\n");
    const bool found = faults().find(path + ": backend-name: line 1") != std::string::npos;
    fs::remove(root_ / path);
    return found;
  }

  const fs::path root_ = fs::temp_directory_path() / ("peri-lint-" + std::to_string(::getpid()));
};

TEST_F(LintTest, SharedFoldersNameNoBackend) {
  EXPECT_TRUE(is_fault("src/plan/plan.cpp", "// as Triton does"));
  EXPECT_TRUE(is_fault("src/plan/plan.cpp", "const char* kHint = \"`cuda` is one\";"));
  EXPECT_TRUE(is_fault("src/runtime/executor.cpp", "int cudaDevices = 0;"));
  EXPECT_TRUE(is_fault("src/backends/backend.h", "// \"triton 3.6.0\""));
  EXPECT_FALSE(is_fault("src/plan/plan.cpp", "// as other compilers do"));
}

TEST_F(LintTest, OwnFoldersRegistriesAndTestsDo) {
  for (const char* path :
       {"src/backends/triton/plan.cpp", "src/runtime/cuda/device.cpp", "src/backends/backend.cpp",
        "src/runtime/device.cpp", "src/check/names.def", "src/plan/plan_test.cpp"}) {
    EXPECT_FALSE(is_fault(path, "// Triton, CUDA")) << path;
  }
}

}  // namespace
}  // namespace peri
