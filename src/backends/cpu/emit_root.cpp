// Functions, arguments, grid cells and tiles.
#include <fmt/format.h>

#include "backends/cpu/emit.h"
#include "base/bug.h"

namespace peri::cpu {

namespace {

constexpr i64 kAlign = 64;
constexpr i64 kPage = 4096;
// In front of the buffers: an access out of range, and room for accesses that are masked out.
constexpr i64 kFaultBytes = 64;
constexpr i64 kDummyBytes = 64;
static_assert(sizeof(backends::AccessFault) <= kFaultBytes);
// Buffers may be read and written a vector past their end.
constexpr i64 kSlack = 256;

// Where in a page the k-th of the larger buffers begins. Tensors begin at the start of one
// (runtime/allocator.h), so that what is stored to a buffer and what is soon loaded from a tensor
// or another buffer are at least 512 bytes apart in their low 12 bits.
i64 page_phase(i64 k) {
  constexpr i64 kPhases[] = {4, 2, 6, 1, 5, 3, 7};
  return kPhases[k % std::ssize(kPhases)] * kPage / 8;
}

}  // namespace

RootFunction Emitter::emit_root(i64 root) {
  begin_function(root);
  emit_cells(root);
  b_.CreateRetVoid();
  // Entry is open until here: whatever turned out to be needed there stands in front of its branch.
  Sym cells = kernel_.syms->integer(1);
  for (BlockId id : plan_.roots[root].order) cells = kernel_.syms->mul(cells, tiles_of(id));
  Sym bytes = kernel_.syms->add(scratch_bytes_, kernel_.syms->integer(dot_scratch_bytes_));
  return {function_, scalars_, cells, bytes, fault_block_ != nullptr};
}

void Emitter::begin_function(i64 root) {
  llvm::Type* pointer = b_.getPtrTy();
  llvm::Type* i64_type = b_.getInt64Ty();
  auto* type =
      llvm::FunctionType::get(b_.getVoidTy(), {pointer, i64_type, i64_type, pointer}, false);
  function_ = llvm::Function::Create(type, llvm::Function::ExternalLinkage,
                                     fmt::format("root{}", root), module_);
  function_->addFnAttr("no-builtins");
  function_->addFnAttr(llvm::Attribute::NoUnwind);
  // Spilled vectors would straddle cache lines on an unaligned stack.
  llvm::Align align(static_cast<u64>(target_.vector_bytes));
  function_->addFnAttr(llvm::Attribute::getWithStackAlignment(module_.getContext(), align));
  arguments_ = function_->getArg(0);
  scratch_ = function_->getArg(3);
  function_->getArg(0)->addAttr(llvm::Attribute::NoAlias);
  function_->getArg(3)->addAttr(llvm::Attribute::NoAlias);
  scalars_.clear();
  syms_.clear();
  tensors_.clear();
  blocks_.clear();
  dot_scratch_bytes_ = 0;
  fault_block_ = nullptr;
  fault_.clear();
  region_depths_.clear();
  top_ = -1;
  scopes_.clear();
  b_.SetInsertPoint(new_block("entry"));
  push_scope(nullptr);
  dummy_ = b_.CreateConstGEP1_64(b_.getInt8Ty(), scratch_, kFaultBytes);
  split("body");
  // Code for entry goes in front of the branch to "body".
  scopes_[0].before = nullptr;
  push_scope(function_->getEntryBlock().getTerminator());
  lay_out_buffers();
}

void Emitter::lay_out_buffers() {
  buffers_.assign(plan_.buffers.size(), nullptr);
  buffer_strides_.assign(plan_.buffers.size(), {});
  written_.assign(plan_.buffers.size(), {});
  SymTable& syms = *kernel_.syms;
  auto round_up = [&](Sym bytes, i64 to) {
    return syms.mul(syms.ceil_div(bytes, syms.integer(to)), syms.integer(to));
  };
  Sym offset = syms.integer(kFaultBytes + kDummyBytes);
  i64 large = 0;
  for (size_t i = 0; i < plan_.buffers.size(); ++i) {
    const plan::Buffer& buffer = plan_.buffers[i];
    Sym count = syms.integer(1);
    std::vector<Value*> strides(buffer.extents.size());
    for (size_t d = buffer.extents.size(); d-- > 0;) {
      strides[d] = sym(count);
      count = syms.mul(count, buffer.extents[d]);
    }
    buffer_strides_[i] = strides;
    const Sym bytes = syms.mul(count, syms.integer(size_of(buffer.dtype)));
    const std::optional<i64> known = bytes.as_int();
    if (known && *known >= kPage) {
      offset = syms.add(round_up(offset, kPage), syms.integer(page_phase(large++)));
    }
    at_depth(0, [&] { return buffers_[i] = b_.CreateGEP(b_.getInt8Ty(), scratch_, sym(offset)); });
    offset = syms.add(offset, round_up(syms.add(bytes, syms.integer(kSlack)), kAlign));
  }
  scratch_bytes_ = offset;
  at_depth(0, [&] { return dot_scratch_ = b_.CreateGEP(b_.getInt8Ty(), scratch_, sym(offset)); });
}

// --- arguments ---

Value* Emitter::tensor_pointer(ir::TensorId tensor) {
  Value*& pointer = tensors_[tensor];
  if (!pointer) {
    at_depth(0, [&] {
      Value* slot =
          b_.CreateConstGEP1_64(b_.getInt64Ty(), arguments_, static_cast<u64>(tensor.index));
      return pointer = b_.CreateLoad(b_.getPtrTy(), slot);
    });
  }
  return pointer;
}

// Host scalars that the config does not make constant come as arguments, whole expressions at a
// time.
Value* Emitter::sym(Sym s) {
  s = plan_.resolve(s);
  Value*& value = syms_[s.node()];
  if (!value) value = s.is_const() ? emit_sym(s) : sym_argument(s);
  return value;
}

Value* Emitter::emit_sym(Sym s) {
  const SymValue& v = s->value;
  switch (v.type) {
    case SymType::Int:
      return integer(v.integer);
    case SymType::Bool:
      return b_.getInt1(v.integer != 0);
    case SymType::Float:
      return llvm::ConstantFP::get(b_.getDoubleTy(), v.real);
  }
  return nullptr;
}

Value* Emitter::sym_argument(Sym s) {
  u64 position = kernel_.tensors.size() + scalars_.size();
  scalars_.push_back(s);
  return at_depth(0, [&]() -> Value* {
    Value* slot = b_.CreateConstGEP1_64(b_.getInt64Ty(), arguments_, position);
    if (s.type() == SymType::Float) return b_.CreateLoad(b_.getDoubleTy(), slot);
    Value* word = b_.CreateLoad(b_.getInt64Ty(), slot);
    return s.type() == SymType::Bool ? b_.CreateICmpNE(word, integer(0)) : word;
  });
}

// --- cells and tiles ---

Sym Emitter::tiles_of(BlockId id) {
  const Block& block = kernel_[id];
  SymTable& syms = *kernel_.syms;
  Sym range = syms.sub(plan_.resolve(block.end), plan_.resolve(block.begin));
  Sym step = block.kind == Block::Kind::Grid && block.step ? plan_.resolve(block.step)
                                                           : plan_.block_sizes[id.index];
  return syms.make(SymKind::Max, syms.ceil_div(range, step), syms.integer(0));
}

void Emitter::emit_cells(i64 root) {
  llvm::Instruction* before = split("cell");
  llvm::BasicBlock* preheader = before->getParent();
  llvm::BasicBlock* header = b_.GetInsertBlock();
  llvm::PHINode* cell = b_.CreatePHI(b_.getInt64Ty(), 2, "cell");
  cell->addIncoming(function_->getArg(1), preheader);
  llvm::BasicBlock* body = new_block("cell.body");
  llvm::BasicBlock* done = new_block("done");
  b_.CreateCondBr(b_.CreateICmpSLT(cell, function_->getArg(2)), body, done);
  b_.SetInsertPoint(body);
  push_scope(before);
  enter_cell(root, cell);
  emit_nodes(plan_.roots[root].body);
  pop_scope();
  cell->addIncoming(b_.CreateAdd(cell, integer(1)), b_.GetInsertBlock());
  b_.CreateBr(header);
  b_.SetInsertPoint(done);
}

// The row and column of a cell where `group` rows at a time are passed column by column: the cells
// of a group that run after one another read the same column of the right operand.
std::pair<Value*, Value*> Emitter::grouped_cell(Value* cell, Value* rows, Value* columns,
                                                i64 group) {
  Value* in_group = b_.CreateMul(integer(group), columns);
  Value* first = b_.CreateMul(b_.CreateUDiv(cell, in_group), integer(group));
  Value* height = minimum(b_.CreateSub(rows, first), integer(group));
  Value* within = b_.CreateURem(cell, in_group);
  Value* row = b_.CreateAdd(first, b_.CreateURem(within, height));
  return {row, b_.CreateUDiv(within, height)};
}

void Emitter::enter_cell(i64 root, Value* cell) {
  const std::vector<BlockId>& order = plan_.roots[root].order;
  size_t left = order.size();
  if (i64 group = plan_.roots[root].group; group > 1) {
    BlockId row_axis = order[left - 2], column_axis = order[left - 1];
    Value* rows = sym(tiles_of(row_axis));
    Value* columns = sym(tiles_of(column_axis));
    Value* plane = b_.CreateMul(rows, columns);
    Value* in_plane = left > 2 ? b_.CreateURem(cell, plane) : cell;
    auto [row, column] = grouped_cell(in_plane, rows, columns, group);
    auto enter = [&](BlockId id, Value* tile, Value* tiles) {
      enter_tile(id, sym(kernel_[id].begin), sym(kernel_[id].end), tile, tiles);
    };
    enter(column_axis, column, columns);
    enter(row_axis, row, rows);
    if (left > 2) cell = b_.CreateUDiv(cell, plane);
    left -= 2;
  }
  for (size_t i = left; i-- > 0;) {
    const Block& block = kernel_[order[i]];
    Value* tiles = sym(tiles_of(order[i]));
    Value* tile = cell;
    if (i > 0) {
      tile = b_.CreateURem(cell, tiles);
      cell = b_.CreateUDiv(cell, tiles);
    }
    enter_tile(order[i], sym(block.begin), sym(block.end), tile, tiles);
  }
}

BlockState& Emitter::block(BlockId id) {
  auto it = blocks_.find(id);
  BUG_IF(it == blocks_.end(), "tile axis `{}` is used outside of its loop", kernel_[id].name);
  return it->second;
}

void Emitter::enter_tile(BlockId id, Value* range_begin, Value* range_end, Value* tile,
                         Value* tiles) {
  BlockState state;
  state.depth = top_;
  state.id = tile;
  state.tiles = tiles;
  const Block& block = kernel_[id];
  if (block.kind == Block::Kind::Grid) {
    Value* step = block.step ? sym(block.step) : integer(1);
    state.begin = b_.CreateAdd(range_begin, b_.CreateMul(tile, step));
    state.end = b_.CreateAdd(state.begin, integer(1));
    state.count = integer(1);
  } else {
    Value* size = sym(plan_.block_sizes[id.index]);
    state.begin = b_.CreateAdd(range_begin, b_.CreateMul(tile, size));
    state.count = full_count(id, range_begin, range_end);
    if (state.count) {
      state.end = b_.CreateAdd(state.begin, state.count);
    } else {
      state.end = minimum(b_.CreateAdd(state.begin, size), range_end);
      state.count = b_.CreateSub(state.end, state.begin);
    }
  }
  blocks_[id] = state;
}

// The number of elements of every tile, if all have as many; null otherwise.
Value* Emitter::full_count(BlockId id, Value* range_begin, Value* range_end) {
  auto begin = known(range_begin), end = known(range_end);
  auto size = plan_.block_sizes[id.index].as_int();
  if (size == 1) return integer(1);
  if (!begin || !end || !size) return nullptr;
  i64 range = std::max<i64>(*end - *begin, 0);
  if (range <= *size) return integer(range);
  return range % *size == 0 ? integer(*size) : nullptr;
}

}  // namespace peri::cpu
