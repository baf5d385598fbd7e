#include "backends/cpu/contraction.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "backends/cpu/contraction_kernel.h"
#include "backends/cpu/jit.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

namespace peri::cpu {
namespace {

// Memory that ends at a page which may not be touched, so that a step too far faults; what it holds
// at first is not zero.
class Guarded {
 public:
  explicit Guarded(size_t size, size_t alignment = 1) : size_(size) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t used = (size + alignment + page - 1) / page * page;
    mapped_ = used + page;
    base_ = static_cast<char*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + used, page, PROT_NONE);
    std::memset(base_, 0x55, used);
    data_ = base_ + (used - size) / alignment * alignment;
  }
  Guarded(const Guarded& other) : Guarded(other.size_) {
    if (size_ > 0) std::memcpy(data_, other.data_, size_);
  }
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(base_, mapped_); }

  char* data() { return data_; }
  const char* data() const { return data_; }

 private:
  size_t size_;
  size_t mapped_ = 0;
  char* base_ = nullptr;
  char* data_ = nullptr;
};

// Elements of any dtype.
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
  Guarded bytes_;
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

// The columns between C's rows are not C's.
bool keeps_padding(const ContractionShape& s, const Operands& before, const Operands& after) {
  for (i64 i = 0; i + 1 < s.m; ++i) {
    for (i64 j = s.n; j < s.n + 3; ++j) {
      if (before.c.get(i, j) != after.c.get(i, j)) return false;
    }
  }
  return true;
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
  const i64 scratch_size = scratch_bytes(c.plan, c.shape, target);
  Guarded scratch(static_cast<size_t>(scratch_size), 64);
  kernel->run(c.shape, after.a.data(), after.b.data(), after.c.data(), c.shape.n + 3,
              scratch_size > 0 ? scratch.data() : nullptr);
  EXPECT_EQ(compare(c.shape, with, after), "");
  EXPECT_TRUE(keeps_padding(c.shape, with, after));
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
  // --gtest_random_seed=N tries other cases.
  std::mt19937 random(static_cast<u32>(dtype) + 100 * static_cast<u32>(level.size()) +
                      1000 * static_cast<u32>(GTEST_FLAG_GET(random_seed)));
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

// Lines of assembly that move a vector register to or from the stack.
i64 vector_spills(const std::string& assembly) {
  i64 count = 0;
  for (size_t at = 0; at < assembly.size();) {
    const size_t end = std::min(assembly.find('\n', at), assembly.size());
    const std::string_view line(assembly.data() + at, end - at);
    count += line.contains("(%rsp)") && line.contains("mm");
    at = end + 1;
  }
  return count;
}

TEST(ContractionAssembly, KeepsEverySumInARegister) {
  for (const char* level : {"x86-64-v3", "x86-64-v4", "host"}) {
    const Target target = *target_for(level);
    for (auto [n, dtype] : {std::pair(512, Dtype::F32),
                            {500, Dtype::F32},
                            {333, Dtype::F32},
                            {65, Dtype::F32},
                            {333, Dtype::BF16},
                            {500, Dtype::F64}}) {
      ContractionShape shape{.m = 100, .n = n, .k = 256, .a_stride_m = 256, .b_stride_k = n};
      shape.a = shape.b = dtype;
      shape.acc = dtype == Dtype::F64 ? Dtype::F64 : Dtype::F32;
      ContractionPlan plan{
          .k_unroll = 4, .pack_a = dtype == Dtype::BF16, .pairs = true, .prefetch_a = true};
      for (const auto& [rows, vectors] : contraction_choices(shape, target).tiles) {
        plan.mr = rows;
        plan.nr_vectors = vectors;
        const ContractionPlan legal = legalize(plan, shape, target);
        auto assembly = contraction_assembly(shape, legal, target);
        ASSERT_TRUE(assembly);
        EXPECT_EQ(vector_spills(*assembly), 0) << describe({shape, legal}, target);
      }
    }
  }
}

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

// max(A * B, 0) + row, stored apart, with no memory for sums.
void build_fused(llvm::Module& module, const ContractionShape& shape, const ContractionPlan& plan,
                 const Target& target) {
  llvm::LLVMContext& context = module.getContext();
  llvm::Type* pointer = llvm::PointerType::get(context, 0);
  auto* function =
      llvm::Function::Create(llvm::FunctionType::get(llvm::Type::getVoidTy(context),
                                                     {pointer, pointer, pointer, pointer}, false),
                             llvm::Function::ExternalLinkage, "fused", module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "entry", function));
  const ContractionOperands operands{
      .a = function->getArg(0), .b = function->getArg(1), .scratch = function->getArg(3)};
  auto epilogue = [&](llvm::IRBuilderBase& b, const ContractionResult& result) {
    llvm::Type* type = result.value->getType();
    llvm::Value* positive = b.CreateBinaryIntrinsic(llvm::Intrinsic::maxnum, result.value,
                                                    llvm::Constant::getNullValue(type));
    llvm::Value* row = b.CreateSIToFP(result.row, b.getFloatTy());
    llvm::Value* sum =
        b.CreateFAdd(positive, b.CreateVectorSplat(static_cast<unsigned>(result.lanes), row));
    llvm::Value* index = b.CreateAdd(b.CreateMul(result.row, b.getInt64(shape.n)), result.column);
    llvm::Value* to = b.CreateGEP(b.getFloatTy(), function->getArg(2), index);
    if (result.mask) {
      b.CreateMaskedStore(sum, to, llvm::Align(4), result.mask);
    } else {
      b.CreateAlignedStore(sum, to, llvm::Align(4));
    }
  };
  emit_contraction(builder, shape, plan, target, operands, epilogue);
  builder.CreateRetVoid();
}

TEST(ContractionValues, TheEpilogueSeesEverySumOnce) {
  std::mt19937 random(9);
  for (const std::string& level : target_levels()) {
    const Target target = *target_for(level);
    if (!target.is_host_runnable) continue;
    for (int round = 0; round < 6; ++round) {
      ContractionShape shape = random_shape(random);
      shape.accumulate = shape.c_is_memory = false;
      const ContractionPlan plan = legalize(random_plan(random, shape, target), shape, target);
      SCOPED_TRACE(describe({.shape = shape, .plan = plan}, target));
      llvm::LLVMContext context;
      llvm::Module module("fused", context);
      prepare_module(module, target);
      build_fused(module, shape, plan, target);
      auto code = compile(module, target);
      ASSERT_TRUE(code);
      Operands with = make_operands(shape, random);
      Matrix out(Dtype::F32, shape.m, shape.n, shape.n, 1);
      Guarded scratch(static_cast<size_t>(scratch_bytes(plan, shape, target)), 64);
      code->function<void(void*, void*, void*, void*)>("fused")(with.a.data(), with.b.data(),
                                                                out.data(), scratch.data());
      for (i64 i = 0; i < shape.m; ++i) {
        for (i64 j = 0; j < shape.n; ++j) {
          const double want = std::max(expected(shape, with, i, j), 0.0) + static_cast<double>(i);
          ASSERT_EQ(out.get(i, j), want) << i << ", " << j;
        }
      }
    }
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
