// One run of a command: what it reads, and what it prints as text or as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "diag/diag.h"
#include "driver/arguments.h"
#include "driver/compile.h"
#include "options.h"
#include "status.h"

namespace peri::cli {

class Session {
 public:
  explicit Session(const Options& options);

  const Options& options() const { return options_; }
  diag::Diags& diags() { return diags_; }
  driver::Compilation& compilation() { return compilation_; }
  const driver::Arguments& arguments() const { return arguments_; }

  // Reads arguments and config from the command line into the compilation's request. There may be
  // one --shape.
  Expected<void> prepare();
  // The arguments under --shape number `shape`, after prepare(); without any, their sizes are
  // numbers.
  Expected<driver::Arguments> arguments_for(i64 shape);

  // Text is printed at once unless JSON is asked for; JSON results are kept for the end.
  void text(const std::string& line) const;
  nlohmann::ordered_json& json() { return json_; }

  // Prints what is left (diagnostics, the error, JSON) and gives the exit status.
  int finish(const Expected<void>& done, Status status = kDone);

 private:
  Expected<void> check_shapes() const;
  Expected<void> read_config();
  Status status_of(const Error& error) const;

  Options options_;
  diag::Sources sources_;
  diag::Diags diags_{sources_};
  driver::Compilation compilation_{diags_};
  driver::Arguments arguments_;
  nlohmann::ordered_json json_ = nlohmann::ordered_json::object();
};

}  // namespace peri::cli
