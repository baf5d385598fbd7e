// Facts about lanes: which exist, what those that do not hold, and how large integers get.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "backends/triton/plan.h"

namespace peri::triton {

// Smallest and largest value of an integer.
struct Interval {
  i64 low = 0, high = 0;

  bool fits_32_bits() const { return low >= INT32_MIN && high <= INT32_MAX; }
};

class Lanes {
 public:
  explicit Lanes(const Plan& plan);

  // Every tile of the block has as many elements as lanes.
  bool is_full(BlockId block) const;
  // Some lanes of the dimension may not exist. A tile axis whose loop is not running has all.
  bool is_partial(const Dim& dim) const;
  bool is_partial(ir::ValueId value, i64 dim) const;

  void enter(BlockId block) { active_.insert(block); }
  void leave(BlockId block) { active_.erase(block); }
  bool is_active(BlockId block) const { return active_.contains(block); }

  // What the lanes of `value` hold that do not exist along `dim`, if that is known.
  std::optional<SymValue> padding(ir::ValueId value, i64 dim);

  // Of an integer value in all lanes, if known.
  std::optional<Interval> interval(ir::ValueId value);
  // The largest power of two (at most 2^20) that is known to divide an integer scalar.
  i64 multiple_of(ir::ValueId value) const;
  // The same of the start of a block's range.
  i64 multiple_of_begin(BlockId block) const;

 private:
  struct Range {
    ir::ValueId begin, end;  // of a device loop
  };

  i64 multiple_of(Sym sym) const;
  i64 multiple_of_end(BlockId block) const;
  std::optional<Interval> block_interval(BlockId block);
  std::optional<Interval> compute_interval(ir::ValueId value);
  std::optional<Interval> arithmetic_interval(const ir::Op& op);
  std::optional<SymValue> compute_padding(ir::ValueId value, i64 dim);
  std::optional<SymValue> elementwise_padding(const ir::Op& op, i64 dim);

  const Plan& plan_;
  const ir::Kernel& kernel_;
  std::map<BlockId, Range> ranges_;
  std::set<BlockId> active_;
  std::map<ir::ValueId, std::optional<Interval>> intervals_;
};

}  // namespace peri::triton
