// Host scalars: expressions over what is known only when a kernel is called (sizes, strides, scalar
// arguments) or only when its config is (block sizes, tunables).
//
// A `Sym` names one immutable, interned expression of a `SymTable`: structurally equal expressions
// (after folding and ordering of commutative operands) are the same node, so `==` on Sym compares
// expressions. With static shapes nearly every Sym is a constant. Extents of tensors and tiles,
// loop bounds and lifted scalars are Syms; the host program evaluates them once a call.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ids.h"

namespace peri {

struct SymbolTag;
using SymbolId = Id<SymbolTag>;
struct BlockTag;
using BlockId = Id<BlockTag>;

enum class SymType : u8 { Int, Float, Bool };

enum class SymKind : u8 {
  Const,  // of any type
  Symbol,
  Add,
  Sub,
  Mul,
  FloorDiv,
  Mod,
  TrueDiv,
  Pow,
  Neg,
  Min,
  Max,
  CeilDiv,
  Shl,
  Shr,
  BitAnd,
  BitOr,
  BitXor,
  BitNot,
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  And,
  Or,
  Not,
  ToInt,
  ToFloat,
  Sqrt,
  Exp,
  Log,
  Log2,
  Sin,
  Cos,
  Ceil,
  Floor,
  Abs,
  Select,    // a if c else b: operands c, a, b
  NextPow2,  // smallest power of two >= a
};

// A scalar known at call time: the payload that `type` names is set.
struct SymValue {
  SymType type = SymType::Int;
  i64 integer = 0;  // Int, Bool (0 or 1)
  double real = 0;  // Float

  static SymValue of(i64 v) { return {SymType::Int, v, 0}; }
  static SymValue of(double v) { return {SymType::Float, 0, v}; }
  static SymValue of_bool(bool v) { return {SymType::Bool, v ? 1 : 0, 0}; }
  double as_real() const { return type == SymType::Float ? real : static_cast<double>(integer); }
  bool operator==(const SymValue&) const = default;
};

struct SymNode {
  SymKind kind;
  SymType type;
  SymValue value{};   // Const
  SymbolId symbol{};  // Symbol
  const SymNode* operands[3] = {};
  u32 id = 0;  // counts up in order of creation
};

class Sym {
 public:
  Sym() = default;
  explicit Sym(const SymNode* node) : node_(node) {}
  explicit operator bool() const { return node_ != nullptr; }
  bool operator==(const Sym&) const = default;
  const SymNode* operator->() const { return node_; }
  const SymNode* node() const { return node_; }

  SymKind kind() const { return node_->kind; }
  SymType type() const { return node_->type; }
  Sym operand(i64 i) const { return Sym(node_->operands[i]); }
  bool is_const() const { return node_->kind == SymKind::Const; }
  bool is_int(i64 v) const {
    return is_const() && node_->type == SymType::Int && node_->value.integer == v;
  }
  // The constant integer, if it is one.
  std::optional<i64> as_int() const;

 private:
  const SymNode* node_ = nullptr;
};

// Where the value of a symbol comes from.
enum class SymbolOrigin : u8 {
  ArgSize,    // size of dimension `dim` of tensor leaf `leaf`
  ArgStride,  // its stride, in elements
  ArgValue,   // value of scalar leaf `leaf`
  Block,      // size of block `block`, from the config
  Tunable,    // value of user tunable `leaf`, from the config
};

struct Symbol {
  std::string name;
  SymType type = SymType::Int;
  SymbolOrigin origin = SymbolOrigin::ArgSize;
  i64 leaf = -1;  // index of the argument leaf (arguments flattened depth first) or tunable
  i64 dim = -1;
  BlockId block{};
  SymValue hint{};  // its value in the call being specialised; the default for config symbols
};

// Owns nodes and symbols. Not thread-safe while building.
class SymTable {
 public:
  SymTable() = default;
  SymTable(const SymTable&) = delete;
  SymTable& operator=(const SymTable&) = delete;

  SymbolId add_symbol(Symbol symbol);
  const Symbol& symbol(SymbolId id) const { return symbols_[id.index]; }
  i64 symbol_count() const { return static_cast<i64>(symbols_.size()); }

  Sym integer(i64 value);
  Sym real(double value);
  Sym boolean(bool value);
  Sym constant(SymValue value);
  Sym symbol_sym(SymbolId id);
  // Builds and folds; operand types are coerced as Python does (int with float gives float, `/` is
  // always float). Integer division and modulo by a constant zero stay unfolded, and so does what
  // would overflow 64 bits. Operands of bit operations must not be Float. Int ** Int is Int unless
  // the exponent is a negative constant; `and` and `or` give Bool.
  Sym make(SymKind kind, Sym a, Sym b = {}, Sym c = {});
  Sym add(Sym a, Sym b) { return make(SymKind::Add, a, b); }
  Sym sub(Sym a, Sym b) { return make(SymKind::Sub, a, b); }
  Sym mul(Sym a, Sym b) { return make(SymKind::Mul, a, b); }
  Sym ceil_div(Sym a, Sym b) { return make(SymKind::CeilDiv, a, b); }
  Sym product(std::span<const Sym> factors);

  // Python's semantics (floor division, sign of modulo follows the divisor). nullopt: division by
  // zero, negative shift, 64-bit overflow, a function outside its domain, or a symbol without
  // value; what `and`, `or` and `if` do not need may fail.
  using Lookup = std::function<std::optional<SymValue>(SymbolId)>;
  std::optional<SymValue> evaluate(Sym sym, const Lookup& lookup) const;
  // With every symbol at its hint.
  std::optional<SymValue> hint(Sym sym) const;
  // Replaces symbols by expressions. `sym` may belong to another table; the result is of this one.
  Sym substitute(Sym sym, const std::function<Sym(SymbolId)>& replacement);

  // "s0", "4096", "ceildiv(s0, b1)".
  std::string print(Sym sym) const;

 private:
  friend class SymFolder;
  Sym intern(SymNode node);

  std::deque<SymNode> nodes_;
  std::deque<Symbol> symbols_;
  std::unordered_multimap<u64, const SymNode*> interned_;
};

// Calls `visit` once for each symbol below `sym`.
void for_each_symbol(Sym sym, const std::function<void(SymbolId)>& visit);

}  // namespace peri
