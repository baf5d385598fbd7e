// The abstract interpreter behind check(): its state, and the services that its parts share.
//
// One Checker types one kernel (or evaluates the decorators of a module). Host code runs on values
// (value.h); inside a device loop the same evaluator builds typed expressions and statements.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <unordered_map>

#include "check/check.h"
#include "check/module.h"
#include "check/value.h"

namespace peri::check {

inline Tstmt statement(TstmtKind kind, Span span) {
  Tstmt s;
  s.kind = kind;
  s.span = span;
  return s;
}
inline HostStmt host_statement(HostStmt::Kind kind, Span span) {
  HostStmt s;
  s.kind = kind;
  s.span = span;
  return s;
}

// How a statement ends.
enum class Flow : u8 { Next, Return, Break, Continue };

// One call of a user function that is being interpreted.
struct Frame {
  const syntax::Ast* ast = nullptr;
  std::shared_ptr<Env> env;
  std::string name;
  Value result = none_value();
  Span call;      // where it was called
  i64 inner = 0;  // device loops and branches around the call
  bool kernel = false;
};

// Names that the body of a device loop reads before it assigns them: only those can be carried.
struct LoopScope {
  const Env* env = nullptr;
  std::set<std::string> read_first, assigned;
};

// The root being built.
struct DeviceState {
  std::vector<TstmtId>* body = nullptr;  // of the innermost open loop or branch
  std::vector<BlockId> open;             // axes of the enclosing loops
  std::set<std::string> host_names;      // of the kernel function, when the root was opened
  const Env* kernel_env = nullptr;
  i64 conditional = 0;  // depth of enclosing branches
  i64 inner = 0;        // depth of enclosing loops and branches below the root
  std::vector<HostStmt> requirements;  // checks before the launch
};

// What a speculative pass over a loop body may have changed.
struct Snapshot {
  std::size_t exprs, stmts, vars, blocks, tensors, guards, host, body, requirements, pairs;
  std::map<std::string, Value> vars_of_env;
  std::map<std::string, VarId> slots;
  std::map<std::string, std::string> dead;
  std::unordered_map<i32, Sym> equal;
};

// A call before its arguments are bound to parameters.
struct Call {
  Span span;  // the whole call
  Span callee;
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Checker {
 public:
  Checker(const syntax::Ast& module, diag::Diags& diags);
  ~Checker();
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  const syntax::Ast& module_ast;
  diag::Diags* diags;
  TypedKernel kernel;
  SymTable& syms;
  ModuleScope module;
  std::map<std::string, Value> globals;  // arguments that are no parameters
  std::optional<DeviceState> device;
  std::vector<LoopScope> loops;
  std::vector<Frame> frames;
  bool static_shapes = true;
  std::set<i32> unnamed;  // allocations that have no name of the user yet

  // --- diagnostics (checker.cpp)
  diag::Diagnostic& error(diag::Kind kind, Span span, std::string message);
  Value bad(diag::Kind kind, Span span, std::string message, std::string hint = {});
  Value not_yet(Span span, const std::string& what);
  bool stopped() const { return stopped_; }
  // Counts work; reports once and stops when a kernel unrolls into more than it may.
  bool spend(i64 amount, Span span);
  bool iterate_once(i64& count, Span span);
  bool shallow(const Value& value, Span span);
  bool may_change(i64 level, Span span);
  i64 level() const { return device ? device->inner : 0; }
  std::shared_ptr<Env> new_env(std::shared_ptr<Env> parent = nullptr);

  // --- facts about host scalars (facts.cpp)
  Sym integer(i64 value) { return syms.integer(value); }
  Sym canon(Sym sym);               // by what asserts and guards have established
  bool equal(Sym a, Sym b);         // provably
  bool assume_equal(Sym a, Sym b);  // provably, or for the arguments at hand, with a guard
  bool assume_true(Sym condition);  // value of the condition for the arguments, with a guard
  bool depends_on_config(Sym sym);
  std::optional<i64> constant(Sym sym);  // integer value after canon
  std::optional<i64> hint(Sym sym);
  void unify(Sym a, Sym b);  // from now on equal
  void unify_condition(Sym condition);
  Sym replace_symbols(Sym sym);
  bool solve(Sym sum, Sym value);
  Sym product(std::span<const Sym> factors);
  Sym divide(std::span<const Sym> factors, std::span<const Sym> divisors);  // cancels what it can

  // --- names (module.cpp, scope.cpp)
  Frame& frame() { return frames.back(); }
  const syntax::Ast& ast() { return *frames.back().ast; }
  Value lookup(const std::string& name, Span span);
  std::optional<Value> find(const std::string& name);
  Value module_value(const std::string& name, Span span);
  Value path_value(const std::string& path, Span span);        // an import's dotted name
  void poison_names(const std::vector<syntax::StmtId>& body);  // those that `body` assigns
  Value attribute_of_module(const Value& module, const std::string& name, Span span);
  void bind(const std::string& name, Value value, Span span);
  void bind_target(syntax::ExprId target, Value value);
  std::vector<std::string> visible_names();
  std::string nearest_hint(const std::string& name, const std::vector<std::string>& candidates);

  // --- statements (stmt.cpp, device.cpp)
  Flow exec_block(const std::vector<syntax::StmtId>& body);
  Flow exec(syntax::StmtId id);
  Flow exec_if(const syntax::Stmt& stmt);
  Flow exec_for(const syntax::Stmt& stmt);
  Flow exec_unrolled(const syntax::Stmt& stmt, const std::vector<Value>& items);
  Flow exec_while(const syntax::Stmt& stmt);
  void exec_assign(const syntax::Stmt& stmt);
  void exec_aug_assign(const syntax::Stmt& stmt);
  void exec_assert(const syntax::Stmt& stmt);
  void exec_raise(const syntax::Stmt& stmt);
  void exec_import(const syntax::Stmt& stmt);
  void exec_root(const syntax::Stmt& stmt, const Value& loop);
  void exec_device_for(const syntax::Stmt& stmt, const Value& loop);
  void exec_device_if(const syntax::Stmt& stmt, TexprId condition);
  void store_subscript(syntax::ExprId target, Value value);

  // --- expressions (expr.cpp, operators.cpp)
  bool deeper(
      Span span);  // one level of nesting; false after a diagnostic, else --eval_depth ends it
  // May `value` be put into `container`? Not if that makes it contain itself.
  bool contained(const Value& container, const Value& value, Span span);
  Value eval(syntax::ExprId id);
  Value binary(const std::string& op, const Value& a, const Value& b, Span span, Span op_span);
  Value unary(const std::string& op, const Value& a, Span span);
  Value compare(const std::string& op, const Value& a, const Value& b, Span span, Span op_span);
  Value attribute(const Value& object, const std::string& name, Span span, Span name_span);
  Value subscript(const Value& object, const Value& index, Span span);
  // Truth where it is known while typing; a symbolic host condition or a device scalar otherwise.
  struct Truth {
    std::optional<bool> known;
    Sym sym;
    TexprId expr;
    bool poison = false;
  };
  Truth truth(const Value& value);
  // As a branch of host code: symbolic conditions are decided by the arguments at hand.
  std::optional<bool> decide(const Value& value, const char* what);
  std::optional<std::vector<Value>> iterate(const Value& value, const char* what);
  std::string text_of(const Value& value);   // str(value)
  std::string describe(const Value& value);  // for labels: "tile [tile_m, 64] of f32"
  std::string describe(const TileType& type);

  // --- calls (call.cpp)
  Value call(const Value& callee, Call call);
  Value call_function(const Value& callee, Call& call);
  Value call_builtin(const Value& callee, Call& call);

  // --- device values (build.cpp)
  TexprId add(Texpr expr);
  const Texpr& expr(TexprId id) const { return kernel.exprs[id.index]; }
  const TileType& type(const Value& array) const { return kernel.exprs[array.expr.index].type; }
  void emit(Tstmt stmt);
  TexprId scalar(Sym sym, Dtype dtype, Span span);
  TexprId apply(Builtin builtin, std::vector<TexprId> operands, TileType type, Span span);
  TexprId cast(TexprId value, Dtype dtype);
  TexprId unsqueeze(TexprId value, i64 position);
  TexprId squeeze(TexprId value, i64 position);
  TexprId expand(TexprId value, const std::vector<Dim>& shape);
  TexprId permute(TexprId value, const std::vector<i64>& order);
  TexprId reshape(TexprId value, const std::vector<Dim>& shape);
  TexprId reduce(Builtin builtin, TexprId value, std::vector<i64> dims, bool keep, Dtype dtype);
  TexprId tile_attr(BlockId block, TileAttr attr, Span span);
  // In a variable of its own: evaluated once, used many times. Variables themselves are copied only
  // if asked, where they may be assigned before the use.
  TexprId hold(TexprId value, const std::string& name, bool copy = false);
  Value hold(Value value, const std::string& name, bool copy = false);
  VarId new_var(const std::string& name);
  Dim dim_of(BlockId block) const;
  TensorId add_tensor(HostTensor tensor);
  TensorId alloc(std::string name, Dtype dtype, std::vector<Sym> sizes, Sym fill, Span span);
  std::vector<Sym> contiguous_strides(const std::vector<Sym>& sizes);

  // --- shapes and dtypes (shapes.cpp)
  bool same_extent(const Dim& a, const Dim& b);  // equal but for a missing block
  std::optional<std::vector<Dim>> broadcast(std::span<const Value> operands, Span span,
                                            const std::string& what);
  TexprId broadcast_to(TexprId value, const std::vector<Dim>& shape);
  std::optional<Dtype> promote_operands(std::span<const Value> operands);
  TexprId as_expr(const Value& value, Dtype dtype);  // a host scalar or device value, cast
  Value elementwise(Builtin builtin, std::vector<Value> operands, Span span,
                    const std::string& what);
  // Device shape or host sizes from a list or tuple of ints, tiles and block sizes.
  std::optional<std::vector<Dim>> shape_from(const Value& value, Span span);
  std::optional<std::vector<Sym>> sizes_from(const Value& value, Span span);
  std::optional<i64> dim_from(const Value& value, i64 rank, Span span);
  std::optional<std::vector<i64>> dims_from(const Value& value, i64 rank, Span span);
  std::vector<Value> shape_values(const Value& tensor_or_array);

  // --- subscripts (index.cpp)
  struct Access {
    std::vector<TIndex> indices;
    std::vector<Dim> shape;
  };
  std::optional<Access> access(TensorId tensor, const std::vector<Value>& index, Span span,
                               bool store, bool masked);
  Value load(TensorId tensor, const std::vector<Value>& index, const Value* mask, Span span);
  void store(TensorId tensor, const std::vector<Value>& index, const Value& value,
             const Value* mask, Span span);
  // Does a value broadcast to the shape it is stored to?
  bool fit(TexprId value, const std::vector<Dim>& shape, Span span, const std::string& what);
  // A condition that the host checks now or, in device code, before the launch. `text` says what is
  // the matter where it does not hold.
  void require(Sym condition, std::string code, const std::string& text, Span span);
  // An index from the host, counted from the end where it is negative (in this call, with a guard).
  Sym wrap_index(Sym index, Sym size);
  TexprId access_mask(const Value& mask, const std::vector<Dim>& shape, Span span);
  static std::vector<Value> index_items(const Value& index);

  // --- host tensors (host_view.cpp, host_math.cpp)
  Value host_view(TensorId base, std::vector<Sym> sizes, std::vector<Sym> strides, Sym offset);
  Value host_subscript(const Value& tensor, const Value& index, Span span);
  void host_assign(const Value& target, const Value& value, Span span);
  Value host_reshape(const Value& tensor, std::vector<Sym> sizes, Span span);
  Value host_expand(const Value& tensor, const std::vector<Sym>& sizes, Span span);
  std::optional<std::vector<Sym>> infer_sizes(const std::vector<Sym>& from, std::vector<Sym> sizes,
                                              Span span);
  std::string sizes_text(const std::vector<Sym>& sizes);
  std::optional<std::vector<Sym>> host_broadcast(const std::vector<std::vector<Sym>>& shapes,
                                                 Span span, const std::string& what);
  Value host_copy(const Value& tensor, Span span);
  bool is_contiguous(const HostTensor& tensor);
  // A function of device values applied to whole tensors: a root of its own.
  using DeviceFunction = std::function<Value(std::vector<Value>)>;
  Value host_math(std::vector<Value> operands, const std::vector<i64>& whole_dims,
                  const DeviceFunction& function, Span span, const std::string& name);
  // Fills `target` with a function of its elements' indices.
  Value host_fill(const Value& target,
                  const std::function<Value(const std::vector<Value>& index)>& function, Span span);
  Value host_dot(const Value& a, const Value& b, Span span);

  // --- arguments (args.cpp)
  Value argument(const ArgSpec& spec, const std::string& name, bool constexpr_param);

  // --- loops (loop.cpp)
  BlockId add_block(Block block);
  Sym block_symbol(BlockId block);
  Value scalar_int(i64 value);
  void bind_loop_target(syntax::ExprId target, const Value& value);
  Snapshot save();
  void restore(const Snapshot& snapshot);

  void check_no_host_tensor(const Value& value);
  void finish();

  i64 function_depth = 0;
  i64 eval_depth = 0;
  std::vector<const void*> call_stack;
  i64 tile_statements = 0;
  i64 unrolled_depth = 0;  // loops that are unrolled, below the innermost device loop
  i64 failed_roots = 0;    // loops over tiles that have an error in their head
  bool synthetic = false;  // building a root for host tensor math

 private:
  Value eval_kind(syntax::ExprId id);
  Value eval_call(const syntax::Expr& e);
  Value eval_compare(const syntax::Expr& e);
  Value eval_bool_op(const syntax::Expr& e);
  Value eval_conditional(const syntax::Expr& e);
  Value eval_fstring(const syntax::Expr& e);
  Value eval_comprehension(const syntax::Expr& e, bool dict);
  void comprehend(const syntax::Expr& e, std::size_t generator, const std::function<void()>& leaf);
  Value eval_number(const syntax::Expr& e);
  Value eval_dict(const syntax::Expr& e);
  std::optional<std::vector<Value>> eval_items(const std::vector<syntax::ExprId>& items);

  std::unordered_map<i32, Sym> equal_;  // symbol -> what it equals
  std::vector<std::pair<Sym, Sym>> equal_pairs_;
  std::vector<Sym> block_symbols_;
  i64 spent_ = 0;
  bool stopped_ = false;
  diag::Diagnostic scratch_;
  std::vector<std::weak_ptr<Env>> envs_;
};

}  // namespace peri::check
