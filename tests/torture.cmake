# Allocation failure over the whole library; it makes the small checkpoints that it works on.
find_package(Python3 COMPONENTS Interpreter)
aki_test(torture all)
target_link_options(test_torture PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
target_compile_definitions(test_torture PRIVATE AKI_CHECKPOINTS="${PROJECT_BINARY_DIR}/torture")
add_test(NAME torture_checkpoints
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/make_checkpoints.py ${PROJECT_BINARY_DIR}/torture bert xlmr qwen3)
set_tests_properties(torture_checkpoints PROPERTIES FIXTURES_SETUP torture_checkpoints LABELS unit)
set_tests_properties(torture PROPERTIES FIXTURES_REQUIRED torture_checkpoints TIMEOUT 900)
