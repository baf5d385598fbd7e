// Machine code on disk, beside the tuned configs: entries "code-HASH", whose content is the
// backend's, and for the winner of a record, "uses-HASH OF THE RECORD" with the keys of its code. A
// damaged entry is none, with the warning `cache-corrupt`.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/code_store.h"
#include "driver/compile.h"
#include "runtime/cache.h"
#include "tune/record.h"

namespace peri::driver {

// The store in the folders that the request's settings name; null with `no_cache`.
std::shared_ptr<backends::CodeStore> open_code_store(const Request& request);

inline constexpr std::string_view kUsesKey = "uses-";

// A piece of machine code, and the record (by the hash of its text) whose winner it is.
struct RecordedCode {
  std::string record, key, payload;
};
struct KeptCode {
  std::vector<std::string> keys;
  std::string toolchain;  // as Compiled has it
};
// Code of a config that is kept, or made now and kept. Nothing without a cache, or on the host.
Expected<KeptCode> kept_code(const Compilation& c, const space::Config& config);
// Notes that it is that of the winner of the record.
Expected<void> note_code(runtime::Cache& cache, const KeptCode& code, const std::string& record);
// What was noted and is still there.
std::vector<RecordedCode> code_of(const runtime::Cache& cache, const std::string& record);
Expected<void> keep_code(runtime::Cache& cache, std::span<const RecordedCode> code);

struct CodeUse {
  i64 entries = 0, bytes = 0;
};
// What the code of all layers takes.
CodeUse code_use(const runtime::CacheListing& listing);

}  // namespace peri::driver
