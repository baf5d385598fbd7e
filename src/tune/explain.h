// Why this config: a tuning record, or a prediction where there is none, in words and as JSON.
#pragma once

#include <string>

#include "backends/backend.h"
#include "tune/record.h"

namespace peri::tune {

// Time, what limits it, the runner-up, what tells the winner from it and from the default, what
// each knob is worth, prediction against measurement, failures, noise.
std::string explain(const Record& record);
Config explain_json(const Record& record);

// Where the time of a config goes, by the cost model: the parts, the longest first. `origin`:
// where the config is from, "default".
std::string explain(const backends::Prediction& prediction, const Config& config,
                    std::string_view origin);
Config explain_json(const backends::Prediction& prediction, const Config& config,
                    std::string_view origin);

}  // namespace peri::tune
