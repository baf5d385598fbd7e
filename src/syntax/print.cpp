// The dump of an AST: one node a line, children indented, roles before them where they matter.
#include <fmt/format.h>

#include "diag/utf8.h"
#include "syntax/parse.h"

namespace peri::syntax {
namespace {

constexpr std::string_view kExprNames[] = {
    "Name",   "Int",         "Float",  "Imaginary", "String",    "Bytes",    "FString",
    "True",   "False",       "None",   "Ellipsis",  "Unary",     "Binary",   "Compare",
    "BoolOp", "Conditional", "Call",   "Attribute", "Subscript", "Slice",    "Tuple",
    "List",   "Set",         "Dict",   "ListComp",  "SetComp",   "DictComp", "Generator",
    "Lambda", "Starred",     "Walrus", "Await",     "Yield"};

constexpr std::string_view kStmtNames[] = {
    "Expr",   "Assign",     "AugAssign", "AnnAssign", "Return",   "If",     "For",    "While",
    "Break",  "Continue",   "Pass",      "Assert",    "Raise",    "Delete", "Global", "Nonlocal",
    "Import", "ImportFrom", "With",      "Try",       "Function", "Class",  "Match",  "TypeAlias"};

constexpr std::string_view kParamNames[] = {"", " positional-only", " keyword-only", " *", " **"};

// Text in quotes, on one line.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\'' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<u8>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<u8>(c));
    } else {
      out += c;
    }
  }
  return diag::printable(out + "'");
}

// The roles of a statement's expressions; the last one repeats.
std::vector<std::string_view> roles_of(const Stmt& s) {
  switch (s.kind) {
    case StmtKind::AugAssign:
      return {"target", "value"};
    case StmtKind::AnnAssign:
      return {"target", "annotation", "value"};
    case StmtKind::If:
    case StmtKind::While:
      return {"test"};
    case StmtKind::For:
      return {"target", "iterable"};
    case StmtKind::Assert:
      return {"test", "message"};
    case StmtKind::Raise:
      return {"value", "cause"};
    case StmtKind::Function:
      return {"returns"};
    case StmtKind::Class:
      return {"base"};
    case StmtKind::Match:
      return {"subject"};
    default:
      return {""};
  }
}

class Printer {
 public:
  explicit Printer(const Ast& ast) : ast_(ast) {}

  std::string print() {
    line("Module");
    block("", ast_.module);
    return std::move(out_);
  }

 private:
  void line(std::string_view text) {
    out_.append(2 * indent_, ' ');
    out_ += text;
    out_ += '\n';
  }

  template <class F>
  void indented(F f) {
    ++indent_;
    f();
    --indent_;
  }

  void block(std::string_view name, const std::vector<StmtId>& stmts) {
    if (name.empty()) {
      indented([&] {
        for (StmtId s : stmts) stmt(s);
      });
    } else if (!stmts.empty()) {
      indented([&] {
        line(fmt::format("{}:", name));
        block("", stmts);
      });
    }
  }

  // A child under a role; a role alone stands for an absent child that has a place.
  void child(std::string_view role, ExprId id) {
    indented([&] {
      std::string lead = role.empty() ? "" : fmt::format("{}: ", role);
      if (id) {
        expr(lead, ast_[id]);
      } else {
        line(lead + "-");
      }
    });
  }

  void optional_child(std::string_view role, ExprId id) {
    if (id) child(role, id);
  }

  static std::string head(const Expr& e) {
    std::string text(kExprNames[static_cast<u8>(e.kind)]);
    if (e.kind == ExprKind::String || e.kind == ExprKind::Bytes) return text + " " + quoted(e.text);
    if (!e.text.empty()) text += " " + e.text;
    for (const std::string& op : e.ops) text += " " + op;
    return text;
  }

  void expr(std::string_view lead, const Expr& e) {
    line(fmt::format("{}{}", lead, head(e)));
    params(e.params);
    for (std::size_t i = 0; i < e.items.size(); ++i) {
      bool named = e.kind == ExprKind::Call && i > 0 && !e.names[i - 1].empty();
      child(named ? e.names[i - 1] : "", e.items[i]);
    }
    for (const Comprehension& c : e.generators) {
      indented([&] { line(c.is_async ? "async for" : "for"); });
      indented([&] {
        child("target", c.target);
        child("iterable", c.iterable);
        for (ExprId condition : c.conditions) child("if", condition);
      });
    }
  }

  void params(const std::vector<Param>& params) {
    for (const Param& p : params) {
      indented([&] {
        line(fmt::format("param {}{}", p.name, kParamNames[static_cast<u8>(p.kind)]));
        optional_child("annotation", p.annotation);
        optional_child("default", p.default_value);
      });
    }
  }

  static std::string head(const Stmt& s) {
    std::string text = s.is_async ? "Async" : "";
    text += kStmtNames[static_cast<u8>(s.kind)];
    if (!s.text.empty()) text += " " + s.text;
    for (const std::string& name : s.names) text += " " + name;
    for (const ImportName& import : s.imports) {
      text += " " + import.name;
      if (!import.alias.empty()) text += " as " + import.alias;
    }
    return text;
  }

  void stmt(StmtId id) {
    const Stmt& s = ast_[id];
    line(head(s));
    for (ExprId decorator : s.decorators) child("decorator", decorator);
    params(s.params);
    std::vector<std::string_view> roles = roles_of(s);
    for (std::size_t i = 0; i < s.exprs.size(); ++i) {
      if (s.kind == StmtKind::With) {
        optional_child(i % 2 == 0 ? "context" : "as", s.exprs[i]);
      } else {
        optional_child(roles[std::min(i, roles.size() - 1)], s.exprs[i]);
      }
    }
    block("body", s.body);
    for (const std::vector<StmtId>& handler : s.handlers) block("handler", handler);
    block("else", s.orelse);
    block("finally", s.finally);
  }

  const Ast& ast_;
  std::string out_;
  std::size_t indent_ = 0;
};

}  // namespace

std::string print(const Ast& ast) { return Printer(ast).print(); }

}  // namespace peri::syntax
