# The front door: set-up, build, test and the rest in short words. CMakeLists.txt and CMakePresets.json are the truth.
#
# Every target does the set-up it needs, and nothing where nothing is to do.
# CONFIGURE='-DNAME=VALUE …' goes to cmake, JOBS=N limits the build, PREFIX and DESTDIR say where to install,
# BENCH='--long …' goes to bench/run.py.

PREFIX       ?= /usr/local
DESTDIR      ?=
CONFIGURE    ?=
JOBS         ?=
FUZZ_SECONDS ?= 60
BENCH        ?=

build = log=$$(cmake --preset $(1) $(CONFIGURE) 2>&1) || { printf '%s\n' "$$log"; exit 1; }; \
        cmake --build --preset $(1) $(if $(JOBS),-j $(JOBS)) $(2)

.PHONY: build demo test install uninstall asan tsan darwin fuzz bench bench-quick bench-kernels bench-tokenize dist format clean help tools libraries everything

build: libraries ## build what is installed: the library and the program (build/akiembed); the default
	@$(call build,release)

demo: libraries ## set up, fetch a small real model, build, and compare real sentences with it
	@scripts/fetch minilm
	@$(call build,release,--target akiembed_cli)
	@scripts/demo

test: everything ## set up, build, and run every test
	@$(call build,release,--target all tests)
	@ctest --preset release $(if $(JOBS),-j $(JOBS))

install: build ## install under $(DESTDIR)$(PREFIX): program, libraries, header, pkg-config, CMake package, man page
	@DESTDIR=$(DESTDIR) cmake --install build --prefix $(PREFIX)

uninstall: ## remove what the last `make install` laid down, below $(DESTDIR)
	@DESTDIR=$(DESTDIR) scripts/uninstall

dist: ## make what is released, under dist/: an archive, a Debian package, their checksums
	@JOBS=$(JOBS) scripts/dist

asan: everything ## build with AddressSanitizer and UBSan (build-asan/) and run the unit tests under it
	@$(call build,asan)
	@ctest --preset asan $(if $(JOBS),-j $(JOBS))

tsan: everything ## build with ThreadSanitizer (build-tsan/) and run the unit tests under it
	@$(call build,tsan)
	@ctest --preset tsan

darwin: everything ## build what is for macOS (build-darwin/) and run unit tests under macOS' rules
	@$(call build,darwin)
	@ctest --preset darwin $(if $(JOBS),-j $(JOBS))

fuzz: libraries ## run every fuzz target for FUZZ_SECONDS (60) each; new inputs go to build-fuzz/corpus/
	@scripts/setup fuzz
	@$(call build,fuzz)
	@scripts/fuzz $(FUZZ_SECONDS)

bench: everything ## the comparison with other engines: all of it, within 45 minutes after its set-up; see bench/README.md
	@$(call build,release,--target akiembed_cli bench_embed bench_kernels bench_peak bench_tokenize)
	@python=$$(bench/setup) && status=0 && { bench/run.py --python "$$python" $(BENCH) || status=$$?; \
	    bench/table.py; "$$python" bench/plot.py; bench/floors.py || echo "make bench: floors are missed"; exit $$status; }

bench-quick: everything ## a few rows of it, within 5 minutes after its set-up
	@$(call build,release,--target akiembed_cli bench_embed bench_tokenize)
	@python=$$(bench/setup --quick) && status=0 && { bench/run.py --python "$$python" --quick $(BENCH) || status=$$?; \
	    bench/table.py bench/results/tmp; bench/floors.py bench/results/tmp || echo "make bench-quick: floors are missed"; exit $$status; }

bench-kernels: libraries ## time the arithmetic, function by function, in every instruction set
	@$(call build,release,--target bench_kernels)
	@build/tests/bench_kernels

bench-tokenize: everything ## time tokenising beside Hugging Face tokenizers, one thread, the same texts
	@$(call build,release,--target bench_tokenize)
	@python3 bench/corpus.py
	@"$$(scripts/venv)" bench/tokenize.py build/tests/bench_tokenize third_party/texts/many.txt \
	    third_party/models/all-MiniLM-L6-v2/tokenizer.json third_party/models/qwen3-tokenizer/tokenizer.json

format: ## lay out the C sources as .clang-format says
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean: ## remove what was built; what was fetched (third_party/) stays
	@rm -rf build build-dev build-asan build-tsan build-clang build-darwin build-fuzz build-linux-arm64 build-macos-arm64 build-windows-x64 build-dist build-dist-arm64 dist

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { sub(/\$$\(DESTDIR\)\$$\(PREFIX\)/, "DESTDIR+PREFIX", $$2); printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- set-up, silent and instant where nothing is missing ---

tools:
	@scripts/setup build

libraries: tools
	@scripts/fetch runtime headers

everything: tools
	@scripts/setup build test
	@scripts/fetch
	@scripts/venv >/dev/null
