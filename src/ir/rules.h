// How result types follow from operands: one place for the builder and the verifier.
#pragma once

#include <string>
#include <string_view>

#include "ir/ir.h"

namespace peri::ir {

// Extents agree if they have one size and belong to one axis, or at least one belongs to none. What
// agrees in size may still differ in the elements that exist (see Dim).
bool agree(const Dim& a, const Dim& b);
bool agree(const std::vector<Dim>& a, const std::vector<Dim>& b);

// Which element types an op is defined on.
enum class Domain : u8 { Any, Number, Float, Integer, Bits, Bool };
Domain domain_of(OpCode code);
bool contains(Domain domain, Dtype dtype);
std::string_view name_of(Domain domain);  // "numbers"

struct Inferred {
  TileType type;
  std::string fault;  // why the operands do not go together, or ""
};

// The result type of an op with one result. Its operands must be values of the kernel, as many as
// its row says. `stated` fills in what the operands leave open: the dtype of casts, dots and
// sources, the shape of expand, reshape and sources.
Inferred infer(const Kernel& kernel, const Op& op, const TileType& stated);

// What is wrong with the subscripts of a load or store, or "". Blocks and operand ids must be
// valid.
std::string access_fault(const Kernel& kernel, const Op& op);

}  // namespace peri::ir
