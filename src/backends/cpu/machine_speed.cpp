#include "backends/cpu/machine_speed.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <vector>

#include "backends/cpu/ir_loops.h"
#include "backends/cpu/jit.h"
#include "base/thread_pool.h"

#include <llvm/IR/Module.h>

namespace peri::cpu {

namespace {

constexpr i64 kChains = 12;  // more than latency times throughput of any core
constexpr i64 kFmaUnroll = 8, kFmaIterations = 4000;
constexpr i64 kStreamUnroll = 8;  // vectors an iteration
constexpr i64 kLeastBytes = 64 << 10, kMostBytes = 96 << 20;
constexpr double kSecondsEach = 0.012;

class Writer {
 public:
  Writer(llvm::Module& module, const Target& target)
      : module_(module), b_(module.getContext()), target_(target) {}

  // void multiply_add(float* sums): kFmaIterations * kFmaUnroll steps of kChains vectors.
  void multiply_add() {
    begin("multiply_add", {b_.getPtrTy()});
    auto* vector = llvm::FixedVectorType::get(b_.getFloatTy(), lanes());
    llvm::Value* factor = b_.CreateAlignedLoad(vector, argument(0), llvm::Align(4));
    auto* entry = b_.GetInsertBlock();
    auto* loop = new_block(b_, "loop");
    auto* done = new_block(b_, "done");
    b_.CreateBr(loop);
    b_.SetInsertPoint(loop);
    auto* i = b_.CreatePHI(b_.getInt64Ty(), 2);
    i->addIncoming(b_.getInt64(0), entry);
    std::vector<llvm::PHINode*> phis;
    std::vector<llvm::Value*> sums;
    for (i64 c = 0; c < kChains; ++c) {
      phis.push_back(b_.CreatePHI(vector, 2));
      phis.back()->addIncoming(factor, entry);
      sums.push_back(phis.back());
    }
    for (i64 u = 0; u < kFmaUnroll; ++u) {
      for (llvm::Value*& sum : sums) {
        sum = b_.CreateIntrinsic(llvm::Intrinsic::fmuladd, {vector}, {factor, factor, sum});
      }
    }
    for (size_t c = 0; c < phis.size(); ++c) phis[c]->addIncoming(sums[c], loop);
    llvm::Value* next = b_.CreateAdd(i, b_.getInt64(1));
    i->addIncoming(next, loop);
    b_.CreateCondBr(b_.CreateICmpSLT(next, b_.getInt64(kFmaIterations)), loop, done);
    b_.SetInsertPoint(done);
    for (size_t c = 0; c < sums.size(); ++c) {
      b_.CreateAlignedStore(sums[c], b_.CreateConstGEP1_64(vector, argument(0), c), llvm::Align(4));
    }
    b_.CreateRetVoid();
  }

  // void read(const void* data, i64 bytes): asm-free, so what is read is stored to `data` in the
  // end.
  void read() {
    begin("read", {b_.getPtrTy(), b_.getInt64Ty()});
    auto* slot = b_.CreateAlloca(vector());
    b_.CreateStore(llvm::Constant::getNullValue(vector()), slot);
    emit_for(b_, b_.getInt64(0), argument(1), b_.getInt64(step()), [&](llvm::Value* at) {
      llvm::Value* all = nullptr;
      for (i64 u = 0; u < kStreamUnroll; ++u) {
        llvm::Value* value = load(argument(0), at, u);
        all = all ? b_.CreateXor(all, value) : value;
      }
      b_.CreateStore(b_.CreateXor(b_.CreateLoad(vector(), slot), all), slot, true);
    });
    b_.CreateRetVoid();
  }

  // void NAME(void* to, const void* from, i64 bytes)
  void copy(const char* name, bool around_caches) {
    begin(name, {b_.getPtrTy(), b_.getPtrTy(), b_.getInt64Ty()});
    emit_for(b_, b_.getInt64(0), argument(2), b_.getInt64(step()), [&](llvm::Value* at) {
      for (i64 u = 0; u < kStreamUnroll; ++u) {
        llvm::Value* to = b_.CreateGEP(b_.getInt8Ty(), argument(0), place(at, u));
        auto* store = b_.CreateAlignedStore(load(argument(1), at, u), to, llvm::Align(64));
        if (!around_caches) continue;
        auto* one = llvm::ConstantAsMetadata::get(b_.getInt32(1));
        store->setMetadata(llvm::LLVMContext::MD_nontemporal,
                           llvm::MDNode::get(module_.getContext(), {one}));
      }
    });
    b_.CreateRetVoid();
  }

  i64 step() const { return kStreamUnroll * target_.vector_bytes; }

 private:
  unsigned lanes() const { return static_cast<unsigned>(target_.lanes(4)); }
  llvm::Type* vector() { return llvm::FixedVectorType::get(b_.getInt32Ty(), lanes()); }
  llvm::Value* argument(unsigned i) const { return b_.GetInsertBlock()->getParent()->getArg(i); }
  llvm::Value* place(llvm::Value* at, i64 u) {
    return b_.CreateAdd(at, b_.getInt64(static_cast<u64>(u * target_.vector_bytes)));
  }
  llvm::Value* load(llvm::Value* from, llvm::Value* at, i64 u) {
    llvm::Value* pointer = b_.CreateGEP(b_.getInt8Ty(), from, place(at, u));
    return b_.CreateAlignedLoad(vector(), pointer, llvm::Align(64));
  }
  void begin(const char* name, const std::vector<llvm::Type*>& arguments) {
    auto* type = llvm::FunctionType::get(b_.getVoidTy(), arguments, false);
    auto* function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module_);
    function->addFnAttr("no-builtins");
    b_.SetInsertPoint(llvm::BasicBlock::Create(module_.getContext(), "entry", function));
  }

  llvm::Module& module_;
  llvm::IRBuilder<> b_;
  const Target& target_;
};

double now() {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

// Seconds of the fastest of several runs on all threads.
template <class Body>
double fastest(i64 threads, const Body& body) {
  double least = 1e9;
  const double start = now();
  for (i64 run = 0; run < 3 || now() - start < kSecondsEach; ++run) {
    const double begin = now();
    ThreadPool::global().run(threads, threads, [&](i64 first, i64 end, i64) {
      for (i64 t = first; t < end; ++t) body(t);
    });
    least = std::min(least, now() - begin);
  }
  return least;
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<char, Free>;

}  // namespace

Expected<backends::MachineSpeed> measure_speed(const Target& target, i64 threads,
                                               double working_set) {
  llvm::LLVMContext context;
  llvm::Module module("speed", context);
  prepare_module(module, target);
  Writer writer(module, target);
  writer.multiply_add();
  writer.read();
  writer.copy("copy", false);
  writer.copy("copy_around", true);
  auto code = compile(module, target);
  if (!code) return std::unexpected(code.error());
  threads = std::clamp<i64>(threads, 1, ThreadPool::global().threads());
  const double limit = std::clamp(working_set, double{kLeastBytes}, double{kMostBytes});
  const i64 unit = 2 * writer.step();
  const i64 share = std::max<i64>(static_cast<i64>(limit) / threads / unit, 1) * unit;
  Memory memory(
      static_cast<char*>(std::aligned_alloc(4096, (share * threads + 4095) / 4096 * 4096)));
  if (!memory) return fail("out-of-memory", "there is no memory to measure its speed");
  std::fill_n(memory.get(), share * threads, char{1});
  const i64 repeats = std::max<i64>(1, (4 << 20) / share);
  const double moved = static_cast<double>(share * threads * repeats);

  auto* read = code->function<void(const void*, i64)>("read");
  double least = fastest(threads, [&](i64 t) {
    for (i64 r = 0; r < repeats; ++r) read(memory.get() + t * share, share);
  });
  for (const char* name : {"copy", "copy_around"}) {
    auto* copy = code->function<void(void*, const void*, i64)>(name);
    least = std::min(least, fastest(threads, [&](i64 t) {
                       char* half = memory.get() + t * share;
                       for (i64 r = 0; r < repeats; ++r) copy(half, half + share / 2, share / 2);
                     }));
  }
  auto* multiply_add = code->function<void(float*)>("multiply_add");
  const i64 lanes = target.lanes(4);
  std::vector<float> sums(static_cast<size_t>(threads * kChains * lanes));
  const double seconds =
      fastest(threads, [&](i64 t) { multiply_add(sums.data() + t * kChains * lanes); });
  const auto flops =
      static_cast<double>(2 * kFmaIterations * kFmaUnroll * kChains * lanes * threads);
  return backends::MachineSpeed{moved / least, flops / seconds};
}

}  // namespace peri::cpu
