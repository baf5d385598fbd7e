#include "fma_peak.h"

#include <vector>

#include "backends/cpu/ir_loops.h"
#include "backends/cpu/jit.h"
#include "interleave.h"

#include <llvm/IR/Module.h>

namespace peri::bench {
namespace {

constexpr i64 kChains = 12;  // more than latency times throughput of any core
constexpr i64 kUnroll = 8;
constexpr i64 kIterations = 20'000;

// void peak(float* sums): kIterations * kUnroll steps of kChains vectors.
void build(llvm::Module& module, i64 lanes) {
  llvm::LLVMContext& context = module.getContext();
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(context),
                                       {llvm::PointerType::get(context, 0)}, false);
  auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, "peak", module);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context, "entry", function));
  auto* vector = llvm::FixedVectorType::get(b.getFloatTy(), static_cast<unsigned>(lanes));
  llvm::Value* factor = b.CreateAlignedLoad(vector, function->getArg(0), llvm::Align(4));
  auto* entry = b.GetInsertBlock();
  auto* loop = cpu::new_block(b, "loop");
  auto* done = cpu::new_block(b, "done");
  b.CreateBr(loop);
  b.SetInsertPoint(loop);
  auto* i = b.CreatePHI(b.getInt64Ty(), 2);
  i->addIncoming(b.getInt64(0), entry);
  std::vector<llvm::PHINode*> phis;
  std::vector<llvm::Value*> sums;
  for (i64 c = 0; c < kChains; ++c) {
    phis.push_back(b.CreatePHI(vector, 2));
    phis.back()->addIncoming(factor, entry);
    sums.push_back(phis.back());
  }
  for (i64 u = 0; u < kUnroll; ++u) {
    for (llvm::Value*& sum : sums) {
      sum = b.CreateIntrinsic(llvm::Intrinsic::fmuladd, {vector}, {factor, factor, sum});
    }
  }
  for (size_t c = 0; c < phis.size(); ++c) phis[c]->addIncoming(sums[c], loop);
  llvm::Value* next = b.CreateAdd(i, b.getInt64(1));
  i->addIncoming(next, loop);
  b.CreateCondBr(b.CreateICmpSLT(next, b.getInt64(kIterations)), loop, done);
  b.SetInsertPoint(done);
  for (size_t c = 0; c < sums.size(); ++c) {
    b.CreateAlignedStore(sums[c], b.CreateConstGEP1_64(vector, function->getArg(0), c),
                         llvm::Align(4));
  }
  b.CreateRetVoid();
}

}  // namespace

Expected<double> measure_fma_peak(const cpu::Target& target) {
  llvm::LLVMContext context;
  llvm::Module module("peak", context);
  cpu::prepare_module(module, target);
  const i64 lanes = target.lanes(4);
  build(module, lanes);
  auto code = cpu::compile(module, target);
  if (!code) return std::unexpected(code.error());
  auto* peak = code->function<void(float*)>("peak");
  std::vector<float> sums(static_cast<size_t>(kChains * lanes));
  const auto timings = interleave({{"peak", [&] { peak(sums.data()); }}}, 0.2);
  return static_cast<double>(2 * kIterations * kUnroll * kChains * lanes) / timings[0].min();
}

}  // namespace peri::bench
