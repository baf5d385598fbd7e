#include "check/checker.h"

#include <fmt/format.h>

#include <algorithm>

#include "check/names.h"

namespace peri::check {

using diag::Kind;

namespace {

// Statements, expressions and iterations of unrolled loops that one kernel may cost.
constexpr i64 kMaxSpent = 500'000;

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
  frame.env = new_env();
  frame.name = "module";
  frames.push_back(std::move(frame));
}

// Functions hold the scope they were made in, which holds them.
Checker::~Checker() {
  for (const std::weak_ptr<Env>& env : envs_) {
    if (const std::shared_ptr<Env> scope = env.lock()) scope->vars.clear();
  }
}

std::shared_ptr<Env> Checker::new_env(std::shared_ptr<Env> parent) {
  auto env = std::make_shared<Env>();
  env->parent = std::move(parent);
  envs_.push_back(env);
  return env;
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

// One loop of host code runs at most so often; a loop without end is found early.
bool Checker::iterate_once(i64& count, Span span) {
  constexpr i64 kMaxIterations = 10'000;
  if (++count <= kMaxIterations) return spend(1, span);
  if (!stopped_) {
    stopped_ = true;
    error(Kind::TooLarge, span, fmt::format("this loop runs more than {} times", kMaxIterations))
        .hint = "loop in device code with `hl.tile`, `hl.grid` or `range`; those are not unrolled";
  }
  return false;
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

i64 depth_of(const Value& value, i64 limit) {
  if (limit <= 0) return 0;
  i64 deepest = 0;
  const auto visit = [&](const Value& item) {
    if (deepest < limit) deepest = std::max(deepest, 1 + depth_of(item, limit - 1));
  };
  if (value.seq) std::ranges::for_each(value.seq->items, visit);
  if (value.dict) {
    for (const auto& [key, item] : value.dict->items) visit(item);
  }
  return deepest;
}

// Containers stay shallow, so that whoever walks them may recurse; a list in itself has no end.
bool Checker::shallow(const Value& value, Span span) {
  constexpr i64 kMaxDepth = 24;
  if (depth_of(value, kMaxDepth) < kMaxDepth) return true;
  error(Kind::TooLarge, span, "lists and tuples are nested too deep here");
  return false;
}

bool Checker::contained(const Value& container, const Value& value, Span span) {
  if (!shallow(value, span)) return false;
  std::vector<Value> stack{value};
  std::set<const void*> seen;
  while (!stack.empty()) {
    const Value v = std::move(stack.back());
    stack.pop_back();
    const void* const id = v.seq ? static_cast<const void*>(v.seq.get()) : v.dict.get();
    if (id == nullptr || !seen.insert(id).second) continue;
    if ((v.seq && v.seq == container.seq) || (v.dict && v.dict == container.dict)) {
      error(Kind::TooLarge, span, "a container cannot be put into itself");
      return false;
    }
    if (v.seq) stack.insert(stack.end(), v.seq->items.begin(), v.seq->items.end());
    if (v.dict) {
      for (const auto& [key, item] : v.dict->items) stack.push_back(item);
    }
  }
  return true;
}

// A list that device code changes in a loop or branch would change once, not once an iteration.
bool Checker::may_change(i64 level, Span span) {
  if (!device || device->inner <= level) return true;
  error(Kind::StatementNotAllowed, span,
        "a container from outside cannot be changed in a device loop or branch")
      .hint = "use `hl.static_range`, which is unrolled, or a tensor";
  return false;
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
