#include "commands.h"

namespace peri::cli {

int tune(Session& session) { return session.finish({}); }

}  // namespace peri::cli
