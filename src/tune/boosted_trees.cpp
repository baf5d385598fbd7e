#include "tune/boosted_trees.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <xgboost/c_api.h>

#include <limits>
#include <map>
#include <mutex>

#include "base/bug.h"

namespace peri::tune {

namespace {

constexpr const char* kLibraries[] = {"libxgboost.so.0", "libxgboost.so"};

// The functions of the C interface that are used here.
struct Api {
  decltype(&XGBGetLastError) last_error = nullptr;
  decltype(&XGDMatrixCreateFromMat) create_matrix = nullptr;
  decltype(&XGDMatrixSetFloatInfo) set_info = nullptr;
  decltype(&XGDMatrixFree) free_matrix = nullptr;
  decltype(&XGBoosterCreate) create_booster = nullptr;
  decltype(&XGBoosterSetParam) set_param = nullptr;
  decltype(&XGBoosterUpdateOneIter) update = nullptr;
  decltype(&XGBoosterPredict) predict = nullptr;
  decltype(&XGBoosterFree) free_booster = nullptr;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, Api& api) {
  return find(library, "XGBGetLastError", api.last_error) &&
         find(library, "XGDMatrixCreateFromMat", api.create_matrix) &&
         find(library, "XGDMatrixSetFloatInfo", api.set_info) &&
         find(library, "XGDMatrixFree", api.free_matrix) &&
         find(library, "XGBoosterCreate", api.create_booster) &&
         find(library, "XGBoosterSetParam", api.set_param) &&
         find(library, "XGBoosterUpdateOneIter", api.update) &&
         find(library, "XGBoosterPredict", api.predict) &&
         find(library, "XGBoosterFree", api.free_booster);
}

// Loaded once and never unloaded: XGBoost keeps threads and state of its own.
Expected<const Api*> load(const std::string& given) {
  static std::mutex mutex;
  static std::map<std::string, Api> loaded;
  std::lock_guard lock(mutex);
  if (auto found = loaded.find(given); found != loaded.end()) return &found->second;
  std::vector<std::string> names{given};
  if (given.empty()) names.assign(std::begin(kLibraries), std::end(kLibraries));
  std::string reason;
  for (const std::string& name : names) {
    void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    Api api;
    if (library != nullptr && find_all(library, api)) return &(loaded[given] = api);
    const char* why = dlerror();
    if (reason.empty() && why != nullptr) reason = why;
  }
  return fail(
      "no-xgboost", fmt::format("XGBoost cannot be loaded: {}", reason),
      "install libxgboost0 (Debian), or use a search strategy without a model: pattern, de");
}

struct Matrix {
  Matrix(const Api& a, const FeatureTable& table) : api(a) {
    failed = api.create_matrix(table.values.data(), static_cast<bst_ulong>(table.rows()),
                               static_cast<bst_ulong>(table.columns),
                               std::numeric_limits<float>::quiet_NaN(), &handle) != 0;
  }
  ~Matrix() {
    if (handle != nullptr) api.free_matrix(handle);
  }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;

  const Api& api;
  DMatrixHandle handle = nullptr;
  bool failed = false;
};

class BoostedTrees : public CostPredictor {
 public:
  BoostedTrees(const Api& api, const TreeOptions& options) : api_(api), options_(options) {}
  ~BoostedTrees() override { reset(); }

  Expected<void> fit(const FeatureTable& features, std::span<const double> targets,
                     u64 seed) override {
    BUG_IF(features.rows() != static_cast<i64>(targets.size()), "{} rows for {} targets",
           features.rows(), targets.size());
    reset();
    Matrix matrix(api_, features);
    std::vector<float> labels(targets.begin(), targets.end());
    if (matrix.failed || api_.set_info(matrix.handle, "label", labels.data(), labels.size()) != 0 ||
        api_.create_booster(&matrix.handle, 1, &booster_) != 0 || !set_params(labels, seed)) {
      return broken();
    }
    for (int i = 0; i < options_.trees; ++i) {
      if (api_.update(booster_, i, matrix.handle) != 0) return broken();
    }
    return {};
  }

  Expected<std::vector<double>> predict(const FeatureTable& features) const override {
    BUG_IF(booster_ == nullptr, "a model was asked before it was fitted");
    if (features.rows() == 0) return std::vector<double>();
    Matrix matrix(api_, features);
    bst_ulong count = 0;
    const float* values = nullptr;
    if (matrix.failed || api_.predict(booster_, matrix.handle, 0, 0, 0, &count, &values) != 0) {
      return broken();
    }
    return std::vector<double>(values, values + count);
  }

 private:
  // One thread, so that sums have one order; histograms of few bins are fastest for few rows.
  bool set_params(const std::vector<float>& labels, u64 seed) {
    double sum = 0;
    for (float label : labels) sum += label;
    double mean = labels.empty() ? 0 : sum / static_cast<double>(labels.size());
    const std::pair<const char*, std::string> params[] = {
        {"verbosity", "0"},
        {"nthread", "1"},
        {"tree_method", "hist"},
        {"max_bin", "32"},
        {"objective", "reg:squarederror"},
        {"base_score", fmt::format("{}", mean)},
        {"max_depth", fmt::format("{}", options_.depth)},
        {"eta", fmt::format("{}", options_.learning_rate)},
        {"min_child_weight", "1"},
        {"lambda", "0.5"},
        {"subsample", "0.8"},
        {"colsample_bytree", "0.8"},
        {"seed", fmt::format("{}", seed % (1U << 31))},
    };
    for (const auto& [name, value] : params) {
      if (api_.set_param(booster_, name, value.c_str()) != 0) return false;
    }
    return true;
  }

  std::unexpected<Error> broken() const {
    return fail("no-xgboost", fmt::format("XGBoost failed: {}", api_.last_error()));
  }

  void reset() {
    if (booster_ != nullptr) api_.free_booster(booster_);
    booster_ = nullptr;
  }

  const Api& api_;
  TreeOptions options_;
  BoosterHandle booster_ = nullptr;
};

}  // namespace

void FeatureTable::add(std::span<const double> row) {
  columns = static_cast<i64>(row.size());
  values.insert(values.end(), row.begin(), row.end());
}

Expected<std::unique_ptr<CostPredictor>> boosted_trees(const TreeOptions& options,
                                                       const std::string& library) {
  auto api = load(library);
  if (!api) return std::unexpected(api.error());
  return std::make_unique<BoostedTrees>(**api, options);
}

}  // namespace peri::tune
