#!/bin/sh
# Installs the Debian packages that building, testing and benchmarking need. Does nothing if all are there.
# Works as root, or with sudo.
set -eu

# name: why
packages='
clang-22                 compiler
lld-22                   linker
llvm-22-dev              code generation
libclang-rt-22-dev       sanitizers and fuzzing
cmake                    build
ninja-build              build
libzstd-dev              LLVM, linked statically
zlib1g-dev               LLVM, linked statically
libfmt-dev               text
libcli11-dev             command line
nlohmann-json3-dev       JSON
libxxhash-dev            hashing
libxgboost-dev           model of the tuner, loaded when it is used
libgtest-dev             tests
libgmock-dev             tests
libbenchmark-dev         micro-benchmarks
libdnnl-dev              benchmark baseline
libopenblas-dev          benchmark baseline
python3                  tests of Triton code
python3-venv             tests of Triton code
'

missing=''
for package in $(echo "$packages" | awk 'NF {print $1}'); do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = 'install ok installed' ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=''
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: these packages are missing, and neither root nor sudo is at hand:$missing" >&2
        echo "setup: as root, run: apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi

log=${TMPDIR:-/tmp}/perihelion-setup.$$.log
trap 'rm -f "$log"' EXIT
echo "setup: installing$missing"
fetch() {
    $as_root apt-get update >"$log" 2>&1 || return 1
    # shellcheck disable=SC2086  # a list of names
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing >>"$log" 2>&1
}
if ! fetch; then
    tail -n 20 "$log" >&2
    echo "setup: apt-get could not install the packages above. Perihelion builds on Debian 12 with its" >&2
    echo "setup: security archive enabled (LLVM 22 comes from there); check /etc/apt/sources.list and the network" >&2
    exit 1
fi
echo 'setup: done'
