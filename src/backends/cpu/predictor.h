// Internals of predict(): the walk, what loops cost, what dots cost.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "backends/cpu/contraction.h"
#include "backends/cpu/memory_model.h"
#include "backends/cpu/predict.h"

namespace peri::cpu {

// Typical of a core with vectors of the target's width; per cycle of its clock.
struct Machine {
  double hertz = 3.6e9;
  double vector_op_cycles = 1;                            // of one execution port
  double load_cycles = 1, store_cycles = 1;               // of a vector in L1
  double gather_cycles = 3;                               // of one lane
  double multiply_add_cycles = 1;                         // of a vector
  double l2_bytes = 60, l3_bytes = 26, memory_bytes = 8;  // per cycle of one core
  double memory_sharing = 1.6;  // memory bandwidth of all cores, in those of one
  double loop_cycles = 1;       // of an iteration
  double entry_cycles = 3;      // of a loop, its tail included
  double join_cycles = 18;      // a reduction's lanes into one
  double latency_cycles = 3;    // of an addition
  double cell_cycles = 5;       // of a grid cell
  double clear_cycles = 1.3;    // of an accumulator in memory, one at a time
  double call_seconds = 0.4e-6;
  double thread_seconds = 2.5e-6;  // to start and to wait for the others
  double turn_seconds = 0.1e-6;    // to take the next cells of a dynamic schedule
};
Machine machine_of(const Target& target);

// Where the bounds of a tile loop stand, on average.
struct Range {
  double extent = 1;  // of the whole loop
  double tiles = 1;
  double count = 1;  // elements of a tile
};

class Predictor {
 public:
  Predictor(const plan::Plan& plan, const Target& target, i64 threads);
  backends::Prediction run();

 private:
  struct Part {
    std::string name;
    double cycles = 0, flops = 0;
    std::array<double, kLevels> traffic{};
    bool overhead = false;
    bool accesses = false;  // loads and stores of L1 take longer than arithmetic
    plan::NodeId node;      // the loop it stands for
  };

  // --- the walk (predict.cpp) ---
  void root(i64 index);
  Streams nodes(const std::vector<plan::NodeId>& ids);
  Streams node(plan::NodeId id);
  Streams loop(const plan::Node& node);
  Streams tile_loop(const plan::Node& node);
  Streams branch(const plan::Node& node);
  void scale(size_t first_part, double trips);
  void move_prefetched(const plan::Node& row, Streams& streams) const;
  void finish_root(const plan::RootPlan& root, const Streams& streams, double cells,
                   size_t first_part);
  double part_seconds(const Part& part, double threads) const;
  std::string_view limiter_of(const Part& part) const;

  // --- sizes ---
  double value(Sym sym, double fallback) const;
  double estimate(ir::ValueId value) const;
  Range range_of(BlockId block, double extent) const;
  double count(plan::AxisId axis) const;
  std::string axis_name(plan::AxisId axis) const;

  // --- loops (predict_loop.cpp) ---
  struct Work {  // of one vector of a loop's lanes
    double ops = 0, loads = 0, stores = 0, chain = 0, flops = 0;
  };
  Streams vector_loop(plan::NodeId id);
  Streams scalar_statement(const plan::Node& node);
  void statement(const plan::Node& node, plan::AxisId lane, Work& work, Streams& streams);
  void evaluate(ir::ValueId value, plan::AxisId lane, Work& work, Streams& streams);
  void access(const ir::Op& op, ir::ValueId shape, plan::AxisId lane, bool store, Work& work,
              Streams& streams);
  void buffer_access(plan::BufferId buffer, const std::vector<plan::AxisId>& axes,
                     plan::AxisId lane, bool store, Work& work, Streams& streams);
  Stream::Dim tensor_dim(const ir::Op& op, const ir::Index& index, i64 dim,
                         plan::AxisId axis) const;
  bool varies(ir::ValueId value, plan::AxisId lane) const;
  double op_cost(const ir::Op& op) const;
  double chain_cost(const ir::Op& op) const;
  double vector_lanes() const;
  static void slow_partial_lines(Streams& streams);
  bool goes_around_caches(const ir::Op& op, plan::AxisId lane) const;
  std::string loop_name(const plan::Node& node) const;

  // --- dots (predict_dot.cpp) ---
  struct Operand {
    Stream stream;  // not yet spread over m, n and k
    Dtype dtype = Dtype::F32;
    std::vector<double> strides;  // elements, by the value's dimensions
  };
  Streams dot(const plan::Node& node);
  Streams epilogue(const plan::Node& node, ir::ValueId result, i64 rank);
  Operand operand(ir::ValueId value, plan::BufferId buffer) const;
  Streams dot_streams(const ContractionPlan& plan, const ContractionShape& shape,
                      const plan::AxisId (&axes)[3], const Operand& a, const Operand& b,
                      const Stream& c) const;
  double tile_cycles(const ContractionPlan& plan, const ContractionShape& shape) const;
  double packing_cycles(const ContractionPlan& plan, const ContractionShape& shape) const;
  i64 fixed_extent(plan::AxisId axis, double average) const;

  const plan::Plan& plan_;
  const ir::Kernel& kernel_;
  const Target& target_;
  Machine machine_;
  MemoryModel memory_;
  double threads_;
  double lanes_;
  std::vector<Range> ranges_;  // by block
  std::vector<Part> parts_;
  std::vector<i64> seen_;  // by value: the loop that has evaluated it
  i64 loop_number_ = 0;
  ir::ValueId in_register_;  // the result of a dot whose epilogue is being walked
  backends::Prediction result_;
};

}  // namespace peri::cpu
