// Loops and branches: carried values are Python variables that the body assigns again.
#include <fmt/format.h>

#include <algorithm>

#include "backends/triton/emit.h"

namespace peri::triton {

using ir::Op;
using ir::OpCode;
using ir::OpId;
using ir::ValueId;

// --- carried values ---

// The variable of a carried value: that of its initial value if nothing else reads it.
std::string Emitter::carried_name(const Op& op, std::size_t operand, ValueId param) {
  ValueId initial = op.operands[operand];
  const Held& held = values_.at(initial);
  Dtype dtype = carried_dtype(kernel_[param].type.dtype);
  std::vector<bool> full = full_presence(param);
  bool ready = !held.is_literal && held.dtype == dtype && held.present == full;
  bool variable = ready && held.text.binding == Binding::Atom &&
                  held.text.text.find_first_of("(.[") == std::string::npos;
  // An alias (a view, a scalar) may share the variable with other values.
  bool own = kernel_[initial].def
                 ? ir::info(kernel_[kernel_[initial].def].code).rule != ir::Rule::View
                 : true;
  if (kernel_[initial].def &&
      ir::info(kernel_[kernel_[initial].def].code).rule == ir::Rule::Given) {
    own = false;
  }
  if (kernel_[initial].def && kernel_[kernel_[initial].def].code == OpCode::Cast) own = false;
  if (variable && own && use_counts_[initial.index] == 1) return held.text.text;
  std::string wanted = kernel_[param].name.empty() ? "carried" : kernel_[param].name;
  std::string name = names_.unique(wanted);
  Held start = as_dtype(held, dtype);
  lines_.add(fmt::format("{} = {}", name, materialise(param, start, full).text));
  return name;
}

std::vector<std::string> Emitter::begin_carried(const Op& op, std::size_t first) {
  const ir::Graph& body = kernel_[op.regions[0]];
  std::vector<std::string> carried;
  for (std::size_t i = 0; i < body.params.size(); ++i) {
    ValueId param = body.params[i];
    carried.push_back(carried_name(op, first + i, param));
    values_[param] = {
        {carried.back()}, carried_dtype(kernel_[param].type.dtype), full_presence(param), false};
  }
  return carried;
}

namespace {

bool reads_below(const ir::Kernel& kernel, const Op& op, ValueId value) {
  if (std::ranges::count(op.operands, value) > 0) return true;
  for (ir::GraphId region : op.regions) {
    for (OpId id : kernel[region].ops) {
      if (reads_below(kernel, kernel[id], value)) return true;
    }
    if (std::ranges::count(kernel[region].yields, value) > 0) return true;
  }
  return false;
}

}  // namespace

// Nothing in `graph` reads `param` after op `last`.
bool Emitter::is_last_use(ValueId param, OpId last, ir::GraphId graph) const {
  // Expressions that stand where they are used may be read after their own place, views too.
  bool after = false;
  std::vector<ValueId> aliases{param};
  for (OpId id : kernel_[graph].ops) {
    const Op& op = kernel_[id];
    bool reads = std::ranges::any_of(
        aliases, [&](ValueId alias) { return reads_below(kernel_, op, alias); });
    if (after && reads) return false;
    if (id == last) {
      after = true;
    } else if (reads && op.regions.empty()) {
      bool named = !op.results.empty() && !kernel_[op.results[0]].name.empty() &&
                   ir::info(op.code).rule != ir::Rule::View;
      if (!named) aliases.insert(aliases.end(), op.results.begin(), op.results.end());
    }
  }
  return after;
}

// Lets values that become carried ones take their variables at once, where the old value is not
// read afterwards.
void Emitter::plan_in_place(const Op& op, const std::vector<std::string>& carried) {
  const ir::Graph& body = kernel_[op.regions[0]];
  for (std::size_t i = 0; i < body.params.size(); ++i) {
    ValueId next = body.yields[i], param = body.params[i];
    const ir::Value& value = kernel_[next];
    if (!value.def || value.owner != op.regions[0]) continue;
    if (std::ranges::count(body.yields, next) != 1) continue;
    if (std::ranges::count(body.yields, param) != 0) continue;
    const ir::OpInfo& row = ir::info(kernel_[value.def].code);
    bool computes = row.has(ir::Elementwise) || row.rule == ir::Rule::Dot;
    bool same_type = carried_dtype(value.type.dtype) == carried_dtype(kernel_[param].type.dtype) &&
                     value.type.dtype != Dtype::I64;
    bool partial = overlaid(param, next, "x") != "";
    if (!computes || kernel_[value.def].code == OpCode::Cast || !same_type || partial) continue;
    if (rolled_axis(op.regions[0])) continue;
    if (is_last_use(param, value.def, op.regions[0])) in_place_[next] = carried[i];
  }
}

// Whether lanes that `next` does not have along `dim` hold the old value anyway.
bool Emitter::keeps_missing_lanes(ValueId param, ValueId next, i64 dim) {
  if (!kernel_[next].def) return next == param;
  const Op& op = kernel_[kernel_[next].def];
  if (op.code != OpCode::Add) return false;
  for (int side = 0; side < 2; ++side) {
    ValueId other = op.operands[1 - side];
    if (op.operands[side] != param) continue;
    auto padding = lanes_.padding(other, dim);
    if (padding && padding->as_real() == 0) return true;
  }
  return false;
}

// The mask of the elements that `next` has and its variable takes over; "" if all.
std::string Emitter::overlaid(ValueId param, ValueId next, const std::string& old) {
  const TileType& type = kernel_[next].type;
  std::string mask;
  std::vector<bool> full = full_presence(param);
  for (i64 d = 0; d < type.rank(); ++d) {
    const Dim& dim = type.shape[d];
    if (!dim.block || dim.block == kernel_[param].type.shape[d].block) continue;
    if (!lanes_.is_partial(dim) || keeps_missing_lanes(param, next, d)) continue;
    Held lanes{{mask_of(next, d, type)}, Dtype::Bool, std::vector<bool>(full.size(), false), false};
    lanes.present[d] = true;
    mask += (mask.empty() ? "" : " & ") + aligned(lanes, full).text;
  }
  return mask;
}

void Emitter::end_carried(const Op& op, const std::vector<std::string>& carried) {
  const ir::Graph& body = kernel_[op.regions[0]];
  std::vector<std::pair<std::string, std::string>> assignments;
  for (std::size_t i = 0; i < body.params.size(); ++i) {
    ValueId next = body.yields[i], param = body.params[i];
    if (next == param) continue;
    const Held& value = held(next);
    std::string text = materialise(param, as_dtype(value, carried_dtype(kernel_[param].type.dtype)),
                                   full_presence(param))
                           .text;
    std::string mask = overlaid(param, next, carried[i]);
    if (!mask.empty()) text = fmt::format("tl.where({}, {}, {})", mask, text, carried[i]);
    if (text != carried[i]) assignments.emplace_back(carried[i], text);
  }
  // A later assignment must not read a variable that an earlier one has changed.
  auto reads = [&](const std::string& text) {
    return std::ranges::any_of(
        assignments, [&](const auto& a) { return text.find(a.first) != std::string::npos; });
  };
  if (assignments.size() > 1) {
    for (auto& [name, text] : assignments) {
      if (!reads(text)) continue;
      std::string next = names_.unique("next_" + name);
      lines_.add(fmt::format("{} = {}", next, text));
      text = next;
    }
  }
  for (const auto& [name, text] : assignments) lines_.add(fmt::format("{} = {}", name, text));
}

// --- loops ---

void Emitter::emit_for(OpId id) {
  const Op& op = kernel_[id];
  std::size_t axes = op.attrs.blocks.size();
  std::vector<std::string> carried = begin_carried(op, 2 * axes);
  emit_loops(id, 0, carried);
  for (std::size_t i = 0; i < op.results.size(); ++i) {
    ValueId param = kernel_[op.regions[0]].params[i];
    values_[op.results[i]] = values_.at(param);
  }
}

// Literals have 64 bits where 32 do not hold them, other integers of 64 bits unless they are sizes.
bool Emitter::may_have_64_bits(ValueId integer) {
  if (!held(integer).is_literal) return held(integer).dtype == Dtype::I64;
  auto known = lanes_.interval(integer);
  return known && !known->fits_32_bits();
}

void Emitter::emit_loops(OpId id, std::size_t level, const std::vector<std::string>& carried) {
  const Op& op = kernel_[id];
  const LoopPlan& loop = plan_.loops.at(id);
  if (level == loop.order.size()) {
    plan_in_place(op, carried);
    emit_graph(op.regions[0]);
    end_carried(op, carried);
    return;
  }
  BlockId axis = loop.order[level];
  const Block& block = kernel_[axis];
  auto position = std::ranges::find(op.attrs.blocks, axis) - op.attrs.blocks.begin();
  ValueId first = op.operands[2 * position], last = op.operands[2 * position + 1];
  const Text begin = held(first).text, end = held(last).text;
  bool single = block.kind == Block::Kind::Grid || plan_.block_size(axis) == 1;
  std::string step = block.kind == Block::Kind::Grid ? (block.step ? sym(block.step).text : "1")
                                                     : fmt::format("{}", plan_.block_size(axis));
  std::string variable = names_.unique(block.name + (single ? "" : "_begin"));
  lines_.add(
      fmt::format("for {} in {}:", variable, loop_text(loop.options, begin.text, end.text, step)));
  lines_.indent();
  std::string number = names_.unique(block.name + "_id");
  lines_.define(number,
                step == "1" && begin.text == "0"
                    ? variable
                    : fmt::format("({} - {}) // {}", variable, begin.as(Binding::Product), step));
  enter_block(axis, {variable}, end, number);
  blocks_[axis].may_be_wide = may_have_64_bits(first) || may_have_64_bits(last);
  blocks_[axis].count =
      fmt::format("tl.cdiv({} - {}, {})", end.as(Binding::Sum), begin.as(Binding::Product), step);
  emit_loops(id, level + 1, carried);
  lanes_.leave(axis);
  lines_.dedent();
}

// --- branches ---

void Emitter::emit_if(OpId id) {
  const Op& op = kernel_[id];
  std::vector<std::string> names;
  for (ValueId result : op.results) {
    names.push_back(names_.unique(kernel_[result].name.empty() ? "chosen" : kernel_[result].name));
  }
  const Text condition = held(op.operands[0]).text;
  for (std::size_t r = 0; r < op.regions.size(); ++r) {
    const ir::Graph& body = kernel_[op.regions[r]];
    if (r == 1 && body.ops.empty() && names.empty()) break;
    lines_.add(r == 0 ? fmt::format("if {}:", condition.text) : "else:");
    lines_.indent();
    emit_graph(op.regions[r]);
    for (std::size_t i = 0; i < names.size(); ++i) {
      ValueId result = op.results[i];
      Held value = as_dtype(held(body.yields[i]), carried_dtype(kernel_[result].type.dtype));
      lines_.add(
          fmt::format("{} = {}", names[i], materialise(result, value, full_presence(result)).text));
    }
    if (body.ops.empty() && names.empty()) lines_.add("pass");
    lines_.dedent();
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    ValueId result = op.results[i];
    values_[result] = {
        {names[i]}, carried_dtype(kernel_[result].type.dtype), full_presence(result), false};
  }
}

}  // namespace peri::triton
