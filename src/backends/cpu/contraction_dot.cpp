// Tiles whose vectors run along k: each sum is a vector until the end, where its lanes are added.
#include "backends/cpu/contraction_emit.h"

namespace peri::cpu::contraction {
namespace {

class DotEmitter {
 public:
  DotEmitter(const Emitter& e, const DotTile& tile) : e_(e), tile_(tile) {
    // Few sums would wait for each other: each is split over several vectors then.
    while (splits_ * tile.rows * tile.columns < 8) splits_ *= 2;
    llvm::Type* type = e.vector_type(e.acc_type(), e.facts.lanes);
    acc_.assign(static_cast<size_t>(splits_ * tile.rows * tile.columns),
                llvm::Constant::getNullValue(type));
  }

  std::vector<Value*> run() {
    const i64 lanes = e_.facts.lanes;
    Value* split_end = e_.b.CreateAnd(tile_.k, e_.constant(-lanes * splits_));
    loop(e_.constant(0), split_end, splits_, lanes);
    join_splits();
    Value* whole_end = e_.b.CreateAnd(tile_.k, e_.constant(-lanes));
    loop(split_end, whole_end, 1, lanes);
    rest(whole_end);
    return results();
  }

 private:
  i64 sums() const { return tile_.rows * tile_.columns; }

  // acc += products of the elements in [begin, end), `count` vectors of `step` elements at a time.
  void loop(Value* begin, Value* end, i64 count, i64 step) {
    Value* enter = e_.b.CreateICmpSLT(begin, end);
    if (constant_of(enter) == 0) return;
    llvm::IRBuilderBase& b = e_.b;
    auto* before = b.GetInsertBlock();
    auto* body = new_block(b, "dot");
    auto* done = new_block(b, "dot.done");
    b.CreateCondBr(enter, body, done);
    b.SetInsertPoint(body);
    auto* k = b.CreatePHI(b.getInt64Ty(), 2);
    k->addIncoming(begin, before);
    const std::vector<Value*> entry = acc_;
    std::vector<llvm::PHINode*> phis = phis_of(entry, before);
    for (i64 split = 0; split < count; ++split) {
      Value* at = e_.add(k, e_.constant(split * step));
      multiply(split, [&](Value* line, Dtype dtype) { return load(line, at, dtype, step); });
    }
    Value* next = b.CreateAdd(k, e_.constant(count * step));
    k->addIncoming(next, body);
    b.CreateCondBr(b.CreateICmpSLT(next, end), body, done);
    const std::vector<Value*> exit = acc_;
    for (size_t i = 0; i < phis.size(); ++i) phis[i]->addIncoming(exit[i], body);
    b.SetInsertPoint(done);
    std::vector<llvm::PHINode*> merged = phis_of(entry, before);
    for (size_t i = 0; i < merged.size(); ++i) merged[i]->addIncoming(exit[i], body);
  }

  std::vector<llvm::PHINode*> phis_of(const std::vector<Value*>& values, llvm::BasicBlock* from) {
    std::vector<llvm::PHINode*> phis;
    for (Value* value : values) {
      phis.push_back(e_.b.CreatePHI(value->getType(), 2));
      phis.back()->addIncoming(value, from);
    }
    std::copy(phis.begin(), phis.end(), acc_.begin());
    return phis;
  }

  // `step` elements of a line; a single one goes to lane 0.
  Value* load(Value* line, Value* k, Dtype dtype, i64 step) const {
    Value* at = e_.offset(line, e_.mul(k, size_of(dtype)));
    if (step > 1) return e_.load_vector(at, dtype, step, nullptr);
    Value* zero = llvm::Constant::getNullValue(acc_[0]->getType());
    return e_.b.CreateInsertElement(zero, e_.load_element(at, dtype), u64{0});
  }

  template <class Load>
  void multiply(i64 split, Load load_line) {
    std::vector<Value*> columns;
    for (i64 c = 0; c < tile_.columns; ++c) {
      columns.push_back(load_line(e_.offset(tile_.b, e_.mul(tile_.b_stride, c)), tile_.b_type));
    }
    for (i64 r = 0; r < tile_.rows; ++r) {
      Value* a = load_line(e_.offset(tile_.a, e_.mul(tile_.a_stride, r)), e_.shape.a);
      for (i64 c = 0; c < tile_.columns; ++c) {
        Value*& sum = acc_[static_cast<size_t>(split * sums() + r * tile_.columns + c)];
        sum = e_.multiply_add(a, columns[static_cast<size_t>(c)], sum);
      }
    }
  }

  void join_splits() {
    for (i64 half = splits_ / 2; half > 0; half /= 2) {
      for (i64 i = 0; i < half * sums(); ++i) {
        Value*& sum = acc_[static_cast<size_t>(i)];
        sum = e_.plus(sum, acc_[static_cast<size_t>(i + half * sums())]);
      }
    }
    acc_.resize(static_cast<size_t>(sums()));
  }

  // The elements of k that fill no vector.
  void rest(Value* begin) {
    const i64 element = std::min(size_of(e_.shape.a), size_of(tile_.b_type));
    if (!has_masked_loads(element, e_.target)) {
      loop(begin, tile_.k, 1, 1);
      return;
    }
    Value* left = e_.b.CreateSub(tile_.k, begin);
    if (constant_of(left) == 0) return;
    Value* mask = e_.mask_below(left, e_.facts.lanes);
    multiply(0, [&](Value* line, Dtype dtype) {
      Value* at = e_.offset(line, e_.mul(begin, size_of(dtype)));
      return e_.load_vector(at, dtype, e_.facts.lanes, mask);
    });
  }

  std::vector<Value*> results() const {
    std::vector<Value*> rows;
    const auto count = static_cast<size_t>(tile_.columns);
    for (size_t r = 0; r < static_cast<size_t>(tile_.rows); ++r) {
      std::vector<Value*> sums(acc_.begin() + static_cast<long>(r * count),
                               acc_.begin() + static_cast<long>((r + 1) * count));
      const auto lanes = static_cast<size_t>(dot_columns(e_.facts));
      sums.resize(lanes, llvm::Constant::getNullValue(sums[0]->getType()));
      rows.push_back(add_lanes(sums));
    }
    return rows;
  }

  // Vector i's lanes added, in lane i.
  Value* add_lanes(std::vector<Value*> vectors) const {
    for (Value*& vector : vectors) vector = fold_to(vector, static_cast<int>(vectors.size()));
    while (vectors.size() > 1) {
      std::vector<Value*> next;
      for (size_t i = 0; i < vectors.size(); i += 2) {
        next.push_back(add_pairwise(vectors[i], vectors[i + 1], static_cast<int>(vectors.size())));
      }
      vectors = next;
    }
    return vectors[0];
  }

  // Adds the halves of a vector until `lanes` are left.
  Value* fold_to(Value* vector, int lanes) const {
    for (int width = static_cast<int>(e_.facts.lanes); width > lanes; width /= 2) {
      std::vector<int> low, high;
      for (int i = 0; i < width / 2; ++i) {
        low.push_back(i);
        high.push_back(width / 2 + i);
      }
      vector =
          e_.plus(e_.b.CreateShuffleVector(vector, low), e_.b.CreateShuffleVector(vector, high));
    }
    return vector;
  }

  // Of `groups` vectors, each of which holds partial sums in runs of lanes: halves the runs of two
  // neighbours and puts them side by side.
  Value* add_pairwise(Value* x, Value* y, int groups) const {
    const int lanes =
        static_cast<int>(llvm::cast<llvm::FixedVectorType>(x->getType())->getNumElements());
    const int half = groups / 2;         // partial sums that stay of each
    const int results = lanes / groups;  // finished lanes that x and y carry each
    std::vector<int> low, high;
    for (int from : {0, lanes}) {
      for (int i = 0; i < results * half; ++i) {
        const int at = from + i / half * groups + i % half;
        low.push_back(at);
        high.push_back(at + half);
      }
    }
    return e_.plus(e_.b.CreateShuffleVector(x, y, low), e_.b.CreateShuffleVector(x, y, high));
  }

  const Emitter& e_;
  const DotTile& tile_;
  i64 splits_ = 1;
  std::vector<Value*> acc_;
};

}  // namespace

i64 dot_columns(const Facts& facts) { return std::min<i64>(facts.lanes, 4); }

std::vector<Value*> emit_dot_tile(const Emitter& e, const DotTile& tile) {
  return DotEmitter(e, tile).run();
}

}  // namespace peri::cpu::contraction
