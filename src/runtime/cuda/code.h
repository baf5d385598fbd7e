// The images of an artifact in a device's memory, and how each of its functions is launched.
#pragma once

#include <array>
#include <vector>

#include "runtime/cuda/driver.h"
#include "runtime/device.h"

namespace peri::cuda {

class Code final : public runtime::DeviceCode {
 public:
  Code(const Driver& driver, Context context, Stream stream)
      : driver_(driver), context_(context), stream_(stream) {}
  ~Code() override;  // waits for launches that are queued on `stream`
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  // Fails with `bad-image`, with `driver-too-old` if the compiler is newer than the driver, and
  // with `launch-failed` if a function wants more shared memory than the device gives a program.
  Expected<void> load(const backends::Artifact& artifact);
  // Fails with `grid-too-large`: launch() takes none that is.
  Expected<void> check_grid(i64 index, const std::array<i64, 3>& grid) const;
  Status launch(i64 index, const std::array<i64, 3>& grid, void** params, Stream stream) const;

 private:
  struct Entry {
    Function function = nullptr;
    LaunchConfig config{};
    std::array<LaunchAttribute, 3> attributes{};
    i64 cluster = 1;
  };

  Expected<Entry> entry_of(const backends::Launch& launch) const;

  const Driver& driver_;
  Context context_;
  Stream stream_;
  std::vector<Module> modules_;
  std::vector<Entry> entries_;
};

}  // namespace peri::cuda
