// The loop nest around the register tiles: blocks, packing, tails, first and last block of k.
#include "backends/cpu/contraction_emit.h"

#include <utility>

#include "base/bug.h"

namespace peri::cpu {
namespace contraction {
namespace {

// Where the nest stands: a block of rows, columns and k.
struct Block {
  Value* row = nullptr;  // first row, column and k
  Value* column = nullptr;
  Value* k = nullptr;
  Value* rows = nullptr;  // and how many
  Value* columns = nullptr;
  Value* depth = nullptr;
  BlockView a = {};
  BlockView b = {};
};

class Nest {
 public:
  Nest(llvm::IRBuilderBase& builder, const ContractionShape& shape, const ContractionPlan& plan,
       const Target& target, const ContractionOperands& operands,
       const ContractionEpilogue& epilogue)
      : e_(builder, shape, plan, target), operands_(operands), epilogue_(epilogue) {
    m_ = known(shape.m, operands.m);
    all_columns_ = known(shape.n, operands.n);
    k_ = known(shape.k, operands.k);
    const i64 a_bytes = size_of(shape.a);
    const i64 b_bytes = size_of(shape.b);
    a_stride_m_ = e_.mul(known(shape.a_stride_m, operands.a_stride_m), a_bytes);
    a_stride_k_ = e_.mul(known(shape.a_stride_k, operands.a_stride_k), a_bytes);
    b_stride_k_ = e_.mul(known(shape.b_stride_k, operands.b_stride_k), b_bytes);
    b_stride_n_ = e_.mul(known(shape.b_stride_n, operands.b_stride_n), b_bytes);
    n_ = plan.along_k >= kAllColumns ? e_.constant(0)
                                     : e_.add(all_columns_, e_.constant(-plan.along_k));
  }

  void run() {
    Value* zero = e_.constant(0);
    Value* none = e_.b.CreateICmpSLE(k_, zero);
    auto sums = [&] {
      if (e_.plan.along_k > 0) dots();
      blocks();
    };
    emit_if_else(e_.b, none, [&] { empty_sums(); }, sums);
  }

 private:
  Value* known(i64 value, Value* operand) const {
    if (value != kDynamic) return e_.constant(value);
    BUG_IF(!operand, "a dynamic extent or stride of a contraction has no value");
    return operand;
  }

  Value* block_size(i64 planned, Value* all) const {
    return planned == 0 ? all : emit_min(e_.b, e_.constant(planned), all);
  }

  // for (at = 0; at < all; at += size) body(at, min(size, all - at)); `once`: also where all is 0
  template <class Body>
  void for_blocks(i64 planned, Value* all, Body body, bool once = false) {
    auto total = constant_of(all);
    if (planned == 0 || (once && total == 0)) {
      body(e_.constant(0), all);
      return;
    }
    Value* size = e_.constant(planned);
    const bool even = total && *total % planned == 0;
    Value* end = once && !total
                     ? e_.b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, all, e_.constant(1))
                     : all;
    emit_for(e_.b, e_.constant(0), end, size, [&](Value* at) {
      body(at, even ? size : emit_min(e_.b, size, e_.b.CreateSub(all, at)));
    });
  }

  void blocks() {
    for_blocks(e_.plan.nc, n_, [&](Value* column, Value* columns) {
      for_blocks(
          e_.plan.kc, k_,
          [&](Value* k, Value* depth) {
            Block block{.column = column, .k = k, .columns = columns, .depth = depth};
            block.b = view_b(block);
            for_blocks(e_.plan.mc, m_, [&](Value* row, Value* rows) {
              Block inner = block;
              inner.row = row;
              inner.rows = rows;
              inner.a = view_a(inner);
              tiles(inner);
            });
          },
          true);  // an empty k gives zeros
    });
  }

  Value* scratch_for_b() const {
    if (!e_.plan.pack_a) return operands_.scratch;
    Value* rows = block_size(e_.plan.mc, m_);
    Value* k = block_size(e_.plan.kc, k_);
    return e_.offset(operands_.scratch, packed_a_bytes(e_, rows, k));
  }

  BlockView view_a(const Block& block) const {
    Value* base = e_.offset(operands_.a,
                            e_.add(e_.mul(block.row, a_stride_m_), e_.mul(block.k, a_stride_k_)));
    const i64 mr = e_.plan.mr;
    if (!e_.plan.pack_a) {
      return {.base = base,
              .panel = e_.mul(a_stride_m_, mr),
              .line = a_stride_m_,
              .step = e_.mul(a_stride_k_, e_.facts.step_k)};
    }
    Value* to = operands_.scratch;
    Value* unit = e_.constant(e_.facts.unit_bytes);
    if (packs_a_panels(e_.shape, e_.facts)) {
      Value* step = e_.mul(unit, mr);
      Value* panel = e_.mul(block.depth, step);
      emit_pack_a_panels(e_, {base, block.depth, block.rows, a_stride_k_, a_stride_m_, e_.shape.a},
                         to, panel);
      return {.base = to, .panel = panel, .line = unit, .step = step, .packed = true};
    }
    Value* stride = packed_line_stride(e_, block_size(e_.plan.kc, k_));
    emit_pack_lines(e_, {base, block.rows, block.depth, a_stride_m_, a_stride_k_, e_.shape.a}, to,
                    stride);
    return {.base = to, .panel = e_.mul(stride, mr), .line = stride, .step = unit, .packed = true};
  }

  BlockView view_b(const Block& block) const {
    Value* base = e_.offset(
        operands_.b, e_.add(e_.mul(block.column, b_stride_n_), e_.mul(block.k, b_stride_k_)));
    const i64 width = e_.facts.tile_columns;
    if (!e_.plan.pack_b) {
      return {.base = base,
              .panel = e_.mul(b_stride_n_, width),
              .line = b_stride_n_,
              .step = b_stride_k_};
    }
    Lines lines{base, block.columns, block.depth, b_stride_n_, b_stride_k_, e_.shape.b};
    Value* to = scratch_for_b();
    Value* stride = packed_panel_stride(e_, block.depth);
    emit_pack_panels(e_, lines, to, stride);
    return {.base = to,
            .panel = stride,
            .line = e_.constant(e_.facts.unit_bytes),
            .step = e_.constant(width * e_.facts.unit_bytes),
            .packed = true};
  }

  void tiles(const Block& block) {
    if (e_.plan.columns_outer) {
      for_column_tiles(block, [&](Value* column, const std::vector<ColumnVector>& vectors) {
        for_row_tiles(block, e_.plan.mr,
                      [&](Value* row, i64 rows) { tile(block, row, rows, column, vectors); });
      });
    } else {
      for_row_tiles(block, e_.plan.mr, [&](Value* row, i64 rows) {
        for_column_tiles(block, [&](Value* column, const std::vector<ColumnVector>& vectors) {
          tile(block, row, rows, column, vectors);
        });
      });
    }
  }

  // body(first row in the block, rows): whole tiles, then the rest exactly. How many rows the rest
  // has follows from m if that is known, since blocks are whole tiles; else powers of two cover it.
  template <class Body>
  void for_row_tiles(const Block& block, i64 mr, Body body) {
    Value* whole = e_.mul(e_.b.CreateUDiv(block.rows, e_.constant(mr)), mr);
    emit_for(e_.b, e_.constant(0), whole, e_.constant(mr), [&](Value* row) { body(row, mr); });
    if (auto m = constant_of(m_)) {
      if (*m % mr == 0) return;
      emit_if(e_.b, e_.b.CreateICmpSLT(whole, block.rows), [&] { body(whole, *m % mr); });
      return;
    }
    for (i64 rows = static_cast<i64>(std::bit_floor(static_cast<u64>(mr - 1))); rows > 0;
         rows /= 2) {
      Value* rest = e_.b.CreateSub(block.rows, whole);
      Value* covered = e_.b.CreateAnd(rest, e_.constant(-2 * rows));
      Value* first = e_.add(whole, covered);
      Value* has = e_.b.CreateICmpNE(e_.b.CreateAnd(rest, e_.constant(rows)), e_.constant(0));
      emit_if(e_.b, has, [&] { body(first, rows); });
    }
  }

  // body(first column in the block, vectors): whole tiles, then the rest, likewise.
  template <class Body>
  void for_column_tiles(const Block& block, Body body) {
    const i64 width = e_.facts.tile_columns;
    Value* whole = e_.mul(e_.b.CreateUDiv(block.columns, e_.constant(width)), width);
    emit_for(e_.b, e_.constant(0), whole, e_.constant(width),
             [&](Value* column) { body(column, vectors_of(width)); });
    if (auto n = constant_of(n_)) {
      if (*n % width == 0) return;
      emit_if(e_.b, e_.b.CreateICmpSLT(whole, block.columns),
              [&] { body(whole, vectors_of(*n % width)); });
      return;
    }
    const i64 lanes = e_.facts.lanes;
    emit_for(e_.b, whole, block.columns, e_.constant(lanes), [&](Value* column) {
      Value* mask = e_.mask_below(e_.b.CreateSub(block.columns, column), lanes);
      body(column, std::vector<ColumnVector>{{0, lanes, mask}});
    });
  }

  // Covers `columns` with native vectors; the last is as narrow as a power of two allows.
  std::vector<ColumnVector> vectors_of(i64 columns) const {
    std::vector<ColumnVector> vectors;
    for (i64 first = 0; first < columns; first += e_.facts.lanes) {
      const i64 left = std::min(columns - first, e_.facts.lanes);
      const i64 lanes = std::max(static_cast<i64>(std::bit_ceil(static_cast<u64>(left))),
                                 16 / e_.facts.unit_bytes);
      vectors.push_back({first, lanes, e_.mask_below(e_.constant(left), lanes)});
    }
    return vectors;
  }

  void tile(const Block& block, Value* row, i64 rows, Value* column,
            const std::vector<ColumnVector>& vectors) {
    RegisterTile tile{
        .rows = rows,
        .columns = vectors,
        .a = line_address(block.a, row, e_.plan.mr),
        .b = line_address(block.b, column, e_.facts.tile_columns),
        .a_view = &block.a,
        .b_view = &block.b,
        .k = block.depth,
        .unroll = unroll_of(rows, vectors),
    };
    Value* first_row = e_.add(block.row, row);
    Value* first_column = e_.add(block.column, column);
    std::vector<Value*> acc = initial(block, rows, vectors, first_row, first_column);
    emit_tile(e_, tile, acc);
    finish_block(block, rows, vectors, first_row, first_column, acc);
  }

  Value* line_address(const BlockView& view, Value* line, i64 panel_lines) const {
    Value* panel = e_.b.CreateUDiv(line, e_.constant(panel_lines));
    Value* in_panel = e_.b.CreateURem(line, e_.constant(panel_lines));
    return e_.offset(view.base, e_.add(e_.mul(panel, view.panel), e_.mul(in_panel, view.line)));
  }

  // Tails run seldom: little code for them is worth more than the last cycle. With vectors of two
  // widths LLVM's scheduler would hoist loads until sums are spilled, unless steps are apart.
  i64 unroll_of(i64 rows, const std::vector<ColumnVector>& vectors) const {
    if (vectors.size() > 1 && vectors.back().lanes != vectors.front().lanes) return 1;
    const bool whole = rows == e_.plan.mr && static_cast<i64>(vectors.size()) == e_.plan.nr_vectors;
    return whole ? e_.plan.k_unroll : std::min<i64>(e_.plan.k_unroll, 2);
  }

  Value* c_address(Value* row, Value* column) const {
    Value* stride = e_.mul(operands_.c_stride_m, e_.facts.unit_bytes);
    Value* line = e_.offset(operands_.c, e_.mul(row, stride));
    return e_.offset(line, e_.mul(column, e_.facts.unit_bytes));
  }

  template <class Body>  // body(index, row, column, vector)
  void for_results(i64 rows, const std::vector<ColumnVector>& vectors, Value* row, Value* column,
                   Body body) {
    u64 index = 0;
    for (i64 r = 0; r < rows; ++r) {
      for (const ColumnVector& vector : vectors) {
        body(index++, e_.add(row, e_.constant(r)), e_.add(column, e_.constant(vector.first)),
             vector);
      }
    }
  }

  // The sums to start from: zero in the first block of k (or C if that accumulates), else C.
  std::vector<Value*> initial(const Block& block, i64 rows,
                              const std::vector<ColumnVector>& vectors, Value* row, Value* column) {
    std::vector<Value*> zeros;
    for_results(rows, vectors, row, column, [&](u64, Value*, Value*, const ColumnVector& v) {
      zeros.push_back(llvm::Constant::getNullValue(e_.vector_type(e_.acc_type(), v.lanes)));
    });
    auto load = [&] {
      std::vector<Value*> loaded;
      for_results(rows, vectors, row, column, [&](u64, Value* r, Value* c, const ColumnVector& v) {
        loaded.push_back(e_.load_raw(c_address(r, c), e_.acc_type(), v.lanes, v.mask));
      });
      return loaded;
    };
    if (e_.shape.accumulate) return load();
    Value* is_first = e_.b.CreateICmpEQ(block.k, e_.constant(0));
    if (constant_of(is_first)) return zeros;
    auto* before = e_.b.GetInsertBlock();
    auto* body = new_block(e_.b, "reload");
    auto* done = new_block(e_.b, "start");
    e_.b.CreateCondBr(is_first, done, body);
    e_.b.SetInsertPoint(body);
    std::vector<Value*> loaded = load();
    e_.b.CreateBr(done);
    e_.b.SetInsertPoint(done);
    for (u64 i = 0; i < zeros.size(); ++i) {
      auto* phi = e_.b.CreatePHI(zeros[i]->getType(), 2);
      phi->addIncoming(zeros[i], before);
      phi->addIncoming(loaded[i], body);
      zeros[i] = phi;
    }
    return zeros;
  }

  // The last block of k hands the sums to the epilogue; others leave them in C.
  void finish_block(const Block& block, i64 rows, const std::vector<ColumnVector>& vectors,
                    Value* row, Value* column, const std::vector<Value*>& acc) {
    if (e_.plan.kc == 0 || !epilogue_) {
      finish(acc, rows, vectors, row, column);
      return;
    }
    Value* is_last = e_.b.CreateICmpSGE(e_.add(block.k, block.depth), k_);
    emit_if_else(
        e_.b, is_last, [&] { finish(acc, rows, vectors, row, column); },
        [&] { store_sums(acc, rows, vectors, row, column); });
  }

  void finish(const std::vector<Value*>& acc, i64 rows, const std::vector<ColumnVector>& vectors,
              Value* row, Value* column) {
    if (!epilogue_) {
      store_sums(acc, rows, vectors, row, column);
      return;
    }
    for_results(rows, vectors, row, column, [&](u64 i, Value* r, Value* c, const ColumnVector& v) {
      epilogue_(e_.b, {acc[i], r, c, v.mask, v.lanes});
    });
  }

  void store_sums(const std::vector<Value*>& acc, i64 rows,
                  const std::vector<ColumnVector>& vectors, Value* row, Value* column) {
    for_results(rows, vectors, row, column, [&](u64 i, Value* r, Value* c, const ColumnVector& v) {
      e_.store(acc[i], c_address(r, c), v.mask);
    });
  }

  // The last columns, with vectors along k.
  void dots() {
    ContractionPlan plan = e_.plan;
    plan.pairs = false;
    const Emitter e(e_.b, e_.shape, plan, e_.target);
    Value* columns = e.b.CreateSub(all_columns_, n_);
    Lines lines{e.offset(operands_.b, e.mul(n_, b_stride_n_)),
                columns,
                k_,
                b_stride_n_,
                b_stride_k_,
                e.shape.b};
    if (e.shape.b_stride_k != 1) {
      Value* stride = packed_line_stride(e, k_);
      emit_pack_lines(e, lines, operands_.scratch, stride);
      lines.base = operands_.scratch;
      lines.outer_stride = stride;
      lines.dtype = e.shape.acc;
    }
    const i64 width = dot_columns(e.facts);
    Value* whole = e.mul(e.b.CreateUDiv(columns, e.constant(width)), width);
    emit_for(e.b, e.constant(0), whole, e.constant(width),
             [&](Value* column) { dot_column(e, lines, column, width); });
    if (auto known = constant_of(columns)) {
      if (*known % width != 0) dot_column(e, lines, whole, *known % width);
      return;
    }
    emit_for(e.b, whole, columns, e.constant(1),
             [&](Value* column) { dot_column(e, lines, column, 1); });
  }

  // All rows of up to dot_columns() columns.
  void dot_column(const Emitter& e, const Lines& lines, Value* column, i64 columns) {
    Block block{.row = e.constant(0), .k = e.constant(0), .rows = m_};
    const i64 lanes = dot_columns(e.facts);
    const std::vector<ColumnVector> vectors{{0, lanes, e.mask_below(e.constant(columns), lanes)}};
    i64 mr = e.target.vector_registers / (columns > 2 ? 8 : 4);
    if (auto m = constant_of(m_)) mr = std::min(mr, *m);
    for_row_tiles(block, mr, [&](Value* row, i64 rows) {
      std::vector<Value*> sums =
          emit_dot_tile(e, {.rows = rows,
                            .columns = columns,
                            .a = e.offset(operands_.a, e.mul(row, a_stride_m_)),
                            .a_stride = a_stride_m_,
                            .b = e.offset(lines.base, e.mul(column, lines.outer_stride)),
                            .b_stride = lines.outer_stride,
                            .b_type = lines.dtype,
                            .k = k_});
      Value* first_column = e.add(n_, column);
      if (e.shape.accumulate) {
        std::vector<Value*> before = initial(block, rows, vectors, row, first_column);
        for (size_t i = 0; i < sums.size(); ++i) sums[i] = e.plus(sums[i], before[i]);
      }
      finish(sums, rows, vectors, row, first_column);
    });
  }

  // k == 0: every sum is zero, or what C holds.
  void empty_sums() {
    Value* columns_of_blocks = std::exchange(n_, all_columns_);  // none of them runs along k
    Block block{.row = e_.constant(0),
                .column = e_.constant(0),
                .k = e_.constant(0),
                .rows = m_,
                .columns = all_columns_,
                .depth = k_};
    for_column_tiles(block, [&](Value* column, const std::vector<ColumnVector>& vectors) {
      emit_for(e_.b, e_.constant(0), m_, e_.constant(1), [&](Value* row) {
        std::vector<Value*> acc = initial(block, 1, vectors, row, column);
        finish(acc, 1, vectors, row, column);
      });
    });
    n_ = columns_of_blocks;
  }

  Emitter e_;
  const ContractionOperands& operands_;
  const ContractionEpilogue& epilogue_;
  Value* m_;
  Value* n_;  // columns of the blocks; those along k come behind them
  Value* all_columns_;
  Value* k_;
  Value* a_stride_m_;
  Value* a_stride_k_;
  Value* b_stride_k_;
  Value* b_stride_n_;
};

}  // namespace

}  // namespace contraction

void emit_contraction(llvm::IRBuilderBase& builder, const ContractionShape& shape,
                      const ContractionPlan& plan, const Target& target,
                      const ContractionOperands& operands, const ContractionEpilogue& epilogue) {
  contraction::Nest(builder, shape, plan, target, operands, epilogue).run();
}

}  // namespace peri::cpu
