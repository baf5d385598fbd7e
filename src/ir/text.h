// Pieces of the text form that printer and parser share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/ir.h"

namespace peri::ir {

// The function name of an operator of host scalars ("ceildiv"), or "" for constants and symbols.
std::string_view sym_function(SymKind kind);
std::optional<SymKind> sym_kind(std::string_view function);

std::string_view name_of(SymType type);
std::string_view name_of(SymbolOrigin origin);
std::string_view name_of(Block::Kind kind);

bool is_identifier(std::string_view text);
// A name as the text has it: bare if it is an identifier, else quoted.
std::string name_text(std::string_view name);
std::string quoted(std::string_view text);
// "true", "-3", "0.1", "1.0", "1e+30", "inf", "nan": reads back as the same value and type.
std::string value_text(const SymValue& value);

// What rows of a table are called in the text: their name where that is a unique identifier, else
// "#3".
std::vector<std::string> references(const std::vector<std::string_view>& names);

}  // namespace peri::ir
