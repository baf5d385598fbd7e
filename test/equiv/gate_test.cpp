// The tuner's correctness gate against backends that are deliberately wrong: every fault must be
// caught for every kernel of the library, whether all configs have it or a candidate alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <set>

#include "driver/workload.h"
#include "types/elements.h"

namespace peri::equiv {
namespace {

enum class Fault : u8 { DropsTail, ReturnsZeros, AddsNoise, WritesBeyond };

// What the wrong code works on: the tensor that the last root stores to, contiguous or not.
struct Victim {
  backends::CellFunction run = nullptr;
  i64 argument = -1;  // position among the root's arguments
  runtime::Tensor shape{};
  Fault fault = Fault::DropsTail;
};
Victim victim;

constexpr double kNoise = 1e-3;

void spoil(const runtime::Tensor& out, const std::byte* old_tail) {
  const i64 size = size_of(out.dtype), count = out.numel();
  i64 last = 0;
  for (i64 d = 0; d < out.rank(); ++d) last += (out.sizes[d] - 1) * out.strides[d];
  switch (victim.fault) {
    case Fault::DropsTail:
      std::memcpy(out.data() + last * size, old_tail, static_cast<std::size_t>(size));
      break;
    case Fault::ReturnsZeros:
      for (i64 i = 0; i < count; ++i) runtime::set_integer(out, i, 0);
      break;
    case Fault::AddsNoise:
      for (i64 i = 0; i < count; ++i) {
        const double sign = i % 2 == 0 ? 1 : -1;
        runtime::set_real(out, i, runtime::get_real(out, i) * (1 + sign * kNoise));
      }
      break;
    case Fault::WritesBeyond:
      std::memset(out.data() + (last + 1) * size, 0x3C, static_cast<std::size_t>(size));
      break;
  }
}

// All cells at once, since the artifact asks for one thread.
void run_wrong(const backends::Argument* arguments, i64 begin, i64 end, std::byte* scratch) {
  runtime::Tensor out = victim.shape;
  out.storage.data = static_cast<std::byte*>(arguments[victim.argument].pointer);
  i64 last = 0;
  for (i64 d = 0; d < out.rank(); ++d) last += (out.sizes[d] - 1) * out.strides[d];
  std::byte tail[8];
  const i64 size = size_of(out.dtype);
  std::memcpy(tail, out.data() + last * size, static_cast<std::size_t>(size));
  victim.run(arguments, begin, end, scratch);
  spoil(out, tail);
}

class WrongBackend : public backends::Backend {
 public:
  explicit WrongBackend(std::shared_ptr<const backends::Backend> right)
      : right_(std::move(right)) {}

  const space::Capabilities& capabilities() const override { return right_->capabilities(); }
  bool can_run_here() const override { return true; }
  space::Config default_config(const ir::Kernel& kernel) const override {
    return right_->default_config(kernel);
  }
  std::string print_plan(const ir::Kernel& kernel, const space::Config& config) const override {
    return right_->print_plan(kernel, config);
  }
  Expected<backends::Compiled> compile(const ir::Kernel& kernel, const space::Config& config,
                                       const backends::CompileOptions& options) const override {
    auto compiled = right_->compile(kernel, config, options);
    if (!compiled) return compiled;
    backends::RootCode& last = compiled->artifact.roots.back();
    victim.run = last.run;
    last.run = run_wrong;
    last.max_threads = 1;
    return compiled;
  }

 private:
  std::shared_ptr<const backends::Backend> right_;
};

struct Case {
  std::string kernel;
  std::vector<std::pair<std::string, std::string>> args;
  std::string config = "{}";
  bool has_large_integers = false;  // results of at least 1000
};

// The last ones are for the noise: 16-bit floats hide it, and so do small integers.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
#include "cases.inc"
      {"library/gated.py:swiglu", {{"a", "randn[23,301]"}, {"b", "randn[23,301]"}}},
      {"library/nearest.py:nearest_label",
       {{"queries", "randn[29,16]"},
        {"points", "randn[101,16]"},
        {"labels", "randint[101]=5000:100000"}},
       "{}",
       true},
  };
  return all;
}

// "library/norm.py:layer_norm" and all others.
std::set<std::string> library_kernels() {
  namespace fs = std::filesystem;
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(PERI_SOURCE_DIR "/kernels/library")) {
    if (entry.path().extension() != ".py") continue;
    diag::Sources sources;
    diag::Diags diags(sources);
    driver::Compilation c(diags);
    c.request.file = entry.path().string();
    EXPECT_TRUE(driver::compile(c, "parse")) << diag::render_text(diags);
    for (const check::KernelDecl& kernel : c.module->kernels) {
      names.insert("library/" + entry.path().filename().string() + ":" + kernel.name);
    }
  }
  return names;
}

std::optional<runtime::Tensor> last_stored(const ir::Kernel& kernel, i64& position) {
  for (const ir::Op& op : kernel.ops) {
    if (op.code == ir::OpCode::Store) position = op.attrs.tensor.index;
  }
  if (position < 0) return std::nullopt;
  const ir::TensorParam& param = kernel.tensors[position];
  runtime::Tensor shape;
  shape.dtype = param.dtype;
  // Of sizes that are not part of the code: as in the call.
  auto hint = [&](SymbolId id) { return kernel.syms->symbol(id).hint; };
  for (std::size_t d = 0; d < param.sizes.size(); ++d) {
    auto size = kernel.syms->evaluate(param.sizes[d], hint);
    auto stride = kernel.syms->evaluate(param.strides[d], hint);
    if (!size || !stride) return std::nullopt;
    shape.sizes.push_back(size->integer);
    shape.strides.push_back(stride->integer);
  }
  return shape;
}

class Gate : public testing::TestWithParam<Fault> {
 protected:
  // False if the kernel has nothing that this fault could touch.
  bool check_case(const Case& test) {
    diag::Sources sources;
    diag::Diags diags(sources);
    driver::Compilation c(diags);
    std::size_t colon = test.kernel.rfind(':');
    c.request.file = std::string(PERI_SOURCE_DIR) + "/kernels/" + test.kernel.substr(0, colon);
    c.request.kernel = test.kernel.substr(colon + 1);
    driver::Arguments arguments;
    for (const auto& [name, spec] : test.args) {
      arguments[name] = *driver::parse_argument(name, spec, 7, diags);
      const runtime::Tensor& tensor = arguments[name].tensor;
      if (tensor.storage.data != nullptr && tensor.numel() == 0) return false;  // 0 may be right
    }
    c.request.args = driver::specs_of(arguments);
    EXPECT_TRUE(driver::compile(c, "space")) << diag::render_text(diags);
    victim = {.fault = GetParam()};
    auto shape = last_stored(c.lowered->kernel, victim.argument);
    if (!shape || shape->numel() == 0) return false;
    victim.shape = *shape;
    if (victim.fault == Fault::AddsNoise && is_coarse(c.lowered->kernel, test)) return false;
    expect_caught(c, arguments);
    return true;
  }

  // Noise of 1e-3 is within the roundings of 16-bit floats, and changes no integer below a
  // thousand.
  static bool is_coarse(const ir::Kernel& kernel, const Case& test) {
    auto is_half_value = [](const ir::Value& value) { return is_half(value.type.dtype); };
    const bool is_small = !is_float(victim.shape.dtype) && !test.has_large_integers;
    return is_small || std::ranges::any_of(kernel.values, is_half_value);
  }

  static void expect_caught(driver::Compilation& c, const driver::Arguments& arguments) {
    driver::KernelWorkload workload(c, arguments, c.default_config, 5);
    auto right = workload.compile(c.default_config);
    ASSERT_TRUE(right);
    EXPECT_TRUE(workload.trust(*right, false));
    EXPECT_TRUE(workload.check(*right));
    c.backend = std::make_shared<WrongBackend>(c.backend);
    auto wrong = workload.compile(c.default_config);
    ASSERT_TRUE(wrong);
    EXPECT_FALSE(workload.check(*wrong)) << "a wrong candidate passes";
    EXPECT_FALSE(workload.trust(*wrong, false)) << "a wrong default passes";
  }
};

TEST_P(Gate, CatchesTheFault) {
  std::set<std::string> missed = library_kernels();
  EXPECT_GE(missed.size(), 18U);
  for (const Case& test : cases()) {
    std::string name = test.kernel;
    for (const auto& [arg, spec] : test.args) name += " " + arg + "=" + spec;
    SCOPED_TRACE(name);
    if (check_case(test)) missed.erase(test.kernel);
  }
  EXPECT_THAT(missed, testing::IsEmpty()) << "no case of these shows the fault";
}

std::string name_of(const testing::TestParamInfo<Fault>& info) {
  constexpr const char* kNames[] = {"DropsTail", "ReturnsZeros", "AddsNoise", "WritesBeyond"};
  return kNames[static_cast<int>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Faults, Gate,
                         testing::Values(Fault::DropsTail, Fault::ReturnsZeros, Fault::AddsNoise,
                                         Fault::WritesBeyond),
                         name_of);

}  // namespace
}  // namespace peri::equiv
