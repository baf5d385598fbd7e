// The handlers of names.def and what they share.
#pragma once

#include "check/checker.h"
#include "check/names.h"

namespace peri::check {

// Every handler that a row of names.def names.
namespace fn {
#define FN(scopes, name, handler, builtin, use, signature) Value handler(Checker& c, const Args& a);
#define LATER(scopes, name)
#include "check/names.def"
}  // namespace fn

// Calls `function` on device values; host tensors among the operands are loaded (0-d, in device
// code), an error, or make the whole call a root of its own (on the host).
Value math_call(Checker& c, std::vector<Value> operands, Span span, const std::string& name,
                const Checker::DeviceFunction& function, const std::vector<i64>& whole_dims = {});

// a @ b, on device values or host tensors.
Value dot_product(Checker& c, const Value& a, const Value& b, Span span);
// .T, .mT
Value matrix_transpose(Checker& c, const Value& v, const std::string& name, Span span);
// x[None, :, None] and the like on a device value.
Value device_subscript(Checker& c, const Value& v, const std::vector<Value>& index, Span span);
// Limits of a dtype by torch.finfo's and iinfo's names.
std::optional<double> float_limit(Dtype dtype, std::string_view name);
std::optional<i64> integer_limit(Dtype dtype, std::string_view name);

// Argument readers, with a diagnostic where the argument does not fit.
std::optional<Dtype> dtype_arg(Checker& c, const Args& a, i64 i, Dtype otherwise);
std::optional<bool> flag_arg(Checker& c, const Args& a, i64 i, bool otherwise);
std::optional<i64> int_arg(Checker& c, const Args& a, i64 i, i64 otherwise);
std::optional<double> real_arg(Checker& c, const Args& a, i64 i, double otherwise);
// The tensor or device value that a handler works on, or nothing after a diagnostic.
bool tensor_arg(Checker& c, const Args& a, i64 i);
Value bad_arg(Checker& c, const Args& a, i64 i, std::string_view wanted);
i64 rank_of(Checker& c, const Value& v);
Dtype dtype_of(Checker& c, const Value& v);

// Does a function stand under @helion.kernel?
bool is_kernel_function(Checker& c, const syntax::Ast& ast, const syntax::Stmt& function);

}  // namespace peri::check
