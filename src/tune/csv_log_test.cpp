#include "tune/csv_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace peri::tune {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

Trial good() {
  Trial trial;
  trial.config = {{"block_sizes", {64, 32}}};
  trial.origin = "random";
  trial.generation = 2;
  trial.at = 1.5;
  trial.compile_seconds = 0.02;
  trial.seconds = 1.25e-3, trial.low = 1.2e-3, trial.high = 1.3e-3;
  trial.samples = {1, 2, 3};
  return trial;
}

class CsvLogTest : public testing::Test {
 protected:
  CsvLogTest() { std::filesystem::remove(path_); }
  ~CsvLogTest() override { std::filesystem::remove(path_); }
  std::string text() const {
    std::stringstream all;
    all << std::ifstream(path_, std::ios::binary).rdbuf();
    return all.str();
  }
  std::string path_ = testing::TempDir() + "/peri_csv_log_test.csv";
};

TEST(CsvRow, HasAValueForEveryColumn) {
  EXPECT_EQ(csv_row(good(), 7),
            ",7,1.500,2,random,ok,0.00125,0.0012,0.0013,,0.02,3,,"
            "\"{\"\"block_sizes\"\":[64,32]}\"\r\n");
}

TEST(CsvRow, NamesTheShape) {
  EXPECT_THAT(csv_row(good(), 7, "m=16,n=4096"), StartsWith("\"m=16,n=4096\",7,1.500,2,random"));
}

TEST(CsvRow, QuotesWhatWouldBreakTheTable) {
  Trial trial = good();
  trial.status = Status::Crashed;
  trial.seconds = trial.low = trial.high = kFailed;
  trial.reason = "SIGSEGV, \"bad\"\nline";
  std::string row = csv_row(trial, 1);
  EXPECT_THAT(row, HasSubstr(",crashed,,,,,0.02,3,\"SIGSEGV, \"\"bad\"\"\nline\","));
}

TEST_F(CsvLogTest, ARowIsInTheFileAtOnce) {
  auto log = CsvLog::open(path_);
  ASSERT_TRUE(log);
  log->add(good(), 0);
  EXPECT_EQ(text(), csv_header() + csv_row(good(), 0));
  EXPECT_EQ(log->lost(), 0);
}

TEST_F(CsvLogTest, ALaterRunAppends) {
  {
    CsvLog::open(path_)->add(good(), 0);
  }
  std::ofstream(path_, std::ios::app | std::ios::binary) << "1,0.2,";  // killed while writing
  {
    CsvLog::open(path_)->add(good(), 1);
  }
  EXPECT_THAT(text(), StartsWith(csv_header() + csv_row(good(), 0) + "1,0.2,\r\n,1,1.5"));
}

TEST_F(CsvLogTest, AFileOfAnotherKindIsLeftAlone) {
  std::ofstream(path_) << "precious";
  auto log = CsvLog::open(path_);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, "csv-header");
  EXPECT_EQ(text(), "precious");
}

TEST_F(CsvLogTest, RowsThatAFullDiskDoesNotTakeAreCounted) {
  auto log = CsvLog::open("/dev/full");
  ASSERT_TRUE(log) << log.error().message;
  for (i64 number : {0, 1}) log->add(good(), number);
  EXPECT_EQ(log->lost(), 2);
  EXPECT_EQ(log->trouble(), "No space left on device");
}

TEST_F(CsvLogTest, AFolderThatIsNotThereIsAnError) {
  auto log = CsvLog::open("/nowhere/at/all.csv");
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code, "file-write");
}

}  // namespace
}  // namespace peri::tune
