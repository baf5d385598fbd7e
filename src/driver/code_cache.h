// Machine code on disk, beside the tuned configs: entries "code-HASH", whose content is the
// backend's. A damaged entry is none, with the warning `cache-corrupt`.
#pragma once

#include <memory>

#include "backends/code_store.h"
#include "driver/compile.h"
#include "runtime/cache.h"

namespace peri::driver {

// The store in the folders that the request's settings name; null with `no_cache`.
std::shared_ptr<backends::CodeStore> open_code_store(const Request& request);

struct CodeUse {
  i64 entries = 0, bytes = 0;
};
// What the code of all layers takes.
CodeUse code_use(const runtime::CacheListing& listing);

}  // namespace peri::driver
