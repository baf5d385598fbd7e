// Packing: copies blocks of A and B into scratch, converted to what the register tiles multiply.
#include "backends/cpu/contraction_emit.h"

namespace peri::cpu::contraction {
namespace {

Value* element_at(const Emitter& e, const Lines& from, Value* outer, Value* inner) {
  Value* line = e.offset(from.base, e.mul(outer, from.outer_stride));
  return e.offset(line, e.mul(inner, from.inner_stride));
}

// cells[i] = line[i] for i in [begin, end), one by one.
void copy_scalars(const Emitter& e, const Lines& from, Value* line, Value* begin, Value* end,
                  Value* to) {
  emit_for(e.b, begin, end, e.constant(1), [&](Value* i) {
    Value* raw =
        e.b.CreateLoad(e.element_type(from.dtype), e.offset(line, e.mul(i, from.inner_stride)));
    e.b.CreateStore(e.to_cell(raw, from.dtype), e.offset(to, e.mul(i, e.cell_bytes())));
  });
}

// A known number of contiguous elements, in vectors of powers of two.
void copy_cells(const Emitter& e, const Lines& from, Value* source, i64 count, Value* to) {
  const i64 widest = e.target.vector_bytes / e.cell_bytes();
  for (i64 i = 0, lanes = widest; i < count; i += lanes) {
    while (lanes > count - i) lanes /= 2;
    Value* raw = e.load_raw(e.offset(source, i * size_of(from.dtype)), e.element_type(from.dtype),
                            lanes, nullptr);
    e.store(e.to_cell(raw, from.dtype), e.offset(to, i * e.cell_bytes()));
  }
}

void copy_line(const Emitter& e, const Lines& from, Value* line, Value* to) {
  Value* zero = e.constant(0);
  const i64 element = size_of(from.dtype);
  if (constant_of(from.inner_stride) != element) {
    copy_scalars(e, from, line, zero, from.inner, to);
    return;
  }
  const i64 lanes = e.target.vector_bytes / e.cell_bytes();
  auto copy_vector = [&](Value* i, Value* mask) {
    Value* raw =
        e.load_raw(e.offset(line, e.mul(i, element)), e.element_type(from.dtype), lanes, mask);
    e.store(e.to_cell(raw, from.dtype), e.offset(to, e.mul(i, e.cell_bytes())), mask);
  };
  Value* whole = e.b.CreateAnd(from.inner, e.constant(-lanes));
  emit_for(e.b, zero, whole, e.constant(lanes), [&](Value* i) { copy_vector(i, nullptr); });
  if (!has_masked_loads(std::min(element, e.cell_bytes()), e.target)) {
    copy_scalars(e, from, line, whole, from.inner, to);
    return;
  }
  emit_if(e.b, e.b.CreateICmpSLT(whole, from.inner),
          [&] { copy_vector(whole, e.mask_below(e.b.CreateSub(from.inner, whole), lanes)); });
}

// The lanes of `low` and `high` in turn, as one vector of pairs.
Value* interleave(const Emitter& e, Value* low, Value* high) {
  const int lanes =
      static_cast<int>(llvm::cast<llvm::FixedVectorType>(low->getType())->getNumElements());
  std::vector<int> order;
  for (int i = 0; i < lanes; ++i) order.insert(order.end(), {i, lanes + i});
  return e.b.CreateShuffleVector(low, high, order);
}

// Packs B whose columns are contiguous: whole vectors of a row of B at a time.
class RowPacker {
 public:
  RowPacker(const Emitter& e, const Lines& from) : e_(e), from_(from) {}

  // One panel, `columns` of whose columns (null: all) exist.
  void panel(Value* first_column, Value* columns, Value* to) const {
    Value* from = e_.offset(from_.base, e_.mul(first_column, from_.outer_stride));
    const i64 step_k = e_.facts.step_k;
    Value* steps = e_.b.CreateUDiv(from_.inner, e_.constant(step_k));
    const i64 group = columns ? 1 : 4;
    Value* grouped = e_.b.CreateAnd(steps, e_.constant(-group));
    auto copy = [&](Value* s, bool odd) {
      Value* source = e_.offset(from, e_.mul(e_.mul(s, step_k), from_.inner_stride));
      step(source, columns, e_.offset(to, e_.mul(s, row_bytes())), odd);
    };
    Value* one = e_.constant(1);
    emit_for(e_.b, e_.constant(0), grouped, e_.constant(group), [&](Value* s) {
      for (i64 u = 0; u < group; ++u) copy(e_.add(s, e_.constant(u)), false);
    });
    if (group > 1) emit_for(e_.b, grouped, steps, one, [&](Value* s) { copy(s, false); });
    if (step_k == 1) return;
    Value* odd = e_.b.CreateAnd(from_.inner, one);
    emit_if(e_.b, e_.b.CreateICmpEQ(odd, one), [&] { copy(steps, true); });
  }

 private:
  i64 row_bytes() const { return e_.facts.tile_columns * e_.facts.unit_bytes; }

  void step(Value* source, Value* columns, Value* to, bool odd) const {
    const i64 lanes = e_.facts.lanes;
    const i64 element = size_of(from_.dtype);
    for (i64 first = 0; first < e_.facts.tile_columns; first += lanes) {
      Value* at = e_.offset(source, first * element);
      Value* left = columns ? e_.add(columns, e_.constant(-first)) : nullptr;
      if (left && constant_of(left) && *constant_of(left) <= 0) return;
      e_.store(units(at, left, odd), e_.offset(to, first * e_.facts.unit_bytes));
    }
  }

  // A vector of units of one step, of which `left` (null: all) columns exist.
  Value* units(Value* at, Value* left, bool odd) const {
    Value* low = cells(at, left);
    if (e_.facts.step_k == 1) return low;
    Value* high = odd ? llvm::Constant::getNullValue(low->getType())
                      : cells(e_.offset(at, from_.inner_stride), left);
    return interleave(e_, low, high);
  }

  Value* cells(Value* at, Value* left) const {
    const i64 lanes = e_.facts.lanes;
    llvm::Type* type = e_.element_type(from_.dtype);
    if (left && !has_masked_loads(size_of(from_.dtype), e_.target)) return gather(at, left);
    Value* mask = left ? e_.mask_below(left, lanes) : nullptr;
    return e_.to_cell(e_.load_raw(at, type, lanes, mask), from_.dtype);
  }

  // A partial vector without masked loads. Columns beyond the last repeat it, which reads nothing
  // that is not there; where the whole vector is beyond, it repeats a column of an earlier one.
  Value* gather(Value* at, Value* left) const {
    llvm::Type* element = e_.element_type(from_.dtype);
    Value* raw = llvm::PoisonValue::get(e_.vector_type(element, e_.facts.lanes));
    Value* last = e_.add(left, e_.constant(-1));
    for (i64 i = 0; i < e_.facts.lanes; ++i) {
      Value* lane = emit_min(e_.b, e_.constant(i), last);
      Value* value = e_.b.CreateLoad(element, e_.offset(at, e_.mul(lane, size_of(from_.dtype))));
      raw = e_.b.CreateInsertElement(raw, value, static_cast<u64>(i));
    }
    return e_.to_cell(raw, from_.dtype);
  }

  const Emitter& e_;
  const Lines& from_;
};

// Transposes a square of vectors with shuffles that are single instructions: first inside 128-bit
// parts, then the parts.
class Transposer {
 public:
  Transposer(const Emitter& e, std::vector<Value*> rows)
      : b_(e.b),
        rows_(std::move(rows)),
        lanes_(static_cast<int>(rows_.size())),
        part_(static_cast<int>(16 / e.facts.unit_bytes)) {}

  std::vector<Value*> run() {
    for (int width = 1; width < part_; width *= 2) unpack(width);
    const int parts = lanes_ / part_;
    if (parts == 2) {
      exchange(1, {{0, 2}, {1, 3}});
    } else if (parts == 4) {
      exchange(1, {{0, 1, 4, 5}, {2, 3, 6, 7}});
      exchange(2, {{0, 2, 4, 6}, {1, 3, 5, 7}});
    }
    return in_column_order();
  }

 private:
  // Interleaves runs of `width` lanes of rows `width` apart, in the low and high half of each part.
  void unpack(int width) {
    std::vector<Value*> next(rows_);
    for (int i = 0; i < lanes_; ++i) {
      if (i & width) continue;
      for (int high = 0; high < 2; ++high) {
        std::vector<int> order;
        for (int j = 0; j < lanes_; ++j) {
          const int in_part = j % part_;
          const int run = in_part / width;  // even runs come from the first row
          const int lane = j - in_part + high * part_ / 2 + run / 2 * width + in_part % width;
          order.push_back(run % 2 ? lanes_ + lane : lane);
        }
        next[i + high * width] = b_.CreateShuffleVector(rows_[i], rows_[i + width], order);
      }
    }
    rows_ = next;
  }

  Value* shuffle_parts(Value* x, Value* y, const std::vector<int>& parts) {
    std::vector<int> order;
    for (int p : parts) {
      for (int i = 0; i < part_; ++i) order.push_back(p * part_ + i);
    }
    return b_.CreateShuffleVector(x, y, order);
  }

  // Rows part_*distance apart become the two given selections of their parts.
  void exchange(int distance, const std::vector<std::vector<int>>& selections) {
    for (int i = 0; i < lanes_; ++i) {
      if (i / part_ & distance) continue;
      Value* x = rows_[i];
      Value* y = rows_[i + part_ * distance];
      rows_[i] = shuffle_parts(x, y, selections[0]);
      rows_[i + part_ * distance] = shuffle_parts(x, y, selections[1]);
    }
  }

  // Four lanes of a part, and four parts, come out in the order 0, 2, 1, 3: the two halvings act on
  // the low bit first.
  static int swap_bits(int i, int count) { return count == 4 ? (i & 1) * 2 + i / 2 : i; }

  std::vector<Value*> in_column_order() const {
    std::vector<Value*> columns(rows_.size());
    for (int i = 0; i < lanes_; ++i) {
      const int part = swap_bits(i / part_, lanes_ / part_);
      columns[part * part_ + swap_bits(i % part_, part_)] = rows_[i];
    }
    return columns;
  }

  llvm::IRBuilderBase& b_;
  std::vector<Value*> rows_;
  int lanes_;
  int part_;
};

// Packs B whose k is contiguous, in transposed squares.
class ColumnPacker {
 public:
  ColumnPacker(const Emitter& e, const Lines& from) : e_(e), from_(from) {}

  void run(Value* to, Value* panel_stride) const {
    const i64 lanes = e_.facts.lanes;
    Value* width = e_.constant(e_.facts.tile_columns);
    emit_for(e_.b, e_.constant(0), from_.outer, e_.constant(lanes), [&](Value* column) {
      Value* panel = e_.mul(e_.b.CreateUDiv(column, width), panel_stride);
      Value* in_panel = e_.mul(e_.b.CreateURem(column, width), e_.facts.unit_bytes);
      copy_lines(line_starts(column), e_.offset(to, e_.add(panel, in_panel)));
    });
  }

 private:
  // `lanes` columns for all k. One square serves whole and partial ones: its code is long.
  void copy_lines(const std::vector<Value*>& lines, Value* to) const {
    const i64 square = e_.facts.lanes * e_.facts.step_k;  // elements of k in a square
    const bool masked = has_masked_loads(size_of(from_.dtype), e_.target);
    Value* whole = e_.b.CreateAnd(from_.inner, e_.constant(-square));
    const bool has_rest =
        constant_of(whole) == std::nullopt || constant_of(whole) != constant_of(from_.inner);
    emit_for(
        e_.b, e_.constant(0), masked ? from_.inner : whole, e_.constant(square), [&](Value* k) {
          Value* left = e_.b.CreateSub(from_.inner, k);
          copy_square(lines, k, masked && has_rest ? e_.mask_below(left, square) : nullptr, to);
        });
    if (masked) return;
    for (u64 i = 0; i < lines.size(); ++i) {
      copy_one_by_one(lines[i], whole, e_.offset(to, static_cast<i64>(i) * e_.facts.unit_bytes));
    }
  }

  // Columns beyond the last one repeat it: what they give is never used.
  std::vector<Value*> line_starts(Value* column) const {
    std::vector<Value*> lines;
    Value* last = e_.add(from_.outer, e_.constant(-1));
    for (i64 i = 0; i < e_.facts.lanes; ++i) {
      Value* line = emit_min(e_.b, e_.add(column, e_.constant(i)), last);
      lines.push_back(e_.offset(from_.base, e_.mul(line, from_.outer_stride)));
    }
    return lines;
  }

  Value* step_address(Value* to, Value* k) const {
    Value* step = e_.b.CreateUDiv(k, e_.constant(e_.facts.step_k));
    return e_.offset(to, e_.mul(step, e_.facts.tile_columns * e_.facts.unit_bytes));
  }

  void copy_square(const std::vector<Value*>& lines, Value* k, Value* mask, Value* to) const {
    std::vector<Value*> rows;
    const i64 cells = e_.facts.lanes * e_.facts.step_k;
    for (Value* line : lines) {
      Value* raw = e_.load_raw(e_.offset(line, e_.mul(k, size_of(from_.dtype))),
                               e_.element_type(from_.dtype), cells, mask);
      Value* units = e_.to_cell(raw, from_.dtype);
      rows.push_back(e_.b.CreateBitCast(units, e_.vector_type(e_.unit_type(), e_.facts.lanes)));
    }
    Value* at = step_address(to, k);
    for (Value* column : Transposer(e_, rows).run()) {
      e_.store(column, at);
      at = e_.offset(at, e_.facts.tile_columns * e_.facts.unit_bytes);
    }
  }

  void copy_one_by_one(Value* line, Value* begin, Value* to) const {
    const i64 step_k = e_.facts.step_k;
    emit_for(e_.b, begin, from_.inner, e_.constant(step_k), [&](Value* k) {
      Value* at = step_address(to, k);
      for (i64 half = 0; half < step_k; ++half) {
        Value* index = e_.add(k, e_.constant(half));
        e_.b.CreateStore(cell_or_zero(line, index), e_.offset(at, half * e_.cell_bytes()));
      }
    });
  }

  Value* cell_or_zero(Value* line, Value* k) const {
    Value* last = e_.add(from_.inner, e_.constant(-1));
    Value* at = e_.offset(line, e_.mul(emit_min(e_.b, k, last), size_of(from_.dtype)));
    Value* cell = e_.to_cell(e_.b.CreateLoad(e_.element_type(from_.dtype), at), from_.dtype);
    return e_.b.CreateSelect(e_.b.CreateICmpSGT(k, last),
                             llvm::Constant::getNullValue(cell->getType()), cell);
  }

  const Emitter& e_;
  const Lines& from_;
};

// Packs B of any strides, element by element.
void pack_panel_scalars(const Emitter& e, const Lines& from, Value* first_column, Value* columns,
                        Value* to) {
  const i64 step_k = e.facts.step_k;
  const i64 row_bytes = e.facts.tile_columns * e.facts.unit_bytes;
  Value* one = e.constant(1);
  Value* padded = e.round_up(from.inner, step_k);
  emit_for(e.b, e.constant(0), padded, one, [&](Value* k) {
    Value* step = e.offset(to, e.mul(e.b.CreateUDiv(k, e.constant(step_k)), row_bytes));
    Value* at = e.offset(step, e.mul(e.b.CreateURem(k, e.constant(step_k)), e.cell_bytes()));
    Value* row = emit_min(e.b, k, e.add(from.inner, e.constant(-1)));
    Value* is_padding = e.b.CreateICmpSGE(k, from.inner);
    emit_for(e.b, e.constant(0), columns, one, [&](Value* c) {
      Value* source = element_at(e, from, e.add(first_column, c), row);
      Value* cell = e.to_cell(e.b.CreateLoad(e.element_type(from.dtype), source), from.dtype);
      Value* zero = llvm::Constant::getNullValue(cell->getType());
      e.b.CreateStore(e.b.CreateSelect(is_padding, zero, cell),
                      e.offset(at, e.mul(c, e.facts.unit_bytes)));
    });
  });
}

}  // namespace

bool packs_a_panels(const ContractionShape& shape, const Facts& facts) {
  return facts.kind == StepKind::Single && shape.a_stride_m == 1 && shape.a_stride_k != 1;
}

Value* packed_line_stride(const Emitter& e, Value* inner) {
  Value* bytes = e.mul(e.round_up(inner, e.facts.step_k), e.cell_bytes());
  return e.add(e.round_up(bytes, 64), e.constant(kRowPadding));
}

Value* packed_panel_stride(const Emitter& e, Value* k) {
  const i64 row_bytes = e.facts.tile_columns * e.facts.unit_bytes;
  return e.mul(e.round_up(k, e.facts.lanes * e.facts.step_k), row_bytes / e.facts.step_k);
}

Value* packed_a_bytes(const Emitter& e, Value* rows, Value* k) {
  if (!packs_a_panels(e.shape, e.facts)) return e.mul(rows, packed_line_stride(e, k));
  Value* cells = e.mul(e.round_up(rows, e.plan.mr), k);
  return e.round_up(e.mul(cells, e.facts.unit_bytes), 64);
}

void emit_pack_a_panels(const Emitter& e, const Lines& from, Value* to, Value* panel_stride) {
  const i64 mr = e.plan.mr;
  Value* whole = e.mul(e.b.CreateUDiv(from.inner, e.constant(mr)), mr);
  emit_for(e.b, e.constant(0), from.outer, e.constant(1), [&](Value* k) {
    Value* line = e.offset(from.base, e.mul(k, from.outer_stride));
    Value* step = e.offset(to, e.mul(k, mr * e.facts.unit_bytes));
    auto panel = [&](Value* row) {
      return e.offset(step, e.mul(e.b.CreateUDiv(row, e.constant(mr)), panel_stride));
    };
    emit_for(e.b, e.constant(0), whole, e.constant(mr), [&](Value* row) {
      copy_cells(e, from, e.offset(line, e.mul(row, size_of(from.dtype))), mr, panel(row));
    });
    Lines rest = from;
    rest.inner = e.b.CreateSub(from.inner, whole);
    Value* start = e.offset(line, e.mul(whole, size_of(from.dtype)));
    copy_scalars(e, rest, start, e.constant(0), rest.inner, panel(whole));
  });
}

void emit_pack_lines(const Emitter& e, const Lines& from, Value* to, Value* stride) {
  emit_for(e.b, e.constant(0), from.outer, e.constant(1), [&](Value* i) {
    Value* line = e.offset(from.base, e.mul(i, from.outer_stride));
    Value* packed = e.offset(to, e.mul(i, stride));
    copy_line(e, from, line, packed);
    if (e.facts.step_k == 1) return;
    Value* is_odd = e.b.CreateTrunc(from.inner, e.b.getInt1Ty());
    emit_if(e.b, is_odd, [&] {
      e.b.CreateStore(llvm::Constant::getNullValue(e.cell_type()),
                      e.offset(packed, e.mul(from.inner, e.cell_bytes())));
    });
  });
}

void emit_pack_panels(const Emitter& e, const Lines& from, Value* to, Value* panel_stride) {
  const i64 width = e.facts.tile_columns;
  const bool by_rows = constant_of(from.outer_stride) == size_of(from.dtype);
  if (!by_rows && constant_of(from.inner_stride) == size_of(from.dtype)) {
    ColumnPacker(e, from).run(to, panel_stride);
    return;
  }
  auto panel = [&](Value* first, Value* columns) {
    Value* at = e.offset(to, e.mul(e.b.CreateUDiv(first, e.constant(width)), panel_stride));
    if (by_rows) {
      RowPacker(e, from).panel(first, columns, at);
    } else {
      pack_panel_scalars(e, from, first, columns ? columns : e.constant(width), at);
    }
  };
  Value* whole = e.mul(e.b.CreateUDiv(from.outer, e.constant(width)), width);
  emit_for(e.b, e.constant(0), whole, e.constant(width),
           [&](Value* first) { panel(first, nullptr); });
  emit_if(e.b, e.b.CreateICmpSLT(whole, from.outer),
          [&] { panel(whole, e.b.CreateSub(from.outer, whole)); });
}

}  // namespace peri::cpu::contraction
