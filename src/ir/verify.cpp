#include "ir/verify.h"

#include <fmt/format.h>

#include "ir/rules.h"
#include "ir/text.h"

namespace peri::ir {
namespace {

constexpr std::size_t kMaxFaults = 50;

// Walks the graphs from the roots on. Ops are only looked at closely once their ids are known good.
class Verifier {
 public:
  explicit Verifier(const Kernel& kernel)
      : kernel_(kernel),
        defined_(kernel.values.size()),
        visited_ops_(kernel.ops.size()),
        visited_graphs_(kernel.graphs.size()),
        active_(kernel.blocks.size()) {}

  std::vector<Fault> run() {
    if (!kernel_.syms) return {{{}, "no symbol table"}};
    tables();
    // Types are compared only where every id in them is good.
    if (faults_.empty()) {
      for (std::size_t i = 0; i < kernel_.roots.size(); ++i) root(i);
    }
    return std::move(faults_);
  }

 private:
  template <class Tag, class Row>
  static bool in_range(Id<Tag> id, const std::vector<Row>& table) {
    return id.index >= 0 && id.index < static_cast<i64>(table.size());
  }

  template <class... Args>
  bool fault(fmt::format_string<Args...> format, Args&&... args) {
    if (faults_.size() < kMaxFaults) {
      faults_.push_back({op_, where_ + fmt::format(format, std::forward<Args>(args)...)});
    }
    return false;
  }

  // --- tables -----------------------------------------------------------------------------------

  void tables() {
    for (i64 i = 0; i < kernel_.syms->symbol_count(); ++i) {
      const Symbol& symbol = kernel_.syms->symbol(SymbolId(i));
      if (symbol.block && !in_range(symbol.block, kernel_.blocks)) {
        fault("symbol `{}`: unknown block", symbol.name);
      }
    }
    for (const TensorParam& tensor : kernel_.tensors) tensor_row(tensor);
    for (std::size_t i = 0; i < kernel_.blocks.size(); ++i) block_row(i);
    for (std::size_t i = 0; i < kernel_.values.size(); ++i) value_row(i);
  }

  static bool is_integer(Sym sym) { return sym && sym.type() == SymType::Int; }
  static bool is_integer_or_none(Sym sym) { return !sym || is_integer(sym); }

  void tensor_row(const TensorParam& tensor) {
    if (tensor.sizes.size() != tensor.strides.size()) {
      fault("tensor `{}`: {} sizes and {} strides", tensor.name, tensor.sizes.size(),
            tensor.strides.size());
    }
    for (const auto& syms : {tensor.sizes, tensor.strides}) {
      for (Sym sym : syms) {
        if (!is_integer(sym)) fault("tensor `{}`: a size or stride is no integer", tensor.name);
      }
    }
  }

  void block_row(std::size_t i) {
    const Block& block = kernel_.blocks[i];
    if (!is_integer(block.size)) fault("b{}: the size is no integer", i);
    if (!is_integer_or_none(block.begin) || !is_integer_or_none(block.end) ||
        !is_integer_or_none(block.step)) {
      fault("b{}: a bound or step is no integer", i);
    }
    if (block.parent && !in_range(block.parent, kernel_.blocks)) fault("b{}: unknown parent", i);
  }

  void value_row(std::size_t i) {
    for (const Dim& dim : kernel_.values[i].type.shape) {
      if (!is_integer(dim.size)) fault("%{}: an extent is no integer", i);
      if (dim.block && !in_range(dim.block, kernel_.blocks)) {
        fault("%{}: an extent of an unknown block", i);
      }
    }
  }

  // --- graphs -----------------------------------------------------------------------------------

  void root(std::size_t i) {
    const Root& root = kernel_.roots[i];
    where_ = fmt::format("root {}: ", i);
    if (!enter_blocks(root.blocks)) return;
    for (BlockId block : root.blocks) {
      if (!kernel_[block].end) fault("b{} has no end", block.index);
    }
    if (in_range(root.body, kernel_.graphs)) {
      if (!kernel_[root.body].params.empty() || !kernel_[root.body].yields.empty()) {
        fault("a root's body has parameters or yields");
      }
      graph(root.body);
    } else {
      fault("unknown graph");
    }
    leave_blocks(root.blocks);
  }

  bool enter_blocks(const std::vector<BlockId>& blocks) {
    for (BlockId block : blocks) {
      if (!in_range(block, kernel_.blocks)) return fault("unknown block");
      if (kernel_[block].kind == Block::Kind::Registered) {
        return fault("b{} is only a size", block.index);
      }
      if (active_[block.index]) return fault("b{} is looped over twice", block.index);
      active_[block.index] = true;
    }
    return true;
  }

  void leave_blocks(const std::vector<BlockId>& blocks) {
    for (BlockId block : blocks) active_[block.index] = false;
  }

  void graph(GraphId id) {
    if (visited_graphs_[id.index]) {
      fault("a graph with two owners");
      return;
    }
    visited_graphs_[id.index] = true;
    const Graph& graph = kernel_[id];
    std::size_t outer = scope_.size();
    for (ValueId param : graph.params) define(param, {}, id);
    for (OpId op : graph.ops) visit(op, id);
    for (ValueId yield : graph.yields) use(yield);
    while (scope_.size() > outer) {
      defined_[scope_.back().index] = false;
      scope_.pop_back();
    }
  }

  void define(ValueId value, OpId def, GraphId owner) {
    if (!in_range(value, kernel_.values)) {
      fault("defines an unknown value");
      return;
    }
    const Value& row = kernel_[value];
    if (defined_[value.index]) fault("%{} is defined twice", value.index);
    if (row.def != def || row.owner != owner) {
      fault("%{} is recorded to be defined elsewhere", value.index);
    }
    defined_[value.index] = true;
    scope_.push_back(value);
  }

  bool use(ValueId value) {
    if (!in_range(value, kernel_.values) || !defined_[value.index])
      return fault("%{} is not defined here", value.index);
    return true;
  }

  // --- ops --------------------------------------------------------------------------------------

  void visit(OpId id, GraphId owner) {
    if (!in_range(id, kernel_.ops)) {
      fault("unknown op");
      return;
    }
    std::string outer_where = where_;
    OpId outer_op = op_;
    op_ = id;
    const Op& op = kernel_[id];
    where_ = fmt::format(
        "{}`{}`: ",
        op.results.empty() || !op.results[0] ? "" : fmt::format("%{} = ", op.results[0].index),
        info(op.code).text);
    if (visited_ops_[id.index]) {
      fault("an op that stands in two places");
    } else {
      visited_ops_[id.index] = true;
      check(op, owner);
    }
    where_ = std::move(outer_where);
    op_ = outer_op;
  }

  void check(const Op& op, GraphId owner) {
    bool sound = has_arity(op) && has_attrs(op);
    for (ValueId operand : op.operands) sound = use(operand) && sound;
    if (sound && op.code == OpCode::For) {
      check_for(op);
    } else if (sound && op.code == OpCode::If) {
      check_if(op);
    } else if (sound) {
      check_types(op);
    }
    for (ValueId result : op.results) define(result, op_, owner);
  }

  bool has_arity(const Op& op) {
    const OpInfo& row = info(op.code);
    std::size_t operands = op.operands.size();
    bool good = row.operands < 0 || static_cast<i64>(operands) == row.operands;
    if (op.code == OpCode::Dot) good = operands == 2 || operands == 3;
    if (!good) return fault("takes {} operands, not {}", row.operands, operands);
    for (ValueId result : op.results) {
      if (!in_range(result, kernel_.values)) return fault("defines an unknown value");
    }
    std::size_t results = op.code == OpCode::Store ? 0 : 1;
    if (!row.has(Region) && op.results.size() != results) {
      return fault("has {} results, not {}", results, op.results.size());
    }
    std::size_t regions = op.code == OpCode::For ? 1 : op.code == OpCode::If ? 2 : 0;
    if (op.regions.size() != regions) return fault("has {} regions", regions);
    for (GraphId region : op.regions) {
      if (!in_range(region, kernel_.graphs)) return fault("unknown graph");
    }
    return true;
  }

  bool has_attrs(const Op& op) {
    switch (op.code) {
      case OpCode::Const:
        return true;
      case OpCode::HostScalar:
        return op.attrs.sym ? true : fault("no host scalar");
      case OpCode::BlockSize:
        return in_range(op.attrs.block, kernel_.blocks) ? true : fault("unknown block");
      case OpCode::TileBegin:
      case OpCode::TileEnd:
      case OpCode::TileId:
      case OpCode::TileCount:
      case OpCode::TileIndex:
        return is_active(op.attrs.block);
      case OpCode::Load:
      case OpCode::Store:
        return has_subscripts(op);
      default:
        return true;
    }
  }

  bool is_active(BlockId block) {
    if (!in_range(block, kernel_.blocks)) return fault("unknown block");
    return active_[block.index] ? true : fault("b{} is not looped over here", block.index);
  }

  bool has_subscripts(const Op& op) {
    if (!in_range(op.attrs.tensor, kernel_.tensors)) return fault("unknown tensor");
    for (const Index& index : op.attrs.indices) {
      if (index.kind == Index::Kind::Tile && !is_active(index.block)) return false;
      if (index.kind == Index::Kind::Range && !is_integer(index.extent)) {
        return fault("a range whose extent is no integer");
      }
      if (index.operand >= static_cast<i64>(op.operands.size())) {
        return fault("a subscript of an unknown operand");
      }
      if (index.operand >= 0 && !in_range(op.operands[index.operand], kernel_.values)) {
        return fault("uses an unknown value");
      }
    }
    std::string text = access_fault(kernel_, op);
    return text.empty() ? true : fault("{}", text);
  }

  const TileType& type_of(ValueId value) const { return kernel_[value].type; }
  std::string text_of(const TileType& type) const { return print_type(kernel_, type); }

  // Same elements, but for those that an axis takes away.
  bool fits(const TileType& type, const TileType& wanted, std::string_view what) {
    if (type.dtype == wanted.dtype && agree(type.shape, wanted.shape)) return true;
    return fault("{} is {}, not {}", what, text_of(type), text_of(wanted));
  }

  void check_types(const Op& op) {
    if (op.attrs.has_mask) check_mask(op);
    if (op.code == OpCode::Store) {
      TileType access = access_type(kernel_, op.attrs.tensor, op.attrs.indices, op.operands);
      fits(type_of(op.operands[0]), access, "the stored value");
      return;
    }
    const TileType& stated = type_of(op.results[0]);
    if (op.code == OpCode::Const) check_constant(op, stated);
    if (!contains(result_domain(op.code), stated.dtype)) {
      fault("the result is {}", text_of(stated));
      return;
    }
    Inferred inferred = infer(kernel_, op, stated);
    if (inferred.fault.empty()) {
      fits(stated, inferred.type, "the result");
    } else {
      fault("{}", inferred.fault);
    }
  }

  // What infer takes from the stated type without looking at it.
  static Domain result_domain(OpCode code) {
    if (code == OpCode::Dot) return Domain::Number;
    return info(code).rule == Rule::Given ? domain_of(code) : Domain::Any;
  }

  void check_mask(const Op& op) {
    const TileType& mask = type_of(op.operands.back());
    TileType access = access_type(kernel_, op.attrs.tensor, op.attrs.indices, op.operands);
    bool good = mask.dtype == Dtype::Bool && (mask.is_scalar() || agree(mask.shape, access.shape));
    if (!good) fault("the mask is {}, the access {}", text_of(mask), text_of(access));
  }

  void check_constant(const Op& op, const TileType& stated) {
    SymType wanted = is_float(stated.dtype)        ? SymType::Float
                     : stated.dtype == Dtype::Bool ? SymType::Bool
                                                   : SymType::Int;
    if (op.attrs.constant.type != wanted) {
      fault("{} as {}", value_text(op.attrs.constant), text_of(stated));
    } else if (wanted == SymType::Int && !holds(stated.dtype, op.attrs.constant.integer)) {
      fault("{} is out of the range of {}", op.attrs.constant.integer, text_of(stated));
    }
  }

  static bool holds(Dtype dtype, i64 value) {
    i64 bits = 8 * size_of(dtype) - (dtype == Dtype::U8 ? 0 : 1);
    i64 low = dtype == Dtype::U8 ? 0 : -1;
    i64 above = bits >= 63 ? (value < 0 ? -1 : 0) : value >> bits;
    return above == 0 || above == low;
  }

  void check_for(const Op& op) {
    const Graph& body = kernel_[op.regions[0]];
    std::size_t bounds = 2 * op.attrs.blocks.size(), carried = body.params.size();
    if (op.operands.size() != bounds + carried || op.results.size() != carried ||
        body.yields.size() != carried) {
      fault("{} axes, {} operands, {} carried values, {} yields, {} results",
            op.attrs.blocks.size(), op.operands.size(), carried, body.yields.size(),
            op.results.size());
      return;
    }
    for (std::size_t i = 0; i < bounds; ++i) {
      fits(type_of(op.operands[i]), {Dtype::I64, {}}, "a bound");
    }
    for (std::size_t i = 0; i < carried; ++i) {
      if (!in_range(body.params[i], kernel_.values)) continue;
      const TileType& type = type_of(body.params[i]);
      fits(type_of(op.operands[bounds + i]), type, "a carried value's first");
      fits(type_of(op.results[i]), type, "a result");
      if (in_range(body.yields[i], kernel_.values)) {
        fits(type_of(body.yields[i]), type, "a carried value's next");
      }
    }
    if (!enter_blocks(op.attrs.blocks)) return;
    graph(op.regions[0]);
    leave_blocks(op.attrs.blocks);
  }

  void check_if(const Op& op) {
    fits(type_of(op.operands[0]), {Dtype::Bool, {}}, "the condition");
    for (GraphId region : op.regions) {
      const Graph& branch = kernel_[region];
      if (!branch.params.empty()) fault("a branch has parameters");
      if (branch.yields.size() != op.results.size()) {
        fault("{} results, but a branch yields {}", op.results.size(), branch.yields.size());
      } else {
        for (std::size_t i = 0; i < branch.yields.size(); ++i) {
          if (!in_range(branch.yields[i], kernel_.values)) continue;
          fits(type_of(branch.yields[i]), type_of(op.results[i]), "a yielded value");
        }
      }
      graph(region);
    }
  }

  const Kernel& kernel_;
  std::vector<Fault> faults_;
  std::vector<bool> defined_;
  std::vector<ValueId> scope_;  // what is defined, in order
  std::vector<bool> visited_ops_;
  std::vector<bool> visited_graphs_;
  std::vector<bool> active_;  // by block: whether a loop over it is around
  OpId op_;
  std::string where_;  // prefix of messages
};

}  // namespace

std::vector<Fault> find_faults(const Kernel& kernel) { return Verifier(kernel).run(); }

std::vector<std::string> verify(const Kernel& kernel) {
  std::vector<std::string> lines;
  for (Fault& fault : find_faults(kernel)) lines.push_back(std::move(fault.text));
  return lines;
}

}  // namespace peri::ir
