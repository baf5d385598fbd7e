// The commands of `peri`. Each returns its exit status.
#pragma once

#include "session.h"

namespace peri::cli {

int list(Session& session);
int run(Session& session);
int tune(Session& session);
int emit(Session& session);
int explain(Session& session);
int cache(Session& session);
int verify(Session& session);
int eject(Session& session);

}  // namespace peri::cli
