#include "interp/access.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/bug.h"
#include "ir/access_error.h"
#include "types/elements.h"

namespace peri::interp {

namespace {

// An index outside of its dimension.
struct Fault {
  i64 dim, index;
};

// Consecutive dimensions of the result and, for each of their positions, what it adds to the offset
// in the buffer. Faults only count where the access is not masked out.
struct Axis {
  std::vector<i64> extents;
  std::vector<i64> offsets;
  std::vector<i64> faults;  // index of a Fault, or -1
  bool gather = false;
};

class Positions {
 public:
  explicit Positions(const Access& access) : access_(access), offset_(access.view->offset) {
    for (const Subscript& subscript : access.subscripts) add(subscript);
  }

  std::vector<i64> shape() const {
    std::vector<i64> shape;
    for (const Axis& axis : axes_)
      shape.insert(shape.end(), axis.extents.begin(), axis.extents.end());
    return shape;
  }

  // Keeps the positions inside the box `shape`.
  void crop_to(const std::vector<i64>& shape) {
    auto first = shape.begin();
    for (Axis& axis : axes_) {
      std::vector<i64> extents(first, first + axis.extents.size());
      first += axis.extents.size();
      if (extents == axis.extents) continue;
      std::vector<i64> kept = strided_positions(extents, row_major_strides(axis.extents));
      Axis smaller{extents, {}, {}, axis.gather};
      for (i64 position : kept) {
        smaller.offsets.push_back(axis.offsets[position]);
        smaller.faults.push_back(axis.faults[position]);
      }
      axis = std::move(smaller);
    }
  }

  // Calls `touch(element, offset)` for each element that `mask` allows, in row-major order.
  template <class F>
  Expected<void> for_each(const Tile* mask, const F& touch) const {
    i64 element = 0, fault = -1;
    visit(0, offset_, fault_, [&](i64 offset, i64 position_fault) {
      bool active = !mask || mask->integers[mask->is_scalar() ? 0 : element];
      if (active && position_fault >= 0) {
        if (fault < 0) fault = position_fault;
      } else if (active) {
        touch(element, offset);
      }
      ++element;
    });
    if (fault < 0) return {};
    return out_of_range(faults_[fault]);
  }

 private:
  void add(const Subscript& subscript) {
    if (subscript.dim < 0) {
      axes_.push_back({subscript.extents, {0}, {-1}, false});
    } else if (subscript.extents.empty()) {
      step(subscript.dim, subscript.indices[0], offset_, fault_);
    } else if (Axis* gathers = subscript.gather ? gather_axis() : nullptr) {
      BUG_IF(gathers->extents != subscript.extents, "gathers of different shapes");
      add_to(*gathers, subscript);
    } else {
      size_t count = subscript.indices.size();
      axes_.push_back({subscript.extents, std::vector<i64>(count), std::vector<i64>(count, -1),
                       subscript.gather});
      add_to(axes_.back(), subscript);
    }
  }

  void add_to(Axis& axis, const Subscript& subscript) {
    for (size_t i = 0; i < subscript.indices.size(); ++i) {
      step(subscript.dim, subscript.indices[i], axis.offsets[i], axis.faults[i]);
    }
  }

  Axis* gather_axis() {
    auto axis = std::find_if(axes_.begin(), axes_.end(), [](const Axis& a) { return a.gather; });
    return axis == axes_.end() ? nullptr : &*axis;
  }

  void step(i64 dim, i64 index, i64& offset, i64& fault) {
    if (index >= 0 && index < access_.view->sizes[dim]) {
      offset += access_.view->strides[dim] * index;
    } else {
      fault = static_cast<i64>(faults_.size());
      faults_.push_back({dim, index});
    }
  }

  template <class F>
  void visit(size_t depth, i64 offset, i64 fault, const F& body) const {
    if (depth == axes_.size()) return body(offset, fault);
    const Axis& axis = axes_[depth];
    for (size_t i = 0; i < axis.offsets.size(); ++i) {
      i64 here = fault >= 0 ? fault : axis.faults[i];
      if (depth + 1 == axes_.size()) {
        body(offset + axis.offsets[i], here);
      } else {
        visit(depth + 1, offset + axis.offsets[i], here, body);
      }
    }
  }

  std::unexpected<Error> out_of_range(Fault fault) const {
    return ir::index_out_of_range(access_.name, fault.dim, fault.index,
                                  access_.view->sizes[fault.dim]);
  }

  const Access& access_;
  i64 offset_;
  i64 fault_ = -1;
  std::vector<Axis> axes_;
  std::vector<Fault> faults_;
};

const Tile* crop_mask(const Tile* mask, const std::vector<i64>& shape, Tile& cropped) {
  if (!mask || mask->is_scalar()) return mask;
  cropped = crop(*mask, shape);
  return &cropped;
}

}  // namespace

Expected<Tile> load(const Access& access, const Tile* mask) {
  Positions positions(access);
  std::vector<i64> shape = positions.shape();
  if (mask && !mask->is_scalar()) shape = smaller_shape(shape, mask->shape);
  positions.crop_to(shape);
  Tile cropped;
  Tile out = make_tile(access.view->dtype, shape);
  const View& view = *access.view;
  const void* elements = view.stored;
  if (elements == nullptr && out.is_real()) elements = view.reals.data();
  if (elements == nullptr) elements = view.integers.data();
  const Dtype dtype = view.stored != nullptr ? view.dtype : widened(view.dtype);
  auto done = visit_dtype(dtype, [&]<class Stored>(Stored) {
    const auto* raw = static_cast<const typename Stored::Raw*>(elements);
    return positions.for_each(crop_mask(mask, shape, cropped), [&](i64 element, i64 offset) {
      if constexpr (std::is_same_v<typename Stored::Wide, double>) {
        out.reals[element] = Stored::load(raw[offset]);
      } else {
        out.integers[element] = Stored::load(raw[offset]);
      }
    });
  });
  if (!done) return std::unexpected(done.error());
  return out;
}

Expected<void> store(const Tile& value, const Access& access, const Tile* mask, bool exact) {
  Positions positions(access);
  std::vector<i64> shape = positions.shape();
  if (!value.is_scalar()) shape = smaller_shape(shape, value.shape);
  if (mask && !mask->is_scalar()) shape = smaller_shape(shape, mask->shape);
  positions.crop_to(shape);
  Tile stored = convert(value, access.view->dtype, exact);
  if (!stored.is_scalar()) stored = crop(stored, shape);
  Tile cropped;
  const View& view = *access.view;
  BUG_IF(view.stored != nullptr, "`{}` is written to", access.name);
  return positions.for_each(crop_mask(mask, shape, cropped), [&](i64 element, i64 offset) {
    i64 from = stored.is_scalar() ? 0 : element;
    if (stored.is_real()) {
      view.reals[offset] = stored.reals[from];
    } else {
      view.integers[offset] = stored.integers[from];
    }
  });
}

}  // namespace peri::interp
