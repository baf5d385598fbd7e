// A regression model for few points: gradient-boosted trees of XGBoost.
//
// The library is loaded when the first model is made, so that programs start and work without it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::tune {

// Rows of as many numbers.
struct FeatureTable {
  i64 columns = 0;
  std::vector<float> values;  // row by row

  i64 rows() const { return columns == 0 ? 0 : static_cast<i64>(values.size()) / columns; }
  void add(std::span<const double> row);
};

class CostPredictor {
 public:
  virtual ~CostPredictor() = default;
  // Forgets what it knew and learns one target a row. The same rows, targets and seed give the same
  // model.
  virtual Expected<void> fit(const FeatureTable& features, std::span<const double> targets,
                             u64 seed) = 0;
  // One value a row; fit() has succeeded before.
  virtual Expected<std::vector<double>> predict(const FeatureTable& features) const = 0;
};

struct TreeOptions {
  i64 trees = 30;
  i64 depth = 5;
  double learning_rate = 0.2;
};

// Fails with `no-xgboost` if no library of that name (by default XGBoost's) can be loaded.
Expected<std::unique_ptr<CostPredictor>> boosted_trees(const TreeOptions& options,
                                                       const std::string& library = "");

}  // namespace peri::tune
