// Kernels called from C++ on a device: a fake driver, and a shell for the compiler.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "driver/fake_device_test.h"
#include "driver/record_files.h"
#include "peri/kernel.h"
#include "runtime/cache.h"

namespace peri {
namespace {

constexpr i64 kSize = driver::kFakeElements;
constexpr const char* kText = R"(import torch
import helion
import helion.language as hl

@helion.kernel()
def twice(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size()):
        out[tile] = x[tile] * 2
    return out
)";
// The same for any number of elements, with two configs to choose from.
constexpr const char* kDynamicText = R"(import torch
import helion
import helion.language as hl

@helion.kernel(static_shapes=False,
               configs=[helion.Config(block_sizes=[16]), helion.Config(block_sizes=[256])])
def twice(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    for tile in hl.tile(x.size()):
        out[tile] = x[tile] * 2
    return out
)";
class KernelOnDevice : public testing::Test {
 protected:
  static cuda::FakeDriver& fake() { return driver::fake_driver(); }
  Kernel load() {
    auto kernel =
        Kernel::from_text(kText, "twice", {.device = "cuda", .cache_dir = machine_.cache()});
    EXPECT_TRUE(kernel) << kernel.error().message;
    return *kernel;
  }

  driver::FakeMachine machine_;
};

TEST_F(KernelOnDevice, TakesAndReturnsTensorsThere) {
  cuda::FakeDriver& driver = fake();
  const std::size_t before = driver.launches.size();
  auto there = to_device(arange(Dtype::F32, kSize), "cuda");
  ASSERT_TRUE(there) << there.error().message;
  auto result = load()(*there);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->tensor.storage.device, there->storage.device);
  EXPECT_EQ(driver.launches.size(), before + 1);
  auto here = to_host(result->tensor);
  ASSERT_TRUE(here);
  EXPECT_EQ(get_real(*here, 5), 10);
  EXPECT_EQ(get_real(*here, kSize - 1), 2 * (kSize - 1));
}

TEST_F(KernelOnDevice, CallsItAgainWithoutACompiler) {
  auto there = to_device(arange(Dtype::F32, kSize), "cuda");
  ASSERT_TRUE(load()(*there));
  setenv("PERI_PYTHON", "/nowhere/python3", 1);
  auto again = load()(*there);
  EXPECT_TRUE(again) << again.error().message;
}

TEST_F(KernelOnDevice, RefusesTensorsThatAreElsewhere) {
  auto result = load()(arange(Dtype::F32, kSize));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, "wrong-device");
}

TEST_F(KernelOnDevice, RefusesDevicesThatAreNotThere) {
  Tensor x = arange(Dtype::F32, kSize);
  EXPECT_EQ(to_device(x, "cpu").error().code, "unknown-device");
  EXPECT_EQ(to_device(x, "cpu").error().hint, "`cuda` is one, and `cuda:1` the second of them");
  EXPECT_EQ(to_device(x, "cuda:sm_90").error().code, "unknown-device");
  EXPECT_EQ(to_device(x, "cuda:7").error().code, "no-device");
}

TEST_F(KernelOnDevice, TakesMemoryThatAnotherLibraryOwns) {
  auto owned = to_device(arange(Dtype::F32, kSize), "cuda");
  ASSERT_TRUE(owned);
  const std::size_t held = fake().allocated;
  {
    auto view = from_device_pointer(owned->data(), Dtype::F32, {kSize}, {}, "cuda");
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_EQ(view->storage.bytes, 4 * kSize);
    auto result = load()(*view);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_TRUE(synchronize("cuda"));
    EXPECT_EQ(get_real(*to_host(result->tensor), 5), 10);
    EXPECT_EQ(get_real(*to_host(*view), 5), 5);
  }
  EXPECT_GE(fake().allocated, held);  // the view frees nothing
  EXPECT_EQ(get_real(*to_host(*owned), 5), 5);
}

TEST_F(KernelOnDevice, RefusesViewsThatAreNone) {
  float one = 0;
  EXPECT_EQ(from_device_pointer(&one, Dtype::F32, {1}, {1, 1}, "cuda").error().code,
            "bad-argument");
  EXPECT_EQ(from_device_pointer(&one, Dtype::F32, {-1}, {}, "cuda").error().code, "tensor-size");
  EXPECT_EQ(from_device_pointer(&one, Dtype::F32, {1}, {}, "cpu").error().code, "unknown-device");
}

TEST_F(KernelOnDevice, TunesInThisProcess) {
  auto there = to_device(arange(Dtype::F32, kSize), "cuda");
  ASSERT_TRUE(there);
  Kernel kernel = load();
  auto tuned = kernel.tune(std::vector<Arg>{*there}, 0.5);
  ASSERT_TRUE(tuned) << tuned.error().message;
  EXPECT_GT(tuned->seconds, 0);
  EXPECT_EQ(*kernel.config(std::vector<Arg>{*there}), tuned->config);
  auto result = kernel(*there);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(get_real(*to_host(result->tensor), 5), 10);
  EXPECT_EQ(get_real(*to_host(*there), 5), 5);  // as it was
}

// A device that is fastest with few programs while it is tuned for one size, and with many for the
// other.
TEST_F(KernelOnDevice, KeepsTheConfigsOfAllShapesItWasTunedFor) {
  i64 elements = 0;
  auto tensor = [&](i64 size) { return *to_device(arange(Dtype::F32, elements = size), "cuda"); };
  fake().kernels["twice"] = [&](const cuda::LaunchConfig& config, void** params) {
    const float* x = *static_cast<float**>(params[1]);  // after the size
    float* out = *static_cast<float**>(params[2]);
    for (i64 i = 0; i < elements; ++i) out[i] = 2 * x[i];
    const double programs = static_cast<double>(config.grid[0]);
    fake().spend(elements == 4096 ? 1e-6 * programs : 1e-3 / programs, "twice");
  };
  auto kernel = Kernel::from_text(kDynamicText, "twice", {.device = "cuda", .use_cache = false});
  ASSERT_TRUE(kernel) << kernel.error().message;
  const Tensor few = tensor(4096);
  ASSERT_TRUE(kernel->tune(std::vector<Arg>{few}, 0.5));
  ASSERT_TRUE((*kernel)(few));
  const unsigned programs = fake().launches.back().config.grid[0];
  const Tensor many = tensor(65536);
  auto tuned = kernel->tune(std::vector<Arg>{many}, 0.5);
  ASSERT_TRUE(tuned) << tuned.error().message;
  ASSERT_TRUE((*kernel)(many));
  EXPECT_GT(fake().launches.back().config.grid[0], programs);
  EXPECT_EQ(*kernel->config(std::vector<Arg>{many}), tuned->config);
  EXPECT_NE(*kernel->config(std::vector<Arg>{few}), tuned->config);
  elements = 4096;
  ASSERT_TRUE((*kernel)(few));
  EXPECT_EQ(fake().launches.back().config.grid[0], programs);
  fake().kernels["twice"] = driver::run_twice;
}

TEST_F(KernelOnDevice, ExportedCodeRunsWhereThereIsNoCompiler) {
  auto there = to_device(arange(Dtype::F32, kSize), "cuda");
  ASSERT_TRUE(there);
  const std::vector<Arg> args{*there};
  ASSERT_TRUE(load().tune(args, 0.3));
  driver::Settings here, elsewhere;
  here.cache_dir = machine_.cache();
  elsewhere.cache_dir = machine_.cache() + "-elsewhere";
  driver::TunedStore store(here, {}), other(elsewhere, {});
  ASSERT_EQ(store.entries().size(), 1u);
  const std::string hash = store.entries()[0].entry.record;
  auto record = store.record_of(store.entries()[0].entry);
  ASSERT_TRUE(record);
  auto code = driver::code_of(store.cache(), hash);
  ASSERT_EQ(code.size(), 1u);

  const std::string file = machine_.cache() + "/exported.json";
  std::ofstream(file) << driver::print_records({&*record, 1}, code);
  std::vector<driver::RecordedCode> read;
  auto records = driver::read_records(file, &read);
  ASSERT_TRUE(records) << records.error().message;
  ASSERT_TRUE(driver::keep_code(other.cache(), read));
  ASSERT_TRUE(other.put(records->at(0)));
  EXPECT_EQ(driver::code_of(other.cache(), hash).size(), 1u);  // to be exported again

  setenv("PERI_PYTHON", "/nowhere/python3", 1);
  auto kernel =
      Kernel::from_text(kText, "twice", {.device = "cuda", .cache_dir = elsewhere.cache_dir});
  ASSERT_TRUE(kernel);
  auto result = (*kernel)(*there);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(get_real(*to_host(result->tensor), 5), 10);
}

TEST_F(KernelOnDevice, CodeInAFileIsLookedAt) {
  const std::string file = machine_.compiler() + ".json";
  for (const char* code : {R"({"record": "r", "key": "code-1", "hex": "0g"})",
                           R"({"record": "r", "key": "code-1", "hex": "012"})",
                           R"({"record": "r", "key": "tuned-1", "hex": "00"})",
                           R"({"record": "r", "key": "code-/../x", "hex": "00"})",
                           R"({"key": "code-1", "hex": "00"})", "7"}) {
    std::ofstream(file) << R"({"schema": 1, "records": [], "code": [)" << code << "]}";
    auto records = driver::read_records(file);
    ASSERT_FALSE(records) << code;
    EXPECT_EQ(records.error().code, "bad-record");
  }
}

i64 count_entries(const std::string& cache, const std::string& prefix) {
  const auto listing = runtime::Cache({cache, "", ""}).list();
  return std::ranges::count_if(listing.entries,
                               [&](const auto& item) { return item.key.starts_with(prefix); });
}

// What was found before that is kept, and so is the culprit's name.
TEST_F(KernelOnDevice, ADeviceThatStopsWorkingEndsTuning) {
  auto there = to_device(arange(Dtype::F32, kSize), "cuda");
  ASSERT_TRUE(there);
  Kernel kernel = load();
  ASSERT_TRUE(kernel(*there));
  auto error_after = [&](i64 last, cuda::Status status) {
    i64 calls = 0;
    fake().kernels["twice"] = [&](const cuda::LaunchConfig& config, void** params) {
      driver::run_twice(config, params);
      if (++calls == last) fake().sticky = status;
    };
    auto tuned = kernel.tune(std::vector<Arg>{*there}, 0.5);
    fake().sticky = cuda::kSuccess;
    fake().kernels["twice"] = driver::run_twice;
    EXPECT_FALSE(tuned);
    return tuned ? Error{} : tuned.error();
  };
  // While the default is timed, and later: by no fault of the candidate's, and by one.
  EXPECT_EQ(error_after(40, cuda::kIllegalAddress).code, "device-fault");
  EXPECT_EQ(count_entries(machine_.cache(), "tuned-"), 0);
  const Error lost = error_after(20000, cuda::kUnknown);
  EXPECT_EQ(lost.code, "device-lost");
  EXPECT_THAT(lost.hint, testing::HasSubstr("Xid"));
  EXPECT_EQ(count_entries(machine_.cache(), "tuned-"), 1);
  EXPECT_EQ(count_entries(machine_.cache(), "quarantine-"), 0);
  const Error fault = error_after(20000, cuda::kIllegalAddress);
  EXPECT_EQ(fault.code, "device-fault");
  EXPECT_THAT(fault.message, testing::HasSubstr("a candidate broke the device"));
  EXPECT_EQ(count_entries(machine_.cache(), "quarantine-"), 1);
}

}  // namespace
}  // namespace peri
