// Records that travel: files of many records, starting points from them, and what may be deleted.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "driver/code_cache.h"
#include "driver/tuned_store.h"

namespace peri::driver {

// `{"schema": 1, "records": [...]}`, and with machine code, `"code": [{"record", "key", "hex"}]`.
std::string print_records(std::span<const tune::Record> records,
                          std::span<const RecordedCode> code = {});
// A file of print_records, a file of one record, or a folder of such files (*.json). All or
// nothing: `bad-record` names the file and the place; so do keys that are not those of their
// content. Machine code is added to `code`, if that is given.
Expected<std::vector<tune::Record>> read_records(const std::string& path,
                                                 std::vector<RecordedCode>* code = nullptr);

// `given` completed, with the nearest legal value where the space of `c` has other limits; none if
// that is not legal as a whole.
std::optional<space::Config> fitted(const space::Config& given, const Compilation& c);

// Configs to start a search from: of records whose knobs are the same (another shape, machine or
// version), the most alike first; of each the winner, then its other finalists. Completed and legal
// for `c`, none twice, at most `most`.
std::vector<space::Config> seeds_from(std::span<const tune::Record> records, const Compilation& c,
                                      i64 most = 20);
// The same from the cache's entries.
std::vector<space::Config> seeds_from_cache(const Compilation& c, i64 most = 20);

// What to take out of the user's layer.
struct GarbagePolicy {
  i64 older_than_days = -1;  // entries not written for as long; -1: whatever their age
  i64 most_bytes = -1;       // keep the newest entries up to this; -1: all
  bool dry_run = false;
};
struct Garbage {
  std::string key, path, reason;
  i64 bytes = 0;
};
// Removes damaged files, records that no entry refers to and temporary files of dead writers (both
// older than an hour), entries of other versions of Perihelion with their records and quarantines,
// and what the policy says, machine code before tuned configs and quarantines; gives what it
// removed, or would have. Processes that write wait meanwhile, so that nothing is removed that they
// refer to. Fails with `cache-busy` if they leave no gap, and with `file-write`.
Expected<std::vector<Garbage>> collect_garbage(TunedStore& store, const GarbagePolicy& policy,
                                               i64 now);

}  // namespace peri::driver
