// Argument values of a call, and the text form in which the command line gives them.
//
//   randn[1024,512]:bf16   rand[8]   randint[8]=0:10   arange[8]   zeros[2,2]   full[4]=1.5:f64
//   @x.npy   @x.npy:bf16   3   -1.5   true   none   "text"   torch.float16   [1, 2]   (1, 2)
//   lambda acc, tile: torch.relu(acc)
//
// Sizes, and the numbers after `=`, may be names that the caller gives values: randn[m,n].
// Tensors may end in `.t()` (last two dimensions exchanged) or `.strided(4096, 2)`.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/expected.h"
#include "check/check.h"
#include "diag/diag.h"
#include "runtime/executor.h"
#include "runtime/tensor.h"

namespace peri::driver {

struct Argument {
  check::ArgSpec spec;               // of a list: kind only; see spec_of
  runtime::Tensor tensor;            // Tensor
  std::vector<Argument> items;       // List, Tuple
  std::shared_ptr<syntax::Ast> ast;  // Lambda; spec.ast points to it
  std::string text;  // the SPEC that it was made from, with names replaced; "": none was
  std::vector<std::string> size_names;  // Tensor: of dimensions whose size is a name; else ""
};
using Arguments = std::map<std::string, Argument>;

// Values of the names in SPECs, and which of them were used.
struct SizeNames {
  std::map<std::string, i64> values;
  std::set<std::string> used{};
};

Argument tensor_argument(runtime::Tensor tensor);
Argument scalar_argument(SymValue value);

// Parses SPEC. `seed` fixes random contents; different names get different ones. Fails with
// `bad-argument` (text that is no SPEC), `missing-size` (a name without a value) and the codes of
// files and tensors.
Expected<Argument> parse_argument(const std::string& name, const std::string& spec, i64 seed,
                                  diag::Diags& diags, SizeNames* names = nullptr);

std::map<std::string, check::ArgSpec> specs_of(const Arguments& arguments);

// The leaves of a call in the host program's order. The tensors stay in `arguments`.
std::vector<runtime::Leaf> leaves_of(const Arguments& arguments,
                                     const std::vector<std::string>& leaf_names);

// Copies of the tensors' contents, so that a call that writes to them leaves these alone.
Arguments clone(const Arguments& arguments);

}  // namespace peri::driver
