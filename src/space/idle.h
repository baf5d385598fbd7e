// Which keys of a config have no effect beside its other values, so that a reader need not see them
// and a decorator need not have them.
#pragma once

#include <string>
#include <vector>

#include "base/function_ref.h"
#include "space/space.h"

namespace peri::space {

// Keys of `config` that can be left out: whatever legal values their knobs have, one by one, or
// together as far as samples show, and also those of `base`, the effect stays the same. `effect`:
// what a legal config does, as text. A key whose other values do not go together with the rest is
// none of them, for another default could not be completed then.
std::vector<std::string> idle_keys(const ConfigSpace& space, const Config& config,
                                   const Config& base,
                                   FunctionRef<std::string(const Config&)> effect);

Config without(const Config& config, const std::vector<std::string>& keys);

}  // namespace peri::space
