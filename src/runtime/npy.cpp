#include "runtime/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "base/files.h"
#include "base/function_ref.h"
#include "types/elements.h"
#include "runtime/npy_header.h"

namespace peri::runtime {
namespace {

constexpr i64 kMaxHeader = i64{1} << 20;
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr bool kLittle = std::endian::native == std::endian::little;

// Bytes of a file, read front to back.
struct Source {
  i64 remaining = 0;
  FunctionRef<bool(std::byte* to, i64 size)> read;

  bool take(void* to, i64 size) {
    if (size > remaining || !read(static_cast<std::byte*>(to), size)) return false;
    remaining -= size;
    return true;
  }
};

std::unexpected<Error> truncated() { return fail("npy-truncated", "the .npy file ends too early"); }

// How a file stores elements, and what they become.
struct FileType {
  std::string_view code;  // kind and size
  i64 size = 0;
  Dtype dtype = Dtype::F32;
  bool is_widened = false;  // an unsigned type that is none of ours
};

constexpr FileType kFileTypes[] = {
    {"b1", 1, Dtype::Bool},      {"u1", 1, Dtype::U8},        {"i1", 1, Dtype::I8},
    {"i2", 2, Dtype::I16},       {"i4", 4, Dtype::I32},       {"i8", 8, Dtype::I64},
    {"f2", 2, Dtype::F16},       {"f4", 4, Dtype::F32},       {"f8", 8, Dtype::F64},
    {"u2", 2, Dtype::I32, true}, {"u4", 4, Dtype::I64, true}, {"u8", 8, Dtype::I64, true},
};

const FileType* find_type(std::string_view descr) {
  if (descr.size() != 3) return nullptr;
  const auto* found = std::ranges::find(kFileTypes, descr.substr(1), &FileType::code);
  if (found == std::end(kFileTypes)) return nullptr;
  const bool ordered = descr[0] == '<' || descr[0] == '>' || descr[0] == '=';
  return ordered || (descr[0] == '|' && found->size == 1) ? found : nullptr;
}

Expected<NpyHeader> read_header(Source& source) {
  char prefix[8];
  if (source.remaining < static_cast<i64>(sizeof(prefix))) {
    return fail("npy-magic", "not an .npy file: it is too short");
  }
  if (!source.take(prefix, sizeof(prefix))) return truncated();
  if (!std::string_view(prefix, 8).starts_with(kMagic)) {
    return fail("npy-magic", "not an .npy file: it does not begin with its magic number");
  }
  const int major = static_cast<u8>(prefix[6]);
  if (major < 1 || major > 3) {
    return fail("npy-version", fmt::format(".npy version {}.{} is not supported", major,
                                           static_cast<u8>(prefix[7])));
  }
  u8 bytes[4] = {};
  if (!source.take(bytes, major == 1 ? 2 : 4)) return truncated();
  const i64 length = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | i64{bytes[3]} << 24;
  if (length > kMaxHeader) {
    return fail("npy-header", fmt::format("malformed .npy header: {} bytes long", length));
  }
  std::string text(static_cast<std::size_t>(std::min(length, source.remaining)), '\0');
  if (!source.take(text.data(), length)) return truncated();
  return parse_npy_header(text);
}

template <class Raw>
void swap_bytes(std::byte* data, i64 count) {
  auto* elements = reinterpret_cast<Raw*>(data);
  for (i64 i = 0; i < count; ++i) elements[i] = std::byteswap(elements[i]);
}

void swap_bytes(std::byte* data, i64 count, i64 size) {
  if (size == 2) swap_bytes<u16>(data, count);
  if (size == 4) swap_bytes<u32>(data, count);
  if (size == 8) swap_bytes<u64>(data, count);
}

// Spreads the `count` elements at the front of `data` to the wider type, last one first.
template <class From, class To>
void widen(std::byte* data, i64 count) {
  for (i64 i = count - 1; i >= 0; --i) {
    From value;
    std::memcpy(&value, data + i * static_cast<i64>(sizeof(From)), sizeof(From));
    const To wide = static_cast<To>(value);
    std::memcpy(data + i * static_cast<i64>(sizeof(To)), &wide, sizeof(To));
  }
}

Expected<void> finish_elements(std::byte* data, i64 count, const FileType& type) {
  if (type.dtype == Dtype::Bool) {
    std::transform(data, data + count, data,
                   [](std::byte b) { return std::byte{b != std::byte{}}; });
  }
  if (!type.is_widened) return {};
  if (type.size == 2) widen<u16, i32>(data, count);
  if (type.size == 4) widen<u32, i64>(data, count);
  if (type.size == 8) {
    const auto* values = reinterpret_cast<const i64*>(data);
    if (std::any_of(values, values + count, [](i64 value) { return value < 0; })) {
      return fail("npy-value", "an unsigned 64-bit value of the .npy file does not fit i64");
    }
  }
  return {};
}

// Bytes of the data; none if the shape is impossible.
std::optional<i64> data_bytes(const NpyHeader& header, i64 size) {
  i64 bytes = size;
  if (std::ranges::find(header.shape, 0) != header.shape.end()) return 0;
  for (i64 extent : header.shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) return std::nullopt;
  }
  return bytes;
}

Expected<void> check_size(const NpyHeader& header, i64 size, i64 remaining) {
  const auto bytes = data_bytes(header, size);
  if (!bytes) return fail("npy-shape", "the shape of the .npy file is impossible");
  if (*bytes > remaining) return truncated();
  if (*bytes < remaining) {
    return fail("npy-trailing",
                fmt::format("the .npy file has {} bytes after its data", remaining - *bytes));
  }
  return {};
}

void set_fortran_strides(Tensor& tensor) {
  i64 stride = 1;
  for (std::size_t d = 0; d < tensor.sizes.size(); ++d) {
    tensor.strides[d] = stride;
    stride *= std::max<i64>(tensor.sizes[d], 1);
  }
}

Expected<Tensor> parse(Source source) {
  const Expected<NpyHeader> header = read_header(source);
  if (!header) return std::unexpected(header.error());
  const FileType* type = find_type(header->descr);
  if (type == nullptr) {
    return fail("npy-dtype", fmt::format("elements of type '{}' are not supported", header->descr),
                "store bool, integers, float16, float32 or float64");
  }
  const i64 data_size = source.remaining;
  if (auto fits = check_size(*header, type->size, data_size); !fits) {
    return std::unexpected(fits.error());
  }
  Expected<Tensor> tensor = try_empty(type->dtype, header->shape);
  if (!tensor) {
    if (tensor.error().code == "tensor-size") tensor.error().code = "npy-shape";
    return tensor;
  }
  std::byte* data = tensor->data();
  if (!source.take(data, data_size)) return truncated();
  const i64 count = tensor->numel();
  const bool native = (header->descr[0] == '>') != kLittle || header->descr[0] == '=';
  if (!native) swap_bytes(data, count, type->size);
  if (auto done = finish_elements(data, count, *type); !done) return std::unexpected(done.error());
  if (header->fortran_order) set_fortran_strides(*tensor);
  return tensor;
}

}  // namespace

Expected<Tensor> parse_npy(std::span<const std::byte> bytes) {
  const auto read = [&](std::byte* to, i64 size) {
    std::copy_n(bytes.data(), size, to);
    bytes = bytes.subspan(static_cast<std::size_t>(size));
    return true;
  };
  return parse({static_cast<i64>(bytes.size()), read});
}

Expected<Tensor> read_npy(const std::string& path) {
  Expected<OpenFile> opened = open_file(path);
  if (!opened) return std::unexpected(std::move(opened).error());
  const auto read = [&](std::byte* to, i64 size) { return opened->file.read(to, size); };
  Expected<Tensor> tensor = parse({opened->size, read});
  if (!tensor) tensor.error().message = fmt::format("`{}`: {}", path, tensor.error().message);
  return tensor;
}

Expected<void> write_npy(const std::string& path, const Tensor& tensor) {
  const Tensor stored = is_half(tensor.dtype) || !tensor.is_contiguous()
                            ? convert(tensor, compute_dtype(tensor.dtype))
                            : tensor;
  const auto* type = std::ranges::find(kFileTypes, stored.dtype, &FileType::dtype);
  const char order = type->size == 1 ? '|' : kLittle ? '<' : '>';
  const std::string header =
      format_npy_header({fmt::format("{}{}", order, type->code), false, stored.sizes});
  const auto bytes = static_cast<std::size_t>(stored.numel() * type->size);
  const std::string_view parts[] = {header, {reinterpret_cast<const char*>(stored.data()), bytes}};
  return replace_file(path, parts);
}

}  // namespace peri::runtime
