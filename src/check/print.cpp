// The text of a typed kernel.
#include <fmt/format.h>

#include "check/typed.h"

namespace peri::check {
namespace {

std::string lower(std::string_view text) {
  std::string result;
  for (char ch : text) {
    const bool upper = ch >= 'A' && ch <= 'Z';
    if (upper && !result.empty()) result += '_';
    result += upper ? static_cast<char>(ch - 'A' + 'a') : ch;
  }
  return result;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

class Printer {
 public:
  explicit Printer(const TypedKernel& k) : k_(k) {}

  std::string run() {
    line(0, "kernel " + k_.name);
    for (const HostTensor& t : k_.tensors) {
      if (t.kind != HostTensor::Kind::Alloc) line(1, tensor_line(t));
    }
    for (std::size_t i = 0; i < k_.blocks.size(); ++i) line(1, block_line(i));
    for (const Tunable& t : k_.tunables) line(1, fmt::format("tunable {}: {}", t.name, t.kind));
    for (const Guard& g : k_.guards)
      line(1, fmt::format("guard {} == {}", sym(g.left), sym(g.right)));
    for (const HostStmt& s : k_.host) line(1, host_line(s));
    for (std::size_t i = 0; i < k_.roots.size(); ++i) root(i);
    return std::move(out_);
  }

 private:
  void line(i64 depth, const std::string& text) {
    out_.append(static_cast<std::size_t>(depth) * 2, ' ');
    out_ += text;
    out_ += '\n';
  }

  std::string sym(Sym s) const { return s ? k_.syms->print(s) : "?"; }

  std::string syms(const std::vector<Sym>& list) const {
    std::vector<std::string> parts;
    for (Sym s : list) parts.push_back(sym(s));
    return "[" + joined(parts) + "]";
  }

  // Tensors and variables of one name are told apart by their number.
  template <class List>
  static std::string unique(const List& list, i64 index) {
    const std::string& name = list[static_cast<std::size_t>(index)].name;
    i64 before = 0;
    for (i64 i = 0; i < index; ++i)
      before += list[static_cast<std::size_t>(i)].name == name ? 1 : 0;
    return before == 0 ? name : fmt::format("{}'{}", name, before);
  }
  std::string name(TensorId id) const { return unique(k_.tensors, id.index); }
  std::string name(VarId id) const { return unique(k_.vars, id.index); }
  std::string name(BlockId id) const { return unique(k_.blocks, id.index); }

  std::string type(const TileType& t) const {
    std::vector<std::string> dims;
    for (const Dim& d : t.shape) dims.push_back(d.block ? name(d.block) : sym(d.size));
    return std::string(name_of(t.dtype)) + (t.is_scalar() ? "" : "[" + joined(dims) + "]");
  }

  std::string tensor_line(const HostTensor& t) const {
    const std::string what = fmt::format("{}: {}{} strides {}", name(id_of(t)), name_of(t.dtype),
                                         syms(t.sizes), syms(t.strides));
    if (t.kind == HostTensor::Kind::Argument) return "arg " + what;
    return fmt::format("view {} of {} offset {}", what, name(t.base), sym(t.offset));
  }

  TensorId id_of(const HostTensor& t) const {
    i64 i = 0;
    while (&k_.tensors[static_cast<std::size_t>(i)] != &t) ++i;
    return TensorId(i);
  }

  std::string block_line(std::size_t i) const {
    const Block& b = k_.blocks[i];
    const std::string kind = b.kind == Block::Kind::Tile   ? "tile"
                             : b.kind == Block::Kind::Grid ? "grid"
                                                           : "registered";
    std::string text =
        fmt::format("{} {}: size {}", kind, name(BlockId(static_cast<i64>(i))), sym(b.size));
    if (b.begin || b.end) text += fmt::format(", {}..{}", sym(b.begin), sym(b.end));
    if (b.step) text += ", step " + sym(b.step);
    if (b.parent) text += ", in " + name(b.parent);
    if (b.kind == Block::Kind::Registered) text += fmt::format(", {}..{}", b.min_size, b.max_size);
    return text;
  }

  std::string value(const ReturnValue& v) const {
    switch (v.kind) {
      case ReturnValue::Kind::None:
        return "none";
      case ReturnValue::Kind::Tensor:
        return name(v.tensor);
      case ReturnValue::Kind::Scalar:
        return sym(v.scalar);
      case ReturnValue::Kind::Sequence:
        break;
    }
    std::vector<std::string> parts;
    for (const ReturnValue& item : v.items) parts.push_back(value(item));
    return "(" + joined(parts) + ")";
  }

  std::string host_line(const HostStmt& s) const {
    switch (s.kind) {
      case HostStmt::Kind::Alloc: {
        const HostTensor& t = k_[s.tensor];
        std::string text =
            fmt::format("alloc {}: {}{}", name(s.tensor), name_of(t.dtype), syms(t.sizes));
        return s.fill ? text + " = " + sym(s.fill) : text;
      }
      case HostStmt::Kind::Check:
        return fmt::format("check {}: {}", sym(s.condition), s.text);
      case HostStmt::Kind::Launch:
        return fmt::format("launch {}", s.root);
      case HostStmt::Kind::Copy:
        return fmt::format("copy {} = {}", name(s.tensor), name(s.source));
      case HostStmt::Kind::Return:
        break;
    }
    return "return " + value(s.value);
  }

  void root(std::size_t i) {
    std::vector<std::string> axes;
    for (BlockId b : k_.roots[i].blocks) axes.push_back(name(b));
    line(1, fmt::format("root {} over {}:", i, joined(axes)));
    body(k_.roots[i].body, 2);
  }

  void body(const std::vector<TstmtId>& stmts, i64 depth) {
    for (TstmtId id : stmts) stmt(k_[id], depth);
  }

  void stmt(const Tstmt& s, i64 depth) {
    switch (s.kind) {
      case TstmtKind::Assign:
        line(depth, fmt::format("{}: {} = {}", name(s.var), type(k_[s.value].type), expr(s.value)));
        return;
      case TstmtKind::Store:
        line(depth, fmt::format("{} = {}{}", access(s.tensor, s.indices), expr(s.value),
                                s.mask ? " where " + expr(s.mask) : ""));
        return;
      case TstmtKind::For: {
        std::vector<std::string> axes;
        for (std::size_t i = 0; i < s.blocks.size(); ++i) {
          axes.push_back(
              fmt::format("{} in {}..{}", name(s.blocks[i]), expr(s.begins[i]), expr(s.ends[i])));
        }
        line(depth, "for " + joined(axes) + ":");
        return body(s.body, depth + 1);
      }
      case TstmtKind::If:
        line(depth, "if " + expr(s.value) + ":");
        body(s.body, depth + 1);
        if (s.orelse.empty()) return;
        line(depth, "else:");
        return body(s.orelse, depth + 1);
    }
  }

  std::string index(const TIndex& i) const {
    switch (i.kind) {
      case TIndex::Kind::Tile:
        return name(i.block) + (i.value ? " + " + expr(i.value) : "");
      case TIndex::Kind::Range:
        return fmt::format("{}:+{}", i.value ? expr(i.value) : "0", sym(i.extent));
      case TIndex::Kind::Scalar:
        return expr(i.value);
      case TIndex::Kind::Gather:
        return "gather " + expr(i.value);
      case TIndex::Kind::NewAxis:
        break;
    }
    return "none";
  }

  std::string access(TensorId tensor, const std::vector<TIndex>& indices) const {
    std::vector<std::string> parts;
    for (const TIndex& i : indices) parts.push_back(index(i));
    return fmt::format("{}[{}]", name(tensor), joined(parts));
  }

  std::string attr(const Texpr& e) const {
    static constexpr std::string_view kNames[] = {"begin", "end",        "id",
                                                  "count", "block_size", "index"};
    return fmt::format("{}.{}", name(e.block), kNames[static_cast<std::size_t>(e.attr)]);
  }

  std::string expr(TexprId id) const {
    const Texpr& e = k_[id];
    switch (e.kind) {
      case TexprKind::Scalar:
        return sym(e.sym);
      case TexprKind::Var:
        return name(e.var);
      case TexprKind::TileAttr:
        return attr(e);
      case TexprKind::Load:
        return access(e.tensor, e.indices) + (e.mask ? " where " + expr(e.mask) : "");
      case TexprKind::Apply:
        break;
    }
    std::vector<std::string> parts;
    for (TexprId operand : e.operands) parts.push_back(expr(operand));
    if (!e.dims.empty()) parts.push_back(fmt::format("dims={}", fmt::join(e.dims, ",")));
    if (e.keep_dims) parts.emplace_back("keep");
    if (e.builtin == Builtin::Var || e.builtin == Builtin::Softplus) {
      parts.push_back(fmt::format("{}", e.real));
    }
    if (!e.text.empty()) parts.push_back(e.text);
    const bool shows_type = e.builtin == Builtin::Cast || e.builtin == Builtin::Expand ||
                            e.builtin == Builtin::Reshape || e.builtin == Builtin::Iota ||
                            e.builtin == Builtin::Dot;
    return fmt::format("{}({}){}", lower(name_of(e.builtin)), joined(parts),
                       shows_type ? ":" + type(e.type) : "");
  }

  const TypedKernel& k_;
  std::string out_;
};

}  // namespace

std::string print(const TypedKernel& kernel) { return Printer(kernel).run(); }

}  // namespace peri::check
