#include "tune/shape_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace peri::tune {
namespace {

using testing::ElementsAre;

TEST(ShapeChoice, TakesTheBestOfEachShape) {
  EXPECT_THAT(choose_configs({{{1, 2}, {true, false}}, {{3, 2}, {false, true}}}),
              ElementsAre(0, 1));
}

TEST(ShapeChoice, SharesWithinTheNoise) {
  // Config 1 ties at the first two shapes, and nowhere else.
  EXPECT_THAT(choose_configs({{{1.00, 1.01, 9}, {true, true, false}},
                              {{1.50, 1.00, 9}, {false, true, false}},
                              {{1.50, 1.50, 1}, {false, false, true}}}),
              ElementsAre(1, 1, 2));
}

TEST(ShapeChoice, OfTwoThatServeAsManyTheEarlierIsTaken) {
  EXPECT_THAT(choose_configs({{{1.01, 1.00}, {true, true}}, {{1.00, 1.01}, {true, true}}}),
              ElementsAre(0, 0));
}

TEST(ShapeChoice, WhatCannotBeUsedIsNotChosen) {
  EXPECT_THAT(choose_configs({{{HUGE_VAL, 1}, {true, false}}, {{1, 2}, {true, false}}}),
              ElementsAre(1, 0));
}

}  // namespace
}  // namespace peri::tune
