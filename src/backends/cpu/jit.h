// Turns LLVM modules into running code, object files or assembly text for a Target.
//
//   auto context = std::make_unique<llvm::LLVMContext>();   // one per module: compiles run in
//   parallel auto module = std::make_unique<llvm::Module>("kernel", *context);
//   prepare_module(*module, target);                        // before emitting: data layout, triple
//   ... emit a function "kernel" ...
//   Expected<Code> code = compile(*module, target);
//   auto* entry = code->function<void(void**)>("kernel");   // null if there is no such symbol
//
// All functions may be called from several threads at once. A Code owns its machine code: when the
// last copy goes, the memory is freed. Symbol names need to be unique within a module only. Code
// may call the functions of libm, memcpy and memset by name, and what define_symbol() adds.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "backends/cpu/target.h"
#include "base/expected.h"

namespace llvm {
class LLVMContext;
class Module;
}  // namespace llvm

namespace peri::cpu {

// LLVM IR passes before code generation. Our emitters write loops that need none; Lite is a short
// hand-picked list (SROA, early CSE, instruction combining, CFG simplification, invariant motion).
enum class IrPasses : u8 { None, Lite };

// Machine code in memory.
class Code {
 public:
  Code() = default;
  // The address of an external symbol, or null.
  void* address(std::string_view name) const;
  template <class F>
  F* function(std::string_view name) const {
    return reinterpret_cast<F*>(address(name));
  }
  explicit operator bool() const { return impl_ != nullptr; }

 private:
  struct Impl;
  friend Expected<Code> load_object(std::string_view object, const Target& target);
  std::shared_ptr<Impl> impl_;
};

// Sets the module's triple and data layout.
void prepare_module(llvm::Module& module, const Target& target);

// Compiles and loads. The target must be runnable on this host.
Expected<Code> compile(llvm::Module& module, const Target& target,
                       IrPasses passes = IrPasses::None);

// The two halves of compile(): a relocatable object file as bytes, and loading one.
Expected<std::string> emit_object(llvm::Module& module, const Target& target,
                                  IrPasses passes = IrPasses::None);
Expected<Code> load_object(std::string_view object, const Target& target);

Expected<std::string> emit_assembly(llvm::Module& module, const Target& target,
                                    IrPasses passes = IrPasses::None);

// Leaves LLVM's loop strength reduction out for the modules of `context`. Loops over elements form
// their addresses cheaply without it, and compile in three quarters of the time.
void skip_strength_reduction(llvm::LLVMContext& context);

// Makes `address` callable under `name` from code loaded later. A name can be defined once.
Expected<void> define_symbol(const std::string& name, void* address);

}  // namespace peri::cpu
