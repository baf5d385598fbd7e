// Shared by the parts of the contraction emitter: how elements become units of computation, and how
// blocks of A and B are laid out in scratch.
//
// A step is what one multiply-add instruction consumes along k: one element, or a pair. A unit is
// one operand's share of a step in one lane: an accumulator-typed element, or 32 bits of a pair.
#pragma once

#include "backends/cpu/contraction.h"
#include "backends/cpu/ir_loops.h"

namespace peri::cpu::contraction {

using llvm::Value;

enum class StepKind : u8 { Single, Bf16Pair, I16Pair };

// Sizes that follow from plan, shape and target alone.
struct Facts {
  StepKind kind = StepKind::Single;
  i64 step_k = 1;      // elements of k per step
  i64 unit_bytes = 4;  // size of a unit, and of an accumulator lane
  i64 lanes = 4;       // accumulators in a native vector
  i64 tile_columns = 8;
};

bool can_pair(const ContractionShape& shape, const Target& target);
// The sums of a tile, a row of B, an element of A and what else its loop needs are in registers.
bool fits_registers(i64 rows, i64 vectors, const Target& target);
// Masked loads of elements of this size are instructions.
bool has_masked_loads(i64 element_bytes, const Target& target);
Facts facts_of(const ContractionPlan& plan, const ContractionShape& shape, const Target& target);

// Packed lines are padded by a cache line, so that those of a power of two do not meet in one set.
inline constexpr i64 kRowPadding = 64;

// Emits arithmetic on i64 and addresses; folds constants.
class Emitter {
 public:
  Emitter(llvm::IRBuilderBase& builder, const ContractionShape& shape, const ContractionPlan& plan,
          const Target& target)
      : b(builder),
        shape(shape),
        plan(plan),
        target(target),
        facts(facts_of(plan, shape, target)) {}

  llvm::IRBuilderBase& b;
  const ContractionShape& shape;
  const ContractionPlan& plan;
  const Target& target;
  const Facts facts;

  Value* constant(i64 value) const { return b.getInt64(static_cast<u64>(value)); }
  Value* add(Value* x, Value* y) const;
  Value* mul(Value* x, Value* y) const;
  Value* mul(Value* x, i64 y) const { return mul(x, constant(y)); }
  Value* ceil_div(Value* x, i64 y) const;
  Value* round_up(Value* x, i64 y) const { return mul(ceil_div(x, y), y); }
  Value* offset(Value* pointer, Value* bytes) const;
  Value* offset(Value* pointer, i64 bytes) const { return offset(pointer, constant(bytes)); }

  llvm::Type* element_type(Dtype dtype) const;
  llvm::Type* acc_type() const { return element_type(shape.acc); }
  llvm::Type* vector_type(llvm::Type* element, i64 lanes) const;
  // The type of a unit in memory: the accumulator's, or i32 for a pair.
  llvm::Type* unit_type() const;
  // What packing stores for one element: the accumulator type, or the i16 half of a pair.
  llvm::Type* cell_type() const;
  i64 cell_bytes() const { return facts.unit_bytes / facts.step_k; }
  Value* to_cell(Value* raw, Dtype from) const;

  // Elements (scalar or vector) of `from` as accumulator type; 16-bit floats come as integers.
  Value* convert(Value* value, Dtype from) const;
  // Loads elements of `dtype` from memory as accumulators: one, or a vector of `lanes`, of which
  // only those in `mask` (null: all) are touched and the others zero.
  Value* load_element(Value* pointer, Dtype dtype) const;
  Value* load_vector(Value* pointer, Dtype dtype, i64 lanes, Value* mask) const;
  Value* load_raw(Value* pointer, llvm::Type* element, i64 lanes, Value* mask) const;
  void store(Value* value, Value* pointer, Value* mask = nullptr) const;

  // 1 in lanes below `count`; null if that is all of them.
  Value* mask_below(Value* count, i64 lanes) const;

  Value* plus(Value* x, Value* y) const;
  // acc += a * b of one step, for vectors of units.
  Value* multiply_add(Value* a, Value* b, Value* acc) const;
};

// One operand's block as the register tiles read it: panels of as many lines (rows of A, columns of
// B) as a tile has. All strides in bytes.
struct BlockView {
  Value* base = nullptr;   // first line, first step
  Value* panel = nullptr;  // between panels
  Value* line = nullptr;   // between lines of one panel
  Value* step = nullptr;   // between steps
  bool packed = false;     // holds units; else elements as they lie in the operand
};

// A matrix in memory as packing reads it: `outer` lines of `inner` elements.
struct Lines {
  Value* base;
  Value* outer;         // number of lines
  Value* inner;         // elements in a line
  Value* outer_stride;  // bytes
  Value* inner_stride;  // bytes
  Dtype dtype;
};

// Copies lines, converted to cells (accumulator-typed elements, or the 16-bit halves of pairs), to
// lines of `stride` bytes at `to`. An odd line of pairs ends in a zero.
void emit_pack_lines(const Emitter& e, const Lines& from, Value* to, Value* stride);
// The byte stride of packed lines of `inner` cells.
Value* packed_line_stride(const Emitter& e, Value* inner);
// Where A's columns are contiguous it is packed in panels of mr rows, steps in order, the rows of a
// step together; else in lines.
bool packs_a_panels(const ContractionShape& shape, const Facts& facts);

// Copies B (outer: columns, inner: k) to panels of tile_columns columns, steps in order, units of a
// step together. Missing columns of the last panel hold anything.
void emit_pack_panels(const Emitter& e, const Lines& from, Value* to, Value* panel_stride);
Value* packed_panel_stride(const Emitter& e, Value* k);

// Copies A (outer: k, inner: rows) to such panels.
void emit_pack_a_panels(const Emitter& e, const Lines& from, Value* to, Value* panel_stride);

// The size of A's block in scratch; B's lies behind it.
Value* packed_a_bytes(const Emitter& e, Value* rows, Value* k);

// Part of a register tile's row: a vector of columns.
struct ColumnVector {
  i64 first;    // column in the tile
  i64 lanes;    // power of two
  Value* mask;  // null: all
};

struct RegisterTile {
  i64 rows;
  std::vector<ColumnVector> columns;
  Value* a;  // address of the tile's first row, first step
  Value* b;  // address of the tile's first column, first step
  const BlockView* a_view;
  const BlockView* b_view;
  Value* k;  // elements
  i64 unroll;
};

// Columns whose vectors run along k: for few columns, or where B's columns are contiguous in k.
struct DotTile {
  i64 rows;
  i64 columns;  // at most dot_columns()
  Value* a;     // address of the first row
  Value* a_stride;
  Value* b;  // address of the first column; k contiguous
  Value* b_stride;
  Dtype b_type;
  Value* k;
};
// Columns of a result vector of dots.
i64 dot_columns(const Facts& facts);
// The sums of a tile, a vector of dot_columns() lanes for each row.
std::vector<Value*> emit_dot_tile(const Emitter& e, const DotTile& tile);

// sum over k of A * B for a register tile, starting from `acc` (row-major vectors), in place.
void emit_tile(const Emitter& e, const RegisterTile& tile, std::vector<Value*>& acc);

}  // namespace peri::cpu::contraction
