// What backends make and the runtime executes: host functions, or images for a device with memory
// of its own.
//
// Exactly one of the two forms has an entry for each root of the kernel. Expressions are of the
// kernel's symbol table; what a call or the config binds is left in them.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/thread_pool.h"
#include "types/dtype.h"
#include "types/sym.h"

namespace peri::backends {

// One argument of compiled code, by position: a tensor's first element or a host scalar.
union Argument {
  void* pointer;
  i64 integer;  // Int and Bool scalars
  double real;  // Float scalars
};

// What compiled code leaves at the start of its scratch when an access is out of range: it returns
// at once, and what it wrote is worthless.
struct AccessFault {
  i64 tensor = -1;  // of the kernel; -1: none
  i64 dim = 0;
  i64 index = 0;
  i64 size = 0;
};

// Runs cells [begin, end) of a root's grid. `scratch` is 64-byte aligned, private to the thread.
using CellFunction = void (*)(const Argument* arguments, i64 begin, i64 end, std::byte* scratch);

// A root in machine code of the host: its arguments are the kernel's `tensors` in order, then
// `scalars`.
struct RootCode {
  CellFunction run = nullptr;
  std::vector<Sym> scalars;  // evaluated once a call
  Sym cells;                 // number of grid cells
  Sym scratch_bytes;         // per thread
  i64 max_threads = 1;       // what the config asks for; 0: all
  Schedule schedule = Schedule::Static;
  i64 cells_per_turn = 0;        // see ThreadPool::run
  bool checks_accesses = false;  // `scratch` holds an AccessFault, which the caller sets to none
};

// A tensor as a device's copy engine describes it to itself: sizes and strides are the tensor's,
// without the dimensions that `dims` leaves out; what lies out of range reads as zero.
struct TensorMap {
  std::vector<i64> dims;  // of the tensor, slowest first; the last has stride 1
  std::vector<i64> box;   // elements of one copy along each of them
  i64 swizzle = 0;        // as the compiler wants it: 0 none, 1 32 bytes, 2 64 bytes, 3 128 bytes
};

// One parameter of a device function.
struct LaunchParam {
  enum class Kind : u8 {
    Pointer,    // address of the first element of tensor `tensor`
    Integer,    // `value` in `bytes` (1, 4 or 8)
    Real,       // `value` in `bytes` (4 or 8)
    Map,        // `map` of tensor `tensor`, by value (128 bytes, aligned to 64)
    Scratch,    // address of Launch::scratch_bytes for each program of the grid
    NoPointer,  // a null address
  };
  Kind kind = Kind::Pointer;
  i64 tensor = -1;
  i64 alignment = 1;  // Pointer, Map: the address must be a multiple of this
  Sym value;
  i64 bytes = 8;
  TensorMap map;
};

// A root as a launch of a device function. A call must not launch unless every value of `limits`
// is at most its bound and every pointer has its alignment.
struct Launch {
  struct Limit {
    Sym value;
    i64 most = 0;
  };
  i64 image = 0;  // index into Artifact::images
  std::string function;
  std::vector<LaunchParam> params;
  std::array<Sym, 3> grid;  // programs along x, y, z; nothing is launched if one is 0
  // > 0: the grid is one-dimensional, and x at most this many times the multiprocessors.
  i64 programs_per_multiprocessor = 0;
  i64 reserved_multiprocessors = 0;  // of these without programs, unless there are no others
  i64 threads = 128;                 // of one program
  i64 shared_bytes = 0;              // dynamic shared memory of one program
  i64 cluster = 1;                   // blocks of a cluster
  bool cooperative = false;
  i64 scratch_bytes = 0;  // of one program
  i64 scratch_alignment = 1;
  std::vector<Limit> limits;
};

// Machine code for a device, as its driver loads it.
struct Image {
  std::string format;  // "cubin", "hsaco"
  std::string target;  // the backend's name of what it runs on
  std::string bytes;
};

// What a backend makes of a plan. `code` owns the machine code that `roots` point into; where the
// target cannot run here it is null, and so are the functions.
struct Artifact {
  std::shared_ptr<void> code;
  std::vector<RootCode> roots;
  std::vector<Image> images;
  std::vector<Launch> launches;
};

}  // namespace peri::backends
