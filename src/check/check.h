// AST -> typed kernel: names, dtypes, symbolic shapes, host/device split, specialisation.
//
// An abstract interpreter in the manner of Helion's type propagation: host code runs on abstract
// values (host scalars, tensor slots, tuples, functions), device code builds typed expressions. All
// user errors that can be found before running are reported here, several per run.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "check/typed.h"
#include "syntax/ast.h"
#include "types/requests.h"

namespace peri::check {

// What is known of one argument when a kernel is specialised.
struct ArgSpec {
  enum class Kind : u8 { None, Tensor, Int, Float, Bool, String, Dtype, List, Tuple, Lambda };
  Kind kind = Kind::None;
  Dtype dtype = Dtype::F32;          // Tensor, Dtype
  std::vector<i64> sizes, strides;   // Tensor; strides in elements
  SymValue value;                    // Int, Float, Bool
  std::string text;                  // String
  std::vector<ArgSpec> items;        // List, Tuple
  const syntax::Ast* ast = nullptr;  // Lambda: one expression (syntax::parse_expression)
};

// A parameter of a kernel function, for listings.
struct ParamInfo {
  std::string name;
  bool has_default = false;
  std::string annotation;  // its text, or ""
};

// A kernel function of a module, with its decorator evaluated.
struct KernelDecl {
  std::string name;
  syntax::StmtId function;
  diag::Span span;
  bool static_shapes = true;
  Requests requests;
  std::vector<nlohmann::ordered_json> configs;     // config= (one) or configs=
  std::map<std::string, nlohmann::json> settings;  // every other setting given, by Helion's name;
                                                   // functions are given as null
  std::vector<std::string> params;
  std::vector<ParamInfo> param_info;
};

// The kernels of a module in source order. Unknown settings are diagnostics that name the nearest
// known one; settings without meaning here are noted once.
std::vector<KernelDecl> find_kernels(const syntax::Ast& module, diag::Diags& diags);

// Types `decl` for arguments `args`: by parameter name; parameters left out take their default;
// names that are no parameters are free names of lambda arguments (a bias tensor that an epilogue
// captures) or module globals. Returns nothing after errors.
std::optional<TypedKernel> check(const syntax::Ast& module, const KernelDecl& decl,
                                 const std::map<std::string, ArgSpec>& args, diag::Diags& diags);

// The cache key of a specialisation: two argument sets with equal keys get the same typed kernel,
// provided its guards hold. Static shapes: dtype, sizes and strides of tensors. Dynamic shapes:
// dtype, rank and stride class (contiguous, unit inner stride, any). Scalars by type, constexpr
// parameters and strings by value.
std::string specialization_key(const syntax::Ast& module, const KernelDecl& decl,
                               const std::map<std::string, ArgSpec>& args);

}  // namespace peri::check
