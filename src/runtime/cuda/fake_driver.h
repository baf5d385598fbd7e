// A driver of one or two GPUs in this process, for tests: memory is the host's, functions are the
// test's, and the clock moves by what work is said to take.
#pragma once

#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/cuda/driver.h"

namespace peri::cuda {

struct FakeDriver {
  struct Launch {
    std::string function;
    LaunchConfig config;
    std::vector<LaunchAttribute> attributes;
    std::vector<u64> params;  // the first eight bytes of each
  };
  struct Map {
    MapType type;
    std::vector<u64> sizes, strides;
    std::vector<unsigned> box;
    int swizzle;
    void* address;
  };
  using Kernel = std::function<void(const LaunchConfig&, void** params)>;

  std::map<int, std::string> names;  // by device; others: "NVIDIA Fake"
  int devices = 1, version = 13000, capability = 90, multiprocessors = 132;
  std::size_t memory = std::size_t{1} << 30;
  double set_seconds = 5e-6;                     // of a memset
  std::map<std::string, double> kernel_seconds;  // by function; others: 1e-6
  std::map<std::string, Kernel> kernels;         // by function; others do nothing
  std::map<std::string, i64> param_counts;       // by function
  std::map<std::string, Status> fails;           // by symbol of the driver: what it answers
  Status sticky = kSuccess;                      // what every wait answers

  std::vector<Launch> launches;
  std::vector<Map> maps;
  std::map<std::string, i64> calls;         // by symbol of the driver
  std::map<std::string, int> shared_bytes;  // asked for, by function
  struct Loaded {
    std::string text;  // a module's image, a function's name
    Context context;
  };
  std::deque<Loaded> modules, functions;
  std::size_t allocated = 0;
  // Device memory by address. The driver's lives as long as the process, this one's as the fake.
  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };
  struct Block {
    std::unique_ptr<std::byte, Free> data;
    std::size_t bytes;
  };
  std::map<Address, Block> blocks;
  double clock = 0;

  // Recording, of one stream at a time: seconds and functions of the nodes.
  struct Node {
    double seconds;
    std::string function;
  };
  Stream capturing = nullptr;
  std::vector<Node> captured;
  Status capture = kSuccess;  // what the end of it says
  std::deque<char> streams;

  // Contexts by device. Launches ask for the one that their code was loaded in.
  static constexpr int kMostDevices = 8;
  static constexpr Status kInvalidContext = static_cast<Status>(201);
  char contexts[kMostDevices] = {};
  static Context& current_context() {  // of the calling thread
    thread_local Context context = nullptr;
    return context;
  }

  // The table whose functions work on the fake that was made last.
  Driver table();

  static FakeDriver*& current() {
    static FakeDriver* fake = nullptr;
    return fake;
  }
  FakeDriver() { current() = this; }
  ~FakeDriver() { current_context() = nullptr; }
  FakeDriver(const FakeDriver&) = delete;
  FakeDriver& operator=(const FakeDriver&) = delete;

  std::recursive_mutex mutex;  // of loading and counting: configs are made in several threads
  Status count(const char* symbol) {
    std::lock_guard lock(mutex);
    ++calls[symbol];
    auto found = fails.find(symbol);
    return found == fails.end() ? kSuccess : found->second;
  }
  // On the stream that is being recorded, if there is one, unless told another.
  void spend(double seconds, const std::string& function, Stream on = nullptr) {
    if (capturing != nullptr && (on == nullptr || on == capturing)) {
      captured.push_back({seconds, function});
    } else {
      clock += seconds;
    }
  }
};

namespace fake {

inline FakeDriver& it() { return *FakeDriver::current(); }
template <class Handle>
Handle handle(const void* of) {
  return reinterpret_cast<Handle>(const_cast<void*>(of));
}
inline const std::string& name_of(Function function) {
  return reinterpret_cast<const FakeDriver::Loaded*>(function)->text;
}

inline void fill_queries(Driver& d) {
  d.init = [](unsigned) { return it().count("cuInit"); };
  d.driver_version = [](int* version) {
    *version = it().version;
    return it().count("cuDriverGetVersion");
  };
  d.error_name = [](Status status, const char** name) {
    *name = status > kUnknown           ? nullptr
            : status == kIllegalAddress ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                                        : "CUDA_ERROR";
    return *name == nullptr ? kInvalidValue : kSuccess;
  };
  d.error_text = [](Status, const char** text) {
    *text = "as the test wants it";
    return kSuccess;
  };
  d.device_count = [](int* count) {
    *count = it().devices;
    return it().count("cuDeviceGetCount");
  };
  d.device_get = [](DeviceNumber* device, int index) {
    *device = index;
    return it().count("cuDeviceGet");
  };
  d.device_name = [](char* name, int size, DeviceNumber device) {
    const auto found = it().names.find(device);
    const char* text = found == it().names.end() ? "NVIDIA Fake" : found->second.c_str();
    std::strncpy(name, text, static_cast<std::size_t>(size));
    return it().count("cuDeviceGetName");
  };
  d.device_memory = [](std::size_t* bytes, DeviceNumber) {
    *bytes = it().memory;
    return it().count("cuDeviceTotalMem");
  };
  d.device_attribute = [](int* value, Attribute which, DeviceNumber) {
    *value = which == kCapabilityMajor       ? it().capability / 10
             : which == kCapabilityMinor     ? it().capability % 10
             : which == kMultiprocessorCount ? it().multiprocessors
             : which == kL2CacheSize         ? 1 << 20
                                             : 232448;
    return it().count("cuDeviceGetAttribute");
  };
  d.context_retain = [](Context* context, DeviceNumber device) {
    *context = handle<Context>(&it().contexts[device]);
    return it().count("cuDevicePrimaryCtxRetain");
  };
  d.context_set = [](Context context) {
    FakeDriver::current_context() = context;
    return it().count("cuCtxSetCurrent");
  };
  d.context_get = [](Context* context) {
    *context = FakeDriver::current_context();
    return it().count("cuCtxGetCurrent");
  };
}

inline void fill_memory(Driver& d) {
  d.memory_alloc = [](Address* at, std::size_t bytes) {
    if (Status status = it().count("cuMemAlloc"); status != kSuccess) return status;
    if (it().allocated + bytes > it().memory) return kOutOfMemory;
    it().allocated += bytes;
    auto* block = static_cast<std::byte*>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
    *at = reinterpret_cast<Address>(block);
    it().blocks[*at] = {std::unique_ptr<std::byte, FakeDriver::Free>(block), bytes};
    return kSuccess;
  };
  d.memory_free = [](Address at) {
    const auto block = it().blocks.find(at);
    if (block == it().blocks.end()) return kInvalidValue;  // or of an earlier fake
    it().allocated -= block->second.bytes;
    it().blocks.erase(block);
    return it().count("cuMemFree");
  };
  d.host_alloc = [](void** at, std::size_t bytes) {
    Status status = it().count("cuMemAllocHost");
    *at = status == kSuccess ? std::malloc(bytes) : nullptr;
    return status;
  };
  d.host_free = [](void* at) {
    std::free(at);
    return it().count("cuMemFreeHost");
  };
  d.copy_in = [](Address to, const void* from, std::size_t bytes, Stream) {
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
    return it().count("cuMemcpyHtoDAsync");
  };
  d.copy_out = [](void* to, Address from, std::size_t bytes, Stream) {
    std::memcpy(to, reinterpret_cast<void*>(from), bytes);
    return it().count("cuMemcpyDtoHAsync");
  };
  d.copy = [](Address to, Address from, std::size_t bytes, Stream) {
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
    return it().count("cuMemcpyDtoDAsync");
  };
  d.set_8 = [](Address to, unsigned char value, std::size_t count, Stream on) {
    std::memset(reinterpret_cast<void*>(to), value, count);
    it().spend(it().set_seconds, "", on);
    return it().count("cuMemsetD8Async");
  };
  d.set_16 = [](Address to, unsigned short value, std::size_t count, Stream) {
    for (std::size_t i = 0; i < count; ++i) reinterpret_cast<unsigned short*>(to)[i] = value;
    return it().count("cuMemsetD16Async");
  };
  d.set_32 = [](Address to, unsigned value, std::size_t count, Stream) {
    for (std::size_t i = 0; i < count; ++i) reinterpret_cast<unsigned*>(to)[i] = value;
    return it().count("cuMemsetD32Async");
  };
  d.set_2d_32 = [](Address to, std::size_t pitch, unsigned value, std::size_t width,
                   std::size_t height, Stream) {
    for (std::size_t y = 0; y < height; ++y) {
      for (std::size_t x = 0; x < width; ++x)
        reinterpret_cast<unsigned*>(to + y * pitch)[x] = value;
    }
    return it().count("cuMemsetD2D32Async");
  };
}

inline void fill_code(Driver& d) {
  d.module_load = [](Module* module, const void* image) {
    const char* text = static_cast<const char*>(image);
    std::lock_guard lock(it().mutex);
    it().modules.push_back({text, FakeDriver::current_context()});
    *module = handle<Module>(&it().modules.back());
    return it().count("cuModuleLoadData");
  };
  d.module_unload = [](Module) { return it().count("cuModuleUnload"); };
  d.module_function = [](Function* function, Module module, const char* name) {
    const auto* from = reinterpret_cast<const FakeDriver::Loaded*>(module);
    std::lock_guard lock(it().mutex);
    it().functions.push_back({name, from->context});
    *function = handle<Function>(&it().functions.back());
    return it().count("cuModuleGetFunction");
  };
  d.function_set = [](Function function, FunctionAttribute, int value) {
    it().shared_bytes[name_of(function)] = value;
    return it().count("cuFuncSetAttribute");
  };
  d.launch = [](const LaunchConfig* config, Function function, void** params, void**) {
    const std::string& name = name_of(function);
    const auto* loaded = reinterpret_cast<const FakeDriver::Loaded*>(function);
    if (loaded->context != FakeDriver::current_context()) {
      (void)it().count("cuLaunchKernelEx");
      return FakeDriver::kInvalidContext;
    }
    FakeDriver::Launch launch{name, *config, {}, {}};
    for (unsigned a = 0; a < config->attribute_count; ++a) {
      launch.attributes.push_back(config->attributes[a]);
    }
    for (i64 p = 0; p < it().param_counts[name]; ++p) {
      std::memcpy(&launch.params.emplace_back(), params[p], sizeof(u64));
    }
    it().launches.push_back(std::move(launch));
    auto seconds = it().kernel_seconds.find(name);
    it().spend(seconds == it().kernel_seconds.end() ? 1e-6 : seconds->second, name, config->stream);
    if (auto run = it().kernels.find(name); run != it().kernels.end()) run->second(*config, params);
    return it().count("cuLaunchKernelEx");
  };
  d.encode_tiled = [](TensorMap* map, MapType type, unsigned rank, void* address, const u64* sizes,
                      const u64* strides, const unsigned* box, const unsigned*, int, int swizzle,
                      int, int) {
    it().maps.push_back({type,
                         {sizes, sizes + rank},
                         {strides, strides + rank - 1},
                         {box, box + rank},
                         swizzle,
                         address});
    map->opaque[0] = it().maps.size();
    return it().count("cuTensorMapEncodeTiled");
  };
}

inline void fill_streams(Driver& d) {
  d.stream_create = [](Stream* stream, unsigned) {
    *stream = handle<Stream>(&it().streams.emplace_back());
    return it().count("cuStreamCreate");
  };
  d.stream_synchronize = [](Stream on) {
    Status status = it().count("cuStreamSynchronize");
    if (on == it().capturing) {
      it().capture = kCaptureInvalidated;
      return kCaptureUnsupported;
    }
    return it().sticky != kSuccess ? it().sticky : status;
  };
  d.capture_begin = [](Stream on, int mode) {
    it().captured.clear();
    Status status = it().count("cuStreamBeginCapture");
    if (mode != kCaptureRelaxed) status = kInvalidValue;
    it().capturing = status == kSuccess ? on : nullptr;
    it().capture = kSuccess;
    return status;
  };
  d.capture_end = [](Stream, Graph* graph) {
    it().capturing = nullptr;
    if (it().capture != kSuccess) {
      *graph = nullptr;
      return it().capture;
    }
    *graph = handle<Graph>(new std::vector<FakeDriver::Node>(it().captured));
    return it().count("cuStreamEndCapture");
  };
  d.graph_instantiate = [](GraphExec* exec, Graph graph, u64) {
    auto* nodes = reinterpret_cast<std::vector<FakeDriver::Node>*>(graph);
    *exec = handle<GraphExec>(new std::vector<FakeDriver::Node>(*nodes));
    return it().count("cuGraphInstantiate");
  };
  d.graph_launch = [](GraphExec exec, Stream) {
    for (const auto& node : *reinterpret_cast<std::vector<FakeDriver::Node>*>(exec)) {
      it().clock += node.seconds;
    }
    return it().count("cuGraphLaunch");
  };
  d.graph_exec_destroy = [](GraphExec exec) {
    delete reinterpret_cast<std::vector<FakeDriver::Node>*>(exec);
    return it().count("cuGraphExecDestroy");
  };
  d.graph_destroy = [](Graph graph) {
    delete reinterpret_cast<std::vector<FakeDriver::Node>*>(graph);
    return it().count("cuGraphDestroy");
  };
  d.event_create = [](Event* event, unsigned) {
    *event = handle<Event>(new double(0));
    return it().count("cuEventCreate");
  };
  d.event_destroy = [](Event event) {
    delete reinterpret_cast<double*>(event);
    return it().count("cuEventDestroy");
  };
  d.event_record = [](Event event, Stream) {
    *reinterpret_cast<double*>(event) = it().clock;
    return it().count("cuEventRecord");
  };
  d.event_elapsed = [](float* milliseconds, Event first, Event second) {
    double seconds = *reinterpret_cast<double*>(second) - *reinterpret_cast<double*>(first);
    *milliseconds = static_cast<float>(seconds * 1e3);
    return it().count("cuEventElapsedTime");
  };
}

}  // namespace fake

inline Driver FakeDriver::table() {
  Driver driver;
  fake::fill_queries(driver);
  fake::fill_memory(driver);
  fake::fill_code(driver);
  fake::fill_streams(driver);
  return driver;
}

}  // namespace peri::cuda
