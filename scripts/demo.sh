#!/bin/sh
# Tunes the tour's kernels on this machine, runs them on real input, and prints what came of it.
set -eu
cd "$(dirname "$0")/.."
peri=build/release/peri
budget=${PERI_DEMO_BUDGET:-8}

tune() {
    echo
    echo "tuning $*"
    "$peri" tune "$@" --budget "$budget"
}

data=bench/data/digits
tune kernels/basic/matmul.py:matmul --arg 'x=randn[1024,1024]' --arg 'y=randn[1024,1024]' --threads 1
tune kernels/basic/matmul.py:matmul --arg 'x=randn[128,128]' --arg 'y=randn[128,128]' --threads 1
tune kernels/basic/softmax.py:softmax --arg 'x=randn[4096,4096]' --threads 1
tune kernels/library/norm.py:layer_norm --arg 'x=randn[4096,4096]' --arg 'weight=randn[4096]' \
    --arg 'bias=randn[4096]' --threads 1
tune kernels/basic/add.py:add --arg 'x=randn[4096,4096]' --arg 'y=randn[4096,4096]' --threads 1
tune kernels/basic/sum.py:row_sum --arg 'x=randn[4096,4096]' --threads 1
tune kernels/library/attention.py:attention --arg 'q_in=randn[8,1024,64]' --arg 'k_in=randn[8,1024,64]' \
    --arg 'v_in=randn[8,1024,64]'
tune kernels/library/nearest.py:nearest_label --arg "queries=@${data}_queries.npy:f32" \
    --arg "points=@${data}_points.npy:f32" --arg "labels=@${data}_point_labels.npy:i64" --threads 1

echo
# Old OpenBLAS builds are told their CPU through these; the baseline should see the real one.
env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE build/release/bars --demo
