#include "driver/placed_arguments.h"

#include <map>

namespace peri::driver {

using runtime::Leaf;
using runtime::Result;
using runtime::Storage;
using runtime::Tensor;

Expected<PlacedArguments> PlacedArguments::place(std::span<const Leaf> leaves,
                                                 std::shared_ptr<runtime::Device> device) {
  PlacedArguments placed;
  placed.given_ = leaves;
  placed.leaves_.assign(leaves.begin(), leaves.end());
  placed.device_ = std::move(device);
  if (!placed.device_) return placed;
  std::map<const std::byte*, Storage> storages;
  for (Leaf& leaf : placed.leaves_) {
    if (leaf.tensor == nullptr) continue;
    auto [it, is_new] = storages.try_emplace(leaf.tensor->storage.data);
    Tensor there = *leaf.tensor;
    if (is_new) {
      auto copy = runtime::to_device(*leaf.tensor, *placed.device_);
      if (!copy) return std::unexpected(copy.error());
      it->second = copy->storage;
    }
    there.storage = it->second;
    placed.copies_.push_back(std::move(there));
    leaf.tensor = &placed.copies_.back();
  }
  return placed;
}

Expected<void> PlacedArguments::copy_back(const std::set<i64>& which) const {
  if (!device_) return {};
  for (i64 leaf : which) {
    const Tensor* there = leaves_[leaf].tensor;
    if (there == nullptr) continue;
    const Storage& storage = given_[leaf].tensor->storage;
    auto done = device_->copy_out(storage.data, there->storage.data, storage.bytes);
    if (!done) return done;
  }
  return {};
}

Expected<Result> to_host(const Result& result) {
  Result here = result;
  if (result.kind == Result::Kind::Tensor) {
    auto tensor = runtime::to_host(result.tensor);
    if (!tensor) return std::unexpected(tensor.error());
    here.tensor = std::move(*tensor);
  }
  for (Result& item : here.items) {
    auto below = to_host(item);
    if (!below) return below;
    item = std::move(*below);
  }
  return here;
}

}  // namespace peri::driver
