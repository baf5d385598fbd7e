#include "runtime/cuda/driver.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace peri::cuda {

namespace {

// What to do about a status; rows of several statuses share a code.
struct Row {
  Status status;
  std::string_view code, hint;
};

constexpr std::string_view kFaultHint =
    "the kernel wrote or read where it may not; run it with `--device cpu --check`, and report it";

constexpr std::string_view kOtherHint =
    "NVIDIA's documentation of CUresult explains it; `dmesg` may say more";

constexpr Row kRows[] = {
    {kOutOfMemory, "out-of-memory", "use smaller tensors, or free what other programs hold"},
    {kStubLibrary, "no-driver", "libcuda.so.1 is the toolkit's stub: install NVIDIA's driver"},
    {kNotInitialized, "no-driver",
     "a process that was forked after the driver started cannot use it"},
    {kDeviceUnavailable, "no-device", "another process has the device for itself"},
    {kNoDevice, "no-device", "`nvidia-smi` lists the devices; see CUDA_VISIBLE_DEVICES too"},
    {kInvalidDevice, "no-device", "`nvidia-smi` lists the devices; see CUDA_VISIBLE_DEVICES too"},
    {kInvalidImage, "bad-image", "compile it again: `--no-cache`"},
    {kNoBinaryForGpu, "bad-image", "it is made for another device: compile it for this one"},
    {kUnsupportedPtxVersion, "driver-too-old", "install a newer driver"},
    {kNotFound, "bad-image", "compile it again: `--no-cache`"},
    {kEccUncorrectable, "device-lost", "the device's memory is damaged: look at `nvidia-smi -q`"},
    {kNvlinkUncorrectable, "device-lost", "a link to the device failed: look at `nvidia-smi -q`"},
    {kContained, "device-lost", "the device's memory is damaged: look at `nvidia-smi -q`"},
    {kContextIsDestroyed, "device-lost", "the device was reset: start again"},
    {kUnknown, "device-lost",
     "the driver does not know why: look for `Xid` in `dmesg`, and at `nvidia-smi -q`"},
    {kIllegalAddress, "device-fault", kFaultHint},
    {kLaunchTimeout, "device-fault", "the kernel ran for too long on a device with a display"},
    {kAssert, "device-fault", kFaultHint},
    {kHardwareStackError, "device-fault", kFaultHint},
    {kIllegalInstruction, "device-fault", kFaultHint},
    {kMisalignedAddress, "device-fault", kFaultHint},
    {kInvalidAddressSpace, "device-fault", kFaultHint},
    {kInvalidPc, "device-fault", kFaultHint},
    {kLaunchFailed, "device-fault", kFaultHint},
    {kInvalidValue, "launch-failed", "the device refuses a size: try smaller blocks"},
    {kLaunchOutOfResources, "launch-failed", "try smaller blocks or fewer warps"},
    {kCooperativeLaunchTooLarge, "launch-failed", "try smaller blocks"},
    {kSystemNotReady, "no-driver", "the system's GPU services are not running"},
    {kSystemDriverMismatch, "no-driver", "library and kernel module differ: restart the machine"},
    {kCompatNotSupported, "driver-too-old", "install a newer driver"},
};

std::string text_of(const Driver& driver, Status status) {
  const char* name = nullptr;
  const char* text = nullptr;
  (void)driver.error_name(status, &name);
  (void)driver.error_text(status, &text);
  if (name == nullptr) {
    return fmt::format("error {}, which the driver has no name for", static_cast<int>(status));
  }
  return text == nullptr ? name : fmt::format("{}: {}", name, text);
}

}  // namespace

Error error_of(const Driver& driver, Status status, std::string_view what) {
  Error error{"device-error", fmt::format("{}: {}", what, text_of(driver, status)),
              std::string(kOtherHint)};
  for (const Row& row : kRows) {
    if (row.status != status) continue;
    error.code = row.code;
    error.hint = row.hint;
  }
  return error;
}

Expected<Driver> load_driver(const char* library) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    return fail("no-driver",
                fmt::format("NVIDIA's driver is not here: {}", why == nullptr ? library : why),
                "install it, or use `--device cpu`");
  }
  Driver driver;
  std::string missing;
#define CUDA_FUNCTION(field, symbol, parameters)                                   \
  driver.field = reinterpret_cast<decltype(driver.field)>(dlsym(handle, #symbol)); \
  if (driver.field == nullptr) missing = #symbol;
  PERI_CUDA_FUNCTIONS(CUDA_FUNCTION)
#undef CUDA_FUNCTION
  if (!missing.empty()) {
    return fail("driver-too-old", fmt::format("the driver has no {}", missing),
                "install one for CUDA 12 or newer (525 or newer)");
  }
  if (auto started = start(driver); !started) return std::unexpected(started.error());
  return driver;
}

Expected<void> start(const Driver& driver) {
  Status status = driver.init(0);
  if (status == kSuccess) return {};
  Error error = error_of(driver, status, "the driver does not start");
  bool is_general = error.code == "device-error" || error.code == "device-lost";
  if (is_general || error.code == "launch-failed") error.code = "no-driver";
  return std::unexpected(std::move(error));
}

}  // namespace peri::cuda
