// Which tuned config a call gets, and what happens when there is none.
#pragma once

#include <optional>
#include <vector>

#include "driver/subject.h"
#include "driver/tuned_store.h"

namespace peri::driver {

// The tuned configs of a compilation whose space is known. One that is not legal there is none,
// with the warning `bad-entry`; so is the row of another shape, unless a similar config is legal.
std::optional<Dispatch> find_tuned(const Compilation& c);

// The entry of the same kernel name that is most like `subject`: the same text before another,
// then machine, compiler, threads, passes, arguments and their sizes.
std::optional<TunedStore::Located> nearest_entry(const tune::Subject& subject,
                                                 const std::vector<TunedStore::Located>& entries);

// "differs in arguments (static x=f32[...], here ...) and machine (...)".
std::string describe_difference(const tune::Subject& here, const tune::Subject& other);

// Called before a config that `c` has chosen is run. Counts the look-up. Where nobody has chosen
// the config (nothing was found, given, or hard-coded with `config=`), this warns once a process
// and kernel, or fails if settings.require_tuned is on: `not-tuned`, with the nearest entry and the
// command that tunes.
Expected<void> check_is_tuned(const Compilation& c);

}  // namespace peri::driver
