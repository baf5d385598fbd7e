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
  io("target", s.target, {.most = 256}, "that the code is for");
  io("machine", s.machine, {}, "that it was tuned on, in words");
  io("fingerprint", s.fingerprint, {}, "of that machine");
  io("compiler", s.compiler, {.most = 256}, "version of Perihelion and of its code generator");
  io("threads", s.threads, {.low = 0}, "most that a call may use, as the user says; 0: all CPUs");
  io("passes_off", s.passes_off, {.most = 1024}, "passes that were left out, as NAME,NAME");
}

template <class Io, Is<NamedSize> S>
void fields(Io& io, S& s) {
  io("name", s.name, {.most = 256}, "that the size was given, or ARGUMENT.DIMENSION");
  io("argument", s.argument, {.most = 256}, "that has it, or an item of it: `x`, `xs[0]`");
  io("dimension", s.dimension, {.low = 0, .high = 63}, "of the argument");
  io("size", s.size, {.low = 0}, "that it was tuned for");
}

// What records and entries of the cache say of the sizes that they are for.
template <class Io, class S>
void fields_of_sizes(Io& io, S& s) {
  io("sizes", s.sizes, {.most = 256},
     "of a kernel with dynamic shapes: what it was tuned for; empty: static shapes");
  io("best_seconds", s.best_seconds, {.low = 0},
     "of a call with the fastest config known at these sizes; 0: that of the winner");
  io("neighbour", s.neighbour, {.most = 256},
     "sizes of the nearest other shape tuned for in the same run; empty: there is none");
  io("neighbour_seconds", s.neighbour_seconds, {.low = 0, .may_be_infinite = true},
     "of a call at these sizes with that shape's config; null: not timed, or not usable here");
}

}  // namespace peri::tune
