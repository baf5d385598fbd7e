#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "ir/ir.h"
#include "ir/text.h"
#include "types/sym_ops.h"

namespace peri::ir {
namespace {

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) {
    if (!out.empty()) out += ", ";
    out += part;
  }
  return out;
}

// Also prints what the verifier would refuse, as well as it can.
class Printer {
 public:
  explicit Printer(const Kernel& kernel) : kernel_(kernel) {
    std::vector<std::string_view> tensors, symbols;
    for (const TensorParam& tensor : kernel.tensors) tensors.push_back(tensor.name);
    for (i64 i = 0; i < symbol_count(); ++i) symbols.push_back(symbol(i).name);
    tensors_ = references(tensors);
    symbols_ = references(symbols);
  }

  std::string run() {
    line("kernel " + name_text(kernel_.name));
    ++depth_;
    for (i64 i = 0; i < symbol_count(); ++i) line(symbol_line(i));
    std::string head = std::exchange(out_, {});
    for (std::size_t i = 0; i < kernel_.tensors.size(); ++i) line(tensor_line(i));
    for (std::size_t i = 0; i < kernel_.blocks.size(); ++i) line(block_line(i));
    for (const Root& root : kernel_.roots) {
      line(fmt::format("root ({}) {{", blocks_text(root.blocks)));
      body(root.body);
      line("}");
    }
    return head + order_line() + out_;
  }

  std::string type_text(const TileType& type) const {
    std::string out(peri::name_of(type.dtype));
    if (type.is_scalar()) return out;
    std::vector<std::string> dims;
    for (const Dim& dim : type.shape) {
      dims.push_back((dim.block ? block_text(dim.block) + ":" : "") + sym_text(dim.size));
    }
    return out + '[' + joined(dims) + ']';
  }

 private:
  i64 symbol_count() const { return kernel_.syms ? kernel_.syms->symbol_count() : 0; }
  const Symbol& symbol(i64 i) const { return kernel_.syms->symbol(SymbolId(i)); }

  void line(std::string_view text) {
    out_.append(2 * depth_, ' ');
    out_ += text;
    out_ += '\n';
  }

  // --- tables -----------------------------------------------------------------------------------

  // The name of row `i` in its own line: a reference, and the name itself if that differs.
  static std::string declared(const std::string& reference, std::string_view name) {
    return reference == name ? reference : fmt::format("{} {}", reference, quoted(name));
  }

  std::string symbol_line(i64 i) const {
    const Symbol& s = symbol(i);
    std::string out = fmt::format("symbol @{}: {} = {}", declared(symbols_[i], s.name),
                                  name_of(s.type), name_of(s.origin));
    if (s.leaf != -1) out += fmt::format(" leaf {}", s.leaf);
    if (s.dim != -1) out += fmt::format(" dim {}", s.dim);
    if (s.block) out += " of " + block_text(s.block);
    return out + " hint " + value_text(s.hint);
  }

  std::string tensor_line(std::size_t i) const {
    const TensorParam& t = kernel_.tensors[i];
    std::string out = fmt::format("tensor {}: {}[{}] strides [{}]", declared(tensors_[i], t.name),
                                  peri::name_of(t.dtype), syms_text(t.sizes), syms_text(t.strides));
    if (t.slot != -1) out += fmt::format(" slot {}", t.slot);
    if (t.base != -1) out += fmt::format(" base {}", t.base);
    if (t.aligned) out += " aligned";
    return out;
  }

  std::string block_line(std::size_t i) const {
    const Block& b = kernel_.blocks[i];
    std::string out = fmt::format("block b{} {}: {}", i, quoted(b.name), name_of(b.kind));
    if (b.size) out += " size=" + sym_text(b.size);
    if (b.begin || b.end) {
      out +=
          fmt::format(" in {}..{}", b.begin ? sym_text(b.begin) : "", b.end ? sym_text(b.end) : "");
    }
    if (b.step) out += " step " + sym_text(b.step);
    if (b.parent) out += " parent " + block_text(b.parent);
    if (b.min_size != 1) out += fmt::format(" min {}", b.min_size);
    if (b.max_size != 0) out += fmt::format(" max {}", b.max_size);
    if (b.loop != -1) out += fmt::format(" loop {}", b.loop);
    return out;
  }

  // --- pieces -----------------------------------------------------------------------------------

  std::string sym_text(Sym sym) const {
    if (!sym) return "?";
    if (sym.is_const()) return value_text(sym->value);
    if (sym.kind() == SymKind::Symbol) {
      note(sym);
      return "@" + symbols_[sym->symbol.index];
    }
    std::vector<std::string> operands;
    for (i64 i = 0; i < arity_of(sym.kind()); ++i) operands.push_back(sym_text(sym.operand(i)));
    note(sym);
    return fmt::format("{}({})", sym_function(sym.kind()), joined(operands));
  }

  void note(Sym sym) const {
    if (noted_.insert(sym.node()).second) expressions_.push_back(sym);
  }

  // A symbol table orders operands by the age of their nodes. If reading the text from front to
  // back would make them in another order, a line says which.
  std::string order_line() const {
    std::vector<Sym> sorted = expressions_;
    auto age = [](Sym sym) { return sym->id; };
    std::ranges::sort(sorted, {}, age);
    return sorted == expressions_ ? "" : fmt::format("  order [{}]\n", syms_text(sorted));
  }

  std::string syms_text(const std::vector<Sym>& syms) const {
    std::vector<std::string> parts;
    for (Sym sym : syms) parts.push_back(sym_text(sym));
    return joined(parts);
  }

  static std::string block_text(BlockId block) { return fmt::format("b{}", block.index); }

  static std::string blocks_text(const std::vector<BlockId>& blocks) {
    std::vector<std::string> parts;
    for (BlockId block : blocks) parts.push_back(block_text(block));
    return joined(parts);
  }

  static std::string value(ValueId id) { return id ? fmt::format("%{}", id.index) : "%?"; }

  static std::string value(const Op& op, i64 operand) {
    bool exists = operand >= 0 && operand < static_cast<i64>(op.operands.size());
    return value(exists ? op.operands[operand] : ValueId());
  }

  static std::string values(const std::vector<ValueId>& ids, std::size_t first = 0) {
    std::vector<std::string> parts;
    for (std::size_t i = first; i < ids.size(); ++i) parts.push_back(value(ids[i]));
    return joined(parts);
  }

  bool is_known(ValueId id) const {
    return id && id.index < static_cast<i64>(kernel_.values.size());
  }

  std::string definition(ValueId id) const {
    if (!is_known(id)) return value(id);
    const Value& v = kernel_[id];
    std::string name = v.name.empty() ? "" : " " + name_text(v.name);
    return fmt::format("{}{}: {}", value(id), name, type_text(v.type));
  }

  std::string tensor_text(TensorId id) const {
    bool exists = id && id.index < static_cast<i64>(tensors_.size());
    return exists ? tensors_[id.index] : "?";
  }

  std::string index_text(const Op& op, const Index& index) const {
    std::string operand = index.operand >= 0 ? value(op, index.operand) : "";
    switch (index.kind) {
      case Index::Kind::Tile:
        return block_text(index.block) + (operand.empty() ? "" : "+" + operand);
      case Index::Kind::Range:
        return operand + ":" + sym_text(index.extent);
      case Index::Kind::Scalar:
        return operand;
      case Index::Kind::Gather:
        return "gather " + operand;
      case Index::Kind::NewAxis:
        return "newaxis";
    }
    return "?";
  }

  std::string access_text(const Op& op) const {
    std::vector<std::string> parts;
    for (const Index& index : op.attrs.indices) parts.push_back(index_text(op, index));
    std::string mask =
        op.attrs.has_mask ? " where " + value(op, static_cast<i64>(op.operands.size()) - 1) : "";
    return fmt::format("{}[{}]{}", tensor_text(op.attrs.tensor), joined(parts), mask);
  }

  // --- ops --------------------------------------------------------------------------------------

  void body(GraphId id) {
    ++depth_;
    if (id && id.index < static_cast<i64>(kernel_.graphs.size())) {
      const Graph& graph = kernel_[id];
      for (OpId op : graph.ops) print_op(kernel_[op]);
      if (!graph.yields.empty()) line("yield " + values(graph.yields));
    }
    --depth_;
  }

  void print_op(const Op& op) {
    std::vector<std::string> results;
    for (ValueId result : op.results) results.push_back(definition(result));
    std::string out = joined(results);
    if (!results.empty()) out += " = ";
    out += info(op.code).text;
    if (op.code == OpCode::For) return print_for(op, std::move(out));
    if (op.code == OpCode::If) return print_if(op, std::move(out));
    std::string rest = arguments(op);
    line(rest.empty() ? out : out + " " + rest);
  }

  std::string arguments(const Op& op) const {
    switch (op.code) {
      case OpCode::Const:
        return value_text(op.attrs.constant);
      case OpCode::HostScalar:
        return sym_text(op.attrs.sym);
      case OpCode::Load:
        return access_text(op);
      case OpCode::Store:
        return value(op, 0) + ", " + access_text(op);
      default:
        break;
    }
    if (op.attrs.block) return block_text(op.attrs.block);
    if (op.attrs.dims.empty()) return values(op.operands);
    std::vector<std::string> dims;
    for (i64 dim : op.attrs.dims) dims.push_back(fmt::format("{}", dim));
    return fmt::format("{}, [{}]", values(op.operands), joined(dims));
  }

  // for (b1 in %1..%2) carry (%5 acc: f32 = %3) {
  void print_for(const Op& op, std::string out) {
    std::vector<std::string> axes, carried;
    i64 next = 0;
    for (BlockId block : op.attrs.blocks) {
      axes.push_back(
          fmt::format("{} in {}..{}", block_text(block), value(op, next), value(op, next + 1)));
      next += 2;
    }
    GraphId region = op.regions.empty() ? GraphId() : op.regions[0];
    if (region) {
      for (ValueId param : kernel_[region].params) {
        carried.push_back(definition(param) + " = " + value(op, next++));
      }
    }
    out += fmt::format(" ({})", joined(axes));
    if (!carried.empty()) out += fmt::format(" carry ({})", joined(carried));
    line(out + " {");
    body(region);
    line("}");
  }

  bool is_empty(const Op& op, std::size_t region) const {
    if (region >= op.regions.size()) return true;
    const Graph& graph = kernel_[op.regions[region]];
    return graph.ops.empty() && graph.yields.empty();
  }

  void print_if(const Op& op, std::string out) {
    line(out + " " + values(op.operands) + " {");
    body(op.regions.empty() ? GraphId() : op.regions[0]);
    if (!is_empty(op, 1)) {
      line("} else {");
      body(op.regions[1]);
    }
    line("}");
  }

  const Kernel& kernel_;
  std::vector<std::string> tensors_;
  std::vector<std::string> symbols_;
  mutable std::vector<Sym> expressions_;  // symbols and operators, as the text has them
  mutable std::unordered_set<const SymNode*> noted_;
  std::string out_;
  std::size_t depth_ = 0;
};

}  // namespace

std::string print(const Kernel& kernel) { return Printer(kernel).run(); }

std::string print_type(const Kernel& kernel, const TileType& type) {
  return Printer(kernel).type_text(type);
}

}  // namespace peri::ir
