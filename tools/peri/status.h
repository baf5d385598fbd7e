// Exit status of `peri`; `peri --help` explains them.
#pragma once

namespace peri::cli {

enum Status : int {
  kDone = 0,
  kKernelErrors = 1,
  kUsage = 2,
  kEnvironment = 3,
  kCheckFailed = 4,
  kInterrupted = 130,
};

}  // namespace peri::cli
