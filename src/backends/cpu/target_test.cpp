#include "backends/cpu/target.h"

#include <gtest/gtest.h>

namespace peri::cpu {
namespace {

TEST(Target, KnowsEveryLevel) {
  for (const std::string& level : target_levels()) {
    auto target = target_for(level);
    ASSERT_TRUE(target) << level;
    EXPECT_EQ(target->level, level);
    EXPECT_GE(target->lanes(4), 4);
    EXPECT_GT(target->l1d, 0);
    EXPECT_GT(target->l2, target->l1d);
  }
  EXPECT_TRUE(target_for("host")->is_host_runnable);
}

TEST(Target, LevelsHaveTheirVectorWidth) {
  EXPECT_EQ(target_for("x86-64-v2")->vector_bytes, 16);
  EXPECT_EQ(target_for("x86-64-v3")->vector_bytes, 32);
  EXPECT_EQ(target_for("x86-64-v4")->lanes(4), 16);
  EXPECT_EQ(target_for("aarch64")->lanes(8), 2);
  EXPECT_FALSE(target_for("x86-64-v2")->has_fma);
  EXPECT_TRUE(target_for("aarch64")->has_fma);
}

TEST(Target, AnUnknownLevelListsTheKnownOnes) {
  auto target = target_for("pentium");
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().code, "unknown-cpu-level");
  EXPECT_NE(target.error().hint.find("x86-64-v3"), std::string::npos);
}

}  // namespace
}  // namespace peri::cpu
