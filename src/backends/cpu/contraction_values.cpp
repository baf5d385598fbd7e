#include "backends/cpu/contraction_emit.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

namespace peri::cpu::contraction {

Value* Emitter::add(Value* x, Value* y) const {
  if (constant_of(x) == 0) return y;
  if (constant_of(y) == 0) return x;
  return b.CreateAdd(x, y);
}

Value* Emitter::mul(Value* x, Value* y) const {
  if (constant_of(x) == 1) return y;
  if (constant_of(y) == 1) return x;
  return b.CreateMul(x, y);
}

Value* Emitter::ceil_div(Value* x, i64 y) const {
  return y == 1 ? x : b.CreateUDiv(add(x, constant(y - 1)), constant(y));
}

Value* Emitter::offset(Value* pointer, Value* bytes) const {
  if (constant_of(bytes) == 0) return pointer;
  return b.CreateGEP(b.getInt8Ty(), pointer, bytes);
}

llvm::Type* Emitter::element_type(Dtype dtype) const {
  switch (dtype) {
    case Dtype::F32:
      return b.getFloatTy();
    case Dtype::F64:
      return b.getDoubleTy();
    case Dtype::F16:
    case Dtype::BF16:
      return b.getInt16Ty();
    default:
      return b.getIntNTy(static_cast<unsigned>(8 * size_of(dtype)));
  }
}

llvm::Type* Emitter::vector_type(llvm::Type* element, i64 lanes) const {
  return llvm::FixedVectorType::get(element, static_cast<unsigned>(lanes));
}

llvm::Type* Emitter::unit_type() const {
  return facts.kind == StepKind::Single ? acc_type() : b.getInt32Ty();
}

llvm::Type* Emitter::cell_type() const {
  return facts.kind == StepKind::Single ? acc_type() : b.getInt16Ty();
}

Value* Emitter::to_cell(Value* raw, Dtype from) const {
  if (facts.kind == StepKind::Single) return convert(raw, from);
  return b.CreateSExt(raw, raw->getType()->getWithNewType(b.getInt16Ty()));
}

Value* Emitter::convert(Value* value, Dtype from) const {
  llvm::Type* to = value->getType()->getWithNewType(acc_type());
  auto retyped = [&](llvm::Type* element) { return value->getType()->getWithNewType(element); };
  if (from == Dtype::BF16) {
    value = b.CreateShl(b.CreateZExt(value, retyped(b.getInt32Ty())), 16);
    return b.CreateFPCast(b.CreateBitCast(value, retyped(b.getFloatTy())), to);
  }
  if (from == Dtype::F16) return b.CreateFPCast(b.CreateBitCast(value, retyped(b.getHalfTy())), to);
  if (is_float(from)) return b.CreateFPCast(value, to);
  if (is_float(shape.acc)) return b.CreateSIToFP(value, to);
  const bool is_unsigned = from == Dtype::U8 || from == Dtype::Bool;
  return is_unsigned ? b.CreateZExtOrTrunc(value, to) : b.CreateSExtOrTrunc(value, to);
}

Value* Emitter::load_raw(Value* pointer, llvm::Type* element, i64 lanes, Value* mask) const {
  const llvm::Align align(element->getPrimitiveSizeInBits() / 8);
  llvm::Type* type = vector_type(element, lanes);
  if (!mask) return b.CreateAlignedLoad(type, pointer, align);
  return b.CreateMaskedLoad(type, pointer, align, mask, llvm::Constant::getNullValue(type));
}

Value* Emitter::load_element(Value* pointer, Dtype dtype) const {
  return convert(b.CreateLoad(element_type(dtype), pointer), dtype);
}

Value* Emitter::load_vector(Value* pointer, Dtype dtype, i64 lanes, Value* mask) const {
  return convert(load_raw(pointer, element_type(dtype), lanes, mask), dtype);
}

void Emitter::store(Value* value, Value* pointer, Value* mask) const {
  const llvm::Align align(value->getType()->getScalarSizeInBits() / 8);
  if (mask) {
    b.CreateMaskedStore(value, pointer, align, mask);
  } else {
    b.CreateAlignedStore(value, pointer, align);
  }
}

Value* Emitter::mask_below(Value* count, i64 lanes) const {
  if (auto known = constant_of(count)) {
    if (*known >= lanes) return nullptr;
    std::vector<llvm::Constant*> bits;
    for (i64 i = 0; i < lanes; ++i) bits.push_back(b.getInt1(i < *known));
    return llvm::ConstantVector::get(bits);
  }
  // Compared as 32-bit lanes, which is what masked instructions of f32 want.
  std::vector<llvm::Constant*> iota;
  for (i64 i = 0; i < lanes; ++i) iota.push_back(b.getInt32(static_cast<u32>(i)));
  Value* narrow = b.CreateTrunc(emit_min(b, count, constant(lanes)), b.getInt32Ty());
  return b.CreateICmpSGT(b.CreateVectorSplat(static_cast<unsigned>(lanes), narrow),
                         llvm::ConstantVector::get(iota));
}

Value* Emitter::plus(Value* x, Value* y) const {
  return is_float(shape.acc) ? b.CreateFAdd(x, y) : b.CreateAdd(x, y);
}

Value* Emitter::multiply_add(Value* a, Value* bv, Value* acc) const {
  const i64 lanes = llvm::cast<llvm::FixedVectorType>(acc->getType())->getNumElements();
  if (facts.kind == StepKind::Bf16Pair) {
    auto id = lanes == 16  ? llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512
              : lanes == 8 ? llvm::Intrinsic::x86_avx512bf16_dpbf16ps_256
                           : llvm::Intrinsic::x86_avx512bf16_dpbf16ps_128;
    llvm::Type* pairs = vector_type(b.getBFloatTy(), 2 * lanes);
    return b.CreateIntrinsic(id, {acc, b.CreateBitCast(a, pairs), b.CreateBitCast(bv, pairs)});
  }
  if (facts.kind == StepKind::I16Pair) {
    // With VNNI, instruction selection fuses the multiply and the add.
    auto id = lanes == 16  ? llvm::Intrinsic::x86_avx512_pmaddw_d_512
              : lanes == 8 ? llvm::Intrinsic::x86_avx2_pmadd_wd
                           : llvm::Intrinsic::x86_sse2_pmadd_wd;
    llvm::Type* pairs = vector_type(b.getInt16Ty(), 2 * lanes);
    Value* products =
        b.CreateIntrinsic(id, {b.CreateBitCast(a, pairs), b.CreateBitCast(bv, pairs)});
    return b.CreateAdd(acc, products);
  }
  if (!is_float(shape.acc)) return b.CreateAdd(acc, b.CreateMul(a, bv));
  return b.CreateIntrinsic(llvm::Intrinsic::fmuladd, {acc->getType()}, {a, bv, acc});
}

}  // namespace peri::cpu::contraction
