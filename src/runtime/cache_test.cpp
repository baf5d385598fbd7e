#include "runtime/cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/files.h"

namespace peri::runtime {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

class CacheTest : public testing::Test {
 protected:
  CacheTest() : root(testing::TempDir() + "peri-cache-" + std::to_string(getpid())) {
    fs::create_directories(root);
  }
  ~CacheTest() override { fs::remove_all(root); }

  Cache make(Cache::Layers layers) {
    return Cache(std::move(layers), [this](const Error& error) { codes.push_back(error.code); });
  }
  static void overwrite(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }

  std::string root;
  std::vector<std::string> codes;
};

TEST_F(CacheTest, KeepsEntries) {
  Cache cache = make({root + "/user", "", ""});
  EXPECT_EQ(cache.get("key"), std::nullopt);
  ASSERT_TRUE(cache.put("key", "payload"));
  ASSERT_TRUE(cache.put("", ""));
  EXPECT_EQ(cache.get("key"), "payload");
  EXPECT_EQ(cache.get(""), "");
  ASSERT_TRUE(cache.put("key", std::string("a\0b", 3)));
  EXPECT_EQ(make({root + "/user", "", ""}).get("key"), std::string("a\0b", 3));
  EXPECT_THAT(codes, IsEmpty());
}

TEST_F(CacheTest, ReadsEveryLayerAndWritesTheUsers) {
  ASSERT_TRUE(make({root + "/site", "", ""}).put("a", "site"));
  ASSERT_TRUE(make({root + "/image", "", ""}).put("a", "image"));
  ASSERT_TRUE(make({root + "/image", "", ""}).put("b", "image"));
  Cache cache = make({root + "/user", root + "/site", root + "/image"});
  EXPECT_EQ(cache.get("a"), "site");
  EXPECT_EQ(cache.get("b"), "image");
  ASSERT_TRUE(cache.put("b", "user"));
  EXPECT_EQ(cache.get("b"), "user");
  EXPECT_EQ(make({root + "/image", "", ""}).get("b"), "image");
}

TEST_F(CacheTest, DamagedEntriesAreMissesAndReplaced) {
  Cache cache = make({root, "", ""});
  ASSERT_TRUE(cache.put("key", "payload"));
  const std::string path = cache.path_of("key");
  const std::string good = *read_file(path, 1000);
  std::vector<std::string> damaged{"", "x", good + "x", "foreign text, much longer than a header"};
  for (std::size_t i = 0; i < good.size(); ++i) {
    damaged.push_back(good.substr(0, i));
    damaged.push_back(good);
    damaged.back()[i] = static_cast<char>(damaged.back()[i] ^ 1);
  }
  for (const std::string& text : damaged) {
    overwrite(path, text);
    codes.clear();
    EXPECT_EQ(cache.get("key"), std::nullopt);
    EXPECT_THAT(codes, ElementsAre("cache-corrupt"));
  }
  ASSERT_TRUE(cache.put("key", "payload"));
  EXPECT_EQ(cache.get("key"), "payload");
}

TEST_F(CacheTest, EntriesOfOtherKeysDoNotCount) {
  Cache cache = make({root, "", ""});
  ASSERT_TRUE(cache.put("a", "payload"));
  fs::create_directories(fs::path(cache.path_of("b")).parent_path());
  fs::rename(cache.path_of("a"), cache.path_of("b"));
  EXPECT_EQ(cache.get("b"), std::nullopt);
  EXPECT_THAT(codes, ElementsAre("cache-corrupt"));
}

TEST_F(CacheTest, FallsThroughToTheNextLayer) {
  ASSERT_TRUE(make({root + "/site", "", ""}).put("key", "site"));
  Cache cache = make({root + "/user", root + "/site", ""});
  ASSERT_TRUE(cache.put("key", "user"));
  overwrite(cache.path_of("key"), "junk");
  EXPECT_EQ(cache.get("key"), "site");
}

TEST_F(CacheTest, OddThingsInTheFolder) {
  Cache cache = make({root, "", ""});
  fs::create_directories(cache.path_of("key") + "/sub");
  EXPECT_EQ(cache.get("key"), std::nullopt);
  EXPECT_THAT(codes, ElementsAre("cache-unreadable"));
  ASSERT_TRUE(cache.put("key", "payload"));
  EXPECT_EQ(cache.get("key"), "payload");
}

TEST_F(CacheTest, LatchesToReadOnlyWithOneWarning) {
  overwrite(root + "/file", "");
  Cache cache = make({root + "/file", "", ""});
  EXPECT_EQ(cache.get("key"), std::nullopt);
  codes.clear();
  EXPECT_EQ(cache.put("key", "payload").error().code, "cache-read-only");
  EXPECT_EQ(cache.put("other", "payload").error().code, "cache-read-only");
  EXPECT_THAT(codes, ElementsAre("cache-read-only"));
  EXPECT_EQ(make({"", "", ""}).put("key", "payload").error().code, "cache-read-only");
  EXPECT_THAT(codes, ElementsAre("cache-read-only"));
}

TEST_F(CacheTest, FullDiskLatches) {
  Cache cache = make({root, "", ""});
  const std::string path = cache.path_of("key");
  fs::create_directories(fs::path(path).parent_path());
  fs::create_symlink("/dev/full", path);
  EXPECT_EQ(cache.put("key", "payload").error().code, "cache-read-only");
  EXPECT_THAT(codes, ElementsAre("cache-read-only"));
}

TEST_F(CacheTest, ListsEntriesAndReportsWhatIsForeign) {
  Cache cache = make({root + "/user", root + "/site", ""});
  ASSERT_TRUE(make({root + "/site", "", ""}).put("b", "site"));
  ASSERT_TRUE(cache.put("b", "user"));
  ASSERT_TRUE(cache.put("a", "user"));
  const std::string folder = fs::path(cache.path_of("a")).parent_path().string();
  overwrite(folder + "/notes.txt", "not ours");
  overwrite(folder + "/" + std::string(30, '0'), "no header");
  overwrite(cache.path_of("a") + ".0123456789abcdef-0.tmp", "half");
  overwrite(root + "/user/readme", "not ours");
  fs::create_symlink("/etc/passwd", folder + "/" + std::string(30, 'f'));
  CacheListing listing = cache.list();
  ASSERT_EQ(listing.entries.size(), 3U);
  EXPECT_EQ(listing.entries[0].key, "a");
  EXPECT_EQ(listing.entries[0].path, cache.path_of("a"));
  EXPECT_EQ(listing.entries[1].layer, Layer::User);
  EXPECT_EQ(listing.entries[2].layer, Layer::Site);
  EXPECT_GT(listing.entries[2].bytes, 4);
  EXPECT_GT(listing.entries[2].modified, 1600000000);
  EXPECT_EQ(listing.temporaries.size(), 1U);
  EXPECT_THAT(listing.foreign,
              testing::UnorderedElementsAre(folder + "/notes.txt", root + "/user/readme",
                                            folder + "/" + std::string(30, 'f')));
  ASSERT_EQ(listing.damaged.size(), 1U);
  EXPECT_EQ(listing.damaged[0].path, folder + "/" + std::string(30, '0'));
  EXPECT_THAT(codes, IsEmpty());
  EXPECT_EQ(cache.get("b", Layer::Site), "site");
  EXPECT_EQ(cache.get("a", Layer::Site), std::nullopt);
}

TEST_F(CacheTest, EntriesThatMovedAreDamaged) {
  Cache cache = make({root, "", ""});
  ASSERT_TRUE(cache.put("a", "payload"));
  fs::create_directories(fs::path(cache.path_of("b")).parent_path());
  fs::rename(cache.path_of("a"), cache.path_of("b"));
  EXPECT_THAT(cache.list().entries, IsEmpty());
  ASSERT_EQ(cache.list().damaged.size(), 1U);
  EXPECT_EQ(cache.list().damaged[0].path, cache.path_of("b"));
  EXPECT_THAT(make({root + "/none", "", ""}).list().entries, IsEmpty());
}

TEST_F(CacheTest, TellsWhatIsIntact) {
  Cache cache = make({root, "", ""});
  ASSERT_TRUE(cache.put("a", "payload"));
  const CacheListing::Item item = cache.list().entries.at(0);
  EXPECT_TRUE(cache.is_intact(item));
  std::string text = *read_file(item.path, 1000);
  text.back() = 'x';  // its header is good
  overwrite(item.path, text);
  EXPECT_EQ(cache.list().entries.size(), 1U);
  EXPECT_FALSE(cache.is_intact(item));
}

TEST_F(CacheTest, WhoCollectsAndWhoWritesWaitForEachOther) {
  Cache cache = make({root, "", ""});
  std::atomic<bool> is_written = false;
  std::thread writer;
  {
    auto alone = cache.hold_alone();
    ASSERT_TRUE(alone && alone->is_held());
    writer = std::thread([&] {
      EXPECT_TRUE(make({root, "", ""}).put("a", "payload"));
      is_written = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(is_written);
  }
  writer.join();
  EXPECT_EQ(cache.get("a"), "payload");
  const CacheLock one = cache.hold(), two = cache.hold();
  EXPECT_TRUE(one.is_held() && two.is_held());
  EXPECT_EQ(cache.hold_alone().error().code, "cache-busy");
}

TEST_F(CacheTest, UpdateSeesTheCurrentEntry) {
  ASSERT_TRUE(make({root + "/site", "", ""}).put("a", "1"));
  Cache cache = make({root + "/user", root + "/site", ""});
  auto append = [](const std::optional<std::string>& old) { return old.value_or("") + "2"; };
  ASSERT_TRUE(cache.update("a", append));
  ASSERT_TRUE(cache.update("a", append));
  EXPECT_EQ(cache.get("a"), "122");
  ASSERT_TRUE(cache.update("a", [](const auto&) { return std::optional<std::string>(); }));
  EXPECT_EQ(cache.get("a"), "122");
  EXPECT_THAT(cache.list().foreign, IsEmpty());
}

// Read, change and write of one process are not mixed with another's.
TEST_F(CacheTest, ConcurrentUpdatesLoseNothing) {
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Cache cache({root, "", ""});
      for (int i = 0; i < 25; ++i) {
        auto append = [](const std::optional<std::string>& old) { return old.value_or("") + "x"; };
        if (!cache.update("key", append)) _exit(1);
      }
      _exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(make({root, "", ""}).get("key"), std::string(100, 'x'));
}

// Each reader sees one whole payload, and no temporary file stays.
TEST_F(CacheTest, ConcurrentWritersOfOneKey) {
  std::vector<pid_t> children;
  for (int c = 0; c < 3; ++c) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Cache cache({root, "", ""});
      for (int i = 0; i < 50; ++i) {
        if (!cache.put("key", std::string(10000 + static_cast<std::size_t>(c), 'a'))) _exit(1);
      }
      _exit(0);
    }
    children.push_back(child);
  }
  Cache cache = make({root, "", ""});
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(cache.put("key", "short"));
  });
  for (int i = 0; i < 500; ++i) {
    const auto payload = cache.get("key");
    if (payload && payload->size() != 5) EXPECT_GE(payload->size(), 10000U);
  }
  writer.join();
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_THAT(codes, IsEmpty());
  const auto folder = fs::path(cache.path_of("key")).parent_path();
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
}

}  // namespace
}  // namespace peri::runtime
