#include "base/hash.h"

#include <gtest/gtest.h>

namespace peri {
namespace {

TEST(Hash, NamesAreXxh3OfTheText) {
  EXPECT_EQ(hash_hex(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_text(""), 0x2d06800538d394c2U);
  EXPECT_EQ(hash_hex("a").size(), 32U);
  EXPECT_NE(hash_hex("a"), hash_hex("b"));
  EXPECT_EQ(hash_text("abc"), hash_bytes(std::as_bytes(std::span("abc", 3))));
}

TEST(Hash, CombinationDependsOnOrder) {
  EXPECT_NE(hash_combine(hash_combine(0, 1), 2), hash_combine(hash_combine(0, 2), 1));
  EXPECT_NE(hash_combine(0, 0), 0U);
}

}  // namespace
}  // namespace peri
