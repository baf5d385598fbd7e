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
  return runtime::map_tensors(result,
                              [](const Tensor& tensor) { return runtime::to_host(tensor); });
}

Expected<Result> HostCopies::copy(const Result& result) {
  return runtime::map_tensors(result, [this](const Tensor& tensor) { return copy(tensor); });
}

Expected<Tensor> HostCopies::copy(const Tensor& tensor) {
  runtime::Device* device = tensor.storage.device;
  if (device == nullptr) return tensor;
  const i64 bytes = tensor.storage.bytes;
  if (next_ == blocks_.size()) blocks_.emplace_back();
  Storage& block = blocks_[next_++];
  if (block.bytes < bytes || block.data == nullptr) {
    auto made = device->allocate_host(bytes);
    if (!made) made = runtime::allocate(bytes);  // slower to copy to, and as good
    if (!made) return std::unexpected(made.error());
    block = std::move(*made);
  }
  auto done = device->copy_out(block.data, tensor.storage.data, bytes);
  if (!done) return std::unexpected(done.error());
  Tensor here = tensor;
  here.storage = block;
  here.storage.bytes = bytes;
  return here;
}

}  // namespace peri::driver
