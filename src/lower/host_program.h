// The host program: what runs in C++ on every call of a specialised kernel. Sizes, allocations,
// views, checks, launches and the returned values; a linear list over tensor slots and host
// scalars.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "check/typed.h"
#include "types/sym.h"

namespace peri::lower {

// A tensor the program works on. Arguments come first-come from the leaves; allocations are made by
// their op; views share their base's storage.
struct Slot {
  std::string name;
  check::HostTensor::Kind kind = check::HostTensor::Kind::Argument;
  Dtype dtype = Dtype::F32;
  std::vector<Sym> sizes;
  std::vector<Sym> strides;
  i64 leaf = -1;  // Argument
  i64 base = -1;  // View: slot
  Sym offset;     // View: elements after the base's first
};

struct HostOp {
  enum class Kind : u8 { Alloc, Check, Launch, Copy };
  Kind kind;
  i64 slot = -1;     // Alloc, Copy (destination)
  i64 source = -1;   // Copy
  Sym fill;          // Alloc: value of every element, or none
  Sym condition;     // Check
  std::string code;  // Check: of the error if it fails
  std::string text;  // Check: its message
  i64 root = -1;     // Launch
  diag::Span span;
};

struct HostProgram {
  std::shared_ptr<SymTable> syms;
  std::vector<Slot> slots;
  std::vector<check::Guard> guards;
  std::vector<HostOp> ops;
  check::ReturnValue result;  // tensors are slots by the same index
  std::vector<check::Tunable> tunables;
  std::vector<std::string> leaf_names;
};

// The text of `--stage host`.
std::string print(const HostProgram& program);

}  // namespace peri::lower
