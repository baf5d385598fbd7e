#include "backends/cpu/contraction.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "backends/cpu/contraction_kernel.h"
#include "backends/cpu/jit.h"

namespace peri::cpu {
namespace {

// Elements of any dtype in memory of their own, ending where the allocation ends, so that a
// sanitizer sees every step too far.
class Matrix {
 public:
  Matrix(Dtype dtype, i64 rows, i64 columns, i64 stride_row, i64 stride_column)
      : dtype_(dtype),
        rows_(rows),
        columns_(columns),
        stride_row_(stride_row),
        stride_column_(stride_column),
        bytes_(static_cast<size_t>(
            std::max<i64>(0, (rows - 1) * stride_row + (columns - 1) * stride_column + 1) *
            size_of(dtype))) {}

  void* data() { return bytes_.data(); }

  double get(i64 r, i64 c) const {
    const char* at = bytes_.data() + offset(r, c);
    switch (dtype_) {
      case Dtype::F64:
        return read<double>(at);
      case Dtype::F16:
        return static_cast<double>(read<_Float16>(at));
      case Dtype::BF16:
        return std::bit_cast<float>(static_cast<u32>(read<u16>(at)) << 16);
      case Dtype::I8:
        return read<i8>(at);
      case Dtype::I32:
        return read<i32>(at);
      default:
        return read<float>(at);
    }
  }

  void set(i64 r, i64 c, double value) {
    char* at = bytes_.data() + offset(r, c);
    switch (dtype_) {
      case Dtype::F64:
        return write(at, value);
      case Dtype::F16:
        return write(at, static_cast<_Float16>(value));
      case Dtype::BF16:  // the values used here need no rounding
        return write(at, static_cast<u16>(std::bit_cast<u32>(static_cast<float>(value)) >> 16));
      case Dtype::I8:
        return write(at, static_cast<i8>(value));
      case Dtype::I32:
        return write(at, static_cast<i32>(value));
      default:
        return write(at, static_cast<float>(value));
    }
  }

  // Small integers: every sum is exact in every type, so results must be equal.
  void fill(std::mt19937& random) {
    for (i64 r = 0; r < rows_; ++r) {
      for (i64 c = 0; c < columns_; ++c) set(r, c, static_cast<double>(random() % 17) - 8);
    }
  }

 private:
  template <class T>
  static double read(const char* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  template <class T>
  static void write(char* at, T value) {
    std::memcpy(at, &value, sizeof value);
  }
  size_t offset(i64 r, i64 c) const {
    return static_cast<size_t>((r * stride_row_ + c * stride_column_) * size_of(dtype_));
  }

  Dtype dtype_;
  i64 rows_, columns_, stride_row_, stride_column_;
  std::vector<char> bytes_;
};

// One contraction, run and compared with a plain loop.
struct Case {
  ContractionShape shape;  // fully known
  ContractionPlan plan;
  bool dynamic = false;  // compile without knowing any extent
};

std::string describe(const Case& c, const Target& target) {
  const ContractionShape& s = c.shape;
  return fmt::format("{} {}x{}x{} strides a {},{} b {},{} {} {} {}{}{}: {}", target.level, s.m, s.k,
                     s.n, s.a_stride_m, s.a_stride_k, s.b_stride_k, s.b_stride_n, name_of(s.a),
                     name_of(s.b), name_of(s.acc), s.accumulate ? " accumulate" : "",
                     c.dynamic ? " dynamic" : "", print(c.plan));
}

ContractionShape compiled_shape(const Case& c) {
  ContractionShape shape = c.shape;
  if (!c.dynamic) return shape;
  shape.m = shape.n = shape.k = kDynamic;
  for (i64* stride : {&shape.a_stride_m, &shape.a_stride_k, &shape.b_stride_k, &shape.b_stride_n}) {
    if (*stride != 1) *stride = kDynamic;
  }
  return shape;
}

struct Operands {
  Matrix a, b, c;
};

Operands make_operands(const ContractionShape& s, std::mt19937& random) {
  Operands made{Matrix(s.a, s.m, s.k, s.a_stride_m, s.a_stride_k),
                Matrix(s.b, s.k, s.n, s.b_stride_k, s.b_stride_n),
                Matrix(s.acc, s.m, s.n, s.n + 3, 1)};
  made.a.fill(random);
  made.b.fill(random);
  made.c.fill(random);
  return made;
}

double expected(const ContractionShape& s, const Operands& with, i64 i, i64 j) {
  double sum = s.accumulate ? with.c.get(i, j) : 0;
  for (i64 p = 0; p < s.k; ++p) sum += with.a.get(i, p) * with.b.get(p, j);
  return sum;
}

// The first wrong element, or "".
std::string compare(const ContractionShape& s, const Operands& before, const Operands& after) {
  for (i64 i = 0; i < s.m; ++i) {
    for (i64 j = 0; j < s.n; ++j) {
      const double want = expected(s, before, i, j);
      const double got = after.c.get(i, j);
      const bool same = std::isnan(want) ? std::isnan(got) : want == got;
      if (!same) return fmt::format("C[{}, {}] is {} but should be {}", i, j, got, want);
    }
  }
  return "";
}

void run(Case c, const Target& target, const Operands& with) {
  const ContractionShape shape = compiled_shape(c);
  c.plan = legalize(c.plan, shape, target);
  SCOPED_TRACE(describe(c, target));
  EXPECT_EQ(legalize(c.plan, shape, target), c.plan) << "legalize is not idempotent";
  if (!target.is_host_runnable) {
    EXPECT_TRUE(contraction_assembly(shape, c.plan, target));
    return;
  }
  auto kernel = ContractionKernel::compile(shape, c.plan, target);
  ASSERT_TRUE(kernel) << kernel.error().message;
  Operands after = with;
  kernel->run(c.shape, after.a.data(), after.b.data(), after.c.data(), c.shape.n + 3);
  EXPECT_EQ(compare(c.shape, with, after), "");
}

i64 pick(std::mt19937& random, std::vector<i64> values) { return values[random() % values.size()]; }

ContractionShape random_shape(std::mt19937& random) {
  ContractionShape s;
  const std::vector<i64> extents = {1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 32, 33, 37, 64, 65, 97, 130};
  s.m = pick(random, extents);
  s.n = pick(random, extents);
  s.k = pick(random, extents);
  const i64 pad = pick(random, {0, 0, 5});
  switch (random() % 3) {
    case 0:
      s.a_stride_m = s.k + pad, s.a_stride_k = 1;
      break;
    case 1:
      s.a_stride_m = 1, s.a_stride_k = s.m + pad;
      break;
    default:
      s.a_stride_m = 2 * s.k + pad, s.a_stride_k = 2;
  }
  switch (random() % 3) {
    case 0:
      s.b_stride_k = s.n + pad, s.b_stride_n = 1;
      break;
    case 1:
      s.b_stride_k = 1, s.b_stride_n = s.k + pad;
      break;
    default:
      s.b_stride_k = 3 * s.n + pad, s.b_stride_n = 3;
  }
  s.accumulate = random() % 2;
  return s;
}

ContractionPlan random_plan(std::mt19937& random, const ContractionShape& shape,
                            const Target& target) {
  const ContractionChoices choices = contraction_choices(shape, target);
  ContractionPlan plan;
  std::tie(plan.mr, plan.nr_vectors) = choices.tiles[random() % choices.tiles.size()];
  plan.k_unroll = pick(random, choices.k_unroll);
  plan.mc = pick(random, choices.mc);
  plan.nc = pick(random, {0, 0, 32, 64});
  plan.kc = pick(random, {0, 0, 8, 16, 48, 128});
  plan.pack_a = random() % 2;
  plan.pack_b = random() % 2;
  plan.columns_outer = random() % 2;
  plan.pairs = random() % 4 != 0;
  plan.along_k = pick(random, choices.along_k);
  plan.prefetch_a = random() % 2;
  return plan;
}

class Contraction : public ::testing::TestWithParam<std::tuple<std::string, Dtype>> {};

TEST_P(Contraction, EqualsAPlainLoop) {
  const auto& [level, dtype] = GetParam();
  const Target target = *target_for(level);
  std::mt19937 random(static_cast<u32>(dtype) + 100 * static_cast<u32>(level.size()));
  const int rounds = target.is_host_runnable ? 16 : 3;
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    Case c{.shape = random_shape(random), .plan = {}};
    c.shape.a = c.shape.b = dtype;
    c.shape.acc = dtype == Dtype::F64 ? Dtype::F64 : is_float(dtype) ? Dtype::F32 : Dtype::I32;
    c.plan = round % 4 == 0 ? default_contraction(c.shape, target)
                            : random_plan(random, c.shape, target);
    c.dynamic = random() % 3 == 0;
    run(c, target, make_operands(c.shape, random));
  }
}

std::string parameter_name(const ::testing::TestParamInfo<Contraction::ParamType>& info) {
  std::string name = std::get<0>(info.param) + "_" + std::string(name_of(std::get<1>(info.param)));
  std::ranges::replace(name, '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Levels, Contraction,
                         ::testing::Combine(::testing::ValuesIn(target_levels()),
                                            ::testing::Values(Dtype::F32, Dtype::F64, Dtype::BF16,
                                                              Dtype::F16, Dtype::I8, Dtype::I32)),
                         parameter_name);

TEST(ContractionPlan, PrintsAndParses) {
  const Target target = *target_for("host");
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    const ContractionPlan plan = random_plan(random, {}, target);
    EXPECT_EQ(parse_contraction_plan(print(plan)), plan) << print(plan);
  }
  EXPECT_FALSE(parse_contraction_plan("8x2 unroll 4, pack c"));
}

TEST(ContractionValues, InfTimesZeroIsNanExactlyWhereItShouldBe) {
  const Target target = *target_for("host");
  std::mt19937 random(7);
  for (int round = 0; round < 16; ++round) {
    Case c{.shape = random_shape(random), .plan = {}};
    c.plan = random_plan(random, c.shape, target);
    Operands with = make_operands(c.shape, random);
    const i64 i = static_cast<i64>(random()) % c.shape.m;
    const i64 p = static_cast<i64>(random()) % c.shape.k;
    with.a.set(i, p, round % 2 ? INFINITY : NAN);
    with.b.set(p, static_cast<i64>(random()) % c.shape.n, 0);
    run(c, target, with);
  }
}

TEST(ContractionValues, AnEmptySumIsZero) {
  const Target target = *target_for("host");
  std::mt19937 random(8);
  for (bool dynamic : {false, true}) {
    for (bool accumulate : {false, true}) {
      Case c{.shape = {.m = 5, .n = 19, .k = 0, .a_stride_m = 1, .b_stride_k = 19},
             .plan = {},
             .dynamic = dynamic};
      c.shape.accumulate = accumulate;
      run(c, target, make_operands(c.shape, random));
    }
  }
}

}  // namespace
}  // namespace peri::cpu
