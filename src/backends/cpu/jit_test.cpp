#include "backends/cpu/jit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

namespace peri::cpu {
namespace {

using ::testing::HasSubstr;

struct Built {
  std::unique_ptr<llvm::LLVMContext> context = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> module;
};

// `type name(type x)` with the body that `emit` returns the value of.
template <class Emit>
Built build(const Target& target, llvm::Type* (*type_of)(llvm::LLVMContext&), const char* name,
            Emit emit) {
  Built built;
  built.module = std::make_unique<llvm::Module>("test", *built.context);
  prepare_module(*built.module, target);
  llvm::Type* type = type_of(*built.context);
  auto* function = llvm::Function::Create(llvm::FunctionType::get(type, {type}, false),
                                          llvm::Function::ExternalLinkage, name, *built.module);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(*built.context, "entry", function));
  builder.CreateRet(emit(builder, function->getArg(0)));
  return built;
}

llvm::Type* float_type(llvm::LLVMContext& context) { return llvm::Type::getFloatTy(context); }

Built build_scale(const Target& target, double factor) {
  return build(target, float_type, "scale", [&](llvm::IRBuilder<>& b, llvm::Value* x) {
    return b.CreateFMul(x, llvm::ConstantFP::get(x->getType(), factor));
  });
}

// Calls the external function `callee`.
Built build_call(const Target& target, const char* callee) {
  return build(target, float_type, "call", [&](llvm::IRBuilder<>& b, llvm::Value* x) {
    auto* type = llvm::FunctionType::get(x->getType(), {x->getType()}, false);
    auto* module = b.GetInsertBlock()->getModule();
    return b.CreateCall(module->getOrInsertFunction(callee, type), {x});
  });
}

TEST(Jit, CompilesAndRuns) {
  Target target = *target_for("host");
  Built built = build_scale(target, 3);
  auto code = compile(*built.module, target);
  ASSERT_TRUE(code) << code.error().message;
  EXPECT_EQ(code->function<float(float)>("scale")(2), 6);
  EXPECT_EQ(code->address("absent"), nullptr);
}

TEST(Jit, LitePassesKeepTheMeaning) {
  Target target = *target_for("host");
  Built built = build_scale(target, 3);
  auto code = compile(*built.module, target, IrPasses::Lite);
  ASSERT_TRUE(code);
  EXPECT_EQ(code->function<float(float)>("scale")(2), 6);
}

TEST(Jit, CodeOutlivesItsModuleAndNamesMayRepeat) {
  Target target = *target_for("host");
  std::vector<Code> codes;
  for (int i = 0; i < 50; ++i) {
    Built built = build_scale(target, i);
    codes.push_back(*compile(*built.module, target));
  }
  for (int i = 0; i < 50; ++i) EXPECT_EQ(codes[i].function<float(float)>("scale")(2), 2 * i);
}

TEST(Jit, CallsLibmAndDefinedSymbols) {
  Target target = *target_for("host");
  Built tanh = build_call(target, "tanhf");
  EXPECT_EQ(compile(*tanh.module, target)->function<float(float)>("call")(0.5f), tanhf(0.5f));
  float (*twice)(float) = [](float x) { return 2 * x; };
  ASSERT_TRUE(define_symbol("jit_test_twice", reinterpret_cast<void*>(twice)));
  EXPECT_FALSE(define_symbol("jit_test_twice", reinterpret_cast<void*>(twice)));
  Built call = build_call(target, "jit_test_twice");
  EXPECT_EQ(compile(*call.module, target)->function<float(float)>("call")(4), 8);
}

TEST(Jit, AMissingSymbolIsAnError) {
  Target target = *target_for("host");
  Built built = build_call(target, "no_such_function_anywhere");
  auto code = compile(*built.module, target);
  ASSERT_FALSE(code);
  EXPECT_THAT(code.error().message, HasSubstr("no_such_function_anywhere"));
}

TEST(Jit, ABrokenObjectIsAnError) {
  Target target = *target_for("host");
  Built built = build_scale(target, 1);
  std::string object = *emit_object(*built.module, target);
  EXPECT_TRUE(load_object(object, target));
  EXPECT_FALSE(load_object("not an object", target));
  EXPECT_FALSE(load_object(object.substr(0, object.size() / 2), target));
}

TEST(Jit, WritesAssemblyForEveryLevel) {
  for (const std::string& level : target_levels()) {
    Target target = *target_for(level);
    Built built = build_scale(target, 3);
    auto text = emit_assembly(*built.module, target);
    ASSERT_TRUE(text);
    EXPECT_THAT(*text, HasSubstr("scale:"));
    EXPECT_THAT(*text, HasSubstr(target.is_x86 ? "mulss" : "fmul"));
  }
}

TEST(Jit, CodeOfAnotherArchitectureIsNotLoaded) {
  Target target = *target_for("aarch64");
  if (target.is_host_runnable) GTEST_SKIP() << "the host is an aarch64";
  Built built = build_scale(target, 3);
  auto code = compile(*built.module, target);
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().code, "cpu-level-not-runnable");
}

TEST(Jit, CompilesFromSeveralThreads) {
  Target target = *target_for("host");
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        Built built = build_scale(target, t * 100 + i);
        auto code = compile(*built.module, target);
        right += code && code->function<float(float)>("scale")(1) == t * 100 + i;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 40);
}

// Every f16 widened by the routine that CPUs without F16C call, against F16C's rule in doubles.
TEST(Jit, HalfConversionsRoundToNearestEven) {
  Target target = *target_for("x86-64-v2");
  if (!target.is_host_runnable) GTEST_SKIP() << "the host has no x86-64-v2";
  Built built = build(target, float_type, "through", [](llvm::IRBuilder<>& b, llvm::Value* x) {
    return b.CreateFPExt(b.CreateFPTrunc(x, b.getHalfTy()), x->getType());
  });
  auto code = compile(*built.module, target);
  ASSERT_TRUE(code) << code.error().message;
  auto* through = code->function<float(float)>("through");
  for (float x : {0.f, -0.f, 1.f, 65504.f, 65519.9f, 65520.f, -1e9f, 1e-8f, 2.98023224e-8f,
                  2.99e-8f, 6.1e-5f, 0.1f, 1.00048828125f, 1.00146484375f, INFINITY}) {
    auto half = static_cast<_Float16>(x);
    EXPECT_EQ(through(x), static_cast<float>(half)) << x;
    EXPECT_EQ(std::signbit(through(x)), std::signbit(x)) << x;
  }
  EXPECT_TRUE(std::isnan(through(NAN)));
}

}  // namespace
}  // namespace peri::cpu
