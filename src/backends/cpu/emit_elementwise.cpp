// Elementwise ops on register values.
#include <llvm/IR/Intrinsics.h>

#include "backends/cpu/emit.h"
#include "backends/cpu/vector_math.h"
#include "base/bug.h"

namespace peri::cpu {

using ir::OpCode;

namespace {

class Elementwise {
 public:
  Elementwise(Builder& b, const Target& target, Dtype dtype, const std::vector<Value*>& operands)
      : b_(b), target_(target), dtype_(dtype), v_(operands), float_(is_float(dtype)) {}

  Value* emit(OpCode code) {
    if (auto fn = math_function(code))
      return emit_math(b_, target_, *fn, v_[0], v_.size() > 1 ? v_[1] : nullptr);
    if (Value* v = unary(code)) return v;
    if (Value* v = arithmetic(code)) return v;
    if (Value* v = comparison(code)) return v;
    BUG_IF(true, "no code for elementwise op {}", ir::info(code).text);
  }

 private:
  // Ops on floats that vector_math has; on integers rounding is the identity and has no code.
  std::optional<MathFn> math_function(OpCode code) const {
    if (!float_) return std::nullopt;
    switch (code) {
#define MATH(name)   \
  case OpCode::name: \
    return MathFn::name;
      MATH(Exp)
      MATH(Exp2)
      MATH(Expm1)
      MATH(Log) MATH(Log2) MATH(Log10) MATH(Log1p) MATH(Sqrt) MATH(Rsqrt) MATH(Reciprocal) MATH(Sin)
          MATH(Cos) MATH(Tan) MATH(Sinh) MATH(Cosh) MATH(Tanh) MATH(Asin) MATH(Acos) MATH(Atan)
              MATH(Erf) MATH(Erfc) MATH(Sigmoid) MATH(Floor) MATH(Ceil) MATH(Round) MATH(Trunc)
                  MATH(Pow) MATH(Atan2) MATH(Fmod) MATH(Remainder) MATH(FloorDiv)
#undef MATH
                      default : return std::nullopt;
    }
  }

  bool is_unsigned() const { return dtype_ == Dtype::U8 || dtype_ == Dtype::Bool; }
  llvm::Type* type() const { return v_[0]->getType(); }
  Value* number(i64 v) const {
    return float_ ? llvm::ConstantFP::get(type(), static_cast<double>(v))
                  : llvm::ConstantInt::get(type(), static_cast<u64>(v), true);
  }
  Value* intrinsic(llvm::Intrinsic::ID id) { return b_.CreateBinaryIntrinsic(id, v_[0], v_[1]); }

  Value* unary(OpCode code) {
    Value* a = v_[0];
    switch (code) {
      case OpCode::Neg:
        return float_ ? b_.CreateFNeg(a) : b_.CreateNeg(a);
      case OpCode::Not:
        return b_.CreateNot(a);
      case OpCode::Abs:
        return absolute(a);
      case OpCode::Sign:
        return sign(a);
      case OpCode::Floor:
      case OpCode::Ceil:
      case OpCode::Round:
      case OpCode::Trunc:
        return a;
      case OpCode::IsNan:
        return float_ ? b_.CreateFCmpUNO(a, a) : falses();
      case OpCode::IsInf:
        if (!float_) return falses();
        return b_.CreateFCmpOEQ(b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, a),
                                llvm::ConstantFP::getInfinity(type()));
      default:
        return nullptr;
    }
  }

  Value* falses() const {
    return llvm::Constant::getNullValue(llvm::CmpInst::makeCmpResultType(type()));
  }

  Value* absolute(Value* a) {
    if (float_) return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, a);
    if (is_unsigned()) return a;
    return b_.CreateSelect(b_.CreateICmpSLT(a, number(0)), b_.CreateNeg(a), a);
  }

  Value* sign(Value* a) {
    Value* positive = float_          ? b_.CreateFCmpOGT(a, number(0))
                      : is_unsigned() ? b_.CreateICmpNE(a, number(0))
                                      : b_.CreateICmpSGT(a, number(0));
    Value* result = b_.CreateSelect(positive, number(1), number(0));
    if (is_unsigned()) return result;
    Value* negative = float_ ? b_.CreateFCmpOLT(a, number(0)) : b_.CreateICmpSLT(a, number(0));
    return b_.CreateSelect(negative, number(-1), result);
  }

  Value* arithmetic(OpCode code) {
    using llvm::Intrinsic::ID;
    Value* a = v_[0];
    Value* b = v_.size() > 1 ? v_[1] : nullptr;
    switch (code) {
      case OpCode::Add:
        return float_ ? b_.CreateFAdd(a, b) : b_.CreateAdd(a, b);
      case OpCode::Sub:
        return float_ ? b_.CreateFSub(a, b) : b_.CreateSub(a, b);
      case OpCode::Mul:
        return float_ ? b_.CreateFMul(a, b) : b_.CreateMul(a, b);
      case OpCode::Div:
        return b_.CreateFDiv(a, b);
      case OpCode::Max:
        if (float_) return emit_max(b_, target_, a, b);
        return intrinsic(is_unsigned() ? ID(llvm::Intrinsic::umax) : ID(llvm::Intrinsic::smax));
      case OpCode::Min:
        if (float_) return emit_min(b_, target_, a, b);
        return intrinsic(is_unsigned() ? ID(llvm::Intrinsic::umin) : ID(llvm::Intrinsic::smin));
      case OpCode::And:
        return b_.CreateAnd(a, b);
      case OpCode::Or:
        return b_.CreateOr(a, b);
      case OpCode::Xor:
        return b_.CreateXor(a, b);
      case OpCode::FloorDiv:
        return floor_divide(a, b);
      case OpCode::Remainder:
        return remainder(a, b);
      case OpCode::Fmod:
        return b_.CreateSub(a, b_.CreateMul(truncated_quotient(a, b), b));
      case OpCode::Pow:
        return integer_power(a, b);
      case OpCode::Shl:
      case OpCode::Shr:
        return shift(code, a, b);
      case OpCode::Select:
        return b_.CreateSelect(v_[0], v_[1], v_[2]);
      default:
        return nullptr;
    }
  }

  // a / b towards zero. Division by 0 and the one overflow trap in hardware: 0 divides as 1, and by
  // -1 is a negation.
  Value* truncated_quotient(Value* a, Value* b) {
    Value* zero = b_.CreateICmpEQ(b, number(0));
    if (is_unsigned()) return b_.CreateUDiv(a, b_.CreateSelect(zero, number(1), b));
    Value* minus = b_.CreateICmpEQ(b, number(-1));
    Value* safe = b_.CreateSelect(b_.CreateOr(zero, minus), number(1), b);
    return b_.CreateSelect(minus, b_.CreateNeg(a), b_.CreateSDiv(a, safe));
  }

  Value* floor_divide(Value* a, Value* b) {
    Value* quotient = truncated_quotient(a, b);
    if (is_unsigned()) return quotient;
    Value* rest = b_.CreateSub(a, b_.CreateMul(quotient, b));
    Value* inexact = b_.CreateICmpNE(rest, number(0));
    Value* opposite = b_.CreateICmpSLT(b_.CreateXor(rest, b), number(0));
    Value* down = b_.CreateAnd(inexact, opposite);
    return b_.CreateSelect(down, b_.CreateSub(quotient, number(1)), quotient);
  }

  Value* remainder(Value* a, Value* b) {
    return b_.CreateSub(a, b_.CreateMul(floor_divide(a, b), b));
  }

  // By squaring, one bit of the exponent at a time; a negative one gives 0 unless |a| is 1.
  Value* integer_power(Value* a, Value* b) {
    Value* result = number(1);
    Value* square = a;
    u64 bits = type()->getScalarSizeInBits() - (is_unsigned() ? 0 : 1);
    for (u64 bit = 0; bit < bits; ++bit) {
      Value* mask = llvm::ConstantInt::get(type(), u64{1} << bit);
      Value* set = b_.CreateICmpNE(b_.CreateAnd(b, mask), number(0));
      result = b_.CreateSelect(set, b_.CreateMul(result, square), result);
      square = b_.CreateMul(square, square);
    }
    if (is_unsigned()) return result;
    Value* odd = b_.CreateICmpNE(b_.CreateAnd(b, number(1)), number(0));
    Value* one = b_.CreateICmpEQ(a, number(1));
    Value* minus_one = b_.CreateSelect(odd, number(-1), number(1));
    Value* other = b_.CreateSelect(b_.CreateICmpEQ(a, number(-1)), minus_one, number(0));
    Value* inverse = b_.CreateSelect(one, number(1), other);
    return b_.CreateSelect(b_.CreateICmpSLT(b, number(0)), inverse, result);
  }

  Value* shift(OpCode code, Value* a, Value* b) {
    Value* width = number(static_cast<i64>(type()->getScalarSizeInBits()));
    Value* inside = b_.CreateICmpULT(b, width);
    Value* amount = b_.CreateSelect(inside, b, number(0));
    if (code == OpCode::Shl) return b_.CreateSelect(inside, b_.CreateShl(a, amount), number(0));
    if (is_unsigned()) return b_.CreateSelect(inside, b_.CreateLShr(a, amount), number(0));
    Value* sign = b_.CreateSelect(b_.CreateICmpSLT(a, number(0)), number(-1), number(0));
    return b_.CreateSelect(inside, b_.CreateAShr(a, amount), sign);
  }

  Value* comparison(OpCode code) {
    using P = llvm::CmpInst::Predicate;
    P predicate;
    bool u = is_unsigned();
    switch (code) {
      case OpCode::Eq:
        predicate = float_ ? P::FCMP_OEQ : P::ICMP_EQ;
        break;
      case OpCode::Ne:
        predicate = float_ ? P::FCMP_UNE : P::ICMP_NE;
        break;
      case OpCode::Lt:
        predicate = float_ ? P::FCMP_OLT : u ? P::ICMP_ULT : P::ICMP_SLT;
        break;
      case OpCode::Le:
        predicate = float_ ? P::FCMP_OLE : u ? P::ICMP_ULE : P::ICMP_SLE;
        break;
      case OpCode::Gt:
        predicate = float_ ? P::FCMP_OGT : u ? P::ICMP_UGT : P::ICMP_SGT;
        break;
      case OpCode::Ge:
        predicate = float_ ? P::FCMP_OGE : u ? P::ICMP_UGE : P::ICMP_SGE;
        break;
      default:
        return nullptr;
    }
    return b_.CreateCmp(predicate, v_[0], v_[1]);
  }

  Builder& b_;
  const Target& target_;
  Dtype dtype_;
  const std::vector<Value*>& v_;
  bool float_;
};

llvm::Type* with_lanes_of(llvm::Type* scalar, Value* v) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(v->getType());
  return vector ? llvm::FixedVectorType::get(scalar, vector->getNumElements()) : scalar;
}

}  // namespace

Value* emit_elementwise(Builder& b, const Target& target, OpCode code, Dtype dtype,
                        const std::vector<Value*>& operands) {
  return Elementwise(b, target, dtype, operands).emit(code);
}

// Between register types: halves are floats already, so a cast to one is free.
Value* emit_cast(Builder& b, Value* v, Dtype from, Dtype to) {
  from = compute_dtype(from);
  to = compute_dtype(to);
  if (from == to) return v;
  llvm::Type* scalar = to == Dtype::Bool  ? b.getInt1Ty()
                       : to == Dtype::F32 ? b.getFloatTy()
                       : to == Dtype::F64 ? b.getDoubleTy()
                                          : b.getIntNTy(static_cast<unsigned>(8 * size_of(to)));
  llvm::Type* type = with_lanes_of(scalar, v);
  bool from_unsigned = from == Dtype::Bool || from == Dtype::U8;
  if (to == Dtype::Bool) {
    llvm::Constant* zero = llvm::Constant::getNullValue(v->getType());
    return is_float(from) ? b.CreateFCmpUNE(v, zero) : b.CreateICmpNE(v, zero);
  }
  if (is_float(from)) {
    return is_float(to) ? b.CreateFPCast(v, type) : emit_float_to_int(b, v, scalar);
  }
  if (is_float(to)) return from_unsigned ? b.CreateUIToFP(v, type) : b.CreateSIToFP(v, type);
  return b.CreateIntCast(v, type, !from_unsigned);
}

}  // namespace peri::cpu
