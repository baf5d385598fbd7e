#include "backends/cpu/vector_math.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <vector>

#include <llvm/IR/Module.h>

#include "backends/cpu/jit.h"
#include "base/philox.h"

namespace peri::cpu {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kMax = std::numeric_limits<float>::max();
constexpr double kMaxUlp = 2;

struct Function {
  MathFn fn;
  const char* name;
  bool is_binary;
};
const std::vector<Function> kFunctions = {
#define MATH1(name, f32, f64, libm, cost) {MathFn::name, #name, false},
#define MATH2(name, f32, f64, libm, cost) {MathFn::name, #name, true},
#include "backends/cpu/vector_math.def"
};

// The same in double, or long double for comparison with double.
template <class T>
T reference(MathFn fn, T x, T y) {
  switch (fn) {
    case MathFn::Exp:
      return std::exp(x);
    case MathFn::Exp2:
      return std::exp2(x);
    case MathFn::Expm1:
      return std::expm1(x);
    case MathFn::Log:
      return std::log(x);
    case MathFn::Log2:
      return std::log2(x);
    case MathFn::Log10:
      return std::log10(x);
    case MathFn::Log1p:
      return std::log1p(x);
    case MathFn::Sin:
      return std::sin(x);
    case MathFn::Cos:
      return std::cos(x);
    case MathFn::Tan:
      return std::tan(x);
    case MathFn::Sinh:
      return std::sinh(x);
    case MathFn::Cosh:
      return std::cosh(x);
    case MathFn::Tanh:
      return std::tanh(x);
    case MathFn::Asin:
      return std::asin(x);
    case MathFn::Acos:
      return std::acos(x);
    case MathFn::Atan:
      return std::atan(x);
    case MathFn::Sigmoid:
      return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
    case MathFn::Erf:
      return std::erf(x);
    case MathFn::Erfc:
      return std::erfc(x);
    case MathFn::Sqrt:
      return std::sqrt(x);
    case MathFn::Rsqrt:
      return 1 / std::sqrt(x);
    case MathFn::Reciprocal:
      return 1 / x;
    case MathFn::Floor:
      return std::floor(x);
    case MathFn::Ceil:
      return std::ceil(x);
    case MathFn::Round:
      return std::nearbyint(x);
    case MathFn::Trunc:
      return std::trunc(x);
    case MathFn::Pow:
      return std::pow(x, y);
    case MathFn::Atan2:
      return std::atan2(x, y);
    case MathFn::Fmod:
      return std::fmod(x, y);
    case MathFn::Remainder: {
      const T rest = std::fmod(x, y);
      return rest != 0 && std::signbit(rest) != std::signbit(y) ? rest + y : rest;
    }
    case MathFn::FloorDiv: {
      if (y == 0) return x / y;
      const T rest = std::fmod(x, y);
      const bool down = rest != 0 && std::signbit(rest) != std::signbit(y);
      const T quotient = std::nearbyint((x - rest) / y) - (down ? 1 : 0);
      return quotient == 0 ? std::copysign(quotient, x / y) : quotient;
    }
  }
  return 0;
}

// Error of `got` in units of the last place of T at `expected`; infinite where a special value, the
// sign of a zero or the domain differs.
template <class T, class Wide>
double ulp_error(T got, Wide expected) {
  const T rounded = static_cast<T>(expected);
  if (std::isnan(expected) || std::isnan(got)) {
    return std::isnan(expected) && std::isnan(got) ? 0 : HUGE_VAL;
  }
  if (got == rounded) return got == 0 && std::signbit(got) != std::signbit(expected) ? HUGE_VAL : 0;
  // Next to overflow, infinity is the number after the largest.
  const auto limited = [](auto v) {
    return std::isinf(v)
               ? std::copysign(std::ldexp(Wide{1}, std::numeric_limits<T>::max_exponent), Wide{v})
               : Wide{v};
  };
  int exponent = 0;
  std::frexp(expected, &exponent);
  constexpr int kDigits = std::numeric_limits<T>::digits;
  const int place = std::max(exponent - kDigits, std::numeric_limits<T>::min_exponent - kDigits);
  return static_cast<double>(
      std::ldexp(std::abs(limited(got) - limited(expected)), -std::min(place, 2000)));
}

std::vector<Target> runnable_targets() {
  std::vector<Target> targets;
  for (const char* level : {"x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"}) {
    if (Target target = *target_for(level); target.is_host_runnable) targets.push_back(target);
  }
  return targets;
}

struct Built {
  std::unique_ptr<llvm::LLVMContext> context = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> module = std::make_unique<llvm::Module>("test", *context);
};

llvm::Type* vector_of(llvm::Type* element, i64 lanes) {
  if (lanes == 1) return element;
  return llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes));
}

using Emit =
    std::function<llvm::Value*(llvm::IRBuilder<>&, llvm::Value* first, llvm::Value* second)>;

// Adds `void name(const In* first, const Second* second, Out* out, i64 n)`: the emitted expression
// on each `lanes` elements; n is a multiple of that.
void add_loop(Built& built, const std::string& name, i64 lanes, llvm::Type* in, llvm::Type* second,
              const Emit& emit) {
  auto& context = *built.context;
  auto* pointer = llvm::PointerType::get(context, 0);
  auto* index = llvm::Type::getInt64Ty(context);
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(context),
                                       {pointer, pointer, pointer, index}, false);
  auto* function =
      llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, *built.module);
  auto* entry = llvm::BasicBlock::Create(context, "entry", function);
  auto* loop = llvm::BasicBlock::Create(context, "loop", function);
  auto* done = llvm::BasicBlock::Create(context, "done", function);
  llvm::IRBuilder<> b(entry);
  b.CreateBr(loop);
  b.SetInsertPoint(loop);
  auto* at = b.CreatePHI(index, 2);
  auto load = [&](unsigned argument, llvm::Type* element) {
    llvm::Value* from = b.CreateGEP(element, function->getArg(argument), at);
    return b.CreateAlignedLoad(vector_of(element, lanes), from, llvm::Align(1));
  };
  llvm::Value* result = emit(b, load(0, in), load(1, second));
  llvm::Type* out = result->getType()->getScalarType();
  b.CreateAlignedStore(result, b.CreateGEP(out, function->getArg(2), at), llvm::Align(1));
  auto* next = b.CreateAdd(at, b.getInt64(static_cast<u64>(lanes)));
  at->addIncoming(b.getInt64(0), entry);
  at->addIncoming(next, loop);
  EXPECT_EQ(b.GetInsertBlock(), loop) << name << " must not change the block";
  b.CreateCondBr(b.CreateICmpULT(next, function->getArg(3)), loop, done);
  b.SetInsertPoint(done);
  b.CreateRetVoid();
}

// All functions on vectors of that many lanes.
Built build_math(const Target& target, llvm::Type* (*element)(llvm::LLVMContext&), i64 lanes) {
  Built built;
  prepare_module(*built.module, target);
  llvm::Type* type = element(*built.context);
  for (const Function& function : kFunctions) {
    add_loop(built, function.name, lanes, type, type,
             [&](llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value* y) {
               return emit_math(b, target, function.fn, x, function.is_binary ? y : nullptr);
             });
  }
  return built;
}

llvm::Type* f32_type(llvm::LLVMContext& context) { return llvm::Type::getFloatTy(context); }
llvm::Type* f64_type(llvm::LLVMContext& context) { return llvm::Type::getDoubleTy(context); }

// Code for a target and a number of lanes.
struct Variant {
  std::string name;
  Code code;
  i64 lanes;
};

std::vector<Variant> variants(llvm::Type* (*element)(llvm::LLVMContext&), i64 bytes) {
  std::vector<Variant> all;
  for (const Target& target : runnable_targets()) {
    for (i64 lanes : {i64{1}, target.lanes(bytes), 2 * target.lanes(bytes)}) {
      Built built = build_math(target, element, lanes);
      auto code = compile(*built.module, target);
      EXPECT_TRUE(code) << code.error().message;
      all.push_back({target.level + ", " + std::to_string(lanes) + " lanes", *code, lanes});
    }
  }
  return all;
}

const std::vector<float> kSpecials = {0,
                                      -0.0F,
                                      1,
                                      -1,
                                      0.5F,
                                      -0.5F,
                                      2,
                                      -2,
                                      3,
                                      -3,
                                      kInf,
                                      -kInf,
                                      kNan,
                                      1e-45F,
                                      -1e-45F,
                                      1.1754942e-38F,
                                      1.17549435e-38F,
                                      -1.17549435e-38F,
                                      kMax,
                                      -kMax,
                                      88.72283F,
                                      88.72284F,
                                      -87.33655F,
                                      -103.97207F,
                                      -103.97210F,
                                      -104,
                                      89.41598F,
                                      89.416F,
                                      128,
                                      127.99999F,
                                      -126,
                                      -149,
                                      -149.5F,
                                      -150,
                                      -151,
                                      9.01F,
                                      9.02F,
                                      0.55F,
                                      10.05F,
                                      10.06F,
                                      3.92F,
                                      3.95F,
                                      16777216,
                                      16777215,
                                      16777218,
                                      -16777215,
                                      8388608.5F,
                                      4194303.5F,
                                      2.5F,
                                      3.5F,
                                      -2.5F,
                                      131072,
                                      131073,
                                      1e5F,
                                      1.5707964F,
                                      3.1415927F,
                                      6.2831855F,
                                      1e10F,
                                      1e22F,
                                      1e38F,
                                      -1e38F,
                                      0.99999994F,
                                      1.0000001F,
                                      -0.99999994F,
                                      1e-4F,
                                      1e-8F,
                                      1e-20F,
                                      0.7071068F,
                                      1.4142135F,
                                      0.57F};

u64 mix(u64 x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

// Special values, then bit patterns spread over all of them, then values of everyday size.
std::vector<float> unary_operands(i64 count) {
  std::vector<float> x = kSpecials;
  for (i64 i = 0; i < count; ++i) {
    const u64 stride = (u64{1} << 32) / static_cast<u64>(count);
    const u64 pattern = static_cast<u64>(i) * stride + mix(static_cast<u64>(i)) % stride;
    x.push_back(std::bit_cast<float>(static_cast<u32>(pattern)));
    if (i % 4 == 0) x.push_back(static_cast<float>(static_cast<i32>(mix(pattern))) * 0x1p-27F);
  }
  while (x.size() % 64 != 0) x.push_back(1);
  return x;
}

struct Pairs {
  std::vector<float> x, y;
};

Pairs binary_operands(i64 count) {
  Pairs pairs;
  auto add = [&](float x, float y) { pairs.x.push_back(x), pairs.y.push_back(y); };
  for (float x : kSpecials) {
    for (float y : kSpecials) add(x, y);
  }
  for (i64 i = 0; i < count; ++i) {
    const u64 random = mix(static_cast<u64>(i));
    const float a = std::bit_cast<float>(static_cast<u32>(random));
    const float b = std::bit_cast<float>(static_cast<u32>(random >> 32));
    const float small = static_cast<float>(static_cast<i32>(random)) * 0x1p-28F;
    const float integer = static_cast<float>(static_cast<i64>(random >> 32) % 41 - 20);
    if (i % 4 == 0) add(a, b);
    if (i % 4 == 1) add(small, static_cast<float>(static_cast<i32>(random >> 32)) * 0x1p-26F);
    if (i % 4 == 2) add(small, integer);
    if (i % 4 == 3) add(1 + small * 0x1p-12F, b);
  }
  while (pairs.x.size() % 64 != 0) add(1, 1);
  return pairs;
}

bool is_exact(MathFn fn) {
  return fn == MathFn::Sqrt || fn == MathFn::Reciprocal || fn == MathFn::Floor ||
         fn == MathFn::Ceil || fn == MathFn::Round || fn == MathFn::Trunc || fn == MathFn::Fmod;
}

using Loop = void(const void*, const void*, void*, i64);

void check(const Function& function, const std::vector<Variant>& all, const std::vector<float>& x,
           const std::vector<float>& y) {
  std::vector<double> expected;
  for (size_t i = 0; i < x.size(); ++i) {
    expected.push_back(reference<double>(function.fn, x[i], y[i]));
  }
  for (const Variant& variant : all) {
    std::vector<float> out(x.size());
    variant.code.function<Loop>(function.name)(x.data(), y.data(), out.data(),
                                               static_cast<i64>(x.size()));
    double worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double error = ulp_error(out[i], expected[i]);
      if (error > worst) worst = error, at = i;
    }
    EXPECT_LE(worst, is_exact(function.fn) ? 0 : kMaxUlp)
        << function.name << '(' << x[at] << ", " << y[at] << ") = " << out[at] << ", expected "
        << expected[at] << " on " << variant.name;
    if (function.fn == MathFn::Sin || function.fn == MathFn::Cos) {
      for (float v : out) ASSERT_FALSE(std::abs(v) > 1) << function.name << ", " << variant.name;
    }
  }
}

TEST(VectorMath, FloatIsWithinTwoUlpOnEveryTarget) {
  const std::vector<Variant> all = variants(f32_type, 4);
  const std::vector<float> x = unary_operands(200'000);
  const Pairs pairs = binary_operands(100'000);
  for (const Function& function : kFunctions) {
    if (function.is_binary) {
      check(function, all, pairs.x, pairs.y);
    } else {
      check(function, all, x, x);
    }
  }
}

TEST(VectorMath, DoubleIsWithinTwoUlp) {
  std::vector<double> x, y;
  for (float a : kSpecials) {
    for (float b : kSpecials) x.push_back(double{a} * (1 + 0x1p-40)), y.push_back(b);
  }
  while (x.size() % 64 != 0) x.push_back(1), y.push_back(1);
  for (const Variant& variant : variants(f64_type, 8)) {
    for (const Function& function : kFunctions) {
      std::vector<double> out(x.size());
      variant.code.function<Loop>(function.name)(x.data(), y.data(), out.data(),
                                                 static_cast<i64>(x.size()));
      for (size_t i = 0; i < x.size(); ++i) {
        const auto expected = reference<long double>(function.fn, x[i], y[i]);
        ASSERT_LE(ulp_error(out[i], expected), kMaxUlp)
            << function.name << '(' << x[i] << ", " << y[i] << ") = " << out[i] << ", expected "
            << expected << " on " << variant.name;
      }
    }
  }
}

TEST(VectorMath, FloatNeedsNoLibrary) {
  for (const char* level : {"x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"}) {
    const Target target = *target_for(level);
    Built built = build_math(target, f32_type, target.lanes(4));
    for (const llvm::Function& function : *built.module) {
      EXPECT_TRUE(!function.isDeclaration() || function.isIntrinsic())
          << function.getName().str() << " on " << level;
    }
    auto assembly = emit_assembly(*built.module, target);
    ASSERT_TRUE(assembly);
    for (const char* call : {"fmaf", "roundevenf", "floorf", "truncf", "ceilf", "sqrtf"}) {
      EXPECT_THAT(*assembly, Not(HasSubstr(call))) << level;
    }
  }
}

TEST(VectorMath, FastMathFlagsOfTheBuilderDoNotReachIt) {
  const Target target = *target_for("x86-64-v3");
  Built built;
  add_loop(built, "exp", 8, f32_type(*built.context), f32_type(*built.context),
           [&](llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value*) {
             llvm::FastMathFlags fast;
             fast.setFast();
             b.setFastMathFlags(fast);
             llvm::Value* result = emit_math(b, target, MathFn::Exp, x);
             EXPECT_TRUE(b.getFastMathFlags().isFast());
             return result;
           });
  for (const llvm::BasicBlock& block : *built.module->getFunction("exp")) {
    for (const llvm::Instruction& instruction : block) {
      EXPECT_FALSE(llvm::isa<llvm::FPMathOperator>(instruction) && instruction.isFast());
    }
  }
}

// Compiles one expression for every runnable target and width, and hands each to `use`.
void for_each_code(llvm::Type* (*in)(llvm::LLVMContext&), llvm::Type* (*second)(llvm::LLVMContext&),
                   const std::function<Emit(const Target&, llvm::LLVMContext&)>& emitter,
                   const std::function<void(Loop*, const std::string&)>& use) {
  for (const Target& target : runnable_targets()) {
    for (i64 lanes : {i64{1}, target.lanes(4)}) {
      Built built;
      prepare_module(*built.module, target);
      add_loop(built, "f", lanes, in(*built.context), second(*built.context),
               emitter(target, *built.context));
      auto code = compile(*built.module, target);
      ASSERT_TRUE(code) << code.error().message;
      use(code->function<Loop>("f"), target.level + ", " + std::to_string(lanes) + " lanes");
    }
  }
}

llvm::Type* i16_type(llvm::LLVMContext& context) { return llvm::Type::getInt16Ty(context); }
llvm::Type* i32_type(llvm::LLVMContext& context) { return llvm::Type::getInt32Ty(context); }
llvm::Type* i64_type(llvm::LLVMContext& context) { return llvm::Type::getInt64Ty(context); }

TEST(VectorMath, MaxAndMinPropagateNan) {
  const Pairs pairs = binary_operands(1000);
  for (bool is_max : {true, false}) {
    auto emitter = [&](const Target& target, llvm::LLVMContext&) -> Emit {
      return [&](llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value* y) {
        return is_max ? emit_max(b, target, x, y) : emit_min(b, target, x, y);
      };
    };
    for_each_code(f32_type, f32_type, emitter, [&](Loop* loop, const std::string& name) {
      std::vector<float> out(pairs.x.size());
      loop(pairs.x.data(), pairs.y.data(), out.data(), static_cast<i64>(out.size()));
      for (size_t i = 0; i < out.size(); ++i) {
        const float x = pairs.x[i], y = pairs.y[i];
        const bool has_nan = std::isnan(x) || std::isnan(y);
        const float expected = has_nan ? kNan : is_max ? std::max(x, y) : std::min(x, y);
        ASSERT_TRUE(has_nan ? std::isnan(out[i]) : out[i] == expected)
            << x << ", " << y << " gives " << out[i] << " on " << name;
      }
    });
  }
}

// A format of 16 bits: `mantissa` bits behind the point, smallest normal exponent `low`.
struct Format {
  int mantissa, low;
};

// The value of the bits.
double decode(u16 bits, Format format) {
  const int exponent_bits = 15 - format.mantissa;
  const int field = bits >> format.mantissa & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << format.mantissa) - 1);
  const double sign = bits >> 15 ? -1 : 1;
  if (field == (1 << exponent_bits) - 1) return fraction ? kNan : sign * kInf;
  const int whole = field ? 1 << format.mantissa : 0;
  return sign * std::ldexp(whole + fraction, std::max(field - 1, 0) + format.low - format.mantissa);
}

// The nearest value of the format, ties to even.
double round_to(double x, Format format) {
  if (!std::isfinite(x) || x == 0) return x;
  const int exponent = std::max(std::ilogb(x), format.low);
  const double unit = std::ldexp(1.0, exponent - format.mantissa);
  const double rounded = std::nearbyint(x / unit) * unit;
  const double limit = std::ldexp(1.0, 2 - format.low);
  return std::abs(rounded) >= limit ? std::copysign(kInf, x) : rounded;
}

constexpr Format kF16 = {10, -14}, kBf16 = {7, -126};

void check_half(Format format, const std::function<Emit(const Target&, llvm::LLVMContext&)>& to,
                const std::function<Emit(const Target&, llvm::LLVMContext&)>& from) {
  std::vector<u16> all_bits(65536);
  for (size_t i = 0; i < all_bits.size(); ++i) all_bits[i] = static_cast<u16>(i);
  for_each_code(i16_type, i16_type, from, [&](Loop* loop, const std::string& name) {
    std::vector<float> out(all_bits.size());
    loop(all_bits.data(), all_bits.data(), out.data(), static_cast<i64>(out.size()));
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(ulp_error(out[i], decode(all_bits[i], format)), 0) << all_bits[i] << " on " << name;
    }
  });
  std::vector<float> x = unary_operands(200'000);
  for (u16 bits : all_bits) {  // every tie, and its neighbours
    const auto value = static_cast<float>(decode(bits, format));
    const auto next = static_cast<float>(decode(static_cast<u16>(bits + 1), format));
    const float middle = (value + next) / 2;
    for (float v : {middle, std::nextafter(middle, kInf), std::nextafter(middle, -kInf)}) {
      x.push_back(v);
    }
  }
  while (x.size() % 64 != 0) x.push_back(1);
  for_each_code(f32_type, f32_type, to, [&](Loop* loop, const std::string& name) {
    std::vector<u16> out(x.size());
    loop(x.data(), x.data(), out.data(), static_cast<i64>(out.size()));
    for (size_t i = 0; i < out.size(); ++i) {
      const auto got = static_cast<float>(decode(out[i], format));
      ASSERT_EQ(ulp_error(got, round_to(x[i], format)), 0) << x[i] << " on " << name;
    }
  });
}

TEST(VectorMath, Bf16RoundsToNearestEven) {
  check_half(
      kBf16,
      [](const Target&, llvm::LLVMContext&) -> Emit {
        return [](llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value*) {
          return emit_f32_to_bf16(b, x);
        };
      },
      [](const Target&, llvm::LLVMContext&) -> Emit {
        return [](llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value*) {
          return emit_bf16_to_f32(b, x);
        };
      });
}

TEST(VectorMath, F16RoundsToNearestEven) {
  check_half(
      kF16,
      [](const Target& target, llvm::LLVMContext&) -> Emit {
        return [&](llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value*) {
          return emit_f32_to_f16(b, target, x);
        };
      },
      [](const Target& target, llvm::LLVMContext&) -> Emit {
        return [&](llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value*) {
          return emit_f16_to_f32(b, target, x);
        };
      });
}

// What emit_float_to_int() promises.
template <class Int>
Int to_int(double x) {
  using Whole = std::conditional_t<sizeof(Int) == 8, i64, i32>;
  constexpr double kLimit = sizeof(Int) == 8 ? 0x1p63 : 0x1p31;
  const bool fits = x >= -kLimit && x < kLimit;
  return static_cast<Int>(fits ? static_cast<Whole>(x) : std::numeric_limits<Whole>::min());
}

template <class Int, class Float>
void check_to_int(llvm::Type* (*in)(llvm::LLVMContext&)) {
  std::vector<Float> x;
  for (float v : unary_operands(1000)) x.push_back(static_cast<Float>(v) * Float{1.25});
  for (int e : {7, 8, 15, 31, 32, 63, 64}) {
    for (double d : {-1.0, -0.5, 0.0, 0.5, 1.0}) {
      x.push_back(static_cast<Float>(std::ldexp(1.0, e) + d));
      x.push_back(static_cast<Float>(-std::ldexp(1.0, e) + d));
    }
  }
  while (x.size() % 64 != 0) x.push_back(1);
  auto emitter = [](const Target&, llvm::LLVMContext& context) -> Emit {
    return [&](llvm::IRBuilder<>& b, llvm::Value* v, llvm::Value*) {
      return emit_float_to_int(b, v, llvm::Type::getIntNTy(context, 8 * sizeof(Int)));
    };
  };
  for_each_code(in, in, emitter, [&](Loop* loop, const std::string& name) {
    std::vector<Int> out(x.size());
    loop(x.data(), x.data(), out.data(), static_cast<i64>(out.size()));
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i], to_int<Int>(x[i])) << x[i] << " on " << name;
    }
  });
}

TEST(VectorMath, FloatToIntIsDefinedForEveryOperand) {
  check_to_int<i8, float>(f32_type);
  check_to_int<i16, float>(f32_type);
  check_to_int<i32, float>(f32_type);
  check_to_int<i64, float>(f32_type);
  check_to_int<i32, double>(f64_type);
  check_to_int<i64, double>(f64_type);
}

TEST(Philox, GivesThePublishedNumbers) {
  // The known answers of the Random123 library for key and counter 0 and all ones; here the last
  // two words of the counter are always 0, so only the first can be had.
  EXPECT_EQ(philox(0, 0), 0x6627e8d5U);
  EXPECT_GE(philox_uniform(1, 2), 0);
  float largest = 0;
  double sum = 0;
  constexpr u64 kDraws = 100'000;
  for (u64 i = 0; i < kDraws; ++i) {
    largest = std::max(largest, philox_uniform(42, i));
    sum += philox_uniform(42, i);
  }
  EXPECT_LT(largest, 1);
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);
}

TEST(Philox, EmittedCodeDrawsTheSameNumbers) {
  std::vector<u64> seeds, offsets;
  for (u64 i = 0; i < 64; ++i) seeds.push_back(mix(i)), offsets.push_back(mix(~i) >> i % 64);
  auto emitter = [](const Target&, llvm::LLVMContext&) -> Emit {
    return [](llvm::IRBuilder<>& b, llvm::Value* seed, llvm::Value* offset) {
      return emit_philox(b, seed, offset);
    };
  };
  for_each_code(i64_type, i64_type, emitter, [&](Loop* loop, const std::string& name) {
    std::vector<float> out(seeds.size());
    loop(seeds.data(), offsets.data(), out.data(), static_cast<i64>(out.size()));
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i], philox_uniform(seeds[i], offsets[i])) << name;
    }
  });
}

TEST(Philox, TakesOneSeedAndNarrowOffsets) {
  std::vector<u32> offsets;
  for (u32 i = 0; i < 64; ++i) offsets.push_back(i * 0x9e3779b9);
  constexpr u64 kSeed = 0x123456789abcdef;
  auto emitter = [](const Target&, llvm::LLVMContext&) -> Emit {
    return [](llvm::IRBuilder<>& b, llvm::Value* offset, llvm::Value*) {
      return emit_philox(b, b.getInt64(kSeed), offset);
    };
  };
  for_each_code(i32_type, i32_type, emitter, [&](Loop* loop, const std::string& name) {
    std::vector<float> out(offsets.size());
    loop(offsets.data(), offsets.data(), out.data(), static_cast<i64>(out.size()));
    for (size_t i = 0; i < out.size(); ++i) {
      ASSERT_EQ(out[i], philox_uniform(kSeed, offsets[i])) << name;
    }
  });
}

}  // namespace
}  // namespace peri::cpu
