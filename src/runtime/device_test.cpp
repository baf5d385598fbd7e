// The device interface and launches, on a fake driver.
#include "runtime/device.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "lower/testing.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/fake_driver.h"
#include "runtime/cuda/memory.h"
#include "runtime/executor.h"
#include "runtime/random.h"

namespace peri::runtime {
namespace {

using backends::LaunchParam;
using cuda::FakeDriver;
using testing::ElementsAre;
using testing::HasSubstr;

class DeviceTest : public testing::Test {
 protected:
  std::shared_ptr<Device> open(i64 index = 0) {
    driver_ = fake_.table();
    auto device = cuda::open(driver_, index);
    EXPECT_TRUE(device) << device.error().message;
    return device ? *device : nullptr;
  }
  std::string code_of_opening(i64 index = 0) {
    driver_ = fake_.table();
    auto device = cuda::open(driver_, index);
    return device ? "" : device.error().code;
  }

  FakeDriver fake_;
  cuda::Driver driver_;
};

TEST_F(DeviceTest, AMachineWithoutDriverIsAnErrorWithTheNextStep) {
  auto driver = cuda::load_driver("libcuda-that-is-not-here.so.1");
  ASSERT_FALSE(driver);
  EXPECT_EQ(driver.error().code, "no-driver");
  EXPECT_THAT(driver.error().hint, HasSubstr("--device cpu"));
}

TEST_F(DeviceTest, ALibraryThatLacksFunctionsIsTooOld) {
  auto driver = cuda::load_driver("libm.so.6");
  ASSERT_FALSE(driver);
  EXPECT_EQ(driver.error().code, "driver-too-old");
}

TEST_F(DeviceTest, StartingNamesWhatIsMissing) {
  driver_ = fake_.table();
  fake_.fails["cuInit"] = cuda::kNoDevice;
  EXPECT_EQ(cuda::start(driver_).error().code, "no-device");
  fake_.fails["cuInit"] = cuda::kStubLibrary;
  EXPECT_EQ(cuda::start(driver_).error().code, "no-driver");
  fake_.fails["cuInit"] = cuda::kUnknown;
  EXPECT_EQ(cuda::start(driver_).error().code, "no-driver");
}

TEST_F(DeviceTest, OpeningChecksIndexAndVersion) {
  EXPECT_EQ(code_of_opening(0), "");
  EXPECT_EQ(code_of_opening(1), "no-device");
  fake_.version = 11080;
  EXPECT_EQ(code_of_opening(0), "driver-too-old");
}

TEST_F(DeviceTest, PropertiesNameTheTarget) {
  fake_.capability = 100;
  auto device = open();
  EXPECT_EQ(device->properties().target, "sm_100");
  EXPECT_EQ(device->properties().multiprocessors, 132);
  EXPECT_THAT(device->properties().describe(), HasSubstr("NVIDIA Fake, sm_100"));
  DeviceProperties other = device->properties();
  other.multiprocessors = 114;
  EXPECT_NE(other.fingerprint(), device->properties().fingerprint());
}

TEST_F(DeviceTest, FreedMemoryIsHandedOutAgainWithoutTheDriver) {
  auto device = open();
  std::byte* first = device->allocate(1000)->data;
  i64 asked = fake_.calls["cuMemAlloc"];
  auto again = device->allocate(1020);
  EXPECT_EQ(again->data, first);
  EXPECT_EQ(fake_.calls["cuMemAlloc"], asked);
  EXPECT_EQ(again->device, device.get());
}

TEST_F(DeviceTest, KeptMemoryIsGivenBackBeforeThereIsNone) {
  fake_.memory = 1 << 20;
  auto device = open();
  (void)device->allocate(700 << 10);
  EXPECT_TRUE(device->allocate(900 << 10));
  auto held = device->allocate(900 << 10);
  auto more = device->allocate(900 << 10);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, "out-of-memory");
}

TEST_F(DeviceTest, HostMemoryForCopiesIsGivenBack) {
  auto device = open();
  auto there = device->allocate(64);
  ASSERT_TRUE(there);
  std::byte pattern[] = {std::byte{7}};
  ASSERT_TRUE(device->fill(there->data, 64, pattern));
  {
    auto here = device->allocate_host(64);
    ASSERT_TRUE(here);
    EXPECT_EQ(here->device, nullptr);
    ASSERT_TRUE(device->copy_out(here->data, there->data, 64));
    EXPECT_EQ(here->data[63], std::byte{7});
    EXPECT_EQ(fake_.calls["cuMemFreeHost"], 0);
  }
  EXPECT_EQ(fake_.calls["cuMemFreeHost"], 1);
  fake_.fails["cuMemAllocHost"] = cuda::kOutOfMemory;
  EXPECT_EQ(device->allocate_host(64).error().code, "out-of-memory");
}

TEST_F(DeviceTest, FillsElementsOfEverySize) {
  auto device = open();
  for (std::size_t size : {1, 2, 4, 8}) {
    std::vector<std::byte> element;
    for (std::size_t i = 0; i < size; ++i) element.push_back(static_cast<std::byte>(i + 1));
    auto storage = device->allocate(5 * 8);
    ASSERT_TRUE(device->fill(storage->data, 5, element));
    std::vector<std::byte> wanted;
    for (int i = 0; i < 5; ++i) wanted.insert(wanted.end(), element.begin(), element.end());
    std::vector<std::byte> got(wanted.size());
    ASSERT_TRUE(device->copy_out(got.data(), storage->data, static_cast<i64>(got.size())));
    EXPECT_EQ(got, wanted) << size;
  }
}

TEST_F(DeviceTest, AFaultOfQueuedWorkComesFromTheCallThatWaits) {
  auto device = open();
  fake_.sticky = cuda::kIllegalAddress;
  auto done = device->synchronize();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "device-fault");
  EXPECT_THAT(done.error().message, HasSubstr("CUDA_ERROR_ILLEGAL_ADDRESS"));
}

TEST_F(DeviceTest, DamagedCodeIsNamed) {
  auto device = open();
  fake_.fails["cuModuleLoadData"] = cuda::kInvalidImage;
  backends::Artifact artifact;
  artifact.images.push_back({"cubin", "sm_90", "damaged"});
  auto code = device->load(artifact);
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().code, "bad-image");
}

TEST_F(DeviceTest, CodeOfAnAssemblerNewerThanTheDriverAsksForANewerDriver) {
  std::string header(64, '\0');  // of an ELF file for CUDA that 12.8's assembler made
  header.replace(0, 4, "\177ELF");
  header[18] = static_cast<char>(190);
  header[20] = static_cast<char>(128);
  fake_.fails["cuModuleLoadData"] = cuda::kInvalidImage;
  auto error_of = [&](const std::string& image, int driver) {
    fake_.version = driver;
    backends::Artifact artifact;
    artifact.images.push_back({"cubin", "sm_90", image});
    auto code = open()->load(artifact);
    EXPECT_FALSE(code);
    return code ? Error{} : code.error();
  };
  Error error = error_of(header, 12040);
  EXPECT_EQ(error.code, "driver-too-old");
  EXPECT_THAT(error.message, HasSubstr("of CUDA 12.8, and the driver is for 12.4"));
  EXPECT_THAT(error.hint, HasSubstr("CUDA 12.8 or newer"));
  EXPECT_EQ(error_of(header, 12080).code, "bad-image");
  const std::string note = "\177ELF note: Cuda compilation tools, release 13.0, V13.0.48";
  EXPECT_EQ(error_of(note, 12090).code, "driver-too-old");
  EXPECT_EQ(error_of(note, 13000).code, "bad-image");
  EXPECT_EQ(error_of(header.substr(0, 40), 12040).code, "bad-image");
  EXPECT_EQ(error_of("", 12040).code, "bad-image");
}

TEST_F(DeviceTest, ALostDeviceIsSaidToBe) {
  auto device = open();
  for (cuda::Status status : {cuda::kEccUncorrectable, cuda::kNvlinkUncorrectable, cuda::kContained,
                              cuda::kContextIsDestroyed, cuda::kUnknown}) {
    fake_.sticky = status;
    auto done = device->synchronize();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, "device-lost") << status;
    EXPECT_NE(done.error().hint, "") << status;
  }
}

TEST_F(DeviceTest, AResultThatOnlyTheDriverKnowsIsNamedAsItDoes) {
  auto device = open();
  fake_.sticky = static_cast<cuda::Status>(801);
  auto named = device->synchronize();
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().code, "device-error");
  EXPECT_THAT(named.error().message, HasSubstr("CUDA_ERROR: as the test wants it"));
  fake_.sticky = static_cast<cuda::Status>(4711);
  auto unnamed = device->synchronize();
  ASSERT_FALSE(unnamed);
  EXPECT_EQ(unnamed.error().code, "device-error");
  EXPECT_THAT(unnamed.error().message, HasSubstr("error 4711"));
  EXPECT_THAT(unnamed.error().hint, HasSubstr("dmesg"));
}

TEST_F(DeviceTest, LaunchesAskForSharedMemoryClustersAndCooperation) {
  auto device = open();
  backends::Artifact artifact;
  artifact.images.push_back({"cubin", "sm_90", "image"});
  backends::Launch launch;
  launch.function = "f";
  launch.threads = 256;
  launch.shared_bytes = 100 << 10;
  launch.cluster = 2;
  launch.cooperative = true;
  artifact.launches.push_back(launch);
  auto code = device->load(artifact);
  ASSERT_TRUE(code);
  EXPECT_EQ(fake_.shared_bytes["f"], 100 << 10);
  void* none[1] = {};
  ASSERT_TRUE(device->launch(**code, 0, {5, 1, 1}, none));
  const FakeDriver::Launch& seen = fake_.launches.at(0);
  EXPECT_EQ(seen.config.grid[0], 10u);  // blocks, of which two are a cluster
  EXPECT_EQ(seen.config.block[0], 256u);
  EXPECT_EQ(seen.config.shared_bytes, 100u << 10);
  ASSERT_EQ(seen.attributes.size(), 3u);
  EXPECT_EQ(seen.attributes[0].id, cuda::kAttributeCooperative);
  EXPECT_EQ(seen.attributes[1].value.cluster.x, 2u);
  fake_.fails["cuLaunchKernelEx"] = cuda::kLaunchOutOfResources;
  EXPECT_EQ(device->launch(**code, 0, {5, 1, 1}, none).error().code, "launch-failed");
}

// --- time ---

TEST_F(DeviceTest, TimesCallsFromARecordingAndTakesTheFlushOff) {
  auto device = open();
  auto call = [&]() -> Expected<void> {
    fake_.spend(3e-6, "call");
    return {};
  };
  auto warm = device->time(call, {.samples = 4, .batch = 10});
  ASSERT_TRUE(warm);
  ASSERT_EQ(warm->size(), 4u);
  for (double seconds : *warm) EXPECT_NEAR(seconds, 3e-6, 1e-9);
  auto cold = device->time(call, {.samples = 40, .batch = 10, .cold = true});
  ASSERT_TRUE(cold);
  ASSERT_EQ(cold->size(), 40u);
  for (double seconds : *cold) EXPECT_NEAR(seconds, 3e-6, 1e-8);
  EXPECT_GT(fake_.calls["cuGraphLaunch"], 0);
  EXPECT_EQ(fake_.calls["cuGraphExecDestroy"], fake_.calls["cuGraphInstantiate"]);
  EXPECT_EQ(fake_.calls["cuEventDestroy"], fake_.calls["cuEventCreate"]);
}

TEST_F(DeviceTest, TimesCallsThatCannotBeRecorded) {
  auto device = open();
  fake_.fails["cuStreamBeginCapture"] = cuda::kInvalidValue;
  auto call = [&]() -> Expected<void> {
    fake_.spend(2e-3, "call");
    return {};
  };
  auto seconds = device->time(call, {.samples = 3, .batch = 1});
  ASSERT_TRUE(seconds);
  EXPECT_NEAR(seconds->at(0), 2e-3, 1e-6);
  EXPECT_EQ(fake_.calls["cuGraphLaunch"], 0);
}

// A recording that others would get into repeats their work, or loses it.
TEST_F(DeviceTest, OtherThreadsUseTheDeviceWhileOneTimes) {
  auto device = open();
  backends::Artifact artifact;
  artifact.images.push_back({"cubin", "sm_90", "image"});
  artifact.launches.emplace_back().function = "other";
  auto code = device->load(artifact);
  ASSERT_TRUE(code);
  fake_.kernel_seconds["other"] = 1e-3;
  i64 recordings_entered = 0;
  auto call = [&]() -> Expected<void> {
    fake_.spend(3e-6, "call");
    std::thread([&] {
      void* none[1] = {};
      EXPECT_TRUE(device->launch(**code, 0, {1, 1, 1}, none));
      EXPECT_TRUE(device->synchronize());
    }).join();
    for (const FakeDriver::Node& node : fake_.captured) recordings_entered += node.seconds == 1e-3;
    return {};
  };
  auto seconds = device->time(call, {.samples = 4, .batch = 2});
  ASSERT_TRUE(seconds);
  EXPECT_EQ(recordings_entered, 0);
  EXPECT_EQ(fake_.calls["cuGraphInstantiate"], 1);
  for (double one : *seconds) EXPECT_NEAR(one, 3e-6, 1e-9);
}

TEST_F(DeviceTest, WhatATimedCallFreesIsNotHandedOutWhileItIsReplayed) {
  auto device = open();
  (void)device->allocate(1000);
  std::byte *of_call = nullptr, *of_another = nullptr;
  auto call = [&]() -> Expected<void> {
    auto block = device->allocate(1000);
    of_call = block->data;
    block = {};
    std::thread([&] { of_another = device->allocate(1000)->data; }).join();
    return {};
  };
  ASSERT_TRUE(device->time(call, {.samples = 2, .batch = 3}));
  EXPECT_NE(of_call, of_another);
  EXPECT_EQ(fake_.calls["cuMemAlloc"], 2);
  EXPECT_THAT(std::vector({of_call, of_another}), testing::Contains(device->allocate(1000)->data));
}

TEST_F(DeviceTest, ARecordingThatIsSpoiledFromOutsideIsMadeAgain) {
  auto device = open();
  auto call = [&]() -> Expected<void> {
    fake_.spend(3e-6, "call");
    bool first = fake_.calls["cuStreamBeginCapture"] == 1;
    if (first) fake_.capture = cuda::kCaptureInvalidated;  // another waits for all of the device
    return {};
  };
  auto seconds = device->time(call, {.samples = 4, .batch = 10});
  ASSERT_TRUE(seconds);
  EXPECT_EQ(fake_.calls["cuStreamBeginCapture"], 2);
  EXPECT_GT(fake_.calls["cuGraphLaunch"], 0);
}

// --- executables ---

constexpr const char* kFill = "torch.full(x.size(), 7.0, dtype=x.dtype, device=x.device)";
constexpr const char* kNoFill = "torch.empty_like(x)";
constexpr const char* kScale = R"(import torch
import helion
import helion.language as hl

@helion.kernel(static_shapes=False)
def scale(x: torch.Tensor, factor: float) -> torch.Tensor:
    out = {}
    for tile in hl.tile(x.size(0)):
        out[tile] = x[tile] * factor
    return out
)";

class LaunchTest : public DeviceTest {
 protected:
  LaunchTest() { lower(kFill); }

  void lower(const char* out) {
    auto made =
        lower::lower_text(fmt::format(kScale, out), "", {{"x", "f32[64]"}, {"factor", "2.0"}});
    EXPECT_TRUE(made.lowered) << made.errors;
    lowered_ = std::make_shared<lower::Lowered>(std::move(*made.lowered));
    for (std::size_t t = 0; t < kernel().tensors.size(); ++t) {
      if (kernel().tensors[t].name == "x") x_ = static_cast<i64>(t);
      if (kernel().tensors[t].name == "out") out_ = static_cast<i64>(t);
    }
    artifact_ = {};
    artifact_.images.push_back({"cubin", "sm_90", "image"});
    backends::Launch launch;
    launch.function = "scale";
    launch.grid = {integer(4), integer(1), integer(1)};
    launch.params = {pointer(x_), pointer(out_)};
    artifact_.launches.push_back(launch);
  }

  ir::Kernel& kernel() { return lowered_->kernel; }
  Sym integer(i64 value) { return kernel().syms->integer(value); }
  backends::Launch& launch() { return artifact_.launches[0]; }
  static LaunchParam pointer(i64 tensor, i64 alignment = 1) {
    LaunchParam param;
    param.tensor = tensor;
    param.alignment = alignment;
    return param;
  }
  static LaunchParam map_of(i64 tensor) {
    LaunchParam map = pointer(tensor, 16);
    map.kind = LaunchParam::Kind::Map;
    map.map = {.dims = {0}, .box = {32}, .swizzle = 2};
    return map;
  }
  static LaunchParam value(LaunchParam::Kind kind, i64 bytes, Sym sym) {
    LaunchParam param;
    param.kind = kind;
    param.bytes = bytes;
    param.value = sym;
    return param;
  }

  Expected<Result> call(const Tensor& x) {
    fake_.param_counts["scale"] = static_cast<i64>(launch().params.size());
    if (!device_) device_ = open();
    if (!executable_) {
      std::vector<ScalarValue> known(kernel().syms->symbol_count());
      auto made = Executable::on_device(lowered_, known, artifact_, {device_, general_});
      if (!made) return std::unexpected(made.error());
      executable_ = *made;
    }
    Leaf leaves[] = {{&x, {}}, {nullptr, SymValue::of(2.5)}};
    return executable_->call(leaves);
  }
  Tensor on_device(const Tensor& tensor) {
    if (!device_) device_ = open();
    return *to_device(tensor, *device_);
  }
  const std::vector<u64>& params() { return fake_.launches.back().params; }

  std::shared_ptr<lower::Lowered> lowered_;
  backends::Artifact artifact_;
  std::function<Expected<backends::Artifact>()> general_;
  std::shared_ptr<Device> device_;
  std::shared_ptr<const Executable> executable_;
  i64 x_ = -1, out_ = -1;
};

TEST_F(LaunchTest, RunsOnDeviceMemoryAndCopiesBack) {
  fake_.kernels["scale"] = [](const cuda::LaunchConfig&, void** params) {
    float* x = *static_cast<float**>(params[0]);
    float* out = *static_cast<float**>(params[1]);
    for (int i = 0; i < 32; ++i) out[i] = x[i] * 3;  // of 64: the rest stays full of 7
  };
  Tensor x = arange(Dtype::F32, 64);
  auto result = call(on_device(x));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->tensor.storage.device, device_.get());
  Tensor out = *to_host(result->tensor);
  EXPECT_EQ(get_real(out, 5), 15);
  EXPECT_EQ(get_real(out, 63), 7);
}

TEST_F(LaunchTest, PassesScalarsScratchAndNullPointers) {
  using Kind = LaunchParam::Kind;
  Sym size = kernel().tensors[x_].sizes[0];
  launch().params.push_back(value(Kind::Integer, 4, size));
  launch().params.push_back(value(Kind::Integer, 8, kernel().syms->mul(size, integer(3))));
  launch().params.push_back(value(Kind::Real, 4, kernel().syms->real(1.5)));
  launch().params.push_back(value(Kind::Real, 8, kernel().syms->real(1.5)));
  LaunchParam scratch, none;
  scratch.kind = Kind::Scratch;
  none.kind = Kind::NoPointer;
  launch().params.push_back(scratch);
  launch().params.push_back(none);
  launch().scratch_bytes = 100;
  launch().scratch_alignment = 128;
  ASSERT_TRUE(call(on_device(arange(Dtype::F32, 64))));
  EXPECT_EQ(params()[2] & 0xffffffff, 64u);
  EXPECT_EQ(params()[3], 192u);
  EXPECT_EQ(static_cast<u32>(params()[4]), std::bit_cast<u32>(1.5f));
  EXPECT_EQ(params()[5], std::bit_cast<u64>(1.5));
  EXPECT_NE(params()[6], 0u);
  EXPECT_EQ(params()[6] % 128, 0u);
  EXPECT_EQ(params()[7], 0u);
}

TEST_F(LaunchTest, APersistentGridHasAsManyProgramsAsTheDeviceRuns) {
  fake_.multiprocessors = 10;
  launch().grid[0] = integer(1000);
  launch().programs_per_multiprocessor = 2;
  ASSERT_TRUE(call(on_device(arange(Dtype::F32, 64))));
  EXPECT_EQ(fake_.launches.back().config.grid[0], 20u);
  for (i64 reserved : {3, 20}) {
    launch().reserved_multiprocessors = reserved;
    executable_.reset();
    ASSERT_TRUE(call(on_device(arange(Dtype::F32, 64))));
    EXPECT_EQ(fake_.launches.back().config.grid[0], reserved == 3 ? 14u : 2u);
  }
}

TEST_F(LaunchTest, AnEmptyGridIsNotLaunched) {
  launch().grid[1] = integer(0);
  ASSERT_TRUE(call(on_device(arange(Dtype::F32, 64))));
  EXPECT_TRUE(fake_.launches.empty());
}

TEST_F(LaunchTest, AGridThatTheDeviceCannotCountIsAnError) {
  const Tensor x = on_device(arange(Dtype::F32, 64));
  auto code_of = [&](i64 columns, i64 rows, i64 planes) {
    launch().grid = {integer(columns), integer(rows), integer(planes)};
    executable_.reset();
    auto result = call(x);
    return result ? "" : result.error().code;
  };
  const i64 most = INT32_MAX, wraps_to_one = (i64{1} << 32) + 1;
  for (i64 many : {most + 1, wraps_to_one}) EXPECT_EQ(code_of(many, 1, 1), "grid-too-large");
  for (i64 many : {i64{65536}, wraps_to_one}) {
    EXPECT_EQ(code_of(1, many, 1), "grid-too-large");
    EXPECT_EQ(code_of(1, 1, many), "grid-too-large");
  }
  EXPECT_TRUE(fake_.launches.empty());
  EXPECT_EQ(code_of(most, 65535, 65535), "");
  launch().cluster = 2;
  EXPECT_EQ(code_of(most, 1, 1), "grid-too-large");
}

TEST_F(LaunchTest, DescribesTensorsToTheCopyEngine) {
  launch().params[0] = map_of(x_);
  Tensor x = on_device(arange(Dtype::F32, 64));
  ASSERT_TRUE(call(x));
  ASSERT_EQ(fake_.maps.size(), 1u);
  const FakeDriver::Map& seen = fake_.maps[0];
  EXPECT_EQ(seen.type, cuda::MapType::F32);
  EXPECT_THAT(seen.sizes, ElementsAre(64));
  EXPECT_THAT(seen.box, ElementsAre(32));
  EXPECT_EQ(seen.swizzle, 2);
  EXPECT_EQ(seen.address, x.data());
  EXPECT_EQ(params()[0], 1u);  // the descriptor itself, by value
}

TEST_F(LaunchTest, MapsHaveTheFastestDimensionFirst) {
  auto device = open();
  alignas(kTensorMapAlignment) std::byte map[kTensorMapBytes];
  const i64 sizes[] = {3, 4, 5}, strides[] = {40, 8, 1}, box[] = {1, 2, 4};
  ASSERT_TRUE(device->encode({.address = nullptr,
                              .dtype = Dtype::BF16,
                              .sizes = sizes,
                              .strides = strides,
                              .box = box,
                              .swizzle = 3},
                             map));
  EXPECT_EQ(fake_.maps[0].type, cuda::MapType::BF16);
  EXPECT_THAT(fake_.maps[0].sizes, ElementsAre(5, 4, 3));
  EXPECT_THAT(fake_.maps[0].strides, ElementsAre(16, 80));
  EXPECT_THAT(fake_.maps[0].box, ElementsAre(4, 2, 1));
}

TEST_F(LaunchTest, ArgumentsThatTheCodeRulesOutGetGeneralCode) {
  launch().params[0].alignment = 16;
  i64 made = 0;
  general_ = [&]() -> Expected<backends::Artifact> {
    ++made;
    backends::Artifact general = artifact_;
    general.launches[0].function = "general";
    general.launches[0].params[0].alignment = 4;
    return general;
  };
  Tensor x = on_device(arange(Dtype::F32, 65));
  x.sizes = {64};
  x.offset = 1;
  ASSERT_TRUE(call(x));
  ASSERT_TRUE(call(x));
  EXPECT_EQ(fake_.launches.back().function, "general");
  EXPECT_EQ(made, 1);
  x.offset = 0;
  ASSERT_TRUE(call(x));
  EXPECT_EQ(fake_.launches.back().function, "scale");
}

TEST_F(LaunchTest, ASizeThatNoCodeIsMadeForIsAnError) {
  launch().limits.push_back({kernel().tensors[x_].sizes[0], 63});
  general_ = [&]() -> Expected<backends::Artifact> { return artifact_; };
  auto result = call(on_device(arange(Dtype::F32, 64)));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "unsupported-size");
  EXPECT_TRUE(call(on_device(arange(Dtype::F32, 63))));
}

TEST_F(LaunchTest, TensorsOfTheHostAreRefused) {
  auto result = call(arange(Dtype::F32, 64));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "wrong-device");
}

// What the driver is asked for by `more`.
using Asked = std::map<std::string, i64>;
Asked asked_by(FakeDriver& fake, FunctionRef<void()> more) {
  Asked before = fake.calls, asked;
  more();
  for (const auto& [symbol, count] : fake.calls) {
    if (count != before[symbol]) asked[symbol] = count - before[symbol];
  }
  return asked;
}

TEST_F(LaunchTest, AFurtherCallAsksTheDriverForNothingButTheLaunch) {
  lower(kNoFill);
  Tensor x = on_device(arange(Dtype::F32, 64));
  ASSERT_TRUE(call(x));
  EXPECT_EQ(asked_by(fake_, [&] { ASSERT_TRUE(call(x)); }), (Asked{{"cuLaunchKernelEx", 1}}));
}

TEST_F(LaunchTest, AFurtherCallWithAFillAsksForThatToo) {
  Tensor x = on_device(arange(Dtype::F32, 64));
  ASSERT_TRUE(call(x));
  Asked asked = asked_by(fake_, [&] { ASSERT_TRUE(call(x)); });
  EXPECT_EQ(asked["cuMemsetD32Async"], 1);
  EXPECT_EQ(asked["cuLaunchKernelEx"], 1);
  EXPECT_EQ(asked["cuMemAlloc"], 0);
}

TEST_F(LaunchTest, DescribesATensorToTheCopyEngineOnce) {
  lower(kNoFill);
  launch().params[0] = map_of(x_);
  Tensor x = on_device(arange(Dtype::F32, 64)), y = on_device(arange(Dtype::F32, 64));
  ASSERT_TRUE(call(x));
  EXPECT_EQ(asked_by(fake_, [&] { ASSERT_TRUE(call(x)); }), (Asked{{"cuLaunchKernelEx", 1}}));
  EXPECT_EQ(params()[0], 1u);  // the descriptor that was made first
  ASSERT_TRUE(call(y));
  EXPECT_EQ(params()[0], 2u);
  EXPECT_EQ(fake_.maps.at(1).address, y.data());
  ASSERT_TRUE(call(x));
  EXPECT_EQ(params()[0], 1u);
}

TEST_F(LaunchTest, ADescriptorIsOfTheSizesOfTheCall) {
  launch().params[0] = map_of(x_);
  Tensor x = on_device(arange(Dtype::F32, 64));
  ASSERT_TRUE(call(x));
  x.sizes = {32};
  ASSERT_TRUE(call(x));
  ASSERT_EQ(fake_.maps.size(), 2u);
  EXPECT_THAT(fake_.maps[1].sizes, ElementsAre(32));
  EXPECT_EQ(params()[0], 2u);
}

TEST_F(LaunchTest, ADescriptorThatTheDriverRefusesIsAskedForAgain) {
  launch().params[0] = map_of(x_);
  Tensor x = on_device(arange(Dtype::F32, 64));
  fake_.fails["cuTensorMapEncodeTiled"] = cuda::kInvalidValue;
  EXPECT_FALSE(call(x));
  fake_.fails.clear();
  ASSERT_TRUE(call(x));
  EXPECT_EQ(params()[0], fake_.maps.size());
}

TEST_F(LaunchTest, TwoKernelsInTurnsKeepTheirParameters) {
  lower(kNoFill);
  Sym size = kernel().tensors[x_].sizes[0];
  launch().params.push_back(value(LaunchParam::Kind::Integer, 8, integer(7)));
  launch().params.push_back(value(LaunchParam::Kind::Integer, 8, size));
  Tensor x = on_device(arange(Dtype::F32, 64));
  ASSERT_TRUE(call(x));
  auto first = executable_;
  executable_ = nullptr;
  launch().params[2] = value(LaunchParam::Kind::Integer, 8, integer(9));
  ASSERT_TRUE(call(x));
  EXPECT_EQ(params()[2], 9u);
  Leaf leaves[] = {{&x, {}}, {nullptr, SymValue::of(2.5)}};
  ASSERT_TRUE(first->call(leaves));
  EXPECT_EQ(params()[2], 7u);
  EXPECT_EQ(params()[3], 64u);
  EXPECT_EQ(params()[0], reinterpret_cast<u64>(x.data()));
}

TEST_F(LaunchTest, AThreadWithoutTheContextLaunchesToo) {
  Tensor x = on_device(arange(Dtype::F32, 64));
  ASSERT_TRUE(call(x));
  std::thread([&] {
    ASSERT_TRUE(call(x));
    Tensor y = x;
    Asked asked = asked_by(fake_, [&] { ASSERT_TRUE(call(y)); });
    EXPECT_EQ(asked["cuLaunchKernelEx"], 1);  // it has the context from then on
  }).join();
  EXPECT_EQ(fake_.launches.size(), 3u);
}

TEST_F(LaunchTest, AnotherContextStaysTheThreads) {
  fake_.devices = 2;
  Tensor x = on_device(arange(Dtype::F32, 64));
  auto other = cuda::open(driver_, 1);
  ASSERT_TRUE(other);
  auto* second = cuda::fake::handle<cuda::Context>(&fake_.contexts[1]);
  ASSERT_EQ(FakeDriver::current_context(), second);
  ASSERT_TRUE(call(x));
  EXPECT_EQ(fake_.launches.size(), 1u);
  EXPECT_EQ(FakeDriver::current_context(), second);
}

TEST_F(LaunchTest, ALaunchThatFailsInItsOwnContextIsNotRepeated) {
  lower(kNoFill);
  Tensor x = on_device(arange(Dtype::F32, 64));
  ASSERT_TRUE(call(x));
  fake_.fails["cuLaunchKernelEx"] = cuda::kLaunchOutOfResources;
  Asked asked = asked_by(fake_, [&] { EXPECT_EQ(call(x).error().code, "launch-failed"); });
  EXPECT_EQ(asked["cuLaunchKernelEx"], 1);
}

}  // namespace
}  // namespace peri::runtime
