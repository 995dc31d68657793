# Tests of the program, run as a user runs it, on the small checkpoints; and of its printing of numbers.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
if(TARGET akiembed_cli)
  aki_test(cli_number base)
  target_sources(test_cli_number PRIVATE ${PROJECT_SOURCE_DIR}/cli/number.c)
  target_link_libraries(test_cli_number PRIVATE m)
  add_test(NAME cli COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_cli.py
    $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(cli PROPERTIES FIXTURES_REQUIRED checkpoints TIMEOUT 900)
endif()
