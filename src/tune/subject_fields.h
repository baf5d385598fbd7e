// What several formats have in common: the keys of a subject, names of statuses, patterns.
#pragma once

#include "tune/fields.h"
#include "tune/record.h"

namespace peri::tune {

inline constexpr const char* kHashPattern = "[0-9a-f]{32}";
inline constexpr const char* kKeyPattern = "tuned-[0-9a-f]{32}";
inline constexpr const char* kTimePattern =
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z";

std::string_view name_of(Status status);
std::optional<Status> read_name(const std::string& name, Status);

template <class Io, class S>
void fields_of_subject(Io& io, S& s) {
  io("key", s.key, {.pattern = kKeyPattern}, "of the tuned config in the cache");
  io("kernel", s.kernel, {.most = 256}, "its name");
  io("kernel_hash", s.kernel_hash, {.pattern = kHashPattern}, "of the text of its file");
  io("structure_hash", s.structure_hash, {.pattern = kHashPattern},
     "of its name and knobs: configs of records with the same one can be starting points");
  io("specialization", s.specialization, {}, "dtypes, shapes and strides of the arguments");
  io("file", s.file, {}, "of the kernel, as it was given");
  io("arguments", s.arguments, {.most = 256}, "of the tuned call as NAME=SPEC");
  io("sizes", s.sizes, {.most = 256}, "named sizes of a kernel with dynamic shapes");
  io("target", s.target, {.most = 256}, "that the code is for");
  io("machine", s.machine, {}, "that it was tuned on, in words");
  io("fingerprint", s.fingerprint, {}, "of that machine");
  io("compiler", s.compiler, {.most = 256}, "version of Perihelion and of its code generator");
}

}  // namespace peri::tune
