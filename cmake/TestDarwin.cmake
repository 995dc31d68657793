# AKI_TEST_DARWIN: what the code is on macOS, built and run on Linux under macOS' rules (tests/darwin/, docs/testing.md).
option(AKI_TEST_DARWIN "build for tests on Linux what is for macOS, under macOS' rules" OFF)

# Compiled without the headers beside it.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT CMAKE_CROSSCOMPILING)
  add_library(darwin_rules SHARED EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/darwin/rules.c)
  target_compile_definitions(darwin_rules PRIVATE _GNU_SOURCE)
  set_target_properties(darwin_rules PROPERTIES C_VISIBILITY_PRESET default)
  target_link_libraries(darwin_rules PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
endif()

# Assertions are in, so that a lock that fails stops the test. Names of the system are the compiler's: what asks for Linux is not for macOS.
set(AKI_DARWIN_OPTIONS -UNDEBUG -D__APPLE__=1 -U__linux__ -U__linux -U__gnu_linux__ -I${PROJECT_SOURCE_DIR}/tests/darwin)
if(AKI_TEST_DARWIN)
  foreach(option ${AKI_DARWIN_OPTIONS})
    add_compile_options($<$<COMPILE_LANGUAGE:C>:${option}>)
  endforeach()
  link_libraries($<BUILD_INTERFACE:darwin_rules>)          # before all others: its send stands before libc's for every library
endif()
