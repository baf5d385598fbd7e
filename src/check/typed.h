// The typed kernel: what `check` makes of one kernel function and one specialisation.
//
// Names are resolved, helper functions and lambdas inlined, branches on constants pruned, static
// loops unrolled, dtypes promoted (with explicit Cast) and shapes broadcast (with explicit
// Unsqueeze and Expand): whoever reads this tree needs no rule of Python or torch. It has two
// parts: a host part (a linear list of statements over host scalars and tensor slots) and device
// roots (statement trees over device values), one per top-level device loop, launched from the host
// part.
//
// Host tensor math (`losses.mean()`) has already become an allocation and a root of its own.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "diag/diag.h"
#include "types/shape.h"

namespace peri::check {

struct TensorTag;
using TensorId = Id<TensorTag>;  // a host tensor slot
struct VarTag;
using VarId = Id<VarTag>;  // a device variable of one root
struct TexprTag;
using TexprId = Id<TexprTag>;
struct TstmtTag;
using TstmtId = Id<TstmtTag>;

enum class Builtin : u8 {
#define ELEMENTWISE(name, arity, rule) name,
#define COMPOSITE(name) name,
#include "check/builtins.def"
};
std::string_view name_of(Builtin builtin);

// --- host tensors ---

struct HostTensor {
  enum class Kind : u8 {
    Argument,  // leaf `leaf` of the arguments
    Alloc,     // allocated by a HostStmt
    View,      // shares the storage of `base`, `offset` elements after base's first one
  };
  std::string name;  // the user's, or made up
  Kind kind = Kind::Argument;
  Dtype dtype = Dtype::F32;
  std::vector<Sym> sizes;
  std::vector<Sym> strides;  // in elements
  i64 leaf = -1;
  TensorId base;
  Sym offset;
};

// --- device expressions ---

// One subscript of a host tensor. Scalar and gather subscripts are device expressions.
struct TIndex {
  enum class Kind : u8 {
    Tile,     // the elements of tile axis `block`, shifted by `value` (a scalar) if set
    Range,    // `extent` elements from `value` (a scalar; none: 0): `:` and static slices
    Scalar,   // one element, at `value`; drops the dimension
    Gather,   // the elements at `value`, an integer tile. All gathers of one access have the same
              // shape (already broadcast), which stands in the result once, where the first stands
    NewAxis,  // no tensor dimension; a new extent of 1
  };
  Kind kind = Kind::Range;
  BlockId block;
  TexprId value;
  Sym extent;
};

enum class TexprKind : u8 {
  Scalar,    // host scalar `sym` (or a constant), as a device scalar of type.dtype
  Var,       // current value of `var`
  TileAttr,  // attribute `attr` of tile axis `block`: i64 scalar; Index: integer tile [block]
  Load,      // from `tensor` at `indices`; elements where `mask` (if set) is false are 0
  Apply,     // `builtin` on `operands`
};

enum class TileAttr : u8 { Begin, End, Id, Count, BlockSize, Index };

struct Texpr {
  TexprKind kind = TexprKind::Scalar;
  TileType type;
  diag::Span span;
  Sym sym;        // Scalar
  VarId var;      // Var
  BlockId block;  // TileAttr
  TileAttr attr = TileAttr::Begin;
  TensorId tensor;                 // Load
  std::vector<TIndex> indices;     // Load
  TexprId mask;                    // Load; has the load's shape
  Builtin builtin = Builtin::Neg;  // Apply, with the next five
  std::vector<TexprId> operands;   // elementwise: all of the promoted dtype, and of the result's
                                   // shape or scalar
  std::vector<i64> dims;
  bool keep_dims = false;
  double real = 0;
  std::string text;
};

// --- device statements ---

enum class TstmtKind : u8 {
  Assign,  // `var` = `value`
  Store,   // `tensor` at `indices` = `value` where `mask`; value has the access's shape and the
           // tensor's dtype
  For,     // for each tile of `blocks` (row-major order) from `begins` to `ends`: `body`. Variables
           // assigned in the body that exist before the loop are carried; a carried value keeps its
           // old elements where a new one has none (see Dim)
  If,      // scalar bool `value`: `body` else `orelse`. Variables assigned in both branches, or in
           // one and before, merge
};

struct Tstmt {
  TstmtKind kind;
  diag::Span span;
  VarId var;
  TexprId value;
  TensorId tensor;
  std::vector<TIndex> indices;
  TexprId mask;
  std::vector<BlockId> blocks;
  std::vector<TexprId> begins;  // i64 scalars, one per block
  std::vector<TexprId> ends;
  std::vector<TstmtId> body;
  std::vector<TstmtId> orelse;
};

struct Variable {
  std::string name;
};

// A top-level device loop: a grid over `blocks`, whose ranges are host scalars (Block::begin, end)
// or, where data-dependent, loads from 0-d tensors (not supported yet).
struct Root {
  std::vector<BlockId> blocks;
  std::vector<TstmtId> body;
  diag::Span span;
};

// --- host statements ---

// A returned value: a tensor, a scalar, None, or a tuple/list/dict of values.
struct ReturnValue {
  enum class Kind : u8 { None, Tensor, Scalar, Sequence } kind = Kind::None;
  TensorId tensor;
  Sym scalar;
  std::vector<ReturnValue> items;
};

struct HostStmt {
  enum class Kind : u8 {
    Alloc,   // `tensor`, filled with `fill` if set
    Check,   // `condition` must hold, else the call fails with `code` and `text`
    Launch,  // run root `root`
    Copy,    // copy the elements of `source` into `tensor` (same shape): contiguous(), clone()
    Return,  // `value`; the last statement
  };
  Kind kind;
  diag::Span span;
  TensorId tensor;
  TensorId source;
  Sym fill;
  Sym condition;
  std::string code = "assertion-failed";
  std::string text;
  i64 root = -1;
  ReturnValue value;
};

// A user tunable (hl.register_tunable).
struct Tunable {
  std::string name;
  SymbolId symbol;
  std::string kind;               // "power_of_two", "integer", "enum", "boolean"
  i64 low = 0, high = 0;          // power_of_two, integer
  std::vector<SymValue> choices;  // enum
  SymValue default_value;
};

// A fact about the arguments that typing relied on: both sides are equal. A call for which it does
// not hold needs another specialisation.
struct Guard {
  Sym left, right;
};

struct TypedKernel {
  std::string name;
  diag::Span span;
  std::shared_ptr<SymTable> syms;
  std::deque<HostTensor> tensors;
  std::vector<Block> blocks;
  std::vector<Tunable> tunables;
  std::vector<Guard> guards;
  // Deques: references to rows hold while rows are added.
  std::deque<Texpr> exprs;
  std::deque<Tstmt> stmts;
  std::vector<Variable> vars;
  std::vector<Root> roots;
  std::vector<HostStmt> host;
  std::vector<std::string> leaf_names;  // "x", "shape[0]": argument leaves in order

  const Texpr& operator[](TexprId id) const { return exprs[id.index]; }
  const Tstmt& operator[](TstmtId id) const { return stmts[id.index]; }
  const HostTensor& operator[](TensorId id) const { return tensors[id.index]; }
  const Block& operator[](BlockId id) const { return blocks[id.index]; }
};

// The text of `--stage typed`.
std::string print(const TypedKernel& kernel);

}  // namespace peri::check
