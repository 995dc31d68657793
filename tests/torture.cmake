# Allocation failure over the whole library.
if(NOT APPLE AND NOT WIN32 AND NOT AKI_TEST_DARWIN)       # their linkers cannot make allocations fail; it asks things of glibc
  aki_test(torture all)
  target_link_options(test_torture PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
  set_tests_properties(torture PROPERTIES FIXTURES_REQUIRED checkpoints TIMEOUT 1800 ENVIRONMENT XDG_CACHE_HOME=${PROJECT_BINARY_DIR}/cache)
endif()
