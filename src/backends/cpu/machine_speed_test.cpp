#include "backends/cpu/machine_speed.h"

#include <gtest/gtest.h>

namespace peri::cpu {
namespace {

// Wide bounds: what any machine of the last ten years and the next ones does, however busy.
TEST(MachineSpeed, IsThatOfAComputer) {
  for (double working_set : {double{128 << 10}, double{64 << 20}}) {
    auto speed = measure_speed(*target_for("host"), 1, working_set);
    ASSERT_TRUE(speed) << speed.error().message;
    EXPECT_GT(speed->bytes_per_second, 1e8);
    EXPECT_LT(speed->bytes_per_second, 2e12);
    EXPECT_GT(speed->flops_per_second, 1e8);
    EXPECT_LT(speed->flops_per_second, 2e12);
  }
}

}  // namespace
}  // namespace peri::cpu
