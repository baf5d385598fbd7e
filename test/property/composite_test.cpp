// Functions that lowering expands, interpreted, against plain formulas: what compares compiled code
// with the interpreter shares the expansion and cannot see a fault in it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "interp/interp.h"
#include "lower/testing.h"

namespace peri {
namespace {

constexpr i64 kRows = 20, kColumns = 8;  // block sizes are 16: one full tile and one of 4 rows
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The rows of one tile.
struct Matrix {
  std::vector<double> values;

  i64 rows() const { return std::ssize(values) / kColumns; }
  double at(i64 row, i64 column) const { return values[row * kColumns + column]; }
  std::vector<double> row(i64 r) const {
    return {values.begin() + r * kColumns, values.begin() + (r + 1) * kColumns};
  }
  std::vector<double> column(i64 c) const {
    std::vector<double> out;
    for (i64 r = 0; r < rows(); ++r) out.push_back(at(r, c));
    return out;
  }
};

using Formula = std::function<double(const Matrix& x, const Matrix& y, i64 row, i64 column)>;

std::vector<double> inputs(u64 seed, bool specials) {
  std::vector<double> out;
  for (i64 i = 0; i < kRows * kColumns; ++i) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    out.push_back(static_cast<double>(seed >> 40) / (1 << 24) * 6 - 3);
  }
  if (!specials) return out;
  const double kSpecial[] = {kNan, kInfinity, -kInfinity, 0.0, -0.0, 30.0, -30.0, 1e-9};
  for (i64 i = 0; i < kColumns; ++i) out[17 * i] = kSpecial[i];
  return out;
}

// The result of `expression` on rows of x and y (f64), tile by tile.
std::vector<double> interpreted(const std::string& expression, const std::vector<double>& x,
                                const std::vector<double>& y) {
  std::string text =
      "import torch\nimport helion\nimport helion.language as hl\n@helion.kernel()\n"
      "def k(a, b, out):\n"
      "    for tile in hl.tile(a.size(0)):\n"
      "        x = a[tile, :]\n"
      "        y = b[tile, :]\n"
      "        out[tile, :] = torch.zeros_like(x) + (" +
      expression + ")\n";
  std::string tensor = fmt::format("f64[{},{}]", kRows, kColumns);
  auto result = lower::lower_text(text, "", {{"a", tensor}, {"b", tensor}, {"out", tensor}});
  EXPECT_TRUE(result.lowered) << result.errors;
  if (!result.lowered) return {};
  const ir::Kernel& kernel = result.lowered->kernel;
  std::vector<double> buffers[] = {x, y, std::vector<double>(x.size())};
  interp::Environment environment;
  environment.symbols = [&](SymbolId id) { return std::optional(kernel.syms->symbol(id).hint); };
  for (const ir::TensorParam& tensor : kernel.tensors) {
    environment.tensors.push_back(
        {Dtype::F64, buffers[tensor.slot], {}, nullptr, 0, {kRows, kColumns}, {kColumns, 1}});
  }
  auto done = interp::run(kernel, 0, environment);
  EXPECT_TRUE(done) << done.error().message;
  return buffers[2];
}

struct Case {
  const char* expression;
  Formula formula;
  bool specials = false;
};

void expect_formula(const Case& c) {
  SCOPED_TRACE(c.expression);
  std::vector<double> x = inputs(1, c.specials), y = inputs(2, false);
  std::vector<double> got = interpreted(c.expression, x, y);
  ASSERT_EQ(got.size(), x.size());
  for (i64 first : {0, 16}) {
    i64 last = std::min<i64>(first + 16, kRows);
    auto part = [&](const std::vector<double>& all) {
      return Matrix{{all.begin() + first * kColumns, all.begin() + last * kColumns}};
    };
    Matrix tile_x = part(x), tile_y = part(y), tile_got = part(got);
    for (i64 r = 0; r < tile_x.rows(); ++r) {
      for (i64 i = 0; i < kColumns; ++i) {
        double want = c.formula(tile_x, tile_y, r, i), have = tile_got.at(r, i);
        bool same = want == have || (std::isnan(want) && std::isnan(have)) ||
                    std::abs(want - have) <= 1e-12 * (1 + std::abs(want));
        ASSERT_TRUE(same) << "at " << first + r << ", " << i << ": " << have << ", not " << want;
      }
    }
  }
}

double sum(const std::vector<double>& v) {
  double total = 0;
  for (double value : v) total += value;
  return total;
}

double mean(const std::vector<double>& v) { return sum(v) / static_cast<double>(v.size()); }

double variance(const std::vector<double>& v, double correction) {
  double centre = mean(v), total = 0;
  for (double value : v) total += (value - centre) * (value - centre);
  return total / std::max(0.0, static_cast<double>(v.size()) - correction);
}

double log_softmax(const std::vector<double>& v, i64 i) {
  double total = 0;
  for (double value : v) total += std::exp(value);
  return v[i] - std::log(total);
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// The larger, or NaN.
double larger(double a, double b) { return std::isnan(a) || std::isnan(b) ? kNan : std::max(a, b); }

Formula of_element(double (*f)(double)) {
  return [f](const Matrix& x, const Matrix&, i64 r, i64 c) { return f(x.at(r, c)); };
}
Formula of_row(const std::function<double(const std::vector<double>&)>& f) {
  return [f](const Matrix& x, const Matrix&, i64 r, i64) { return f(x.row(r)); };
}
Formula of_tile(const std::function<double(const std::vector<double>&)>& f) {
  return [f](const Matrix& x, const Matrix&, i64, i64) { return f(x.values); };
}

TEST(Composites, ReduceAsTheirFormulas) {
  for (const Case& c : std::vector<Case>{
           {"x.sum(1, keepdim=True)", of_row(sum)},
           {"x.sum([0, 1])", of_tile(sum)},
           {"x.mean(1)[:, None]", of_row(mean)},
           {"x.mean([0, 1], keepdim=True)", of_tile(mean)},
           {"x.mean(0)[None, :]",
            [](const Matrix& x, const Matrix&, i64, i64 c) { return mean(x.column(c)); }},
           {"torch.var(x, 1, keepdim=True)",
            of_row([](const std::vector<double>& v) { return variance(v, 1); })},
           {"torch.var(x, 1, correction=0, keepdim=True)",
            of_row([](const std::vector<double>& v) { return variance(v, 0); })},
           {"torch.var(x, 1, correction=20, keepdim=True)",
            of_row([](const std::vector<double>& v) { return variance(v, 20); })},
           {"torch.var(x, [0, 1], keepdim=True)",
            of_tile([](const std::vector<double>& v) { return variance(v, 1); })},
           {"torch.std(x, dim=1, keepdim=True)",
            of_row([](const std::vector<double>& v) { return std::sqrt(variance(v, 1)); })},
           {"torch.var_mean(x, 1, keepdim=True)[1]", of_row(mean)},
           {"torch.amax(x, [0, 1], keepdim=True)",
            of_tile([](const std::vector<double>& v) { return *std::ranges::max_element(v); })},
           {"torch.argmax(x, 1, keepdim=True)", of_row([](const std::vector<double>& v) {
              return static_cast<double>(std::ranges::max_element(v) - v.begin());
            })},
           {"torch.any(x > 2.5, 1)[:, None]", of_row([](const std::vector<double>& v) {
              return std::ranges::any_of(v, [](double value) { return value > 2.5; }) ? 1.0 : 0.0;
            })},
           {"torch.all(torch.floor(x), 1)[:, None]", of_row([](const std::vector<double>& v) {
              return std::ranges::all_of(v, [](double value) { return std::floor(value) != 0; })
                         ? 1.0
                         : 0.0;
            })},
       }) {
    expect_formula(c);
  }
}

TEST(Composites, NormaliseAsTheirFormulas) {
  for (const Case& c : std::vector<Case>{
           {"torch.softmax(x, 1)", [](const Matrix& x, const Matrix&, i64 r,
                                      i64 c) { return std::exp(log_softmax(x.row(r), c)); }},
           {"torch.softmax(x, 0)", [](const Matrix& x, const Matrix&, i64 r,
                                      i64 c) { return std::exp(log_softmax(x.column(c), r)); }},
           {"torch.log_softmax(x, -1)",
            [](const Matrix& x, const Matrix&, i64 r, i64 c) { return log_softmax(x.row(r), c); }},
           {"torch.softmax(x * 1e4, 1)",  // no overflow
            [](const Matrix& x, const Matrix&, i64 r, i64 c) {
              std::vector<double> row = x.row(r);
              double top = *std::ranges::max_element(row);
              for (double& value : row) value = (value - top) * 1e4;
              return std::exp(log_softmax(row, c));
            }},
       }) {
    expect_formula(c);
  }
}

TEST(Composites, AreTorchsOnEveryElement) {
  for (const Case& c : std::vector<Case>{
           {"torch.relu(x)", of_element([](double x) { return larger(x, 0); }), true},
           {"torch.nn.functional.silu(x)", of_element([](double x) { return x * sigmoid(x); }),
            true},
           {"torch.nn.functional.gelu(x)",
            of_element([](double x) { return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2)); }),
            true},
           {"torch.nn.functional.gelu(x, approximate='tanh')", of_element([](double x) {
              double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
              return 0.5 * x * (1 + std::tanh(inner));
            }),
            true},
           {"torch.nn.functional.softplus(x)",
            of_element([](double x) { return x > 20 ? x : std::log1p(std::exp(x)); }), true},
           {"torch.nn.functional.softplus(x, beta=2.0)",
            of_element([](double x) { return 2 * x > 20 ? x : std::log1p(std::exp(2 * x)) / 2; }),
            true},
           {"torch.clamp(x, -1, 0.5)",
            of_element([](double x) { return std::isnan(x) ? x : std::clamp(x, -1.0, 0.5); }),
            true},
           {"torch.clamp(x, min=0.5)", of_element([](double x) { return larger(x, 0.5); }), true},
       }) {
    expect_formula(c);
  }
  for (double weight : {-0.75, 0.0, 0.25, 0.5, 1.0, 1.75}) {
    expect_formula({fmt::format("torch.lerp(x, y, {:.2f})", weight).c_str(),
                    [weight](const Matrix& x, const Matrix& y, i64 r, i64 c) {
                      return x.at(r, c) + weight * (y.at(r, c) - x.at(r, c));
                    }});
  }
  expect_formula(
      {"torch.lerp(x, y, torch.sigmoid(y))", [](const Matrix& x, const Matrix& y, i64 r, i64 c) {
         double way = y.at(r, c) - x.at(r, c);
         return x.at(r, c) + sigmoid(y.at(r, c)) * way;
       }});
}

// The end is reached exactly.
TEST(Composites, LerpIsExactAtBothEnds) {
  std::vector<double> x = inputs(1, false), y = inputs(2, false);
  EXPECT_EQ(interpreted("torch.lerp(x, y, 0.0)", x, y), x);
  EXPECT_EQ(interpreted("torch.lerp(x, y, 1.0)", x, y), y);
}

}  // namespace
}  // namespace peri
