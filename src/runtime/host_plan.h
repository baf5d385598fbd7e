// The host program of one specialisation and config, with every expression numbered and everything
// that no call changes worked out. Shared by whatever runs host programs.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/expected.h"
#include "lower/host_program.h"
#include "runtime/host_scalars.h"
#include "runtime/tensor.h"

namespace peri::runtime {

// Several integers: constant, or scalars of a call.
struct Extent {
  std::vector<i64> constant;
  std::vector<ScalarId> varying;  // empty: `constant` holds
};

struct SlotPlan {
  Extent sizes, strides;
  Extent offsets;  // their sum: elements after the first one of `root`
  i64 root = -1;   // the slot that owns the storage: itself, or what a view is a view of
  i64 bytes = -1;  // Alloc: of the storage; -1: depends on the call
};

using Scalars = std::span<const ScalarValue>;

class HostPlan {
 public:
  // `known`: values of config symbols, by symbol; none for the symbols that a call binds.
  HostPlan(const lower::HostProgram& program, std::vector<ScalarValue> known);

  ScalarProgram& scalars() { return scalars_; }
  const ScalarProgram& scalars() const { return scalars_; }
  const SlotPlan& slot(i64 index) const { return slots_[index]; }
  // Views of the storage of slot `root`, in order.
  const std::vector<i64>& views(i64 root) const { return views_[root]; }
  // Condition or fill of host op `index`; none if it has none.
  ScalarId op_scalar(i64 index) const { return op_scalars_[index]; }
  ScalarId scalar(Sym sym) { return scalars_.add(sym); }
  ScalarId find(Sym sym) const { return scalars_.find(sym); }  // added before

  // Whether what the specialisation relies on is true of these arguments.
  bool guards_hold(std::span<const Leaf> leaves, ScalarStorage& storage) const;

 private:
  Extent plan_extent(const std::vector<Sym>& syms);
  void plan_slot(const lower::HostProgram& program, i64 index);

  ScalarProgram scalars_;
  std::vector<SlotPlan> slots_;
  std::vector<std::vector<i64>> views_;
  struct GuardPlan {
    ScalarId left, right;
  };
  std::vector<GuardPlan> guards_;  // those that a call can break
  bool never_ = false;             // a guard that no call fulfils
  i64 guard_steps_ = 0;            // of `scalars_`: those that guards need
  std::vector<ScalarId> op_scalars_;
};

// The integers of `extent` in a call; fails with `bad-host-scalar` where one has no value.
Expected<std::vector<i64>> evaluate(const Extent& extent, Scalars values);
Expected<i64> evaluate_integer(const ScalarValue& value);
Expected<i64> evaluate_offset(const SlotPlan& slot, Scalars values);

// Bytes from the first element to after the last one; fails on negative and absurd sizes.
Expected<i64> storage_bytes(Dtype dtype, const std::vector<i64>& sizes,
                            const std::vector<i64>& strides);

}  // namespace peri::runtime
