// Emits LLVM IR for a plan: one function per root that runs a range of its grid cells.
//
// Code is emitted along the plan's tree. Values are asked for with `eval` at coordinates (an index
// for each dimension: a scalar, or the consecutive lanes of a vector loop) and computed once per
// place: a value that does not depend on a loop is emitted in front of that loop. `scopes_` is the
// stack of places: function entry, grid cell, tile loops, branches, loops over elements.
//
// In registers bool is i1 and 16-bit floats are float (rounded when stored); in memory bool is a
// byte.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "backends/backend.h"
#include "backends/cpu/contraction.h"
#include "backends/cpu/target.h"
#include "plan/plan.h"
#include "plan/subscripts.h"

namespace peri::cpu {

using Builder = llvm::IRBuilder<>;
using llvm::Value;

// The index along one dimension of a value.
struct Coord {
  enum class Kind : u8 {
    Scalar,  // one index
    Lanes,   // index, index + 1, ...: the lanes of the current vector loop
    Vector,  // an index per lane
  };
  Kind kind = Kind::Scalar;
  Value* index = nullptr;  // i64, or a vector of i64 (Vector)
  i64 depth = 0;           // scope that defines it

  bool operator==(const Coord& o) const { return kind == o.kind && index == o.index; }
};
using Coords = std::vector<Coord>;

// A place where code is being emitted.
struct Scope {
  i64 id = 0;
  bool barrier = false;                 // nothing may be moved in front of it (a branch)
  llvm::Instruction* before = nullptr;  // in front of the scope: code that it need not repeat
  std::map<plan::AxisId, Coord> coords;
  i64 lanes = 0;          // of Lanes coordinates; 0 outside of vector loops
  Value* mask = nullptr;  // lanes that exist, or null: all
  std::map<ir::ValueId, Value*> registers;
  std::map<std::pair<ir::ValueId, std::vector<std::pair<i64, Value*>>>, Value*> memo;
  std::map<std::tuple<int, Value*, Value*>, Value*> arithmetic;
};

// The current tile of a block axis.
struct BlockState {
  Value* begin = nullptr;  // first index
  Value* end = nullptr;    // after the last
  Value* count = nullptr;  // elements: a constant if all tiles are full
  Value* id = nullptr;
  Value* tiles = nullptr;  // number of tiles
  i64 depth = 0;
};

// A two- or three-dimensional operand of a dot, in memory.
struct Matrix {
  Value* data = nullptr;
  Dtype dtype = Dtype::F32;
  std::vector<Value*> strides;  // elements, one per dimension
};

struct RootFunction {
  llvm::Function* function = nullptr;
  std::vector<Sym> scalars;
  Sym cells;
  Sym scratch_bytes;
  bool checks_accesses = false;
};

class Emitter {
 public:
  Emitter(const plan::Plan& plan, const Target& target, llvm::Module& module);

  RootFunction emit_root(i64 root);

 private:
  // --- emit_root.cpp: function, arguments, cells, blocks ---
  void begin_function(i64 root);
  void emit_cells(i64 root);
  void enter_cell(i64 root, Value* cell);
  std::pair<Value*, Value*> grouped_cell(Value* cell, Value* rows, Value* columns, i64 group);
  void lay_out_buffers();
  Value* sym(Sym s);  // at function entry
  Value* emit_sym(Sym s);
  Value* sym_argument(Sym s);
  Value* tensor_pointer(ir::TensorId tensor);
  BlockState& block(BlockId id);
  void enter_tile(BlockId id, Value* range_begin, Value* range_end, Value* tile, Value* tiles);
  Value* full_count(BlockId id, Value* range_begin, Value* range_end);
  Sym tiles_of(BlockId id);

  // --- emit_nodes.cpp: the tree ---
  void emit_nodes(const std::vector<plan::NodeId>& nodes);
  void emit_node(plan::NodeId id);
  void emit_compute(const plan::Node& node);
  void emit_carry(const plan::Node& node);
  void emit_for(const plan::Node& node);
  void emit_for_axis(const plan::Node& node, size_t depth);
  void emit_if(const plan::Node& node);

  // --- emit_loop.cpp: loops over elements ---
  // Accumulators of the reductions a loop keeps in registers: one or two values each.
  using Accumulators = std::vector<std::vector<Value*>>;
  void emit_loop(const plan::Node& node);
  void emit_scalar_loop(const plan::Node& node, Value* count);
  void emit_vector_loop(const plan::Node& node, Value* count);
  void emit_masked_tail(const plan::Node& node, Value* from, Value* count, i64 width,
                        Accumulators& accumulators);
  Accumulators identities(const plan::Node& node, i64 lanes);
  void emit_body(const plan::Node& node, Coord index, i64 lanes, Value* mask,
                 Accumulators& accumulators);
  void finish_reductions(const plan::Node& node, const Accumulators& accumulators);
  // `body(index, accumulators)` for index = from, from + step, ... while index + step <= to.
  // Returns the first index not done.
  using LoopBody = std::function<void(Value*, Accumulators&)>;
  Value* counted_loop(Value* from, Value* to, i64 step, Accumulators& accumulators,
                      const LoopBody& body);
  void clear_memory_reductions(const plan::Node& node);
  void clear_accumulators(const ir::Op& op, const std::vector<plan::AxisId>& axes,
                          const Coords& coords);
  void prefetch_next(const plan::Node& node);
  i64 vector_lanes(const plan::Node& node) const;
  bool can_mask(const plan::Node& node) const;

  // --- emit_reduce.cpp ---
  std::vector<Value*> reduction_identity(const ir::Op& op, i64 lanes);
  std::vector<Value*> reduction_step(const ir::Op& op, std::vector<Value*> acc, Value* value,
                                     Value* index);
  std::vector<Value*> join_lanes(const ir::Op& op, const std::vector<Value*>& acc);
  std::vector<Value*> combine(const ir::Op& op, const std::vector<Value*>& a,
                              const std::vector<Value*>& b);
  Coords reduced_coords(const ir::Op& op);
  void step_in_memory(const plan::Node& node, const ir::Op& op);

  // --- emit_value.cpp: values at coordinates ---
  Value* eval(ir::ValueId value, const Coords& coords);
  Value* eval_here(ir::ValueId value, const Coords& coords);
  Value* eval_elementwise(const ir::Op& op, const Coords& coords);
  Value* divide_by_scalar(Value* x, Value* divisor, i64 depth);
  Value* eval_view(const ir::Op& op, const Coords& coords);
  Value* eval_reshape(const ir::Op& op, const Coords& coords);
  Value* eval_attribute(const ir::Op& op, const Coords& coords);
  i64 settled(i64 depth) const;
  i64 depth_of(ir::ValueId value, const Coords& coords);
  i64 depth_of_op(const ir::Op& op, const Coords& coords);
  i64 depth_of_buffer(plan::BufferId buffer, const Coords& coords) const;
  Coords view_coords(const ir::Op& op, const Coords& coords);
  Coords loop_coords(ir::ValueId value);
  Value* find_register(ir::ValueId value, i64* depth);
  void set_register(ir::ValueId value, Value* v) { scopes_[top_].registers[value] = v; }
  Value* index_value(const Coord& coord);  // i64 scalar or vector of i64

  // --- emit_access.cpp: memory ---
  struct Address {
    Value* pointer = nullptr;  // of lane 0 (or of the element)
    Value* offsets = nullptr;  // per lane, elements from pointer; null: consecutive or none
    bool lanes = false;        // differs between lanes
  };
  // One summand of an address: index times stride.
  struct Term {
    Coord coord;
    Value* stride;
  };
  Value* eval_load(const ir::Op& op, const Coords& coords);
  void prefetch_ahead(const ir::Op& op, const Address& address);
  void prefetch(const ir::Op& op, Value* pointer);
  void emit_store(const ir::Op& op, const Coords& coords);
  // The summands of one subscript at `coords`: begin of the tile, coordinate, shift or index.
  std::vector<Coord> subscript_parts(const ir::Op& op, const ir::Index& index, const Coords& coords,
                                     i64 at, i64 rank);
  Address address_of(Value* base, Dtype dtype, std::vector<Term> terms);
  Address tensor_address(const ir::Op& op, const Coords& coords);
  Address buffer_address(plan::BufferId buffer, const Coords& coords);
  Value* load(const Address& address, Dtype memory, Dtype as, Value* mask);
  void store(const Address& address, Dtype memory, Value* value, Dtype as, Value* mask,
             bool streaming);
  void store_lanes(Value* value, Value* pointer, llvm::Align align, llvm::Constant* mask);
  Value* load_buffer(plan::BufferId buffer, const Coords& coords, Dtype as);
  void store_buffer(plan::BufferId buffer, const Coords& coords, Value* value, Dtype as);
  Coords buffer_coords(ir::ValueId value, const Coords& coords) const;
  bool is_streaming(const ir::Op& op, const Coords& coords);
  void mark_written(plan::BufferId buffer);
  Value* extent_mask(const ir::Op& op, const Coords& coords);

  // --- emit_bounds.cpp: accesses out of range ---
  // A subscript's position along its dimension.
  struct Position {
    Value* scalar = nullptr;  // what all lanes share
    i64 depth = 0;            // where that is known
    Value* vector = nullptr;  // added to it, by lane
    bool lanes = false;       // lane i is i further
  };
  // Returns from the function if an element that `mask` lets through (null: all) is not in the
  // tensor.
  void check_access(const ir::Op& op, const Coords& coords, Value* mask);
  void check_matrix(const ir::Op& op);
  Position position_of(const std::vector<Coord>& parts);
  void check_scalar(const ir::Op& op, i64 dim, const Position& position, Value* mask);
  void check_consecutive(const ir::Op& op, i64 dim, const Position& position, Value* count);
  void check_vector(const ir::Op& op, i64 dim, const Position& position, Value* mask);
  bool in_range(const ir::Op& op, i64 dim, const ir::Index& index);
  bool is_checked(const ir::Op& op);
  Value* size_of_dim(const ir::Op& op, i64 dim);
  // Leaves the function if `out`; `index` emits the index that is out of range.
  void leave_if(Value* out, const ir::Op& op, i64 dim, const std::function<Value*()>& index);
  llvm::BasicBlock* fault_block();
  i64 floor_of(const ir::Op& op) const;

  // --- emit_dot.cpp ---
  void emit_dot(const plan::Node& node);
  void emit_one_dot(const plan::Node& node, const Matrix& a, const Matrix& b, const Matrix& c,
                    const std::vector<Value*>& counts, const Coord* batch);
  void emit_epilogue(const plan::Node& node, const ContractionResult& r, const Coord* batch,
                     llvm::Instruction* before);
  void reserve_dot_scratch(const plan::Node& node, const ContractionPlan& plan,
                           ContractionShape shape);
  Matrix matrix(ir::ValueId value);
  Matrix load_matrix(const ir::Op& op);
  Matrix buffer_matrix(plan::BufferId buffer);
  Value* extent(const Dim& dim);

  // --- emit.cpp: scopes, arithmetic, types ---
  void push_scope(llvm::Instruction* before, bool barrier = false);
  void pop_scope();
  Scope& scope() { return scopes_[top_]; }
  i64 lanes() const { return scopes_[top_].lanes; }
  // Runs `emit` in front of the scopes deeper than `depth`.
  template <class F>
  auto at_depth(i64 depth, const F& emit) {
    if (depth >= top_) return emit();
    Builder::InsertPointGuard guard(b_);
    i64 top = top_;
    b_.SetInsertPoint(scopes_[depth + 1].before);
    top_ = depth;
    auto result = emit();
    top_ = top;
    return result;
  }
  Value* add(Value* a, Value* b, i64 depth);  // i64, shared, in front of what does not need it
  Value* mul(Value* a, Value* b, i64 depth);
  Value* minimum(Value* a, Value* b);
  Value* integer(i64 v) { return b_.getInt64(static_cast<u64>(v)); }
  llvm::Type* register_type(Dtype dtype, i64 lanes = 0);
  llvm::Type* memory_type(Dtype dtype, i64 lanes = 0);
  Value* constant(Dtype dtype, SymValue value);
  Value* splat(Value* v, i64 lanes);
  Value* cast(Value* v, Dtype from, Dtype to);
  static std::optional<i64> known(Value* v);
  static i64 lanes_of(Value* v);
  // Ends the current block with a branch to a new one and returns the branch.
  llvm::Instruction* split(const char* name);
  llvm::BasicBlock* new_block(const char* name);

  const plan::Plan& plan_;
  const ir::Kernel& kernel_;
  const Target& target_;
  llvm::Module& module_;
  Builder b_;

  llvm::Function* function_ = nullptr;
  Value* arguments_ = nullptr;
  Value* scratch_ = nullptr;
  Value* dummy_ = nullptr;  // where masked-out scalar accesses go
  std::vector<Sym> scalars_;
  std::map<const SymNode*, Value*> syms_;
  std::map<ir::TensorId, Value*> tensors_;
  std::map<BlockId, BlockState> blocks_;
  std::vector<Value*> buffers_;  // address of each
  std::vector<std::vector<Value*>> buffer_strides_;
  std::vector<std::vector<i64>> written_;  // by buffer: scopes of the last write
  Sym scratch_bytes_;
  Value* dot_scratch_ = nullptr;
  i64 dot_scratch_bytes_ = 0;
  llvm::BasicBlock* fault_block_ = nullptr;   // notes an access out of range and returns
  std::vector<llvm::PHINode*> fault_;         // tensor, dim, index, size
  std::vector<ir::GraphId> owners_;           // by op
  std::map<ir::GraphId, i64> region_depths_;  // of the bodies that code stands in
  std::map<std::pair<const ir::Op*, i64>, bool> in_range_;  // by access and dimension
  std::vector<Scope> scopes_;
  i64 top_ = -1;
  i64 next_scope_ = 0;
};

// An elementwise op on register values, all of `operand`'s dtype (Select: the first is bool).
Value* emit_elementwise(Builder& b, const Target& target, ir::OpCode code, Dtype dtype,
                        const std::vector<Value*>& operands);
Value* emit_cast(Builder& b, Value* v, Dtype from, Dtype to);

}  // namespace peri::cpu
