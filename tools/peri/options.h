// The command line of `peri`, parsed.
#pragma once

#include <string>
#include <vector>

#include "driver/settings.h"

namespace peri::cli {

struct Options {
  std::string command;                 // "list", "run", "tune", "explain", "emit", "cache", ...
  std::string target;                  // FILE.py or FILE.py:KERNEL
  std::vector<std::string> arguments;  // NAME=SPEC
  std::vector<std::string> shapes;     // NAME=SIZE,...: values of the names in SPECs
  std::string config;                  // JSON, helion.Config(...) or @file; "": none
  std::string stage;
  std::string eject_target;
  std::string out;                 // folder; "": none
  std::string report;              // HTML file; "": none
  std::string log;                 // of tune: CSV file; "": none
  std::string action;              // of `cache`: "ls", "show", ...
  std::vector<std::string> files;  // of records: `cache import`, `cache merge`
  std::string from;                // records to start from; "": the cache's
  double verify_budget = 0;        // seconds for a record; 0: by its times
  i64 older_days = -1, max_bytes = -1;
  bool dry_run = false;
  bool all = false;
  bool check = false;
  bool time = false;
  bool json = false;
  driver::Settings settings;

  // The parts of `target`.
  std::string file() const;
  std::string kernel() const;  // "": not given
};

// What parsing says: options, or an exit status after help or a usage error has been printed.
struct Parsed {
  Options options;
  bool run = false;
  int status = 0;
};
Parsed parse_command_line(int argc, char** argv);

}  // namespace peri::cli
