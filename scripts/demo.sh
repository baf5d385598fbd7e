#!/bin/sh
# Tunes the tour's kernels on this machine, runs them on real input, and prints what came of it.
set -eu
cd "$(dirname "$0")/.."
budget=${PERI_DEMO_BUDGET:-8}

# Old OpenBLAS builds are told their CPU through these; the baseline should see the real one.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE

build/release/bars --demo --list | while read -r words; do
    echo
    echo "tuning $words"
    # shellcheck disable=SC2086  # words are separated by blanks, and have none inside
    build/release/peri tune $words --budget "$budget" </dev/null
done
echo
build/release/bars --demo
