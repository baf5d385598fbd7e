// Runs the program as a user would and looks at exit status and output.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/ids.h"

namespace peri {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

const std::string kKernels = PERI_SOURCE_DIR "/kernels/";

struct Finished {
  int status = -1;
  std::string output;  // both streams
};

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("peri_cli_" + std::to_string(getpid()));
    fs::create_directories(folder_);
    fs::current_path(folder_);
    setenv("PERI_CACHE_DIR", (folder_ / "cache").c_str(), 1);
  }
  void TearDown() override {
    fs::current_path("/");
    fs::remove_all(folder_);
  }

  // `arguments` as a shell reads them.
  static Finished peri(const std::string& arguments) {
    std::string command = std::string(PERI_PROGRAM) + " " + arguments + " 2>&1";
    FILE* pipe = popen(command.c_str(), "r");
    Finished finished;
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;)
      finished.output.append(buffer, n);
    int status = pclose(pipe);
    finished.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return finished;
  }

  static void expect(const std::string& arguments, int status, const std::string& text) {
    Finished finished = peri(arguments);
    EXPECT_EQ(finished.status, status) << arguments << "\n" << finished.output;
    EXPECT_THAT(finished.output, HasSubstr(text)) << arguments;
  }

  static std::string read(const fs::path& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

  fs::path folder_;
};

const std::string kSoftmax = "run " + kKernels + "basic/softmax.py:softmax --arg 'x=randn[64,65]' ";

TEST_F(Cli, ListsKernels) {
  expect("list " + kKernels + "basic/softmax.py", 0, "softmax_two_pass(x)");
}

TEST_F(Cli, RunsChecksAndTimes) {
  Finished finished = peri(kSoftmax + "--check --time --seed 3");
  EXPECT_EQ(finished.status, 0) << finished.output;
  for (const char* text :
       {"default config: helion.Config(block_sizes=", "out0: f32[64, 65]", "check ok", "time "}) {
    EXPECT_THAT(finished.output, HasSubstr(text));
  }
}

TEST_F(Cli, PrintsNothingButJson) {
  Finished finished = peri(kSoftmax + "--check --json");
  auto json = nlohmann::json::parse(finished.output, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << finished.output;
  EXPECT_EQ(json["status"], 0);
  EXPECT_TRUE(json["check"]["ok"]);
}

TEST_F(Cli, WritesOutputs) {
  expect("run " + kKernels +
             "library/norm.py:layer_norm --arg 'x=randn[4,6]:bf16' --arg 'weight=ones[6]' --out "
             "results",
         0, "out2: f32[4]");
  auto json = nlohmann::json::parse(read("results/result.json"));
  EXPECT_EQ(json["outputs"].size(), 3U);
  EXPECT_EQ(json["outputs"][0]["dtype"], "bfloat16");
  expect("run " + kKernels + "basic/exp.py:exp --arg x=@results/out0.npy --check", 0, "check ok");
}

TEST_F(Cli, TakesEverySpec) {
  const std::string add = "run " + kKernels + "basic/add.py:add --check ";
  expect(add + "--arg 'x=arange[6]' --arg 'y=full[6]=2.5'", 0, "2.5 3.5 4.5");
  expect(add + "--arg 'x=randint[8,3]=0:10' --arg 'y=zeros[3,8].t()'", 0, "check ok");
  expect(add + "--arg 'x=rand[4,5].strided(9,1)' --arg 'y=ones[4,5]:f16'", 0, "check ok");
  expect("run " + kKernels +
             "basic/matmul.py:matmul_epilogue --arg 'x=randn[8,9]' --arg 'y=randn[9,7]' "
             "--arg 'bias=randn[7]' --arg 'epilogue=lambda acc, tile: torch.relu(acc + "
             "bias[tile[1]])' --check",
         0, "check ok");
  expect(
      "run " + kKernels +
          "library/norm.py:layer_norm --arg 'x=randn[4,6]' --arg 'weight=ones[6]' --arg bias=none",
      0, "out0");
}

TEST_F(Cli, EmitsEveryStage) {
  for (const char* stage :
       {"ast", "typed", "host", "ir", "ir-after=lower", "space", "plan", "llvm", "asm"}) {
    Finished finished =
        peri("emit " + kKernels + "basic/softmax.py:softmax --arg 'x=zeros[8,9]' --stage " + stage);
    EXPECT_EQ(finished.status, 0) << stage << finished.output;
    EXPECT_GT(finished.output.size(), 80U) << stage;
  }
}

TEST_F(Cli, EmitsForOtherCpus) {
  for (const char* level : {"x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"}) {
    expect("emit " + kKernels + "basic/softmax.py:softmax --arg 'x=zeros[8,9]' --stage asm --cpu " +
               level,
           0, "root0");
  }
  expect(kSoftmax + "--cpu aarch64", 3, "cannot run");
}

// --- bad input ---

TEST_F(Cli, NamesWhatIsUnknown) {
  expect("run nofile.py:k", 2, "error[file-not-found]");
  expect("run " + kKernels + "basic/add.py:addd", 2, "hint: did you mean `add`?");
  expect("run " + kKernels + "basic/add.py:add --arg 'x=randn[4]'", 2,
         "argument `y` of `add` is missing");
  expect("run " + kKernels + "basic/add.py:add --arg 'x=randn[4]' --arg 'y=randn[4]' --arg z=3", 2,
         "has no argument `z`");
  expect("emit " + kKernels + "basic/add.py:add --stage foo", 2, "error[unknown-stage]");
  expect(kSoftmax + "--cpu foo", 2, "error[unknown-cpu-level]");
  expect("nonsense", 2, "subcommand");
}

TEST_F(Cli, RefusesArgumentsOfTheWrongKind) {
  expect("run " + kKernels + "basic/add.py:add --arg 'x=randn[4,q]' --arg 'y=randn[4]'", 2,
         "error[bad-argument]");
  expect("run " + kKernels + "basic/softmax.py:softmax --arg x=3", 2, "error[kernel-argument]");
  expect("run " + kKernels + "basic/sum.py:row_sum --arg 'x=randn[4]'", 1,
         "error[unpack-mismatch]");
  expect("run " + kKernels + "basic/add.py:add --arg 'x=randn[4]' --arg 'y=randn[5]'", 1,
         "error[shape-mismatch]");
  expect("run " + kKernels + "basic/matmul.py:matmul --arg 'x=randn[4,5]' --arg 'y=randn[6,7]'", 1,
         "size mismatch 5 != 6");
  expect("run " + kKernels + "basic/softmax.py:softmax --arg 'x=zeros[99999999,99999999]'", 3,
         "error[out-of-memory]");
}

TEST_F(Cli, RefusesConfigs) {
  auto refused = [](const std::string& config, const std::string& text) {
    expect(kSoftmax + "--config '" + config + "'", 2, text);
  };
  refused(R"({"blok_sizes": [4]})", "hint: did you mean `block_sizes`?");
  refused(R"({"block_sizes": [4, 5]})", "error[config-length]");
  refused(R"({"block_sizes": [-4]})", "error[config-value]");
  refused(R"({"block_sizes": [1e30]})", "error[config-value]");
  refused(R"({"block_sizes": )", "error[config-syntax]");
  expect(kSoftmax + "--config @nope.json", 3, "error[file-open]");
  expect(kSoftmax + R"(--config '{"block_sizes": [4], "num_warps": 8}' --check)", 0,
         "note[config-ignored]");
}

TEST_F(Cli, RefusesDamagedFiles) {
  std::ofstream("short.npy")
      << read(PERI_SOURCE_DIR "/bench/data/digits_points.npy").substr(0, 100);
  std::ofstream("hostile.npy") << std::string("\x93NUMPY\x01\x00\xff\xff", 10) + "garbage";
  std::ofstream("text.npy") << "1, 2, 3\n";
  const std::string softmax = "run " + kKernels + "basic/softmax.py:softmax --arg ";
  expect(softmax + "x=@short.npy:f32", 3, "error[npy-truncated]");
  expect(softmax + "x=@hostile.npy", 3, "error[npy-");
  expect(softmax + "x=@text.npy", 3, "error[npy-");
  expect(softmax + "x=@none.npy", 3, "error[file-open]");
  std::ofstream("broken.py") << "def f(:\n    x = (1,\n";
  expect("run broken.py:f", 1, "error[");
}

TEST_F(Cli, SaysThatTheDiskIsFull) {
  fs::create_directories("small");
  if (mount("tmpfs", "small", "tmpfs", 0, "size=16k") != 0)
    GTEST_SKIP() << "cannot mount a small disk";
  expect("run " + kKernels + "basic/exp.py:exp --arg 'x=randn[64,64]' --out small", 3,
         "error[file-write]");
  umount("small");
}

// --- tuning ---

const std::string kTune = "tune " + kKernels + "basic/softmax.py:softmax --arg 'x=randn[64,65]' ";

TEST_F(Cli, TunesAndRemembers) {
  Finished tuned = peri(kTune + "--budget 2 --seed 1");
  EXPECT_EQ(tuned.status, 0) << tuned.output;
  EXPECT_THAT(tuned.output, HasSubstr("Autotuning complete in"));
  EXPECT_THAT(tuned.output, HasSubstr("@helion.kernel(config=helion.Config("));
  expect(kSoftmax + "--check", 0, "tuned config: helion.Config(");
  expect(kSoftmax + "--no-cache", 0, "default config: helion.Config(");
}

TEST_F(Cli, IgnoresADamagedCache) {
  ASSERT_EQ(peri(kTune + "--budget 1").status, 0);
  for (const auto& entry : fs::recursive_directory_iterator("cache")) {
    if (entry.is_regular_file())
      std::ofstream(entry.path(), std::ios::in | std::ios::out) << "damaged";
  }
  Finished finished = peri(kSoftmax + "--check");
  EXPECT_EQ(finished.status, 0) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("default config: helion.Config("));
}

TEST_F(Cli, GoesOnWithoutACacheFolder) {
  setenv("PERI_CACHE_DIR", "/proc/nowhere", 1);
  Finished finished = peri(kTune + "--budget 1");
  EXPECT_EQ(finished.status, 0) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("Autotuning complete"));
  EXPECT_THAT(finished.output, HasSubstr("warning"));
}

TEST_F(Cli, KeepsTheBestWhenInterrupted) {
  int out[2];
  ASSERT_EQ(pipe(out), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(out[1], 1);
    dup2(out[1], 2);
    std::string kernel = kKernels + "basic/softmax.py:softmax";
    execl(PERI_PROGRAM, "peri", "tune", kernel.c_str(), "--arg", "x=randn[64,65]", "--budget", "60",
          nullptr);
    _exit(127);
  }
  close(out[1]);
  std::this_thread::sleep_for(std::chrono::seconds(4));
  kill(child, SIGINT);
  std::string output;
  char buffer[4096];
  for (ssize_t n; (n = ::read(out[0], buffer, sizeof buffer)) > 0;)
    output.append(buffer, static_cast<size_t>(n));
  close(out[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130) << output;
  EXPECT_THAT(output, HasSubstr("@helion.kernel(config=helion.Config("));
  expect(kSoftmax, 0, "tuned config: helion.Config(");
}

}  // namespace
}  // namespace peri
