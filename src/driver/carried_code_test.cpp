#include "driver/carried_code.h"

#include <gtest/gtest.h>

namespace peri::driver {
namespace {

const std::string kBytes("\0\xff{\"a\"\n", 7);

TEST(CarriedCode, HoldsWhatACompileMadeOrFound) {
  CodeCollector first(nullptr);
  EXPECT_FALSE(first.get("code-1"));
  first.put("code-1", kBytes);
  CarriedCode carried(first.text());
  CodeCollector second(&carried);
  EXPECT_EQ(second.get("code-1"), kBytes);
  EXPECT_FALSE(second.get("code-2"));
  second.put("code-3", "");
  CarriedCode again(second.text());
  EXPECT_EQ(again.get("code-1"), kBytes);
  EXPECT_EQ(again.get("code-3"), "");
  EXPECT_FALSE(again.get("code-2"));
}

TEST(CarriedCode, PutsWhatIsMadeIntoTheStoreBehind) {
  CodeCollector behind(nullptr);
  CodeCollector(&behind).put("code-1", kBytes);
  EXPECT_EQ(CarriedCode(behind.text()).get("code-1"), kBytes);
}

}  // namespace
}  // namespace peri::driver
