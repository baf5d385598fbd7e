// The table of ops.def.
#include "ir/ir.h"

namespace peri::ir {
namespace {

constexpr OpInfo kOps[] = {
#define OP(name, text, operands, rule, traits, doc) {text, operands, Rule::rule, traits, doc},
#include "ir/ops.def"
};

}  // namespace

const OpInfo& info(OpCode code) { return kOps[static_cast<u8>(code)]; }
i64 op_count() { return static_cast<i64>(std::size(kOps)); }

}  // namespace peri::ir
