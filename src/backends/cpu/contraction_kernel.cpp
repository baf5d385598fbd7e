#include "backends/cpu/contraction_kernel.h"

#include <cstdlib>

#include "base/bug.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

namespace peri::cpu {
namespace {

constexpr i64 kScratchAlignment = 64;

// kernel(i64 sizes[8], a, b, c, scratch)
void build_kernel(llvm::Module& module, const ContractionShape& shape, const ContractionPlan& plan,
                  const Target& target) {
  llvm::LLVMContext& context = module.getContext();
  llvm::Type* pointer = llvm::PointerType::get(context, 0);
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(context),
                                       {pointer, pointer, pointer, pointer, pointer}, false);
  auto* function =
      llvm::Function::Create(type, llvm::Function::ExternalLinkage, "contraction", module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context, "entry", function));
  auto size = [&](unsigned i) {
    return b.CreateLoad(b.getInt64Ty(),
                        b.CreateConstGEP1_64(b.getInt64Ty(), function->getArg(0), i));
  };
  ContractionOperands operands{.a = function->getArg(1),
                               .b = function->getArg(2),
                               .c = function->getArg(3),
                               .scratch = function->getArg(4),
                               .m = size(0),
                               .n = size(1),
                               .k = size(2),
                               .a_stride_m = size(3),
                               .a_stride_k = size(4),
                               .b_stride_k = size(5),
                               .b_stride_n = size(6),
                               .c_stride_m = size(7)};
  emit_contraction(b, shape, plan, target, operands);
  b.CreateRetVoid();
}

}  // namespace

void ContractionKernel::Free::operator()(void* memory) const { std::free(memory); }

Expected<ContractionKernel> ContractionKernel::compile(const ContractionShape& shape,
                                                       const ContractionPlan& plan,
                                                       const Target& target) {
  llvm::LLVMContext context;
  llvm::Module module("contraction", context);
  prepare_module(module, target);
  build_kernel(module, shape, plan, target);
  auto code = cpu::compile(module, target);
  if (!code) return std::unexpected(code.error());
  ContractionKernel kernel;
  kernel.entry_ = code->function<Entry>("contraction");
  kernel.code_ = std::move(*code);
  kernel.plan_ = plan;
  kernel.target_ = target;
  return kernel;
}

void ContractionKernel::run(const ContractionShape& sizes, const void* a, const void* b, void* c,
                            i64 c_stride_m) {
  const i64 bytes = scratch_bytes(plan_, sizes, target_);
  if (bytes > scratch_size_) {
    scratch_size_ = (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
    scratch_.reset(std::aligned_alloc(kScratchAlignment, static_cast<size_t>(scratch_size_)));
    BUG_IF(!scratch_, "no memory for {} bytes of scratch", scratch_size_);
  }
  run(sizes, a, b, c, c_stride_m, scratch_.get());
}

void ContractionKernel::run(const ContractionShape& sizes, const void* a, const void* b, void* c,
                            i64 c_stride_m, void* scratch) const {
  const i64 values[] = {sizes.m,          sizes.n,          sizes.k,          sizes.a_stride_m,
                        sizes.a_stride_k, sizes.b_stride_k, sizes.b_stride_n, c_stride_m};
  entry_(values, a, b, c, scratch);
}

Expected<std::string> contraction_assembly(const ContractionShape& shape,
                                           const ContractionPlan& plan, const Target& target) {
  llvm::LLVMContext context;
  llvm::Module module("contraction", context);
  prepare_module(module, target);
  build_kernel(module, shape, plan, target);
  return emit_assembly(module, target);
}

}  // namespace peri::cpu
