#include "backends/triton/eject.h"

#include <fmt/format.h>

#include <set>

#include "backends/triton/module.h"

namespace peri::triton {

using backends::LaunchParam;
using lower::HostOp;
using lower::HostProgram;
using lower::Slot;

namespace {

// Functions of host scalars that Python has no name for.
constexpr std::string_view kCeilDiv = R"(def ceildiv(a, b):
    return -(-a // b)
)";
constexpr std::string_view kNextPowerOf2 = R"(def next_power_of_2(n):
    return 1 << max(n - 1, 0).bit_length()
)";

class Ejector {
 public:
  Ejector(const lower::Lowered& lowered, const Plan& plan, const std::vector<RootText>& roots)
      : program_(lowered.host), kernel_(lowered.kernel), plan_(plan), roots_(roots) {
    for (const RootText& root : roots) names_.unique(root.function);
  }

  std::string run(const space::Config& config) {
    name_everything();
    for (const check::Guard& guard : program_.guards) {
      std::string left = text(guard.left), right = text(guard.right);
      add(fmt::format("assert {} == {}, \"made for arguments of another shape\"", left, right));
    }
    check_arguments();
    bind_views(-1);
    for (const HostOp& op : program_.ops) emit(op);
    add("return " + result(program_.result));
    return header(config) + function();
  }

 private:
  void add(std::string line) { lines_.push_back("    " + std::move(line)); }

  // --- names ---

  void name_everything() {
    for (const std::string& leaf : program_.leaf_names) leaves_.push_back(names_.unique(leaf));
    for (const Slot& slot : program_.slots) {
      bool argument = slot.kind == check::HostTensor::Kind::Argument;
      slots_.push_back(argument ? leaves_[slot.leaf] : names_.unique(slot.name));
    }
  }

  // A host scalar; its symbols become local variables first.
  std::string text(Sym sym) {
    sym = plan_.resolve(sym);
    for_each_symbol(sym, [&](SymbolId id) { define(id); });
    std::string printed = program_.syms->print(sym);
    for_each_symbol(sym, [&](SymbolId id) {
      const std::string& name = program_.syms->symbol(id).name;
      if (name.find('[') == std::string::npos) return;  // of a list's item, which is no name
      for (std::size_t at = 0; (at = printed.find(name, at)) != std::string::npos;) {
        printed.replace(at, name.size(), leaves_[program_.syms->symbol(id).leaf]);
      }
    });
    if (printed.find("ceildiv(") != std::string::npos) functions_.insert(kCeilDiv);
    if (printed.find("next_power_of_2(") != std::string::npos) functions_.insert(kNextPowerOf2);
    for (const char* name : {"sqrt(", "exp(", "log(", "log2(", "sin(", "cos(", "ceil(", "floor("}) {
      uses_math_ = uses_math_ || printed.find(name) != std::string::npos;
    }
    return printed;
  }

  void define(SymbolId id) {
    if (!defined_.insert(id).second) return;
    const Symbol& symbol = program_.syms->symbol(id);
    std::string leaf = symbol.leaf >= 0 ? leaves_[symbol.leaf] : "";
    std::string value = leaf;
    if (symbol.origin == SymbolOrigin::ArgSize)
      value = fmt::format("{}.size({})", leaf, symbol.dim);
    if (symbol.origin == SymbolOrigin::ArgStride) {
      value = fmt::format("{}.stride({})", leaf, symbol.dim);
    }
    bool named = symbol.name.find('[') == std::string::npos;
    if (value != symbol.name && named) add(fmt::format("{} = {}", symbol.name, value));
  }

  std::string tuple(const std::vector<Sym>& syms) {
    std::string items;
    for (Sym sym : syms) items += (items.empty() ? "" : ", ") + text(sym);
    return syms.size() == 1 ? "(" + items + ",)" : "(" + items + ")";
  }

  // --- statements ---

  // Sizes and strides stand in the code: other tensors need another module.
  void check_arguments() {
    for (std::size_t s = 0; s < program_.slots.size(); ++s) {
      const Slot& slot = program_.slots[s];
      if (slot.kind != check::HostTensor::Kind::Argument) continue;
      if (device_.empty()) device_ = slots_[s] + ".device";
      add(fmt::format("assert {}.dtype == torch.{}", slots_[s], torch_name_of(slot.dtype)));
      std::string sizes = tuple(slot.sizes), strides = tuple(slot.strides);
      add(fmt::format("assert ({0}.size(), {0}.stride()) == ({1}, {2}), \"made for another shape\"",
                      slots_[s], sizes, strides));
    }
    if (device_.empty()) device_ = "\"cuda\"";
  }

  // Views of the storage of `root`; -1: of arguments.
  void bind_views(i64 root) {
    for (std::size_t s = 0; s < program_.slots.size(); ++s) {
      const Slot& slot = program_.slots[s];
      if (slot.kind != check::HostTensor::Kind::View) continue;
      i64 base = root_of(slot.base);
      bool argument = program_.slots[base].kind == check::HostTensor::Kind::Argument;
      if (root < 0 ? !argument : base != root) continue;
      std::string sizes = tuple(slot.sizes), strides = tuple(slot.strides);
      std::string offset = slot.offset ? text(slot.offset) : "0";
      std::string from = slots_[slot.base];
      std::string start = offset == "0" ? fmt::format("{}.storage_offset()", from)
                                        : fmt::format("{}.storage_offset() + {}", from, offset);
      add(fmt::format("{} = torch.as_strided({}, {}, {}, {})", slots_[s], from, sizes, strides,
                      start));
    }
  }

  i64 root_of(i64 slot) const {
    while (program_.slots[slot].kind == check::HostTensor::Kind::View) {
      slot = program_.slots[slot].base;
    }
    return slot;
  }

  void emit(const HostOp& op) {
    switch (op.kind) {
      case HostOp::Kind::Alloc: {
        const Slot& slot = program_.slots[op.slot];
        std::string sizes = tuple(slot.sizes), strides = tuple(slot.strides);
        add(fmt::format("{} = torch.empty_strided({}, {}, dtype=torch.{}, device={})",
                        slots_[op.slot], sizes, strides, torch_name_of(slot.dtype), device_));
        if (op.fill) add(fmt::format("{}.fill_({})", slots_[op.slot], text(op.fill)));
        bind_views(op.slot);
        break;
      }
      case HostOp::Kind::Check: {
        std::string condition = text(op.condition);
        std::string quoted;
        for (char c : op.text)
          quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
        add(fmt::format("assert {}, \"{}\"", condition, quoted));
        break;
      }
      case HostOp::Kind::Copy:
        add(fmt::format("{}.copy_({})", slots_[op.slot], slots_[op.source]));
        break;
      case HostOp::Kind::Launch:
        launch(roots_[op.root]);
        break;
    }
  }

  void launch(const RootText& root) {
    for (const backends::Launch::Limit& limit : root.launch.limits) {
      std::string value = text(limit.value);
      add(fmt::format("assert {} <= {}, \"larger than this module was made for\"", value,
                      limit.most));
    }
    std::string arguments;
    for (const LaunchParam& param : root.launch.params) {
      arguments += argument(param) + ", ";
    }
    std::string grid = text(root.launch.grid[0]);
    if (root.launch.programs_per_multiprocessor > 0) {
      std::string count =
          fmt::format("torch.cuda.get_device_properties({}).multi_processor_count", device_);
      if (i64 reserved = root.launch.reserved_multiprocessors; reserved > 0) {
        count = fmt::format("max({} - {}, 1)", count, reserved);
      }
      add(fmt::format("programs = {} * {}", root.launch.programs_per_multiprocessor, count));
      grid = fmt::format("min({}, programs)", grid);
    }
    std::string y = text(root.launch.grid[1]), z = text(root.launch.grid[2]);
    grid += y == "1" && z == "1" ? "," : fmt::format(", {}, {}", y, z);
    std::string options =
        fmt::format("num_warps={}, num_stages={}", plan_.num_warps, plan_.num_stages);
    if (plan_.maxnreg > 0) options += fmt::format(", maxnreg={}", plan_.maxnreg);
    for (i64 tensor : root.described) {
      add(fmt::format("assert {}.data_ptr() % 16 == 0, \"made for tensors aligned to 16 bytes\"",
                      slots_[kernel_.tensors[tensor].slot]));
    }
    if (!root.described.empty()) {
      uses_allocator_ = true;
      add("triton.set_allocator(_allocate)");
    }
    std::string call = fmt::format("{}[({})]({}{})", root.function, grid, arguments, options);
    std::string empty;
    for (Sym extent : root.launch.grid) {
      Sym known = plan_.resolve(extent);
      if (auto n = known.as_int(); n && *n > 0) continue;
      std::string count = text(known);
      empty += fmt::format("{}({}) > 0", empty.empty() ? "" : " and ", count);
    }
    if (empty.empty()) {
      add(call);
    } else {
      add(fmt::format("if {}:", empty));
      add("    " + call);
    }
  }

  std::string argument(const LaunchParam& param) {
    const std::string name =
        param.tensor >= 0 ? slots_[kernel_.tensors[param.tensor].slot] : std::string();
    if (param.kind == LaunchParam::Kind::Pointer) return name;
    if (param.kind != LaunchParam::Kind::Map) return text(param.value);
    uses_maps_ = true;
    const ir::TensorParam& tensor = kernel_.tensors[param.tensor];
    std::string sizes, strides, box;
    for (std::size_t i = 0; i < param.map.dims.size(); ++i) {
      const char* comma = i == 0 ? "" : ", ";
      sizes += comma + text(tensor.sizes[param.map.dims[i]]);
      strides += comma + text(tensor.strides[param.map.dims[i]]);
      box += fmt::format("{}{}", comma, param.map.box[i]);
    }
    return fmt::format("TensorDescriptor({}, [{}], [{}], [{}])", name, sizes, strides, box);
  }

  std::string result(const check::ReturnValue& value) {
    using Kind = check::ReturnValue::Kind;
    if (value.kind == Kind::None) return "None";
    if (value.kind == Kind::Tensor) return slots_[value.tensor.index];
    if (value.kind == Kind::Scalar) return text(value.scalar);
    std::string items;
    for (const check::ReturnValue& item : value.items) {
      items += (items.empty() ? "" : ", ") + result(item);
    }
    return value.items.size() == 1 ? "(" + items + ",)" : "(" + items + ")";
  }

  // --- text ---

  std::string header(const space::Config& config) const {
    std::string out = fmt::format("# `{}` for {} under {}\n", kernel_.name, plan_.target.name,
                                  space::print_config(config));
    if (uses_math_) out += "from math import ceil, cos, exp, floor, log, log2, sin, sqrt\n\n";
    out += "import torch\n";
    out += module_text(roots_);
    if (uses_maps_) {
      out.insert(out.find("import triton\n"),
                 "from triton.tools.tensor_descriptor import TensorDescriptor\n");
    }
    return out;
  }

  std::string function() const {
    std::string out;
    for (std::string_view helper : functions_) out += "\n\n" + std::string(helper);
    if (uses_allocator_) {
      out +=
          "\n\ndef _allocate(size, alignment, stream):\n"
          "    return torch.empty(size, dtype=torch.int8, device=\"cuda\")\n";
    }
    std::string parameters;
    for (const std::string& leaf : leaves_) parameters += (parameters.empty() ? "" : ", ") + leaf;
    out += fmt::format("\n\ndef call({}):\n", parameters);
    for (const std::string& line : lines_) out += line + "\n";
    return out;
  }

  const HostProgram& program_;
  const ir::Kernel& kernel_;
  const Plan& plan_;
  const std::vector<RootText>& roots_;
  Names names_;
  std::vector<std::string> leaves_, slots_;
  std::vector<std::string> lines_;
  std::set<SymbolId> defined_;
  std::set<std::string_view> functions_;
  std::string device_;
  bool uses_math_ = false, uses_maps_ = false, uses_allocator_ = false;
};

}  // namespace

std::string eject_module(const lower::Lowered& lowered, const Plan& plan,
                         const std::vector<RootText>& roots, const space::Config& config) {
  return Ejector(lowered, plan, roots).run(config);
}

}  // namespace peri::triton
