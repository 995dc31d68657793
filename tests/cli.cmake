# Tests of the program, run as a user runs it, on the small checkpoints; and of its printing of numbers.
if(TARGET akiembed_cli)
  aki_test(cli_number base)
  target_sources(test_cli_number PRIVATE ${PROJECT_SOURCE_DIR}/cli/shell/number.c)
  target_link_libraries(test_cli_number PRIVATE m)

  aki_test(cli_options all)
  foreach(source cli options options_table)
    target_sources(test_cli_options PRIVATE ${PROJECT_SOURCE_DIR}/cli/shell/${source}.c)
  endforeach()
  target_include_directories(test_cli_options PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)
  target_compile_definitions(test_cli_options PRIVATE _GNU_SOURCE $<TARGET_PROPERTY:akiembed_cli,COMPILE_DEFINITIONS>)

  set(cli_test ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_cli.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  add_test(NAME cli COMMAND ${cli_test})
  set_tests_properties(cli PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain TIMEOUT 900)
  # The part that meets hostile bytes, short enough to be repeated under the sanitizers.
  add_test(NAME cli_input COMMAND ${cli_test} Input Tokens Chunks)
  set_tests_properties(cli_input PROPERTIES FIXTURES_REQUIRED checkpoints LABELS unit TIMEOUT 900)

  add_test(NAME folders COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_folders.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(folders PROPERTIES FIXTURES_REQUIRED checkpoints LABELS unit TIMEOUT 900)

  add_test(NAME cli_files COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_cli_files.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(cli_files PROPERTIES FIXTURES_REQUIRED checkpoints LABELS unit TIMEOUT 900)

  add_test(NAME cli_scores COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_cli_scores.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(cli_scores PROPERTIES FIXTURES_REQUIRED checkpoints LABELS unit TIMEOUT 900)

  add_test(NAME cli_check COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_cli_check.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(cli_check PROPERTIES FIXTURES_REQUIRED checkpoints LABELS unit TIMEOUT 900)
endif()
