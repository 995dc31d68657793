# Folders that aki_quantize writes: as the library reads them, and as a reader written from docs/quantised-folder.md does.
aki_test(quantize all)
set_tests_properties(quantize PROPERTIES FIXTURES_REQUIRED checkpoints)

if(TARGET akiembed_cli)
  add_test(NAME quantised_folder COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_quantised_folder.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(quantised_folder PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain)
  add_test(NAME threads COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_threads.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(threads PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain)
  add_test(NAME instruction_sets COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/test_instruction_sets.py $<TARGET_FILE:akiembed_cli> ${PROJECT_BINARY_DIR}/checkpoints)
  set_tests_properties(instruction_sets PROPERTIES FIXTURES_REQUIRED checkpoints LABELS plain TIMEOUT 900)
endif()
