// Structured control flow for IRBuilder: counted loops and branches that fold when their bounds are
// constants, so that emitters need not tell static shapes from dynamic ones.
#pragma once

#include <optional>

#include "base/ids.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/IRBuilder.h>

namespace peri::cpu {

inline std::optional<i64> constant_of(const llvm::Value* value) {
  if (auto* constant = llvm::dyn_cast<llvm::ConstantInt>(value)) return constant->getSExtValue();
  return std::nullopt;
}

// A new block behind the current one, in the same function.
inline llvm::BasicBlock* new_block(llvm::IRBuilderBase& b, const char* name) {
  return llvm::BasicBlock::Create(b.getContext(), name, b.GetInsertBlock()->getParent());
}

// if (condition) then();
template <class Then>
void emit_if(llvm::IRBuilderBase& b, llvm::Value* condition, Then then) {
  if (auto known = constant_of(condition)) {
    if (*known) then();
    return;
  }
  auto* body = new_block(b, "then");
  auto* done = new_block(b, "endif");
  b.CreateCondBr(condition, body, done);
  b.SetInsertPoint(body);
  then();
  b.CreateBr(done);
  b.SetInsertPoint(done);
}

// if (condition) then(); else otherwise();
template <class Then, class Else>
void emit_if_else(llvm::IRBuilderBase& b, llvm::Value* condition, Then then, Else otherwise) {
  if (auto known = constant_of(condition)) {
    *known ? then() : otherwise();
    return;
  }
  auto* yes = new_block(b, "then");
  auto* no = new_block(b, "else");
  auto* done = new_block(b, "endif");
  b.CreateCondBr(condition, yes, no);
  b.SetInsertPoint(yes);
  then();
  b.CreateBr(done);
  b.SetInsertPoint(no);
  otherwise();
  b.CreateBr(done);
  b.SetInsertPoint(done);
}

// for (i = begin; i < end; i += step) body(i); with i64 bounds and a positive step. A loop that
// provably runs at most once becomes straight code.
template <class Body>
void emit_for(llvm::IRBuilderBase& b, llvm::Value* begin, llvm::Value* end, llvm::Value* step,
              Body body) {
  llvm::Value* enter = b.CreateICmpSLT(begin, end);
  llvm::Value* once = b.CreateICmpSGE(b.CreateAdd(begin, step), end);
  if (constant_of(once) == -1 || constant_of(once) == 1) {
    emit_if(b, enter, [&] { body(begin); });
    return;
  }
  emit_if(b, enter, [&] {
    auto* before = b.GetInsertBlock();
    auto* loop = new_block(b, "loop");
    auto* done = new_block(b, "done");
    b.CreateBr(loop);
    b.SetInsertPoint(loop);
    auto* i = b.CreatePHI(b.getInt64Ty(), 2);
    i->addIncoming(begin, before);
    body(i);
    llvm::Value* next = b.CreateAdd(i, step, "", true, true);
    i->addIncoming(next, b.GetInsertBlock());
    b.CreateCondBr(b.CreateICmpSLT(next, end), loop, done);
    b.SetInsertPoint(done);
  });
}

inline llvm::Value* emit_min(llvm::IRBuilderBase& b, llvm::Value* x, llvm::Value* y) {
  return b.CreateSelect(b.CreateICmpSLT(x, y), x, y);
}

}  // namespace peri::cpu
