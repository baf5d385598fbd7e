#include <algorithm>
#include <charconv>

#include "space/space.h"
#include "syntax/parse.h"

namespace peri::space {

namespace {

using diag::Kind;
using syntax::Expr;
using syntax::ExprKind;

// A config in Python syntax: literals, lists and tuples as keyword arguments of a call.
class PythonConfig {
 public:
  PythonConfig(const syntax::Ast& ast, diag::Diags& diags) : ast_(ast), diags_(diags) {}

  std::optional<Config> read(syntax::ExprId id) {
    const Expr& call = ast_[id];
    if (call.kind != ExprKind::Call) return error(call, "a config is `helion.Config(...)` or JSON");
    Config config = Config::object();
    for (std::size_t i = 1; i < call.items.size(); ++i) {
      const std::string& name = call.names[i - 1];
      if (name.empty() || name == "**") {
        return error(ast_[call.items[i]], "a config has keyword arguments only");
      }
      auto value = literal(call.items[i]);
      if (!value) return std::nullopt;
      config[name] = std::move(*value);
    }
    return config;
  }

 private:
  std::nullopt_t error(const Expr& expr, const char* message) {
    diags_.error(Kind::ConfigSyntax, expr.span, message);
    return std::nullopt;
  }

  std::optional<Json> literal(syntax::ExprId id) {
    const Expr& expr = ast_[id];
    switch (expr.kind) {
      case ExprKind::True:
        return Json(true);
      case ExprKind::False:
        return Json(false);
      case ExprKind::None:
        return Json(nullptr);
      case ExprKind::String:
        return Json(expr.text);
      case ExprKind::Int:
      case ExprKind::Float:
        return number(expr, expr.text);
      case ExprKind::Unary:
        if (expr.text == "-") return number(expr, "-" + ast_[expr.items[0]].text);
        break;
      case ExprKind::List:
      case ExprKind::Tuple:
        return list(expr);
      default:
        break;
    }
    return error(expr, "a config holds numbers, strings, booleans, None and lists of them");
  }

  std::optional<Json> list(const Expr& expr) {
    Json items = Json::array();
    for (syntax::ExprId item : expr.items) {
      auto value = literal(item);
      if (!value) return std::nullopt;
      items.push_back(std::move(*value));
    }
    return items;
  }

  std::optional<Json> number(const Expr& expr, std::string text) {
    std::erase(text, '_');
    i64 integer = 0;
    const char* end = text.data() + text.size();
    if (auto [at, failed] = std::from_chars(text.data(), end, integer);
        at == end && failed == std::errc()) {
      return Json(integer);
    }
    double real = 0;
    if (auto [at, failed] = std::from_chars(text.data(), end, real);
        at == end && failed == std::errc()) {
      return Json(real);
    }
    return error(expr, "not a number that a config can hold");
  }

  const syntax::Ast& ast_;
  diag::Diags& diags_;
};

std::optional<Config> parse_json(diag::SourceId source, std::string_view text, diag::Diags& diags) {
  try {
    return Config::parse(text);
  } catch (const Config::parse_error& failure) {
    u32 at = static_cast<u32>(
        std::min<std::size_t>(failure.byte > 0 ? failure.byte - 1 : 0, text.size()));
    diags.error(Kind::ConfigSyntax, {source, at, at}, "the config is not valid JSON here");
    return std::nullopt;
  } catch (const Config::exception&) {  // a number out of range, say
    u32 size = static_cast<u32>(text.size());
    diags
        .error(Kind::ConfigSyntax, {source, 0, size},
               "the config holds a value that JSON readers refuse")
        .hint = "numbers must fit 64 bits";
    return std::nullopt;
  }
}

}  // namespace

std::optional<Config> parse_config(diag::SourceId source, diag::Diags& diags) {
  std::string_view text = diags.sources().text(source);
  std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] == '{') return parse_json(source, text, diags);
  i64 errors = diags.error_count();
  syntax::Ast ast = syntax::parse_expression(source, diags);
  if (diags.error_count() > errors || ast.module.empty()) return std::nullopt;
  return PythonConfig(ast, diags).read(ast[ast.module[0]].exprs[0]);
}

}  // namespace peri::space
