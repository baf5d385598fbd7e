// Guarded allocations in a device's memory, on a fake driver.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/cuda/device.h"
#include "runtime/cuda/fake_driver.h"
#include "runtime/guard.h"
#include "runtime/random.h"

namespace peri::runtime {
namespace {

using testing::HasSubstr;

class DeviceGuard : public testing::Test {
 protected:
  DeviceGuard() : driver_(fake_.table()), device_(*cuda::open(driver_, 0)) {}

  Storage allocate(i64 bytes) {
    auto storage = allocate_on(*device_, bytes);
    EXPECT_TRUE(storage);
    return *storage;
  }
  // One byte, as queued work would write it.
  void write(std::byte* at) {
    const std::byte one{1};
    EXPECT_TRUE(device_->fill(at, 1, {&one, 1}));
  }
  static std::string violation() {
    auto intact = GuardedAllocations::verify();
    return intact ? "" : intact.error().code + ": " + intact.error().message;
  }

  cuda::FakeDriver fake_;
  cuda::Driver driver_;
  std::shared_ptr<Device> device_;
};

TEST_F(DeviceGuard, BlocksArePoisonedAlignedAndUsable) {
  GuardedAllocations guard;
  Storage block = allocate(100);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data) % 256, 0u);
  EXPECT_EQ(block.device, device_.get());
  std::byte bytes[100];
  ASSERT_TRUE(device_->copy_out(bytes, block.data, 100));
  for (std::byte b : bytes) EXPECT_EQ(b, GuardedAllocations::kPoison);
  write(block.data);
  write(block.data + 99);
  EXPECT_EQ(violation(), "");
}

TEST_F(DeviceGuard, AWriteOnEitherSideIsToldOnce) {
  GuardedAllocations guard;
  Storage block = allocate(100);
  write(block.data + 100);
  EXPECT_THAT(violation(), HasSubstr("out-of-bounds-write: wrote 1 bytes past the end"));
  EXPECT_EQ(violation(), "");
  write(block.data - 4);
  EXPECT_THAT(violation(), HasSubstr("wrote 4 bytes before a tensor of 100 bytes"));
  EXPECT_EQ(violation(), "");
}

TEST_F(DeviceGuard, ABlockThatWasFreedIsLookedAtAsWell) {
  GuardedAllocations guard;
  Storage block = allocate(100);
  std::byte* data = block.data;
  block = {};
  write(data + 101);  // queued work comes late
  EXPECT_THAT(violation(), HasSubstr("wrote 2 bytes past the end"));
}

TEST_F(DeviceGuard, CopiesOfTensorsAreGuardedToo) {
  GuardedAllocations guard;
  auto there = to_device(arange(Dtype::F32, 8), *device_);
  ASSERT_TRUE(there);
  write(there->data() + 32);
  EXPECT_THAT(violation(), HasSubstr("past the end of a tensor of 32 bytes"));
  EXPECT_EQ(get_real(*to_host(*there), 7), 7);
}

TEST_F(DeviceGuard, MemoryIsGivenBack) {
  {
    GuardedAllocations guard;
    allocate(1 << 20);
    EXPECT_EQ(violation(), "");
  }
  i64 asked = fake_.calls["cuMemAlloc"];
  {
    GuardedAllocations guard;
    allocate(1 << 20);
    EXPECT_EQ(violation(), "");
  }
  EXPECT_EQ(fake_.calls["cuMemAlloc"], asked);
}

TEST_F(DeviceGuard, ADeviceThatFailsIsItsOwnError) {
  GuardedAllocations guard;
  Storage block = allocate(100);
  fake_.sticky = cuda::kIllegalAddress;
  EXPECT_THAT(violation(), HasSubstr("device-fault"));
  fake_.sticky = cuda::kSuccess;
}

TEST_F(DeviceGuard, WithoutAGuardBlocksArePlain) {
  Storage block = allocate(100);
  EXPECT_EQ(fake_.calls["cuMemsetD8Async"], 0);
  write(block.data + 100);
  EXPECT_EQ(violation(), "");
}

}  // namespace
}  // namespace peri::runtime
