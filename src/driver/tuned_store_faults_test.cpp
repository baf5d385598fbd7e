// Many processes, killed at any moment, on one cache; files that change under them; disks that are
// full or read-only. No wrong config is ever given, and nothing that was finished is lost.
//
// PERI_CACHE_ROUNDS in the environment sets the number of rounds.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/hash.h"
#include "driver/quarantine.h"
#include "driver/record_files.h"
#include "driver/version.h"

namespace peri::driver {
namespace {

namespace fs = std::filesystem;
using tune::Record;

constexpr i64 kKeys = 3, kResults = 40, kProcesses = 8;

// What the children have finished, for the parent to check.
struct Shared {
  std::atomic<i64> best[kKeys];    // least number of a result that was put
  std::atomic<u64> banned[kKeys];  // bits of the configs that were added to the quarantine
  std::atomic<i64> puts, finds, wrong, collections;
};

double seconds_of(i64 number) { return 1e-3 * std::pow(1.1, static_cast<double>(number)); }

// Result `number` of kernel `k`: the smaller, the faster beyond any noise.
Record record_of(i64 k, i64 number) {
  Record r;
  r.kernel = "kernel" + std::to_string(k);
  r.kernel_hash = r.structure_hash = hash_hex(r.kernel);
  r.target = "x86-64-v3";
  r.fingerprint = "machine";
  r.compiler = "Perihelion " + std::string(kVersion);
  r.key = tune::key_of(r);
  r.started = "2026-11-25T06:01:25Z";
  r.elapsed = 1;
  r.trials.resize(1);
  r.trials[0].config = {{"kernel", k}, {"number", number}};
  r.trials[0].seconds = r.trials[0].low = r.trials[0].high = seconds_of(number);
  return r;
}

class TunedStoreFaults : public testing::Test {
 protected:
  TunedStoreFaults() {
    const char* memory = "/dev/shm";
    fs::path parent = access(memory, W_OK) == 0 ? fs::path(memory) : fs::temp_directory_path();
    root_ = parent / ("peri-faults-" + std::to_string(getpid()));
    settings_.cache_dir = root_.string();
    void* memory_of_all =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_ = new (memory_of_all) Shared();
    for (auto& best : shared_->best) best = kResults;
  }
  ~TunedStoreFaults() override {
    fs::remove_all(root_);
    munmap(shared_, sizeof(Shared));
  }

  TunedStore make() { return TunedStore(settings_, {}); }

  static i64 rounds(i64 otherwise) {
    const char* text = std::getenv("PERI_CACHE_ROUNDS");
    return text == nullptr ? otherwise : std::atoll(text);
  }

  // Whether an entry is one of those that were put, whole.
  static bool is_right(const TunedEntry& entry, i64 k) {
    const i64 number = entry.config.value("number", i64{-1});
    return entry.config.value("kernel", i64{-1}) == k && number >= 0 && number < kResults &&
           entry.seconds == seconds_of(number);
  }

  void look(const TunedStore& store, i64 k) {
    const auto entry = store.find(record_of(k, 0).key);
    if (!entry) return;
    ++shared_->finds;
    if (!is_right(*entry, k)) ++shared_->wrong;
  }

  void work(u64 seed) {
    std::mt19937_64 random(seed);
    for (i64 i = 0; i < 3; ++i) {
      TunedStore store = make();
      const i64 k = static_cast<i64>(random() % kKeys);
      const i64 number = static_cast<i64>(random() % kResults);
      look(store, k);
      if (store.put(record_of(k, number))) {
        ++shared_->puts;
        i64 best = shared_->best[k];
        while (number < best && !shared_->best[k].compare_exchange_weak(best, number)) {
        }
      }
      const space::Config banned = {{"number", number}};
      Quarantine quarantine(store, record_of(k, 0).key);
      if (quarantine.add(banned, tune::Status::Crashed, "SIGSEGV")) {
        shared_->banned[k] |= u64{1} << number;
      }
      look(store, k);
      if (random() % 12 == 0) collect(store);
    }
  }

  // As if it were hours later, so that what nothing refers to is not spared for its age.
  bool collect(TunedStore& store) {
    const bool done = collect_garbage(store, {}, std::time(nullptr) + 7200).has_value();
    if (done) ++shared_->collections;
    return done;
  }

  // Some of the children die somewhere.
  void run_round(std::mt19937_64& random) {
    std::vector<pid_t> children;
    for (i64 p = 0; p < kProcesses; ++p) {
      const u64 seed = random();
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        work(seed);
        _exit(0);
      }
      children.push_back(child);
    }
    usleep(static_cast<useconds_t>(random() % 3000));
    for (const pid_t child : children) {
      if (random() % 3 == 0) kill(child, SIGKILL);
    }
    for (const pid_t child : children) {
      int status = 0;
      waitpid(child, &status, 0);
      EXPECT_TRUE((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
                  (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    }
  }

  void flip_a_bit(std::mt19937_64& random) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      if (entry.is_regular_file() && entry.file_size() > 0) files.push_back(entry.path());
    }
    if (files.empty()) return;
    const fs::path& path = files[random() % files.size()];
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto at = static_cast<std::streamoff>(random() % fs::file_size(path));
    char byte = 0;
    file.seekg(at).get(byte);
    byte = static_cast<char>(byte ^ (1 << (random() % 8)));
    file.seekp(at).put(byte);
  }

  // The exit status of `body` in a process of its own.
  template <class Body>
  static int in_child(Body body) {
    const pid_t child = fork();
    if (child == 0) _exit(body() ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }

  fs::path root_;
  Settings settings_;
  Shared* shared_ = nullptr;
};

TEST_F(TunedStoreFaults, KilledWritersLoseNothingOfOthers) {
  std::mt19937_64 random(1);
  for (i64 round = 0, all = rounds(150); round < all; ++round) {
    run_round(random);
    TunedStore store = make();
    for (i64 k = 0; k < kKeys; ++k) {
      const auto entry = store.find(record_of(k, 0).key);
      const i64 best = shared_->best[k];
      ASSERT_TRUE(entry || best == kResults) << "round " << round;
      if (!entry) continue;
      ASSERT_TRUE(is_right(*entry, k));
      ASSERT_LE(entry->config["number"].get<i64>(), best) << "round " << round;
      ASSERT_TRUE(store.record_of(*entry)) << "round " << round;
      const auto banned = Quarantine(store, entry->key).load();
      for (i64 n = 0; n < kResults; ++n) {
        const bool was_added = (shared_->banned[k] >> n & 1) != 0;
        ASSERT_TRUE(!was_added || banned.contains(config_text({{"number", n}})));
      }
    }
  }
  EXPECT_EQ(shared_->wrong, 0);
  EXPECT_GT(shared_->collections, 0);
  EXPECT_GT(shared_->puts, 0);
  EXPECT_GT(shared_->finds, 0);
}

TEST_F(TunedStoreFaults, DamagedFilesAreNeverUsed) {
  std::mt19937_64 random(2);
  for (i64 round = 0, all = rounds(150); round < all; ++round) {
    run_round(random);
    for (i64 i = 0; i < 3; ++i) flip_a_bit(random);
    TunedStore store = make();
    for (i64 k = 0; k < kKeys; ++k) look(store, k);
    for (const auto& located : store.entries()) {
      EXPECT_TRUE(is_right(located.entry, located.entry.config.value("kernel", i64{-1})));
      if (auto record = store.record_of(located.entry)) {
        EXPECT_EQ(record->key, located.entry.key);
      }
    }
  }
  EXPECT_EQ(shared_->wrong, 0);
  TunedStore store = make();
  flip_a_bit(random);
  ASSERT_TRUE(collect(store));  // nothing damaged is left, nor what belonged to it
  i64 warnings = 0;
  EXPECT_EQ(TunedStore(settings_, [&](const Error&) { ++warnings; }).entries().size(),
            static_cast<std::size_t>(std::ranges::count_if(
                store.cache().list().entries,
                [](const auto& item) { return item.key.starts_with("tuned-"); })));
  EXPECT_EQ(warnings, 0);
  for (const auto& item : store.cache().list().entries) {
    EXPECT_TRUE(store.cache().is_intact(item)) << item.key;
  }
  EXPECT_TRUE(store.cache().list().damaged.empty());
  EXPECT_TRUE(store.cache().list().temporaries.empty());
  ASSERT_TRUE(store.put(record_of(0, 0)));
  EXPECT_EQ(store.find(record_of(0, 0).key)->seconds, seconds_of(0));
}

TEST_F(TunedStoreFaults, AFullDiskKeepsWhatThereIs) {
  ASSERT_TRUE(make().put(record_of(0, 9)));
  for (rlim_t limit : {0, 1, 60, 100, 300, 900}) {
    const int status = in_child([&] {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit small{limit, limit};
      setrlimit(RLIMIT_FSIZE, &small);
      TunedStore store = make();
      const bool failed = !store.put(record_of(0, 1));
      return failed && store.find(record_of(0, 0).key)->seconds == seconds_of(9);
    });
    EXPECT_EQ(status, 0) << limit;
    EXPECT_EQ(make().find(record_of(0, 0).key)->seconds, seconds_of(9));
    EXPECT_TRUE(make().cache().list().temporaries.empty());
  }
}

TEST_F(TunedStoreFaults, AReadOnlyFolderIsReadAndNotWritten) {
  ASSERT_TRUE(make().put(record_of(0, 9)));
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    chmod(entry.path().c_str(), entry.is_directory() ? 0555 : 0444);
  }
  chmod(root_.c_str(), 0555);
  const int status = in_child([&] {
    if (getuid() == 0 && setuid(65534) != 0) return false;
    TunedStore store = make();
    auto put = store.put(record_of(1, 1));
    return !put && put.error().code == "cache-read-only" &&
           store.find(record_of(0, 0).key)->seconds == seconds_of(9);
  });
  EXPECT_EQ(status, 0);
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    if (entry.is_directory()) chmod(entry.path().c_str(), 0755);
  }
  chmod(root_.c_str(), 0755);
}

}  // namespace
}  // namespace peri::driver
