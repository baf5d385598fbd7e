// Arguments of calls in the memory that code works in: the host's, or copies on a device.
#pragma once

#include <deque>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "runtime/device.h"
#include "runtime/executor.h"
#include "runtime/result.h"

namespace peri::driver {

class PlacedArguments {
 public:
  // `device` null: the host. Tensors that share memory share it there too. Fails as Device does.
  static Expected<PlacedArguments> place(std::span<const runtime::Leaf> leaves,
                                         std::shared_ptr<runtime::Device> device);

  std::span<const runtime::Leaf> leaves() const { return leaves_; }
  // Waits for calls, and copies the memory of these leaves' tensors back to where it came from.
  Expected<void> copy_back(const std::set<i64>& which) const;

 private:
  std::shared_ptr<runtime::Device> device_;
  std::span<const runtime::Leaf> given_;
  std::deque<runtime::Tensor> copies_;  // `leaves_` point into it
  std::vector<runtime::Leaf> leaves_;
};

// The same with all tensors on the host; waits for the call.
Expected<runtime::Result> to_host(const runtime::Result& result);

// Copies of results on the host, in memory that the next results are copied to again.
class HostCopies {
 public:
  // All that was copied before may be overwritten from now on.
  void restart() { next_ = 0; }
  // As to_host().
  Expected<runtime::Result> copy(const runtime::Result& result);
  Expected<runtime::Tensor> copy(const runtime::Tensor& tensor);

 private:
  std::vector<runtime::Storage> blocks_;
  std::size_t next_ = 0;
};

}  // namespace peri::driver
