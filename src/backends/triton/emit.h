// Prints one root of a plan as a Triton kernel.
//
// Values of Device IR become Python variables named after the user's, or stay expressions where
// they are used once and are cheap. A value's tile has a dimension for each extent of more than one
// lane that it really varies along; others are added by `[:, None]` where an op needs them. f16 and
// bf16 are computed in f32; i64 in 32 bits where the range of the values is known to fit.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backends/artifact.h"
#include "backends/triton/lanes.h"
#include "backends/triton/plan.h"
#include "backends/triton/text.h"
#include "diag/diag.h"

namespace peri::triton {

// A root's kernel: its source and how it is launched. Facts that the compiler decides (threads,
// shared memory, scratch) are not in `launch` yet, nor are scratch parameters.
struct RootText {
  std::string function;
  std::string source;
  std::set<std::string> helpers;
  bool uses_libdevice = false;
  std::set<i64> described;  // tensors of descriptors made in the kernel, which take scratch memory
  backends::Launch launch;
  // By parameter of `launch`: its type in the compiler's signature ("*fp32", "i32"), its name in
  // the source, and whether it is a multiple of 16.
  std::vector<std::string> types;
  std::vector<std::string> names;
  std::vector<bool> aligned;
};

// `sources`: of origin comments; null: none are printed.
RootText emit_root(const Plan& plan, i64 root, const diag::Sources* sources);

// A value as it is at hand.
struct Held {
  Text text;
  Dtype dtype = Dtype::F32;   // in which it is held
  std::vector<bool> present;  // by dimension of the value's type: the tile has it
  bool is_literal = false;    // a Python number

  bool is_tile() const;
  std::vector<i64> dims() const;  // that are present
};

// "tl.float32", "tl.int1".
std::string triton_dtype(Dtype dtype);
// "fp32", "i1": in signatures.
std::string signature_dtype(Dtype dtype);

class Emitter {
 public:
  Emitter(const Plan& plan, const diag::Sources* sources)
      : plan_(plan), kernel_(plan.kernel()), lanes_(plan), sources_(sources) {}

  RootText run(i64 root);

 private:
  // A tile axis whose loop is running.
  struct BlockText {
    std::string begin, end, id, count;  // scalars
    std::string index, mask;            // tiles of one dimension; index is begin if it has one lane
    bool wide = false;                  // begin, end and index have 64 bits
    bool may_be_wide = false;           // they do where the bounds of a device loop do
  };
  // A `:` dimension, or a chunk of it.
  struct RangeText {
    std::string index, mask;
  };
  using Members = std::vector<ir::OpId>;

  // --- graphs: emit.cpp, emit_control.cpp ---
  void emit_graph(ir::GraphId graph);
  void emit_op(ir::OpId id);
  void comment(const ir::Op& op);
  void emit_for(ir::OpId id);
  void emit_loops(ir::OpId id, std::size_t level, const std::vector<std::string>& carried);
  void emit_if(ir::OpId id);
  std::vector<std::string> begin_carried(const ir::Op& op, std::size_t first);
  std::string carried_name(const ir::Op& op, std::size_t operand, ir::ValueId param);
  void plan_in_place(const ir::Op& op, const std::vector<std::string>& carried);
  void end_carried(const ir::Op& op, const std::vector<std::string>& carried);
  std::string overlaid(ir::ValueId param, ir::ValueId next, const std::string& old);
  bool keeps_missing_lanes(ir::ValueId param, ir::ValueId next, i64 dim);
  bool is_last_use(ir::ValueId param, ir::OpId last, ir::GraphId graph) const;

  // --- chunks of a reduced axis: emit_rolled.cpp ---
  std::optional<AxisId> rolled_axis(ir::GraphId graph) const;
  void emit_rolled(ir::GraphId graph, AxisId axis);
  void emit_pass(AxisId axis, const Members& members, const Members& reduces);
  void accumulate(const ir::Op& op, const std::string& acc);

  // --- grids and axes: emit_grid.cpp ---
  void emit_grid(i64 root);
  void decode_cell(const RootPlan& root, const Text& pid);
  bool is_wide(BlockId block) const;
  bool may_have_64_bits(ir::ValueId integer);
  Text tiles_of(BlockId block);
  Sym tiles_sym(BlockId block) const;
  void enter_block(BlockId block, const Text& begin, const Text& end, const std::string& id);
  const RangeText& range(Sym extent, i64 lanes);
  RangeText range_of(ir::ValueId value, i64 dim, Sym extent);
  std::string mask_of(ir::ValueId value, i64 dim, const TileType& type);
  std::string loop_text(const LoopOptions& options, const std::string& begin,
                        const std::string& end, const std::string& step);

  // --- values ---
  const Held& held(ir::ValueId value) const;
  void define(ir::ValueId value, Held held);
  void alias(ir::ValueId value, Held held) { values_[value] = std::move(held); }
  bool is_inlined(ir::ValueId value, const Held& held) const;
  std::string name_of_value(ir::ValueId value);
  i64 lanes_of(ir::ValueId value, i64 dim) const;
  std::vector<bool> full_presence(ir::ValueId value) const;
  // The text with exactly the dimensions of `present`, or without any if it has none.
  Text aligned(const Held& held, const std::vector<bool>& present) const;
  // A tile of exactly the lanes that the value's type has; scalars stay scalars.
  Text materialise(ir::ValueId value, const Held& held, const std::vector<bool>& present);
  Held as_real(const Held& held) const;  // f16 and bf16 become f32
  Held as_dtype(const Held& held, Dtype dtype) const;
  Held as_typed(const Held& held) const;  // a literal becomes a scalar of its dtype
  Held masked(ir::ValueId value, i64 dim, Held held, SymValue identity);
  Text literal(Dtype dtype, SymValue value) const;
  // A constant or a parameter; of floats in f64 if `is_double`, else in f32.
  Text sym(Sym s, bool is_double = false);
  static Dtype carried_dtype(Dtype dtype);
  // Whether users take the value in its own dtype (1), in f32 (2) or both (3).
  i64 wanted_forms(ir::ValueId value) const;

  // --- ops ---
  void emit_source(const ir::Op& op);
  void emit_view(const ir::Op& op);
  void emit_reshape(const ir::Op& op);
  std::string reshaped_lane(ir::ValueId from, ir::ValueId to, const std::string& lane) const;
  void emit_elementwise(const ir::Op& op);
  void emit_cast(const ir::Op& op);
  void emit_reduce(const ir::Op& op);
  void emit_dot(const ir::Op& op);
  void emit_load(ir::OpId id);
  void emit_store(ir::OpId id);
  std::optional<Text> joined_text(const ir::Op& select, const std::vector<Held>& operands,
                                  const std::vector<bool>& present) const;
  bool is_second_of_two(ir::ValueId condition) const;
  Text unary_text(const ir::Op& op, const Held& a, Dtype dtype);
  Text binary_text(const ir::Op& op, const Held& a, const Held& b, Dtype dtype);
  Text integer_binary_text(const ir::Op& op, const Held& a, const Held& b, Dtype dtype);
  Text shift_text(const ir::Op& op, const Held& a, const Held& b, Dtype dtype);
  Text pow_text(const ir::Op& op, const Held& a, const Held& b, Dtype dtype);
  std::vector<Held> integer_operands(const ir::Op& op, std::vector<Held> operands, Dtype& dtype);
  Text reduction_text(ir::OpCode code, const Text& tile, i64 axis, Dtype dtype);
  Text dot_operand(ir::ValueId value, const std::vector<bool>& keep, Dtype dtype, bool is_left);
  std::string call(const char* function, const Text& argument) const;
  std::string libdevice(const char* function);
  std::string helper(const char* name);

  // --- accesses: emit_access.cpp ---
  struct Address {
    Text pointer;
    std::vector<bool> present;  // by dimension of the access's type
    TileType type;
    std::string mask;  // "" if every lane exists
  };
  struct Term {
    Text text;
    bool is_tile = false;
  };
  Address address(ir::OpId id, ir::ValueId value, const std::vector<bool>& wanted);
  std::vector<bool> access_presence(const ir::Op& op, ir::ValueId value, const TileType& type);
  void add_term(std::vector<Term>& terms, Held index, Sym stride, bool wide,
                const std::vector<bool>& present);
  Held subscript(const ir::Op& op, const ir::Index& index, ir::ValueId value, i64 at, i64 rank);
  std::string access_mask(const ir::Op& op, ir::ValueId value, const TileType& type,
                          const std::vector<bool>& present);
  Held load_descriptor(ir::OpId id);
  void store_descriptor(ir::OpId id);
  std::string descriptor_offsets(ir::OpId id, ir::ValueId value);
  std::string descriptor(ir::OpId id);
  std::string tensor(ir::TensorId id);
  std::string param(backends::LaunchParam param, std::string type, bool aligned,
                    const std::string& wanted);
  void add_limits(i64 root);
  void drop_unused_params();

  const Plan& plan_;
  const ir::Kernel& kernel_;
  Lanes lanes_;
  const diag::Sources* sources_;
  Names names_;
  Lines lines_;
  Lines preamble_;  // what is made once, before any loop: ranges and descriptors
  RootText result_;
  std::map<ir::ValueId, Held> values_;
  std::map<BlockId, BlockText> blocks_;
  std::map<std::pair<const SymNode*, i64>, RangeText> ranges_;
  std::map<AxisId, RangeText> chunks_;
  std::map<ir::TensorId, std::string> tensors_;
  std::map<std::pair<const SymNode*, bool>, std::string> syms_;
  std::map<std::string, std::string> descriptors_;  // by what they describe
  std::map<ir::ValueId, std::string> in_place_;     // values that take a carried variable's name
  std::vector<i64> use_counts_;
};

}  // namespace peri::triton
