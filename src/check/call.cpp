// Calls: binding of arguments, dispatch to the handlers of names.def, inlining of user functions.
#include <fmt/format.h>

#include "check/checker.h"
#include "check/fns.h"
#include "check/names.h"

namespace peri::check {

using diag::Kind;
using syntax::Expr;
using syntax::ExprKind;
using syntax::Stmt;

Value Checker::eval_call(const Expr& e) {
  const Value callee = eval(e.items[0]);
  Call call;
  call.span = e.span;
  call.callee = ast()[e.items[0]].span;
  bool poison = callee.poison();
  for (std::size_t i = 1; i < e.items.size(); ++i) {
    const Expr& arg = ast()[e.items[i]];
    const std::string name = i - 1 < e.names.size() ? e.names[i - 1] : "";
    if (arg.kind == ExprKind::Starred) {
      const Value inner = eval(arg.items[0]);
      const auto items = inner.poison() ? std::nullopt : iterate(inner, "unpacked");
      if (!items) return {};
      call.positional.insert(call.positional.end(), items->begin(), items->end());
      continue;
    }
    Value value = eval(e.items[i]);
    poison = poison || value.poison();
    if (name == "**") {
      if (!value.is(ValueKind::Dict)) {
        if (!value.poison()) bad(Kind::BadArgument, value.span, "`**` needs a dict");
        return {};
      }
      for (const auto& [key, item] : value.dict->items) call.named.emplace_back(key.text, item);
    } else if (name.empty()) {
      call.positional.push_back(std::move(value));
    } else {
      call.named.emplace_back(name, std::move(value));
    }
  }
  if (poison || stopped_) return {};
  return this->call(callee, std::move(call));
}

Value Checker::call(const Value& callee, Call call) {
  switch (callee.kind) {
    case ValueKind::Builtin:
      return call_builtin(callee, call);
    case ValueKind::Function:
      return call_function(callee, call);
    case ValueKind::Opaque:
    case ValueKind::Module:
      if (callee.text.starts_with("warnings.") || callee.text.starts_with("logging.")) {
        return none_value();
      }
      if (callee.text == "typing.cast" && call.positional.size() == 2) return call.positional[1];
      if (callee.text == "functools.partial" && !call.positional.empty()) break;
      return bad(
          Kind::UnknownFunction, call.callee,
          fmt::format("`{}` is not known here and cannot be called from a kernel", callee.text));
    case ValueKind::Type:
      if (callee.text.ends_with("Error")) return make_value(ValueKind::Opaque, callee.text);
      return bad(Kind::UnknownFunction, call.callee,
                 fmt::format("objects of class `{}` cannot be made in a kernel", callee.text));
    default:
      break;
  }
  return bad(Kind::OperandType, call.callee, fmt::format("{} cannot be called", kind_text(callee)));
}

namespace {

struct Parameter {
  std::string_view name;
  bool optional = false;
  bool rest = false;
};

std::vector<Parameter> parse_signature(std::string_view text) {
  std::vector<Parameter> parameters;
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, space);
    text.remove_prefix(std::min(space + 1, text.size()));
    Parameter p;
    p.rest = word.starts_with('*');
    if (p.rest) word.remove_prefix(1);
    p.optional = word.ends_with('?') || p.rest;
    if (word.ends_with('?')) word.remove_suffix(1);
    p.name = word;
    parameters.push_back(p);
  }
  return parameters;
}

// numpy's names, which torch takes too.
std::string_view torch_name(std::string_view name) {
  if (name == "axis") return "dim";
  if (name == "keepdims") return "keepdim";
  if (name == "x") return "input";
  if (name == "a_min") return "min";
  if (name == "a_max") return "max";
  return name;
}

std::optional<std::size_t> parameter_index(const std::vector<Parameter>& parameters,
                                           std::string_view name) {
  for (std::string_view candidate : {name, torch_name(name)}) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i].name == candidate) return i;
    }
  }
  return std::nullopt;
}

bool bind_positional(Checker& c, Args& args, const std::vector<Parameter>& parameters,
                     const std::vector<Value>& values) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (at < parameters.size() && parameters[at].rest) {
      if (!args.given[at]) args.values[at] = sequence_value({});
      args.given[at] = true;
      args.values[at].span = values[i].span;
      args.values[at].seq->items.push_back(values[i]);
      continue;
    }
    if (at == parameters.size()) {
      c.error(Kind::ArgumentCount, values[i].span,
              fmt::format("`{}` takes at most {} arguments", args.name(), parameters.size()));
      return false;
    }
    args.values[at] = values[i];
    args.given[at++] = true;
  }
  return true;
}

bool bind_named(Checker& c, Args& args, const std::vector<Parameter>& parameters,
                const std::vector<std::pair<std::string, Value>>& named) {
  for (const auto& [name, value] : named) {
    const std::optional<std::size_t> at = parameter_index(parameters, name);
    if (!at) {
      std::vector<std::string> known;
      for (const Parameter& p : parameters) known.emplace_back(p.name);
      c.error(Kind::ArgumentCount, value.span,
              fmt::format("`{}` has no argument `{}`", args.name(), name))
          .hint = c.nearest_hint(name, known);
      return false;
    }
    if (args.given[*at]) {
      c.error(Kind::ArgumentCount, value.span,
              fmt::format("argument `{}` of `{}` is given twice", name, args.name()));
      return false;
    }
    const bool wrap = parameters[*at].rest && !value.is(ValueKind::Sequence);
    args.values[*at] = wrap ? sequence_value({value}) : value;
    args.values[*at].span = value.span;
    args.given[*at] = true;
  }
  return true;
}

std::optional<Args> bind_arguments(Checker& c, const Entry& entry, const Call& call) {
  Args args(entry, call);
  if (entry.signature == "**") {  // the handler takes anything
    Value dict = make_value(ValueKind::Dict);
    dict.dict = std::make_shared<Dict>();
    for (const auto& [name, v] : call.named) dict.dict->items.emplace_back(string_value(name), v);
    args.values = {sequence_value(call.positional), dict};
    args.given = {true, true};
    return args;
  }
  const std::vector<Parameter> parameters = parse_signature(entry.signature);
  args.values.assign(parameters.size(), none_value());
  args.given.assign(parameters.size(), false);
  if (!bind_positional(c, args, parameters, call.positional)) return std::nullopt;
  if (!bind_named(c, args, parameters, call.named)) return std::nullopt;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (args.given[i] || parameters[i].optional) continue;
    c.error(Kind::ArgumentCount, call.span,
            fmt::format("`{}` needs an argument `{}`", args.name(), parameters[i].name));
    return std::nullopt;
  }
  return args;
}

// The dimensions that a reduction on a host tensor needs whole.
std::optional<std::vector<i64>> whole_dims(Checker& c, const Args& args) {
  const auto parameters = parse_signature(args.entry.signature);
  const std::optional<std::size_t> at = parameter_index(parameters, "dim");
  if (!at) return std::vector<i64>{};
  const Value& dim = args.values[*at];
  if (dim.is(ValueKind::Tensor)) return std::vector<i64>{};
  const i64 rank = rank_of(c, args.values[0]);
  std::vector<i64> all;
  for (i64 i = 0; i < rank; ++i) all.push_back(i);
  const bool no_dims = dim.none() || (dim.is(ValueKind::Sequence) && dim.seq->items.empty());
  return no_dims ? all : c.dims_from(dim, rank, dim.span);
}

Value call_math(Checker& c, const Args& args) {
  std::vector<Value> tensors;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < args.values.size(); ++i) {
    if (!args.values[i].is(ValueKind::Tensor)) continue;
    tensors.push_back(args.values[i]);
    places.push_back(i);
  }
  if (tensors.empty()) return args.entry.handler(c, args);
  std::vector<i64> whole;
  if (!c.device) {
    const auto dims = whole_dims(c, args);
    if (!dims) return {};
    whole = *dims;
  }
  const auto run = [&](std::vector<Value> loaded) {
    Args on_device = args;
    for (std::size_t i = 0; i < places.size(); ++i) on_device.values[places[i]] = loaded[i];
    return args.entry.handler(c, on_device);
  };
  return math_call(c, tensors, args.span, args.name(), run, whole);
}

}  // namespace

Value math_call(Checker& c, std::vector<Value> operands, Span span, const std::string& name,
                const Checker::DeviceFunction& function, const std::vector<i64>& whole_dims) {
  bool host = false;
  for (Value& v : operands) {
    if (!v.is(ValueKind::Tensor)) continue;
    if (!c.device) {
      host = true;
    } else if (c.kernel[v.tensor].sizes.empty()) {
      const Span at = v.span;
      v = c.load(v.tensor, {}, nullptr, at);
      v.span = at;
    } else {
      c.check_no_host_tensor(v);
      return {};
    }
  }
  if (host) return c.host_math(std::move(operands), whole_dims, function, span, name);
  return function(std::move(operands));
}

Value Checker::call_builtin(const Value& callee, Call& call) {
  const Entry& entry = *callee.builtin->entry;
  if (entry.use == Use::Later) return not_yet(call.callee, spelling_of(entry));
  if (entry.use == Use::Host && device) {
    return bad(Kind::HostOnly, call.callee,
               fmt::format("`{}` is a function of host code", spelling_of(entry)),
               "call it before the loop over tiles");
  }
  if (entry.use == Use::Device && !device) {
    return bad(Kind::DeviceOnly, call.callee,
               fmt::format("`{}` is a function of device code", spelling_of(entry)),
               "call it inside a loop over tiles");
  }
  if (callee.builtin->bound) {
    call.positional.insert(call.positional.begin(), callee.builtin->self);
  }
  const std::optional<Args> args = bind_arguments(*this, entry, call);
  if (!args) return {};
  Value result = entry.use == Use::Math ? call_math(*this, *args) : entry.handler(*this, *args);
  result.span = call.span;
  return result;
}

namespace {

// Parameters of a user function that is inlined.
class Inlined {
 public:
  Inlined(Checker& c, const Function& fn, const Call& call) : c_(c), fn_(fn), call_(call) {}

  bool bind(const std::vector<syntax::Param>& params) {
    named_ = call_.named;
    for (const syntax::Param& p : params) {
      if (!bind_one(p)) return false;
    }
    if (at_ < call_.positional.size()) {
      return fail(call_.positional[at_].span,
                  fmt::format("`{}` takes {} arguments, {} are given", fn_.name, params.size(),
                              call_.positional.size()));
    }
    if (named_.empty()) return true;
    return fail(named_[0].second.span,
                fmt::format("`{}` has no argument `{}`", fn_.name, named_[0].first));
  }

 private:
  bool fail(Span span, std::string message) {
    c_.error(Kind::ArgumentCount, span, std::move(message));
    return false;
  }

  void set(const std::string& name, const Value& value) {
    c_.frame().env->vars[name] = c_.device ? c_.hold(value, name) : value;
  }

  bool bind_one(const syntax::Param& p) {
    if (p.kind == syntax::ParamKind::Args) {
      std::vector<Value> rest(call_.positional.begin() + static_cast<i64>(at_),
                              call_.positional.end());
      at_ = call_.positional.size();
      set(p.name, sequence_value(std::move(rest)));
      return true;
    }
    if (p.kind == syntax::ParamKind::Kwargs) {
      Value dict = make_value(ValueKind::Dict);
      dict.dict = std::make_shared<Dict>();
      for (auto& [name, v] : named_) dict.dict->items.emplace_back(string_value(name), v);
      named_.clear();
      set(p.name, dict);
      return true;
    }
    if (p.kind != syntax::ParamKind::KeywordOnly && at_ < call_.positional.size()) {
      set(p.name, call_.positional[at_++]);
      return true;
    }
    const auto it = std::ranges::find_if(named_, [&](const auto& n) { return n.first == p.name; });
    if (it != named_.end()) {
      set(p.name, it->second);
      named_.erase(it);
      return true;
    }
    if (p.default_value) {
      set(p.name, c_.eval(p.default_value));
      return true;
    }
    return fail(call_.span, fmt::format("`{}` needs an argument `{}`", fn_.name, p.name));
  }

  Checker& c_;
  const Function& fn_;
  const Call& call_;
  std::vector<std::pair<std::string, Value>> named_;
  std::size_t at_ = 0;
};

}  // namespace

Value Checker::call_function(const Value& callee, Call& call) {
  const Function& fn = *callee.fn;
  const syntax::Ast& code = *fn.ast;
  const void* id = fn.def ? static_cast<const void*>(&code[fn.def]) : &code[fn.lambda];
  constexpr std::size_t kMaxDepth = 64;
  if (std::ranges::find(call_stack, id) != call_stack.end() || call_stack.size() > kMaxDepth) {
    return bad(Kind::Recursion, call.callee, fmt::format("`{}` calls itself", fn.name),
               "functions are inlined into a kernel and cannot be recursive");
  }
  if (fn.def && is_kernel_function(*this, code, code[fn.def])) {
    return bad(Kind::NestedKernel, call.callee,
               fmt::format("`{}` is a kernel and cannot be called from a kernel", fn.name),
               "move the shared code into a function without the decorator");
  }
  call_stack.push_back(id);
  Frame frame;
  frame.ast = &code;
  frame.env = new_env(fn.closure);
  frame.name = fn.name;
  frame.inner = device ? device->inner : 0;
  frame.call = call.span;
  frames.push_back(std::move(frame));
  Value result;
  if (Inlined(*this, fn, call).bind(fn.def ? code[fn.def].params : code[fn.lambda].params)) {
    if (fn.def) {
      exec_block(code[fn.def].body);
      result = this->frame().result;
    } else {
      result = eval(code[fn.lambda].items[0]);
    }
  }
  frames.pop_back();
  call_stack.pop_back();
  result.span = call.span;
  return result;
}

}  // namespace peri::check
