// The AVX-512 instructions that the vector functions use, on vectors of several native widths.
#include <llvm/IR/IntrinsicsX86.h>

#include "backends/cpu/vector_math_emit.h"

namespace peri::cpu::math {
namespace {

constexpr unsigned kMaxLanes = 16;

unsigned lanes_of(F x) { return llvm::cast<llvm::FixedVectorType>(x.type())->getNumElements(); }

llvm::Value* all_lanes(llvm::IRBuilder<>& b, unsigned lanes) {
  return llvm::ConstantInt::getAllOnesValue(b.getIntNTy(lanes == 16 ? 16 : 8));
}

llvm::Value* native_scalef(llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value* n, unsigned lanes) {
  using namespace llvm::Intrinsic;
  const ID id = lanes == 16  ? x86_avx512_mask_scalef_ps_512
                : lanes == 8 ? x86_avx512_mask_scalef_ps_256
                             : x86_avx512_mask_scalef_ps_128;
  llvm::SmallVector<llvm::Value*> arguments = {x, n, llvm::PoisonValue::get(x->getType()),
                                               all_lanes(b, lanes)};
  if (lanes == 16) arguments.push_back(b.getInt32(4));  // the current rounding mode
  return b.CreateIntrinsic(id, {}, arguments);
}

llvm::Value* native_rsqrt(llvm::IRBuilder<>& b, llvm::Value* x, unsigned lanes) {
  using namespace llvm::Intrinsic;
  const ID id = lanes == 16  ? x86_avx512_rsqrt14_ps_512
                : lanes == 8 ? x86_avx512_rsqrt14_ps_256
                             : x86_avx512_rsqrt14_ps_128;
  return b.CreateIntrinsic(id, {}, {x, llvm::PoisonValue::get(x->getType()), all_lanes(b, lanes)});
}

// `emit(offset, lanes)` for each native piece of a vector like x, put together.
template <class Emit>
F in_pieces(F x, Emit emit) {
  const unsigned lanes = lanes_of(x), piece = std::min(lanes, kMaxLanes);
  if (piece == lanes) return {x.c, emit(0, lanes)};
  llvm::Value* whole = llvm::PoisonValue::get(x.type());
  for (unsigned at = 0; at < lanes; at += piece) {
    whole = x.b().CreateInsertVector(x.type(), whole, emit(at, piece), u64{at});
  }
  return {x.c, whole};
}

llvm::Value* part(F x, unsigned at, unsigned lanes) {
  if (lanes == lanes_of(x)) return x.v;
  auto* type = llvm::FixedVectorType::get(x.b().getFloatTy(), lanes);
  return x.b().CreateExtractVector(type, x.v, u64{at});
}

}  // namespace

bool has_avx512_for(F x) {
  const unsigned lanes = lanes_of(x);
  return x.target().has_avx512 && lanes >= 4 && (lanes & (lanes - 1)) == 0;
}

F scalef(F x, F n) {
  return in_pieces(x, [&](unsigned at, unsigned lanes) {
    return native_scalef(x.b(), part(x, at, lanes), part(n, at, lanes), lanes);
  });
}

F rsqrt_estimate(F x) {
  return in_pieces(x, [&](unsigned at, unsigned lanes) {
    return native_rsqrt(x.b(), part(x, at, lanes), lanes);
  });
}

}  // namespace peri::cpu::math
