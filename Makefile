# The two commands of the README, and what they share. Everything else is CMake: see CMakePresets.json.
JOBS ?= $(shell nproc)

.PHONY: demo test build setup triton-venv clean

demo: build
	scripts/demo.sh

test: build triton-venv
	cd build/release && ctest --output-on-failure --timeout 900

build: setup
	@cmake --preset release $(if $(shell command -v ccache),-DCMAKE_CXX_COMPILER_LAUNCHER=ccache) > build/configure.log 2>&1 \
	  || { cat build/configure.log; exit 1; }
	@ninja -C build/release -j$(JOBS)

setup:
	@mkdir -p build
	@scripts/setup.sh

triton-venv: setup
	@scripts/triton_venv.sh

clean:
	rm -rf build
