// A table of a tuning run while it runs: one row for each config, as soon as it is known.
//
//   auto log = CsvLog::open("tune.csv");
//   log->add(trial, number, "m=16,n=4096");   // written through to the file before it returns
//
// Quoted as RFC 4180 says, lines end in CR LF. A new file starts with a header; rows are appended
// to an existing one, which must have the same header. Columns:
//
//   shape            that is tuned for, as --shape gives it; empty if it does not
//   number           of the config in the shape's run, 0 is the default
//   at_s             seconds since the run began
//   generation       of the search
//   origin           how the config was found: default, random, neighbour, ...
//   status           ok, compile-error, wrong-result, crashed, too-slow, hung, skipped
//   seconds          of a call; empty after a failure
//   low_s, high_s    its confidence interval
//   predicted_s      by the cost model; empty where it says nothing
//   compile_s        seconds of compilation
//   samples          number of timed calls
//   reason           of a failure
//   config           as JSON
#pragma once

#include <memory>
#include <string>

#include "base/expected.h"
#include "tune/record.h"

namespace peri::tune {

// With their line ends.
std::string csv_header();
std::string csv_row(const Trial& trial, i64 number, const std::string& shape = "");

class CsvLog {
 public:
  // Fails with `file-write` if the file cannot be written, `csv-header` if it is another table. A
  // disk that is full is no failure: then rows are lost.
  static Expected<CsvLog> open(const std::string& path);

  // Once a row could not be written, none is any more: a full disk must not end a search.
  void add(const Trial& trial, i64 number, const std::string& shape = "");

  i64 lost() const { return lost_; }  // rows
  // Why: "No space left on device".
  std::string trouble() const;

 private:
  struct Close {
    void operator()(const int* fd) const;
  };
  explicit CsvLog(int fd) : fd_(new int(fd)) {}
  std::unique_ptr<int, Close> fd_;
  int error_ = 0;  // of the system
  i64 lost_ = 0;
};

}  // namespace peri::tune
