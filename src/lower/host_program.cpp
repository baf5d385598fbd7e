#include "lower/host_program.h"

#include <fmt/format.h>

#include "lower/lowerer.h"

namespace peri::lower {
namespace {

using check::HostStmt;
using check::HostTensor;
using check::ReturnValue;

HostOp make_op(const HostStmt& stmt) {
  HostOp op{.kind = HostOp::Kind::Alloc,
            .fill = {},
            .condition = {},
            .code = {},
            .text = {},
            .span = stmt.span};
  op.slot = stmt.tensor.index;
  switch (stmt.kind) {
    case HostStmt::Kind::Alloc:
      op.fill = stmt.fill;
      break;
    case HostStmt::Kind::Copy:
      op.kind = HostOp::Kind::Copy;
      op.source = stmt.source.index;
      break;
    case HostStmt::Kind::Check:
      op.kind = HostOp::Kind::Check;
      op.condition = stmt.condition;
      op.code = stmt.code;
      op.text = stmt.text;
      break;
    default:
      op.kind = HostOp::Kind::Launch;
      op.root = stmt.root;
      break;
  }
  return op;
}

}  // namespace

HostProgram make_host_program(const check::TypedKernel& typed) {
  HostProgram program;
  program.syms = typed.syms;
  program.guards = typed.guards;
  program.tunables = typed.tunables;
  program.leaf_names = typed.leaf_names;
  for (const HostTensor& tensor : typed.tensors) {
    program.slots.push_back({tensor.name, tensor.kind, tensor.dtype, tensor.sizes, tensor.strides,
                             tensor.leaf, tensor.base.index, tensor.offset});
  }
  for (const HostStmt& stmt : typed.host) {
    if (stmt.kind == HostStmt::Kind::Return) {
      program.result = stmt.value;
    } else {
      program.ops.push_back(make_op(stmt));
    }
  }
  return program;
}

namespace {

class Printer {
 public:
  explicit Printer(const HostProgram& program) : program_(program) {}

  std::string run() {
    line(0, "host program");
    for (std::size_t i = 0; i < program_.slots.size(); ++i) slot_line(i);
    for (const check::Tunable& tunable : program_.tunables) {
      line(1, fmt::format("tunable {}: {}", tunable.name, tunable.kind));
    }
    for (const check::Guard& guard : program_.guards) {
      line(1, fmt::format("guard {} == {}", text(guard.left), text(guard.right)));
    }
    for (const HostOp& op : program_.ops) line(1, op_text(op));
    line(1, "return " + result_text(program_.result));
    return std::move(out_);
  }

 private:
  void line(int depth, std::string_view text) {
    out_ += fmt::format("{:{}}{}\n", "", 2 * depth, text);
  }

  std::string text(Sym sym) const { return sym ? program_.syms->print(sym) : "none"; }

  std::string list(const std::vector<Sym>& syms) const {
    std::string out;
    for (Sym sym : syms) out += (out.empty() ? "" : ", ") + text(sym);
    return "[" + out + "]";
  }

  // Names may repeat; the number makes a slot unique.
  std::string slot_text(i64 slot) const {
    return fmt::format("{}:{}", slot, program_.slots[slot].name);
  }

  void slot_line(std::size_t i) {
    const Slot& slot = program_.slots[i];
    std::string origin = "allocated";
    if (slot.kind == HostTensor::Kind::Argument) {
      bool named = slot.leaf >= 0 && slot.leaf < std::ssize(program_.leaf_names);
      origin =
          "argument " + (named ? program_.leaf_names[slot.leaf] : fmt::format("{}", slot.leaf));
    } else if (slot.kind == HostTensor::Kind::View) {
      origin = fmt::format("view of {} from {}", slot_text(slot.base), text(slot.offset));
    }
    line(1, fmt::format("slot {}: {}{} strides {} {}", slot_text(static_cast<i64>(i)),
                        name_of(slot.dtype), list(slot.sizes), list(slot.strides), origin));
  }

  std::string op_text(const HostOp& op) const {
    switch (op.kind) {
      case HostOp::Kind::Alloc:
        return fmt::format("allocate {}{}", slot_text(op.slot),
                           op.fill ? " filled with " + text(op.fill) : "");
      case HostOp::Kind::Check:
        return fmt::format("check {} else \"{}\"", text(op.condition), op.text);
      case HostOp::Kind::Launch:
        return fmt::format("launch root {}", op.root);
      case HostOp::Kind::Copy:
        return fmt::format("copy {} to {}", slot_text(op.source), slot_text(op.slot));
    }
    return "";
  }

  std::string result_text(const ReturnValue& value) const {
    switch (value.kind) {
      case ReturnValue::Kind::None:
        return "none";
      case ReturnValue::Kind::Tensor:
        return slot_text(value.tensor.index);
      case ReturnValue::Kind::Scalar:
        return text(value.scalar);
      case ReturnValue::Kind::Sequence:
        break;
    }
    std::string out;
    for (const ReturnValue& item : value.items)
      out += (out.empty() ? "" : ", ") + result_text(item);
    return "(" + out + ")";
  }

  const HostProgram& program_;
  std::string out_;
};

}  // namespace

std::string print(const HostProgram& program) { return Printer(program).run(); }

}  // namespace peri::lower
