#include "passes/rewriter.h"

#include <algorithm>
#include <utility>

#include "interp/ops.h"

namespace peri::passes {

bool Rewriter::run() {
  for (const ir::Root& root : kernel.roots) run_graph(root.body);
  substitution_.apply(kernel);
  return changed_;
}

void Rewriter::run_graph(ir::GraphId graph) {
  ir::GraphId outer_graph = std::exchange(graph_, graph);
  std::vector<ir::OpId> outer_done = std::exchange(done_, {});
  run_ops(std::vector<ir::OpId>(kernel[graph].ops));
  substitution_.apply(kernel[graph].yields);
  kernel[graph].ops = std::exchange(done_, std::move(outer_done));
  graph_ = outer_graph;
}

void Rewriter::run_ops(const std::vector<ir::OpId>& ops) {
  for (ir::OpId id : ops) {
    substitution_.apply(kernel[id].operands);
    span_ = kernel[id].span;
    removed_ = false;
    while (!removed_ && simplify_(*this, id)) changed_ = true;
    if (removed_) continue;
    std::vector<ir::GraphId> regions = kernel[id].regions;
    for (ir::GraphId region : regions) run_graph(region);
    done_.push_back(id);
  }
}

std::vector<ir::ValueId> Rewriter::splice(ir::GraphId region) {
  std::vector<ir::OpId> ops = std::exchange(kernel[region].ops, {});
  for (ir::OpId id : ops) {
    for (ir::ValueId result : kernel[id].results) kernel[result].owner = graph_;
  }
  run_ops(ops);
  substitution_.apply(kernel[region].yields);
  return kernel[region].yields;
}

const ir::Op* Rewriter::definition(ir::ValueId value, ir::OpCode code) const {
  ir::OpId def = kernel[value].def;
  return def && kernel[def].code == code ? &kernel[def] : nullptr;
}

std::optional<SymValue> Rewriter::constant(ir::ValueId value) const {
  const ir::Op* def = definition(value, ir::OpCode::Const);
  if (!def) return std::nullopt;
  return interp::value_of(interp::constant(def->attrs.constant, type(value).dtype, true));
}

bool Rewriter::covers(const TileType& kept, const TileType& other) {
  if (other.is_scalar()) return true;
  return std::ranges::equal(kept.shape, other.shape, [](const Dim& a, const Dim& b) {
    return !b.block || a.block == b.block;
  });
}

ir::ValueId Rewriter::splatted(ir::ValueId value) const {
  const ir::Op* def = definition(value, ir::OpCode::Expand);
  return def && type(def->operands[0]).is_scalar() ? def->operands[0] : ir::ValueId();
}

ir::ValueId Rewriter::insert(ir::OpCode code, std::vector<ir::ValueId> operands, TileType type,
                             ir::Attrs attrs) {
  ir::Builder builder(kernel, graph_);
  builder.set_span(span_);
  ir::OpId id = builder.add(code, std::move(operands), std::move(attrs), {std::move(type)});
  kernel[graph_].ops.pop_back();
  done_.push_back(id);
  return kernel[id].results[0];
}

ir::ValueId Rewriter::insert_constant(Dtype dtype, SymValue value) {
  ir::Attrs attrs;
  attrs.constant = value;
  return insert(ir::OpCode::Const, {}, TileType{dtype, {}}, std::move(attrs));
}

bool Rewriter::become(ir::OpId id, ir::OpCode code, std::vector<ir::ValueId> operands,
                      ir::Attrs attrs) {
  ir::Op& op = kernel[id];
  op.code = code;
  op.operands = std::move(operands);
  op.attrs = std::move(attrs);
  return true;
}

bool Rewriter::replace(ir::OpId id, ir::ValueId value) {
  return replace(id, std::vector<ir::ValueId>{value});
}

bool Rewriter::replace(ir::OpId id, const std::vector<ir::ValueId>& values) {
  if (!same_types(values, kernel[id].results)) return false;
  for (size_t i = 0; i < values.size(); ++i) substitute(kernel[id].results[i], values[i]);
  return removed_ = true;
}

bool Rewriter::same_types(const std::vector<ir::ValueId>& a,
                          const std::vector<ir::ValueId>& b) const {
  return std::ranges::equal(a, b, [&](ir::ValueId x, ir::ValueId y) { return type(x) == type(y); });
}

}  // namespace peri::passes
