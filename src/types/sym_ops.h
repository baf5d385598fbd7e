// The arithmetic of host scalars: what each SymKind means on values, and the type of its result.
#pragma once

#include <optional>

#include "types/sym.h"

namespace peri {

// Number of operands of a kind.
i64 arity_of(SymKind kind);

// What `make` coerces the operands to before the operation, and the type of the result.
struct SymSignature {
  SymType operand = SymType::Int;  // of every operand but the condition of Select
  SymType result = SymType::Int;
};
SymSignature signature_of(SymKind kind, SymType a, SymType b, SymType c);

SymValue convert_value(SymValue value, SymType type);

// `kind` on operands of the type that `signature_of` asks for; nullopt where Python raises or 64
// bits overflow.
std::optional<SymValue> apply(SymKind kind, SymValue a, SymValue b = {}, SymValue c = {});

// Floor and ceiling division and Python's modulo; nullopt for division by zero and overflow.
std::optional<i64> floor_div(i64 a, i64 b);
std::optional<i64> ceil_div(i64 a, i64 b);
std::optional<i64> floor_mod(i64 a, i64 b);
std::optional<i64> checked_add(i64 a, i64 b);
std::optional<i64> checked_mul(i64 a, i64 b);

}  // namespace peri
