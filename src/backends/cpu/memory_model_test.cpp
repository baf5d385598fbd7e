#include "backends/cpu/memory_model.h"

#include <gtest/gtest.h>

namespace peri::cpu {
namespace {

constexpr double kKiB = 1024;
const analysis::AxisId kRows(0), kColumns(1);

MemoryModel model() { return MemoryModel({32 * kKiB, 1024 * kKiB, 16384 * kKiB}); }

// One element of a row-major f32 matrix.
Stream matrix(double rows, double columns, i64 array = 0) {
  Stream stream;
  stream.array = array;
  stream.add_dim({kRows, {}, 1, rows, columns * 4, false});
  stream.add_dim({kColumns, {}, 1, columns, 4, false});
  MemoryModel::touch(stream);
  return stream;
}

TEST(MemoryModel, ALoopOverARowBringsItsLinesOnce) {
  Streams streams{matrix(64, 1024)};
  model().repeat(streams, kColumns, {}, 1024);
  EXPECT_DOUBLE_EQ(streams[0].traffic[0], 4096);
}

TEST(MemoryModel, ColumnsByColumnBringLinesOnceWhileTheyFit) {
  Streams few{matrix(256, 1000)}, many{matrix(4096, 1000)};
  for (auto [streams, rows] : {std::pair(&few, 256.0), std::pair(&many, 4096.0)}) {
    model().repeat(*streams, kRows, {}, rows);
    model().repeat(*streams, kColumns, {}, 16);
  }
  EXPECT_DOUBLE_EQ(few[0].traffic[0], 256 * 64);
  EXPECT_DOUBLE_EQ(many[0].traffic[0], 4096 * 64 * 16) << "64 lines a row too many for L1";
  EXPECT_DOUBLE_EQ(many[0].traffic[1], 4096 * 64);
}

TEST(MemoryModel, RowsAPowerOfTwoApartShareSets) {
  Streams streams{matrix(64, 1024)};
  model().repeat(streams, kRows, {}, 64);
  model().repeat(streams, kColumns, {}, 16);
  EXPECT_DOUBLE_EQ(streams[0].traffic[0], 64 * 64 * 16);
}

TEST(MemoryModel, LoneLinesOnAPageEachCostMoreBeyondL2) {
  Streams lines{matrix(256, 4096)}, rows{matrix(256, 4096)};
  model().repeat(lines, kColumns, {}, 16);
  model().repeat(lines, kRows, {}, 256);
  EXPECT_DOUBLE_EQ(lines[0].traffic[1], 9.0 * 256 * 64);
  EXPECT_DOUBLE_EQ(lines[0].traffic[0], 256.0 * 64);
  model().repeat(rows, kColumns, {}, 4096);
  model().repeat(rows, kRows, {}, 256);
  EXPECT_LT(rows[0].traffic[1], 1.1 * 256 * 4 * 4096);
}

TEST(MemoryModel, ASecondPassFindsARowThatFits) {
  for (double columns : {1024.0, 65536.0}) {
    Streams first{matrix(8, columns)}, second{matrix(8, columns)};
    model().repeat(first, kColumns, {}, columns);
    model().repeat(second, kColumns, {}, columns);
    Streams both{first[0], second[0]};
    model().join(both);
    double all = 0, beyond_l2 = 0;
    for (const Stream& stream : both) all += stream.traffic[0], beyond_l2 += stream.traffic[1];
    EXPECT_DOUBLE_EQ(all, columns > 8192 ? 2 * 4 * columns : 4 * columns);
    EXPECT_DOUBLE_EQ(beyond_l2, 4 * columns);
  }
}

TEST(MemoryModel, WhatALoopDoesNotMoveStays) {
  Streams streams{matrix(4096, 1024, 0), matrix(1, 1024, 1)};
  streams[1].dims[0].axis = {};
  model().repeat(streams, kColumns, {}, 1024);
  model().repeat(streams, kRows, {}, 4096);
  EXPECT_DOUBLE_EQ(streams[0].traffic[0], 4096.0 * 4096);
  EXPECT_DOUBLE_EQ(streams[1].traffic[0], 4096);
}

TEST(MemoryModel, StoresReadTheirLinesUnlessTheyGoAroundTheCaches) {
  Stream store = matrix(64, 1024);
  store.store = true;
  MemoryModel::touch(store);
  Stream around = store;
  around.streaming = true;
  MemoryModel::touch(around);
  Streams streams{store, around};
  model().repeat(streams, kColumns, {}, 1024);
  EXPECT_DOUBLE_EQ(streams[0].traffic[2], 2 * 4096);
  EXPECT_DOUBLE_EQ(streams[1].traffic[2], 4096);
  EXPECT_EQ(streams[1].traffic[0], 0);
}

TEST(MemoryModel, PrivateCachesCountForEachCore) {
  Streams streams{matrix(512, 1024)};
  model().repeat(streams, kColumns, {}, 1024);
  model().repeat(streams, kRows, {}, 512);
  EXPECT_EQ(model().fitting(streams, 1), (std::array{false, false, true}));
  EXPECT_EQ(model().fitting(streams, 2), (std::array{false, true, true}));
}

}  // namespace
}  // namespace peri::cpu
