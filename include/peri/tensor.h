// Tensors as kernels take and return them.
//
//   peri::Tensor x = peri::empty(peri::Dtype::F32, {1024, 512});
//   float* data = reinterpret_cast<float*>(x.data());
#pragma once

#include "runtime/npy.h"
#include "runtime/random.h"
#include "runtime/tensor.h"

namespace peri {

using runtime::Tensor;

using runtime::arange;
using runtime::convert;
using runtime::empty;
using runtime::full;
using runtime::rand;
using runtime::randint;
using runtime::randn;
using runtime::read_npy;
using runtime::write_npy;
using runtime::zeros;

}  // namespace peri
