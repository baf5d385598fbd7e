#include "ir/rules.h"

#include <algorithm>
#include <optional>

#include "base/bug.h"

namespace peri::ir {

bool agree(const Dim& a, const Dim& b) {
  return a.size == b.size && (a.block == b.block || !a.block || !b.block);
}

bool agree(const std::vector<Dim>& a, const std::vector<Dim>& b) {
  return std::ranges::equal(a, b, [](const Dim& x, const Dim& y) { return agree(x, y); });
}

Domain domain_of(OpCode code) {
  if (code >= OpCode::Exp && code <= OpCode::IsInf) return Domain::Float;
  switch (code) {
    case OpCode::Div:
    case OpCode::Atan2:
      return Domain::Float;
    case OpCode::Neg:
    case OpCode::Abs:
    case OpCode::Sign:
    case OpCode::Add:
    case OpCode::Sub:
    case OpCode::Mul:
    case OpCode::FloorDiv:
    case OpCode::Remainder:
    case OpCode::Fmod:
    case OpCode::Pow:
    case OpCode::Max:
    case OpCode::Min:
    case OpCode::ReduceMax:
    case OpCode::ReduceMin:
    case OpCode::ArgMax:
    case OpCode::ArgMin:
    case OpCode::Dot:
    case OpCode::Iota:
      return Domain::Number;
    case OpCode::TileIndex:
    case OpCode::Shl:
    case OpCode::Shr:
      return Domain::Integer;
    case OpCode::Not:
    case OpCode::And:
    case OpCode::Or:
    case OpCode::Xor:
      return Domain::Bits;
    case OpCode::Any:
    case OpCode::All:
      return Domain::Bool;
    default:
      return Domain::Any;
  }
}

bool contains(Domain domain, Dtype dtype) {
  switch (domain) {
    case Domain::Any:
      return true;
    case Domain::Number:
      return dtype != Dtype::Bool;
    case Domain::Float:
      return is_float(dtype);
    case Domain::Integer:
      return is_integer(dtype);
    case Domain::Bits:
      return !is_float(dtype);
    case Domain::Bool:
      return dtype == Dtype::Bool;
  }
  return false;
}

std::string_view name_of(Domain domain) {
  static constexpr std::string_view kNames[] = {
      "anything", "numbers", "floats", "integers", "integers and bools", "bools"};
  return kNames[static_cast<u8>(domain)];
}

namespace {

using Shape = std::vector<Dim>;

std::string text_of(const Kernel& kernel, const TileType& type) { return print_type(kernel, type); }

class Inference {
 public:
  Inference(const Kernel& kernel, const Op& op, const TileType& stated)
      : kernel_(kernel), op_(op), stated_(stated) {}

  Inferred run() {
    TileType type = result();
    return {std::move(type), std::move(fault_)};
  }

 private:
  const TileType& operand(std::size_t i) const { return kernel_[op_.operands[i]].type; }

  TileType fault(std::string text) {
    fault_ = std::move(text);
    return stated_;
  }

  TileType result() {
    Domain domain = domain_of(op_.code);
    Dtype dtype = op_.operands.empty() ? stated_.dtype : operand(0).dtype;
    if (!contains(domain, dtype)) {
      return fault(fmt::format("works on {}, not {}", name_of(domain), peri::name_of(dtype)));
    }
    switch (info(op_.code).rule) {
      case Rule::Unary:
        return operand(0);
      case Rule::Predicate:
        return pointwise(Dtype::Bool, 0);
      case Rule::Binary:
        return pointwise(dtype, 0);
      case Rule::Select:
        return select();
      case Rule::Cast:
        return {stated_.dtype, operand(0).shape};
      case Rule::Given:
        return source();
      case Rule::View:
        return view();
      case Rule::Reduce:
        return reduce();
      case Rule::Dot:
        return dot();
      default:
        return access_type(kernel_, op_.attrs.tensor, op_.attrs.indices, op_.operands);
    }
  }

  // Operands from `first` on have one dtype; all have one shape or are scalars.
  TileType pointwise(Dtype dtype, std::size_t first) {
    for (std::size_t i = first + 1; i < op_.operands.size(); ++i) {
      if (operand(i).dtype != operand(first).dtype) {
        return fault(fmt::format("operands of dtypes {} and {}",
                                 peri::name_of(operand(first).dtype),
                                 peri::name_of(operand(i).dtype)));
      }
    }
    Shape shape;
    for (std::size_t i = 0; i < op_.operands.size(); ++i) {
      if (!join(shape, operand(i).shape)) {
        return fault(fmt::format("operands of types {} and {}", text_of(kernel_, {dtype, shape}),
                                 text_of(kernel_, operand(i))));
      }
    }
    return {dtype, std::move(shape)};
  }

  // Makes `shape` that of a result with elements where both have them.
  static bool join(Shape& shape, const Shape& other) {
    if (other.empty()) return true;
    if (shape.empty()) shape = other;
    if (!agree(shape, other)) return false;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (!shape[i].block) shape[i].block = other[i].block;
    }
    return true;
  }

  TileType select() {
    if (operand(0).dtype != Dtype::Bool) return fault("the condition is not bool");
    return pointwise(operand(1).dtype, 1);
  }

  TileType source() {
    switch (op_.code) {
      case OpCode::Const:
      case OpCode::HostScalar:
        return {stated_.dtype, {}};
      case OpCode::TileIndex:
        return {stated_.dtype, {{kernel_[op_.attrs.block].size, op_.attrs.block}}};
      case OpCode::Iota:
        if (stated_.rank() != 1) return fault("has one extent");
        return stated_;
      case OpCode::Rand:
        if (operand(0) != TileType{Dtype::I64, {}}) return fault("the seed is no i64 scalar");
        if (operand(1).dtype != Dtype::I64) return fault("the offset is not i64");
        return {Dtype::F32, operand(1).shape};
      default:
        return {Dtype::I64, {}};
    }
  }

  // attrs.dims[0] if it is the op's one dimension and in [0, end).
  std::optional<i64> one_dim(i64 end) {
    const std::vector<i64>& dims = op_.attrs.dims;
    if (dims.size() == 1 && dims[0] >= 0 && dims[0] < end) return dims[0];
    fault(fmt::format("takes one dimension in [0, {})", end));
    return std::nullopt;
  }

  TileType view() {
    switch (op_.code) {
      case OpCode::Permute:
        return permute();
      case OpCode::Unsqueeze:
        return unsqueeze();
      case OpCode::Squeeze:
        return squeeze();
      case OpCode::Expand:
        return expand();
      default:
        return reshape();
    }
  }

  TileType permute() {
    TileType type{operand(0).dtype, {}};
    std::vector<i64> sorted = op_.attrs.dims;
    std::ranges::sort(sorted);
    bool good = static_cast<i64>(sorted.size()) == operand(0).rank();
    for (std::size_t i = 0; good && i < sorted.size(); ++i) good = sorted[i] == static_cast<i64>(i);
    if (!good) return fault(fmt::format("takes an order of {} dimensions", operand(0).rank()));
    for (i64 dim : op_.attrs.dims) type.shape.push_back(operand(0).shape[dim]);
    return type;
  }

  TileType unsqueeze() {
    TileType type = operand(0);
    auto dim = one_dim(type.rank() + 1);
    if (!dim) return stated_;
    type.shape.insert(type.shape.begin() + *dim, Dim{kernel_.syms->integer(1), {}});
    return type;
  }

  TileType squeeze() {
    TileType type = operand(0);
    auto dim = one_dim(type.rank());
    if (!dim) return stated_;
    if (!type.shape[*dim].size.is_int(1)) return fault("the dropped extent is not 1");
    type.shape.erase(type.shape.begin() + *dim);
    return type;
  }

  TileType expand() {
    TileType type{operand(0).dtype, stated_.shape};
    if (operand(0).is_scalar()) return type;
    if (operand(0).rank() != stated_.rank()) return fault("changes the rank of a tile");
    for (i64 i = 0; i < type.rank(); ++i) {
      const Dim& from = operand(0).shape[i];
      if (!from.is_one() && !agree(from, type.shape[i])) {
        return fault(fmt::format("cannot repeat {} to {}", text_of(kernel_, operand(0)),
                                 text_of(kernel_, type)));
      }
    }
    return type;
  }

  static std::optional<i64> element_count(const Shape& shape) {
    i64 count = 1;
    for (const Dim& dim : shape) {
      auto size = dim.size.as_int();
      if (!size || __builtin_mul_overflow(count, *size, &count)) return std::nullopt;
    }
    return count;
  }

  TileType reshape() {
    TileType type{operand(0).dtype, stated_.shape};
    auto from = element_count(operand(0).shape), to = element_count(type.shape);
    if (from && to && from != to) {
      return fault(fmt::format("makes {} elements out of {}", *to, *from));
    }
    return type;
  }

  TileType reduce() {
    TileType type = operand(0);
    auto dim = one_dim(type.rank());
    if (!dim) return stated_;
    type.shape.erase(type.shape.begin() + *dim);
    bool sums = op_.code == OpCode::Sum || op_.code == OpCode::Prod;
    bool indexes = op_.code == OpCode::ArgMax || op_.code == OpCode::ArgMin;
    if (indexes || (sums && !is_float(type.dtype))) type.dtype = Dtype::I64;
    return type;
  }

  TileType dot() {
    const TileType &a = operand(0), &b = operand(1);
    if (a.dtype != b.dtype) return fault("operands of different dtype");
    i64 rank = a.rank();
    if (rank != b.rank() || rank < 2 || rank > 3) return fault("operands of rank 2 or 3, the same");
    bool good = agree(a.shape[rank - 1], b.shape[rank - 2]);
    if (rank == 3) good = good && agree(a.shape[0], b.shape[0]);
    if (!good) {
      return fault(
          fmt::format("operands of types {} and {}", text_of(kernel_, a), text_of(kernel_, b)));
    }
    TileType type{stated_.dtype, a.shape};
    type.shape[rank - 1] = b.shape[rank - 1];
    if (op_.operands.size() < 3) return type;
    if (operand(2).dtype != type.dtype || !agree(operand(2).shape, type.shape)) {
      return fault(fmt::format("the accumulator is {}, the product {}",
                               text_of(kernel_, operand(2)), text_of(kernel_, type)));
    }
    return type;
  }

  const Kernel& kernel_;
  const Op& op_;
  const TileType& stated_;
  std::string fault_;
};

}  // namespace

Inferred infer(const Kernel& kernel, const Op& op, const TileType& stated) {
  return Inference(kernel, op, stated).run();
}

TileType access_type(const Kernel& kernel, TensorId tensor, const std::vector<Index>& indices,
                     const std::vector<ValueId>& operands) {
  TileType type{kernel[tensor].dtype, {}};
  bool gathered = false;
  for (const Index& index : indices) {
    switch (index.kind) {
      case Index::Kind::Tile:
        type.shape.push_back({kernel[index.block].size, index.block});
        break;
      case Index::Kind::Range:
        type.shape.push_back({index.extent, {}});
        break;
      case Index::Kind::Scalar:
        break;
      case Index::Kind::NewAxis:
        type.shape.push_back({kernel.syms->integer(1), {}});
        break;
      case Index::Kind::Gather:
        if (!gathered) {
          const Shape& shape = kernel[operands[index.operand]].type.shape;
          type.shape.insert(type.shape.end(), shape.begin(), shape.end());
        }
        gathered = true;
        break;
    }
  }
  return type;
}

namespace {

std::string index_fault(const Kernel& kernel, const Op& op, const Index& index) {
  bool needs = index.kind == Index::Kind::Scalar || index.kind == Index::Kind::Gather;
  if (index.operand < 0) return needs ? "a subscript without its index" : "";
  if (index.kind == Index::Kind::NewAxis) return "a new axis with an index";
  const TileType& type = kernel[op.operands[index.operand]].type;
  if (!is_integer(type.dtype)) return "a subscript that is no integer";
  if (index.kind == Index::Kind::Gather) return type.is_scalar() ? "a gather by a scalar" : "";
  return type.is_scalar() ? "" : "a start or shift that is no scalar";
}

// Index operands stand in the order of the subscripts, so that the text need not number them.
std::string order_fault(const Op& op) {
  i32 next = op.code == OpCode::Store ? 1 : 0;
  for (const Index& index : op.attrs.indices) {
    if (index.operand >= 0 && index.operand != next++) return "subscripts out of operand order";
  }
  i32 expected = next + (op.attrs.has_mask ? 1 : 0);
  return expected == static_cast<i32>(op.operands.size()) ? "" : "operands that no subscript uses";
}

}  // namespace

std::string access_fault(const Kernel& kernel, const Op& op) {
  if (std::string fault = order_fault(op); !fault.empty()) return fault;
  i64 dims = 0;
  const Shape* gathers = nullptr;
  for (const Index& index : op.attrs.indices) {
    if (std::string fault = index_fault(kernel, op, index); !fault.empty()) return fault;
    if (index.kind == Index::Kind::Range && !index.extent) return "a range without extent";
    if (index.kind != Index::Kind::NewAxis) ++dims;
    if (index.kind != Index::Kind::Gather) continue;
    const Shape& shape = kernel[op.operands[index.operand]].type.shape;
    if (gathers && !agree(*gathers, shape)) return "gathers of different shapes";
    gathers = &shape;
  }
  i64 rank = static_cast<i64>(kernel[op.attrs.tensor].sizes.size());
  if (dims == rank) return "";
  return fmt::format("{} subscripts of a tensor with {} dimensions", dims, rank);
}

}  // namespace peri::ir
