#include "runtime/host_plan.h"

#include <fmt/format.h>

#include "base/bug.h"
#include "types/sym_ops.h"

namespace peri::runtime {

HostPlan::HostPlan(const lower::HostProgram& program, std::vector<ScalarValue> known)
    : scalars_(*program.syms, std::move(known)), views_(program.slots.size()) {
  for (const check::Guard& guard : program.guards) {
    GuardPlan plan{scalars_.add(guard.left), scalars_.add(guard.right)};
    if (!scalars_.is_constant(plan.left) || !scalars_.is_constant(plan.right)) {
      guards_.push_back(plan);
    } else {
      never_ = never_ || scalars_.constant(plan.left) != scalars_.constant(plan.right);
    }
  }
  guard_steps_ = scalars_.step_count();
  for (i64 s = 0; s < static_cast<i64>(program.slots.size()); ++s) plan_slot(program, s);
  for (const lower::HostOp& op : program.ops) {
    Sym sym = op.kind == lower::HostOp::Kind::Check ? op.condition : op.fill;
    op_scalars_.push_back(sym ? scalars_.add(sym) : ScalarId());
  }
}

Extent HostPlan::plan_extent(const std::vector<Sym>& syms) {
  Extent extent;
  bool constant = true;
  for (Sym sym : syms) {
    extent.varying.push_back(scalars_.add(sym));
    constant = constant && scalars_.is_constant(extent.varying.back());
  }
  if (!constant) return extent;
  for (ScalarId id : extent.varying) {
    ScalarValue value = scalars_.constant(id);
    if (!value) return extent;  // reported by the call
    extent.constant.push_back(value->integer);
  }
  extent.varying.clear();
  return extent;
}

void HostPlan::plan_slot(const lower::HostProgram& program, i64 index) {
  const lower::Slot& slot = program.slots[index];
  SlotPlan plan;
  plan.sizes = plan_extent(slot.sizes);
  plan.strides = plan_extent(slot.strides);
  plan.root = index;
  std::vector<Sym> offsets;
  for (i64 s = index; program.slots[s].kind == check::HostTensor::Kind::View; s = plan.root) {
    offsets.push_back(program.slots[s].offset);
    plan.root = program.slots[s].base;
    BUG_IF(plan.root < 0 || plan.root >= s, "view `{}` of slot {}", slot.name, plan.root);
  }
  plan.offsets = plan_extent(offsets);
  if (plan.root != index) views_[plan.root].push_back(index);
  if (plan.sizes.varying.empty() && plan.strides.varying.empty()) {
    auto bytes = storage_bytes(slot.dtype, plan.sizes.constant, plan.strides.constant);
    if (bytes) plan.bytes = *bytes;
  }
  slots_.push_back(std::move(plan));
}

bool HostPlan::guards_hold(std::span<const Leaf> leaves, ScalarStorage& storage) const {
  if (never_ || guards_.empty()) return !never_;
  Scalars values = scalars_.evaluate(leaves, storage, guard_steps_);
  for (const GuardPlan& guard : guards_) {
    const ScalarValue& left = values[guard.left.index];
    const ScalarValue& right = values[guard.right.index];
    if (!left || !right || left->as_real() != right->as_real()) return false;
  }
  return true;
}

Expected<i64> evaluate_integer(const ScalarValue& value) {
  if (value) return value->integer;
  return fail("bad-host-scalar", "a host expression has no value for these arguments",
              "look for a division by zero or an overflow in sizes and loop bounds");
}

Expected<std::vector<i64>> evaluate(const Extent& extent, Scalars values) {
  if (extent.varying.empty()) return extent.constant;
  std::vector<i64> integers;
  integers.reserve(extent.varying.size());
  for (ScalarId id : extent.varying) {
    auto integer = evaluate_integer(values[id.index]);
    if (!integer) return std::unexpected(integer.error());
    integers.push_back(*integer);
  }
  return integers;
}

Expected<i64> evaluate_offset(const SlotPlan& slot, Scalars values) {
  i64 sum = 0;
  for (i64 offset : slot.offsets.constant) sum += offset;
  for (ScalarId id : slot.offsets.varying) {
    auto offset = evaluate_integer(values[id.index]);
    if (!offset) return offset;
    sum += *offset;
  }
  return sum;
}

Expected<i64> storage_bytes(Dtype dtype, const std::vector<i64>& sizes,
                            const std::vector<i64>& strides) {
  std::optional<i64> last = 0;
  bool is_empty = false;
  for (std::size_t d = 0; d < sizes.size() && last; ++d) {
    if (sizes[d] < 0) {
      return fail("bad-host-scalar", fmt::format("a tensor of negative size {}", sizes[d]));
    }
    is_empty = is_empty || sizes[d] == 0;
    auto step = sizes[d] == 0 ? std::optional<i64>(0) : checked_mul(sizes[d] - 1, strides[d]);
    last = step ? checked_add(*last, *step) : std::nullopt;
  }
  if (is_empty) return 0;
  auto bytes = last ? checked_mul(*last + 1, size_of(dtype)) : std::nullopt;
  if (bytes) return *bytes;
  return fail("out-of-memory", "a tensor of more than 2^63 bytes");
}

}  // namespace peri::runtime
