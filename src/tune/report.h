// A tuning run as one page: self-contained HTML with inline SVG, without scripts, made from the
// record alone. Follows the reader's light or dark scheme and fits a phone.
#pragma once

#include <string>

#include "tune/record.h"

namespace peri::tune {

// The whole page. Everything that comes from the user is escaped.
std::string html_report(const Record& record);

// The command lines that repeat the run and use its result, one each.
std::vector<std::string> commands_of(const Record& record);

}  // namespace peri::tune
