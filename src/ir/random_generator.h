// The state behind random_kernel: values at hand, axes, and the pieces that kernels are made of.
#pragma once

#include <functional>
#include <optional>
#include <random>
#include <vector>

#include "ir/random_kernel.h"

namespace peri::ir {

// One axis that tensors and tiles have: a grid axis, or one that is taken whole or looped over.
struct RandomAxis {
  i64 size = 1;
  BlockId open;  // the block whose tile it is at the moment
};

class RandomGenerator {
 public:
  RandomGenerator(u64 seed, const RandomOptions& options);
  Kernel run();

 private:
  // --- chance
  i64 below(i64 n) { return static_cast<i64>(random_() % static_cast<u64>(n)); }
  bool chance(i64 percent) { return below(100) < percent; }
  template <class T>
  T one_of(std::initializer_list<T> items) {
    return items.begin()[below(static_cast<i64>(items.size()))];
  }

  // --- structure (random_kernel.cpp)
  void inputs();
  void root();
  void finish_root();
  void steps(i64 count, i64 depth);
  void step(i64 depth);
  void loop(i64 depth);
  BlockId loop_axis(i64 axis, std::vector<ValueId>& bounds);
  ValueId next_of(ValueId param, std::size_t first);
  void drop_axis(std::size_t first, BlockId block);
  ValueId tile_numbers(BlockId block);
  void branch(i64 depth);
  ValueId condition();
  void store(ValueId value);
  Sym block_size(i64 axis_size, BlockId block);

  // --- ops (random_ops.cpp)
  void source();
  void load();
  Index subscript(const TensorParam& tensor, i64 dim, std::vector<ValueId>& operands,
                  bool& gathered);
  void shifted_load();
  void unary();
  ValueId bounded(OpCode code, ValueId x);
  void binary();
  ValueId float_binary(ValueId a, ValueId b);
  ValueId integer_binary(ValueId a, ValueId b);
  void compare();
  void select();
  void cast();
  void reduce();
  void view();
  void dot();
  void random_numbers();

  // --- values
  Dtype dtype_of(ValueId v) const { return kernel_[v].type.dtype; }
  const std::vector<Dim>& shape_of(ValueId v) const { return kernel_[v].type.shape; }
  i64 rank_of(ValueId v) const { return kernel_[v].type.rank(); }
  // Exact: no rounding took place, whatever the implementation. Integers and bools always are.
  bool is_exact(ValueId v) const {
    return !is_float(dtype_of(v)) || (v.index < std::ssize(exact_) && exact_[v.index]);
  }
  void mark(ValueId value, bool exact);
  // Offers a value to later steps.
  ValueId add(ValueId value, bool exact);
  std::optional<ValueId> find(const std::function<bool(ValueId)>& good);
  ValueId number(Dtype dtype, double value);
  ValueId integer(i64 value);
  ValueId op(OpCode code, std::vector<ValueId> operands) {
    return builder_.elementwise(code, std::move(operands));
  }
  ValueId scaled(ValueId value, double factor);
  // `value` in the shape, if its extents are some of the shape's, in order.
  std::optional<ValueId> fit(ValueId value, std::vector<Dim> shape);
  // A value of the dtype that goes with `like` in elementwise ops.
  ValueId partner(ValueId like);
  // The indices of an axis's current tile, in the given shape, where `dim` is that axis.
  ValueId indices(BlockId block, std::vector<Dim> shape, i64 dim);
  Dim extent(BlockId block) const { return {kernel_[block].size, block}; }
  TensorId add_tensor(std::string name, Dtype dtype, std::vector<i64> axes, std::vector<i64> sizes);

  RandomOptions options_;
  std::mt19937_64 random_;
  Kernel kernel_;
  Builder builder_;
  std::vector<RandomAxis> axes_;
  i64 grid_axes_ = 0;
  std::vector<std::vector<i64>> tensor_axes_;  // by tensor and dimension; -1: no axis
  std::vector<ValueId> pool_;                  // values at hand, in order of definition
  std::vector<bool> exact_;                    // by value
  i64 outputs_ = 0;
};

}  // namespace peri::ir
