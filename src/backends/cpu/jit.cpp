#include "backends/cpu/jit.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "backends/cpu/jit_symbols.h"
#include "base/bug.h"

#include <llvm/Analysis/TargetTransformInfo.h>
#include <llvm/ExecutionEngine/Orc/AbsoluteSymbols.h>
#include <llvm/ExecutionEngine/Orc/Core.h>
#include <llvm/ExecutionEngine/Orc/ExecutionUtils.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/ExecutionEngine/Orc/SelfExecutorProcessControl.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/OptBisect.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar.h>

namespace peri::cpu {
namespace {

namespace orc = llvm::orc;

// The linker reports the cause to the session's reporter and returns only "failed to materialize".
thread_local std::string reported;

std::unexpected<Error> jit_error(llvm::Error error) {
  std::string text = toString(std::move(error));
  if (!reported.empty()) text = std::exchange(reported, {});
  return fail("jit-failed", "cannot compile or load machine code: " + text);
}

void initialize_llvm() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
  });
}

std::unique_ptr<llvm::TargetMachine> create_machine(const Target& target) {
  initialize_llvm();
  std::string error;
  const llvm::Triple triple(target.triple);
  const llvm::Target* backend = llvm::TargetRegistry::lookupTarget(triple, error);
  BUG_IF(!backend, "LLVM has no target for {}: {}", target.triple, error);
  return std::unique_ptr<llvm::TargetMachine>(backend->createTargetMachine(
      triple, target.cpu, target.features, llvm::TargetOptions(), llvm::Reloc::PIC_));
}

// Target machines cost a millisecond to make and serve one thread at a time: a free list per
// target lends them out.
class MachinePool {
 public:
  class Loan {
   public:
    Loan(MachinePool& pool, const Target& target)
        : pool_(pool), key_(target.triple + "|" + target.cpu + "|" + target.features) {
      machine_ = pool.take(key_);
      if (!machine_) machine_ = create_machine(target);
    }
    ~Loan() { pool_.give_back(key_, std::move(machine_)); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    llvm::TargetMachine* operator->() { return machine_.get(); }

   private:
    MachinePool& pool_;
    std::string key_;
    std::unique_ptr<llvm::TargetMachine> machine_;
  };

  // Never destroyed: code may be compiled until the process ends.
  static MachinePool& get() {
    static auto* pool = new MachinePool;
    return *pool;
  }

 private:
  std::unique_ptr<llvm::TargetMachine> take(const std::string& key) {
    std::lock_guard lock(mutex_);
    auto& free = free_[key];
    if (free.empty()) return nullptr;
    auto machine = std::move(free.back());
    free.pop_back();
    return machine;
  }

  void give_back(const std::string& key, std::unique_ptr<llvm::TargetMachine> machine) {
    std::lock_guard lock(mutex_);
    free_[key].push_back(std::move(machine));
  }

  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<std::unique_ptr<llvm::TargetMachine>>> free_;
};

void run_lite_passes(llvm::Module& module, llvm::TargetMachine& machine) {
  llvm::legacy::FunctionPassManager passes(&module);
  passes.add(llvm::createTargetTransformInfoWrapperPass(machine.getTargetIRAnalysis()));
  passes.add(llvm::createSROAPass());
  passes.add(llvm::createEarlyCSEPass());
  passes.add(llvm::createInstructionCombiningPass());
  passes.add(llvm::createCFGSimplificationPass());
  passes.add(llvm::createLICMPass());
  passes.add(llvm::createDeadCodeEliminationPass());
  passes.doInitialization();
  for (llvm::Function& function : module) {
    if (!function.isDeclaration()) passes.run(function);
  }
  passes.doFinalization();
}

void verify([[maybe_unused]] llvm::Module& module) {
#ifndef NDEBUG
  std::string text;
  llvm::raw_string_ostream stream(text);
  BUG_IF(llvm::verifyModule(module, &stream), "malformed LLVM IR: {}", stream.str());
#endif
}

Expected<llvm::SmallVector<char, 0>> emit(llvm::Module& module, const Target& target, IrPasses lite,
                                          llvm::CodeGenFileType type) {
  verify(module);
  MachinePool::Loan machine(MachinePool::get(), target);
  prepare_module(module, target);
  if (lite == IrPasses::Lite) run_lite_passes(module, *machine.operator->());
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, type)) {
    return fail("jit-failed", "LLVM cannot write this kind of file for " + target.triple);
  }
  passes.run(module);
  return bytes;
}

// The one linker session of the process. `library_` holds what code may call.
class Session {
 public:
  // Never destroyed, so that code that static objects hold stays valid until the process ends.
  static Expected<Session*> get() {
    static auto* made = new Expected<std::unique_ptr<Session>>(create());
    if (!*made) return std::unexpected(made->error());
    return made->value().get();
  }

  Expected<void> define(const std::string& name, void* address) {
    orc::SymbolMap symbols;
    symbols[session_->intern(name)] = {orc::ExecutorAddr::fromPtr(address),
                                       llvm::JITSymbolFlags::Exported};
    if (auto error = library_->define(orc::absoluteSymbols(std::move(symbols)))) {
      return jit_error(std::move(error));
    }
    return {};
  }

  Expected<orc::JITDylib*> add(std::unique_ptr<llvm::MemoryBuffer> object) {
    std::string name = fmt::format("code{}", next_++);
    auto& dylib = session_->createBareJITDylib(name);
    dylib.addToLinkOrder(*library_);
    if (auto error = linker_->add(dylib, std::move(object))) {
      remove(&dylib);
      return jit_error(std::move(error));
    }
    return &dylib;
  }

  Expected<std::unordered_map<std::string, void*>> resolve(orc::JITDylib* dylib,
                                                           const std::vector<std::string>& names) {
    orc::SymbolLookupSet wanted;
    for (const std::string& name : names) wanted.add(session_->intern(name));
    auto found = session_->lookup({{dylib, orc::JITDylibLookupFlags::MatchExportedSymbolsOnly}},
                                  std::move(wanted));
    if (!found) return jit_error(found.takeError());
    std::unordered_map<std::string, void*> addresses;
    for (auto& [name, symbol] : *found) {
      addresses[(*name).str()] = symbol.getAddress().toPtr<void*>();
    }
    return addresses;
  }

  void remove(orc::JITDylib* dylib) { llvm::consumeError(session_->removeJITDylib(*dylib)); }

 private:
  static Expected<std::unique_ptr<Session>> create() {
    auto control = orc::SelfExecutorProcessControl::Create();
    if (!control) return jit_error(control.takeError());
    auto made = std::make_unique<Session>();
    made->session_ = std::make_unique<orc::ExecutionSession>(std::move(*control));
    made->session_->setErrorReporter(
        [](llvm::Error error) { reported = toString(std::move(error)); });
    made->linker_ = std::make_unique<orc::ObjectLinkingLayer>(*made->session_);
    made->library_ = &made->session_->createBareJITDylib("library");
    for (const RuntimeSymbol& symbol : runtime_symbols()) {
      if (auto ok = made->define(symbol.name, symbol.address); !ok) {
        return std::unexpected(ok.error());
      }
    }
    auto process = orc::DynamicLibrarySearchGenerator::GetForCurrentProcess('\0');
    if (!process) return jit_error(process.takeError());
    made->library_->addGenerator(std::move(*process));
    return made;
  }

  std::unique_ptr<orc::ExecutionSession> session_;
  std::unique_ptr<orc::ObjectLinkingLayer> linker_;
  orc::JITDylib* library_ = nullptr;
  std::atomic<i64> next_ = 0;
};

Expected<std::vector<std::string>> exported_names(llvm::MemoryBufferRef object) {
  auto file = llvm::object::ObjectFile::createObjectFile(object);
  if (!file) return jit_error(file.takeError());
  std::vector<std::string> names;
  for (const llvm::object::SymbolRef& symbol : (*file)->symbols()) {
    auto flags = symbol.getFlags();
    if (!flags) return jit_error(flags.takeError());
    using Ref = llvm::object::BasicSymbolRef;
    if (!(*flags & Ref::SF_Global) || (*flags & Ref::SF_Undefined)) continue;
    auto name = symbol.getName();
    if (!name) return jit_error(name.takeError());
    names.push_back(name->str());
  }
  return names;
}

}  // namespace

struct Code::Impl {
  Session* session;
  orc::JITDylib* dylib;
  std::unordered_map<std::string, void*> addresses;

  Impl(Session* s, orc::JITDylib* d) : session(s), dylib(d) {}
  ~Impl() { session->remove(dylib); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
};

void* Code::address(std::string_view name) const {
  if (!impl_) return nullptr;
  auto it = impl_->addresses.find(std::string(name));
  return it == impl_->addresses.end() ? nullptr : it->second;
}

void prepare_module(llvm::Module& module, const Target& target) {
  llvm::Triple triple(target.triple);
  if (module.getTargetTriple() == triple && !module.getDataLayoutStr().empty()) return;
  module.setTargetTriple(triple);
  module.setDataLayout(MachinePool::Loan(MachinePool::get(), target)->createDataLayout());
}

Expected<std::string> emit_object(llvm::Module& module, const Target& target, IrPasses passes) {
  auto bytes = emit(module, target, passes, llvm::CodeGenFileType::ObjectFile);
  if (!bytes) return std::unexpected(bytes.error());
  return std::string(bytes->data(), bytes->size());
}

Expected<std::string> emit_assembly(llvm::Module& module, const Target& target, IrPasses passes) {
  auto bytes = emit(module, target, passes, llvm::CodeGenFileType::AssemblyFile);
  if (!bytes) return std::unexpected(bytes.error());
  return std::string(bytes->data(), bytes->size());
}

Expected<Code> load_object(std::string_view object, const Target& target) {
  if (!target.is_host_runnable) {
    return fail("cpu-level-not-runnable",
                fmt::format("this machine cannot run code for `{}`", target.level),
                "emit it with `--stage asm`, or choose another CPU level");
  }
  auto session = Session::get();
  if (!session) return std::unexpected(session.error());
  auto buffer = llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(object.data(), object.size()));
  auto names = exported_names(buffer->getMemBufferRef());
  if (!names) return std::unexpected(names.error());
  auto dylib = (*session)->add(std::move(buffer));
  if (!dylib) return std::unexpected(dylib.error());
  Code code;
  code.impl_ = std::make_shared<Code::Impl>(*session, *dylib);
  auto addresses = (*session)->resolve(*dylib, *names);
  if (!addresses) return std::unexpected(addresses.error());
  code.impl_->addresses = std::move(*addresses);
  return code;
}

void skip_strength_reduction(llvm::LLVMContext& context) {
  struct Gate : llvm::OptPassGate {
    bool isEnabled() const override { return true; }
    bool shouldRunPass(llvm::StringRef pass, llvm::StringRef) const override {
      return pass != "Loop Strength Reduction";
    }
  };
  static Gate gate;
  context.setOptPassGate(gate);
}

Expected<Code> compile(llvm::Module& module, const Target& target, IrPasses passes) {
  auto object = emit_object(module, target, passes);
  if (!object) return std::unexpected(object.error());
  return load_object(*object, target);
}

Expected<void> define_symbol(const std::string& name, void* address) {
  auto session = Session::get();
  if (!session) return std::unexpected(session.error());
  return (*session)->define(name, address);
}

}  // namespace peri::cpu
