// What an expression of a kernel evaluates to while it is being typed.
//
// Host scalars, tuples, functions and the like are carried as they are in Python; tensors are slots
// of the typed kernel, values of device code are typed expressions. A `Poison` value stands for an
// expression that already has a diagnostic and silences everything computed from it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "check/typed.h"
#include "syntax/ast.h"

namespace peri::check {

using diag::Span;

enum class ValueKind : u8 {
  Poison,
  None,
  Scalar,    // `sym`: int, float or bool of the host; `block`: the axis whose block size it is
  String,    // `text`
  Dtype,     // `dtype`
  Device,    // torch.device; one is as good as another
  Info,      // torch.finfo / iinfo of `dtype`
  Tensor,    // `tensor`: a host tensor
  Tile,      // `block`: the current tile of an axis
  Array,     // `expr`: a value of device code
  Sequence,  // `seq`: tuple or list
  Dict,      // `dict`
  Range,     // `seq`: start, stop, step
  Slice,     // `seq`: lower, upper, step; None where absent
  Ellipsis,
  Function,  // `fn`: a function or lambda of the user
  Builtin,   // `builtin`
  Module,    // `text`: canonical dotted name
  Type,      // `text`: a class named in annotations and isinstance
  Loop,      // `loop`: what hl.tile(...) and hl.grid(...) give to a for statement
  Fragment,  // `seq`, `text`: a helion.autotuner fragment
  Config,    // `dict`: helion.Config(...)
  Opaque,    // `text`: something of a library that is not known here
};

struct Value;

struct Sequence {
  std::vector<Value> items;
  std::vector<std::string> fields;  // names of a named tuple's items, or none
  bool is_list = false;
  i64 level =
      0;  // loops and branches of device code around its making: deeper ones cannot change it
};

struct Dict {
  std::vector<std::pair<Value, Value>> items;
  i64 level = 0;
};

// Variables of one call of a function, or of a module.
struct Env {
  std::shared_ptr<Env> parent;
  std::map<std::string, Value> vars;
  std::map<std::string, VarId> slots;       // device variables owned by names of this function
  std::map<std::string, VarId> preferred;   // those that a branch should share with the other one
  std::map<std::string, std::string> dead;  // names that lost their value, and why
};

struct Function {
  const syntax::Ast* ast = nullptr;
  syntax::StmtId def;     // a def statement, or
  syntax::ExprId lambda;  // a lambda expression
  std::string name;
  std::shared_ptr<Env> closure;
};

struct Entry;  // a row of names.def
struct BuiltinFn;
struct LoopSpec;

struct Value {
  ValueKind kind = ValueKind::Poison;
  bool weak = false;  // Array: a Python number in promotion (an index, a carried host scalar)
  Dtype dtype = Dtype::F32;
  Span span;  // of the expression that gave it
  Sym sym;
  BlockId block;  // Array: it holds the indices of this axis's tile, plus `shift`
  TexprId shift;
  TensorId tensor;
  TexprId expr;
  std::string text;
  std::shared_ptr<Sequence> seq;
  std::shared_ptr<Dict> dict;
  std::shared_ptr<const Function> fn;
  std::shared_ptr<const BuiltinFn> builtin;
  std::shared_ptr<const LoopSpec> loop;

  bool is(ValueKind k) const { return kind == k; }
  bool poison() const { return kind == ValueKind::Poison; }
  bool none() const { return kind == ValueKind::None; }
  bool scalar() const { return kind == ValueKind::Scalar; }
  bool array() const { return kind == ValueKind::Array; }
};

// A function of names.def, with the object it is a method of.
struct BuiltinFn {
  const Entry* entry = nullptr;
  Value self;
  bool bound = false;
};

// The arguments of hl.tile, hl.grid or (in device code) range, one entry an axis.
struct LoopSpec {
  bool grid = false;
  bool tuple = false;  // the target is a tuple of axes
  std::string function;
  std::vector<Value> begins, ends, steps, sizes;  // None where not given
};

inline Value make_value(ValueKind kind, std::string text = {}) {
  Value v;
  v.kind = kind;
  v.text = std::move(text);
  return v;
}
inline Value none_value() { return make_value(ValueKind::None); }
inline Value string_value(std::string text) {
  return make_value(ValueKind::String, std::move(text));
}
inline Value scalar_value(Sym sym) {
  Value v = make_value(ValueKind::Scalar);
  v.sym = sym;
  return v;
}
inline Value dtype_value(Dtype dtype) {
  Value v = make_value(ValueKind::Dtype);
  v.dtype = dtype;
  return v;
}
inline Value tensor_value(TensorId tensor) {
  Value v = make_value(ValueKind::Tensor);
  v.tensor = tensor;
  return v;
}
inline Value tile_value(BlockId block) {
  Value v = make_value(ValueKind::Tile);
  v.block = block;
  return v;
}
inline Value array_value(TexprId expr, bool weak = false) {
  Value v = make_value(ValueKind::Array);
  v.expr = expr;
  v.weak = weak;
  return v;
}
inline Value sequence_value(std::vector<Value> items, bool is_list = false,
                            ValueKind kind = ValueKind::Sequence) {
  Value v = make_value(kind);
  v.seq = std::make_shared<Sequence>(Sequence{std::move(items), {}, is_list});
  return v;
}

// How many containers stand around the innermost value; stops counting at `limit`.
i64 depth_of(const Value& value, i64 limit);

// A description for messages: "int 5", "list of 3", "host tensor", "function `f`".
std::string_view kind_text(const Value& value);

}  // namespace peri::check
