#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace peri {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  Files() : folder(testing::TempDir() + "peri-files-" + std::to_string(getpid())) {
    fs::create_directories(folder);
  }
  ~Files() override { fs::remove_all(folder); }
  std::string path(const std::string& name) const { return folder + "/" + name; }
  static Expected<void> put(const std::string& path, std::string_view text, bool durable = false) {
    return replace_file(path, std::span(&text, 1), durable);
  }
  i64 entries() const { return std::distance(fs::directory_iterator(folder), {}); }

  std::string folder;
};

TEST_F(Files, ReplacesWholeFiles) {
  const std::string_view parts[] = {"one", "", "two"};
  ASSERT_TRUE(replace_file(path("a"), parts));
  EXPECT_EQ(read_file(path("a"), 100), "onetwo");
  ASSERT_TRUE(put(path("a"), "x", true));
  EXPECT_EQ(read_file(path("a"), 100), "x");
  EXPECT_EQ(entries(), 1);
}

TEST_F(Files, KeepsSymbolicLinks) {
  ASSERT_TRUE(put(path("real"), "old"));
  fs::create_symlink("real", path("link"));
  ASSERT_TRUE(put(path("link"), "new"));
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(read_file(path("real"), 100), "new");
}

TEST_F(Files, ReadsOnlyRegularFiles) {
  EXPECT_EQ(read_file(path("none"), 100).error().code, "file-open");
  EXPECT_EQ(read_file(folder, 100).error().code, "file-open");
  EXPECT_EQ(read_file("/dev/zero", 100).error().code, "file-open");
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(read_file(path("pipe"), 100).error().code, "file-open");
  ASSERT_TRUE(put(path("big"), std::string(101, 'x')));
  EXPECT_EQ(read_file(path("big"), 100).error().code, "file-too-large");
}

TEST_F(Files, ReportsWhatCannotBeWritten) {
  EXPECT_EQ(put("/dev/full", "x").error().code, "file-write");
  EXPECT_EQ(put(path("none/a"), "x").error().code, "file-open");
  EXPECT_EQ(put(folder, "x").error().code, "file-open");
  EXPECT_EQ(put(path("none/a"), "x").error().message,
            "cannot write `" + path("none/a") + "`: No such file or directory");
  EXPECT_TRUE(put("/dev/null", "x"));
  EXPECT_EQ(entries(), 0);
}

}  // namespace
}  // namespace peri
