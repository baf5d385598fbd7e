#include "backends/cpu/emit.h"

#include "base/bug.h"

namespace peri::cpu {

Emitter::Emitter(const plan::Plan& plan, const Target& target, llvm::Module& module)
    : plan_(plan),
      kernel_(*plan.kernel),
      target_(target),
      module_(module),
      b_(module.getContext()),
      owners_(plan.kernel->ops.size()) {
  for (size_t g = 0; g < kernel_.graphs.size(); ++g) {
    for (ir::OpId op : kernel_.graphs[g].ops) {
      owners_[op.index] = ir::GraphId(static_cast<i64>(g));
    }
  }
}

void Emitter::push_scope(llvm::Instruction* before, bool barrier) {
  scopes_.resize(static_cast<size_t>(top_) + 1);
  Scope scope;
  scope.id = next_scope_++;
  scope.before = before;
  scope.barrier = barrier;
  if (top_ >= 0) {
    scope.lanes = scopes_[top_].lanes;
    scope.mask = scopes_[top_].mask;
  }
  scopes_.push_back(std::move(scope));
  ++top_;
}

void Emitter::pop_scope() {
  scopes_.pop_back();
  --top_;
}

std::optional<i64> Emitter::known(Value* v) {
  if (auto* constant = llvm::dyn_cast<llvm::ConstantInt>(v)) return constant->getSExtValue();
  return std::nullopt;
}

i64 Emitter::lanes_of(Value* v) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(v->getType());
  return vector ? vector->getNumElements() : 0;
}

Value* Emitter::add(Value* a, Value* b, i64 depth) {
  if (known(a) == 0) return b;
  if (known(b) == 0) return a;
  return at_depth(depth, [&]() -> Value* {
    Value*& shared = scopes_[top_].arithmetic[{0, a, b}];
    if (!shared) shared = b_.CreateAdd(a, b);
    return shared;
  });
}

Value* Emitter::mul(Value* a, Value* b, i64 depth) {
  if (known(a) == 1) return b;
  if (known(b) == 1) return a;
  return at_depth(depth, [&]() -> Value* {
    Value*& shared = scopes_[top_].arithmetic[{1, a, b}];
    if (!shared) shared = b_.CreateMul(a, b);
    return shared;
  });
}

Value* Emitter::minimum(Value* a, Value* b) {
  auto x = known(a), y = known(b);
  if (x && y) return integer(std::min(*x, *y));
  return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, a, b);
}

llvm::Type* Emitter::register_type(Dtype dtype, i64 lanes) {
  llvm::Type* type = nullptr;
  switch (dtype) {
    case Dtype::Bool:
      type = b_.getInt1Ty();
      break;
    case Dtype::F16:
    case Dtype::BF16:
    case Dtype::F32:
      type = b_.getFloatTy();
      break;
    case Dtype::F64:
      type = b_.getDoubleTy();
      break;
    default:
      type = b_.getIntNTy(static_cast<unsigned>(8 * size_of(dtype)));
  }
  return lanes > 0 ? llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes)) : type;
}

llvm::Type* Emitter::memory_type(Dtype dtype, i64 lanes) {
  llvm::Type* type = dtype == Dtype::Bool ? b_.getInt8Ty()
                     : is_half(dtype)     ? b_.getInt16Ty()
                                          : register_type(dtype);
  return lanes > 0 ? llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes)) : type;
}

Value* Emitter::constant(Dtype dtype, SymValue value) {
  llvm::Type* type = register_type(dtype);
  if (is_float(dtype)) return llvm::ConstantFP::get(type, value.as_real());
  if (dtype == Dtype::Bool) return b_.getInt1(value.as_real() != 0);
  i64 bits = value.type == SymType::Float ? static_cast<i64>(value.real) : value.integer;
  return llvm::ConstantInt::get(type, static_cast<u64>(bits), true);
}

Value* Emitter::splat(Value* v, i64 lanes) {
  if (lanes == 0 || lanes_of(v) > 0) return v;
  return b_.CreateVectorSplat(static_cast<unsigned>(lanes), v);
}

Value* Emitter::cast(Value* v, Dtype from, Dtype to) { return emit_cast(b_, v, from, to); }

llvm::BasicBlock* Emitter::new_block(const char* name) {
  return llvm::BasicBlock::Create(module_.getContext(), name, function_);
}

llvm::Instruction* Emitter::split(const char* name) {
  llvm::BasicBlock* next = new_block(name);
  llvm::Instruction* branch = b_.CreateBr(next);
  b_.SetInsertPoint(next);
  return branch;
}

}  // namespace peri::cpu
