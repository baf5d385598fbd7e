// Where ways through device code meet: variables that a loop carries, and branches that join.
#pragma once

#include "check/checker.h"

namespace peri::check {

// Compares the variables before a loop with those after one run of its body. Host values that
// change become device variables, so that a further pass over the body finds the types that hold
// for every iteration.
class Carried {
 public:
  Carried(Checker& c, const std::map<std::string, Value>& before,
          const std::map<std::string, Value>& after, const LoopScope& scope,
          std::map<std::string, Value>& host_values)
      : c_(c), before_(before), after_(after), scope_(scope), host_values_(host_values) {}

  void compare();
  bool needs_pass() const { return !rebind_.empty() || !dropped_.empty(); }
  void apply();   // in the state before the loop
  void report();  // what no pass can bring together

 private:
  std::optional<Value> join(const std::string& name, const Value& before, const Value& after,
                            bool& changed);
  std::optional<Value> join_arrays(const std::string& name, const Value& before, const Value& after,
                                   bool& changed);
  std::optional<Value> promote(const std::string& name, const Value& scalar, const Value& after);
  Value build(const std::string& name, Value v);

  Checker& c_;
  const std::map<std::string, Value>& before_;
  const std::map<std::string, Value>& after_;
  const LoopScope& scope_;
  std::map<std::string, Value>& host_values_;  // what promoted variables were on the host
  std::map<std::string, Value> rebind_;
  std::map<std::string, std::pair<TileType, bool>> types_;  // of host scalars to promote; weak
  std::vector<std::string> dropped_;
  std::vector<std::string> mismatched_;
};

bool same_value(const Value& a, const Value& b);
bool same_type(Checker& c, const TileType& a, const TileType& b);
// The device dtype of a host scalar that becomes a variable.
Dtype variable_dtype(SymType type);

}  // namespace peri::check
