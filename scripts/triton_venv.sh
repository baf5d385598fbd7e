#!/bin/sh
# Makes build/triton-venv, the Python in which the tests compile and interpret Triton code: Triton and NumPy
# from PyPI, nothing else. Does nothing if it is there. Without a network it says so and succeeds: the tests
# that need it are skipped then.
set -eu
cd "$(dirname "$0")/.."
triton=3.6.0
numpy=2.4.6
venv=build/triton-venv
python=$venv/bin/python3

is_complete() {
    "$python" -c "
from importlib.metadata import version
assert (version('triton'), version('numpy')) == ('$triton', '$numpy')" >/dev/null 2>&1
}

[ -z "${PERI_TRITON_PYTHON:-}" ] || exit 0  # the tests use that one
if is_complete; then exit 0; fi

mkdir -p build
log=build/triton-venv.log
echo "setup: installing triton $triton and numpy $numpy into $venv"
# A venv that was cut short is made again.
if python3 -m venv --clear "$venv" >"$log" 2>&1 &&
    "$venv/bin/pip" install --disable-pip-version-check --retries 2 --timeout 20 \
        "triton==$triton" "numpy==$numpy" >>"$log" 2>&1 &&
    is_complete; then
    echo 'setup: done'
    exit 0
fi
rm -rf "$venv"
tail -n 3 "$log" >&2
echo "setup: triton $triton could not be installed (see $log). Everything else works without; the tests of Triton" >&2
echo "setup: code will be SKIPPED. They need PyPI or a mirror (PIP_INDEX_URL), or a Python that has both packages:" >&2
echo "setup: PERI_TRITON_PYTHON=/path/to/python3 make test" >&2
