#include "lower/lower.h"

#include <utility>

#include "base/bug.h"
#include "ir/rules.h"
#include "lower/lowerer.h"

namespace peri::lower {

using check::Tstmt;
using check::TstmtId;
using check::TstmtKind;
using check::VarId;
using ir::GraphId;
using ir::OpCode;
using ir::ValueId;

Lowered lower(const check::TypedKernel& typed) {
  return {Lowerer(typed).run(), make_host_program(typed)};
}

Lowerer::Lowerer(const check::TypedKernel& typed)
    : typed_(typed),
      equalities_(typed),
      builder_(kernel_, {}),
      composites_(builder_, [this](BlockId block) { return open_[block.index]; }),
      variables_(typed.vars.size()),
      open_(typed.blocks.size()) {}

ir::Kernel Lowerer::run() {
  kernel_.name = typed_.name;
  kernel_.syms = typed_.syms;
  for (Block block : typed_.blocks) {
    for (Sym* sym : {&block.size, &block.begin, &block.end, &block.step}) {
      *sym = equalities_.canonical(*sym);
    }
    kernel_.blocks.push_back(std::move(block));
  }
  for (const check::Root& r : typed_.roots) root(r);
  return std::move(kernel_);
}

Lowerer::In::In(Lowerer& lowerer, GraphId graph)
    : lowerer_(lowerer), outer_(lowerer.builder_.graph()) {
  lowerer.builder_.set_graph(graph);
}

Lowerer::In::~In() { lowerer_.builder_.set_graph(outer_); }

void Lowerer::root(const check::Root& root) {
  GraphId body = ir::add_graph(kernel_);
  variables_.assign(typed_.vars.size(), {});
  kernel_.roots.push_back({root.blocks, body, root.span});
  In graph(*this, body);
  enter(root.blocks);
  statements(root.body);
  leave(root.blocks);
}

void Lowerer::enter(const std::vector<BlockId>& blocks) {
  for (BlockId block : blocks) open_[block.index] = true;
}

void Lowerer::leave(const std::vector<BlockId>& blocks) {
  for (BlockId block : blocks) open_[block.index] = false;
}

void Lowerer::statements(const std::vector<TstmtId>& body) {
  for (TstmtId id : body) statement(typed_[id]);
}

void Lowerer::statement(const Tstmt& stmt) {
  lowered_.clear();
  builder_.set_span(stmt.span);
  switch (stmt.kind) {
    case TstmtKind::Assign:
      return assign(stmt);
    case TstmtKind::Store:
      return store(stmt);
    case TstmtKind::For:
      return loop(stmt);
    case TstmtKind::If:
      return branch(stmt);
  }
}

void Lowerer::assign(const Tstmt& stmt) {
  ValueId value = lower(stmt.value);
  if (kernel_[value].name.empty()) kernel_[value].name = typed_.vars[stmt.var.index].name;
  variables_[stmt.var.index] = value;
}

void Lowerer::store(const Tstmt& stmt) {
  ValueId value = lower(stmt.value);
  ValueId mask = stmt.mask ? lower(stmt.mask) : ValueId();
  Access to = access(stmt.tensor, stmt.indices);
  TileType type = ir::access_type(kernel_, to.tensor, to.indices, to.operands);
  builder_.set_span(stmt.span);
  value = conform(builder_.cast(value, type.dtype), type.shape);
  if (mask) mask = conform(mask, type.shape);
  builder_.store(value, to.tensor, std::move(to.indices), std::move(to.operands), mask);
}

std::set<VarId> Lowerer::assigned_in(const std::vector<TstmtId>& body) const {
  std::set<VarId> vars;
  for (TstmtId id : body) {
    const Tstmt& stmt = typed_[id];
    if (stmt.kind == TstmtKind::Assign) vars.insert(stmt.var);
    for (const auto* nested : {&stmt.body, &stmt.orelse}) vars.merge(assigned_in(*nested));
  }
  return vars;
}

namespace {

bool fits(const TileType& next, const TileType& type) {
  return next.dtype == type.dtype && ir::agree(next.shape, type.shape);
}

}  // namespace

// Every variable that the body assigns and that exists before is a candidate; one whose value has
// another type at the end of the body was not meant to be carried, and is lost.
void Lowerer::loop(const Tstmt& stmt) {
  std::vector<ValueId> operands;
  for (std::size_t i = 0; i < stmt.blocks.size(); ++i) {
    operands.push_back(scalar(stmt.begins[i], Dtype::I64));
    operands.push_back(scalar(stmt.ends[i], Dtype::I64));
  }
  const Environment before = variables_;
  GraphId body = ir::add_graph(kernel_);
  std::map<VarId, ValueId> params;
  for (VarId var : assigned_in(stmt.body)) {
    ValueId initial = before[var.index];
    if (!initial) continue;
    TileType type = type_of(initial);
    params[var] = variables_[var.index] = ir::add_param(kernel_, body, std::move(type));
    kernel_[variables_[var.index]].name = typed_.vars[var.index].name;
  }
  {
    In graph(*this, body);
    enter(stmt.blocks);
    statements(stmt.body);
    leave(stmt.blocks);
  }
  Environment after = std::exchange(variables_, before);
  std::vector<VarId> carried;
  std::vector<TileType> types;
  ir::Graph& graph = kernel_[body];
  graph.params.clear();
  for (auto [var, param] : params) {
    ValueId next = after[var.index];
    variables_[var.index] = {};
    if (!next || !fits(type_of(next), type_of(param))) continue;
    carried.push_back(var);
    operands.push_back(before[var.index]);
    types.push_back(type_of(param));
    graph.params.push_back(param);
    graph.yields.push_back(next);
  }
  ir::Attrs attrs;
  attrs.blocks = stmt.blocks;
  builder_.set_span(stmt.span);
  ir::OpId id =
      builder_.add(OpCode::For, std::move(operands), std::move(attrs), std::move(types), {body});
  for (std::size_t i = 0; i < carried.size(); ++i) {
    ValueId result = kernel_[id].results[i];
    variables_[carried[i].index] = result;
    kernel_[result].name = typed_.vars[carried[i].index].name;
  }
}

namespace {

// The type of a value that is one or the other: its elements belong to an axis if both do.
TileType merged(TileType a, const TileType& b) {
  for (std::size_t i = 0; i < a.shape.size(); ++i) {
    if (a.shape[i].block != b.shape[i].block) a.shape[i].block = {};
  }
  return a;
}

}  // namespace

void Lowerer::branch(const Tstmt& stmt) {
  ValueId condition = scalar(stmt.value, Dtype::Bool);
  const Environment before = variables_;
  std::vector<GraphId> regions;
  std::vector<Environment> ends;
  for (const auto* body : {&stmt.body, &stmt.orelse}) {
    regions.push_back(ir::add_graph(kernel_));
    In graph(*this, regions.back());
    statements(*body);
    ends.push_back(std::exchange(variables_, before));
  }
  std::set<VarId> vars = assigned_in(stmt.body);
  vars.merge(assigned_in(stmt.orelse));
  std::vector<VarId> results;
  std::vector<TileType> types;
  for (VarId var : vars) {
    ValueId yes = ends[0][var.index], no = ends[1][var.index];
    variables_[var.index] = yes == no ? yes : ValueId();
    if (!yes || !no || yes == no || !fits(type_of(yes), type_of(no))) continue;
    results.push_back(var);
    types.push_back(merged(type_of(yes), type_of(no)));
    kernel_[regions[0]].yields.push_back(yes);
    kernel_[regions[1]].yields.push_back(no);
  }
  builder_.set_span(stmt.span);
  ir::OpId id = builder_.add(OpCode::If, {condition}, {}, std::move(types), std::move(regions));
  for (std::size_t i = 0; i < results.size(); ++i) {
    ValueId result = kernel_[id].results[i];
    variables_[results[i].index] = result;
    kernel_[result].name = typed_.vars[results[i].index].name;
  }
}

}  // namespace peri::lower
