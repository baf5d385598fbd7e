// What a tuning process and its workers say to each other: CBOR, which carries machine code as it
// is.
#pragma once

#include <string>

#include "tune/bench.h"
#include "tune/worker.h"

namespace peri::tune {

using Message = Config;

std::string pack(const Message& message);
Message unpack(const std::string& text);

Message message_of(const Verdict& verdict);
Verdict verdict_of(const Message& message);
Message message_of(const Build& build);
Build build_of(const Message& message);
Message message_of(const Error& error);
Error error_of(const Message& message);

// Of a candidate whose worker ended so.
Verdict verdict_of_death(const Death& death);
// Of one for which compiling or checking gave this error.
Verdict verdict_of_error(const Error& error);

}  // namespace peri::tune
