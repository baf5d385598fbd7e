#include "check/checker.h"

#include <fmt/format.h>

#include "check/names.h"

namespace peri::check {

using diag::Kind;

namespace {

// Statements, expressions and iterations of unrolled loops that one kernel may cost.
constexpr i64 kMaxSpent = 1'000'000;

bool reported(const diag::Diags& diags, Kind kind, Span span, const std::string& message) {
  for (const diag::Diagnostic& d : diags.all()) {
    if (d.kind == kind && d.span == span && d.message == message) return true;
  }
  return false;
}

}  // namespace

Checker::Checker(const syntax::Ast& ast, diag::Diags& d)
    : module_ast(ast),
      diags(&d),
      kernel{},
      syms(*(kernel.syms = std::make_shared<SymTable>())),
      module(ast) {
  Frame frame;
  frame.ast = &ast;
  frame.env = std::make_shared<Env>();
  frame.name = "module";
  frames.push_back(std::move(frame));
}

diag::Diagnostic& Checker::error(Kind kind, Span span, std::string message) {
  if (reported(*diags, kind, span, message)) return scratch_ = {};
  diag::Diagnostic& d = diags->error(kind, span, std::move(message));
  // In an inlined function: where it was called, innermost last.
  for (const Frame& frame : frames) {
    if (frame.call.source && frame.call != span) {
      d.notes.push_back(
          fmt::format("in `{}`, called at line {}", frame.name,
                      diags->sources().place(frame.call.source, frame.call.begin).line));
    }
  }
  return d;
}

Value Checker::bad(Kind kind, Span span, std::string message, std::string hint) {
  error(kind, span, std::move(message)).hint = std::move(hint);
  return {};
}

Value Checker::not_yet(Span span, const std::string& what) {
  return bad(Kind::NotYet, span, fmt::format("`{}` is not supported yet", what));
}

bool Checker::spend(i64 amount, Span span) {
  if (stopped_) return false;
  spent_ += amount;
  if (spent_ <= kMaxSpent) return true;
  stopped_ = true;
  error(Kind::TooLarge, span, "this kernel unrolls into too many statements").hint =
      "use `hl.tile`, `hl.grid` or `range` inside device code for long loops; they are not "
      "unrolled";
  return false;
}

void Checker::emit(Tstmt stmt) {
  kernel.stmts.push_back(std::move(stmt));
  device->body->push_back(TstmtId(static_cast<i64>(kernel.stmts.size()) - 1));
}

// Device code computes on loaded values; only a 0-d host tensor can stand for its one element.
void Checker::check_no_host_tensor(const Value& value) {
  const HostTensor& tensor = kernel[value.tensor];
  error(Kind::HostTensor, value.span,
        fmt::format("host tensor `{}` is used in device code without a subscript", tensor.name))
      .hint = fmt::format("load a tile of it first: `{}[{}]`", tensor.name,
                          tensor.sizes.size() == 1 ? "tile" : "tile_m, :");
}

std::string_view kind_text(const Value& value) {
  switch (value.kind) {
    case ValueKind::Poison:
      return "a value with an error";
    case ValueKind::None:
      return "None";
    case ValueKind::Scalar:
      return value.sym.type() == SymType::Int     ? "an int"
             : value.sym.type() == SymType::Float ? "a float"
                                                  : "a bool";
    case ValueKind::String:
      return "a string";
    case ValueKind::Dtype:
      return "a dtype";
    case ValueKind::Device:
      return "a device";
    case ValueKind::Info:
      return "a dtype's limits";
    case ValueKind::Tensor:
      return "a host tensor";
    case ValueKind::Tile:
      return "a tile index";
    case ValueKind::Array:
      return "a device value";
    case ValueKind::Sequence:
      return value.seq->is_list ? "a list" : "a tuple";
    case ValueKind::Dict:
      return "a dict";
    case ValueKind::Range:
      return "a range";
    case ValueKind::Slice:
      return "a slice";
    case ValueKind::Ellipsis:
      return "`...`";
    case ValueKind::Function:
    case ValueKind::Builtin:
      return "a function";
    case ValueKind::Module:
      return "a module";
    case ValueKind::Type:
      return "a type";
    case ValueKind::Loop:
      return "a loop over tiles";
    case ValueKind::Fragment:
      return "a tunable's description";
    case ValueKind::Config:
      return "a config";
    case ValueKind::Opaque:
      return "something of a library";
  }
  return "";
}

std::string Checker::describe(const TileType& type) {
  const std::string dtype(name_of(type.dtype));
  if (type.is_scalar()) return "scalar of " + dtype;
  std::string dims;
  for (const Dim& d : type.shape) {
    if (!dims.empty()) dims += ", ";
    dims += d.block && !kernel[d.block].name.empty() ? kernel[d.block].name : syms.print(d.size);
  }
  return fmt::format("tile [{}] of {}", dims, dtype);
}

std::string Checker::describe(const Value& value) {
  switch (value.kind) {
    case ValueKind::Array:
      return describe(type(value));
    case ValueKind::Tensor: {
      const HostTensor& t = kernel[value.tensor];
      std::string sizes;
      for (Sym s : t.sizes) sizes += (sizes.empty() ? "" : ", ") + syms.print(s);
      return fmt::format("host tensor [{}] of {}", sizes, name_of(t.dtype));
    }
    case ValueKind::Tile:
      return fmt::format("tile index `{}`", kernel[value.block].name);
    case ValueKind::Scalar:
      return fmt::format("{} {}", std::string(kind_text(value)).substr(2), syms.print(value.sym));
    default:
      return std::string(kind_text(value));
  }
}

}  // namespace peri::check
