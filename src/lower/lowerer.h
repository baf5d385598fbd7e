// The state of lowering one typed kernel; statements in lower.cpp, expressions in expressions.cpp.
#pragma once

#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "lower/composite.h"
#include "lower/equalities.h"
#include "lower/lower.h"

namespace peri::lower {

class Lowerer {
 public:
  explicit Lowerer(const check::TypedKernel& typed);
  ir::Kernel run();

 private:
  using ValueId = ir::ValueId;

  // What each variable holds at this point; none: nothing that may be read.
  using Environment = std::vector<ValueId>;

  // Ops go into `graph` until the object ends.
  class In {
   public:
    In(Lowerer& lowerer, ir::GraphId graph);
    ~In();

   private:
    Lowerer& lowerer_;
    ir::GraphId outer_;
  };

  // --- statements
  void root(const check::Root& root);
  void statements(const std::vector<check::TstmtId>& body);
  void statement(const check::Tstmt& stmt);
  void assign(const check::Tstmt& stmt);
  void store(const check::Tstmt& stmt);
  void loop(const check::Tstmt& stmt);
  void branch(const check::Tstmt& stmt);
  void enter(const std::vector<BlockId>& blocks);
  void leave(const std::vector<BlockId>& blocks);
  std::set<check::VarId> assigned_in(const std::vector<check::TstmtId>& body) const;

  // --- expressions
  ValueId lower(check::TexprId id);
  ValueId lower(const check::Texpr& e);
  ValueId scalar(check::TexprId id, Dtype dtype);
  ValueId apply(const check::Texpr& e);
  ValueId pointwise(const check::Texpr& e, std::vector<ValueId> operands);
  std::optional<ValueId> view(const check::Texpr& e, ValueId value);
  ValueId squeeze(ValueId value, i64 dim);
  ValueId dot(std::vector<ValueId> operands, const TileType& type);
  ValueId tile_attr(const check::Texpr& e);
  ValueId conform(ValueId value, const std::vector<Dim>& shape);

  // Subscripts of an access, with the values that they need.
  struct Access {
    ir::TensorId tensor;
    std::vector<ir::Index> indices;
    std::vector<ValueId> operands;
  };
  Access access(check::TensorId tensor, const std::vector<check::TIndex>& indices);
  ir::TensorId tensor(check::TensorId id);

  const TileType& type_of(ValueId value) const { return kernel_[value].type; }

  const check::TypedKernel& typed_;
  Equalities equalities_;
  ir::Kernel kernel_;
  ir::Builder builder_;
  Composites composites_;
  Environment variables_;
  std::vector<bool> open_;  // by block: a loop over it is around
  std::unordered_map<check::TensorId, ir::TensorId> tensors_;
  std::unordered_map<check::TexprId, ValueId> lowered_;  // within the current statement
};

// The argument or allocation whose storage a tensor shares.
check::TensorId storage_of(const check::TypedKernel& typed, check::TensorId id);

HostProgram make_host_program(const check::TypedKernel& typed);

}  // namespace peri::lower
