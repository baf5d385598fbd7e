// Device IR: SSA values, ops and graphs of one kernel.
//
// A kernel holds tables (tensors, blocks, values, ops, graphs) and refers to their rows by typed
// ids. A graph is one basic block: parameters, ops in order, yields. `for` and `if` own graphs; a
// value may be used in the graph that defines it and in graphs nested in that. Each root is a grid
// of tiles over `blocks` whose body runs once per grid cell; cells are independent, roots run in
// order.
//
// Values are scalars or tiles (types/shape.h). Every result type is stated, and the verifier checks
// it against the op's rule. Tiles have the extents that exist: an element out of its axis's range
// has no value. A carried value whose next value has fewer elements keeps its old ones in the
// others.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "diag/diag.h"
#include "types/requests.h"
#include "types/shape.h"

namespace peri::ir {

struct ValueTag;
struct OpTag;
struct GraphTag;
struct TensorTag;
using ValueId = Id<ValueTag>;
using OpId = Id<OpTag>;
using GraphId = Id<GraphTag>;
using TensorId = Id<TensorTag>;

enum class OpCode : u8 {
#define OP(name, text, operands, rule, traits, doc) name,
#include "ir/ops.def"
};

enum class Rule : u8 {
  Unary,
  Predicate,
  Binary,
  Select,
  Cast,
  Given,
  View,
  Reduce,
  Dot,
  Access,
  Control,
  None
};

enum Trait : u8 {
  Pure = 1,
  Elementwise = 2,
  Commutative = 4,
  Transcendental = 8,
  Effect = 16,
  Region = 32,
};

// A row of ops.def.
struct OpInfo {
  std::string_view text;
  i64 operands;  // -1: variable
  Rule rule;
  u8 traits;
  std::string_view doc;

  bool has(Trait trait) const { return (traits & trait) != 0; }
};
const OpInfo& info(OpCode code);
i64 op_count();

// One subscript of a host tensor; see check::TIndex for the meaning. `operand` indexes the op's
// operands.
struct Index {
  enum class Kind : u8 { Tile, Range, Scalar, Gather, NewAxis };
  Kind kind = Kind::Range;
  BlockId block;     // Tile
  Sym extent;        // Range
  i32 operand = -1;  // Tile: shift (optional); Range: start (optional); Scalar, Gather: the index

  bool operator==(const Index&) const = default;
};

struct Attrs {
  SymValue constant;            // Const
  Sym sym;                      // HostScalar
  BlockId block;                // TileBegin ... TileIndex
  TensorId tensor;              // Load, Store
  std::vector<Index> indices;   // Load, Store
  bool has_mask = false;        // Load, Store
  std::vector<i64> dims;        // views, reductions
  std::vector<BlockId> blocks;  // For

  bool operator==(const Attrs&) const = default;
};

struct Op {
  OpCode code;
  std::vector<ValueId> operands;
  std::vector<ValueId> results;
  Attrs attrs;
  std::vector<GraphId> regions;
  diag::Span span;
};

struct Value {
  TileType type;
  OpId def;          // none: a graph parameter
  GraphId owner;     // the graph that defines it
  std::string name;  // the user's variable, if one held it; "" else
};

struct Graph {
  std::vector<ValueId> params;
  std::vector<OpId> ops;
  std::vector<ValueId> yields;
};

struct TensorParam {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<Sym> sizes;
  std::vector<Sym> strides;  // elements
  i64 slot = -1;             // slot of the host program that is bound to it
  i64 base = -1;             // slot whose storage it shares (itself if none): equal bases may alias
  bool aligned = false;  // first element is 64-byte aligned: all of a storage the host allocated
};

struct Root {
  std::vector<BlockId> blocks;
  GraphId body;
  diag::Span span;
};

struct Kernel {
  std::string name;
  std::shared_ptr<SymTable> syms;
  std::vector<TensorParam> tensors;
  std::vector<Block> blocks;
  std::vector<Value> values;
  std::vector<Op> ops;
  std::vector<Graph> graphs;
  std::vector<Root> roots;
  Requests requests;

  const TensorParam& operator[](TensorId id) const { return tensors[id.index]; }
  const Block& operator[](BlockId id) const { return blocks[id.index]; }
  const Value& operator[](ValueId id) const { return values[id.index]; }
  const Op& operator[](OpId id) const { return ops[id.index]; }
  const Graph& operator[](GraphId id) const { return graphs[id.index]; }
  Value& operator[](ValueId id) { return values[id.index]; }
  Op& operator[](OpId id) { return ops[id.index]; }
  Graph& operator[](GraphId id) { return graphs[id.index]; }
};

// The type a load of `tensor` at `indices` has (and a store's value must have).
TileType access_type(const Kernel& kernel, TensorId tensor, const std::vector<Index>& indices,
                     const std::vector<ValueId>& operands);

// Appends ops to a graph. Result types that follow from the rule need not be given.
class Builder {
 public:
  Builder(Kernel& kernel, GraphId graph) : kernel_(kernel), graph_(graph) {}

  ValueId constant(Dtype dtype, SymValue value);
  ValueId host_scalar(Dtype dtype, Sym sym);
  ValueId tile_attr(OpCode code, BlockId block, TileType type);
  ValueId iota(Dtype dtype, Dim extent);
  // `Index::operand` counts the operands given here; in the op of a store the value stands before
  // them.
  ValueId load(TensorId tensor, std::vector<Index> indices, std::vector<ValueId> operands,
               ValueId mask = {});
  void store(ValueId value, TensorId tensor, std::vector<Index> indices,
             std::vector<ValueId> operands, ValueId mask = {});
  // Unary, Binary, Predicate and Select rules; operands as the rule says.
  ValueId elementwise(OpCode code, std::vector<ValueId> operands);
  ValueId cast(ValueId value, Dtype dtype);  // the value itself if it has the dtype
  ValueId view(OpCode code, ValueId value, std::vector<i64> dims, std::vector<Dim> shape);
  ValueId reduce(OpCode code, ValueId value, i64 dim);
  ValueId dot(ValueId a, ValueId b, ValueId acc, Dtype dtype);
  ValueId rand(ValueId seed, ValueId offset);
  // Any op with stated result types, in order.
  OpId add(OpCode code, std::vector<ValueId> operands, Attrs attrs, std::vector<TileType> types,
           std::vector<GraphId> regions = {});

  void set_span(diag::Span span) { span_ = span; }
  void set_graph(GraphId graph) { graph_ = graph; }
  GraphId graph() const { return graph_; }
  Kernel& kernel() { return kernel_; }

 private:
  ValueId add_inferred(OpCode code, std::vector<ValueId> operands, Attrs attrs,
                       const TileType& stated);

  Kernel& kernel_;
  GraphId graph_;
  diag::Span span_;
};

GraphId add_graph(Kernel& kernel);
ValueId add_param(Kernel& kernel, GraphId graph, TileType type);

// The text form; parse(print(k)) prints the same. Values keep their numbers. Names that are no
// identifiers, or not the only one of their kind, give way to row numbers: `tensor #0 "a b": ...`.
//
//   kernel softmax
//     symbol @b0: int = block of b0 hint 32
//     tensor x: f32[4096, 2560] strides [2560, 1] slot 0 base 0
//     tensor out: f32[4096, 2560] strides [2560, 1] slot 1 base 1 aligned
//     block b0 "tile_n": tile size=@b0 in 0..4096 loop 0
//     root (b0) {
//       %0 row: f32[b0:@b0, 2560] = load x[b0, :2560]
//       %1: f32[b0:@b0] = reduce_max %0, [1]
//       %2: f32[b0:@b0, 1] = unsqueeze %1, [1]
//       ...
//       store %5, out[b0, :2560]
//     }
//
//   subscripts   b0   b0+%3 (shifted)   :64   %1:64 (from %1 on)   %1   gather %2   newaxis
//   masks        load x[gather %2] where %3
//   loops        %9 acc: f32[64] = for (b1 in %1..%2) carry (%5 acc: f32[64] = %3) {
//                  ...
//                  yield %8
//                }
//   branches     %4: f32 = if %1 { ... yield %2 } else { ... yield %3 }
std::string print(const Kernel& kernel);
std::string print_type(const Kernel& kernel, const TileType& type);

}  // namespace peri::ir
