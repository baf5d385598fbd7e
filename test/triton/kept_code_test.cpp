// Machine code that was compiled once runs where there is no Python, and a damaged file of it is
// no file.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "backends/triton/toolchain.h"
#include "base/files.h"
#include "driver/arguments.h"
#include "driver/code_cache.h"
#include "driver/tuned_store.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/fake_driver.h"
#include "triton/interpreter.h"

namespace peri::triton_test {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::SizeIs;

constexpr const char* kNowhere = "/nowhere/python3";
constexpr i64 kSize = 100;
constexpr const char* kText = R"(
import torch
import helion
import helion.language as hl

@helion.kernel()
def add(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size()):
        out[tile] = x[tile] + y[tile]
    return out
)";

// --- what is written ---

triton::Binary some_binary() {
  triton::Binary binary;
  binary.function = "add";
  binary.format = "cubin";
  binary.bytes = std::string(
      "\x7f"
      "ELF\n\0code",
      10);
  binary.num_warps = 8;
  binary.shared_bytes = 1024;
  binary.scratch_bytes = 64;
  binary.scratch_alignment = 128;
  binary.descriptors = {{3, {64, 32}}, {0, {}}};
  binary.compiler = "triton 3.6.0";
  return binary;
}

TEST(KeptCode, ReadsBackWhatWasWritten) {
  auto read = triton::read_binary(triton::write_binary(some_binary()));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, some_binary());
}

TEST(KeptCode, CutShortAnywhereItIsRefused) {
  const std::string text = triton::write_binary(some_binary());
  for (std::size_t size = 0; size < text.size(); ++size) {
    auto read = triton::read_binary(text.substr(0, size));
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(read.error().code, "bad-binary");
  }
}

TEST(KeptCode, ValuesThatNoLaunchHasAreRefused) {
  std::vector<void (*)(triton::Binary&)> faults = {
      [](triton::Binary& b) { b.function.clear(); },
      [](triton::Binary& b) { b.bytes.clear(); },
      [](triton::Binary& b) { b.num_warps = 0; },
      [](triton::Binary& b) { b.cluster = -1; },
      [](triton::Binary& b) { b.shared_bytes = -1; },
      [](triton::Binary& b) { b.scratch_alignment = 0; },
      [](triton::Binary& b) { b.descriptors[0].swizzle = 4; },
      [](triton::Binary& b) { b.descriptors[0].box = {8, 0}; },
      [](triton::Binary& b) { b.descriptors[0].box = {1, 1, 1, 1, 1, 1}; },
  };
  for (std::size_t i = 0; i < faults.size(); ++i) {
    triton::Binary binary = some_binary();
    faults[i](binary);
    EXPECT_FALSE(triton::read_binary(triton::write_binary(binary))) << i;
  }
  std::string text = triton::write_binary(some_binary());
  text.replace(text.find("\"num_warps\":8"), 13, "\"num_warps\":{}");
  EXPECT_FALSE(triton::read_binary(text));
}

// --- the pool of compilers, with a shell for Python ---

class MapStore final : public backends::CodeStore {
 public:
  std::optional<std::string> get(std::string_view key) const override {
    auto found = entries.find(std::string(key));
    return found == entries.end() ? std::nullopt : std::optional(found->second);
  }
  void put(std::string_view key, std::string_view payload) override {
    entries[std::string(key)] = payload;
  }
  std::map<std::string, std::string> entries;
};

// Of a Triton that makes the same code of everything.
triton::ToolchainOptions shell(const std::string& version) {
  triton::ToolchainOptions options;
  options.python = "/bin/sh";
  options.arguments = {
      "-c",
      R"(echo '{"hello": true, "version": ")" + version + R"("}'; while read -r line; do )" +
          R"(echo '{"ok": true, "name": "f", "format": "cubin", "binary": "Q09ERQ=="}'; done)"};
  options.processes = 1;
  return options;
}

triton::Source source_of(const std::string& text) {
  triton::Source source;
  source.text = text;
  source.function = "f";
  source.signature = {{"x", "*fp32"}};
  return source;
}

const triton::Target& sm_90() { return triton::targets()[1]; }

TEST(KeptCode, IsNotCompiledAgain) {
  MapStore store;
  triton::Toolchain first(shell("3.6.0"));
  auto made = first.compile(source_of("a"), sm_90(), &store);
  ASSERT_TRUE(made) << made.error().message;
  triton::ToolchainOptions nowhere;
  nowhere.python = kNowhere;
  triton::Toolchain second(nowhere);
  auto kept = second.compile(source_of("a"), sm_90(), &store);
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(*kept, *made);
  EXPECT_EQ(kept->bytes, "CODE");
}

TEST(KeptCode, EverythingThatChangesItHasAKeyOfItsOwn) {
  MapStore store;
  triton::Toolchain toolchain(shell("3.6.0"));
  std::vector<triton::Source> sources(8, source_of("a"));
  sources[1].text = "b";
  sources[2].num_warps = 8;
  sources[3].num_stages = 3;
  sources[4].maxnreg = 128;
  sources[5].aligned = {0};
  sources[6].signature[0].second = "*fp16";
  sources[7].function = "g";
  for (const triton::Source& source : sources) {
    ASSERT_TRUE(toolchain.compile(source, sm_90(), &store));
  }
  ASSERT_TRUE(toolchain.compile(sources[0], triton::targets()[0], &store));
  EXPECT_THAT(store.entries, SizeIs(9));
}

TEST(KeptCode, OfAnotherTritonCountsUntilTheOneHereIsKnown) {
  MapStore store;
  triton::Toolchain old(shell("3.6.0"));
  ASSERT_TRUE(old.compile(source_of("a"), sm_90(), &store));
  triton::Toolchain other(shell("3.9.0"));
  EXPECT_EQ(other.compile(source_of("a"), sm_90(), &store)->compiler, "triton 3.6.0");
  EXPECT_EQ(other.compile(source_of("b"), sm_90(), &store)->compiler, "triton 3.9.0");
  EXPECT_EQ(other.compile(source_of("a"), sm_90(), &store)->compiler, "triton 3.9.0");
  EXPECT_THAT(store.entries, SizeIs(2));
}

// --- on disk, with the real compiler ---

class KeptCodeOnDisk : public testing::Test {
 protected:
  KeptCodeOnDisk() {
    folder_ = fs::temp_directory_path() / fmt::format("peri-kept-code-test-{}", getpid());
    if (const char* path = std::getenv("PATH")) path_ = path;
  }
  ~KeptCodeOnDisk() override {
    setenv("PATH", path_.c_str(), 1);
    fs::remove_all(folder_);
  }
  void SetUp() override {
    if (python().empty()) GTEST_SKIP() << "no Python with Triton: scripts/triton_venv.sh makes one";
  }

  struct Prepared {
    explicit Prepared(KeptCodeOnDisk& test, const std::string& python) : diags(sources), c(diags) {
      for (const char* name : {"x", "y"}) {
        arguments[name] = *driver::parse_argument(name, fmt::format("randn[{}]", kSize), 7, diags);
      }
      c.request.file = "add.py";
      c.request.text = kText;
      c.request.kernel = "add";
      c.request.device = "cuda:sm_90";
      c.request.settings.python = python;
      c.request.settings.cache_dir = test.folder_.string();
      c.request.args = driver::specs_of(arguments);
      c.request.warn = [&test](const Error& error) { test.warnings_.push_back(error.code); };
      auto done = driver::compile(c, "generate");
      code = done ? "" : done.error().code;
    }
    diag::Sources sources;
    diag::Diags diags;
    driver::Compilation c;
    driver::Arguments arguments;
    std::string code;  // of the error, or ""
  };

  std::unique_ptr<Prepared> prepare(const std::string& python) {
    return std::make_unique<Prepared>(*this, python);
  }
  // From here on, no Python is found by its name either.
  std::unique_ptr<Prepared> prepare_without_python() {
    setenv("PATH", "/nowhere", 1);
    auto prepared = prepare("python3");
    setenv("PATH", path_.c_str(), 1);
    return prepared;
  }
  // The file of the only entry of machine code.
  std::string code_file() {
    auto listing = runtime::Cache({folder_.string(), "", ""}).list();
    std::vector<std::string> files;
    for (const auto& item : listing.entries) {
      if (item.key.starts_with(backends::kCodeKey)) files.push_back(item.path);
    }
    EXPECT_THAT(files, SizeIs(1));
    return files.empty() ? "" : files[0];
  }
  static void write(const std::string& file, const std::string& bytes) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  }

  fs::path folder_;
  std::string path_;
  std::vector<std::string> warnings_;
};

TEST_F(KeptCodeOnDisk, RunsWhereThereIsADriverAndNoPython) {
  EXPECT_EQ(prepare_without_python()->code, "no-python");
  auto made = prepare(python());
  ASSERT_EQ(made->code, "");
  auto kept = prepare_without_python();
  ASSERT_EQ(kept->code, "");
  const backends::Artifact& artifact = kept->c.code.artifact;
  ASSERT_THAT(artifact.launches, SizeIs(1));
  EXPECT_EQ(artifact.images[0].bytes, made->c.code.artifact.images[0].bytes);
  EXPECT_EQ(artifact.images[0].bytes.substr(1, 3), "ELF");

  cuda::FakeDriver fake;
  const backends::Launch& launch = artifact.launches[0];
  fake.kernels[launch.function] = [](const cuda::LaunchConfig&, void** params) {
    float** tensors[] = {static_cast<float**>(params[0]), static_cast<float**>(params[1]),
                         static_cast<float**>(params[2])};
    for (i64 i = 0; i < kSize; ++i) (*tensors[2])[i] = (*tensors[0])[i] + (*tensors[1])[i];
  };
  cuda::Driver driver = fake.table();
  auto device = cuda::open(driver, 0);
  ASSERT_TRUE(device);
  auto values = space::config_values(kept->c.lowered->kernel, kept->c.config);
  auto executable =
      runtime::Executable::on_device(kept->c.lowered, values, artifact, {*device, {}});
  ASSERT_TRUE(executable) << executable.error().message;
  runtime::Tensor x = kept->arguments["x"].tensor, y = kept->arguments["y"].tensor;
  runtime::Tensor there[] = {*runtime::to_device(x, **device), *runtime::to_device(y, **device)};
  runtime::Leaf leaves[] = {{&there[0], {}}, {&there[1], {}}};
  auto result = (*executable)->call(leaves);
  ASSERT_TRUE(result) << result.error().message;
  runtime::Tensor out = *runtime::to_host(result->tensor);
  const auto* a = reinterpret_cast<const float*>(x.data());
  const auto* b = reinterpret_cast<const float*>(y.data());
  const auto* sum = reinterpret_cast<const float*>(out.data());
  for (i64 i = 0; i < kSize; ++i) ASSERT_EQ(sum[i], a[i] + b[i]) << i;
  EXPECT_EQ(fake.launches.at(0).config.block[0], launch.threads);
  EXPECT_EQ(launch.threads, 32 * kept->c.config.value("num_warps", i64{0}));
}

TEST_F(KeptCodeOnDisk, ADamagedFileIsAMissAndIsReplaced) {
  ASSERT_EQ(prepare(python())->code, "");
  const std::string file = code_file();
  const std::string whole = *read_file(file, 1 << 24);
  for (std::size_t at : {std::size_t{9}, whole.size() / 2, whole.size() - 1}) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    for (const std::string& bytes : {flipped, whole.substr(0, at)}) {
      write(file, bytes);
      warnings_.clear();
      EXPECT_EQ(prepare_without_python()->code, "no-python") << at;
      EXPECT_THAT(warnings_, Contains("cache-corrupt"));
    }
  }
  EXPECT_EQ(prepare(python())->code, "");
  EXPECT_EQ(prepare_without_python()->code, "");
}

TEST_F(KeptCodeOnDisk, IsNeitherReadNorWrittenWithoutCache) {
  driver::Request request;
  request.settings.no_cache = true;
  EXPECT_EQ(driver::open_code_store(request), nullptr);
}

}  // namespace
}  // namespace peri::triton_test
