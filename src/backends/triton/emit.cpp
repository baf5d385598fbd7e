#include "backends/triton/emit.h"

#include <fmt/format.h>

#include <algorithm>

#include "backends/triton/helpers.h"
#include "base/bug.h"

namespace peri::triton {

using backends::LaunchParam;
using ir::Op;
using ir::OpCode;
using ir::OpId;
using ir::ValueId;

namespace {

constexpr std::size_t kLongestInline = 56;  // characters of an expression that gets no name

}  // namespace

bool Held::is_tile() const { return std::ranges::count(present, true) > 0; }

std::vector<i64> Held::dims() const {
  std::vector<i64> dims;
  for (std::size_t d = 0; d < present.size(); ++d) {
    if (present[d]) dims.push_back(static_cast<i64>(d));
  }
  return dims;
}

std::string triton_dtype(Dtype dtype) {
  if (dtype == Dtype::Bool) return "tl.int1";
  return fmt::format("tl.{}", torch_name_of(dtype));
}

std::string signature_dtype(Dtype dtype) {
  switch (dtype) {
    case Dtype::Bool:
      return "i1";
    case Dtype::F16:
      return "fp16";
    case Dtype::F32:
      return "fp32";
    case Dtype::F64:
      return "fp64";
    default:
      return std::string(name_of(dtype));
  }
}

RootText emit_root(const Plan& plan, i64 root, const diag::Sources* sources) {
  return Emitter(plan, sources).run(root);
}

RootText Emitter::run(i64 root) {
  bool alone = kernel_.roots.size() == 1;
  result_.function = names_.unique(alone ? kernel_.name : fmt::format("{}_{}", kernel_.name, root));
  use_counts_.assign(kernel_.values.size(), 0);
  for (const Op& op : kernel_.ops) {
    for (ValueId value : op.operands) ++use_counts_[value.index];
  }
  for (const ir::Graph& graph : kernel_.graphs) {
    for (ValueId value : graph.yields) ++use_counts_[value.index];
  }
  // Parameters first: tensors keep the names that the user gave them.
  for (std::size_t t = 0; t < kernel_.tensors.size(); ++t) {
    tensors_[ir::TensorId(static_cast<i64>(t))] = "";
  }
  emit_grid(root);
  preamble_.append(lines_);
  preamble_.prune();
  drop_unused_params();
  std::string body = preamble_.print();
  if (body.empty()) {  // the root has no effect
    body = "    pass\n";
    result_.launch.grid[0] = kernel_.syms->integer(0);
  }
  std::string parameters;
  for (std::size_t i = 0; i < result_.names.size(); ++i) {
    parameters += (i == 0 ? "" : ", ") + result_.names[i];
    // Called from Python, a number is f32, or i32 where it fits, unless this says otherwise.
    if (result_.types[i] == "fp64") parameters += ": tl.float64";
    if (result_.types[i] == "i64") parameters += ": tl.int64";
  }
  result_.source = fmt::format("@triton.jit\ndef {}({}):\n{}", result_.function, parameters, body);
  result_.launch.function = result_.function;
  add_limits(root);
  return std::move(result_);
}

void Emitter::drop_unused_params() {
  for (std::size_t i = result_.names.size(); i-- > 0;) {
    if (preamble_.uses(result_.names[i])) continue;
    auto at = static_cast<std::ptrdiff_t>(i);
    result_.names.erase(result_.names.begin() + at);
    result_.types.erase(result_.types.begin() + at);
    result_.aligned.erase(result_.aligned.begin() + at);
    result_.launch.params.erase(result_.launch.params.begin() + at);
  }
}

// Sizes that only a call knows must fit what the code assumes of them.
void Emitter::add_limits(i64 root) {
  SymTable& syms = *kernel_.syms;
  auto limit = [&](Sym value, i64 most) {
    value = plan_.resolve(value);
    if (!value.is_const()) result_.launch.limits.push_back({value, most});
  };
  for (const auto& [key, range] : ranges_) limit(Sym(key.first), key.second);
  if (!plan_.assume_32_bit) return;
  for (const LaunchParam& param : result_.launch.params) {
    if (param.kind != LaunchParam::Kind::Pointer) continue;
    const ir::TensorParam& tensor = kernel_.tensors[param.tensor];
    Sym last = syms.integer(0);
    for (std::size_t d = 0; d < tensor.sizes.size(); ++d) {
      Sym reach = syms.sub(tensor.sizes[d], syms.integer(1));
      last = syms.add(last, syms.mul(reach, tensor.strides[d]));
    }
    limit(last, kMostIn32Bits);
  }
  for (BlockId block : kernel_.roots[root].blocks) limit(kernel_[block].end, kMostIn32Bits);
}

// --- graphs ---

void Emitter::emit_graph(ir::GraphId graph) {
  if (auto axis = rolled_axis(graph)) return emit_rolled(graph, *axis);
  for (OpId id : kernel_[graph].ops) emit_op(id);
}

void Emitter::comment(const Op& op) {
  if (sources_ == nullptr || !op.span) return;
  i64 number = sources_->place(op.span.source, op.span.begin).line;
  std::string_view line = sources_->line_text(op.span.source, number);
  std::size_t first = line.find_first_not_of(' ');
  if (first == std::string_view::npos) return;
  std::string_view file = sources_->name(op.span.source);
  file = file.substr(file.rfind('/') + 1);
  lines_.comment(fmt::format("{}:{}: {}", file, number, line.substr(first)));
}

void Emitter::emit_op(OpId id) {
  const Op& op = kernel_[id];
  comment(op);
  switch (op.code) {
    case OpCode::For:
      return emit_for(id);
    case OpCode::If:
      return emit_if(id);
    case OpCode::Load:
      return emit_load(id);
    case OpCode::Store:
      return emit_store(id);
    case OpCode::Dot:
      return emit_dot(op);
    case OpCode::Cast:
      return emit_cast(op);
    default:
      break;
  }
  switch (ir::info(op.code).rule) {
    case ir::Rule::View:
      return emit_view(op);
    case ir::Rule::Reduce:
      return emit_reduce(op);
    case ir::Rule::Given:
      if (op.code != OpCode::Rand) return emit_source(op);
      [[fallthrough]];
    default:
      return emit_elementwise(op);
  }
}

// --- values ---

const Held& Emitter::held(ValueId value) const {
  auto it = values_.find(value);
  BUG_IF(it == values_.end(), "%{} has no text yet", value.index);
  return it->second;
}

bool Emitter::is_inlined(ValueId id, const Held& held) const {
  const ir::Value& value = kernel_[id];
  if (in_place_.contains(id)) return false;
  if (held.is_literal) return true;
  if (held.text.binding == Binding::Atom && held.text.text.find('(') == std::string::npos) {
    return true;
  }
  if (!value.name.empty() || use_counts_[id.index] != 1 || !value.def) return false;
  if (held.text.text.size() > kLongestInline) return false;
  const Op& op = kernel_[value.def];
  const ir::OpInfo& row = ir::info(op.code);
  if (!row.has(ir::Elementwise) && row.rule != ir::Rule::View && row.rule != ir::Rule::Given) {
    return false;
  }
  for (OpId user : kernel_[value.owner].ops) {
    for (ValueId operand : kernel_[user].operands) {
      // Not into loops, where it would be computed again and again.
      if (operand == id) return !ir::info(kernel_[user].code).has(ir::Region);
    }
  }
  return false;
}

std::string Emitter::name_of_value(ValueId id) {
  if (auto it = in_place_.find(id); it != in_place_.end()) return it->second;
  const ir::Value& value = kernel_[id];
  if (!value.name.empty()) return names_.unique(value.name);
  if (!value.def) return names_.unique("carried");
  const Op& op = kernel_[value.def];
  if (op.code == OpCode::Load) return names_.unique(kernel_[op.attrs.tensor].name + "_tile");
  return names_.unique(fmt::format("{}_", ir::info(op.code).text));
}

void Emitter::define(ValueId value, Held held) {
  if (!is_inlined(value, held)) {
    std::string name = name_of_value(value);
    // A carried variable's new value is used by the next turn of the loop.
    if (in_place_.contains(value)) {
      lines_.add(fmt::format("{} = {}", name, held.text.text));
    } else {
      lines_.define(name, held.text.text);
    }
    held.text = {name};
    held.is_literal = false;
  }
  values_[value] = std::move(held);
}

i64 Emitter::lanes_of(ValueId value, i64 dim) const {
  if (plan_.is_rolled(value, dim)) return plan_.rolled.at(plan_.shared.axes.of(value, dim));
  return plan_.lanes(kernel_[value].type.shape[dim]);
}

std::vector<bool> Emitter::full_presence(ValueId value) const {
  std::vector<bool> present;
  for (i64 d = 0; d < kernel_[value].type.rank(); ++d) present.push_back(lanes_of(value, d) > 1);
  return present;
}

Text Emitter::aligned(const Held& held, const std::vector<bool>& present) const {
  if (!held.is_tile() || held.present == present) return held.text;
  std::string index;
  bool same = true;
  for (std::size_t d = 0; d < present.size(); ++d) {
    if (!present[d]) continue;
    bool has = d < held.present.size() && held.present[d];
    index += (index.empty() ? "" : ", ") + std::string(has ? ":" : "None");
    same = same && has;
  }
  if (same) return held.text;
  return {fmt::format("{}[{}]", held.text.atom(), index)};
}

namespace {

std::string shape_text(const std::vector<i64>& lanes) {
  std::string text;
  for (i64 n : lanes) text += fmt::format("{}{}", text.empty() ? "" : ", ", n);
  return "[" + text + "]";
}

}  // namespace

Text Emitter::materialise(ValueId value, const Held& held, const std::vector<bool>& present) {
  if (held.present == present && (held.is_tile() || !held.is_literal)) return held.text;
  std::vector<i64> lanes;
  for (std::size_t d = 0; d < present.size(); ++d) {
    if (present[d]) lanes.push_back(lanes_of(value, static_cast<i64>(d)));
  }
  if (lanes.empty()) {
    return {fmt::format("tl.full([], {}, {})", held.text.text, triton_dtype(held.dtype))};
  }
  if (held.is_literal) {
    return {fmt::format("tl.full({}, {}, {})", shape_text(lanes), held.text.text,
                        triton_dtype(held.dtype))};
  }
  return {fmt::format("tl.broadcast_to({}, {})", aligned(held, present).text, shape_text(lanes))};
}

Held Emitter::as_real(const Held& held) const {
  return is_half(held.dtype) ? as_dtype(held, Dtype::F32) : held;
}

Held Emitter::as_dtype(const Held& held, Dtype dtype) const {
  if (held.dtype == dtype) return held;
  // By way of f32, as the hardware goes.
  if (is_half(dtype) && !is_float(held.dtype)) return as_dtype(as_dtype(held, Dtype::F32), dtype);
  Held cast = held;
  cast.dtype = dtype;
  if (held.is_literal && is_float(held.dtype) == is_float(dtype)) return cast;
  if (held.is_literal) cast.text = as_typed(held).text;
  cast.is_literal = false;
  cast.text = held.is_tile()
                  ? Text{fmt::format("{}.to({})", cast.text.atom(), triton_dtype(dtype))}
                  : Text{fmt::format("tl.cast({}, {})", cast.text.text, triton_dtype(dtype))};
  return cast;
}

Held Emitter::as_typed(const Held& held) const {
  if (!held.is_literal) return held;
  Held typed = held;
  typed.is_literal = false;
  typed.text = {fmt::format("tl.full([], {}, {})", held.text.text, triton_dtype(held.dtype))};
  return typed;
}

Held Emitter::masked(ValueId value, i64 dim, Held held, SymValue identity) {
  if (!lanes_.is_partial(value, dim)) return held;
  auto padding = lanes_.padding(value, dim);
  bool real = is_float(held.dtype);
  if (padding && padding->as_real() == identity.as_real()) return held;
  std::string mask = mask_of(value, dim, kernel_[value].type);
  Held lanes{{mask}, Dtype::Bool, std::vector<bool>(held.present.size(), false), false};
  lanes.present[dim] = true;
  std::vector<bool> present = held.present;
  present[dim] = true;
  Text other = real ? literal(held.dtype, SymValue::of(identity.as_real()))
                    : literal(held.dtype, SymValue::of(identity.integer));
  held.text = {fmt::format("tl.where({}, {}, {})", aligned(lanes, present).text,
                           aligned(held, present).text, other.text)};
  held.present = present;
  held.is_literal = false;
  return held;
}

Text Emitter::literal(Dtype dtype, SymValue value) const {
  if (dtype == Dtype::Bool) return {value.integer != 0 ? "True" : "False"};
  if (!is_float(dtype)) {
    return python_integer(value.type == SymType::Float ? static_cast<i64>(value.real)
                                                       : value.integer);
  }
  return python_float(value.as_real());
}

Dtype Emitter::carried_dtype(Dtype dtype) { return is_half(dtype) ? Dtype::F32 : dtype; }

i64 Emitter::wanted_forms(ValueId value) const {
  i64 forms = 0;
  for (const Op& op : kernel_.ops) {
    if (std::ranges::count(op.operands, value) == 0) continue;
    const ir::OpInfo& row = ir::info(op.code);
    if (row.rule == ir::Rule::View) {
      forms |= wanted_forms(op.results[0]);
    } else if (op.code == OpCode::Cast) {
      forms |= is_half(kernel_[op.results[0]].type.dtype) ? 1 : 2;
    } else if (row.has(ir::Elementwise) || row.rule == ir::Rule::Reduce || row.has(ir::Region)) {
      forms |= 2;
    } else {
      forms |= 1;
    }
  }
  for (const ir::Graph& graph : kernel_.graphs) {
    if (std::ranges::count(graph.yields, value) > 0) forms |= 2;
  }
  return forms;
}

// --- parameters ---

std::string Emitter::param(LaunchParam param, std::string type, bool aligned,
                           const std::string& wanted) {
  result_.launch.params.push_back(std::move(param));
  result_.types.push_back(std::move(type));
  result_.aligned.push_back(aligned);
  result_.names.push_back(names_.unique(wanted));
  return result_.names.back();
}

std::string Emitter::tensor(ir::TensorId id) {
  std::string& name = tensors_[id];
  if (!name.empty()) return name;
  const ir::TensorParam& tensor = kernel_[id];
  LaunchParam p;
  p.kind = LaunchParam::Kind::Pointer;
  p.tensor = id.index;
  bool aligned = plan_.assume_aligned || tensor.aligned;
  p.alignment = aligned ? 16 : size_of(tensor.dtype);
  name = param(p, "*" + signature_dtype(tensor.dtype), aligned, tensor.name);
  return name;
}

namespace {

// Whether a scalar is a size or stride, which assume_32_bit speaks of.
bool is_extent(const SymTable& syms, Sym sym) {
  bool extent = sym.type() == SymType::Int;
  for_each_symbol(sym, [&](SymbolId id) {
    SymbolOrigin origin = syms.symbol(id).origin;
    extent = extent && (origin == SymbolOrigin::ArgSize || origin == SymbolOrigin::ArgStride);
  });
  return extent;
}

std::string name_of_sym(const SymTable& syms, Sym sym) {
  return sym.kind() == SymKind::Symbol ? syms.symbol(sym->symbol).name : "scalar";
}

}  // namespace

Text Emitter::sym(Sym s, bool is_double) {
  s = plan_.resolve(s);
  if (s.is_const()) {
    if (s.type() == SymType::Bool) return {s->value.integer != 0 ? "True" : "False"};
    return s.type() == SymType::Float ? python_float(s->value.real)
                                      : python_integer(s->value.integer);
  }
  std::string& name = syms_[{s.node(), is_double}];
  if (!name.empty()) return {name};
  LaunchParam p;
  p.value = s;
  std::string type = "i1";
  if (s.type() == SymType::Float) {
    p.kind = LaunchParam::Kind::Real;
    p.bytes = is_double ? 8 : 4;
    type = is_double ? "fp64" : "fp32";
  } else {
    p.kind = LaunchParam::Kind::Integer;
    bool narrow = plan_.assume_32_bit && is_extent(*kernel_.syms, s);
    p.bytes = s.type() == SymType::Bool ? 1 : narrow ? 4 : 8;
    if (p.bytes > 1) type = narrow ? "i32" : "i64";
    if (narrow) result_.launch.limits.push_back({s, INT32_MAX});
  }
  name = param(p, type, false, name_of_sym(*kernel_.syms, s));
  return {name};
}

std::string Emitter::libdevice(const char* function) {
  result_.uses_libdevice = true;
  return fmt::format("libdevice.{}", function);
}

std::string Emitter::helper(const char* name) {
  result_.helpers.insert(name);
  if (helper_text(name).find("libdevice") != std::string_view::npos) result_.uses_libdevice = true;
  return name;
}

std::string Emitter::call(const char* function, const Text& argument) const {
  return fmt::format("{}({})", function, argument.text);
}

}  // namespace peri::triton
