// Statements, on the host and in device code.
#include <fmt/format.h>

#include "check/checker.h"
#include "check/names.h"

namespace peri::check {

using diag::Kind;
using syntax::ExprKind;
using syntax::Stmt;
using syntax::StmtId;
using syntax::StmtKind;

Flow Checker::exec_block(const std::vector<StmtId>& body) {
  if (!deeper(body.empty() ? Span() : ast()[body[0]].span)) return Flow::Next;
  Flow flow = Flow::Next;
  for (StmtId id : body) {
    flow = exec(id);
    if (flow != Flow::Next || stopped_) break;
  }
  --eval_depth;
  return flow;
}

namespace {

std::string_view statement_name(StmtKind kind) {
  switch (kind) {
    case StmtKind::With:
      return "with";
    case StmtKind::Try:
      return "try";
    case StmtKind::Class:
      return "class";
    case StmtKind::Match:
      return "match";
    case StmtKind::Global:
      return "global";
    case StmtKind::Nonlocal:
      return "nonlocal";
    case StmtKind::Delete:
      return "del";
    case StmtKind::Assert:
      return "assert";
    case StmtKind::While:
      return "while";
    case StmtKind::Raise:
      return "raise";
    default:
      return "this statement";
  }
}

Flow refuse(Checker& c, const Stmt& stmt, std::string hint = {}) {
  c.error(Kind::StatementNotAllowed, stmt.head_span ? stmt.head_span : stmt.span,
          fmt::format("`{}` is not allowed {}", statement_name(stmt.kind),
                      c.device ? "in device code" : "in a kernel"))
      .hint = std::move(hint);
  return Flow::Next;
}

Value nested_function(Checker& c, const Stmt& stmt, StmtId id) {
  Value v = make_value(ValueKind::Function, stmt.text);
  auto fn = std::make_shared<Function>();
  fn->ast = &c.ast();
  fn->def = id;
  fn->name = stmt.text;
  fn->closure = c.frame().env;
  v.fn = std::move(fn);
  v.span = stmt.head_span;
  return v;
}

Flow exec_return(Checker& c, const Stmt& stmt) {
  if (c.device && c.frame().kernel) {
    c.error(Kind::StatementNotAllowed, stmt.span, "`return` is not allowed in device code").hint =
        "return after the loop over tiles";
    return Flow::Return;
  }
  if (c.device && c.device->inner > c.frame().inner) {
    c.error(Kind::StatementNotAllowed, stmt.span,
            "`return` inside a device loop or branch is not allowed")
        .hint = "assign the result to a variable and return it at the end";
    return Flow::Return;
  }
  Value value = stmt.exprs.empty() || !stmt.exprs[0] ? none_value() : c.eval(stmt.exprs[0]);
  if (c.frame().kernel) value.span = stmt.span;
  c.frame().result = std::move(value);
  return Flow::Return;
}

}  // namespace

Flow Checker::exec(StmtId id) {
  const Stmt& stmt = ast()[id];
  if (!spend(1, stmt.span)) return Flow::Return;
  switch (stmt.kind) {
    case StmtKind::Expr: {
      const Value value = eval(stmt.exprs[0]);
      if (value.is(ValueKind::Loop)) {
        error(Kind::LoopNotInFor, value.span,
              fmt::format("`{}` stands outside a for statement", value.loop->function))
            .hint = fmt::format("write `for tile in {}(...):`", value.loop->function);
      }
      return Flow::Next;
    }
    case StmtKind::Assign:
      exec_assign(stmt);
      return Flow::Next;
    case StmtKind::AugAssign:
      exec_aug_assign(stmt);
      return Flow::Next;
    case StmtKind::AnnAssign:
      if (stmt.exprs.size() > 2 && stmt.exprs[2]) bind_target(stmt.exprs[0], eval(stmt.exprs[2]));
      return Flow::Next;
    case StmtKind::Return:
      return exec_return(*this, stmt);
    case StmtKind::If:
      return exec_if(stmt);
    case StmtKind::For:
      return exec_for(stmt);
    case StmtKind::While:
      return exec_while(stmt);
    case StmtKind::Break:
    case StmtKind::Continue:
      if (!device || unrolled_depth > 0) {
        return stmt.kind == StmtKind::Break ? Flow::Break : Flow::Continue;
      }
      error(Kind::StatementNotAllowed, stmt.span,
            fmt::format("`{}` is not allowed in device code",
                        stmt.kind == StmtKind::Break ? "break" : "continue"))
          .hint = "put what follows into an `if`";
      return Flow::Next;
    case StmtKind::Pass:
      return Flow::Next;
    case StmtKind::Assert:
      exec_assert(stmt);
      return Flow::Next;
    case StmtKind::Raise:
      exec_raise(stmt);
      return Flow::Return;
    case StmtKind::Import:
    case StmtKind::ImportFrom:
      exec_import(stmt);
      return Flow::Next;
    case StmtKind::Function:
      bind(stmt.text, nested_function(*this, stmt, id), stmt.head_span);
      return Flow::Next;
    case StmtKind::TypeAlias:
      return Flow::Next;
    case StmtKind::With:
      if (!device) return exec_block(stmt.body);  // torch.no_grad() and its like change nothing
      return refuse(*this, stmt);
    default:
      return refuse(*this, stmt);
  }
}

void Checker::exec_assign(const Stmt& stmt) {
  Value value = eval(stmt.exprs.back());
  if (value.is(ValueKind::Loop)) {
    error(Kind::LoopNotInFor, value.span,
          fmt::format("`{}` stands outside a for statement", value.loop->function))
        .hint = fmt::format("write `for tile in {}(...):`", value.loop->function);
    value = {};
  }
  if (device && stmt.exprs.size() > 2) {
    error(Kind::StatementNotAllowed, stmt.span,
          "an assignment to several targets is not allowed in "
          "device code")
        .hint = "assign one after the other";
  }
  for (std::size_t i = 0; i + 1 < stmt.exprs.size(); ++i) bind_target(stmt.exprs[i], value);
}

namespace {

// `acc += x` on tensors keeps the dtype of `acc`, as in torch.
Value keep_dtype(Checker& c, const Value& before, Value after, Span span) {
  if (!before.array() || !after.array() || before.weak) return after;
  const Dtype want = c.type(before).dtype, have = c.type(after).dtype;
  if (want == have) return after;
  if (is_float(have) && !is_float(want)) {
    return c.bad(Kind::DtypeNotAllowed, span,
                 fmt::format("the result is {} and cannot be put into `{}` in place", name_of(have),
                             name_of(want)),
                 "write `a = a + b` if the type may change");
  }
  after.expr = c.cast(after.expr, want);
  return after;
}

}  // namespace

void Checker::exec_aug_assign(const Stmt& stmt) {
  const syntax::Expr& target = ast()[stmt.exprs[0]];
  const Span op_span = stmt.span;
  if (target.kind == ExprKind::Subscript) {
    const Value object = eval(target.items[0]);
    const Value index = eval(target.items[1]);
    const Value before = subscript(object, index, target.span);
    const Value value = eval(stmt.exprs[1]);
    Value after = binary(stmt.text, before, value, stmt.span, op_span);
    if (device && object.is(ValueKind::Tensor)) {
      if (!after.poison()) store(object.tensor, index_items(index), after, nullptr, stmt.span);
      return;
    }
    store_subscript(stmt.exprs[0], std::move(after));
    return;
  }
  const Value before = eval(stmt.exprs[0]);
  const Value value = eval(stmt.exprs[1]);
  if (before.is(ValueKind::Sequence) && before.seq->is_list && stmt.text == "+") {
    if (!may_change(before.seq->level, stmt.span)) return;
    const auto items = iterate(value, "added to a list");
    if (items && spend(static_cast<i64>(items->size()), stmt.span)) {
      before.seq->items.insert(before.seq->items.end(), items->begin(), items->end());
    }
    return;
  }
  Value after =
      keep_dtype(*this, before, binary(stmt.text, before, value, stmt.span, op_span), stmt.span);
  after.span = stmt.span;
  bind_target(stmt.exprs[0], std::move(after));
}

void Checker::exec_assert(const Stmt& stmt) {
  if (device) {
    refuse(*this, stmt, "assert on the host, before the loop over tiles");
    return;
  }
  const Value test = eval(stmt.exprs[0]);
  if (test.poison()) return;
  const Truth t = truth(test);
  if (t.poison) return;
  const auto message = [&]() -> std::string {
    if (stmt.exprs.size() < 2 || !stmt.exprs[1]) {
      return "`" + std::string(diags->sources().snippet(ast()[stmt.exprs[0]].span)) + "` is false";
    }
    return text_of(eval(stmt.exprs[1]));
  };
  const auto fails = [&] {
    error(Kind::AssertFails, ast()[stmt.exprs[0]].span, "assertion failed: " + message());
  };
  if (t.known) {
    if (!*t.known) fails();
    return;
  }
  const std::optional<SymValue> hint = syms.hint(t.sym);
  if (!depends_on_config(t.sym) && hint && hint->integer == 0) return fails();
  kernel.host.push_back(host_statement(HostStmt::Kind::Check, stmt.span));
  kernel.host.back().condition = t.sym;
  kernel.host.back().text = message();
  unify_condition(t.sym);
}

void Checker::exec_raise(const Stmt& stmt) {
  std::string text = "raises an exception";
  if (!stmt.exprs.empty() && stmt.exprs[0]) {
    const syntax::Expr& e = ast()[stmt.exprs[0]];
    text = "raises " + std::string(diags->sources().snippet(e.span));
    if (e.kind == ExprKind::Call && e.items.size() > 1) {
      text = fmt::format("raises {}: {}", diags->sources().snippet(ast()[e.items[0]].span),
                         text_of(eval(e.items[1])));
    }
  }
  error(Kind::Raised, stmt.span, "the kernel " + text);
  stopped_ = true;
}

void Checker::exec_import(const Stmt& stmt) {
  for (const syntax::ImportName& import : stmt.imports) {
    std::string path = import.name;
    if (stmt.kind == StmtKind::ImportFrom) path = stmt.text + "." + import.name;
    std::string name = import.alias;
    if (name.empty()) {
      name = stmt.kind == StmtKind::Import ? path.substr(0, path.find('.')) : import.name;
      if (stmt.kind == StmtKind::Import) path = name;
    }
    bind(name, path_value(path, import.span), import.span);
  }
}

Flow Checker::exec_if(const Stmt& stmt) {
  const Value test = eval(stmt.exprs[0]);
  const Truth t = truth(test);
  if (t.poison) {
    poison_names(stmt.body);
    poison_names(stmt.orelse);
    return Flow::Next;
  }
  if (t.known) return exec_block(*t.known ? stmt.body : stmt.orelse);
  if (!device) {
    const std::optional<bool> taken = decide(test, "a branch");
    if (!taken) return Flow::Next;
    return exec_block(*taken ? stmt.body : stmt.orelse);
  }
  exec_device_if(stmt, t.expr ? t.expr : scalar(t.sym, Dtype::Bool, test.span));
  return Flow::Next;
}

Flow Checker::exec_unrolled(const Stmt& stmt, const std::vector<Value>& items) {
  for (const Value& item : items) {
    if (!spend(1, stmt.span)) return Flow::Return;
    bind_target(stmt.exprs[0], item);
    ++unrolled_depth;
    const Flow flow = exec_block(stmt.body);
    --unrolled_depth;
    if (flow == Flow::Break) return Flow::Next;
    if (flow == Flow::Return) return flow;
    if (stopped_) return Flow::Return;
  }
  return exec_block(stmt.orelse);
}

namespace {

// range(...) in device code is a loop, as hl.grid; elsewhere it is unrolled.
Value grid_of_range(const Value& range) {
  auto spec = std::make_shared<LoopSpec>();
  spec->grid = true;
  spec->function = "range";
  spec->begins = {range.seq->items[0]};
  spec->ends = {range.seq->items[1]};
  spec->steps = {range.seq->items[2]};
  spec->sizes = {none_value()};
  Value v = make_value(ValueKind::Loop);
  v.loop = std::move(spec);
  v.span = range.span;
  return v;
}

}  // namespace

Flow Checker::exec_for(const Stmt& stmt) {
  Value iterable = eval(stmt.exprs[1]);
  if (iterable.poison()) {
    poison_names(stmt.body);
    return Flow::Next;
  }
  if (device && iterable.is(ValueKind::Range)) iterable = grid_of_range(iterable);
  if (iterable.is(ValueKind::Loop)) {
    if (!stmt.orelse.empty()) {
      error(Kind::StatementNotAllowed, stmt.head_span, "a loop over tiles cannot have an `else`");
    }
    if (device) {
      exec_device_for(stmt, iterable);
    } else {
      exec_root(stmt, iterable);
    }
    return Flow::Next;
  }
  const auto items = iterate(iterable, "looped over");
  return items ? exec_unrolled(stmt, *items) : Flow::Next;
}

Flow Checker::exec_while(const Stmt& stmt) {
  if (device) {
    not_yet(stmt.head_span, "while");
    return Flow::Next;
  }
  i64 count = 0;
  while (!stopped_ && iterate_once(count, stmt.head_span ? stmt.head_span : stmt.span)) {
    const std::optional<bool> taken = decide(eval(stmt.exprs[0]), "a loop");
    if (!taken || !*taken) break;
    const Flow flow = exec_block(stmt.body);
    if (flow == Flow::Break) return Flow::Next;
    if (flow == Flow::Return) return flow;
  }
  return exec_block(stmt.orelse);
}

void Checker::store_subscript(syntax::ExprId target, Value value) {
  const syntax::Expr& e = ast()[target];
  const Value object = eval(e.items[0]);
  const Value index = eval(e.items[1]);
  if (object.poison() || index.poison() || value.poison()) return;
  switch (object.kind) {
    case ValueKind::Tensor:
      if (!device) return host_assign(host_subscript(object, index, e.span), value, e.span);
      return store(object.tensor, index_items(index), value, nullptr, e.span);
    case ValueKind::Sequence:
      if (!object.seq->is_list) break;
      if (!may_change(object.seq->level, e.span)) return;
      if (index.scalar()) {
        const std::optional<i64> at = constant(index.sym);
        const i64 size = static_cast<i64>(object.seq->items.size());
        if (!at || *at < -size || *at >= size) {
          error(Kind::IndexRange, e.span, "index outside the list");
          return;
        }
        if (!contained(object, value, e.span)) return;
        if (device) value = hold(std::move(value), "item", true);
        object.seq->items[static_cast<std::size_t>(*at < 0 ? *at + size : *at)] = std::move(value);
        return;
      }
      break;
    case ValueKind::Dict:
      if (!may_change(object.dict->level, e.span) || !contained(object, value, e.span)) return;
      for (auto& [key, item] : object.dict->items) {
        const Truth same = truth(compare("==", key, index, e.span, e.span));
        if (same.known && *same.known) {
          item = std::move(value);
          return;
        }
      }
      object.dict->items.emplace_back(index, std::move(value));
      return;
    case ValueKind::Array:
      error(Kind::StoreTarget, e.span, "a device value cannot be assigned through a subscript")
          .labels.push_back({ast()[e.items[0]].span, describe(object)});
      return;
    default:
      break;
  }
  error(Kind::StoreTarget, e.span,
        fmt::format("{} cannot be assigned through a subscript", kind_text(object)));
}

}  // namespace peri::check
