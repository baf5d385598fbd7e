// Shapes and dtypes of device values: broadcasting, promotion, and the elementwise functions.
#include <fmt/format.h>

#include "check/checker.h"

namespace peri::check {

using diag::Kind;

namespace {

enum class Rule : u8 { Same, Float, Bool, BitInt };

Rule rule_of(Builtin builtin) {
  switch (builtin) {
#define ELEMENTWISE(name, arity, rule) \
  case Builtin::name:                  \
    return Rule::rule;
#include "check/builtins.def"
    default:
      return Rule::Same;
  }
}

i64 category(Dtype dtype) { return is_float(dtype) ? 2 : is_integer(dtype) ? 1 : 0; }

Dtype weak_dtype(SymType type) {
  return type == SymType::Float ? Dtype::F64 : type == SymType::Int ? Dtype::I64 : Dtype::Bool;
}

Dtype higher(std::optional<Dtype> first, Dtype second) {
  if (!first) return second;
  return category(*first) >= category(second) ? *first : promote(*first, second);
}

// How two extents meet in broadcasting.
enum class Meet : u8 { Left, Right, Tile, Size };

Meet meet(Checker& c, const Dim& a, const Dim& b) {
  if (a.is_one()) return Meet::Right;
  if (b.is_one()) return Meet::Left;
  if (a.block && b.block) {
    if (a.block == b.block) return Meet::Left;
    return a.size.is_int(1) ? Meet::Right : b.size.is_int(1) ? Meet::Left : Meet::Tile;
  }
  if (a.block ? c.equal(a.size, b.size) : c.assume_equal(a.size, b.size)) {
    return b.block ? Meet::Right : Meet::Left;
  }
  if (a.size.is_int(1)) return Meet::Right;
  if (b.size.is_int(1)) return Meet::Left;
  if (!a.block && c.hint(a.size) == 1 && c.assume_equal(a.size, c.integer(1))) return Meet::Right;
  if (!b.block && c.hint(b.size) == 1 && c.assume_equal(b.size, c.integer(1))) return Meet::Left;
  return a.block || b.block ? Meet::Tile : Meet::Size;
}

}  // namespace

bool Checker::same_extent(const Dim& a, const Dim& b) {
  if (a.block && b.block) return a.block == b.block;
  return equal(a.size, b.size) || (!a.block && !b.block && assume_equal(a.size, b.size));
}

std::optional<std::vector<Dim>> Checker::broadcast(std::span<const Value> operands, Span span,
                                                   const std::string& what) {
  std::vector<Dim> result;
  for (const Value& v : operands) {
    if (!v.array()) continue;
    const std::vector<Dim> shape = type(v).shape;
    if (shape.size() > result.size()) {
      result.insert(result.begin(), shape.size() - result.size(), Dim{integer(1), {}});
    }
    const std::size_t offset = result.size() - shape.size();
    for (std::size_t i = 0; i < shape.size(); ++i) {
      Dim& place = result[offset + i];
      const Meet m = meet(*this, place, shape[i]);
      if (m == Meet::Right) place = shape[i];
      if (m == Meet::Left || m == Meet::Right) continue;
      diag::Diagnostic& d = m == Meet::Tile
                                ? error(Kind::TileMismatch, span,
                                        fmt::format("`{}` on tiles of different extent", what))
                                : error(Kind::ShapeMismatch, span,
                                        fmt::format("`{}` on shapes that do not broadcast", what));
      for (const Value& operand : operands) d.labels.push_back({operand.span, describe(operand)});
      d.hint = m == Meet::Tile ? "index both with one tile, or keep a reduced dimension with "
                                 "`keepdim=True`"
                               : "extents must be equal, or one of them 1";
      return std::nullopt;
    }
  }
  return result;
}

TexprId Checker::broadcast_to(TexprId value, const std::vector<Dim>& shape) {
  if (expr(value).type.is_scalar()) return shape.empty() ? value : expand(value, shape);
  while (expr(value).type.shape.size() < shape.size()) value = unsqueeze(value, 0);
  std::vector<Dim> target = shape;
  bool same = true;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const Dim from = expr(value).type.shape[i];
    const bool grows = !same_extent(from, shape[i]);
    if (grows && from.block) {  // a tile of one element
      value = unsqueeze(squeeze(value, static_cast<i64>(i)), static_cast<i64>(i));
    }
    same = same && !grows;
  }
  return same ? value : expand(value, target);
}

std::optional<Dtype> Checker::promote_operands(std::span<const Value> operands) {
  std::optional<Dtype> tiles, scalars, weak;
  for (const Value& v : operands) {
    if (v.scalar()) {
      weak = higher(weak, weak_dtype(v.sym.type()));
    } else if (v.array() && v.weak) {
      const Dtype dtype = type(v).dtype;
      weak = higher(weak, is_float(dtype) ? Dtype::F64 : is_integer(dtype) ? Dtype::I64 : dtype);
    } else if (v.array()) {
      const TileType& t = type(v);
      std::optional<Dtype>& place = t.is_scalar() ? scalars : tiles;
      place = place ? promote(*place, t.dtype) : t.dtype;
    }
  }
  std::optional<Dtype> result = tiles;
  if (scalars) result = result ? higher(result, *scalars) : *scalars;
  if (!weak) return result;
  if (result) return promote_weak(*result, *weak);
  return *weak == Dtype::F64 ? Dtype::F32 : *weak;
}

TexprId Checker::as_expr(const Value& value, Dtype dtype) {
  return value.scalar() ? scalar(value.sym, dtype, value.span) : cast(value.expr, dtype);
}

namespace {

// Arithmetic on bools is logic, where torch has it.
std::optional<Builtin> bool_arithmetic(Builtin builtin) {
  switch (builtin) {
    case Builtin::Add:
    case Builtin::Maximum:
      return Builtin::BitOr;
    case Builtin::Mul:
    case Builtin::Minimum:
      return Builtin::BitAnd;
    case Builtin::BitNot:
    case Builtin::BitAnd:
    case Builtin::BitOr:
    case Builtin::BitXor:
    case Builtin::Where:
    case Builtin::Cast:
      return builtin;
    default:
      return std::nullopt;
  }
}

bool rounds(Builtin builtin) {
  return builtin == Builtin::Floor || builtin == Builtin::Ceil || builtin == Builtin::Round ||
         builtin == Builtin::Trunc;
}

// The dtypes of the operands and of the result, or an error.
struct Dtypes {
  Dtype operand, result;
};

std::optional<Dtypes> dtypes_of(Checker& c, Builtin& builtin, Dtype promoted, Span span,
                                const std::string& what) {
  switch (rule_of(builtin)) {
    case Rule::Bool:
      if (builtin == Builtin::LogicalNot) return Dtypes{Dtype::Bool, Dtype::Bool};
      return Dtypes{promoted, Dtype::Bool};
    case Rule::Float: {
      const Dtype dtype = is_float(promoted) ? promoted : Dtype::F32;
      return Dtypes{dtype, dtype};
    }
    case Rule::BitInt:
    case Rule::Same:
      break;
  }
  const bool shift = builtin == Builtin::Shl || builtin == Builtin::Shr;
  const bool fits = rule_of(builtin) != Rule::BitInt || !is_float(promoted);
  const std::optional<Builtin> on_bools =
      promoted == Dtype::Bool ? bool_arithmetic(builtin) : std::optional(builtin);
  if (!fits || !on_bools || (shift && promoted == Dtype::Bool)) {
    c.error(Kind::DtypeNotAllowed, span,
            fmt::format("`{}` is not defined for {}", what, name_of(promoted)))
        .hint = promoted == Dtype::Bool
                    ? "use `~`, `&`, `|` or `^` on bools, or convert with `.to()`"
                    : "convert to an integer dtype with `.to()`";
    return std::nullopt;
  }
  builtin = *on_bools;
  return Dtypes{promoted, promoted};
}

bool all_weak(std::span<const Value> operands) {
  return std::ranges::all_of(operands, [](const Value& v) { return v.scalar() || v.weak; });
}

}  // namespace

namespace {

// torch takes a scalar exponent of 0.5 for a root, which shows at -inf and -0.
bool is_root(Checker& c, Builtin builtin, const std::vector<Value>& operands) {
  if (builtin != Builtin::Pow || !operands[0].array() || !operands[1].scalar()) return false;
  const Sym exponent = c.canon(operands[1].sym);
  return exponent.is_const() && std::abs(exponent->value.as_real()) == 0.5;
}

}  // namespace

Value Checker::elementwise(Builtin builtin, std::vector<Value> operands, Span span,
                           const std::string& what) {
  for (const Value& v : operands) {
    if (v.poison()) return {};
    if (v.array() || v.scalar()) continue;
    diag::Diagnostic& d = error(Kind::BadArgument, v.span.source ? v.span : span,
                                fmt::format("`{}` does not take {}", what, kind_text(v)));
    if (v.is(ValueKind::Tile)) d.hint = "use `tile.index` for the indices of a tile";
    return {};
  }
  if (!device) {
    return bad(Kind::BadArgument, span, fmt::format("`{}` needs a tensor", what),
               "use the functions of `math` for host scalars");
  }
  if (is_root(*this, builtin, operands)) {
    const bool inverse = canon(operands[1].sym)->value.as_real() < 0;
    return elementwise(inverse ? Builtin::Rsqrt : Builtin::Sqrt, {operands[0]}, span, what);
  }
  const auto shape = broadcast(operands, span, what);
  if (!shape) return {};
  const std::size_t first = builtin == Builtin::Where ? 1 : 0;
  const std::optional<Dtype> promoted = promote_operands(std::span(operands).subspan(first));
  const std::optional<Dtypes> dtypes = dtypes_of(*this, builtin, *promoted, span, what);
  if (!dtypes) return {};
  if (rounds(builtin) && !is_float(dtypes->operand) && operands[0].array()) return operands[0];
  std::vector<TexprId> exprs;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    TexprId e = as_expr(operands[i], i < first ? Dtype::Bool : dtypes->operand);
    if (!expr(e).type.is_scalar()) e = broadcast_to(e, *shape);
    exprs.push_back(e);
  }
  return array_value(apply(builtin, std::move(exprs), {dtypes->result, *shape}, span),
                     all_weak(operands));
}

namespace {

// A list given as one argument or as many.
std::vector<Value> flat_items(const Value& value) {
  if (!value.is(ValueKind::Sequence)) return {value};
  const std::vector<Value>& items = value.seq->items;
  if (items.size() == 1 && items[0].is(ValueKind::Sequence)) return items[0].seq->items;
  return items;
}

// A size that is the block size of exactly one open axis belongs to that axis.
BlockId axis_of(Checker& c, const Value& size) {
  if (!c.device) return {};
  const std::vector<BlockId>& open = c.device->open;
  if (size.block && std::ranges::find(open, size.block) != open.end()) return size.block;
  if (size.sym.kind() != SymKind::Symbol) return {};
  if (c.syms.symbol(size.sym->symbol).origin != SymbolOrigin::Block) return {};
  BlockId found;
  for (BlockId block : open) {
    if (c.kernel[block].size != size.sym) continue;
    if (found) return {};
    found = block;
  }
  return found;
}

}  // namespace

std::optional<std::vector<Dim>> Checker::shape_from(const Value& value, Span span) {
  std::vector<Dim> shape;
  for (const Value& item : flat_items(value)) {
    if (item.poison()) return std::nullopt;
    if (item.is(ValueKind::Tile)) {
      shape.push_back(dim_of(item.block));
    } else if (item.scalar() && item.sym.type() == SymType::Int) {
      shape.push_back({canon(item.sym), axis_of(*this, item)});
    } else if (item.array()) {
      bad(Kind::NotConstant, item.span, "the shape of a tile must be known while compiling",
          "use a tile, a block size, or an int of the host");
      return std::nullopt;
    } else {
      bad(Kind::BadArgument, item.span.source ? item.span : span,
          fmt::format("{} is no size", kind_text(item)));
      return std::nullopt;
    }
  }
  return shape;
}

std::optional<std::vector<Sym>> Checker::sizes_from(const Value& value, Span span) {
  std::vector<Sym> sizes;
  for (const Value& item : flat_items(value)) {
    if (item.poison()) return std::nullopt;
    if (!item.scalar() || item.sym.type() != SymType::Int) {
      bad(Kind::BadArgument, item.span.source ? item.span : span,
          fmt::format("{} is no size", kind_text(item)));
      return std::nullopt;
    }
    sizes.push_back(canon(item.sym));
  }
  return sizes;
}

std::optional<i64> Checker::dim_from(const Value& value, i64 rank, Span span) {
  const std::optional<i64> dim =
      value.scalar() && value.sym.type() == SymType::Int ? constant(value.sym) : std::nullopt;
  if (!dim) {
    bad(Kind::BadArgument, span, fmt::format("{} is no dimension", kind_text(value)));
    return std::nullopt;
  }
  if (*dim < -rank || *dim >= rank) {
    bad(Kind::DimRange, span,
        fmt::format("dimension {} of a value with {}", *dim,
                    rank == 1 ? "1 dimension" : fmt::format("{} dimensions", rank)),
        rank == 0 ? "the value is a scalar"
                  : fmt::format("dimensions run from {} to {}", -rank, rank - 1));
    return std::nullopt;
  }
  return *dim < 0 ? *dim + rank : *dim;
}

std::optional<std::vector<i64>> Checker::dims_from(const Value& value, i64 rank, Span span) {
  std::vector<i64> dims;
  for (const Value& item : flat_items(value)) {
    const std::optional<i64> dim = dim_from(item, rank, item.span.source ? item.span : span);
    if (!dim) return std::nullopt;
    if (std::ranges::find(dims, *dim) != dims.end()) {
      bad(Kind::DimRange, span, fmt::format("dimension {} is named twice", *dim));
      return std::nullopt;
    }
    dims.push_back(*dim);
  }
  return dims;
}

std::vector<Value> Checker::shape_values(const Value& v) {
  std::vector<Value> values;
  if (v.is(ValueKind::Tensor)) {
    for (Sym size : kernel[v.tensor].sizes) values.push_back(scalar_value(canon(size)));
  } else {
    for (const Dim& dim : type(v).shape) {
      values.push_back(scalar_value(dim.size));
      values.back().block = dim.block;
    }
  }
  return values;
}

}  // namespace peri::check
