#include "plan/schedule.h"

#include <algorithm>
#include <unordered_map>

namespace peri::plan {

namespace {

// One entry of a run at some loop depth: a leaf (one work), or a loop over `axis` around several.
struct Item {
  AxisId axis;  // none: leaf
  std::vector<i64> works;
};

class LoopScheduler {
 public:
  LoopScheduler(Plan& plan, const std::vector<Work>& works, const std::vector<i64>& rank_of,
                std::vector<std::vector<NodeId>>& paths)
      : plan_(plan), works_(works), rank_of_(rank_of), paths_(paths) {
    paths_.assign(works.size(), {});
    for (i64 w = 0; w < static_cast<i64>(works.size()); ++w) {
      if (works[w].result) producer_[works[w].result] = w;
    }
  }

  std::vector<NodeId> run(const std::vector<i64>& works, std::vector<NodeId>& open) {
    std::vector<NodeId> nodes;
    for (Item& item : group(works, open)) {
      if (!item.axis) {
        paths_[item.works[0]] = open;
        nodes.push_back(works_[item.works[0]].node);
        continue;
      }
      Node loop;
      loop.kind = Node::Kind::Loop;
      loop.axis = item.axis;
      NodeId id(static_cast<i64>(plan_.nodes.size()));
      plan_.nodes.push_back(loop);
      open.push_back(id);
      std::vector<NodeId> body = run(item.works, open);
      open.pop_back();
      plan_[id].body = std::move(body);
      nodes.push_back(id);
    }
    return nodes;
  }

 private:
  bool is_open(AxisId axis, const std::vector<NodeId>& open) const {
    return std::any_of(open.begin(), open.end(), [&](NodeId n) { return plan_[n].axis == axis; });
  }

  // The outermost axis of `work` that is not open yet.
  AxisId next_axis(const Work& work, const std::vector<NodeId>& open) const {
    AxisId best;
    for (AxisId axis : work.axes) {
      if (!axis || is_open(axis, open)) continue;
      if (!best || rank_of_[axis.index] < rank_of_[best.index]) best = axis;
    }
    return best;
  }

  // Whether a reader in a loop over `axis` may take the value that `producer` made in the same
  // turn.
  static bool same_turn(const Work& producer, const Read& read, AxisId axis,
                        const std::vector<AxisId>& produced) {
    if (producer.reduced == axis) return false;
    for (size_t d = 0; d < produced.size(); ++d) {
      if (produced[d] == axis) return read.coordinates[d] == axis;
    }
    return false;
  }

  // First item at which `work` may stand, given where what it needs stands.
  i64 earliest(i64 w, AxisId axis, const std::vector<Item>& items,
               const std::unordered_map<i64, i64>& item_of) const {
    const Work& work = works_[w];
    i64 position = 0;
    auto need = [&](i64 other, bool may_share) {
      auto it = item_of.find(other);
      if (it == item_of.end()) return;
      bool shared = axis && items[it->second].axis == axis && may_share;
      position = std::max(position, shared ? it->second : it->second + 1);
    };
    for (const Read& read : work.reads) {
      auto it = producer_.find(read.value);
      if (it == producer_.end()) continue;
      need(it->second, same_turn(works_[it->second], read, axis,
                                 plan_.axes.defined(*plan_.kernel, read.value)));
    }
    for (size_t i = 0; i < work.before.size(); ++i) {
      const std::vector<AxisId>& shareable = work.before_axes[i];
      need(work.before[i], std::find(shareable.begin(), shareable.end(), axis) != shareable.end());
    }
    return position;
  }

  std::vector<Item> group(const std::vector<i64>& works, const std::vector<NodeId>& open) const {
    std::vector<Item> items;
    std::unordered_map<i64, i64> item_of;
    for (i64 w : works) {
      AxisId axis = next_axis(works_[w], open);
      i64 position = earliest(w, axis, items, item_of);
      i64 count = static_cast<i64>(items.size());
      while (position < count && !(axis && items[position].axis == axis)) ++position;
      if (position == count) items.push_back({axis, {}});
      items[position].works.push_back(w);
      item_of[w] = position;
    }
    return items;
  }

  Plan& plan_;
  const std::vector<Work>& works_;
  const std::vector<i64>& rank_of_;
  std::vector<std::vector<NodeId>>& paths_;
  std::unordered_map<ir::ValueId, i64> producer_;
};

}  // namespace

std::vector<NodeId> schedule_loops(Plan& plan, const std::vector<Work>& works,
                                   const std::vector<i64>& rank_of,
                                   std::vector<std::vector<NodeId>>& paths) {
  LoopScheduler scheduler(plan, works, rank_of, paths);
  std::vector<i64> all(works.size());
  for (i64 w = 0; w < static_cast<i64>(works.size()); ++w) all[w] = w;
  std::vector<NodeId> open;
  return scheduler.run(all, open);
}

}  // namespace peri::plan
