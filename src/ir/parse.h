// Text of Device IR -> Device IR.
#pragma once

#include <optional>

#include "diag/diag.h"
#include "ir/ir.h"

namespace peri::ir {

// Parses what `print` prints; any bytes give a kernel or diagnostics. The result is verified.
std::optional<Kernel> parse(diag::SourceId source, diag::Diags& diags);

}  // namespace peri::ir
