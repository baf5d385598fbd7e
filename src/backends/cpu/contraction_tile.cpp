// The register tile: all of a block's k for a few rows and vectors, with every sum in a register.
#include "backends/cpu/contraction_emit.h"

#include <llvm/IR/Intrinsics.h>

namespace peri::cpu::contraction {
namespace {

class TileEmitter {
 public:
  TileEmitter(const Emitter& e, const RegisterTile& tile, std::vector<Value*>& acc)
      : e_(e), tile_(tile), acc_(acc), a_(tile.a), b_(tile.b) {
    for (i64 r = 0; r < tile.rows; ++r) row_offsets_.push_back(e.mul(tile.a_view->line, r));
  }

  void run() {
    const i64 step_k = e_.facts.step_k;
    // Packed blocks end in zeros; an unpacked A may end in half a pair.
    Value* steps = tile_.a_view->packed ? e_.ceil_div(tile_.k, step_k)
                                        : e_.b.CreateUDiv(tile_.k, e_.constant(step_k));
    Value* unroll = e_.constant(tile_.unroll);
    loop(e_.b.CreateUDiv(steps, unroll), tile_.unroll);
    Value* rest = e_.b.CreateURem(steps, unroll);
    if (auto known = constant_of(rest)) {
      emit_steps(*known);
    } else {
      loop(rest, 1);
    }
    if (step_k > 1 && !tile_.a_view->packed) half_step();
  }

 private:
  // Runs `trips` times `unroll` steps, and moves on.
  void loop(Value* trips, i64 unroll) {
    if (auto known = constant_of(trips); known && *known <= 1) {
      if (*known == 1) emit_steps(unroll);
      return;
    }
    llvm::IRBuilderBase& b = e_.b;
    auto* before = b.GetInsertBlock();
    auto* body = new_block(b, "steps");
    auto* done = new_block(b, "steps.done");
    const State entry = state();
    if (constant_of(trips)) {
      b.CreateBr(body);
    } else {
      b.CreateCondBr(b.CreateICmpSGT(trips, e_.constant(0)), body, done);
    }
    b.SetInsertPoint(body);
    auto* left = b.CreatePHI(b.getInt64Ty(), 2);
    left->addIncoming(trips, before);
    std::vector<llvm::PHINode*> phis = enter(entry, before);
    emit_steps(unroll);
    Value* next = b.CreateSub(left, e_.constant(1));
    b.CreateCondBr(b.CreateICmpSGT(next, e_.constant(0)), body, done);
    left->addIncoming(next, body);
    const State exit = state();
    for (u64 i = 0; i < phis.size(); ++i) phis[i]->addIncoming(exit[i], body);
    b.SetInsertPoint(done);
    if (!constant_of(trips)) leave(entry, before, exit, body);
  }

  // What the loop carries: the two addresses and the sums.
  using State = std::vector<Value*>;

  State state() const {
    State values{a_, b_};
    values.insert(values.end(), acc_.begin(), acc_.end());
    return values;
  }

  void set_state(const std::vector<llvm::PHINode*>& values) {
    a_ = values[0];
    b_ = values[1];
    std::copy(values.begin() + 2, values.end(), acc_.begin());
  }

  std::vector<llvm::PHINode*> enter(const State& entry, llvm::BasicBlock* before) {
    std::vector<llvm::PHINode*> phis;
    for (Value* value : entry) {
      phis.push_back(e_.b.CreatePHI(value->getType(), 2));
      phis.back()->addIncoming(value, before);
    }
    set_state(phis);
    return phis;
  }

  void leave(const State& entry, llvm::BasicBlock* before, const State& exit,
             llvm::BasicBlock* body) {
    std::vector<llvm::PHINode*> phis = enter(entry, before);
    for (u64 i = 0; i < phis.size(); ++i) phis[i]->addIncoming(exit[i], body);
  }

  void emit_steps(i64 count) {
    if (e_.plan.prefetch_a && count > 1) prefetch_next_rows(count);
    for (i64 u = 0; u < count; ++u) {
      std::vector<Value*> columns = load_b(e_.offset(b_, e_.mul(tile_.b_view->step, u)));
      Value* a = e_.offset(a_, e_.mul(tile_.a_view->step, u));
      for (i64 r = 0; r < tile_.rows; ++r) {
        multiply_row(r, load_a(e_.offset(a, row_offsets_[static_cast<u64>(r)])), columns);
      }
    }
    a_ = e_.offset(a_, e_.mul(tile_.a_view->step, count));
    b_ = e_.offset(b_, e_.mul(tile_.b_view->step, count));
  }

  void multiply_row(i64 row, Value* a, const std::vector<Value*>& columns) {
    const u64 count = columns.size();
    for (u64 v = 0; v < count; ++v) {
      Value*& sum = acc_[static_cast<u64>(row) * count + v];
      const auto lanes = static_cast<unsigned>(tile_.columns[v].lanes);
      sum = e_.multiply_add(e_.b.CreateVectorSplat(lanes, a), columns[v], sum);
    }
  }

  // The last element of an odd k, as a pair with zero. B's packed block has the zero on its side.
  void half_step() {
    Value* is_odd = e_.b.CreateTrunc(tile_.k, e_.b.getInt1Ty());
    if (constant_of(is_odd) == 0) return;
    const State entry = state();
    auto* before = e_.b.GetInsertBlock();
    auto* body = new_block(e_.b, "half");
    auto* done = new_block(e_.b, "half.done");
    e_.b.CreateCondBr(is_odd, body, done);
    e_.b.SetInsertPoint(body);
    std::vector<Value*> columns = load_b(b_);
    for (i64 r = 0; r < tile_.rows; ++r) {
      Value* at = e_.offset(a_, row_offsets_[static_cast<u64>(r)]);
      Value* half = e_.b.CreateLoad(e_.b.getInt16Ty(), at);
      multiply_row(r, e_.b.CreateZExt(half, e_.b.getInt32Ty()), columns);
    }
    e_.b.CreateBr(done);
    const State exit = state();
    e_.b.SetInsertPoint(done);
    leave(entry, before, exit, body);
  }

  Value* load_a(Value* at) const {
    const bool as_units = tile_.a_view->packed || e_.facts.step_k > 1;
    return as_units ? e_.b.CreateAlignedLoad(e_.unit_type(), at, llvm::Align(e_.cell_bytes()))
                    : e_.load_element(at, e_.shape.a);
  }

  std::vector<Value*> load_b(Value* at) const {
    std::vector<Value*> vectors;
    for (const ColumnVector& column : tile_.columns) {
      if (tile_.b_view->packed) {
        Value* units = e_.offset(at, column.first * e_.facts.unit_bytes);
        vectors.push_back(e_.load_raw(units, e_.unit_type(), column.lanes, nullptr));
      } else {
        Value* elements = e_.offset(at, column.first * size_of(e_.shape.b));
        vectors.push_back(e_.load_vector(elements, e_.shape.b, column.lanes, column.mask));
      }
    }
    return vectors;
  }

  // The rows below come next: asks for their lines, at the distance of this tile's height, to be in
  // L2 by then. Hardware does not foresee them, since rows lie on pages of their own.
  void prefetch_next_rows(i64 steps) const {
    for (i64 r = 0; r < tile_.rows; ++r) {
      Value* row = e_.mul(tile_.a_view->line, tile_.rows + r);
      Value* ahead = e_.offset(e_.offset(a_, row), e_.mul(tile_.a_view->step, steps));
      e_.b.CreateIntrinsic(llvm::Intrinsic::prefetch, {ahead->getType()},
                           {ahead, e_.b.getInt32(0), e_.b.getInt32(2), e_.b.getInt32(1)});
    }
  }

  const Emitter& e_;
  const RegisterTile& tile_;
  std::vector<Value*>& acc_;
  Value* a_;
  Value* b_;
  std::vector<Value*> row_offsets_;
};

}  // namespace

void emit_tile(const Emitter& e, const RegisterTile& tile, std::vector<Value*>& acc) {
  TileEmitter(e, tile, acc).run();
}

}  // namespace peri::cpu::contraction
