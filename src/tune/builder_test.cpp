#include "tune/builder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

namespace peri::tune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// Configs say what compiling them does. "wait": until the file is there.
class Compiled : public Workload {
 public:
  Expected<Candidate> compile(const Config&) override { return fail("no-code", "is to be loaded"); }
  Expected<std::string> make(const Config& config) override {
    const std::string what = config["do"];
    if (what == "crash") std::abort();
    if (what == "fail") return fail("no-code", "cannot compile", "try another");
    while (what == "hang" || (what == "wait" && !std::filesystem::exists(file))) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return std::string("\0\xff\x80", 3) + what;
  }
  Expected<Candidate> load(const Config&, const std::string& code) override {
    return std::make_shared<std::string>(code);
  }
  Expected<Accuracy> trust(const Candidate&, bool) override { return Accuracy{.text = "ok"}; }
  Expected<void> check(const Candidate& candidate) override {
    if (*static_cast<const std::string*>(candidate.get()) == std::string("\0\xff\x80good", 7)) {
      return {};
    }
    return fail("wrong-result", "is not the code that was made");
  }
  void run(const Candidate&) override {}
  void flush_caches() override {}

  std::filesystem::path file =
      std::filesystem::temp_directory_path() / fmt::format("peri-builder-{}", getpid());
};

class BuilderTest : public testing::TestWithParam<bool> {
 protected:
  ~BuilderTest() override { std::filesystem::remove(workload_.file); }

  std::unique_ptr<Builder> make(i64 threads, double limit = 60) {
    if (!GetParam()) return threaded_builder(workload_, threads, steady_clock());
    return isolated_builder(workload_, threads, steady_clock(),
                            {.compile_limit = limit, .is_interrupted = {}});
  }

  static Build build(i64 id, const char* what) { return {id, {{"do", what}}}; }

  // Of so many.
  static std::vector<Built> wait(Builder& builder, std::size_t count) {
    std::vector<Built> all;
    while (all.size() < count && !builder.failure()) {
      for (Built& built : builder.ready(0.05)) all.push_back(std::move(built));
    }
    return all;
  }
  static std::vector<i64> ids_of(const std::vector<Built>& all) {
    std::vector<i64> ids;
    for (const Built& built : all) ids.push_back(built.id);
    return ids;
  }

  Compiled workload_;
};

INSTANTIATE_TEST_SUITE_P(, BuilderTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Process" : "Threads"; });

TEST_P(BuilderTest, OthersDoNotWaitForTheSlowest) {
  auto builder = make(2);
  for (i64 id = 1; id <= 5; ++id) builder->start(build(id, id == 1 ? "wait" : "good"));
  EXPECT_THAT(ids_of(wait(*builder, 4)), ElementsAre(2, 3, 4, 5));
  EXPECT_TRUE(builder->ready(0).empty());
  std::ofstream(workload_.file) << "go on";
  EXPECT_THAT(ids_of(wait(*builder, 1)), ElementsAre(1));
}

TEST_P(BuilderTest, CodeAndErrorsComeAsTheyAre) {
  auto builder = make(2);
  builder->start(build(1, "good"));
  EXPECT_EQ(wait(*builder, 1)[0].code, std::string("\0\xff\x80good", 7));
  builder->start(build(2, "fail"));
  const Built failed = wait(*builder, 1)[0];
  EXPECT_EQ(failed.verdict.status, Status::CompileError);
  EXPECT_EQ(failed.verdict.reason, "no-code: cannot compile");
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->code, "no-code");
  EXPECT_EQ(failed.error->hint, "try another");
}

TEST_P(BuilderTest, NothingComesOfWhatIsAbandoned) {
  auto builder = make(1);
  builder->start(build(1, "wait"));
  builder->start(build(2, "good"));
  EXPECT_TRUE(builder->ready(0).empty());
  builder->abandon();
  std::ofstream(workload_.file) << "go on";
  builder->start(build(3, "good"));
  EXPECT_THAT(ids_of(wait(*builder, 1)), ElementsAre(3));
  EXPECT_TRUE(builder->ready(0.05).empty());
}

using IsolatedBuilderTest = BuilderTest;
INSTANTIATE_TEST_SUITE_P(, IsolatedBuilderTest, testing::Values(true));

TEST_P(IsolatedBuilderTest, ACrashCostsNoOther) {
  auto builder = make(3);
  for (i64 id = 1; id <= 7; ++id) builder->start(build(id, id % 3 == 0 ? "crash" : "good"));
  const std::vector<Built> all = wait(*builder, 7);
  EXPECT_THAT(ids_of(all), UnorderedElementsAre(1, 2, 3, 4, 5, 6, 7));
  for (const Built& built : all) {
    EXPECT_EQ(built.verdict.status, built.id % 3 == 0 ? Status::Crashed : Status::Ok) << built.id;
    if (built.id % 3 == 0) EXPECT_THAT(built.verdict.reason, HasSubstr("SIGABRT"));
  }
}

TEST_P(IsolatedBuilderTest, AHangCostsNoOther) {
  auto builder = make(2, 0.5);
  builder->start(build(1, "hang"));
  for (i64 id = 2; id <= 4; ++id) builder->start(build(id, "good"));
  const std::vector<Built> all = wait(*builder, 4);
  EXPECT_THAT(ids_of(all), UnorderedElementsAre(1, 2, 3, 4));
  for (const Built& built : all) {
    EXPECT_EQ(built.verdict.status, built.id == 1 ? Status::Hung : Status::Ok) << built.id;
  }
}

TEST_P(IsolatedBuilderTest, BenchesLoadWhatWasMade) {
  auto builder = make(1);
  builder->start(build(0, "good"));
  const std::string code = wait(*builder, 1)[0].code;
  for (bool isolated : {true, false}) {
    auto bench = isolated ? isolated_bench(workload_, 1, steady_clock(), {})
                          : local_bench(workload_, 1, steady_clock());
    auto trusted = bench->trust({0, {}, code}, false);
    ASSERT_TRUE(trusted) << trusted.error().message;
    const std::vector<Build> builds = {{1, {}, code}, {2, {}, "other"}, {3, {}, ""}};
    auto verdicts = bench->compile(builds);
    EXPECT_TRUE(verdicts[0].ok());
    EXPECT_EQ(verdicts[2].reason, "no-code: is to be loaded");
    EXPECT_TRUE(bench->check(1, 5).ok());
    EXPECT_EQ(bench->check(2, 5).status, Status::WrongResult);
  }
}

}  // namespace
}  // namespace peri::tune
