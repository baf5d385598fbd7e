#include "passes/decorate.h"

#include <algorithm>
#include <map>
#include <random>
#include <utility>

namespace peri::passes {

namespace {

using ir::OpCode;
using ir::ValueId;

class Decorator {
 public:
  Decorator(ir::Kernel& kernel, u64 seed) : kernel_(kernel), random_(seed) {}

  void run() {
    for (size_t graph = 0, count = kernel_.graphs.size(); graph < count; ++graph) {
      decorate(ir::GraphId(static_cast<i64>(graph)));
    }
    for (size_t op = 0; op < old_ops_.size(); ++op) replace(kernel_[old_ops_[op]].operands);
    for (ir::Graph& graph : kernel_.graphs) replace(graph.yields);
    share_storage();
  }

 private:
  i64 below(i64 n) { return static_cast<i64>(random_() % static_cast<u64>(n)); }
  template <class T>
  T one_of(std::initializer_list<T> items) {
    return items.begin()[below(static_cast<i64>(items.size()))];
  }

  void decorate(ir::GraphId graph) {
    ir::Builder builder(kernel_, graph);
    builder_ = &builder;
    for (ir::OpId id : std::exchange(kernel_[graph].ops, {})) {
      kernel_[graph].ops.push_back(id);
      old_ops_.push_back(id);
      if (kernel_[id].results.size() != 1 || !kernel_[id].regions.empty()) continue;
      if (below(100) < 40) continue;
      ValueId value = kernel_[id].results[0];
      if (kernel_[id].code == OpCode::Load && below(4) == 0) store_back(id);
      ValueId decorated = below(4) == 0   ? viewed(value)
                          : below(3) == 0 ? copied(id)
                                          : computed(value);
      if (decorated != value) replacement_[value] = decorated;
    }
  }

  void replace(std::vector<ValueId>& values) {
    for (ValueId& value : values) {
      auto decorated = replacement_.find(value);
      if (decorated != replacement_.end()) value = decorated->second;
    }
  }

  TileType type(ValueId value) const { return kernel_[value].type; }
  ValueId op(OpCode code, std::vector<ValueId> operands) {
    return builder_->elementwise(code, std::move(operands));
  }
  ValueId number(Dtype dtype, double value) {
    return builder_->constant(dtype, SymValue::of(value));
  }
  ValueId number_like(ValueId value, double constant) {
    ValueId scalar = number(type(value).dtype, constant);
    bool repeated = type(value).rank() > 0 && below(3) == 0;
    return repeated ? builder_->view(OpCode::Expand, scalar, {}, type(value).shape) : scalar;
  }

  // The op once more, combined with the first one.
  ValueId copied(ir::OpId id) {
    const ir::Op op_copy = kernel_[id];
    ValueId value = op_copy.results[0];
    ir::OpId copy = builder_->add(op_copy.code, op_copy.operands, op_copy.attrs, {type(value)});
    ValueId other = kernel_[copy].results[0];
    Dtype dtype = type(value).dtype;
    if (dtype == Dtype::Bool) return op(OpCode::And, {value, other});
    ValueId a = op(OpCode::Sub, {value, other}), b = op(OpCode::Sub, {other, value});
    return op(one_of({OpCode::Max, OpCode::Add}), {value, op(OpCode::Sub, {a, b})});
  }

  void store_back(ir::OpId id) {
    ir::Op load = kernel_[id];
    ValueId value = load.results[0];
    if (type(value).dtype == Dtype::Bool) return;
    ValueId half = op(OpCode::Mul, {value, number(type(value).dtype, 2)});
    if (below(2)) half = op(OpCode::Sub, {number_like(value, 1), value});
    load.operands.insert(load.operands.begin(), half);
    for (ir::Index& index : load.attrs.indices) {
      if (index.operand >= 0) ++index.operand;
    }
    builder_->add(OpCode::Store, load.operands, load.attrs, {});
  }

  ValueId viewed(ValueId value) {
    TileType t = type(value);
    if (t.rank() == 0) return computed(value);
    i64 dim = below(t.rank());
    if (t.rank() > 1 && below(2)) {
      std::vector<i64> order, inverse(t.rank());
      for (i64 d = 0; d < t.rank(); ++d) order.push_back((d + 1) % t.rank());
      for (i64 d = 0; d < t.rank(); ++d) inverse[order[d]] = d;
      ValueId permuted = builder_->view(OpCode::Permute, value, order, {});
      return builder_->view(OpCode::Permute, permuted, inverse, {});
    }
    std::vector<Dim> wider = t.shape;
    wider.insert(wider.begin() + dim, Dim{kernel_.syms->integer(1), {}});
    ValueId more = below(2) ? builder_->view(OpCode::Unsqueeze, value, {dim}, {})
                            : builder_->view(OpCode::Reshape, value, {}, wider);
    return below(2) ? builder_->view(OpCode::Squeeze, more, {dim}, {})
                    : builder_->view(OpCode::Reshape, more, {}, t.shape);
  }

  ValueId computed(ValueId value) {
    Dtype dtype = type(value).dtype;
    if (dtype == Dtype::Bool) return of_bool(value);
    return is_float(dtype) ? of_float(value) : of_integer(value);
  }

  ValueId of_bool(ValueId value) {
    ValueId flag = builder_->constant(Dtype::Bool, SymValue::of_bool(below(2) != 0));
    switch (below(4)) {
      case 0:
        return op(OpCode::Not, {op(OpCode::Not, {value})});
      case 1:
        return builder_->cast(builder_->cast(value, one_of({Dtype::I8, Dtype::F32})), Dtype::Bool);
      case 2:
        return op(OpCode::Select, {flag, value, op(OpCode::Not, {value})});
      default:
        return op(one_of({OpCode::And, OpCode::Or, OpCode::Xor}), {flag, value});
    }
  }

  // A comparison and its complement, as 0 and 1.
  ValueId compared(ValueId value) {
    OpCode code = one_of({OpCode::Eq, OpCode::Ne, OpCode::Lt, OpCode::Le, OpCode::Gt, OpCode::Ge});
    ValueId test = op(code, {number_like(value, 1), value});
    return op(OpCode::Select, {op(OpCode::Not, {test}), number_like(value, 1), value});
  }

  ValueId of_float(ValueId value) {
    Dtype dtype = type(value).dtype;
    switch (below(8)) {
      case 0:
        return op(one_of({OpCode::Add, OpCode::Sub}),
                  {value, number_like(value, one_of({0.0, -0.0}))});
      case 1:
        return op(OpCode::Mul, {number_like(value, 1), value});
      case 2:
        return op(OpCode::Div, {value, number_like(value, one_of({1.0, 4.0, -0.5, 3.0}))});
      case 3:
        return op(OpCode::Pow,
                  {value, number_like(value, one_of({1.0, 2.0, 0.5, -0.5, -1.0, 0.0}))});
      case 4:
        return op(OpCode::Neg, {op(OpCode::Neg, {value})});
      case 5:
        return compared(value);
      case 6:
        return op(one_of({OpCode::Max, OpCode::Min}), {value, value});
      default: {
        ValueId other = builder_->cast(value, one_of({Dtype::F64, Dtype::F32, Dtype::F16,
                                                      Dtype::BF16, Dtype::I32, Dtype::Bool}));
        return builder_->cast(builder_->cast(other, Dtype::F64), dtype);
      }
    }
  }

  ValueId of_integer(ValueId value) {
    Dtype dtype = type(value).dtype;
    auto small = [&] { return number_like(value, static_cast<double>(below(5) - 2)); };
    switch (below(5)) {
      case 0:
        return op(OpCode::Add, {op(OpCode::Add, {small(), value}), small()});
      case 1:
        return op(OpCode::Mul, {op(OpCode::Mul, {value, small()}), small()});
      case 2:
        return op(one_of({OpCode::And, OpCode::Or, OpCode::Xor, OpCode::FloorDiv, OpCode::Shl}),
                  {value, small()});
      case 3:
        return compared(value);
      default: {
        ValueId other = builder_->cast(
            value, one_of({Dtype::I64, Dtype::I32, Dtype::I8, Dtype::U8, Dtype::F32, Dtype::Bool}));
        return builder_->cast(builder_->cast(other, one_of({Dtype::I64, Dtype::I16})), dtype);
      }
    }
  }

  void share_storage() {
    for (size_t i = 1; i < kernel_.tensors.size(); ++i) {
      const ir::TensorParam& other = kernel_.tensors[below(static_cast<i64>(i))];
      bool alike = other.dtype == kernel_.tensors[i].dtype;
      if (alike && below(3) == 0) kernel_.tensors[i].base = other.base;
    }
  }

  ir::Kernel& kernel_;
  std::mt19937_64 random_;
  ir::Builder* builder_ = nullptr;
  std::vector<ir::OpId> old_ops_;
  std::map<ValueId, ValueId> replacement_;
};

}  // namespace

void decorate(ir::Kernel& kernel, u64 seed) { Decorator(kernel, seed).run(); }

}  // namespace peri::passes
