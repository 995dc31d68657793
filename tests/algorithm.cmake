aki_test(algorithm text base)
if(NOT APPLE AND NOT WIN32)       # their linkers cannot make allocations fail
  target_link_options(test_algorithm PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
  target_compile_definitions(test_algorithm PRIVATE AKI_TEST_WRAP)
endif()

# The driver of differential_algorithm.py, which is run by hand.
add_executable(tool_algorithm EXCLUDE_FROM_ALL ${CMAKE_CURRENT_SOURCE_DIR}/tool_algorithm.c)
target_link_libraries(tool_algorithm PRIVATE aki_settings aki_text aki_base)

# What bench/tokenize.py times.
add_executable(bench_tokenize EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/bench/tokenize.c)
target_link_libraries(bench_tokenize PRIVATE aki_settings aki_text aki_base)
