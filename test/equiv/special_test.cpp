// Every elementwise op and cast on NaN, infinities, zeros, denormals and the ends of each dtype, at
// every level, against the interpreter: the same bits where the op is exact.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>

#include "interp/interp.h"
#include "ir/parse.h"
#include "run_kernel.h"

namespace peri::equiv {
namespace {

using ir::OpCode;
using runtime::Tensor;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct FloatFormat {
  int digits, min_exponent;  // of the significand; of the smallest normal number
  double largest;
};

FloatFormat format_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::F16:
      return {11, -14, 65504};
    case Dtype::BF16:
      return {8, -126, std::ldexp(255.0 / 128, 127)};
    case Dtype::F32:
      return {24, -126, std::numeric_limits<float>::max()};
    default:
      return {53, -1022, std::numeric_limits<double>::max()};
  }
}

std::vector<double> special_reals(Dtype dtype) {
  const FloatFormat format = format_of(dtype);
  const double normal = std::ldexp(1.0, format.min_exponent);
  const double least = std::ldexp(1.0, format.min_exponent - format.digits + 1);
  std::vector<double> values{kNan};
  for (double v : {0.0,     kInf,
                   least,   normal - least,
                   normal,  format.largest,
                   1.0,     0.5,
                   1.5,     2.0,
                   2.5,     3.0,
                   0.1,     0.3,
                   0.999,   7.0,
                   88.5,    104.0,
                   1e4,     65000.0,
                   0x1p-11, 0x1.8p10}) {
    values.push_back(v);
    values.push_back(-v);
  }
  return values;
}

std::vector<i64> special_integers(Dtype dtype) {
  const i64 bits = size_of(dtype) * 8;
  if (dtype == Dtype::Bool) return {0, 1};
  if (dtype == Dtype::U8) return {0, 1, 2, 3, 7, 8, 100, 127, 128, 254, 255};
  const i64 largest = static_cast<i64>((u64{1} << (bits - 1)) - 1);
  return {0, 1, -1, 2, -2, 3, -7, 8, 63, 64, 100, largest, largest - 1, -largest, -largest - 1};
}

// A tensor in both forms.
struct Column {
  Tensor tensor;
  interp::Buffer buffer;

  explicit Column(Dtype dtype, i64 count) : tensor(runtime::empty(dtype, {count})) {
    (is_float(dtype) ? void(buffer.reals.resize(count)) : buffer.integers.resize(count));
  }
  void set(i64 i, double real, i64 integer) {
    if (is_float(tensor.dtype)) {
      runtime::set_real(tensor, i, real);
      buffer.reals[i] = runtime::get_real(tensor, i);
    } else {
      runtime::set_integer(tensor, i, integer);
      buffer.integers[i] = runtime::get_integer(tensor, i);
    }
  }
  interp::View view() {
    return {tensor.dtype, buffer.reals, buffer.integers, nullptr, 0, tensor.sizes, tensor.strides};
  }
};

// All operand tuples of special values; a third operand (of select) is the second's mirror image.
std::vector<Column> operand_columns(const std::vector<Dtype>& dtypes) {
  std::vector<std::vector<double>> reals;
  std::vector<std::vector<i64>> integers;
  std::vector<i64> counts;
  i64 total = 1;
  for (Dtype dtype : dtypes) {
    reals.push_back(is_float(dtype) ? special_reals(dtype) : std::vector<double>());
    integers.push_back(is_float(dtype) ? std::vector<i64>() : special_integers(dtype));
    counts.push_back(static_cast<i64>(std::max(reals.back().size(), integers.back().size())));
    total *= counts.back();
  }
  std::vector<Column> columns;
  i64 stride = 1;
  for (size_t c = 0; c < dtypes.size(); ++c) {
    columns.emplace_back(dtypes[c], total);
    for (i64 i = 0; i < total; ++i) {
      i64 at = i / stride % counts[c];
      columns.back().set(i, reals[c].empty() ? 0 : reals[c][at],
                         integers[c].empty() ? 0 : integers[c][at]);
    }
    stride *= counts[c];
  }
  return columns;
}

std::optional<ir::Kernel> kernel_of(OpCode code, const std::vector<Dtype>& dtypes, Dtype result,
                                    i64 count) {
  std::string text = "kernel special\n", body, operands;
  for (size_t i = 0; i < dtypes.size(); ++i) {
    std::string_view name = name_of(dtypes[i]);
    text += fmt::format("  tensor x{}: {}[{}] strides [1] slot {}\n", i, name, count, i);
    body += fmt::format("    %{}: {}[b0:48] = load x{}[b0]\n", i, name, i);
    operands += fmt::format("{}%{}", i == 0 ? "" : ", ", i);
  }
  const size_t last = dtypes.size();
  text += fmt::format("  tensor out: {}[{}] strides [1] slot {}\n", name_of(result), count, last);
  text += fmt::format("  block b0 \"t\": tile size=48 in 0..{} loop 0\n  root (b0) {{\n", count);
  body += fmt::format("    %{}: {}[b0:48] = {} {}\n    store %{}, out[b0]\n", last, name_of(result),
                      ir::info(code).text, operands, last);
  diag::Sources sources;
  diag::Diags diags(sources);
  auto kernel = ir::parse(sources.add("special.ir", text + body + "  }\n"), diags);
  return kernel ? std::optional(std::move(*kernel)) : std::nullopt;
}

// Results are rounded once, so that compiled code has to find the very bits.
bool is_exact(OpCode code) {
  static const std::set<OpCode> kExact{
      OpCode::Neg,   OpCode::Abs,  OpCode::Sign,  OpCode::Sqrt,     OpCode::Reciprocal,
      OpCode::Floor, OpCode::Ceil, OpCode::Round, OpCode::Trunc,    OpCode::Add,
      OpCode::Sub,   OpCode::Mul,  OpCode::Div,   OpCode::FloorDiv, OpCode::Remainder,
      OpCode::Fmod,  OpCode::Max,  OpCode::Min,   OpCode::Select,   OpCode::Cast};
  return kExact.contains(code);
}

bool agrees(OpCode code, Dtype dtype, double got, double want) {
  if (std::isnan(want)) return std::isnan(got);
  if (std::bit_cast<u64>(got) == std::bit_cast<u64>(want)) return true;
  if (is_exact(code) || std::isnan(got) || got == 0 || want == 0) return false;
  const FloatFormat format = format_of(dtype);
  const double limit = std::ldexp(1.0, format.min_exponent - format.digits + 1);
  const double unit = std::max(std::ldexp(1.0, std::ilogb(want) - format.digits + 1), limit);
  return std::abs(got - want) <= (size_of(dtype) == 2 ? 1 : 4) * unit;
}

bool divides_by_zero(OpCode code, const std::vector<Column>& x, i64 i) {
  const bool division =
      code == OpCode::FloorDiv || code == OpCode::Remainder || code == OpCode::Fmod;
  return division && !is_float(x[1].tensor.dtype) && x[1].buffer.integers[i] == 0;
}

std::string tuple_text(const std::vector<Column>& x, i64 i) {
  std::string text;
  for (const Column& column : x) {
    bool real = is_float(column.tensor.dtype);
    text += real ? fmt::format(" {:a}", column.buffer.reals[i])
                 : fmt::format(" {}", column.buffer.integers[i]);
  }
  return text;
}

class Special : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto backend = backends::find_backend(
        {.device = "cpu", .target = "", .cpu_level = GetParam(), .python = ""});
    ASSERT_TRUE(backend);
    backend_ = *backend;
    if (!backend_->can_run_here()) GTEST_SKIP() << "this CPU cannot run " << GetParam();
  }

  // False if the op is not defined for these dtypes.
  bool check(OpCode code, const std::vector<Dtype>& dtypes, Dtype result) {
    std::vector<Column> x = operand_columns(dtypes);
    const i64 count = x[0].tensor.numel();
    auto kernel = kernel_of(code, dtypes, result, count);
    if (!kernel) return false;
    Column want(result, count);
    interp::Environment environment{{}, [](SymbolId) { return std::nullopt; }, {.exact = false}};
    std::vector<Tensor> tensors;
    for (Column& column : x) {
      environment.tensors.push_back(column.view());
      tensors.push_back(column.tensor);
    }
    environment.tensors.push_back(want.view());
    tensors.push_back(runtime::empty(result, {count}));
    EXPECT_TRUE(interp::run(*kernel, 0, environment));
    auto compiled = backend_->compile(*kernel, backend_->default_config(*kernel), {});
    EXPECT_TRUE(compiled);
    if (!compiled) return true;
    run_compiled(*kernel, compiled->artifact.roots[0], tensors);
    report(code, x, tensors.back(), want);
    return true;
  }

 private:
  void report(OpCode code, const std::vector<Column>& x, const Tensor& got, const Column& want) {
    i64 faults = 0;
    for (i64 i = 0; i < got.numel() && faults < 5; ++i) {
      if (divides_by_zero(code, x, i)) continue;
      std::string text =
          fmt::format("{} {} of{}", ir::info(code).text, name_of(got.dtype), tuple_text(x, i));
      if (is_float(got.dtype)) {
        double g = runtime::get_real(got, i), w = want.buffer.reals[i];
        bool ok = agrees(code, got.dtype, g, w);
        EXPECT_TRUE(ok) << fmt::format("{}: {:a}, interpreted {:a}", text, g, w);
        faults += !ok;
      } else {
        i64 g = runtime::get_integer(got, i), w = want.buffer.integers[i];
        EXPECT_EQ(g, w) << text;
        faults += g != w;
      }
    }
  }

  std::shared_ptr<const backends::Backend> backend_;
};

constexpr Dtype kDtypes[] = {Dtype::Bool, Dtype::U8,  Dtype::I8,   Dtype::I16, Dtype::I32,
                             Dtype::I64,  Dtype::F16, Dtype::BF16, Dtype::F32, Dtype::F64};

TEST_P(Special, Elementwise) {
  std::set<OpCode> checked;
  for (i64 c = 0; c < ir::op_count(); ++c) {
    const OpCode code = static_cast<OpCode>(c);
    const ir::OpInfo& info = ir::info(code);
    if (!info.has(ir::Elementwise) || info.rule == ir::Rule::Given || code == OpCode::Cast)
      continue;
    for (Dtype dtype : kDtypes) {
      std::vector<Dtype> operands(static_cast<size_t>(info.operands), dtype);
      if (code == OpCode::Select) operands[0] = Dtype::Bool;
      Dtype result = info.rule == ir::Rule::Predicate ? Dtype::Bool : dtype;
      if (check(code, operands, result)) checked.insert(code);
    }
    EXPECT_TRUE(checked.contains(code)) << info.text << " was defined for no dtype";
  }
}

TEST_P(Special, Casts) {
  for (Dtype from : kDtypes) {
    for (Dtype to : kDtypes) {
      if (from != to) EXPECT_TRUE(check(OpCode::Cast, {from}, to));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Levels, Special,
                         testing::Values("host", "x86-64-v2", "x86-64-v3", "x86-64-v4"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace peri::equiv
