# AKI_SANITIZE ("address,undefined" or "thread") and AKI_FUZZ (libFuzzer, clang) for everything that is built.
set(AKI_SANITIZE "" CACHE STRING "sanitizers for all code: address,undefined or thread")
option(AKI_FUZZ "build the fuzz targets with libFuzzer (clang)" OFF)

if(AKI_SANITIZE)
  add_compile_options(-fsanitize=${AKI_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${AKI_SANITIZE})
  # gcc 12 aligns AddressSanitizer's frames to 32 bytes, and clears structs in them by stores that need 64 (its bug 110027).
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 12 AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    add_compile_options(-mmove-max=256 -mstore-max=256)
  endif()
endif()
if(AKI_SANITIZE MATCHES "address")
  # Growing buffers up to so many bytes have no room behind their contents, so that a read there is seen.
  set_source_files_properties(src/util/memory.c PROPERTIES COMPILE_DEFINITIONS AKI_EXACT_BUFFERS=4096)
endif()
if(AKI_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "AKI_FUZZ needs clang: cmake --preset fuzz")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# What tests and fuzz replays run with; the suppressions name ONNX Runtime's library and nothing of ours. Its locks are taken
# where ThreadSanitizer does not look and let go where it does: hence no reports on locks, only on data.
set(AKI_TEST_ENVIRONMENT
  "ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1"
  "UBSAN_OPTIONS=print_stacktrace=1"
  "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0"
  "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp:halt_on_error=1:allocator_may_return_null=1:report_mutex_bugs=0")
