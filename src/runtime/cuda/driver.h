// The CUDA driver's functions that the runtime uses, found in libcuda.so.1 at run time: no toolkit
// is needed to build, and no driver to start. Names, types and numbers are those of NVIDIA's
// cuda.h; they are part of the driver's binary interface, which does not change.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/expected.h"
#include "base/ids.h"

namespace peri::cuda {

enum Status : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kStubLibrary = 34,
  kDeviceUnavailable = 46,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kNoBinaryForGpu = 209,
  kEccUncorrectable = 214,
  kNvlinkUncorrectable = 220,
  kUnsupportedPtxVersion = 222,
  kContained = 226,
  kNotFound = 500,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kLaunchTimeout = 702,
  kContextIsDestroyed = 709,
  kAssert = 710,
  kHardwareStackError = 714,
  kIllegalInstruction = 715,
  kMisalignedAddress = 716,
  kInvalidAddressSpace = 717,
  kInvalidPc = 718,
  kLaunchFailed = 719,
  kCooperativeLaunchTooLarge = 720,
  kSystemNotReady = 802,
  kSystemDriverMismatch = 803,
  kCompatNotSupported = 804,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
  kUnknown = 999,
};

enum Attribute : int {
  kMultiprocessorCount = 16,
  kL2CacheSize = 38,
  kCapabilityMajor = 75,
  kCapabilityMinor = 76,
  kSharedMemoryPerBlockOptin = 97,
};

enum FunctionAttribute : int { kMaxDynamicSharedBytes = 8 };
enum LaunchAttributeId : int {
  kAttributeCooperative = 2,
  kAttributeClusterDimension = 4,
  kAttributeClusterScheduling = 5,
};
inline constexpr int kClusterSchedulingSpread = 1;
inline constexpr unsigned kStreamNonBlocking = 1;
inline constexpr int kCaptureRelaxed = 2;
inline constexpr int kPromotionL2_128B = 2;

// CUtensorMapDataType.
enum class MapType : int { U8 = 0, U16 = 1, U32 = 2, I32 = 3, F16 = 6, F32 = 7, BF16 = 9 };

using DeviceNumber = int;
using Address = unsigned long long;
using Context = struct ContextHandle*;
using Module = struct ModuleHandle*;
using Function = struct FunctionHandle*;
using Stream = struct StreamHandle*;
using Event = struct EventHandle*;
using Graph = struct GraphHandle*;
using GraphExec = struct GraphExecHandle*;

struct alignas(64) TensorMap {
  u64 opaque[16];
};

struct LaunchAttribute {
  int id;
  int padding;
  union {
    int number;
    struct {
      unsigned x, y, z;
    } cluster;
    char bytes[64];
  } value;
};
static_assert(sizeof(LaunchAttribute) == 72);

struct LaunchConfig {
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  Stream stream;
  LaunchAttribute* attributes;
  unsigned attribute_count;
};
static_assert(offsetof(LaunchConfig, stream) == 32 && sizeof(LaunchConfig) == 56);

// CUDA_FUNCTION(field, symbol, parameters)
#define PERI_CUDA_FUNCTIONS(CUDA_FUNCTION)                                                      \
  CUDA_FUNCTION(init, cuInit, (unsigned))                                                       \
  CUDA_FUNCTION(driver_version, cuDriverGetVersion, (int*))                                     \
  CUDA_FUNCTION(error_name, cuGetErrorName, (Status, const char**))                             \
  CUDA_FUNCTION(error_text, cuGetErrorString, (Status, const char**))                           \
  CUDA_FUNCTION(device_count, cuDeviceGetCount, (int*))                                         \
  CUDA_FUNCTION(device_get, cuDeviceGet, (DeviceNumber*, int))                                  \
  CUDA_FUNCTION(device_name, cuDeviceGetName, (char*, int, DeviceNumber))                       \
  CUDA_FUNCTION(device_memory, cuDeviceTotalMem_v2, (std::size_t*, DeviceNumber))               \
  CUDA_FUNCTION(device_attribute, cuDeviceGetAttribute, (int*, Attribute, DeviceNumber))        \
  CUDA_FUNCTION(context_retain, cuDevicePrimaryCtxRetain, (Context*, DeviceNumber))             \
  CUDA_FUNCTION(context_set, cuCtxSetCurrent, (Context))                                        \
  CUDA_FUNCTION(context_get, cuCtxGetCurrent, (Context*))                                       \
  CUDA_FUNCTION(memory_alloc, cuMemAlloc_v2, (Address*, std::size_t))                           \
  CUDA_FUNCTION(memory_free, cuMemFree_v2, (Address))                                           \
  CUDA_FUNCTION(host_alloc, cuMemAllocHost_v2, (void**, std::size_t))                           \
  CUDA_FUNCTION(host_free, cuMemFreeHost, (void*))                                              \
  CUDA_FUNCTION(copy_in, cuMemcpyHtoDAsync_v2, (Address, const void*, std::size_t, Stream))     \
  CUDA_FUNCTION(copy_out, cuMemcpyDtoHAsync_v2, (void*, Address, std::size_t, Stream))          \
  CUDA_FUNCTION(copy, cuMemcpyDtoDAsync_v2, (Address, Address, std::size_t, Stream))            \
  CUDA_FUNCTION(set_8, cuMemsetD8Async, (Address, unsigned char, std::size_t, Stream))          \
  CUDA_FUNCTION(set_16, cuMemsetD16Async, (Address, unsigned short, std::size_t, Stream))       \
  CUDA_FUNCTION(set_32, cuMemsetD32Async, (Address, unsigned, std::size_t, Stream))             \
  CUDA_FUNCTION(set_2d_32, cuMemsetD2D32Async,                                                  \
                (Address, std::size_t, unsigned, std::size_t, std::size_t, Stream))             \
  CUDA_FUNCTION(module_load, cuModuleLoadData, (Module*, const void*))                          \
  CUDA_FUNCTION(module_unload, cuModuleUnload, (Module))                                        \
  CUDA_FUNCTION(module_function, cuModuleGetFunction, (Function*, Module, const char*))         \
  CUDA_FUNCTION(function_set, cuFuncSetAttribute, (Function, FunctionAttribute, int))           \
  CUDA_FUNCTION(launch, cuLaunchKernelEx, (const LaunchConfig*, Function, void**, void**))      \
  CUDA_FUNCTION(encode_tiled, cuTensorMapEncodeTiled,                                           \
                (TensorMap*, MapType, unsigned, void*, const u64*, const u64*, const unsigned*, \
                 const unsigned*, int, int, int, int))                                          \
  CUDA_FUNCTION(stream_create, cuStreamCreate, (Stream*, unsigned))                             \
  CUDA_FUNCTION(stream_synchronize, cuStreamSynchronize, (Stream))                              \
  CUDA_FUNCTION(capture_begin, cuStreamBeginCapture_v2, (Stream, int))                          \
  CUDA_FUNCTION(capture_end, cuStreamEndCapture, (Stream, Graph*))                              \
  CUDA_FUNCTION(graph_instantiate, cuGraphInstantiateWithFlags, (GraphExec*, Graph, u64))       \
  CUDA_FUNCTION(graph_launch, cuGraphLaunch, (GraphExec, Stream))                               \
  CUDA_FUNCTION(graph_exec_destroy, cuGraphExecDestroy, (GraphExec))                            \
  CUDA_FUNCTION(graph_destroy, cuGraphDestroy, (Graph))                                         \
  CUDA_FUNCTION(event_create, cuEventCreate, (Event*, unsigned))                                \
  CUDA_FUNCTION(event_destroy, cuEventDestroy_v2, (Event))                                      \
  CUDA_FUNCTION(event_record, cuEventRecord, (Event, Stream))                                   \
  CUDA_FUNCTION(event_elapsed, cuEventElapsedTime, (float*, Event, Event))

// The driver's interface: a table of functions, so that tests can put others there.
struct Driver {
#define CUDA_FUNCTION(field, symbol, parameters) Status(*field) parameters = nullptr;
  PERI_CUDA_FUNCTIONS(CUDA_FUNCTION)
#undef CUDA_FUNCTION
};

// Loads `library` and initialises the driver. Fails with `no-driver` (there is none, or it does not
// start), `no-device` and `driver-too-old` (a function is missing).
Expected<Driver> load_driver(const char* library = "libcuda.so.1");
// Initialises what the table belongs to; errors as above.
Expected<void> start(const Driver& driver);

// What the driver says of `status`, as an error with one of the codes of runtime/device.h: `what`
// was tried. The context is lost after a `device-fault`.
Error error_of(const Driver& driver, Status status, std::string_view what);

}  // namespace peri::cuda
