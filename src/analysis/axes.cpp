#include "analysis/axes.h"

#include <map>
#include <numeric>

#include "ir/walk.h"

namespace peri::analysis {

using ir::Kernel;
using ir::Op;
using ir::OpCode;
using ir::ValueId;

std::vector<i64> view_dims(const Kernel& kernel, const Op& op) {
  const TileType& from = kernel[op.operands[0]].type;
  const TileType& to = kernel[op.results[0]].type;
  std::vector<i64> dims(from.rank(), -1);
  for (i64 i = 0; i < from.rank(); ++i) {
    switch (op.code) {
      case OpCode::Permute:
        for (i64 j = 0; j < to.rank(); ++j) {
          if (op.attrs.dims[j] == i) dims[i] = j;
        }
        break;
      case OpCode::Unsqueeze:
        dims[i] = i < op.attrs.dims[0] ? i : i + 1;
        break;
      case OpCode::Squeeze:
        if (i != op.attrs.dims[0]) dims[i] = i < op.attrs.dims[0] ? i : i - 1;
        break;
      default:  // Expand
        if (!from.shape[i].is_one() || to.shape[i].is_one()) dims[i] = i;
    }
  }
  return dims;
}

namespace {

// Joins (value, dimension) entries into axes.
class Joiner {
 public:
  explicit Joiner(const Kernel& kernel) : kernel_(kernel) {
    starts_.reserve(kernel.values.size());
    for (const ir::Value& value : kernel.values) {
      starts_.push_back(static_cast<i64>(parents_.size()));
      for (i64 i = 0; i < value.type.rank(); ++i) {
        parents_.push_back(static_cast<i64>(parents_.size()));
        members_.push_back({{starts_.back(), i}});
      }
    }
    for (const Op& op : kernel.ops) join_op(op);
    join_blocks();
  }

  i64 find(i64 entry) {
    while (parents_[entry] != entry) entry = parents_[entry] = parents_[parents_[entry]];
    return entry;
  }
  const std::vector<i64>& starts() const { return starts_; }
  i64 entries() const { return static_cast<i64>(parents_.size()); }

 private:
  struct Member {
    i64 value_start;
    i64 dim;
  };

  const Dim& dim(ValueId value, i64 i) const { return kernel_[value].type.shape[i]; }

  void join(ValueId a, i64 i, ValueId b, i64 j) {
    if (dim(a, i).is_one() || dim(b, j).is_one()) return;
    if (dim(a, i).block != dim(b, j).block) return;
    join_entries(starts_[a.index] + i, starts_[b.index] + j);
  }

  void join_entries(i64 a, i64 b) {
    a = find(a);
    b = find(b);
    if (a == b || conflict(a, b)) return;
    if (members_[a].size() < members_[b].size()) std::swap(a, b);
    parents_[b] = a;
    members_[a].insert(members_[a].end(), members_[b].begin(), members_[b].end());
    members_[b].clear();
  }

  // Whether some value has a dimension in both.
  bool conflict(i64 a, i64 b) const {
    const auto& small = members_[a].size() < members_[b].size() ? members_[a] : members_[b];
    const auto& large = members_[a].size() < members_[b].size() ? members_[b] : members_[a];
    if (small.size() * large.size() > 1 << 16) return true;
    for (const Member& m : small) {
      for (const Member& n : large) {
        if (m.value_start == n.value_start) return true;
      }
    }
    return false;
  }

  void join_blocks() {
    std::map<BlockId, i64> first;
    for (i64 v = 0; v < static_cast<i64>(kernel_.values.size()); ++v) {
      const TileType& type = kernel_.values[v].type;
      for (i64 i = 0; i < type.rank(); ++i) {
        if (!type.shape[i].block || type.shape[i].is_one()) continue;
        auto [it, fresh] = first.try_emplace(type.shape[i].block, starts_[v] + i);
        if (!fresh) join_entries(it->second, starts_[v] + i);
      }
    }
  }

  void join_all(ValueId a, ValueId b) {
    if (kernel_[a].type.rank() != kernel_[b].type.rank()) return;
    for (i64 i = 0; i < kernel_[a].type.rank(); ++i) join(a, i, b, i);
  }

  void join_op(const Op& op) {
    const ir::OpInfo& row = ir::info(op.code);
    if (row.has(ir::Elementwise)) {
      for (ValueId operand : op.operands) join_all(operand, op.results[0]);
    } else if (row.rule == ir::Rule::View) {
      join_view(op);
    } else if (row.rule == ir::Rule::Reduce) {
      i64 out = 0;
      for (i64 i = 0; i < kernel_[op.operands[0]].type.rank(); ++i) {
        if (i != op.attrs.dims[0]) join(op.operands[0], i, op.results[0], out++);
      }
    } else if (row.rule == ir::Rule::Dot) {
      join_dot(op);
    } else if (ir::is_access(op)) {
      join_access(op);
    }
  }

  void join_view(const Op& op) {
    const TileType& from = kernel_[op.operands[0]].type;
    const TileType& to = kernel_[op.results[0]].type;
    if (op.code == OpCode::Reshape) {
      for (i64 i = 0; i < std::min(from.rank(), to.rank()) && from.shape[i] == to.shape[i]; ++i) {
        join(op.operands[0], i, op.results[0], i);
      }
      return;
    }
    std::vector<i64> dims = view_dims(kernel_, op);
    for (i64 i = 0; i < static_cast<i64>(dims.size()); ++i) {
      if (dims[i] >= 0) join(op.operands[0], i, op.results[0], dims[i]);
    }
  }

  void join_dot(const Op& op) {
    i64 rank = kernel_[op.results[0]].type.rank();
    for (i64 i = 0; i + 2 < rank; ++i) {
      join(op.operands[0], i, op.results[0], i);
      join(op.operands[1], i, op.results[0], i);
    }
    join(op.operands[0], rank - 2, op.results[0], rank - 2);
    join(op.operands[1], rank - 1, op.results[0], rank - 1);
    join(op.operands[0], rank - 1, op.operands[1], rank - 2);
    if (op.operands.size() > 2) join_all(op.operands[2], op.results[0]);
  }

  // Gather indices and masks run along the accessed value.
  void join_access(const Op& op) {
    ValueId value = ir::accessed_value(op);
    if (op.attrs.has_mask) join_all(op.operands.back(), value);
    i64 out = 0;
    bool gathered = false;
    for (const ir::Index& index : op.attrs.indices) {
      if (index.kind == ir::Index::Kind::Scalar) continue;
      if (index.kind != ir::Index::Kind::Gather) {
        ++out;
        continue;
      }
      ValueId operand = op.operands[index.operand];
      i64 rank = kernel_[operand].type.rank();
      i64 at = gathered ? gather_at_ : out;
      for (i64 i = 0; i < rank; ++i) join(operand, i, value, at + i);
      if (!gathered) {
        gather_at_ = out;
        out += rank;
      }
      gathered = true;
    }
  }

  const Kernel& kernel_;
  std::vector<i64> starts_;
  std::vector<i64> parents_;
  std::vector<std::vector<Member>> members_;
  i64 gather_at_ = 0;
};

}  // namespace

Axes::Axes(const Kernel& kernel) {
  Joiner joiner(kernel);
  starts_ = joiner.starts();
  ids_.resize(joiner.entries());
  std::map<i64, AxisId> named;
  for (i64 v = 0; v < static_cast<i64>(kernel.values.size()); ++v) {
    const TileType& type = kernel.values[v].type;
    for (i64 i = 0; i < type.rank(); ++i) {
      if (type.shape[i].is_one()) continue;
      i64 entry = starts_[v] + i;
      auto [it, fresh] = named.try_emplace(joiner.find(entry), AxisId(count()));
      if (fresh) axes_.push_back({type.shape[i].block, type.shape[i].size});
      ids_[entry] = it->second;
    }
  }
}

std::vector<AxisId> Axes::of(ValueId value) const {
  i64 begin = starts_[value.index];
  i64 end = value.index + 1 < static_cast<i64>(starts_.size()) ? starts_[value.index + 1]
                                                               : static_cast<i64>(ids_.size());
  return {ids_.begin() + begin, ids_.begin() + end};
}

std::vector<AxisId> Axes::defined(const Kernel& kernel, ValueId value) const {
  ir::OpId def = kernel[value].def;
  if (!def || ir::info(kernel[def].code).rule != ir::Rule::Reduce) return of(value);
  std::vector<AxisId> axes = of(kernel[def].operands[0]);
  axes.erase(axes.begin() + kernel[def].attrs.dims[0]);
  return axes;
}

}  // namespace peri::analysis
