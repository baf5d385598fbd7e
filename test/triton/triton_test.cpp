// Every kernel's Triton code: compiled for sm_90, and interpreted against the reference
// interpreter.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "backends/triton/cache_folder.h"
#include "backends/triton/toolchain.h"
#include "driver/check_result.h"
#include "triton/interpreter.h"
#include "triton/prepared.h"

namespace peri::triton_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

constexpr double kMostCells = 150;  // of an interpreted grid

// Those with PERI_TRITON_ONLY in their name.
std::vector<Case> only(std::vector<Case> cases) {
  const char* text = std::getenv("PERI_TRITON_ONLY");
  if (text == nullptr) return cases;
  std::erase_if(cases, [&](const Case& test) { return !test.kernel.contains(text); });
  return cases;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = only({
#include "equiv/cases.inc"
  });
  return all;
}

const std::vector<Case>& aligned_cases() {
  static const std::vector<Case> all = only({
#include "triton/aligned.inc"
  });
  return all;
}

std::string name_of(const Case& test) {
  std::string name = test.kernel;
  for (const auto& [arg, spec] : test.args) name += " " + arg + "=" + spec;
  return name;
}

i64 number_from(const char* variable, i64 fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::atoll(text);
}

// "basic/add.py:add" of every kernel under kernels/.
std::set<std::string> kernels_there() {
  std::set<std::string> names;
  std::filesystem::path root = std::string(PERI_SOURCE_DIR) + "/kernels";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".py") continue;
    std::ifstream in(entry.path());
    bool decorated = false;
    for (std::string line; std::getline(in, line);) {
      decorated = decorated || line.starts_with("@helion.kernel");
      if (!decorated || !line.starts_with("def ")) continue;
      std::string file = std::filesystem::relative(entry.path(), root);
      names.insert(file + ":" + line.substr(4, line.find('(') - 4));
      decorated = false;
    }
  }
  return names;
}

TEST(Cases, NameEveryKernel) {
  if (std::getenv("PERI_TRITON_ONLY") != nullptr) GTEST_SKIP() << "restricted";
  std::set<std::string> odd, aligned;
  for (const Case& test : cases()) odd.insert(test.kernel);
  for (const Case& test : aligned_cases()) aligned.insert(test.kernel);
  EXPECT_EQ(odd, kernels_there());
  EXPECT_EQ(aligned, kernels_there());
}

// --- compiled ---

TEST(Compile, EveryKernelAtSampledConfigs) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  i64 count = number_from("PERI_TRITON_CONFIGS", 10);
  std::vector<std::unique_ptr<Prepared>> prepared;
  std::vector<Work> work;
  auto add = [&](const Case& test, bool with_tensors) {
    prepared.push_back(std::make_unique<Prepared>(test, with_tensors));
    if (!prepared.back()->ready) return;
    for (space::Config& config : prepared.back()->configs((count + 1) / 2, 1e9)) {
      work.push_back({prepared.back().get(), test.kernel, std::move(config)});
    }
  };
  std::set<std::string> seen;
  for (const Case& test : cases()) {
    if (seen.insert(test.kernel).second) add(test, true);
  }
  for (const Case& test : aligned_cases()) add(test, false);
  compile_all(work);
}

// What bench/gpu/run found on a machine with a GPU.
TEST(Compile, RecordedWinners) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  std::ifstream in(std::string(PERI_SOURCE_DIR) + "/bench/results/h100-configs.json");
  const auto recorded = space::Config::parse(in);
  EXPECT_GE(recorded.size(), 18u);
  std::vector<std::unique_ptr<Prepared>> prepared;
  std::vector<Work> work;
  for (const auto& [name, winner] : recorded.items()) {
    Case test{.kernel = winner["kernel"], .args = {}};
    for (const auto& [argument, spec] : winner["args"].items())
      test.args.emplace_back(argument, spec);
    prepared.push_back(std::make_unique<Prepared>(test, false));
    if (!prepared.back()->ready) continue;
    if (auto config = prepared.back()->config(winner["config"].dump())) {
      work.push_back({prepared.back().get(), name, *config});
    }
  }
  compile_all(work);
}

TEST(Compile, GridsOfShortRowsAreFlattenedByDefault) {
  Prepared narrow({"basic/add.py:add", {{"x", "randn[1000,3]"}, {"y", "randn[1000,3]"}}});
  ASSERT_TRUE(narrow.ready);
  EXPECT_EQ(narrow.c.default_config["flatten_loops"], space::Config::parse("[true]"));
  EXPECT_THAT(text_of(narrow, "{}"), HasSubstr("< 3000"));
  Prepared wide({"basic/add.py:add", {{"x", "randn[1000,256]"}, {"y", "randn[1000,256]"}}});
  ASSERT_TRUE(wide.ready);
  EXPECT_EQ(wide.c.default_config["flatten_loops"], space::Config::parse("[false]"));
  EXPECT_THAT(text_of(wide, "{}"), HasSubstr(" * 256 + "));
}

TEST(Compile, AFlattenedGridHasNoDescriptors) {
  Prepared kernel({"basic/add.py:add", {{"x", "randn[64,64]"}, {"y", "randn[64,64]"}}});
  ASSERT_TRUE(kernel.ready);
  space::Config config = *kernel.config(R"({"flatten_loops": [false], "block_sizes": [16, 16]})");
  config["indexing"][0] = "tensor_descriptor";
  EXPECT_EQ(kernel.c.space.why_not(config).value_or(""), "");
  config["flatten_loops"][0] = true;
  EXPECT_EQ(kernel.c.space.why_not(config).value_or(""),
            "no descriptor for `x`: descriptors have 2 to 5 dimensions");
}

i64 loops_in(const std::string& text) {
  i64 count = 0;
  for (std::size_t at = 0; (at = text.find("for chunk_begin", at)) != std::string::npos; ++at) {
    ++count;
  }
  return count;
}

TEST(Compile, IndependentReductionsShareALoopOrNot) {
  Prepared kernel({"language/reduce.py:moments", {{"x", "randn[7,133]"}}});
  ASSERT_TRUE(kernel.ready);
  EXPECT_EQ(kernel.c.default_config.value("reduction_fusion", false), true);
  std::string shared = R"({"reduction_loops": [64]})";
  std::string alone = R"({"reduction_loops": [64], "reduction_fusion": false})";
  EXPECT_EQ(loops_in(text_of(kernel, shared)), 2);
  EXPECT_EQ(loops_in(text_of(kernel, alone)), 4);
  EXPECT_EQ(loops_in(text_of(kernel, R"({"reduction_fusion": false})")), 0);
  const ir::Kernel& k = kernel.c.lowered->kernel;
  EXPECT_THAT(kernel.c.backend->print_plan(k, *kernel.config(alone)),
              HasSubstr("`:` of 133 in chunks of 64, a loop for each reduction\n"));
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  for (const std::string& config : {shared, alone}) {
    auto code = driver::generate(kernel.c, *kernel.config(config));
    EXPECT_TRUE(code) << code.error().message;
  }
}

TEST(Compile, FusionIsAKnobWhereItMakesADifference) {
  auto has_knob = [](const Case& test) {
    Prepared kernel(test);
    return std::ranges::count(kernel.c.space.knobs(), "reduction_fusion", &space::Knob::key) > 0;
  };
  EXPECT_TRUE(has_knob({"language/reduce.py:rows", {{"x", "randn[7,133]"}}}));
  EXPECT_FALSE(has_knob({"basic/softmax.py:softmax", {{"x", "randn[7,133]"}}}));  // one by one
  EXPECT_FALSE(has_knob({"basic/add.py:add", {{"x", "randn[7]"}, {"y", "randn[7]"}}}));
}

// The entries of `static_ranges` are of device loops, those of `range_...` of grids too.
TEST(Compile, OnlyDeviceLoopsAreUnrolledFully) {
  Prepared kernel({"basic/matmul.py:matmul", {{"x", "randn[64,64]"}, {"y", "randn[64,64]"}}});
  ASSERT_TRUE(kernel.ready);
  auto config = kernel.config(R"({"block_sizes": [32, 32, 32], "static_ranges": [true]})");
  ASSERT_TRUE(config);
  auto module = kernel.c.backend->eject(*kernel.c.lowered, *config, nullptr);
  ASSERT_TRUE(module);
  EXPECT_THAT(*module, HasSubstr("in tl.static_range(0, 64, 32)"));
  EXPECT_THAT(kernel.refusal(R"({"static_ranges": [false, true]})"), HasSubstr("static_ranges"));
}

TEST(Compile, BlockPointersAreRefusedWithTheReason) {
  Prepared kernel({"basic/add.py:add", {{"x", "randn[64,64]"}, {"y", "randn[64,64]"}}});
  ASSERT_TRUE(kernel.ready);
  EXPECT_THAT(kernel.refusal(R"({"indexing": ["block_ptr", "pointer", "pointer"]})"),
              HasSubstr("turn block pointers into pointers and masks"));
}

TEST(Compile, IndicesBeyond32BitsAreComputedIn64) {
  Prepared flat({"basic/exp.py:exp", {{"x", "randn[70000,70000]"}}}, false);
  ASSERT_TRUE(flat.ready);
  EXPECT_THAT(text_of(flat, R"({"flatten_loops": [true]})"), HasSubstr("_id.to(tl.int64) * "));
  Prepared vector({"basic/exp.py:exp", {{"x", "randn[3000000000]"}}}, false);
  ASSERT_TRUE(vector.ready);
  EXPECT_THAT(text_of(vector, "{}"), HasSubstr("_id.to(tl.int64) * "));
  Prepared small({"basic/exp.py:exp", {{"x", "randn[2000000000]"}}}, false);
  ASSERT_TRUE(small.ready);
  EXPECT_THAT(text_of(small, "{}"), Not(HasSubstr("int64")));
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  for (Prepared* kernel : {&flat, &vector}) {
    auto code = driver::generate(kernel->c, kernel->c.default_config);
    EXPECT_TRUE(code) << code.error().message;
  }
}

// --- interpreted ---

struct Run {
  Prepared* kernel;
  std::string name;
  space::Config config;
  driver::Arguments arguments;  // of this run: it may write to them
  std::vector<runtime::Leaf> leaves;
};

std::string verdict(Run& run, const Outcome& outcome) {
  const driver::Compilation& c = run.kernel->c;
  if (!outcome.error.empty()) return outcome.error;
  auto known = space::config_values(c.lowered->kernel, run.config);
  auto reference = driver::run_reference(*c.lowered, known, run.leaves);
  if (!reference) return "reference: " + reference.error().message;
  for (std::size_t i = 0; i < run.leaves.size(); ++i) {
    const std::string& bytes = outcome.argument_bytes[i];
    if (run.leaves[i].tensor == nullptr) continue;
    const runtime::Storage& storage = run.leaves[i].tensor->storage;
    std::memcpy(storage.data, bytes.data(),
                std::min<std::size_t>(bytes.size(), static_cast<std::size_t>(storage.bytes)));
  }
  auto report = driver::check_result(*c.lowered, result_of(outcome, reference->result), run.leaves,
                                     *reference, driver::tolerance_of(*c.lowered, known));
  return report.ok ? "" : report.text();
}

// `count`: of configs that are sampled; 0: the case's own.
void interpret_all(const std::vector<Case>& all, i64 count) {
  std::vector<std::unique_ptr<Prepared>> prepared;
  std::vector<Run> runs;
  std::vector<Job> jobs;
  for (const Case& test : all) {
    prepared.push_back(std::make_unique<Prepared>(test));
    Prepared& kernel = *prepared.back();
    if (!kernel.ready) continue;
    std::vector<space::Config> configs;
    if (count > 0) configs = kernel.configs(count, kMostCells);
    if (auto own = count == 0 ? kernel.config(test.config) : std::nullopt) configs = {*own};
    for (space::Config& config : configs) {
      if (kernel.cells(config) > kMostCells) continue;
      auto module = kernel.c.backend->eject(*kernel.c.lowered, config, nullptr);
      ASSERT_TRUE(module);
      Run run{&kernel, name_of(test), std::move(config), driver::clone(kernel.arguments), {}};
      run.leaves = driver::leaves_of(run.arguments, kernel.c.lowered->host.leaf_names);
      jobs.push_back({*module, run.leaves});
      runs.push_back(std::move(run));
    }
  }
  std::string folder =
      std::filesystem::temp_directory_path() / fmt::format("peri-interpret-{}", ::getpid());
  std::vector<Outcome> outcomes = interpret(jobs, folder);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(verdict(runs[i], outcomes[i]), "") << runs[i].name << "\n"
                                                 << runs[i].config.dump() << "\n"
                                                 << jobs[i].module;
  }
  std::filesystem::remove_all(folder);
}

struct LanguageCase {
  std::string kernel;  // "tiles.py:bounds"
  std::vector<std::pair<std::string, std::string>> args;
  std::vector<std::vector<std::pair<std::string, std::string>>> later;
};

std::vector<Case> language_cases() {
  static const std::vector<LanguageCase> kAll = {
#include "equiv/language.inc"
  };
  std::vector<Case> cases;
  for (const LanguageCase& one : kAll) cases.push_back({"language/" + one.kernel, one.args, "{}"});
  return only(std::move(cases));
}

TEST(Interpret, EveryPartOfTheLanguageAgreesWithTheReference) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  interpret_all(language_cases(), number_from("PERI_TRITON_INTERPRETED", 2));
}

TEST(Interpret, EveryKernelAgreesWithTheReference) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  interpret_all(cases(), number_from("PERI_TRITON_INTERPRETED", 4));
}

TEST(Interpret, FlattenedGridsAgreeWithTheReference) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  const std::string add = "basic/add.py:add", backward = "basic/exp.py:exp_backward";
  const std::vector<std::pair<std::string, std::string>> cube = {{"x", "randint[7,5,3]=-9:9"},
                                                                 {"y", "randn[7,5,3]:f64"}};
  interpret_all(
      {{add, {{"x", "randn[1000,3]"}, {"y", "randn[1000,3]"}}, R"({"flatten_loops": [true]})"},
       {add,
        {{"x", "randn[37,129]"}, {"y", "randn[1]:f16"}},
        R"({"flatten_loops": [true], "block_sizes": [16, 32]})"},
       {add, cube,
        R"({"flatten_loops": [true], "block_sizes": [1, 2, 4], "loop_orders": [[2, 0, 1]]})"},
       {add, cube, R"({"flatten_loops": [true], "block_sizes": [8, 1, 1], "pid_type": "xyz"})"},
       {add, {{"x", "randn[0,5]"}, {"y", "randn[0,5]"}}, R"({"flatten_loops": [true]})"},
       {add, {{"x", "randn[1,1]"}, {"y", "randn[1,1]"}}, R"({"flatten_loops": [true]})"},
       {backward,
        {{"grad_out", "randn[13,77]"}, {"exp_x", "rand[13,77]"}},
        R"({"flatten_loops": [true], "block_sizes": [1, 64], "pid_type": "persistent_blocked",
            "range_flattens": [true], "range_num_stages": [2]})"}},
      0);
}

TEST(Interpret, ReductionsInChunksAgreeWithTheReference) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  std::vector<Case> all;
  for (const char* config : {R"({"reduction_loops": [16], "reduction_fusion": true})",
                             R"({"reduction_loops": [16], "reduction_fusion": false})"}) {
    for (const char* x : {"randn[7,133]", "randn[3,301]:bf16", "randn[5,64]", "randn[2,17]:f16"}) {
      all.push_back({"language/reduce.py:moments", {{"x", x}}, config});
    }
    for (const char* x : {"randn[7,33]", "randn[5,32]:bf16", "randn[0,33]"}) {
      all.push_back({"language/reduce.py:rows", {{"x", x}}, config});
    }
  }
  interpret_all(all, 0);
}

// --- the pool of compilers ---

triton::Source tiny_source() {
  triton::Source source;
  source.text =
      "import triton\nimport triton.language as tl\n\n\n@triton.jit\ndef copy(x, out):\n"
      "    i = tl.arange(0, 64)\n    tl.store(out + i, tl.load(x + i))\n";
  source.function = "copy";
  source.signature = {{"x", "*fp32"}, {"out", "*fp32"}};
  source.aligned = {0, 1};
  return source;
}

TEST(Toolchain, CompilesForEveryTarget) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  auto toolchain = triton::Toolchain::of(python());
  for (const triton::Target& target : triton::targets()) {
    auto binary = toolchain->compile(tiny_source(), target);
    ASSERT_TRUE(binary) << target.name << ": " << binary.error().message;
    EXPECT_EQ(binary->format, target.vendor == "cuda" ? "cubin" : "hsaco");
    EXPECT_GT(binary->bytes.size(), 1000u);
    EXPECT_EQ(binary->bytes.substr(1, 3), "ELF");
  }
}

TEST(Toolchain, ReportsWhatTritonRefuses) {
  if (python().empty()) GTEST_SKIP() << kNoTriton;
  triton::Source source = tiny_source();
  source.text += "    no_such_name()\n";
  auto toolchain = triton::Toolchain::of(python());
  auto binary = toolchain->compile(source, triton::targets()[1]);
  ASSERT_FALSE(binary);
  EXPECT_EQ(binary.error().code, "compile-failed");
  EXPECT_NE(binary.error().message.find("no_such_name"), std::string::npos);
  EXPECT_TRUE(toolchain->compile(tiny_source(), triton::targets()[1]));
}

Error error_of_script(const std::string& script, double timeout = 20) {
  triton::ToolchainOptions options;
  options.python = "/bin/sh";
  options.arguments = {"-c", script};
  options.timeout = timeout;
  triton::Toolchain toolchain(options);
  auto binary = toolchain.compile(tiny_source(), triton::targets()[1]);
  return binary ? Error{} : binary.error();
}

TEST(Toolchain, SaysWhichPythonIsMissing) {
  triton::ToolchainOptions options;
  options.python = "/nowhere/python3";
  triton::Toolchain toolchain(options);
  auto binary = toolchain.compile(tiny_source(), triton::targets()[1]);
  ASSERT_FALSE(binary);
  EXPECT_EQ(binary.error().code, "no-python");
  EXPECT_NE(binary.error().message.find("/nowhere/python3"), std::string::npos);
}

TEST(Toolchain, SaysHowToInstallTriton) {
  Error error = error_of_script(R"(echo '{"hello": true, "missing": true}')");
  EXPECT_EQ(error.code, "no-triton");
  EXPECT_NE(error.hint.find("-m pip install triton==3.6.0"), std::string::npos);
}

TEST(Toolchain, RefusesVersionsItDoesNotKnow) {
  Error error = error_of_script(R"(echo '{"hello": true, "version": "3.2.0"}'; read line)");
  EXPECT_EQ(error.code, "unsupported-triton");
  EXPECT_NE(error.message.find("3.2.0"), std::string::npos);
}

TEST(Toolchain, SurvivesACrash) {
  Error error = error_of_script(
      R"(echo '{"hello": true, "version": "3.6.0"}'; read line; echo boom >&2; kill -SEGV $$)");
  EXPECT_EQ(error.code, "compiler-crashed");
  EXPECT_NE(error.message.find("died of signal 11"), std::string::npos);
  EXPECT_NE(error.message.find("boom"), std::string::npos);
}

TEST(Toolchain, KeepsASpareAfterACrash) {
  const fs::path log = fs::temp_directory_path() / fmt::format("peri-spare-{}", getpid());
  triton::ToolchainOptions options;
  options.python = "/bin/sh";
  options.processes = 1;
  options.arguments = {"-c", fmt::format(R"(echo $$ >>{}
echo '{{"hello": true, "version": "3.6.0"}}'
while read -r line; do
  case "$line" in *boom*) kill -SEGV $$;; esac
  echo '{{"ok": true, "name": "'$$'", "format": "cubin", "binary": "Q09ERQ=="}}'
done)",
                                         log.string())};
  auto starts = [&](std::size_t wanted) {  // by process number, in order
    std::vector<std::string> numbers;
    for (int wait = 0; wait < 1000 && numbers.size() < wanted; ++wait) {
      numbers.clear();
      std::ifstream file(log);
      for (std::string line; std::getline(file, line);) numbers.push_back(line);
      usleep(10'000);
    }
    return numbers;
  };
  triton::Toolchain toolchain(options);
  triton::Source bad = tiny_source();
  bad.text += "# boom\n";
  EXPECT_EQ(toolchain.compile(bad, triton::targets()[1]).error().code, "compiler-crashed");
  auto spare = starts(2);  // without a request
  ASSERT_EQ(spare.size(), 2u);
  auto binary = toolchain.compile(tiny_source(), triton::targets()[1]);
  ASSERT_TRUE(binary) << binary.error().message;
  EXPECT_EQ(binary->function, spare[1]);
  EXPECT_EQ(starts(3).size(), 3u);  // the next spare
  fs::remove(log);
}

// --- what compilers leave behind ---

// A temporary folder of the test's own, while it lives.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    fs::create_directories(path);
    setenv("TMPDIR", path.c_str(), 1);
  }
  ~TemporaryFolder() {
    unsetenv("TMPDIR");
    fs::remove_all(path);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::vector<std::string> caches() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(path)) {
      std::string name = entry.path().filename();
      if (name.starts_with("peri-triton-cache-")) found.push_back(name);
    }
    return found;
  }
  // Once `holds` does, or after ten seconds.
  static bool waits_for(const std::function<bool()>& holds) {
    for (int wait = 0; wait < 1000 && !holds(); ++wait) usleep(10'000);
    return holds();
  }

  const fs::path path = fs::temp_directory_path() / fmt::format("peri-toolchain-{}", getpid());
};

// A shell that fills the folder that it caches in, and hangs in a child if the kernel says so.
triton::ToolchainOptions caching_shell(const fs::path& notes) {
  triton::ToolchainOptions options;
  options.python = "/bin/sh";
  options.timeout = 5;
  options.arguments = {"-c", fmt::format(R"(echo '{{"hello": true, "version": "3.6.0"}}'
read -r line; mkdir -p $TRITON_CACHE_DIR/deep; echo code >$TMPDIR/deep/file
case "$line" in
  *hang*) sleep 100 & echo $! >{0}/child; wait;;
  *crash*) sleep 100 & echo $! >{0}/child; kill -SEGV $$;;
esac
echo '{{"ok": true}}'; read -r line)",
                                         notes.string())};
  return options;
}

bool is_running(const fs::path& number) {
  std::ifstream file(number);
  i64 pid = 0;
  file >> pid;
  std::ifstream stat(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  return pid > 0 && !text.empty() && text.find(") Z") == std::string::npos;
}

TEST(Toolchain, RemovesWhatACompilerCached) {
  TemporaryFolder folder;
  for (const char* how : {"", "# hang\n", "# crash\n"}) {
    triton::ToolchainOptions options = caching_shell(folder.path);
    if (*how != 0) options.timeout = 0.5;
    triton::Source source = tiny_source();
    source.text += how;
    {
      triton::Toolchain toolchain(options);
      EXPECT_EQ(toolchain.compile(source, triton::targets()[1]).has_value(), *how == 0);
    }
    EXPECT_THAT(folder.caches(), testing::IsEmpty()) << how;
    EXPECT_TRUE(folder.waits_for([&] { return !is_running(folder.path / "child"); })) << how;
  }
}

TEST(Toolchain, RemovesWhatKilledProcessesLeft) {
  TemporaryFolder folder;
  const fs::path left = folder.path / "peri-triton-cache-abcdef";
  fs::create_directories(left / "deep");
  auto held = triton::CacheFolder::make();
  ASSERT_TRUE(held) << held.error().message;
  triton::Toolchain toolchain(caching_shell(folder.path));
  EXPECT_TRUE(toolchain.compile(tiny_source(), triton::targets()[1]));
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(held->path()));
}

// The real worker, with a Triton that hangs.
TEST(Toolchain, CompilersEndWithAKilledProcess) {
  TemporaryFolder folder;
  const fs::path package = folder.path / "triton";
  fs::create_directories(package / "backends");
  std::ofstream(package / "__init__.py")
      << "import os, time\n__version__ = '3.6.0'\n"
         "def jit(f): return f\n"
         "def compile(*a, **k):\n"
         "    os.makedirs(os.environ['TRITON_CACHE_DIR'] + '/deep')\n"
         "    open('"
      << (folder.path / "worker").string()
      << "', 'w').write(str(os.getpid()))\n    time.sleep(100)\n";
  std::ofstream(package / "language.py");
  std::ofstream(package / "compiler.py") << "ASTSource = lambda *a: None\n";
  std::ofstream(package / "backends" / "__init__.py");
  std::ofstream(package / "backends" / "compiler.py") << "GPUTarget = lambda *a: None\n";
  setenv("PYTHONPATH", folder.path.c_str(), 1);
  const pid_t owner = fork();
  if (owner == 0) {
    triton::ToolchainOptions options;
    options.timeout = 60;
    triton::Toolchain toolchain(options);
    (void)toolchain.compile(tiny_source(), triton::targets()[1]);
    _exit(0);
  }
  unsetenv("PYTHONPATH");
  ASSERT_TRUE(folder.waits_for([&] { return is_running(folder.path / "worker"); }));
  EXPECT_EQ(folder.caches().size(), 1u);
  kill(owner, SIGKILL);
  EXPECT_TRUE(folder.waits_for([&] { return !is_running(folder.path / "worker"); }));
  EXPECT_THAT(folder.caches(), testing::IsEmpty());
  waitpid(owner, nullptr, 0);
}

TEST(Toolchain, EndsAHang) {
  Error error =
      error_of_script(R"(echo '{"hello": true, "version": "3.6.0"}'; read line; sleep 100)", 0.3);
  EXPECT_EQ(error.code, "compiler-timeout");
}

TEST(Toolchain, GivesUpEarlyOnWhatTakesLongerThanOthersDid) {
  triton::ToolchainOptions options;
  options.python = "/bin/sh";
  options.arguments = {"-c",
                       R"(echo '{"hello": true, "version": "3.6.0"}'; read line; echo '{"ok": true}'
                          read line; sleep 100)"};
  options.processes = 1;
  options.patience = 0.6;
  triton::Toolchain toolchain(options);
  triton::Source source = tiny_source();
  source.impatient = true;
  EXPECT_TRUE(toolchain.compile(source, triton::targets()[1]));
  auto binary = toolchain.compile(source, triton::targets()[1]);
  ASSERT_FALSE(binary);
  EXPECT_EQ(binary.error().code, "compiler-timeout");
  EXPECT_NE(binary.error().message.find("within 1 s"), std::string::npos);
}

}  // namespace
}  // namespace peri::triton_test
